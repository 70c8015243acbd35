// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/ipc-server.h"

#include "agent/daemon/amazon.h"
#include "agent/daemon/commands.h"
#include "agent/daemon/metrics.h"
#include "agent/daemon/poll.h"
#include "agent/daemon/recovery.h"
#include "agent/daemon/renew.h"
#include "agent/daemon/report.h"
#include "agent/ipc.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/log.h"
#include "common/str.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Anybody on the machine may connect: the one that waited longest goes when there are too many, so
 * nobody can keep others out by saying nothing. */
enum { CALLERS_MAX = 32, BACKLOG = 64 };

struct caller {
	struct ipc *ipc;
	int fd;
	sd_event_source *io;
	bool trusted; /* root, or our own user */
	struct caller *next;
};

struct ipc {
	struct daemon *daemon;
	int fd;
	sd_event_source *io;
	struct caller *callers; /* newest first */
};

/* Requests */

static json_t *time_member(json_t *obj, const char *name, int64_t unix_s)
{
	if (unix_s)
		json_set_int(obj, name, unix_s);
	return obj;
}

static void add_endpoint(const struct daemon *daemon, json_t *answer)
{
	const struct health *health = poll_health(daemon->poll);
	json_set_str(answer, "endpoint", service_endpoint(daemon->service));
	json_set_str(answer, "name", daemon->identity->name);
	json_set_str(answer, "host_identifier", daemon->identity->host_identifier);
	json_set_str(answer, "state", health_state_to_string(health->state));
	time_member(answer, "since", health->since_s);
	time_member(answer, "last_poll", health->last_ok_s);
	if (health->error.code) {
		json_t *error = json_object();
		json_set_str(error, "code", error_name(health->error.code));
		json_set_str(error, "text", health->error.text);
		json_object_set_new(answer, "last_error",
				    time_member(error, "at", health->error_s));
	}
	time_member(answer, "certificate_expires", renew_expires_s(daemon->renew));
	time_member(answer, "certificate_renews", renew_due_s(daemon->renew));
	if (!str_empty(renew_problem(daemon->renew)))
		json_set_str(answer, "certificate_error", renew_problem(daemon->renew));
	json_set_int(answer, "results_waiting", (int64_t)report_waiting(daemon->report));
}

static int status(struct daemon *daemon, const json_t *request, json_t *answer, struct error *err)
{
	json_set_str(answer, "version", VERSION);
	json_set_int(answer, "pid", getpid());
	json_set_int(answer, "started", daemon->started_s);
	json_set_str(answer, "phase", daemon->running ? "running" : "recovering");
	if (!str_empty(recovery_problem(daemon->recovery)))
		json_set_str(answer, "recovery", recovery_problem(daemon->recovery));
	json_set_bool(answer, "enrolled", daemon->service && !service_is_aws(daemon->service));
	if (amazon_is_on(daemon->amazon))
		json_object_set_new(answer, "aws", amazon_to_json(daemon->amazon));
	if (daemon->service)
		add_endpoint(daemon, answer);
	json_object_set_new(answer, "commands", commands_to_json(daemon->commands));
	return 0;
}

static int metrics(struct daemon *daemon, const json_t *request, json_t *answer, struct error *err)
{
	const char *format = "openmetrics";
	auto_free char *text = NULL;
	int r = json_opt_str(request, "format", &format, err);
	if (r == 0)
		r = metrics_text(daemon->metrics, !str_eq(format, "prometheus"), &text, err);
	if (r == 0)
		json_set_str(answer, "text", text);
	return r;
}

static int reload(struct daemon *daemon, const json_t *request, json_t *answer, struct error *err)
{
	json_set_bool(answer, "ok", true);
	return daemon_reload(daemon, err);
}

static const struct {
	const char *name;
	bool everybody;
	int (*handle)(struct daemon *daemon, const json_t *request, json_t *answer,
		      struct error *err);
} requests[] = {
	{"status", true, status},
	{"metrics", true, metrics},
	{"reload", false, reload},
};

static int handle(const struct caller *caller, const char *packet, size_t len, json_t *answer,
		  struct error *err)
{
	auto_json json_t *request = NULL;
	const char *name = NULL;
	int r = json_parse(packet, len, IPC_PACKET_MAX, &request, err);
	if (r == 0)
		r = json_need_str(request, "request", &name, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		if (!str_eq(requests[i].name, name))
			continue;
		if (!requests[i].everybody && !caller->trusted)
			return error_set(err, ERR_DENIED, "only root may ask for '%s'", name);
		return requests[i].handle(caller->ipc->daemon, request, answer, err);
	}
	return error_set(err, ERR_INPUT, "slipwayd does not know the request '%.40s'", name);
}

