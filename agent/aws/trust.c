// SPDX-License-Identifier: Apache-2.0
#include "agent/aws/trust.h"

#include "common/alloc.h"
#include "common/buf.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/str.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { TRUST_MAX = 4 * 1024 * 1024 };

struct file_id {
	dev_t device;
	ino_t inode;
};

/* What it holds. OpenSSL's hash names are links to the others in all likelihood. */
struct directory {
	struct buf text;
	struct file_id *files;
	size_t count;
	unsigned skipped;
	struct error first; /* why the first of those was */
};

static void directory_clear(struct directory *d)
{
	buf_clear(&d->text);
	free(d->files);
}
#define auto_directory CLEANUP(directory_clear)

/* "4a6481c9.0" */
static bool is_hash_name(const char *name)
{
	static const char digits[] = "0123456789";
	return strspn(name, "0123456789abcdefABCDEF") == 8 && name[8] == '.' && name[9] &&
	       !name[9 + strspn(name + 9, digits)];
}

static bool is_named_as_certificate(const char *name)
{
	return str_ends(name, ".pem") || str_ends(name, ".crt") || str_ends(name, ".cer") ||
	       is_hash_name(name);
}

static bool is_new(struct directory *d, const struct stat *st)
{
	for (size_t i = 0; i < d->count; i++)
		if (d->files[i].device == st->st_dev && d->files[i].inode == st->st_ino)
			return false;
	d->files = xrealloc_array(d->files, d->count + 1, sizeof(*d->files));
	d->files[d->count++] = (struct file_id){st->st_dev, st->st_ino};
	return true;
}

static int add_file(struct directory *d, int dirfd, const char *name, struct error *err)
{
	auto_close int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_errno(err, "open '%s'", name);
	if (!S_ISREG(st.st_mode) || !is_new(d, &st))
		return 0;
	auto_buf struct buf text = BUF_INIT(TRUST_MAX);
	int r = buf_read_fd(&text, fd);
	if (r < 0)
		return error_set(err, r, "read '%s': %s", name, strerror(-r));
	if (!strstr(buf_str(&text), "-----BEGIN ") || strlen(buf_str(&text)) != text.len)
		return error_set(err, ERR_FORMAT, "'%s' is no PEM", name);
	buf_adds(&d->text, buf_str(&text));
	buf_addc(&d->text, '\n');
	return 0;
}

/* One that cannot be read is one that is not trusted: no reason to refuse all of them. */
static int read_directory(const char *path, char **ret, struct error *err)
{
	auto_closedir DIR *dir = opendir(path);
	if (!dir)
		return error_errno(err, "open AWS_SSL_CA_DIRECTORY '%s'", path);
	auto_directory struct directory d = {.text = BUF_INIT(TRUST_MAX)};
	for (const struct dirent *entry; (entry = readdir(dir));) {
		struct error why = {0};
		if (is_named_as_certificate(entry->d_name) &&
		    add_file(&d, dirfd(dir), entry->d_name, &why) < 0 && d.skipped++ == 0)
			d.first = why;
	}
	if (d.skipped)
		log_warning("AWS_SSL_CA_DIRECTORY '%s': %u of its files are passed over, the first "
			    "for this: %s",
			    path, d.skipped, d.first.text);
	int r = buf_check(&d.text, "AWS_SSL_CA_DIRECTORY", err);
	if (r < 0)
		return r;
	if (!d.text.len)
		return error_set(err, -ENOENT,
				 "AWS_SSL_CA_DIRECTORY '%s' holds no certificates (*.pem, *.crt, "
				 "*.cer, 4a6481c9.0)",
				 path);
	*ret = buf_take(&d.text);
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
