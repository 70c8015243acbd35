// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/drift.h"

#include "agent/worker/acl.h"
#include "agent/worker/label.h"
#include "agent/worker/live.h"
#include "agent/worker/manifest.h"
#include "common/alloc.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/str.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#define STAGE_PREFIX ".slipway-" /* a transaction's, and 16 hex digits */
#define ACL_TEXT_MAX ((size_t)64 << 10)
#define STAGE_LEN (sizeof(STAGE_PREFIX) - 1 + 16)

/* Paths of other groups in directories of this one: a record stream and its index. */
struct foreign {
	struct record_file file;
	struct pathset paths;
	struct record_out out;
};

struct drift {
	const struct drift_request *request;
	struct drift_summary summary;
	struct manifest *manifest;
	struct foreign foreign;
	struct drift_object object; /* that is being looked at */
	char path[PATH_MAX];

	/* The directory that was opened last. */
	char dir_path[PATH_MAX];
	int dir_fd; /* below 0: why it cannot be opened */
	struct live_mount dir_mount;
};

static const char *const kinds[] = {
	[DRIFT_MODIFIED] = "modified", [DRIFT_MISSING] = "missing", [DRIFT_TYPE] = "type",
	[DRIFT_METADATA] = "metadata", [DRIFT_EXTRA] = "extra",
};

const char *drift_kind_to_string(enum drift_kind kind)
{
	return kinds[kind];
}

/* ---- what differs, in words ---- */

static void object_clear(struct drift_object *object)
{
	for (size_t i = 0; i < object->n_differences; i++) {
		free(object->differences[i].expected);
		free(object->differences[i].found);
	}
	*object = (struct drift_object){0};
}

/* Both texts are taken over; either may be NULL. */
static void differs(struct drift *d, const char *what, char *expected, char *found)
{
	assert(d->object.n_differences < DRIFT_DIFFERENCES_MAX);
	d->object.differences[d->object.n_differences++] =
		(struct drift_difference){what, expected, found};
}

static const char *type_name(char type)
{
	switch (type) {
	case 'f':
		return "file";
	case 'd':
		return "directory";
	case 'l':
		return "symlink";
	default:
		return "device, pipe or socket";
	}
}

static char *mode_text(uint32_t mode)
{
	return xasprintf("%04o", (unsigned)mode);
}

static char *user_text(uint32_t uid)
{
	const struct passwd *user = getpwuid(uid);
	return user ? xstrdup(user->pw_name) : xasprintf("%u", (unsigned)uid);
}

static char *group_text(uint32_t gid)
{
	const struct group *group = getgrgid(gid);
	return group ? xstrdup(group->gr_name) : xasprintf("%u", (unsigned)gid);
}

static char *time_text(int64_t s)
{
	char out[CLOCK_ISO_LEN];
	return xstrdup(clock_format_iso(s, out));
}

static int tell(struct drift *d, enum drift_kind kind, const char *path)
{
	d->object.kind = kind;
	d->object.path = path;
	d->summary.counts[kind]++;
	int r = d->request->tell(&d->object, d->request->arg);
	object_clear(&d->object);
	return r;
}

/* ---- one object ---- */

/* Returns 0, also when it cannot be opened: dir_fd tells then. */
static int open_dir(struct drift *d, const char *path, struct error *err)
{
	if (d->dir_path[0] && strcmp(d->dir_path, path) == 0)
		return 0;
	fs_close_quiet(d->dir_fd);
	strcpy(d->dir_path, path);
	d->dir_fd = live_open_dir(path);
	return d->dir_fd < 0 ? 0 : live_mount(d->dir_fd, &d->dir_mount, err);
}

static void compare_metadata(struct drift *d, const struct manifest_entry *e,
			     const struct live_object *live)
{
	if (e->type != 'l' && live->mode != e->mode)
		differs(d, "mode", mode_text(e->mode), mode_text(live->mode));
	if (live->uid != e->uid)
		differs(d, "owner", user_text(e->uid), user_text(live->uid));
	if (live->gid != e->gid)
		differs(d, "group", group_text(e->gid), group_text(live->gid));
}

