// SPDX-License-Identifier: Apache-2.0
/* PID 1 over the system bus. Either may be away for a moment: PID 1 executes itself anew when its
 * package is upgraded ("systemctl daemon-reexec", also in a script of ours), and the bus may be
 * restarted. What was asked meanwhile fails in one of several ways, and what PID 1 would have told
 * is lost: then everything is asked again, on a new connection. */
#include "agent/worker/hook-unit.h"

#include "agent/worker/hook-process.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define UNITS MANAGER_PATH "/unit"
#define CALL_US ((uint64_t)60 * 1000 * 1000)
#define AWAY_MAX_US ((uint64_t)30 * 1000 * 1000)
#define OWNER_CHANGES                                                 \
	"type='signal',sender='org.freedesktop.DBus',"                \
	"interface='org.freedesktop.DBus',member='NameOwnerChanged'," \
	"arg0='" SYSTEMD "'"

/* What PID 1 itself says has names of its own, and means that it is there: the library may give
 * them codes like ENOENT. */
static int code_of(int r, const struct bus_error *why)
{
	const char *name = why->e.name ? why->e.name : "";
	if (str_starts(name, SYSTEMD "."))
		return -EREMOTEIO;
	/* the bus could not start a PID 1 */
	return str_starts(name, "org.freedesktop.DBus.Error.Spawn.") ? -EHOSTUNREACH : r;
}

int unit_fail(struct error *err, int r, const struct bus_error *why, const char *what,
	      const char *unit)
{
	return error_set(err, why ? code_of(r, why) : r, "%s '%s': %s", what, unit,
			 why && why->e.message ? why->e.message : strerror(-r));
}

bool unit_is_away(int r)
{
	static const int codes[] = {
		ENOTCONN,     ECONNRESET,   EPIPE, ESTALE, /* the connection broke */
		ENOENT,       ECONNREFUSED,                /* the bus is not there (yet) */
		ETIMEDOUT,                                 /* PID 1 left without an answer */
		EHOSTUNREACH, ENXIO,                       /* nobody has its name */
	};
	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		if (r == -codes[i])
			return true;
	return false;
}

int unit_bus_try(sd_bus **ret, struct error *err)
{
	auto_bus sd_bus *bus = NULL;
	auto_bus_error struct bus_error why = {0};
	int r = sd_bus_open_system(&bus);
	if (r >= 0)
		r = sd_bus_set_method_call_timeout(bus, CALL_US);
	if (r >= 0) /* PID 1 tells nobody unless asked to */
		r = sd_bus_call_method(bus, SYSTEMD, MANAGER_PATH, MANAGER, "Subscribe", &why.e,
				       NULL, NULL);
	if (r < 0)
		return error_set(err, code_of(r, &why),
				 "the service manager cannot be reached over the system bus (is "
				 "dbus installed and running?): %s",
				 why.e.message ? why.e.message : strerror(-r));
	*ret = TAKE(bus);
	return 0;
}

int unit_bus_do(unit_bus_fn *fn, void *arg, struct error *err)
{
	uint64_t deadline_us = clock_mono_us() + AWAY_MAX_US;
	for (;;) {
		auto_bus sd_bus *bus = NULL;
		int r = unit_bus_try(&bus, err);
		if (r >= 0)
			r = fn(bus, arg, err);
		if (!unit_is_away(r) || clock_mono_us() >= deadline_us ||
		    hook_process_await(-1, -1, clock_mono_us() + UNIT_AWAY_STEP_US) < 0)
			return r;
	}
}

char *unit_path(const char *unit)
{
	char *path = NULL;
	return sd_bus_path_encode(UNITS, unit, &path) < 0 ? NULL : path;
}

static int on_news(sd_bus_message *m, void *arg, sd_bus_error *ret)
{
	*(bool *)arg = true;
	return 0;
}

int unit_watch(sd_bus *bus, const char *path, bool *news)
{
	int r = sd_bus_add_match(bus, NULL, OWNER_CHANGES, on_news, news);
	if (r < 0)
		return r;
	if (!path)
		return sd_bus_match_signal(bus, NULL, SYSTEMD, MANAGER_PATH, MANAGER, "JobRemoved",
					   on_news, news);
	return sd_bus_match_signal(bus, NULL, SYSTEMD, path, "org.freedesktop.DBus.Properties",
				   "PropertiesChanged", on_news, news);
}

int unit_take_news(sd_bus *bus)
{
	int r;
	while ((r = sd_bus_process(bus, NULL)) > 0)
		;
	return r;
}

static bool is_missing(const struct bus_error *why)
{
	return sd_bus_error_has_name(&why->e, SYSTEMD ".NoSuchUnit");
}

int unit_processes(sd_bus *bus, const char *unit, pid_t **ret, struct error *err)
{
	auto_bus_error struct bus_error why = {0};
	auto_message sd_bus_message *m = NULL;
	int n = 0;
	uint32_t pid;
	*ret = NULL;
	int r = sd_bus_call_method(bus, SYSTEMD, MANAGER_PATH, MANAGER, "GetUnitProcesses", &why.e,
				   &m, "s", unit);
	if (r < 0 && is_missing(&why))
		return 0;
	if (r >= 0)
		r = sd_bus_message_enter_container(m, 'a', "(sus)");
	while (r >= 0 && (r = sd_bus_message_read(m, "(sus)", NULL, &pid, NULL)) > 0) {
		*ret = xrealloc_array(*ret, (size_t)n + 1, sizeof(**ret));
		(*ret)[n++] = (pid_t)pid;
	}
	return r < 0 ? unit_fail(err, r, &why, "list the processes of", unit) : n;
}

void unit_kill(sd_bus *bus, const char *unit)
{
	auto_bus_error struct bus_error why = {0};
	int r = sd_bus_call_method(bus, SYSTEMD, MANAGER_PATH, MANAGER, "KillUnit", &why.e, NULL,
				   "ssi", unit, "all", (int32_t)SIGKILL);
	if (r < 0) /* it may have ended just now */
		log_debug("'%s' is not killed: %s", unit,
			  why.e.message ? why.e.message : strerror(-r));
}

int unit_remove(sd_bus *bus, const char *unit, struct error *err)
{
	auto_bus_error struct bus_error why = {0};
	int r = sd_bus_call_method(bus, SYSTEMD, MANAGER_PATH, MANAGER, "StopUnit", &why.e, NULL,
				   "ss", unit, "replace");
	if (r < 0 && !is_missing(&why))
		return unit_fail(err, r, &why, "stop", unit);
	/* one that has failed needs more; of one that is gone there is nothing to say */
	auto_bus_error struct bus_error other = {0};
	r = sd_bus_call_method(bus, SYSTEMD, MANAGER_PATH, MANAGER, "ResetFailedUnit", &other.e,
			       NULL, "s", unit);
	r = r < 0 ? unit_fail(err, r, &other, "forget", unit) : 0;
	return unit_is_away(r) ? r : 0;
}
