// SPDX-License-Identifier: Apache-2.0
/* Entries become files. Every name is taken apart here and reached by openat2 from the root's
 * descriptor: beneath it and through no symlink, so neither "..", nor a symlink that an earlier
 * entry made, nor another process that swaps directories leads out.
 *
 * The descriptor of the current parent directory is kept: a file costs open, write, utimens and
 * close, and chown or chmod only where open could not do it. The root itself is 0700 until
 * everything is checked, so nobody sees the moments between.
 *
 * Directories get owner, mode and time at the end, since files are still to be put into them. Until
 * then they are remembered in an unlinked file: records of struct dir_record and path. */
#include "agent/worker/bundle-write.h"

#include "agent/worker/bundle-check.h"
#include "common/fs.h"
#include "common/str.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define DIRS_NAME ".directories" /* gone before the first entry */
#define DIRS_BUFFER ((size_t)64 * 1024)
#define ROOM_STEP ((uint64_t)8 * 1024 * 1024)
#define WRITE_BACK_STEP ((uint64_t)8 * 1024 * 1024)
#define IMPLICIT_DIR_MODE 0755 /* directories that no entry describes */
#define SPECIAL_BITS (S_ISUID | S_ISGID | S_ISVTX)

struct dir_record {
	uint32_t path_len; /* the path follows, without NUL */
	uint32_t mode, uid, gid;
	int64_t mtime_s;
	int64_t mtime_ns; /* UTIME_OMIT: none */
};