static char *acl_entry_text(const struct acl_entry *entry)
{
	static const struct {
		enum acl_tag tag;
		const char *name;
	} tags[] = {
		{ACL_TAG_USER_OBJ, "user"}, {ACL_TAG_USER, "user"}, {ACL_TAG_GROUP_OBJ, "group"},
		{ACL_TAG_GROUP, "group"},   {ACL_TAG_MASK, "mask"}, {ACL_TAG_OTHER, "other"},
	};
	const char *name = "?";
	for (size_t i = 0; i < ARRAY_LEN(tags); i++)
		name = tags[i].tag == entry->tag ? tags[i].name : name;
	auto_free char *who = entry->tag == ACL_TAG_USER    ? user_text(entry->id)
			      : entry->tag == ACL_TAG_GROUP ? group_text(entry->id)
							    : xstrdup("");
	return xasprintf("%s:%s:%c%c%c", name, who, entry->perm & 4 ? 'r' : '-',
			 entry->perm & 2 ? 'w' : '-', entry->perm & 1 ? 'x' : '-');
}

/* As getfacl has it, in one line. */
static char *acl_text(struct acl acl)
{
	struct buf text = BUF_INIT(ACL_TEXT_MAX);
	struct acl_entry entry;
	for (size_t i = 0; acl_at(acl, i, &entry); i++) {
		auto_free char *one = acl_entry_text(&entry);
		buf_addf(&text, "%s%s", i ? "," : "", one);
	}
	return text.len ? buf_take(&text) : xstrdup("none");
}

static void compare_acl(struct drift *d, const char *name, enum acl_kind kind, const char *what,
			struct acl expected)
{
	struct acl_room live;
	int r = acl_get_at(d->dir_fd, name, kind, &live);
	if (r < 0)
		differs(d, what, acl_text(expected), xstrdup(strerror(-r)));
	else if (!acl_equal(acl_of(&live), expected))
		differs(d, what, acl_text(expected), acl_text(acl_of(&live)));
}

/* Only what the AppSpec asked for: without that it is the policy's business. */
static void compare_context(struct drift *d, const char *name, const char *expected)
{
	char live[LABEL_MAX];
	if (!*expected)
		return;
	int r = label_get_at(d->dir_fd, name, live);
	if (r < 0)
		differs(d, "context", xstrdup(expected), xstrdup(strerror(-r)));
	else if (strcmp(live, expected) != 0)
		differs(d, "context", xstrdup(expected), xstrdup(*live ? live : "none"));
}

static void compare_security(struct drift *d, const struct manifest_entry *e, const char *name)
{
	if (e->has_acl && e->type != 'l')
		compare_acl(d, name, ACL_OF_OBJECT, "acl", e->access);
	if (e->has_acl && e->type == 'd')
		compare_acl(d, name, ACL_TO_BEQUEATH, "default_acl", e->bequeath);
	compare_context(d, name, e->label);
}

/* Without the revision: what the manifest knows of the content. */
static void compare_without(struct drift *d, const struct manifest_entry *e, const struct stat *st)
{
	d->summary.uncompared++;
	if ((uint64_t)st->st_size != e->size)
		differs(d, "size", xasprintf("%" PRIu64, e->size),
			xasprintf("%" PRId64, (int64_t)st->st_size));
	else if (st->st_mtim.tv_sec != e->mtime_s || st->st_mtim.tv_nsec != e->mtime_ns)
		differs(d, "time", time_text(e->mtime_s), time_text(st->st_mtim.tv_sec));
}

static void compare_link(struct drift *d, const char *name, const char *source)
{
	char live[PATH_MAX], kept[PATH_MAX];
	ssize_t n = readlinkat(d->dir_fd, name, live, sizeof(live));
	auto_close int fd = fs_open_beneath(d->request->archive_fd, source, O_PATH | O_NOFOLLOW, 0);
	ssize_t m = fd < 0 ? -1 : readlinkat(fd, "", kept, sizeof(kept));
	if (n < 0 || m < 0)
		differs(d, "unreadable", NULL, xstrdup(strerror(fd < 0 ? -fd : errno)));
	else if (n != m || memcmp(live, kept, (size_t)n) != 0)
		differs(d, "target", xstrndup(kept, (size_t)m), xstrndup(live, (size_t)n));
}

