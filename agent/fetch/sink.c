// SPDX-License-Identifier: Apache-2.0
#include "agent/fetch/sink.h"

#include "common/alloc.h"
#include "common/fs.h"
#include "common/http.h"
#include "common/room.h"
#include "common/str.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define PIPE_BYTES (1024 * 1024) /* as much as this user may have */
#define WAITING_MAX (1024 * 1024)

/* A file that nobody can open and that is gone with us. */
int fetch_sink_file(struct fetch_sink *sink, int dirfd, struct error *err)
{
	auto_close int fd = openat(dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0) {
		char name[40] = "download-";
		str_random(name + strlen(name), 20);
		fd = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0) {
			error_errno(err, "make a file for the download");
			return room_advise(dirfd, err);
		}
		fs_unlink_quiet(dirfd, name);
	}
	sink->fd = TAKE_FD(fd);
	sink->waiting = BUF_INIT(WAITING_MAX);
	return 0;
}

static void close_pipe(struct fetch_sink *sink)
{
	sink->io = sd_event_source_disable_unref(sink->io);
	fs_close_quiet(sink->fd);
	sink->fd = -1;
	buf_clear(&sink->waiting);
	sink->bytes = 0;
}

/* Returns 0, or a negative errno but -EAGAIN. */
static int flush(struct fetch_sink *sink)
{
	while (sink->waiting.len > 0) {
		ssize_t n = write(sink->fd, sink->waiting.data, sink->waiting.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		buf_consume(&sink->waiting, (size_t)n);
	}
	return 0;
}

static int on_writable(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct fetch_sink *sink = arg;
	int r = flush(sink);
	if (r == 0 && sink->waiting.len > 0 && !(revents & EPOLLERR))
		return 0;
	sd_event_source_set_enabled(sink->io, SD_EVENT_OFF);
	sink->on_room(r == 0 && sink->waiting.len > 0 ? -EPIPE : r, sink->arg);
	return 0;
}

int fetch_sink_pipe(struct fetch_sink *sink, int *ret_fd, struct error *err)
{
	close_pipe(sink);
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_errno(err, "make a pipe");
	auto_close int reading = ends[0], writing = ends[1];
	fcntl(writing, F_SETPIPE_SZ, PIPE_BYTES);
	if (fcntl(writing, F_SETFL, O_NONBLOCK) < 0)
		return error_errno(err, "set up a pipe");
	int r = sd_event_add_io(sink->loop->event, &sink->io, writing, EPOLLOUT, on_writable, sink);
	if (r < 0)
		return error_set(err, r, "watch a pipe: %s", strerror(-r));
	sd_event_source_set_enabled(sink->io, SD_EVENT_OFF);
	sink->pipe = true;
	sink->fd = TAKE_FD(writing);
	sink->waiting = BUF_INIT(WAITING_MAX);
	*ret_fd = TAKE_FD(reading);
	return 0;
}

void fetch_sink_clear(struct fetch_sink *sink)
{
	close_pipe(sink);
}

static int failed(struct fetch_sink *sink, int r, struct error *err)
{
	if (r == -EPIPE)
		return error_set(err, r, "nobody takes the bundle any more");
	char have[32];
	error_set(err, r, "store the bundle after %s: %s",
		  str_human_bytes(sink->bytes, have, sizeof(have)), strerror(-r));
	return sink->pipe ? r : room_advise(sink->fd, err);
}

static int take_into_pipe(struct fetch_sink *sink, const void *data, size_t len, struct error *err)
{
	if (sink->waiting.len > 0)
		return HTTP_PAUSE;
	size_t done = 0;
	while (done < len) {
		ssize_t n = write(sink->fd, (const char *)data + done, len - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			return failed(sink, -errno, err);
		if (n < 0)
			break;
		done += (size_t)n;
	}
	sink->bytes += len;
	if (done == len)
		return 0;
	int r = buf_add(&sink->waiting, (const char *)data + done, len - done);
	if (r == 0)
		r = sd_event_source_set_enabled(sink->io, SD_EVENT_ON);
	return r < 0 ? failed(sink, r, err) : 0;
}

int fetch_sink_take(struct fetch_sink *sink, const void *data, size_t len, struct error *err)
{
	if (sink->pipe)
		return take_into_pipe(sink, data, len, err);
	int r = fs_write_all(sink->fd, data, len);
	if (r < 0)
		return failed(sink, r, err);
	sink->bytes += len;
	return 0;
}

bool fetch_sink_is_idle(const struct fetch_sink *sink)
{
	return sink->waiting.len == 0;
}

int fetch_sink_empty(struct fetch_sink *sink, struct error *err)
{
	sink->bytes = 0;
	if (ftruncate(sink->fd, 0) < 0 || lseek(sink->fd, 0, SEEK_SET) < 0)
		return error_errno(err, "empty the download");
	return 0;
}