int bundle_writer_init(struct bundle_writer *w, int root_fd, const struct bundle_limits *limits,
		       struct error *err)
{
	*w = (struct bundle_writer){
		.root_fd = root_fd,
		.limits = *limits,
		.privileged = geteuid() == 0,
		.uid = geteuid(),
		.gid = getegid(),
		.parent_fd = -1,
		.file_fd = -1,
		.dirs = BUF_INIT(DIRS_BUFFER + sizeof(struct dir_record) + PATH_MAX)};
	w->dirs_fd = openat(root_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (w->dirs_fd < 0) { /* not every file system has O_TMPFILE */
		w->dirs_fd = openat(root_fd, DIRS_NAME,
				    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		fs_unlink_quiet(root_fd, DIRS_NAME);
	}
	if (w->dirs_fd < 0)
		return error_errno(err, "make a temporary file");
	return 0;
}

void bundle_writer_clear(struct bundle_writer *w)
{
	fs_close_quiet(w->parent_fd);
	fs_close_quiet(w->file_fd);
	fs_close_quiet(w->dirs_fd);
	buf_clear(&w->dirs);
	w->parent_fd = w->file_fd = w->dirs_fd = -1;
}

/* Names */

/* "/a//./b/" -> "a/b"; "" is the root. The leading '/' goes as with tar, a ".." is refused. */
static int normalise(const char *name, const char *what, char out[PATH_MAX], struct error *err)
{
	size_t len = 0;
	for (const char *s = name; *s; s += strspn(s, "/")) {
		size_t part = strcspn(s, "/");
		if (part == 2 && s[0] == '.' && s[1] == '.')
			return error_set(err, ERR_INPUT,
					 "%s '%.200s' climbs out of the bundle ('..')", what, name);
		if (part > NAME_MAX)
			return error_set(err, ERR_INPUT,
					 "%s '%.100s...' has a name of %zu bytes, %d are possible",
					 what, name, part, NAME_MAX);
		bool is_nothing = part == 0 || (part == 1 && *s == '.');
		if (!is_nothing && len + part + 2 > PATH_MAX)
			return error_set(err, ERR_INPUT, "%s '%.100s...' is longer than %d bytes",
					 what, name, PATH_MAX - 1);
		if (!is_nothing) {
			if (len > 0)
				out[len++] = '/';
			memcpy(out + len, s, part);
			len += part;
		}
		s += part;
	}
	out[len] = '\0';
	return 0;
}

/* Who reads it wants to know how far it got. */
static int no_room(const struct bundle_writer *w, int r, const char *path, struct error *err)
{
	char bytes[32];
	return error_set(err, r, "entry '%.200s': %s after %s in %llu entries (removed again)",
			 path, strerror(-r), str_human_bytes(w->bytes, bytes, sizeof(bytes)),
			 (unsigned long long)w->entries);
}

static int path_error(const struct bundle_writer *w, int r, const char *path, struct error *err)
{
	switch (r) {
	case -ELOOP:
	case -EXDEV:
		return error_set(err, ERR_INPUT,
				 "entry '%.200s' goes through a symlink of the same bundle", path);
	case -ENOTDIR:
		return error_set(err, ERR_INPUT,
				 "entry '%.200s' lies in something that is not a directory", path);
	case -ENOSPC:
	case -EDQUOT:
		return no_room(w, r, path, err);
	default:
		return error_set(err, r, "entry '%.200s': %s", path, strerror(-r));
	}
}

static void forget_parent(struct bundle_writer *w)
{
	fs_close_quiet(w->parent_fd);
	w->parent_fd = -1;
}

/* Open the directory that holds w->path, making it when no entry did. */
static int enter_parent(struct bundle_writer *w, struct error *err)
{
	char *slash = strrchr(w->path, '/');
	w->base = slash ? slash + 1 : w->path;
	size_t len = slash ? (size_t)(slash - w->path) : 0;
	if (w->parent_fd >= 0 && strlen(w->parent) == len && memcmp(w->parent, w->path, len) == 0)
		return 0;
	forget_parent(w);
	memcpy(w->parent, w->path, len);
	w->parent[len] = '\0';
	int fd = fs_open_beneath(w->root_fd, len ? w->parent : ".", O_PATH | O_DIRECTORY, 0);
	if (fd == -ENOENT)
		fd = fs_mkdirs(w->root_fd, w->parent, IMPLICIT_DIR_MODE, NULL);
	if (fd < 0)
		return path_error(w, fd, w->path, err);
	w->parent_fd = fd;
	return 0;
}

static int entry_errno(const struct bundle_writer *w, struct error *err)
{
	return path_error(w, -errno, w->path, err);
}

/* Take away what has the name: the later entry wins, as with tar. */
static int make_room(struct bundle_writer *w, struct error *err)
{
	if (unlinkat(w->parent_fd, w->base, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return entry_errno(w, err);
	if (unlinkat(w->parent_fd, w->base, AT_REMOVEDIR) < 0) {
		if (errno != ENOTEMPTY && errno != EEXIST)
			return entry_errno(w, err);
		return error_set(err, ERR_INPUT,
				 "entry '%.200s' would replace a directory that is not empty",
				 w->path);
	}
	forget_parent(w);
	return enter_parent(w, err);
}

/* Objects. Each maker returns 0 or negative errno; -EEXIST: make room and call again. */

static int make_file(struct bundle_writer *w, const struct bundle_entry *entry)
{
	int fd = openat(w->parent_fd, w->base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			entry->mode & 0777);
	if (fd < 0)
		return -errno;
	w->file_fd = fd;
	w->entry = *entry;
	w->end = w->begun = 0;
	return 0;
}

static int make_symlink(struct bundle_writer *w, const struct bundle_entry *entry)
{
	return symlinkat(entry->symlink, w->parent_fd, w->base) < 0 ? -errno : 0;
}

static int make_special(struct bundle_writer *w, const struct bundle_entry *entry)
{
	mode_t mode = entry->mode & (S_IFMT | 0777);
	return mknodat(w->parent_fd, w->base, mode, entry->device) < 0 ? -errno : 0;
}

static int make_dir(struct bundle_writer *w, const struct bundle_entry *entry)
{
	struct stat st;
	if (mkdirat(w->parent_fd, w->base, (entry->mode & 0777) | 0700) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	if (fstatat(w->parent_fd, w->base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -EEXIST;
}

/* Where a link cannot be made (Landlock before Linux 5.19 forbids links between directories), a
 * copy serves as well: the revision is installed by content. */
static int copy_instead(struct bundle_writer *w, int from_fd, const char *from, struct error *err)
{
	auto_close int in = openat(from_fd, from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	if (in < 0 || fstat(in, &st) < 0)
		return entry_errno(w, err);
	if (!S_ISREG(st.st_mode))
		return error_set(err, ERR_INPUT, "entry '%.200s' is a hard link to no regular file",
				 w->path);
	int r = bundle_write_count(w, (uint64_t)st.st_size, err);
	if (r < 0)
		return r;
	struct bundle_entry copy = {.mode = st.st_mode,
				    .uid = st.st_uid,
				    .gid = st.st_gid,
				    .has_mtime = true,
				    .mtime = st.st_mtim};
	if (make_file(w, &copy) < 0)
		return entry_errno(w, err);
	r = fs_copy_content(in, w->file_fd, FS_COPY_PLAIN, err);
	return r < 0 ? r : bundle_write_end(w, 0, err);
}

static int make_hardlink(struct bundle_writer *w, const struct bundle_entry *entry,
			 struct error *err)
{
	char target[PATH_MAX];
	int r = normalise(entry->hardlink, "the hard link target", target, err);
	if (r < 0)
		return error_prefix(err, r, "entry '%.200s'", w->path);
	if (strcmp(target, w->path) == 0)
		return 0;
	char *slash = strrchr(target, '/');
	const char *base = slash ? slash + 1 : target;
	if (slash)
		*slash = '\0';
	auto_close int fd =
		fs_open_beneath(w->root_fd, slash ? target : ".", O_PATH | O_DIRECTORY, 0);
	struct stat st;
	if (fd < 0 || fstatat(fd, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return error_set(
			err, ERR_INPUT,
			"entry '%.200s' is a hard link to '%.200s', which is not in the bundle",
			w->path, entry->hardlink);
	r = make_room(w, err);
	if (r < 0 || linkat(fd, base, w->parent_fd, w->base, 0) == 0)
		return r;
	if (errno == EXDEV || errno == EMLINK)
		return copy_instead(w, fd, base, err);
	return entry_errno(w, err);
}

static const struct maker {
	mode_t type;
	bool special; /* needs allow_setid */
	const char *name;
	int (*make)(struct bundle_writer *w, const struct bundle_entry *entry);
} makers[] = {
	{S_IFREG, false, "file", make_file},
	{S_IFDIR, false, "directory", make_dir},
	{S_IFLNK, false, "symlink", make_symlink},
	{S_IFIFO, true, "FIFO", make_special},
	{S_IFCHR, true, "character device", make_special},
	{S_IFBLK, true, "block device", make_special},
};

static const struct maker *find_maker(mode_t mode)
{
	for (size_t i = 0; i < ARRAY_LEN(makers); i++)
		if (makers[i].type == (mode & S_IFMT))
			return &makers[i];
	return NULL;
}

static int check_kind(const struct bundle_writer *w, const struct bundle_entry *entry,
		      const struct maker *maker, struct error *err)
{
	if (!maker)
		return error_set(err, ERR_INPUT,
				 "entry '%.200s' is of a kind that cannot be unpacked", w->path);
	if (maker->special && !w->limits.allow_setid)
		return error_set(err, ERR_INPUT,
				 "entry '%.200s' is a %s: take it out of the revision (allow_setid "
				 "of agent.yml lets it be unpacked, nothing installs it)",
				 w->path, maker->name);
	if (S_ISLNK(entry->mode) && strlen(entry->symlink) >= PATH_MAX)
		return error_set(err, ERR_INPUT, "the symlink '%.200s' is longer than %d bytes",
				 w->path, PATH_MAX - 1);
	return 0;
}

/* Metadata */

static bool has_other_owner(const struct bundle_writer *w, const struct bundle_entry *entry)
{
	return w->privileged && (entry->uid != w->uid || entry->gid != w->gid);
}

static void times_of(const struct bundle_entry *entry, struct timespec ret[2])
{
	ret[0].tv_nsec = UTIME_OMIT;
	ret[1] = entry->mtime;
	if (!entry->has_mtime)
		ret[1].tv_nsec = UTIME_OMIT;
}

/* Of a symlink or a special file: what has just been made, and not another name of a file that
 * somebody put there meanwhile. */
static int finish_other(struct bundle_writer *w, const struct bundle_entry *entry,
			struct error *err)
{
	auto_close int fd = openat(w->parent_fd, w->base, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return entry_errno(w, err);
	if ((st.st_mode & S_IFMT) != (entry->mode & S_IFMT) || st.st_nlink != 1)
		return error_set(err, ERR_INPUT, "entry '%.200s' changed while it was unpacked",
				 w->path);
	if (has_other_owner(w, entry) &&
	    fchownat(fd, "", entry->uid, entry->gid, AT_EMPTY_PATH) < 0)
		return entry_errno(w, err);
	struct timespec times[2];
	times_of(entry, times);
	return utimensat(fd, "", times, AT_EMPTY_PATH) < 0 ? entry_errno(w, err) : 0;
}

static int flush_dirs(struct bundle_writer *w, struct error *err)
{
	int r = fs_write_all(w->dirs_fd, buf_str(&w->dirs), w->dirs.len);
	if (r < 0)
		return error_set(err, r, "write a temporary file: %s", strerror(-r));
	buf_reset(&w->dirs);
	return 0;
}

static int remember_dir(struct bundle_writer *w, const struct bundle_entry *entry,
			struct error *err)
{
	struct timespec times[2];
	times_of(entry, times);
	struct dir_record record = {.path_len = (uint32_t)strlen(w->path),
				    .mode = entry->mode & 07777,
				    .uid = entry->uid,
				    .gid = entry->gid,
				    .mtime_s = times[1].tv_sec,
				    .mtime_ns = times[1].tv_nsec};
	buf_add(&w->dirs, &record, sizeof(record));
	buf_add(&w->dirs, w->path, record.path_len);
	int r = buf_check(&w->dirs, "the list of directories", err);
	if (r == 0 && w->dirs.len >= DIRS_BUFFER)
		r = flush_dirs(w, err);
	return r;
}

/* Without privilege a directory stays open to its owner, or its revision could be neither read nor
 * removed. */
static int finish_dir(struct bundle_writer *w, const struct dir_record *record, struct error *err)
{
	auto_close int fd = fs_open_beneath(w->root_fd, w->path, O_RDONLY | O_DIRECTORY, 0);
	if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP)
		return 0; /* a later entry replaced it */
	if (fd < 0)
		return path_error(w, fd, w->path, err);
	mode_t mode = record->mode | (w->privileged ? 0 : 0700);
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
				    {.tv_sec = record->mtime_s, .tv_nsec = record->mtime_ns}};
	struct stat st;
	if (fstat(fd, &st) < 0)
		return entry_errno(w, err);
	if (w->privileged && (record->uid != st.st_uid || record->gid != st.st_gid) &&
	    fchown(fd, record->uid, record->gid) < 0)
		return entry_errno(w, err);
	if (mode != (st.st_mode & 07777) && fchmod(fd, mode) < 0)
		return entry_errno(w, err);
	return futimens(fd, times) < 0 ? entry_errno(w, err) : 0;
}

int bundle_write_finish(struct bundle_writer *w, struct error *err)
{
	forget_parent(w);
	int r = flush_dirs(w, err);
	if (r < 0)
		return r;
	auto_fclose FILE *records = fdopen(w->dirs_fd, "r");
	if (!records)
		return error_errno(err, "read a temporary file");
	w->dirs_fd = -1;
	rewind(records);
	struct dir_record record;
	while (fread(&record, sizeof(record), 1, records) == 1) {
		if (record.path_len >= sizeof(w->path) ||
		    fread(w->path, 1, record.path_len, records) != record.path_len)
			return error_set(err, -EIO, "a temporary file lost its content");
		w->path[record.path_len] = '\0';
		r = finish_dir(w, &record, err);
		if (r < 0)
			return r;
	}
	return ferror(records) ? error_set(err, -EIO, "read a temporary file") : 0;
}

/* Entries */

static int count_entry(struct bundle_writer *w, struct error *err)
{
	w->entries++;
	if (w->limits.max_entries == 0 || w->entries <= w->limits.max_entries)
		return 0;
	return error_set(err, ERR_LIMIT,
			 "the bundle has more than %llu entries (archive_max_entries)",
			 (unsigned long long)w->limits.max_entries);
}

static int make_entry(struct bundle_writer *w, const struct bundle_entry *entry,
		      const struct maker *maker, struct error *err)
{
	int r = maker->make(w, entry);
	if (r == -EEXIST) {
		r = make_room(w, err);
		if (r < 0)
			return r;
		r = maker->make(w, entry);
	}
	if (r < 0)
		return path_error(w, r, w->path, err);
	if (S_ISREG(entry->mode))
		return 0;
	if (S_ISDIR(entry->mode))
		return remember_dir(w, entry, err);
	return finish_other(w, entry, err);
}

int bundle_write_entry(struct bundle_writer *w, const struct bundle_entry *entry, struct error *err)
{
	int r = count_entry(w, err);
	if (r == 0)
		r = normalise(entry->path, "entry", w->path, err);
	if (r < 0)
		return r;
	if (*w->path == '\0') {
		/* the root is ours: its owner and mode are not the bundle's business */
		if (!entry->hardlink && S_ISDIR(entry->mode))
			return 0;
		return error_set(err, ERR_INPUT, "entry '%.200s' has no name", entry->path);
	}
	r = bundle_check_entry(&w->limits, entry, w->path, err);
	if (r < 0)
		return r;
	if (entry->hardlink) {
		r = enter_parent(w, err);
		return r < 0 ? r : make_hardlink(w, entry, err);
	}
	const struct maker *maker = find_maker(entry->mode);
	r = check_kind(w, entry, maker, err);
	if (r == 0)
		r = enter_parent(w, err);
	return r < 0 ? r : make_entry(w, entry, maker, err);
}

int bundle_write_expect(struct bundle_writer *w, const struct room *need, struct error *err)
{
	if (w->limits.max_bytes && need->bytes > w->limits.max_bytes)
		return error_set(err, ERR_LIMIT,
				 "the bundle says that it unpacks to %llu bytes, more than %llu "
				 "bytes (archive_max_bytes, archive_max_extraction_size)",
				 (unsigned long long)need->bytes,
				 (unsigned long long)w->limits.max_bytes);
	return room_check(w->root_fd, need, err);
}

/* What root has reserved for itself the kernel would give to us as well: a bundle must not have it.
 */
static int ask_room(struct bundle_writer *w, uint64_t bytes, struct error *err)
{
	struct room room;
	w->unasked += bytes;
	if (w->unasked < ROOM_STEP)
		return 0;
	w->unasked = 0;
	room_look(w->root_fd, &room);
	return room.bytes > 0 ? 0 : no_room(w, -ENOSPC, w->path, err);
}

int bundle_write_count(struct bundle_writer *w, uint64_t bytes, struct error *err)
{
	w->bytes += bytes;
	if (w->limits.max_bytes == 0 || w->bytes <= w->limits.max_bytes)
		return ask_room(w, bytes, err);
	return error_set(err, ERR_LIMIT,
			 "the bundle unpacks to more than %llu bytes (archive_max_bytes, "
			 "archive_max_extraction_size), reached in entry '%.200s'",
			 (unsigned long long)w->limits.max_bytes, w->path);
}

/* Of a large file the disk writes what is there while the rest is decompressed. */
static void write_back(struct bundle_writer *w)
{
	if (w->end - w->begun < WRITE_BACK_STEP)
		return;
	int r UNUSED = sync_file_range(w->file_fd, (off_t)w->begun, (off_t)(w->end - w->begun),
				       SYNC_FILE_RANGE_WRITE);
	w->begun = w->end;
}

int bundle_write_data(struct bundle_writer *w, const void *data, size_t len, uint64_t offset,
		      struct error *err)
{
	if (w->file_fd < 0)
		return 0; /* data of something that is no file */
	if (offset > INT64_MAX - len)
		return error_set(err, ERR_INPUT, "entry '%.200s' is larger than any file", w->path);
	int r = bundle_write_count(w, len, err);
	if (r < 0)
		return r;
	const char *p = data;
	while (len > 0) {
		ssize_t n = pwrite(w->file_fd, p, len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			w->bytes -= len; /* it is told how far it got */
			return entry_errno(w, err);
		}
		p += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	if (offset > w->end)
		w->end = offset;
	write_back(w);
	return 0;
}

int bundle_write_end(struct bundle_writer *w, uint64_t size_bytes, struct error *err)
{
	if (w->file_fd < 0)
		return 0;
	auto_close int fd = TAKE_FD(w->file_fd);
	if (size_bytes > INT64_MAX)
		return error_set(err, ERR_INPUT, "entry '%.200s' is larger than any file", w->path);
	if (size_bytes > w->end && ftruncate(fd, (off_t)size_bytes) < 0)
		return entry_errno(w, err);
	if (has_other_owner(w, &w->entry) && fchown(fd, w->entry.uid, w->entry.gid) < 0)
		return entry_errno(w, err);
	/* after the owner: chown drops set-id bits */
	if ((w->entry.mode & SPECIAL_BITS) && fchmod(fd, w->entry.mode & 07777) < 0)
		return entry_errno(w, err);
	struct timespec times[2];
	times_of(&w->entry, times);
	if (futimens(fd, times) < 0)
		return entry_errno(w, err);
	return 0;
}
