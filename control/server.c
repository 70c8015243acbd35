// SPDX-License-Identifier: Apache-2.0
/* libmicrohttpd has no thread here: its epoll descriptor is one source of our loop, and its timeout
 * one timer. A turn of the loop:
 *
 *     event -> MHD_run -> handlers -> answers, or parked requests
 *                                  \-> store dirty: answers are kept, their connections suspended
 *     post source: store_commit, then the kept ones are resumed -> MHD_run -> sent
 *
 * A parked request is a suspended connection: out of libmicrohttpd's epoll set and its timeouts, so
 * it costs memory only. libmicrohttpd does not see such a peer go; one source of ours per parked
 * connection waits for EPOLLRDHUP (a look at every socket now and then would wake an idle
 * endpoint). A peer that vanished without a word is found by TCP keepalive, which ends in the same
 * event.
 *
 * libmicrohttpd's timeout ends a transfer that stands still, but a trickle of bytes keeps it alive.
 * So each connection without a complete request is also in a list with a deadline; all deadlines
 * are equally far away, so the list is in their order and one timer serves its head. */
#include "control/server.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/str.h"
#include "control/auth.h"
#include "control/control.h"
#include "control/deploy.h"
#include "control/secure.h"
#include "control/server-priv.h"
#include "control/store.h"

#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define BACKLOG 4096
#define CONNECTION_MEMORY (16 * 1024) /* headers of a request must fit; one TLS record too */
#define FDS_RESERVED 64               /* of the limit: database, files, the loop */

/* ---- connections ---- */

static int on_sweep(sd_event_source *source, uint64_t usec, void *arg);

static void arm_sweep(struct server *server)
{
	if (server->sweeping || link_is_empty(&server->idle))
		return;
	struct conn *first = LINK_OF(server->idle.next, struct conn, idle);
	uint64_t now = clock_mono_us();
	uint64_t wait_us = first->deadline_us > now ? first->deadline_us - now : 0;
	struct error err = {0};
	if (loop_timer(server->loop, &server->sweep, wait_us / 1000 + 1, 1000, on_sweep, server,
		       &err) < 0)
		log_error("%s", err.text);
	else
		server->sweeping = true;
}

static int on_sweep(sd_event_source *source, uint64_t usec, void *arg)
{
	struct server *server = arg;
	uint64_t now = clock_mono_us();
	server->sweeping = false;
	while (!link_is_empty(&server->idle)) {
		struct conn *conn = LINK_OF(server->idle.next, struct conn, idle);
		if (conn->deadline_us > now)
			break;
		conn_busy(conn);
		shutdown(conn->fd, SHUT_RDWR); /* libmicrohttpd sees the end and closes */
	}
	arm_sweep(server);
	return 0;
}

void conn_idle(struct conn *conn)
{
	struct server *server = conn->server;
	link_remove(&conn->idle);
	conn->deadline_us = clock_mono_us() + server->idle_ms * 1000;
	link_append(&server->idle, &conn->idle);
	arm_sweep(server);
}

void conn_busy(struct conn *conn)
{
	link_remove(&conn->idle);
}

static void conn_open(struct server *server, struct MHD_Connection *mhd, void **context)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct conn *conn = xcalloc(1, sizeof(*conn));
	link_init(&conn->idle);
	conn->server = server;
	conn->fd = info ? info->connect_fd : -1;

	struct sockaddr_storage address;
	socklen_t len = sizeof(address);
	if (getpeername(conn->fd, (struct sockaddr *)&address, &len) < 0 ||
	    getnameinfo((struct sockaddr *)&address, len, conn->caller.peer,
			sizeof(conn->caller.peer), NULL, 0, NI_NUMERICHOST) != 0)
		strcpy(conn->caller.peer, "?");
	*context = conn;
	conn_idle(conn);
}

static void on_connection(void *arg, struct MHD_Connection *mhd, void **context,
			  enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		conn_open(arg, mhd, context);
		return;
	}
	struct conn *conn = *context;
	*context = NULL;
	if (!conn)
		return;
	conn_busy(conn);
	free(conn->problem);
	free(conn);
}

void conn_identify(struct conn *conn, struct MHD_Connection *mhd)
{
	if (conn->cert != CERT_UNREAD)
		return;
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	struct error err = {0};
	int r = secure_peer(info->tls_session, &conn->caller, &err);
	conn->cert = r < 0 ? CERT_BAD : r > 0 ? CERT_GOOD : CERT_NONE;
	if (r > 0)
		conn->caller.kind = CALLER_HOST;
	if (r < 0)
		conn->problem = xstrdup(err.text);
}

