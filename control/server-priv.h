/* SPDX-License-Identifier: Apache-2.0 */
/* What server.c (connections, the loop) and request.c (requests, answers) share; nobody else. */
#pragma once

#include "control/route.h"
#include "control/server.h"

struct MHD_Connection;
struct MHD_Daemon;
struct MHD_Response;
struct secure_identity;

/* Circular list; a head is a link too. */
struct link {
	struct link *prev, *next;
};
static inline void link_init(struct link *link)
{
	link->prev = link->next = link;
}
static inline bool link_is_empty(const struct link *head)
{
	return head->next == head;
}
static inline void link_append(struct link *head, struct link *link)
{
	link->prev = head->prev;
	link->next = head;
	head->prev->next = link;
	head->prev = link;
}
static inline void link_remove(struct link *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	link_init(link);
}
#define LINK_OF(link, type, member) ((type *)((char *)(link)-offsetof(type, member)))

enum conn_cert { CERT_UNREAD, CERT_NONE, CERT_GOOD, CERT_BAD };

/* A connection. */
struct conn {
	struct link idle; /* in server->idle while no complete request is there */
	struct server *server;
	uint64_t deadline_us; /* when it is closed, if still in that list */
	int fd;
	enum conn_cert cert; /* read at the first request, for the life of the connection */
	struct caller caller;
	char *problem; /* CERT_BAD: why */
};

/* A request and its answer. */
struct exchange {
	struct request request;
	struct link all;   /* server->exchanges */
	struct link ready; /* server->ready: answered, waits for the commit */
	struct conn *conn;
	struct MHD_Connection *mhd;
	const struct route *route; /* NULL: refused before it was looked up, or none */
	struct MHD_Response *response;
	int status;
	bool begun;     /* headers were there */
	bool complete;  /* body was there */
	bool suspended; /* libmicrohttpd leaves the connection alone */
	bool committed; /* the answer may leave */
	bool parked;
	bool gone;               /* the peer is: close */
	bool queued;             /* the answer leaves */
	size_t held;             /* bytes of the body, counted in server->held */
	uint64_t dropped;        /* bytes of a body that nobody wants */
	sd_event_source *hangup; /* while parked */
	char *uri;               /* path NUL query */
};

struct server {
	struct control *control;
	struct loop *loop;
	struct MHD_Daemon *mhd;
	struct secure_identity *identity; /* newest first; older ones may be in use by handshakes */
	char *url;
	uint64_t idle_ms;
	struct link idle, exchanges, ready;
	sd_event_source *io;    /* libmicrohttpd's epoll descriptor */
	sd_event_source *timer; /* its next timeout */
	uint64_t timer_at_us;   /* 0: off */
	sd_event_source *sweep; /* the first deadline of server->idle */
	bool sweeping;
	sd_event_source *run;  /* run libmicrohttpd without an event: something was resumed */
	sd_event_source *turn; /* the end of each turn of the loop */
	size_t held;           /* bytes of bodies that are on their way, of all requests */
	bool stopping;
	sd_event_source *stop_timer;
	void (*stopped)(void *arg);
	void *stopped_arg;
};

/* server.c */
/* Run libmicrohttpd soon. */
void server_wake(struct server *server);
/* (Re)start the clock of a connection without a complete request; stop it. */
void conn_idle(struct conn *conn);
void conn_busy(struct conn *conn);
/* Who is at the other end, once the handshake is over. */
void conn_identify(struct conn *conn, struct MHD_Connection *mhd);

/* request.c: libmicrohttpd's callbacks, with its types as void where it has none of its own */
void *request_on_uri(void *server, const char *uri, struct MHD_Connection *mhd);
/* 1: go on, 0: close the connection */
int request_on_call(struct exchange *x, const char *method, const char *data, size_t *len);
void request_on_completed(struct exchange *x);
/* End a parked request from outside: with a fault when type is given, else with 200 {}. */
void request_end_parked(struct exchange *x, const char *type, const char *text);
/* The turn's commit failed: the answer becomes 500. */
void request_fail(struct exchange *x);
/* After the commit: let the answer leave. */
void request_release(struct exchange *x);
