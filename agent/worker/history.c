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
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define HISTORY "history.jsonl"
#define ROTATE_BYTES ((off_t)8 << 20)
#define TAIL_BYTES ((off_t)1 << 20) /* where a line is looked for */

static char *format_line(const struct state *state)
{
	auto_json json_t *obj = state_deployment_to_json(state->last);
	json_set_str(obj, "group_id", state->group_id);
	auto_free char *text = json_text(obj);
	return xasprintf("%s\n", text);
}

static int read_tail(int fd, struct buf *tail, struct error *err)
{
	off_t size = lseek(fd, 0, SEEK_END);
	if (size < 0 || lseek(fd, size > TAIL_BYTES ? size - TAIL_BYTES : 0, SEEK_SET) < 0)
		return error_errno(err, HISTORY);
	int r = buf_read_fd(tail, fd);
	return r < 0 ? error_set(err, r, HISTORY ": %s", strerror(-r)) : 0;
}

/* Is the very line there, as a whole? */
static bool has_line(const struct buf *tail, const char *line)
{
	const char *found = tail->len ? strstr(tail->data, line) : NULL;
	return found && (found == tail->data || found[-1] == '\n');
}

/* Several groups append to one file; and it is replaced by rotation, so the descriptor that was
 * locked may not be the file's any more. */
static int open_locked(int host_fd, struct error *err)
{
	for (;;) {
		auto_close int fd =
			openat(host_fd, HISTORY,
			       O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0640);
		if (fd < 0 || flock(fd, LOCK_EX) < 0)
			return error_errno(err, "open " HISTORY);
		struct stat held, named;
		if (fstat(fd, &held) < 0)
			return error_errno(err, HISTORY);
		if (fstatat(host_fd, HISTORY, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
		    held.st_ino == named.st_ino && held.st_dev == named.st_dev)
			return TAKE_FD(fd);
	}
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
	auto_close int fd = open_locked(host_fd, err);
	if (fd < 0)
		return fd;
	auto_buf struct buf tail = BUF_INIT((size_t)TAIL_BYTES + 1);
	int r = read_tail(fd, &tail, err);
	if (r < 0)
		return r;
	if (has_line(&tail, line))
		return 0;
	auto_buf struct buf out = BUF_INIT(STATE_MAX_BYTES + 2);
	bool torn = tail.len && tail.data[tail.len - 1] != '\n';
	r = rotate(host_fd, fd, err);
	if (r < 0)
		return r;
	if (r > 0) {
		close(TAKE_FD(fd));
		fd = open_locked(host_fd, err);
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
