// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/import-identity.h"

#include "common/alloc.h"
#include "common/fs.h"
#include "common/str.h"
#include "common/yaml.h"

#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX ((size_t)64 << 10)
#define MODE_WANTED 0640

/* What the sandbox of slipwayd.service hides. */
static const char *const hidden[] = {"/root", "/home", "/run/user", "/tmp", "/var/tmp"};

struct reader {
	uid_t uid;
	gid_t gid;
};

/* Without a daemon of another user there is nothing to give. */
static bool find_reader(const struct paths *paths, struct reader *ret)
{
	const struct passwd *user =
		!*paths->root && geteuid() == 0 ? getpwnam(PATHS_DAEMON_USER) : NULL;
	if (!user)
		return false;
	*ret = (struct reader){user->pw_uid, user->pw_gid};
	return true;
}

static bool may(const struct reader *who, const struct stat *st, mode_t bit)
{
	if (st->st_uid == who->uid)
		return st->st_mode & (bit << 6);
	if (st->st_gid == who->gid)
		return st->st_mode & (bit << 3);
	return st->st_mode & bit;
}

/* The way to it; files that are not there yet have one, too. */
static void check_way(const struct reader *who, const char *path, struct buf *advice)
{
	char parent[PATH_MAX];
	struct stat st;
	for (size_t i = 0; i < ARRAY_LEN(hidden); i++)
		if (str_starts(path, hidden[i]) && path[strlen(hidden[i])] == '/')
			buf_addf(advice, "slipwayd does not see what is below '%s': move '%s'\n",
				 hidden[i], path);
	for (const char *at = path; (at = strchr(at + 1, '/'));) {
		snprintf(parent, sizeof(parent), "%.*s", (int)(at - path), path);
		if (stat(parent, &st) == 0 && !may(who, &st, S_IXOTH))
			buf_addf(advice,
				 "slipwayd cannot enter '%s': setfacl -m u:" PATHS_DAEMON_USER
				 ":x %s\n",
				 parent, parent);
	}
}

/* Somebody else writes it again and again: only who does can give it the right owner. */
static void check_credentials(const struct reader *who, const char *path, struct buf *advice)
{
	struct stat st;
	check_way(who, path, advice);
	if (stat(path, &st) == 0 && may(who, &st, S_IROTH) && !(st.st_mode & S_IROTH))
		return;
	buf_addf(advice,
		 "'%s' is written by another program: have that one write it with group "
		 "'" PATHS_DAEMON_USER
		 "' and mode 0640, so that slipwayd can read each new one and "
		 "others cannot\n",
		 path);
}

static void check_session(const struct reader *who, const char *text, size_t len,
			  struct buf *advice)
{
	auto_yaml struct yaml *doc = NULL;
	struct error ignored;
	if (yaml_parse("file", text, len, FILE_MAX, &doc, &ignored) < 0 || !doc)
		return;
	const struct yaml *file = yaml_get(doc, ":aws_credentials_file");
	file = file ? file : yaml_get(doc, "aws_credentials_file");
	if (file && file->type == YAML_SCALAR && file->text[0] == '/')
		check_credentials(who, file->text, advice);
}

/* Where it leads to may change, so that another file would be given away. */
static int leave_link(const char *path, enum import_access *ret, struct buf *advice)
{
	auto_free char *to = realpath(path, NULL);
	*ret = IMPORT_ACCESS_GOOD;
	buf_addf(advice,
		 "'%s' is a symbolic link and stays as it is: chgrp " PATHS_DAEMON_USER
		 " %s && chmod 0640 %s\n",
		 path, to ? to : path, to ? to : path);
	return 0;
}

int import_identity_look(const struct paths *paths, const char *path, enum import_access *ret,
			 struct buf *advice, struct error *err)
{
	struct reader who;
	auto_free char *text = NULL;
	struct stat st, link;
	size_t len;
	*ret = IMPORT_ACCESS_NONE;
	int r = fs_read_path(path, FILE_MAX, &text, &len, err);
	if (r == -ENOENT || (r >= 0 && !find_reader(paths, &who)))
		return 0;
	if (r < 0)
		return error_prefix(err, r, "%s", path);
	if (stat(path, &st) < 0 || lstat(path, &link) < 0)
		return error_errno(err, "look at '%s'", path);
	check_way(&who, path, advice);
	check_session(&who, text, len, advice);
	explicit_bzero(text, len);
	bool good = may(&who, &st, S_IROTH) && !(st.st_mode & S_IRWXO);
	*ret = good ? IMPORT_ACCESS_GOOD : IMPORT_ACCESS_CHANGE;
	if (S_ISLNK(link.st_mode) && !good)
		return leave_link(path, ret, advice);
	if (good || st.st_gid == 0 || st.st_gid == who.gid)
		return 0;
	*ret = IMPORT_ACCESS_GOOD; /* somebody has given it to a group on purpose */
	buf_addf(advice,
		 "'%s' belongs to a group of its own and stays as it is: setfacl -m "
		 "u:" PATHS_DAEMON_USER ":r %s\n",
		 path, path);
	return 0;
}

static int open_identity(const struct import_record *r, struct error *err)
{
	int fd = fs_open_regular(AT_FDCWD, r->on_premises, O_RDONLY, err);
	return fd < 0 ? error_prefix(err, fd, "%s", r->on_premises) : fd;
}

int import_identity_note(struct import_record *r, struct error *err)
{
	struct stat st;
	auto_close int fd = open_identity(r, err);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return error_errno(err, "look at '%s'", r->on_premises);
	r->identity_changed = true;
	r->identity_gid = st.st_gid;
	r->identity_mode = st.st_mode & 07777;
	return 0;
}

static int set(const struct import_record *r, gid_t gid, mode_t mode, struct error *err)
{
	auto_close int fd = open_identity(r, err);
	if (fd < 0)
		return fd;
	/* never a moment in which others may read it, whichever way it goes */
	if (fchmod(fd, mode & 0700) < 0 || fchown(fd, (uid_t)-1, gid) < 0 || fchmod(fd, mode) < 0)
		return error_errno(err, "change who may read '%s'", r->on_premises);
	return 0;
}

int import_identity_change(const struct import_record *r, struct error *err)
{
	const struct group *daemon = getgrnam(PATHS_DAEMON_USER);
	if (!daemon)
		return error_set(err, ERR_NOT_FOUND, "there is no group '" PATHS_DAEMON_USER "'");
	return set(r, daemon->gr_gid, MODE_WANTED, err);
}

int import_identity_restore(const struct import_record *r, struct error *err)
{
	int code = set(r, (gid_t)r->identity_gid, (mode_t)r->identity_mode, err);
	return code == -ENOENT ? 0 : code;
}
