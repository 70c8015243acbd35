// SPDX-License-Identifier: Apache-2.0
/* Memory and files of secrets. What they mean is in keys-parse.c. */
#include "agent/aws/keys.h"

#include "common/alloc.h"
#include "common/fs.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

enum { ID_MAX = 128, SECRET_MAX = 256, TOKEN_MAX = 16 * 1024, FILE_MAX = 64 * 1024 };

/* One mapping for each set, so that a page that is kept out of dumps is nobody else's. */
struct keys {
	struct aws_credentials shown; /* first: this is what callers hold */
	size_t size;
	char text[];
};

static bool can_stand_in_a_header(const char *s)
{
	for (; *s; s++)
		if (*s < '!' || *s > '~')
			return false;
	return true;
}

static int check(const char *what, const char *value, size_t max, struct error *err)
{
	if (!*value)
		return error_set(err, ERR_FORMAT, "%s is empty", what);
	if (strlen(value) > max)
		return error_set(err, ERR_FORMAT, "%s is longer than %zu bytes", what, max);
	if (!can_stand_in_a_header(value))
		return error_set(err, ERR_FORMAT, "%s holds a blank or control character", what);
	return 0;
}

static const char *put(char **at, const char *s)
{
	if (!s)
		return NULL;
	char *here = *at;
	*at = stpcpy(here, s) + 1;
	return here;
}

int aws_keys_new(const char *id, const char *secret, const char *token, int64_t expires_s,
		 struct aws_credentials **ret, struct error *err)
{
	int r = check("the access key id", id, ID_MAX, err);
	if (r == 0)
		r = check("the secret access key", secret, SECRET_MAX, err);
	if (r == 0 && token)
		r = check("the session token", token, TOKEN_MAX, err);
	if (r < 0)
		return r;
	size_t size = sizeof(struct keys) + strlen(id) + strlen(secret) + 3;
	size += token ? strlen(token) : 0;
	struct keys *keys =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (keys == MAP_FAILED)
		return error_errno(err, "no memory for credentials");
	madvise(keys, size, MADV_DONTDUMP);
	keys->size = size;
	char *at = keys->text;
	keys->shown.access_key_id = put(&at, id);
	keys->shown.secret = put(&at, secret);
	keys->shown.session_token = put(&at, token);
	keys->shown.expires_s = expires_s;
	*ret = &keys->shown;
	return 0;
}

void aws_keys_free(struct aws_credentials *shown)
{
	if (!shown)
		return;
	struct keys *keys = (struct keys *)shown;
	size_t size = keys->size;
	explicit_bzero(keys, size);
	munmap(keys, size);
}

void aws_keys_free_text(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

static struct aws_keys_stamp stamp_of(const struct stat *st)
{
	return (struct aws_keys_stamp){
		.device = st->st_dev,
		.inode = st->st_ino,
		.size = (uint64_t)st->st_size,
		.changed_ns = (int64_t)st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec,
	};
}

bool aws_keys_changed(const char *file, const struct aws_keys_stamp *stamp)
{
	struct stat st;
	if (stat(file, &st) < 0)
		return false;
	struct aws_keys_stamp now = stamp_of(&st);
	return now.device != stamp->device || now.inode != stamp->inode ||
	       now.size != stamp->size || now.changed_ns != stamp->changed_ns;
}

int aws_keys_read(const char *file, char **ret, size_t *ret_len, struct aws_keys_stamp *ret_stamp,
		  struct error *err)
{
	struct stat st;
	auto_close int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 && errno == EACCES)
		return error_set(err, -EACCES,
				 "'%s' cannot be read: run 'chgrp slipway %s; chmod 640 %s', and "
				 "see that the directories above it let group slipway through",
				 file, file, file);
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_errno(err, "open '%s'", file);
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EINVAL, "'%s' is no regular file", file);
	int r = fs_read_fd(fd, FILE_MAX, ret, ret_len, err);
	if (r < 0)
		return error_prefix(err, r, "'%s'", file);
	*ret_stamp = stamp_of(&st);
	return 0;
}
