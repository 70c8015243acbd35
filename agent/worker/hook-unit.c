// SPDX-License-Identifier: Apache-2.0
/* A script as a transient service of PID 1, over the system bus: a clean context, its own control
 * group, and a life that does not hang on ours.
 *
 *     StartTransientUnit -> activating -> active (running) -> active (exited)   its main process
 *                                                                              has ended
 *                                             | RuntimeMaxUSec
 *                                             v
 *                                         deactivating -> failed, Result=timeout
 *
 * How it is made to wait for us: RemainAfterExit and a SuccessExitStatus that holds every status
 * and signal keep a unit whose script has ended, well or not, as "exited": with its result, and
 * with what it started, until hook_unit_collect(). Nothing of it is killed behind our back, and PID
 * 1 enforces the timeout on the whole control group whether a worker lives or not. A unit that
 * failed stays loaded by itself (CollectMode=inactive); one that a person stops while we watch is
 * kept by our reference (AddRef).
 *
 * Exec that fails looks like an end with status 203, which a script may have as well. With
 * Type=exec a unit becomes active when exec has succeeded, or otherwise when its process has ended;
 * but PID 1 may hear of a very short script's end first (so systemd 252 does under load). Then a
 * look at the script and at who may execute it decides. */
#include "agent/worker/hook-unit.h"

#include "agent/worker/hook-process.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define UNITS MANAGER_PATH "/unit"
#define RECONNECT_US ((uint64_t)5 * 60 * 1000 * 1000)
#define RECONNECT_STEP_US ((uint64_t)1000 * 1000)
#define LATE_US ((uint64_t)5 * 60 * 1000 * 1000) /* PID 1's own timeouts are far over by then */
#define SHUTDOWN_US ((uint64_t)10 * 60 * 1000 * 1000)
#define STATUS_EXEC 203 /* systemd.exec(5): what it started could not be executed */

int unit_fail(struct error *err, int r, const struct bus_error *why, const char *what,
	      const char *unit)
{
	return error_set(err, r, "%s '%s': %s", what, unit,
			 why && why->e.message ? why->e.message : strerror(-r));
}

/* The bus */

