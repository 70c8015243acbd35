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
 * From SIGTERM to SIGKILL PID 1 gives a unit the time that an application may need at shutdown. A
 * script that is to end has 5 s: whoever watches sees "deactivating", and kills.
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

#define CONNECT_US ((uint64_t)30 * 1000 * 1000)
#define RECONNECT_US ((uint64_t)5 * 60 * 1000 * 1000)
#define LOOK_AGAIN_US ((uint64_t)10 * 1000 * 1000) /* should PID 1 not have told */
#define LATE_US ((uint64_t)5 * 60 * 1000 * 1000)   /* PID 1's own timeouts are far over by then */
#define SHUTDOWN_US ((uint64_t)10 * 60 * 1000 * 1000)
#define STATUS_EXEC 203 /* systemd.exec(5): what it started could not be executed */

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

static int read_job(sd_bus *bus, const char *path, uint32_t *ret, sd_bus_error *why)
{
	auto_message sd_bus_message *m = NULL;
	int r = sd_bus_get_property(bus, SYSTEMD, path, UNIT, "Job", why, &m, "(uo)");
	return r < 0 ? r : sd_bus_message_read(m, "(uo)", ret, NULL);
}

static int read_facts(sd_bus *bus, const char *path, struct facts *f, sd_bus_error *why)
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
	int r = read_job(bus, path, &f->job, why);
	for (size_t i = 0; r >= 0 && i < ARRAY_LEN(texts); i++)
		r = sd_bus_get_property_string(bus, SYSTEMD, path, texts[i].interface,
					       texts[i].name, why, texts[i].place);
	for (size_t i = 0; r >= 0 && i < ARRAY_LEN(numbers); i++) {
		r = sd_bus_get_property_trivial(bus, SYSTEMD, path, numbers[i].interface,
						numbers[i].name, numbers[i].optional ? NULL : why,
						numbers[i].type, numbers[i].place);
		if (numbers[i].optional && !unit_is_away(r))
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

/* Following it */

struct service {
	struct hook *hook;
	sd_bus *bus;
	char *path;
	bool news;
	bool held;        /* we have a reference to it, and want one */
	uint64_t look_us; /* when to look without news */
	uint64_t kill_us; /* it is being stopped, and has until then; 0: it is not */
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
	int r = unit_bus_try(&s->bus, err);
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
	s->held = true;
	if (sd_bus_call_method(s->bus, SYSTEMD, s->path, UNIT, "Ref", NULL, NULL, NULL) < 0)
		log_debug("'%s' has no reference of ours", s->hook->request->unit);
}

/* PID 1 or the bus is away: the service does not care, and neither does its output. */
static int reconnect(struct service *s, uint64_t deadline_us, struct error *err)
{
	for (;;) {
		if (clock_mono_us() >= deadline_us)
			return err->code;
		int r = hook_wait(s->hook, -1, clock_mono_us() + UNIT_AWAY_STEP_US);
		if (r < 0)
			return error_set(err, r, "wait for '%s': %s", s->hook->request->unit,
					 strerror(-r));
		if (s->bus)
			unit_bus_close(TAKE(s->bus));
		r = connect_service(s, err);
		if (r < 0 && !unit_is_away(r))
			return r;
		if (r < 0)
			continue;
		if (s->held)
			hold(s);
		return 0;
	}
}

/* While PID 1 or the bus is away, wait for them. */
static int ask(struct service *s, struct error *err)
{
	const char *unit = s->hook->request->unit;
	uint64_t deadline_us = 0;
	for (;;) {
		auto_bus_error struct bus_error why = {0};
		int r = read_facts(s->bus, s->path, &s->facts, &why.e);
		if (r >= 0)
			return 0;
		r = unit_fail(err, r, &why, "ask about", unit);
		if (!unit_is_away(r))
			return r;
		if (deadline_us == 0) {
			log_warning("the service manager is away, '%s' goes on: %s", unit,
				    err->text);
			deadline_us = clock_mono_us() + RECONNECT_US;
		}
		r = reconnect(s, deadline_us, err);
		if (r < 0)
			return r;
	}
}

/* Returns 1 when it has ended, 0 when it goes on, below 0 when it cannot be asked. */
static int look(struct service *s, struct error *err)
{
	if (!s->news && clock_mono_us() < s->look_us)
		return 0;
	s->news = false;
	int r = ask(s, err);
	s->look_us = clock_mono_us() + LOOK_AGAIN_US;
	return r < 0 ? r : is_missing(&s->facts) || has_ended(&s->facts);
}

static bool is_shutdown(sd_bus *bus)
{
	auto_free char *state = NULL;
	return sd_bus_get_property_string(bus, SYSTEMD, MANAGER_PATH, MANAGER, "SystemState", NULL,
					  &state) >= 0 &&
	       str_eq(state, "stopping");
}

/* It timed out, or somebody stops it: that takes at most 5 s, except at shutdown. */
static void limit_stop(struct service *s)
{
	uint64_t now_us = clock_mono_us();
	if (!str_eq(s->facts.active, "deactivating"))
		s->kill_us = 0;
	else if (!s->kill_us)
		s->kill_us = now_us + HOOK_GRACE_US;
	if (!s->kill_us || now_us < s->kill_us)
		return;
	s->kill_us = now_us + HOOK_GRACE_US;
	if (!is_shutdown(s->bus))
		unit_kill(s->bus, s->hook->request->unit);
}

static int await_news(struct service *s, uint64_t deadline_us, struct error *err)
{
	const uint64_t limits[] = {s->look_us, s->kill_us ? s->kill_us : UINT64_MAX};
	for (size_t i = 0; i < ARRAY_LEN(limits); i++)
		deadline_us = limits[i] < deadline_us ? limits[i] : deadline_us;
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
		limit_stop(s);
		/* what came while we asked is in the library's queue, not in the socket */
		if (unit_take_news(s->bus) < 0)
			s->news = true; /* the connection is gone, as asking will show */
		if (!s->news)
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
	unit_figures_read(s->bus, s->hook->request->unit, s->path, result);
	if (result->memory_peak_bytes < 0 && f->memory_peak <= INT64_MAX)
		result->memory_peak_bytes = (int64_t)f->memory_peak;
}

/* What it has left running is to be known by name. The facts may be read again. */
static int take_left_running(struct service *s, struct error *err)
{
	uint64_t deadline_us = clock_mono_us() + RECONNECT_US;
	for (;;) {
		auto_free pid_t *pids = NULL;
		int n = unit_processes(s->bus, s->hook->request->unit, &pids, err);
		if (n >= 0)
			s->hook->result.left_running = hook_process_names(pids, (size_t)n);
		else if (!unit_is_away(n))
			log_warning("%s", err->text);
		if (!unit_is_away(n) || clock_mono_us() >= deadline_us)
			return 0;
		n = ask(s, err);
		if (n < 0)
			return n;
	}
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
	int r = take_left_running(s, err);
	if (r < 0)
		return r;
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

/* Is it there already, by a worker that is gone? */
static int find(struct service *s, bool *ret_found, struct error *err)
{
	int r = ask(s, err);
	*ret_found = r >= 0 && !is_missing(&s->facts);
	return r;
}

/* When the order's answer is lost, a look shows whether PID 1 has taken it. */
static int order(struct service *s, bool shell, struct error *err)
{
	uint64_t deadline_us = clock_mono_us() + RECONNECT_US;
	bool found = false;
	for (;;) {
		int r = unit_order(s->bus, s->hook, shell, err);
		if (!unit_is_away(r) || clock_mono_us() >= deadline_us)
			return r;
		log_warning("the service manager is away: %s", err->text);
		r = reconnect(s, deadline_us, err);
		if (r >= 0)
			r = find(s, &found, err);
		if (r < 0)
			return r;
		if (found) {
			hold(s);
			return 0;
		}
	}
}

static int start(struct service *s, bool shell, struct error *err)
{
	int r = order(s, shell, err);
	if (r < 0)
		return r;
	const struct hook_request *request = s->hook->request;
	if (request->on_start)
		request->on_start(0, 0, request->arg);
	s->held = true;
	s->news = true;
	return follow(s, err);
}

/* At shutdown scripts are ended by PID 1, and so are we, in any order. That is no failure of
 * theirs, and no time to roll back: it is for recovery, after the boot. */
static void await_shutdown(struct service *s)
{
	if (!s->bus || !is_shutdown(s->bus))
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
	if (unit_is_away(r))
		r = reconnect(s, clock_mono_us() + CONNECT_US, err);
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