/* Returns 1, 0 or negative errno. */
static int same_content(struct drift *d, const char *name, const char *source)
{
	struct stat st, st_kept;
	auto_close int kept =
		fs_open_beneath(d->request->archive_fd, source, O_RDONLY | O_NOFOLLOW, 0);
	if (kept < 0)
		return kept;
	auto_close int live =
		openat(d->dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (live < 0 || fstat(live, &st) < 0 || fstat(kept, &st_kept) < 0)
		return -errno;
	if (st.st_size != st_kept.st_size)
		return 0;
	return live_bytes_equal(live, kept, (uint64_t)st.st_size);
}

static void compare_file(struct drift *d, const char *name, const char *source)
{
	int r = same_content(d, name, source);
	if (r < 0)
		differs(d, "unreadable", NULL, xstrdup(strerror(-r)));
	else if (r == 0)
		differs(d, "content", NULL, NULL);
}

static int compare_content(struct drift *d, const struct manifest_entry *e, const char *name,
			   const struct stat *st, struct error *err)
{
	char type;
	const char *source;
	int r = plan_sources_find(d->request->sources, d->path, &type, &source, err);
	if (r < 0)
		return r;
	if (r == 0 || type != e->type)
		compare_without(d, e, st);
	else if (e->type == 'l')
		compare_link(d, name, source);
	else
		compare_file(d, name, source);
	return 0;
}

/* e lives in the manifest's window, so its path was copied to d->path. */
static int look_at(struct drift *d, const struct manifest_entry *e, struct error *err)
{
	char parent[PATH_MAX];
	const char *name = live_split(d->path, parent);
	int r = open_dir(d, parent, err);
	if (r < 0)
		return r;
	struct live_object live = {0};
	struct stat st;
	r = d->dir_fd < 0 ? d->dir_fd : live_look(d->dir_fd, name, &live, &st);
	if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP || (r == 0 && !live.type))
		return tell(d, DRIFT_MISSING, d->path);
	if (r < 0) {
		differs(d, "unreadable", NULL, xstrdup(strerror(-r)));
		return tell(d, DRIFT_MODIFIED, d->path);
	}
	if (live.type != e->type) {
		differs(d, "type", xstrdup(type_name(e->type)), xstrdup(type_name(live.type)));
		return tell(d, DRIFT_TYPE, d->path);
	}
	r = e->type == 'd' ? 0 : compare_content(d, e, name, &st, err);
	if (r < 0)
		return r;
	bool modified = d->object.n_differences;
	compare_metadata(d, e, &live);
	compare_security(d, e, name);
	if (!d->object.n_differences)
		return 0;
	return tell(d, modified ? DRIFT_MODIFIED : DRIFT_METADATA, d->path);
}

/* ---- what nobody installed ---- */

static const char *foreign_path(uint64_t value, void *arg, struct error *err)
{
	struct foreign *f = arg;
	struct record rec;
	return record_at(&f->file, PATHSET_VALUE(value), &rec, err) > 0 ? record_text(&rec) : NULL;
}

static int foreign_find(struct foreign *f, const char *path, struct error *err)
{
	uint64_t *value;
	return pathset_find(&f->paths, path, foreign_path, f, &value, err);
}

static int foreign_entry(const struct manifest_entry *e, void *arg, struct error *err)
{
	struct drift *d = arg;
	char parent[PATH_MAX];
	struct manifest_entry above;
	live_split(e->path, parent);
	int r = manifest_find(d->manifest, parent, &above, err);
	if (r > 0)
		r = foreign_find(&d->foreign, e->path, err) == 0;
	if (r <= 0)
		return r;
	uint64_t offset;
	record_start(&d->foreign.out, 1);
	record_put_text(&d->foreign.out, e->path);
	r = record_append(&d->foreign.file, &d->foreign.out, &offset, err);
	return r < 0 ? r : pathset_add(&d->foreign.paths, e->path, offset, err);
}