/* Callers */

static void caller_free(struct caller *caller)
{
	struct caller **link = &caller->ipc->callers;
	while (*link != caller)
		link = &(*link)->next;
	*link = caller->next;
	sd_event_source_disable_unref(caller->io);
	fs_close_quiet(caller->fd);
	free(caller);
}

static void reply(int fd, const json_t *answer)
{
	auto_free char *text = json_text(answer);
	if (send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_debug("a local caller did not wait for its answer: %s", strerror(errno));
}

static int on_packet(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct caller *caller = arg;
	auto_free char *packet = xcalloc(1, IPC_PACKET_MAX);
	ssize_t n = recv(fd, packet, IPC_PACKET_MAX, MSG_DONTWAIT);
	if (n > 0) {
		auto_json json_t *answer = json_object();
		struct error err = {0};
		if (handle(caller, packet, (size_t)n, answer, &err) < 0) {
			json_t *error = json_object();
			json_set_str(error, "code", error_name(err.code));
			json_set_str(error, "text", err.text);
			json_object_clear(answer);
			json_object_set_new(answer, "error", error);
		}
		reply(fd, answer);
	}
	caller_free(caller);
	return 0;
}

static bool is_trusted(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return false;
	return peer.uid == 0 || peer.uid == geteuid();
}

static void drop_oldest(struct ipc *ipc)
{
	struct caller *last = ipc->callers;
	unsigned count = 0;
	for (struct caller *c = ipc->callers; c; c = c->next, count++)
		last = c;
	if (count >= CALLERS_MAX)
		caller_free(last);
}

static int on_caller(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct ipc *ipc = arg;
	auto_close int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (conn < 0)
		return 0;
	drop_oldest(ipc);
	struct caller *caller = xcalloc(1, sizeof(*caller));
	*caller = (struct caller){.ipc = ipc, .trusted = is_trusted(conn), .next = ipc->callers};
	caller->fd = TAKE_FD(conn);
	ipc->callers = caller;
	if (sd_event_add_io(ipc->daemon->loop.event, &caller->io, caller->fd, EPOLLIN, on_packet,
			    caller) < 0)
		caller_free(caller);
	return 0;
}

/* The lock on agent/ says that nobody else listens: a socket that is left is from a dead daemon. */
static int listen_at(const char *run, struct error *err)
{
	int r = fs_mkdirs_path(run, 0755, err);
	if (r < 0)
		return r;
	struct sockaddr_un address;
	auto_close int dirfd = -1;
	int len = ipc_address(run, IPC_SOCKET_NAME, &address, &dirfd, err);
	if (len < 0)
		return len;
	auto_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_errno(err, "make a socket");
	if (unlink(address.sun_path) < 0 && errno != ENOENT)
		return error_errno(err, "remove the old '%s/" IPC_SOCKET_NAME "'", run);
	if (bind(fd, (struct sockaddr *)&address, (socklen_t)len) < 0 ||
	    chmod(address.sun_path, 0666) < 0 || listen(fd, BACKLOG) < 0)
		return error_errno(err, "listen at '%s/" IPC_SOCKET_NAME "'", run);
	return TAKE_FD(fd);
}

int ipc_new(struct daemon *daemon, struct ipc **ret, struct error *err)
{
	struct ipc *ipc = xcalloc(1, sizeof(*ipc));
	ipc->daemon = daemon;
	*ret = ipc; /* freed by the daemon, whether this succeeds or not */
	ipc->fd = listen_at(daemon->paths.agent_run, err);
	if (ipc->fd < 0)
		return ipc->fd;
	int r = sd_event_add_io(daemon->loop.event, &ipc->io, ipc->fd, EPOLLIN, on_caller, ipc);
	return r < 0 ? error_set(err, r, "listen for local callers: %s", strerror(-r)) : 0;
}

void ipc_free(struct ipc *ipc)
{
	if (!ipc)
		return;
	while (ipc->callers)
		caller_free(ipc->callers);
	sd_event_source_disable_unref(ipc->io);
	fs_close_quiet(ipc->fd);
	free(ipc);
}
