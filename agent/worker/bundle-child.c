// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/bundle-child.h"

#include "agent/worker/bundle-archive.h"
#include "agent/worker/bundle-contain.h"
#include "agent/worker/bundle-write.h"
#include "common/str.h"

#include <locale.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct child {
	struct bundle_order order;
	int control_fd, data_fd, dir_fd;
};

static void tell(const struct child *c, const struct bundle_message *message)
{
	ssize_t n;
	do
		n = send(c->control_fd, message, sizeof(*message), MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
}

static bool hear(const struct child *c, void *out, size_t len)
{
	ssize_t n;
	do
		n = recv(c->control_fd, out, len, 0);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)len;
}

/* bundle_owner_fn: the worker looks names up, from here no account database can be seen. */
static int64_t ask_owner(bool group, const char *name, void *arg)
{
	const struct child *c = arg;
	struct bundle_message question = {.kind = group ? MESSAGE_GROUP : MESSAGE_USER};
	int64_t id = -1;
	size_t len = strlen(name);
	if (len >= sizeof(question.name))
		return -1;
	memcpy(question.name, name, len + 1);
	tell(c, &question);
	return hear(c, &id, sizeof(id)) ? id : -1;
}

static int read_tar(struct child *c, struct bundle_writer *w, struct error *err)
{
	auto_bundle_stream struct bundle_stream *s = bundle_stream_fd(c->data_fd);
	if (c->order.packing == PACKED_GZIP)
		s = bundle_stream_gzip(s);
	else if (c->order.packing == PACKED_OTHER)
		s = bundle_stream_filter(s, c->order.packing_name);
	return bundle_read_tar(s, c->order.complete, w, ask_owner, c, err);
}

static int work(struct child *c, struct bundle_message *verdict)
{
	auto_bundle_writer struct bundle_writer w = {0};
	int r = bundle_writer_init(&w, c->dir_fd, &c->order.limits, &verdict->err);
	if (r < 0)
		return r;
	if (c->order.packing == PACKED_ZIP)
		r = bundle_read_zip(c->data_fd, &w, &verdict->err);
	else
		r = read_tar(c, &w, &verdict->err);
	verdict->entries = w.entries;
	verdict->bytes = w.bytes;
	verdict->capabilities = w.capabilities;
	return r;
}

/* What libraries read from the file system must be read before there is none. */
static void load_libraries(void)
{
	setlocale(LC_CTYPE, "C.UTF-8"); /* names in UTF-8 are to stay as they are */
	tzset();                        /* times in a zip are local */
}

static int take_order(struct child *c, struct error *err)
{
	if (!hear(c, &c->order, sizeof(c->order)) || !str_eq(c->order.release, PACKAGE_VERSION))
		return error_set(err, -ELIBBAD,
				 BUNDLE_CHILD " and its caller are not of the same release: "
					      "install the packages again");
	int *fds[] = {&c->control_fd, &c->data_fd, &c->dir_fd};
	int r = bundle_contain_fds(fds, ARRAY_LEN(fds));
	return r < 0 ? error_set(err, r, "close descriptors: %s", strerror(-r)) : 0;
}

void bundle_child_main(int control_fd, int data_fd, int dir_fd)
{
	struct child c = {.control_fd = control_fd, .data_fd = data_fd, .dir_fd = dir_fd};
	struct bundle_message verdict = {.kind = MESSAGE_ERROR};
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	int r = take_order(&c, &verdict.err);
	/* One that died before that gave its order all the same, and another worker may be at work
	 * in the same place by now. */
	if (r == 0 && getppid() != c.order.worker)
		_exit(1);
	umask(0);
	signal(SIGXFSZ, SIG_IGN);
	load_libraries();
	if (r == 0)
		r = bundle_contain(c.dir_fd, c.order.limits.allow_setid, &verdict.err);
	if (r == 0)
		r = work(&c, &verdict);
	if (r == 0)
		verdict.kind = MESSAGE_DONE;
	tell(&c, &verdict);
	_exit(r == 0 ? 0 : 1);
}
