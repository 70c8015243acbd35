/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the hook module: PID 1 over the system bus. Only hook-unit*.c include this. */
#pragma once

#include "agent/worker/hook-run.h"
#include "common/cleanup.h"
#include "common/error.h"

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>

#define SYSTEMD "org.freedesktop.systemd1"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define MANAGER SYSTEMD ".Manager"
#define UNIT SYSTEMD ".Unit"
#define SERVICE SYSTEMD ".Service"

#define UNIT_SLICE_PREFIX "slipway-hooks-"
#define UNIT_DESCRIPTION                                                                         \
	"Slipway hook of group "                 /* "ID: EVENT of DEPLOYMENT for GROUP (SCRIPT)" \
						  */
#define UNIT_AWAY_STEP_US ((uint64_t)100 * 1000) /* between two attempts */

static inline void unit_bus_close(sd_bus *bus)
{
	sd_bus_flush_close_unref(bus);
}
DEFINE_CLEANUP(sd_bus *, unit_bus_close)
#define auto_bus CLEANUP(unit_bus_close_at)
DEFINE_CLEANUP(sd_bus_message *, sd_bus_message_unref)
#define auto_message CLEANUP(sd_bus_message_unref_at)

struct bus_error {
	sd_bus_error e;
};
static inline void bus_error_clear(struct bus_error *error)
{
	sd_bus_error_free(&error->e);
}
#define auto_bus_error CLEANUP(bus_error_clear)

/* "WHAT 'UNIT': why", with code r. Returns r. */
int unit_fail(struct error *err, int r, const struct bus_error *why, const char *what,
	      const char *unit);

/* Does this code say that PID 1 or the bus is away for a moment? Then the connection is of no use
 * any more, and whether what was asked has been done is not known. */
bool unit_is_away(int r);
/* The caller closes *ret; on it PID 1 tells what changes. One attempt. */
int unit_bus_try(sd_bus **ret, struct error *err) MUST_CHECK;
/* Do something on a connection of its own; while PID 1 or the bus is away, all of it again, for
 * half a minute. */
typedef int unit_bus_fn(sd_bus *bus, void *arg, struct error *err);
int unit_bus_do(unit_bus_fn *fn, void *arg, struct error *err) MUST_CHECK;
/* *news becomes true when a property of the unit with that path changes; with path NULL: when PID 1
 * is done with a job, of any unit. And when PID 1 leaves the bus or comes back. */
int unit_watch(sd_bus *bus, const char *path, bool *news) MUST_CHECK;
/* Take in what has come, also while something was asked. Below 0: the connection is gone. */
int unit_take_news(sd_bus *bus) MUST_CHECK;

/* Its object on the bus; NULL: it cannot be a unit's name. Caller frees. */
char *unit_path(const char *unit);
/* The slice around the service of one script, see hook-unit-figures.c. Caller frees. */
char *unit_slice_name(const char *unit);

/* What the kernel has counted so far, into the result: memory, tasks, and what it took away or
 * refused for want of them; path: the unit's object. As long as PID 1 knows the unit. What a call
 * before has found stays. */
void unit_figures_read(sd_bus *bus, const char *unit, const char *path, struct hook_result *ret);

/* The processes in a unit. Returns how many; 0 also when it is gone; below 0 when PID 1 does not
 * tell, and then anything may run in it. Caller frees *ret. */
int unit_processes(sd_bus *bus, const char *unit, pid_t **ret, struct error *err) MUST_CHECK;
/* Stop it and have PID 1 forget it; it may be gone already. Does not wait. */
int unit_remove(sd_bus *bus, const char *unit, struct error *err) MUST_CHECK;

/* SIGKILL to everything in it. Best effort. */
void unit_kill(sd_bus *bus, const char *unit);

/* Have PID 1 start the script as it is described in h; shell: by /bin/sh. Returns when the order is
 * taken. */
int unit_order(sd_bus *bus, const struct hook *h, bool shell, struct error *err) MUST_CHECK;