/* Also what is being installed just now: its list is there before its files are. */
static int foreign_group(struct drift *d, const char *group, struct error *err)
{
	auto_close int fd = openat(d->request->groups_fd, group,
				   O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	static const char *const names[] = {MANIFEST, MANIFEST_NEXT};
	for (size_t i = 0; fd >= 0 && i < ARRAY_LEN(names); i++) {
		struct error ignored;
		int r = manifest_stream(fd, names[i], foreign_entry, d, i ? &ignored : err);
		if (r < 0 && r != -ENOENT && !(i && r == ERR_FORMAT))
			return error_prefix(err, r, "group %s", group);
	}
	return 0;
}

static int foreign_load(struct drift *d, struct error *err)
{
	static const char name[] = "foreign";
	int fd = openat(d->request->scratch_fd, name,
			O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return error_errno(err, "create the list of other groups' files");
	fs_unlink_quiet(d->request->scratch_fd, name);
	int r = record_create(&d->foreign.file, fd, RECORD_PLAN, err);
	if (r < 0)
		return r;
	d->foreign.file.unchecked = true;
	fd = openat(d->request->groups_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_closedir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return error_errno(err, "open the folder of groups");
	const struct dirent *entry;
	while (r >= 0 && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' && !str_eq(entry->d_name, d->request->group_id))
			r = foreign_group(d, entry->d_name, err);
	return r;
}

/* A transaction's own directory, which goes with it. */
static bool is_stage(const char *name, const struct live_object *live)
{
	return live->type == 'd' && str_starts(name, STAGE_PREFIX) && strlen(name) == STAGE_LEN;
}

static int look_at_child(struct drift *d, const char *parent, int fd, const char *name,
			 const struct live_mount *mount, struct error *err)
{
	char path[PATH_MAX];
	struct manifest_entry e;
	int n = snprintf(path, sizeof(path), "%s/%s", parent, name);
	if (n >= (int)sizeof(path))
		return 0; /* nobody can install anything there */
	int r = manifest_find(d->manifest, path, &e, err);
	if (r == 0)
		r = foreign_find(&d->foreign, path, err);
	if (r != 0)
		return r < 0 ? r : 0;
	struct live_object live;
	struct live_mount own;
	if (live_look(fd, name, &live, NULL) < 0 || !live.type || is_stage(name, &live) ||
	    live_mount_at(fd, name, &own) < 0 || !live_mount_equal(&own, mount))
		return 0;
	differs(d, "type", NULL, xstrdup(type_name(live.type)));
	return tell(d, DRIFT_EXTRA, path);
}

/* In a directory that the group made; what is mounted on it is none of its business. */
static int look_inside(struct drift *d, struct error *err)
{
	char parent[PATH_MAX];
	const char *name = live_split(d->path, parent);
	struct live_mount mount;
	int r = open_dir(d, parent, err);
	if (r < 0 || d->dir_fd < 0 || live_mount_at(d->dir_fd, name, &mount) < 0 ||
	    !live_mount_equal(&mount, &d->dir_mount))
		return r;
	int fd = openat(d->dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	auto_closedir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	while (r >= 0 && dir && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = look_at_child(d, d->path, dirfd(dir), entry->d_name, &mount, err);
	return r;
}

static int find(struct drift *d, struct error *err)
{
	const struct drift_request *request = d->request;
	int r = request->leave_extra ? 0 : foreign_load(d, err);
	for (size_t i = 0; r >= 0 && i < d->manifest->count; i++) {
		struct manifest_entry e;
		r = manifest_at(d->manifest, i, &e, err);
		if (r < 0)
			break;
		strcpy(d->path, e.path);
		r = look_at(d, &e, err);
		if (r >= 0 && e.type == 'd' && !request->leave_extra)
			r = look_inside(d, err);
		if (request->progress)
			request->progress(i + 1, d->manifest->count, request->arg);
	}
	return r;
}

int drift_find(const struct drift_request *request, struct drift_summary *ret, struct error *err)
{
	struct drift *d = xcalloc(1, sizeof(*d));
	d->request = request;
	d->manifest = plan_sources_manifest(request->sources);
	d->foreign.file = RECORD_FILE_INIT;
	d->dir_fd = -1;
	pathset_init(&d->foreign.paths);
	d->summary.objects = d->manifest->count;
	int r = find(d, err);
	if (r >= 0)
		*ret = d->summary;
	object_clear(&d->object);
	record_close(&d->foreign.file);
	pathset_clear(&d->foreign.paths);
	fs_close_quiet(d->dir_fd);
	free(d);
	return r < 0 ? r : 0;
}
