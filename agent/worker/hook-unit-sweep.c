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

void hook_unit_collect(const char *unit)
{
	struct error err = {0};
	auto_bus sd_bus *bus = NULL;
	auto_free pid_t *pids = NULL;
	if (unit_bus_open(&bus, &err) < 0) {
		log_warning("'%s' stays: %s", unit, err.text);
		return;
	}
	int n = unit_processes(bus, unit, &pids);
	if (n == 0)
		unit_remove(bus, unit);
	else if (n < 0)
		log_warning("'%s' stays, what runs in it is not known: %s", unit, strerror(-n));
}

struct sweep {
	sd_bus *bus;
	const char *deployment_id; /* NULL: all of the group */
	char *description;         /* begins so */
	bool stop;
	bool news;
	char **stopped; /* units that were told to stop, NULL-terminated */
	unsigned n_stopped;
};

static void sweep_clear(struct sweep *s)
{
	if (s->bus)
		unit_bus_close(s->bus);
	free(s->description);
	str_list_free(s->stopped);
}

static void sweep_one(struct sweep *s, const char *unit)
{
	auto_free pid_t *pids = NULL;
	int n = unit_processes(s->bus, unit, &pids);
	if (n != 0 && !s->stop)
		return;
	auto_free char *names = hook_process_names(pids, n > 0 ? (size_t)n : 0);
	unit_remove(s->bus, unit);
	if (n == 0)
		return;
	log_notice("'%s' is stopped, in it: %s", unit, names ? names : "");
	s->stopped = xrealloc_array(s->stopped, s->n_stopped + 2, sizeof(*s->stopped));
	s->stopped[s->n_stopped++] = xstrdup(unit);
	s->stopped[s->n_stopped] = NULL;
}

static int list_units(struct sweep *s, struct error *err)
{
	auto_bus_error struct bus_error why = {0};
	auto_message sd_bus_message *m = NULL;
	int r = sd_bus_call_method(s->bus, SYSTEMD, MANAGER_PATH, MANAGER, "ListUnitsByPatterns",
				   &why.e, &m, "asas", 0, 1, PATTERN);
	if (r >= 0)
		r = sd_bus_message_enter_container(m, 'a', "(ssssssouso)");
	const char *unit, *description;
	while (r >= 0 && (r = sd_bus_message_read(m, "(ssssssouso)", &unit, &description, NULL,
						  NULL, NULL, NULL, NULL, NULL, NULL, NULL)) > 0)
		if (str_starts(description, s->description) &&
		    (!s->deployment_id || hook_unit_is_of(unit, s->deployment_id)))
			sweep_one(s, unit);
	return r < 0 ? unit_fail(err, r, &why, "list units of", s->description) : 0;
}

/* PID 1 says SIGTERM, waits 5 s, says SIGKILL: wait until they are empty. */
static void await_stopped(struct sweep *s)
{
	uint64_t deadline_us = clock_mono_us() + STOP_WAIT_US;
	for (unsigned i = 0; i < s->n_stopped;) {
		auto_free pid_t *pids = NULL;
		s->news = false;
		if (unit_processes(s->bus, s->stopped[i], &pids) == 0) {
			i++;
			continue;
		}
		int r = unit_take_news(s->bus);
		if (r >= 0 && !s->news)
			r = hook_process_await(sd_bus_get_fd(s->bus), -1, deadline_us);
		if (r < 0 || clock_mono_us() >= deadline_us) {
			log_warning("'%s' does not stop", s->stopped[i]);
			return;
		}
	}
}

static int open_sweep(struct sweep *s, struct error *err)
{
	int r = unit_bus_open(&s->bus, err);
	if (r < 0)
		return r;
	r = unit_watch(s->bus, NULL, &s->news);
	return r < 0 ? unit_fail(err, r, NULL, "watch", MANAGER) : 0;
}

unsigned hook_unit_sweep(const char *group_id, const char *deployment_id, bool stop)
{
	struct error err = {0};
	CLEANUP(sweep_clear)
	struct sweep s = {.deployment_id = deployment_id,
			  .description = xasprintf(UNIT_DESCRIPTION "%s: ", group_id),
			  .stop = stop};
	int r = open_sweep(&s, &err);
	if (r >= 0)
		r = list_units(&s, &err);
	if (r < 0)
		log_warning("services of hooks are not looked after: %s", err.text);
	await_stopped(&s);
	return s.n_stopped;
}

void hook_unit_stop(const char *unit)
{
	struct error err = {0};
	CLEANUP(sweep_clear) struct sweep s = {.stop = true};
	if (open_sweep(&s, &err) < 0)
		log_warning("'%s' may still run: %s", unit, err.text);
	else
		sweep_one(&s, unit);
	await_stopped(&s);
}