int unit_bus_open(sd_bus **ret, struct error *err)
{
	auto_bus sd_bus *bus = NULL;
	int r = sd_bus_open_system(&bus);
	if (r >= 0)
		r = sd_bus_set_method_call_timeout(bus, UNIT_CALL_US);
	if (r >= 0) /* PID 1 tells nobody unless asked to */
		r = sd_bus_call_method(bus, SYSTEMD, MANAGER_PATH, MANAGER, "Subscribe", NULL, NULL,
				       NULL);
	if (r < 0)
		return error_set(err, r,
				 "the service manager cannot be reached over the system bus (is "
				 "dbus installed and running?): %s",
				 strerror(-r));
	*ret = TAKE(bus);
	return 0;
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

/* What the unit is like */

struct facts {
	char *load, *active, *sub, *result;
	uint64_t activated_us, started_us, ended_us; /* CLOCK_MONOTONIC, 0: not yet */
	uint64_t cpu_ns, memory_peak;                /* UINT64_MAX: not known */
	int32_t code, status;                        /* of the main process, as waitid() */
	uint32_t job;                                /* that is queued for it; 0: none */
};

static void facts_clear(struct facts *f)
{
	free(f->load);
	free(f->active);
	free(f->sub);
	free(f->result);
	*f = (struct facts){0};
}
#define auto_facts CLEANUP(facts_clear)

static int read_job(sd_bus *bus, const char *path, uint32_t *ret)
{
	auto_message sd_bus_message *m = NULL;
	int r = sd_bus_get_property(bus, SYSTEMD, path, UNIT, "Job", NULL, &m, "(uo)");
	return r < 0 ? r : sd_bus_message_read(m, "(uo)", ret, NULL);
}

static int read_facts(sd_bus *bus, const char *path, struct facts *f)
{
	const struct {
		const char *interface, *name;
		char **place;
	} texts[] = {
		{UNIT, "LoadState", &f->load},
		{UNIT, "ActiveState", &f->active},
		{UNIT, "SubState", &f->sub},
		{SERVICE, "Result", &f->result},
	};
	const struct {
		const char *interface, *name;
		char type;
		bool optional; /* newer than the oldest systemd */
		void *place;
	} numbers[] = {
		{UNIT, "ActiveEnterTimestampMonotonic", 't', false, &f->activated_us},
		{SERVICE, "ExecMainStartTimestampMonotonic", 't', false, &f->started_us},
		{SERVICE, "ExecMainExitTimestampMonotonic", 't', false, &f->ended_us},
		{SERVICE, "ExecMainCode", 'i', false, &f->code},
		{SERVICE, "ExecMainStatus", 'i', false, &f->status},
		{SERVICE, "CPUUsageNSec", 't', false, &f->cpu_ns},
		{SERVICE, "MemoryPeak", 't', true, &f->memory_peak},
	};
	facts_clear(f);
	f->memory_peak = UINT64_MAX;
	int r = read_job(bus, path, &f->job);
	for (size_t i = 0; r >= 0 && i < ARRAY_LEN(texts); i++)
		r = sd_bus_get_property_string(bus, SYSTEMD, path, texts[i].interface,
					       texts[i].name, NULL, texts[i].place);
	for (size_t i = 0; r >= 0 && i < ARRAY_LEN(numbers); i++) {
		r = sd_bus_get_property_trivial(bus, SYSTEMD, path, numbers[i].interface,
						numbers[i].name, NULL, numbers[i].type,
						numbers[i].place);
		if (r < 0 && numbers[i].optional && r != -ENOTCONN && r != -ECONNRESET)
			r = 0;
	}
	return r < 0 ? r : 0;
}

/* One that runs, and that PID 1 could not read again at a reload, is there all the same. */
static bool is_missing(const struct facts *f)
{
	return !str_eq(f->load, "loaded") && str_eq(f->active, "inactive");
}

static bool has_ended(const struct facts *f)
{
	if (str_eq(f->active, "active"))
		return str_eq(f->sub, "exited");
	if (str_eq(f->active, "inactive"))
		return f->job == 0;
	return str_eq(f->active, "failed");
}

/* Returns how many were read, all of the answer, or below 0. */
static int read_processes(sd_bus_message *m, pid_t **ret)
{
	int n = 0, r = sd_bus_message_enter_container(m, 'a', "(sus)");
	uint32_t pid;
	while (r >= 0 && (r = sd_bus_message_read(m, "(sus)", NULL, &pid, NULL)) > 0) {
		*ret = xrealloc_array(*ret, (size_t)n + 1, sizeof(**ret));
		(*ret)[n++] = (pid_t)pid;
	}
	return r < 0 ? r : n;
}

int unit_processes(sd_bus *bus, const char *unit, pid_t **ret)
{
	auto_bus_error struct bus_error why = {0};
	auto_message sd_bus_message *m = NULL;
	*ret = NULL;
	int r = sd_bus_call_method(bus, SYSTEMD, MANAGER_PATH, MANAGER, "GetUnitProcesses", &why.e,
				   &m, "s", unit);
	if (r >= 0)
		return read_processes(m, ret);
	return sd_bus_error_has_name(&why.e, SYSTEMD ".NoSuchUnit") ? 0 : r;
}

/* Following it */

struct service {
	struct hook *hook;
	sd_bus *bus;
	char *path;
	bool news;
	struct facts facts;
};

static void service_clear(struct service *s)
{
	facts_clear(&s->facts);
	free(s->path);
	if (s->bus)
		unit_bus_close(s->bus);
}

static int connect_service(struct service *s, struct error *err)
{
	int r = unit_bus_open(&s->bus, err);
	if (r < 0)
		return r;
	r = unit_watch(s->bus, s->path, &s->news);
	if (r < 0)
		return unit_fail(err, r, NULL, "watch", s->hook->request->unit);
	s->news = true;
	return 0;
}

/* It is to stay as long as we look at it. */
static void hold(struct service *s)
{
	if (sd_bus_call_method(s->bus, SYSTEMD, s->path, UNIT, "Ref", NULL, NULL, NULL) < 0)
		log_debug("'%s' has no reference of ours", s->hook->request->unit);
}

/* The bus was restarted: the service does not care, and neither does its output. */
static int reconnect(struct service *s, struct error *err)
{
	uint64_t deadline_us = clock_mono_us() + RECONNECT_US;
	log_warning("the system bus is gone, '%s' goes on", s->hook->request->unit);
	for (;;) {
		if (s->bus)
			unit_bus_close(TAKE(s->bus));
		if (connect_service(s, err) >= 0) {
			hold(s);
			return 0;
		}
		if (clock_mono_us() >= deadline_us)
			return err->code;
		int r = hook_wait(s->hook, -1, clock_mono_us() + RECONNECT_STEP_US);
		if (r < 0)
			return error_set(err, r, "wait for '%s': %s", s->hook->request->unit,
					 strerror(-r));
	}
}

static bool is_disconnected(int r)
{
	return r == -ENOTCONN || r == -ECONNRESET || r == -EPIPE || r == -ESTALE;
}

/* Returns 1 when it has ended, 0 when it goes on, below 0 when it cannot be asked. */
static int look(struct service *s, struct error *err)
{
	if (!s->news)
		return 0;
	s->news = false;
	int r = read_facts(s->bus, s->path, &s->facts);
	if (is_disconnected(r)) {
		r = reconnect(s, err);
		return r < 0 ? r : 0;
	}
	if (r < 0)
		return unit_fail(err, r, NULL, "ask about", s->hook->request->unit);
	return is_missing(&s->facts) || has_ended(&s->facts);
}

static int await_news(struct service *s, uint64_t deadline_us, struct error *err)
{
	int r = hook_wait(s->hook, sd_bus_get_fd(s->bus), deadline_us);
	if (r < 0)
		return error_set(err, r, "wait for '%s': %s", s->hook->request->unit, strerror(-r));
	return 0;
}

static int follow(struct service *s, struct error *err)
{
	const struct hook_request *request = s->hook->request;
	uint64_t deadline_us =
		clock_mono_us() + (uint64_t)request->timeout_s * 1000 * 1000 + LATE_US;
	for (;;) {
		int r = look(s, err);
		if (r != 0)
			return r < 0 ? r : 0;
		if (clock_mono_us() >= deadline_us)
			return error_set(err, -ETIMEDOUT,
					 "the service manager does not end '%s' in time",
					 request->unit);
		/* what came while we asked is in the library's queue, not in the socket */
		if (unit_take_news(s->bus) < 0)
			r = reconnect(s, err);
		else if (!s->news)
			r = await_news(s, deadline_us, err);
		if (r < 0)
			return r;
	}
}

/* The end */

/* It may never have got as far as the script. */
static bool may_be_exec(const struct facts *f)
{
	return f->code == CLD_EXITED && f->status == STATUS_EXEC &&
	       (f->activated_us == 0 || f->activated_us >= f->ended_us);
}

static void take_figures(struct service *s)
{
	struct hook_result *result = &s->hook->result;
	const struct facts *f = &s->facts;
	if (f->ended_us > f->started_us)
		result->wall_s = (double)(f->ended_us - f->started_us) / 1e6;
	if (f->cpu_ns != UINT64_MAX)
		result->cpu_s = (double)f->cpu_ns / 1e9;
	struct unit_memory memory;
	unit_memory_read(s->bus, s->hook->request->unit, s->path, &memory);
	result->shortage = memory.shortage;
	result->memory_peak_bytes = memory.peak_bytes;
	if (memory.peak_bytes < 0 && f->memory_peak <= INT64_MAX)
		result->memory_peak_bytes = (int64_t)f->memory_peak;
	auto_free pid_t *pids = NULL;
	int n = unit_processes(s->bus, s->hook->request->unit, &pids);
	result->left_running = hook_process_names(pids, n > 0 ? (size_t)n : 0);
}

/* Returns true, with the failure set, when it was exec that failed. */
static bool describe_exec(struct hook *h)
{
	auto_free char *why = NULL;
	if (hook_format(h, &why) == HOOK_FORMAT_BROKEN)
		hook_fail_errno(h, -ENOENT, why);
	else if (!hook_may_execute(h))
		hook_fail_errno(h, -EACCES, "it may not be executed there, or not by that user");
	return h->result.code != WIRE_SUCCESS;
}

static int describe_end(struct service *s, struct error *err)
{
	struct hook *h = s->hook;
	const struct facts *f = &s->facts;
	struct hook_result *result = &h->result;
	if (is_missing(f) || f->started_us == 0)
		return error_set(err, -ECANCELED,
				 "'%s' was stopped before its result was known (%s)",
				 h->request->unit, f->result ? f->result : "gone");
	take_figures(s);
	if (may_be_exec(f) && describe_exec(h))
		return 0;
	uint64_t limit_us = (uint64_t)h->request->timeout_s * 1000 * 1000;
	result->exit_code = f->code == CLD_EXITED ? f->status : -1;
	result->signal = f->code == CLD_EXITED ? 0 : f->status;
	result->timed_out = str_eq(f->result, "timeout") && f->ended_us - f->started_us >= limit_us;
	return 0;
}

void unit_remove(sd_bus *bus, const char *unit)
{
	auto_bus_error struct bus_error why = {0};
	int r = sd_bus_call_method(bus, SYSTEMD, MANAGER_PATH, MANAGER, "StopUnit", &why.e, NULL,
				   "ss", unit, "replace");
	/* one that has failed needs more; of one that is gone there is nothing to say */
	sd_bus_call_method(bus, SYSTEMD, MANAGER_PATH, MANAGER, "ResetFailedUnit", NULL, NULL, "s",
			   unit);
	if (r < 0 && !sd_bus_error_has_name(&why.e, SYSTEMD ".NoSuchUnit"))
		log_warning("'%s' stays: %s", unit, why.e.message ? why.e.message : strerror(-r));
}

static int start(struct service *s, bool shell, struct error *err)
{
	int r = unit_order(s->bus, s->hook, shell, err);
	if (r < 0)
		return r;
	const struct hook_request *request = s->hook->request;
	if (request->on_start)
		request->on_start(0, 0, request->arg);
	s->news = true;
	return follow(s, err);
}

/* Is it there already, by a worker that is gone? */
static int find(struct service *s, bool *ret_found, struct error *err)
{
	*ret_found = false;
	int r = read_facts(s->bus, s->path, &s->facts);
	if (r < 0)
		return unit_fail(err, r, NULL, "ask about", s->hook->request->unit);
	*ret_found = !is_missing(&s->facts);
	return 0;
}

/* At shutdown scripts are ended by PID 1, and so are we, in any order. That is no failure of
 * theirs, and no time to roll back: it is for recovery, after the boot. */
static void await_shutdown(struct service *s)
{
	auto_free char *state = NULL;
	if (!s->bus ||
	    sd_bus_get_property_string(s->bus, SYSTEMD, MANAGER_PATH, MANAGER, "SystemState", NULL,
				       &state) < 0 ||
	    !str_eq(state, "stopping"))
		return;
	log_notice("the system is going down: '%s' is left to the next start",
		   s->hook->request->unit);
	uint64_t deadline_us = clock_mono_us() + SHUTDOWN_US;
	while (clock_mono_us() < deadline_us && hook_process_await(-1, -1, deadline_us) >= 0)
		;
}

static int run(struct service *s, struct error *err)
{
	struct hook *h = s->hook;
	auto_free char *why = NULL;
	bool shell = hook_format(h, &why) == HOOK_FORMAT_SHELL, found = false;
	int r = connect_service(s, err);
	if (r >= 0 && h->request->attach)
		r = find(s, &found, err);
	if (r < 0)
		return r;
	if (!found && h->request->started)
		return error_set(
			err, -ECANCELED,
			"'%s' was stopped while nobody watched it: its result is not known",
			h->request->unit);
	if (found)
		hold(s);
	r = found ? follow(s, err) : start(s, shell, err);
	if (r >= 0)
		r = describe_end(s, err);
	if (r < 0 || h->result.signal)
		await_shutdown(s);
	return r;
}

int hook_unit_run(struct hook *h, struct error *err)
{
	CLEANUP(service_clear)
	struct service s = {.hook = h, .path = unit_path(h->request->unit)};
	if (!s.path)
		return error_set(err, -EINVAL, "'%s' cannot be the name of a unit",
				 h->request->unit);
	return run(&s, err);
}

bool hook_unit_used(const char *root)
{
	return !*root && sd_booted() > 0;
}
