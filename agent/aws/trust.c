// SPDX-License-Identifier: Apache-2.0
#include "agent/aws/trust.h"

#include "common/alloc.h"
#include "common/buf.h"
#include "common/fs.h"
#include "common/str.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { TRUST_MAX = 4 * 1024 * 1024 };

static int add_file(struct buf *text, int dirfd, const char *name, struct error *err)
{
	auto_close int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_errno(err, "open '%s'", name);
	if (!S_ISREG(st.st_mode))
		return 0;
	int r = buf_read_fd(text, fd);
	if (r == 0)
		r = buf_addc(text, '\n');
	return r < 0 ? error_set(err, r, "read '%s': %s", name, strerror(-r)) : 0;
}

static int read_directory(const char *path, char **ret, struct error *err)
{
	auto_closedir DIR *dir = opendir(path);
	if (!dir)
		return error_errno(err, "open AWS_SSL_CA_DIRECTORY '%s'", path);
	auto_buf struct buf text = BUF_INIT(TRUST_MAX);
	for (const struct dirent *entry; (entry = readdir(dir));) {
		if (!str_ends(entry->d_name, ".pem"))
			continue;
		int r = add_file(&text, dirfd(dir), entry->d_name, err);
		if (r < 0)
			return error_prefix(err, r, "AWS_SSL_CA_DIRECTORY '%s'", path);
	}
	if (!text.len)
		return error_set(err, -ENOENT, "AWS_SSL_CA_DIRECTORY '%s' holds no *.pem", path);
	*ret = buf_take(&text);
	return 0;
}

int aws_trust(const struct settings *settings, struct http_options *options, char **ret_text,
	      struct error *err)
{
	const char *bundle = getenv("AWS_SSL_CA_BUNDLE"), *path = getenv("AWS_SSL_CA_DIRECTORY");
	struct stat st;
	*ret_text = NULL;
	options->ca_file = settings->ca_file;
	if (settings->ca_file)
		return 0;
	if (!str_empty(bundle)) {
		options->ca_file = bundle;
		return 0;
	}
	if (str_empty(path))
		return 0;
	if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
		options->ca_file = path;
		return 0;
	}
	int r = read_directory(path, ret_text, err);
	options->ca_pem = *ret_text;
	return r;
}