/* ---- libmicrohttpd's callbacks ---- */

static enum MHD_Result on_call(void *arg, struct MHD_Connection *mhd, const char *url,
			       const char *method, const char *version, const char *data,
			       size_t *len, void **context)
{
	return request_on_call(*context, method, data, len) ? MHD_YES : MHD_NO;
}

static void on_completed(void *arg, struct MHD_Connection *mhd, void **context,
			 enum MHD_RequestTerminationCode code)
{
	struct exchange *x = *context;
	*context = NULL;
	if (x)
		request_on_completed(x);
}

/* The certificate of a new connection. GnuTLS gives the session only; libmicrohttpd keeps its
 * connection there. */
static int on_handshake(gnutls_session_t session, const gnutls_datum_t *ca_names, int n_ca_names,
			const gnutls_pk_algorithm_t *algorithms, int n_algorithms,
			gnutls_pcert_st **chain, unsigned *count, gnutls_privkey_t *key)
{
	struct MHD_Connection *mhd = gnutls_session_get_ptr(session);
	const union MHD_ConnectionInfo *info =
		mhd ? MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT) : NULL;
	struct conn *conn = info ? info->socket_context : NULL;
	if (!conn)
		return -1;
	struct secure_identity *identity = conn->server->identity;
	*chain = identity->chain;
	*count = identity->count;
	*key = identity->key;
	return 0;
}

static void on_log(void *arg, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
static void on_log(void *arg, const char *fmt, va_list ap)
{
	if (log_get_level() < LOG_DEBUG)
		return;
	auto_free char *text = xvasprintf(fmt, ap);
	text[strcspn(text, "\n")] = '\0';
	log_debug("libmicrohttpd: %s", text);
}

/* ---- the loop ---- */

static void run(struct server *server);

static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	struct server *server = arg;
	server->timer_at_us = 0;
	run(server);
	return 0;
}

/* MHD_get_timeout gives relative milliseconds. A timer that fires too early is cheaper than setting
 * it anew after each run, so it is only ever moved forward. */
static void arm_timer(struct server *server)
{
	MHD_UNSIGNED_LONG_LONG ms = 0;
	if (MHD_get_timeout(server->mhd, &ms) != MHD_YES)
		return;
	if (ms == 0) {
		server_wake(server);
		return;
	}
	uint64_t at_us = clock_mono_us() + ms * 1000;
	if (server->timer_at_us && server->timer_at_us <= at_us)
		return;
	struct error err = {0};
	if (loop_timer(server->loop, &server->timer, ms, 1000, on_timer, server, &err) < 0)
		log_error("%s", err.text);
	else
		server->timer_at_us = at_us;
}

static void run(struct server *server)
{
	if (MHD_run(server->mhd) != MHD_YES)
		log_error("libmicrohttpd failed to run");
	arm_timer(server);
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	run(arg);
	return 0;
}

static int on_run(sd_event_source *source, void *arg)
{
	run(arg);
	return 0;
}

void server_wake(struct server *server)
{
	sd_event_source_set_enabled(server->run, SD_EVENT_ONESHOT);
}

static void finish_stop(struct server *server)
{
	void (*stopped)(void *arg) = server->stopped;
	server->stopped = NULL;
	if (stopped)
		stopped(server->stopped_arg);
}

/* After every other source of the loop: what the turn wrote becomes durable, then its answers
 * leave. */
static int on_turn(sd_event_source *source, void *arg)
{
	struct server *server = arg;
	struct store *store = server->control->store;
	struct error err = {0};
	int r = store_dirty(store) ? store_commit(store, &err) : 0;
	if (r < 0) {
		log_error("the changes of this turn are lost: %s", err.text);
		deploy_changed(server->control->deploy);
	}
	if (!link_is_empty(&server->ready))
		server_wake(server);
	while (!link_is_empty(&server->ready)) {
		struct exchange *x = LINK_OF(server->ready.next, struct exchange, ready);
		link_remove(&x->ready);
		if (r < 0)
			request_fail(x);
		request_release(x);
	}
	if (server->stopping && link_is_empty(&server->exchanges))
		finish_stop(server);
	return 0;
}

/* ---- start and stop ---- */

