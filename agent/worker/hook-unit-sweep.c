// SPDX-License-Identifier: Apache-2.0
/* Units whose script has ended: what still runs in them lives, until somebody wants it to stop. */
#include "agent/worker/hook-unit.h"

#include "agent/worker/hook-process.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"

#include <stdlib.h>
#include <string.h>

#define PATTERN "slipway-hook-*.service"
#define STOP_WAIT_US ((uint64_t)30 * 1000 * 1000)

static int collect(sd_bus *bus, void *arg, struct error *err)
{
	auto_free pid_t *pids = NULL;
	int n = unit_processes(bus, arg, &pids, err);
	return n == 0 ? unit_remove(bus, arg, err) : n;
}

void hook_unit_collect(const char *unit)
{
	struct error err = {0};
	if (unit_bus_do(collect, (void *)unit, &err) < 0)
		log_warning("'%s' stays: %s", unit, err.text);
}

struct sweep {
	const char *unit;          /* that one; NULL: those of a group */
	const char *deployment_id; /* NULL: all of the group */
	char *description;         /* begins so */
	bool stop;
	bool news;
	char **stopped; /* units that were told to stop, NULL-terminated */
	unsigned n_stopped;
	uint64_t kill_us; /* they have until then; 0: nothing is awaited yet */
};

static void sweep_clear(struct sweep *s)
{
	free(s->description);
	str_list_free(s->stopped);
}

/* When all is done again, it is told to stop again. */
static void note_stopped(struct sweep *s, const char *unit, const pid_t *pids, int n)
{
	for (unsigned i = 0; i < s->n_stopped; i++)
		if (str_eq(s->stopped[i], unit))
			return;
	auto_free char *names = hook_process_names(pids, n > 0 ? (size_t)n : 0);
	log_notice("'%s' is stopped, in it: %s", unit, names ? names : "");
	s->stopped = xrealloc_array(s->stopped, s->n_stopped + 2, sizeof(*s->stopped));
	s->stopped[s->n_stopped++] = xstrdup(unit);
	s->stopped[s->n_stopped] = NULL;
}

static int sweep_one(struct sweep *s, sd_bus *bus, const char *unit, struct error *err)
{
	auto_free pid_t *pids = NULL;
	int n = unit_processes(bus, unit, &pids, err);
	if (n != 0 && (!s->stop || unit_is_away(n)))
		return n < 0 ? n : 0;
	if (n != 0)
		note_stopped(s, unit, pids, n);
	n = unit_remove(bus, unit, err);
	if (n < 0 && !unit_is_away(n))
		log_warning("'%s' stays: %s", unit, err->text);
	return n;
}

static bool is_wanted(const struct sweep *s, const char *unit, const char *description)
{
	return str_starts(description, s->description) &&
	       (!s->deployment_id || hook_unit_is_of(unit, s->deployment_id));
}

static int sweep_all(struct sweep *s, sd_bus *bus, struct error *err)
{
	auto_bus_error struct bus_error why = {0};
	auto_message sd_bus_message *m = NULL;
	int r = sd_bus_call_method(bus, SYSTEMD, MANAGER_PATH, MANAGER, "ListUnitsByPatterns",
				   &why.e, &m, "asas", 0, 1, PATTERN);
	if (r >= 0)
		r = sd_bus_message_enter_container(m, 'a', "(ssssssouso)");
	const char *unit, *description;
	while (r >= 0 && (r = sd_bus_message_read(m, "(ssssssouso)", &unit, &description, NULL,
						  NULL, NULL, NULL, NULL, NULL, NULL, NULL)) > 0)
		if (is_wanted(s, unit, description) && unit_is_away(sweep_one(s, bus, unit, err)))
			return err->code;
	return r < 0 ? unit_fail(err, r, &why, "list units of", s->description) : 0;
}

/* PID 1 has said SIGTERM. Returns 0 when it is empty, above 0 when it does not stop. */
static int await_one(struct sweep *s, sd_bus *bus, const char *unit, uint64_t deadline_us,
		     struct error *err)
{
	for (bool killed = false;;) {
		auto_free pid_t *pids = NULL;
		s->news = false;
		int n = unit_processes(bus, unit, &pids, err);
		uint64_t now_us = clock_mono_us();
		if (n <= 0 || now_us >= deadline_us)
			return n;
		if (!killed && now_us >= s->kill_us) {
			unit_kill(bus, unit);
			killed = true;
		}
		int r = unit_take_news(bus);
		if (r >= 0 && !s->news)
			r = hook_process_await(sd_bus_get_fd(bus), -1,
					       killed ? deadline_us : s->kill_us);
		if (r < 0)
			return unit_fail(err, r, NULL, "wait for", unit);
	}
}

/* SIGKILL comes from here after 5 s: PID 1 alone would give them longer. */
static int await_stopped(struct sweep *s, sd_bus *bus, struct error *err)
{
	uint64_t now_us = clock_mono_us();
	if (!s->kill_us)
		s->kill_us = now_us + HOOK_GRACE_US;
	for (unsigned i = 0; i < s->n_stopped; i++) {
		int r = await_one(s, bus, s->stopped[i], now_us + STOP_WAIT_US, err);
		if (r < 0)
			return r;
		if (r > 0)
			log_warning("'%s' does not stop", s->stopped[i]);
	}
	return 0;
}

static int sweep(sd_bus *bus, void *arg, struct error *err)
{
	struct sweep *s = arg;
	int r = unit_watch(bus, NULL, &s->news);
	if (r < 0)
		return unit_fail(err, r, NULL, "watch", MANAGER);
	r = s->unit ? sweep_one(s, bus, s->unit, err) : sweep_all(s, bus, err);
	return r < 0 ? r : await_stopped(s, bus, err);
}

unsigned hook_unit_sweep(const char *group_id, const char *deployment_id, bool stop)
{
	struct error err = {0};
	CLEANUP(sweep_clear)
	struct sweep s = {.deployment_id = deployment_id,
			  .description = xasprintf(UNIT_DESCRIPTION "%s: ", group_id),
			  .stop = stop};
	if (unit_bus_do(sweep, &s, &err) < 0)
		log_warning("services of hooks are not looked after: %s", err.text);
	return s.n_stopped;
}

void hook_unit_stop(const char *unit)
{
	struct error err = {0};
	CLEANUP(sweep_clear) struct sweep s = {.unit = unit, .stop = true};
	if (unit_bus_do(sweep, &s, &err) < 0)
		log_warning("'%s' may still run: %s", unit, err.text);
}
