// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/history.h"

#include "common/alloc.h"
#include "common/buf.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/str.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HISTORY "history.jsonl"
#define ROTATE_BYTES ((off_t)8 << 20)
#define WAIT_MS ((uint64_t)60 * 1000)
#define PIECE_BYTES ((size_t)256 << 10)

static char *format_line(const struct state *state)
{
	auto_json json_t *obj = state_deployment_to_json(state->last);
	json_set_str(obj, "group_id", state->group_id);
	auto_free char *text = json_text(obj);
	return xasprintf("%s\n", text);
}

/* Is the very line in it, as a whole? Read in pieces: the file may have some MiB. */
static int has_line(int fd, const char *line, struct error *err)
{
	auto_free char *needle = xasprintf("\n%s", line);
	size_t len = strlen(needle);
	auto_free char *data = xcalloc(1, len + PIECE_BYTES);
	data[0] = '\n'; /* as if the first line had one before it */
	size_t held = 1;
	for (off_t at = 0;;) {
		ssize_t n = pread(fd, data + held, PIECE_BYTES, at);
		if (n < 0)
			return error_errno(err, "read " HISTORY);
		if (n == 0)
			return 0;
		at += n;
		held += (size_t)n;
		if (memmem(data, held, needle, len))
			return 1;
		size_t keep = held < len ? held : len - 1;
		memmove(data, data + held - keep, keep);
		held = keep;
	}
}

/* The older file too: a line may have been the last before a rotation. */
static int is_there(int host_fd, int fd, const char *line, struct error *err)
{
	int r = has_line(fd, line, err);
	if (r != 0)
		return r;
	auto_close int old = openat(host_fd, HISTORY ".1", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return old < 0 ? 0 : has_line(old, line, err);
}

/* Does the file end within a line? */
static bool is_torn(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);
	char last;
	return size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n';
}

/* Several groups append to one file. It is not the file itself that is locked: who can read a file
 * can lock it, and the daemon reads this one. */
static int lock(int host_fd, struct error *err)
{
	auto_close int locks_fd = fs_mkdirs(host_fd, "locks", 0750, err);
	return locks_fd < 0 ? locks_fd : fs_lock(locks_fd, "history", WAIT_MS, err);
}

static int open_history(int host_fd, struct error *err)
{
	int fd = openat(host_fd, HISTORY, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
			0640);
	return fd < 0 ? error_errno(err, "open " HISTORY) : fd;
}

static int rotate(int host_fd, int fd, struct error *err)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return error_errno(err, HISTORY);
	if (st.st_size < ROTATE_BYTES)
		return 0;
	if (renameat(host_fd, HISTORY, host_fd, HISTORY ".1") < 0)
		return error_errno(err, "rename " HISTORY);
	return 1;
}

int history_ensure(int host_fd, const struct state *state, struct error *err)
{
	if (!state->last)
		return 0;
	auto_free char *line = format_line(state);
	auto_close int lock_fd = lock(host_fd, err);
	if (lock_fd < 0)
		return lock_fd;
	auto_close int fd = open_history(host_fd, err);
	if (fd < 0)
		return fd;
	int r = is_there(host_fd, fd, line, err);
	if (r != 0)
		return r < 0 ? r : 0;
	auto_buf struct buf out = BUF_INIT(STATE_MAX_BYTES + 2);
	bool torn = is_torn(fd);
	r = rotate(host_fd, fd, err);
	if (r < 0)
		return r;
	if (r > 0) {
		close(TAKE_FD(fd));
		fd = open_history(host_fd, err);
		if (fd < 0)
			return fd;
		torn = false;
	}
	if (torn)
		buf_addc(&out, '\n');
	buf_adds(&out, line);
	r = buf_check(&out, HISTORY, err);
	if (r < 0)
		return r;
	r = fs_write_all(fd, out.data, out.len);
	return r < 0 ? error_set(err, r, HISTORY ": %s", strerror(-r)) : 0;
}
