// SPDX-License-Identifier: Apache-2.0
/* Directories that no rename takes into the stage: overlayfs refuses that (EXDEV) for those of a
 * lower layer, which is what an image brings along. One that goes away is empty by then, so a new
 * directory with its owner, mode and attributes stands for it in the stage, under the old object's
 * name; that is made before the real one is removed, and tells every later run how far it came. */
#include "agent/worker/fault.h"
#include "agent/worker/txn.h"
#include "common/cleanup.h"
#include "common/fs.h"

#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>

#define NAMES_MAX (64 * 1024)
#define VALUE_MAX (64 * 1024)

bool stand_in_is(const struct txn_site *s, const struct live_object *old)
{
	return old->type == 'd' && s->op.old.type == 'd' && old->ino != s->op.old.ino;
}

static int copy_xattr(int from, int to, const char *name, void *room)
{
	ssize_t n = fgetxattr(from, name, room, VALUE_MAX);
	if (n < 0)
		return errno == ENODATA ? 0 : -errno;
	if (fsetxattr(to, name, room, (size_t)n, 0) < 0 && errno != ENOTSUP)
		return -errno;
	return 0;
}

static int copy_xattrs(int from, int to)
{
	auto_free char *names = malloc(NAMES_MAX), *value = malloc(VALUE_MAX);
	if (!names || !value)
		return -ENOMEM;
	ssize_t len = flistxattr(from, names, NAMES_MAX);
	if (len < 0)
		return errno == ENOTSUP ? 0 : -errno;
	int r = 0;
	for (const char *p = names; p < names + len && r == 0; p += strlen(p) + 1)
		r = copy_xattr(from, to, p, value);
	return r;
}

static int copy_metadata(int from, int to)
{
	struct stat st;
	if (fstat(from, &st) < 0 || fchown(to, st.st_uid, st.st_gid) < 0)
		return -errno;
	int r = copy_xattrs(from, to);
	if (r < 0)
		return r;
	return fchmod(to, st.st_mode & 07777) < 0 ? -errno : 0;
}

int stand_in_make(struct txn_site *s, struct error *err)
{
	char name[STAGE_NAME_MAX + 8];
	snprintf(name, sizeof(name), "%s.made", s->old_name);
	if (mkdirat(s->stage_fd, name, 0700) < 0 && errno != EEXIST)
		return txn_failed("set aside", s->path, err);
	FAULT("stand-in made");
	auto_close int from = fs_open_beneath(s->dir_fd, s->name, O_RDONLY | O_DIRECTORY, 0);
	auto_close int to = fs_open_beneath(s->stage_fd, name, O_RDONLY | O_DIRECTORY, 0);
	int r = from < 0 ? from : to < 0 ? to : copy_metadata(from, to);
	if (r < 0)
		return error_set(err, r, "set aside %s: %s", s->path, strerror(-r));
	FAULT("stand-in dressed");
	if (renameat2(s->stage_fd, name, s->stage_fd, s->old_name, RENAME_NOREPLACE) < 0)
		return txn_failed("set aside", s->path, err);
	FAULT("stand-in named");
	return 0;
}

int stand_in_drop(struct txn_site *s, struct error *err)
{
	if (unlinkat(s->stage_fd, s->old_name, AT_REMOVEDIR) < 0)
		return txn_failed("leave", s->path, err);
	FAULT("stand-in dropped");
	return 0;
}

/* The real one goes. Returns 1 when it is gone, 0 when something was made in it: then it stays. */
static int remove_real(struct txn_site *s, struct error *err)
{
	struct live_object name;
	int r = live_look(s->dir_fd, s->name, &name, NULL);
	if (r < 0)
		return error_set(err, r, "look at %s: %s", s->path, strerror(-r));
	if (name.type != 'd' || name.ino != s->op.old.ino)
		return 1;
	if (unlinkat(s->dir_fd, s->name, AT_REMOVEDIR) == 0) {
		FAULT("stand-in: directory removed");
		return 1;
	}
	if (errno != ENOTEMPTY && errno != EEXIST)
		return txn_failed("remove", s->path, err);
	r = stand_in_drop(s, err);
	return r < 0 ? r : 0;
}

int stand_in_rmdir(struct txn *t, struct txn_site *s, struct error *err)
{
	struct error gone;
	if (txn_site_open(t, s, OPEN_PLANNED, &gone) < 0)
		return 0; /* with the directory above it */
	int r = remove_real(s, err);
	return r < 0 ? r : 0;
}

int stand_in_exchange(struct txn *t, struct txn_site *s, struct error *err)
{
	struct live_object new;
	int r = live_look(s->stage_fd, s->new_name, &new, NULL);
	if (r < 0)
		return error_set(err, r, "look at %s: %s", s->path, strerror(-r));
	if (new.type == 0)
		return 0;
	r = txn_site_open(t, s, OPEN_PLANNED, err);
	if (r >= 0)
		r = remove_real(s, err);
	if (r < 0)
		return r;
	if (r == 0 || renameat2(s->stage_fd, s->new_name, s->dir_fd, s->name, RENAME_NOREPLACE) < 0)
		return r == 0 ? error_set(err, ERR_CONFLICT,
					  "%s: it was changed while the installation ran", s->path)
			      : txn_failed("create", s->path, err);
	FAULT("stand-in: file put in place");
	return 0;
}