/* "ADDRESS:PORT" into its parts; the address may be in brackets, or missing. */
static int split_listen(const char *listen, char *host, size_t room, const char **port,
			struct error *err)
{
	const char *colon = strrchr(listen, ':');
	size_t len = colon ? (size_t)(colon - listen) : 0;
	if (len >= 2 && listen[0] == '[' && listen[len - 1] == ']') {
		listen++;
		len -= 2;
	}
	uint64_t number = 0;
	if (!colon || len >= room || str_to_u64(colon + 1, &number) < 0 || number > 65535)
		return error_set(err, ERR_INPUT,
				 "listen: '%s' is not ADDRESS:PORT, [ADDRESS]:PORT or :PORT",
				 listen);
	memcpy(host, listen, len);
	host[len] = '\0';
	*port = colon + 1;
	return 0;
}

static int open_socket(const struct addrinfo *address)
{
	int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	const int on = 1, off = 0, idle_s = 30, every_s = 10, times = 3;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* Accepted connections inherit these: a peer that lost power is noticed within a minute. */
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof(every_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &times, sizeof(times));
	if (address->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, address->ai_addr, address->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0) {
		int r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

/* Without address: IPv6, which takes IPv4 too, or IPv4 where there is no IPv6. */
static int listen_on(const char *text, struct error *err)
{
	char host[256];
	const char *port = NULL;
	int r = split_listen(text, host, sizeof(host), &port, err);
	if (r < 0)
		return r;
	struct addrinfo hints = {.ai_family = host[0] ? AF_UNSPEC : AF_INET6,
				 .ai_socktype = SOCK_STREAM,
				 .ai_flags = AI_PASSIVE};
	int fd = -EAFNOSUPPORT;
	for (int attempt = 0; attempt < 2 && fd < 0; attempt++) {
		struct addrinfo *found = NULL;
		r = getaddrinfo(host[0] ? host : NULL, port, &hints, &found);
		if (r != 0 && host[0])
			return error_set(err, ERR_INPUT, "listen: '%s': %s", host, gai_strerror(r));
		for (struct addrinfo *a = found; a && fd < 0; a = a->ai_next)
			fd = open_socket(a);
		if (found)
			freeaddrinfo(found);
		if (host[0] || (fd != -EAFNOSUPPORT && fd != -EADDRNOTAVAIL))
			break;
		hints.ai_family = AF_INET;
	}
	if (fd < 0) {
		errno = -fd;
		return error_errno(err, "listen on '%s'", text);
	}
	return fd;
}

static char *url_of(int fd, const char *name)
{
	struct sockaddr_storage address = {0};
	socklen_t len = sizeof(address);
	char host[NI_MAXHOST] = "::", port[NI_MAXSERV] = "0";
	getsockname(fd, (struct sockaddr *)&address, &len);
	getnameinfo((struct sockaddr *)&address, len, host, sizeof(host), port, sizeof(port),
		    NI_NUMERICHOST | NI_NUMERICSERV);
	if (strcmp(host, "::") == 0 || strcmp(host, "0.0.0.0") == 0)
		return xasprintf("https://%s:%s", name, port);
	return xasprintf(strchr(host, ':') ? "https://[%s]:%s" : "https://%s:%s", host, port);
}

/* Each connection is a descriptor: take what we may have. */
static unsigned connection_limit(unsigned wanted)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return wanted;
	if (limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
		getrlimit(RLIMIT_NOFILE, &limit);
	}
	if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= wanted + FDS_RESERVED)
		return wanted;
	unsigned possible = limit.rlim_cur > 2 * FDS_RESERVED
				    ? (unsigned)limit.rlim_cur - FDS_RESERVED
				    : FDS_RESERVED;
	log_info("connections_max is %u, but the limit of open files allows %u", wanted, possible);
	return possible;
}

static int start_mhd(struct server *server, const struct server_options *options, int fd,
		     struct error *err)
{
	/* The last option must be the listening socket: from here on it is libmicrohttpd's. */
	server->mhd = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_USE_TLS | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL,
		NULL, on_call, server,
		/* options */
		MHD_OPTION_EXTERNAL_LOGGER, on_log, server, MHD_OPTION_URI_LOG_CALLBACK,
		request_on_uri, server, MHD_OPTION_NOTIFY_COMPLETED, on_completed, server,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
		MHD_OPTION_CONNECTION_LIMIT, connection_limit(options->connections_max),
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)((options->idle_ms + 999) / 1000),
		MHD_OPTION_HTTPS_CERT_CALLBACK, on_handshake, MHD_OPTION_HTTPS_MEM_TRUST,
		options->ca_pem, MHD_OPTION_HTTPS_PRIORITIES, SECURE_PRIORITIES,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_END);
	if (!server->mhd)
		return error_set(err, ERR_CRYPTO, "libmicrohttpd did not start (TLS?)");
	return 0;
}

