/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop of a daemon: sd-event with signals, readiness, watchdog. One thread. */
#pragma once

#include "common/cleanup.h"
#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct loop {
	sd_event *event;
	bool stopping;
	void (*on_reload)(void *arg); /* SIGHUP; may be NULL */
	void (*on_stop)(void *arg);   /* SIGTERM, SIGINT; NULL: the loop just ends */
	void *arg;
};

/* Block SIGTERM, SIGINT, SIGHUP and SIGCHLD (before any library starts a thread) and make the event
 * loop with its signal sources and, where NOTIFY_SOCKET and WATCHDOG_USEC ask for it, the watchdog.
 * SIGPIPE is ignored. */
int loop_init(struct loop *loop, struct error *err) MUST_CHECK;
void loop_clear(struct loop *loop);
/* Run until loop_stop(). Returns the exit code given there. */
int loop_run(struct loop *loop, struct error *err) MUST_CHECK;
void loop_stop(struct loop *loop, int exit_code);

/* sd_notify READY=1, STATUS=...; nothing without NOTIFY_SOCKET. */
void loop_ready(void);
void loop_status(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* One-shot timer after ms milliseconds of CLOCK_MONOTONIC; *timer (made on first use, NULL before)
 * is armed again. accuracy_ms lets the kernel coalesce wake-ups. Disarm with loop_timer_off().
 * Release with sd_event_source_unref. */
int loop_timer(struct loop *loop, sd_event_source **timer, uint64_t ms, uint64_t accuracy_ms,
	       sd_event_time_handler_t fn, void *arg, struct error *err) MUST_CHECK;
void loop_timer_off(sd_event_source *timer);

static inline void loop_source_unref_at(sd_event_source **s)
{
	*s = sd_event_source_disable_unref(*s);
}
#define auto_source CLEANUP(loop_source_unref_at)
