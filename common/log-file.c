// SPDX-License-Identifier: Apache-2.0
#include "common/log-file.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/str.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#define BYTES_MAX ((off_t)64 * 1024 * 1024)
#define NUMBERS_MAX 1000

struct log_file {
	int dirfd, fd; /* fd -1: it could not be opened again */
	char *name, *file_name;
	mode_t mode;
	dev_t dev;
	ino_t ino;
	off_t size;
	char day[16]; /* of its last line, "20260102" */
};

static const char *day_of(int64_t unix_s, char out[16])
{
	char text[CLOCK_ISO_LEN];
	clock_format_local(unix_s, text); /* "2026-01-02 03:04:05" */
	snprintf(out, 16, "%.4s%.2s%.2s", text, text + 5, text + 8);
	return out;
}

static int reopen(struct log_file *f)
{
	struct stat st;
	fs_close_quiet(TAKE_FD(f->fd));
	int fd = openat(f->dirfd, f->file_name,
			O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
			f->mode);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		int r = fd < 0 ? -errno : -EINVAL;
		fs_close_quiet(fd);
		return r;
	}
	if ((st.st_mode & 0777) != f->mode)
		fchmod(fd, f->mode);
	f->fd = fd;
	f->dev = st.st_dev;
	f->ino = st.st_ino;
	f->size = st.st_size;
	day_of(st.st_size ? st.st_mtime : clock_wall_s(), f->day);
	return 0;
}

int log_file_open(const char *dir, const char *name, mode_t dir_mode, mode_t file_mode,
		  struct log_file **ret, struct error *err)
{
	struct stat st;
	int r = fs_mkdirs_path(dir, dir_mode, err);
	if (r < 0)
		return r;
	struct log_file *f = xcalloc(1, sizeof(*f));
	*f = (struct log_file){.fd = -1, .mode = file_mode};
	f->name = xstrdup(name);
	f->file_name = xasprintf("%s.log", name);
	f->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->dirfd >= 0 && !(dir_mode & 07) && fstat(f->dirfd, &st) == 0 && (st.st_mode & 07) &&
	    fchmod(f->dirfd, dir_mode) < 0)
		errno = 0; /* it is somebody else's; the files have their mode */
	r = f->dirfd < 0 ? -errno : reopen(f);
	if (r < 0) {
		log_file_free(f);
		return error_set(err, r, "'%s/%s.log': %s", dir, name, strerror(-r));
	}
	*ret = f;
	return 0;
}

void log_file_free(struct log_file *f)
{
	if (!f)
		return;
	fs_close_quiet(f->fd);
	fs_close_quiet(f->dirfd);
	free(f->name);
	free(f->file_name);
	free(f);
}

/* "NAME.20260102.log", "NAME.20260102.3.log": the day and the number; below 0: another file's name.
 */
static long rolled_order(const struct log_file *f, const char *name)
{
	size_t len = strlen(f->name);
	unsigned day = 0, number = 0;
	int end = 0;
	if (strncmp(name, f->name, len) != 0 || name[len] != '.')
		return -1;
	name += len + 1;
	if (strspn(name, "0123456789") != 8 || sscanf(name, "%8u", &day) != 1)
		return -1;
	name += 8;
	if (sscanf(name, ".%3u.log%n", &number, &end) != 1 || !end)
		end = strcmp(name, ".log") == 0 ? 4 : 0;
	return end && !name[end] ? (long)day * NUMBERS_MAX + (long)number : -1;
}

/* Removes the oldest one and returns true while there are more than are kept. */
static bool remove_oldest(struct log_file *f)
{
	auto_close int fd = openat(f->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_closedir DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (!dir)
		return false;
	TAKE_FD(fd);
	long oldest = -1;
	size_t n = 0;
	char name[256];
	for (struct dirent *entry; (entry = readdir(dir));) {
		long order = rolled_order(f, entry->d_name);
		if (order < 0)
			continue;
		n++;
		if (oldest >= 0 && order >= oldest)
			continue;
		oldest = order;
		snprintf(name, sizeof(name), "%s", entry->d_name);
	}
	return n > LOG_FILE_KEPT && unlinkat(f->dirfd, name, 0) == 0;
}

static void roll(struct log_file *f)
{
	auto_free char *to = xasprintf("%s.%s.log", f->name, f->day);
	for (int i = 1; i < NUMBERS_MAX && faccessat(f->dirfd, to, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	     i++) {
		free(to);
		to = xasprintf("%s.%s.%d.log", f->name, f->day, i);
	}
	if (renameat(f->dirfd, f->file_name, f->dirfd, to) < 0)
		return;
	while (remove_oldest(f))
		;
	fs_close_quiet(TAKE_FD(f->fd));
}

/* logrotate and people rename it, too. */
static bool is_current(const struct log_file *f)
{
	struct stat st;
	return f->fd >= 0 && fstatat(f->dirfd, f->file_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       st.st_dev == f->dev && st.st_ino == f->ino;
}

static const char *level_name(int level)
{
	static const char *const names[] = {
		[LOG_EMERG] = "FATAL", [LOG_ALERT] = "FATAL",  [LOG_CRIT] = "FATAL",
		[LOG_ERR] = "ERROR",   [LOG_WARNING] = "WARN", [LOG_NOTICE] = "INFO",
		[LOG_INFO] = "INFO",   [LOG_DEBUG] = "DEBUG",
	};
	return level >= 0 && level < (int)ARRAY_LEN(names) ? names[level] : "DEBUG";
}

void log_file_write(int level, const char *text, void *arg)
{
	struct log_file *f = arg;
	int64_t now = clock_wall_s();
	char day[16], time[CLOCK_ISO_LEN];
	if (!is_current(f) && reopen(f) < 0)
		return;
	if (f->size > 0 && (strcmp(day_of(now, day), f->day) != 0 || f->size >= BYTES_MAX)) {
		roll(f);
		if (f->fd < 0 && reopen(f) < 0)
			return;
	}
	clock_format_local(now, time);
	time[10] = 'T';
	auto_free char *plain = str_to_utf8(text, strlen(text));
	for (char *p = plain; *p; p++)
		if (*p == '\n')
			*p = ' ';
	auto_free char *line = xasprintf("%s %-5s [%s(%ld)]: %s\n", time, level_name(level),
					 f->name, (long)getpid(), plain);
	if (fs_write_all(f->fd, line, strlen(line)) == 0)
		f->size += (off_t)strlen(line);
	day_of(now, f->day);
}