static int watch(struct server *server, struct error *err)
{
	sd_event *event = server->loop->event;
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(server->mhd, MHD_DAEMON_INFO_EPOLL_FD);
	int r = sd_event_add_io(event, &server->io, info->epoll_fd, EPOLLIN, on_io, server);
	if (r >= 0)
		r = sd_event_add_post(event, &server->turn, on_turn, server);
	if (r >= 0)
		r = sd_event_add_defer(event, &server->run, on_run, server);
	if (r < 0) {
		errno = -r;
		return error_errno(err, "watch the server's sockets");
	}
	return 0;
}

int server_start(struct control *control, const struct server_options *options, struct server **ret,
		 struct error *err)
{
	auto_close int fd = listen_on(options->listen, err);
	if (fd < 0)
		return fd;
	struct server *server = xcalloc(1, sizeof(*server));
	server->control = control;
	server->loop = &control->loop;
	server->idle_ms = options->idle_ms;
	link_init(&server->idle);
	link_init(&server->exchanges);
	link_init(&server->ready);
	server->url = url_of(fd, options->name);

	int r = server_set_certificate(server, options->cert_pem, options->key_pem, err);
	if (r >= 0)
		r = start_mhd(server, options, fd, err);
	if (r >= 0) {
		fd = -1;
		r = watch(server, err);
	}
	if (r < 0) {
		server_free(server);
		return r;
	}
	*ret = server;
	return 0;
}

const char *server_url(const struct server *server)
{
	return server->url;
}

int server_set_certificate(struct server *server, const char *cert_pem, const char *key_pem,
			   struct error *err)
{
	struct secure_identity *identity = NULL;
	int r = secure_identity_new(cert_pem, key_pem, &identity, err);
	if (r < 0)
		return r;
	identity->older = server->identity;
	server->identity = identity;
	return 0;
}

void server_recheck(struct server *server)
{
	struct link *next;
	for (struct link *l = server->exchanges.next; l != &server->exchanges; l = next) {
		next = l->next;
		struct exchange *x = LINK_OF(l, struct exchange, all);
		struct error err = {0};
		if (!x->hangup || x->request.caller.kind != CALLER_HOST)
			continue;
		if (auth_check_host(server->control->store, &x->request.caller, &err) < 0) {
			log_notice("poll of '%s' ended: %s", x->request.caller.name, err.text);
			request_end_parked(x, "AccessDeniedException", err.text);
		}
	}
}

static int on_stop_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	log_warning("some answers were not taken by their peers in time");
	finish_stop(arg);
	return 0;
}

void server_stop(struct server *server, uint64_t wait_ms, void (*done)(void *arg), void *arg)
{
	struct error err = {0};
	server->stopping = true;
	server->stopped = done;
	server->stopped_arg = arg;
	int fd = MHD_quiesce_daemon(server->mhd);
	fs_close_quiet(fd);

	struct link *next;
	for (struct link *l = server->exchanges.next; l != &server->exchanges; l = next) {
		next = l->next;
		struct exchange *x = LINK_OF(l, struct exchange, all);
		if (x->hangup)
			request_end_parked(x, NULL, NULL);
	}
	if (loop_timer(server->loop, &server->stop_timer, wait_ms, 10, on_stop_timer, server,
		       &err) < 0)
		finish_stop(server);
	server_wake(server); /* the end of its turn looks whether all is done */
}

void server_free(struct server *server)
{
	if (!server)
		return;
	server->stopped = NULL;
	/* libmicrohttpd wants no suspended connection at its end. */
	for (struct link *l = server->exchanges.next; l != &server->exchanges; l = l->next) {
		struct exchange *x = LINK_OF(l, struct exchange, all);
		if (!x->suspended)
			continue;
		x->gone = true;
		MHD_resume_connection(x->mhd);
		x->suspended = false;
	}
	if (server->mhd) {
		MHD_run(server->mhd);
		MHD_stop_daemon(server->mhd);
	}
	loop_source_unref_at(&server->io);
	loop_source_unref_at(&server->timer);
	loop_source_unref_at(&server->sweep);
	loop_source_unref_at(&server->run);
	loop_source_unref_at(&server->turn);
	loop_source_unref_at(&server->stop_timer);
	while (server->identity) {
		struct secure_identity *older = server->identity->older;
		secure_identity_free(server->identity);
		server->identity = older;
	}
	free(server->url);
	free(server);
}
