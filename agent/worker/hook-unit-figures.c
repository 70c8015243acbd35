// SPDX-License-Identifier: Apache-2.0
/* What a script used, and whether the kernel took its memory back by force or refused it a process.
 *
 * The kernel counts this in the control group, and PID 1 removes that of a service as soon as it is
 * empty. So each script has a slice of its own around it, which holds the same figures and stays as
 * long as the service is known:
 *
 *     slipway-hooks.slice / slipway-hooks-d:A1:AfterInstall:1.slice / slipway-hook-...-1.service
 *
 * The figures are there while the kernel's controllers are (version 2), the peak of memory since
 * 5.19, that of tasks since 6.1. A process that was refused is counted in the slice since 6.11;
 * before, only in the service's own group, which is gone when nothing runs in it: there it is known
 * while it runs, or when it leaves something running. */
#include "agent/worker/hook-unit.h"

#include "common/alloc.h"
#include "common/fs.h"
#include "common/str.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOOK_PREFIX "slipway-hook-"
#define FIGURES_MAX 4096
#define SLICE_INTERFACE SYSTEMD ".Slice"

char *unit_slice_name(const char *unit)
{
	const char *fields = str_starts(unit, HOOK_PREFIX) ? unit + strlen(HOOK_PREFIX) : unit;
	size_t len = strlen(fields) - (str_ends(fields, ".service") ? strlen(".service") : 0);
	char *name = xasprintf(UNIT_SLICE_PREFIX "%.*s.slice", (int)len, fields);
	for (char *c = name + strlen(UNIT_SLICE_PREFIX); *c; c++)
		if (*c == '-') /* in a slice's name it would be another level; no id has ':' */
			*c = ':';
	return name;
}

/* group: "/slipway.slice/..." as PID 1 names it. Caller frees; NULL: there is no such file. */
static char *read_file(const char *group, const char *name)
{
	auto_free char *path = xasprintf("/sys/fs/cgroup%s/%s", group, name);
	char *text = NULL;
	size_t len;
	return fs_read_file(AT_FDCWD, path, FIGURES_MAX, &text, &len, NULL) < 0 ? NULL : text;
}

/* false: it is not there, or "max". */
static bool read_figure(const char *group, const char *name, uint64_t *ret)
{
	auto_free char *text = read_file(group, name);
	if (!text)
		return false;
	text[strcspn(text, "\n")] = '\0';
	return str_to_u64(text, ret) == 0;
}

/* Of a file of lines "NAME NUMBER"; 0 when there is none. */
static uint64_t read_count(const char *group, const char *file, const char *name)
{
	auto_free char *text = read_file(group, file);
	size_t len = strlen(name);
	for (char *line = text; line && *line;) {
		char *end = strchrnul(line, '\n'), *next = *end ? end + 1 : end;
		uint64_t value;
		*end = '\0';
		if (strncmp(line, name, len) == 0 && line[len] == ' ' &&
		    str_to_u64(line + len + 1, &value) == 0)
			return value;
		line = next;
	}
	return 0;
}

/* In the units in which it was set. */
static char *describe_limit(uint64_t bytes, const char *of)
{
	double mib = (double)bytes / (1024 * 1024);
	return of ? xasprintf("the limit is %.10g MiB, of %s", mib, of)
		  : xasprintf("its limit is %.10g MiB", mib);
}

/* The nearest level above whose own limit was met; NULL: none. */
static char *find_memory_limit_above(const char *group)
{
	auto_free char *at = xstrdup(group);
	for (char *slash; (slash = strrchr(at, '/')) && slash > at;) {
		*slash = '\0';
		uint64_t limit;
		if (read_count(at, "memory.events.local", "oom") > 0 &&
		    read_figure(at, "memory.max", &limit))
			return describe_limit(limit, strrchr(at, '/') + 1);
	}
	return NULL;
}

/* Whose memory it was that ran out. */
static char *describe_shortage(sd_bus *bus, const char *path, const char *group)
{
	uint64_t limit = UINT64_MAX;
	if (read_count(group, "memory.events", "oom") > 0 &&
	    sd_bus_get_property_trivial(bus, SYSTEMD, path, SERVICE, "MemoryMax", NULL, 't',
					&limit) >= 0 &&
	    limit != UINT64_MAX)
		return describe_limit(limit, NULL);
	char *above = find_memory_limit_above(group);
	return above ? above : xstrdup("the host has no more");
}

/* The kernel refused a process in group, or since 6.11 in one below it. */
static bool was_refused(const char *group)
{
	return read_count(group, "pids.events", "max") > 0;
}

/* Whose limit it was: the service's own, or that of a level above. */
static char *describe_refusal(sd_bus *bus, const char *path, const char *group)
{
	uint64_t limit = UINT64_MAX, above = UINT64_MAX;
	auto_free char *at = xstrdup(group);
	if (sd_bus_get_property_trivial(bus, SYSTEMD, path, SERVICE, "TasksMax", NULL, 't',
					&limit) < 0)
		limit = UINT64_MAX;
	for (char *slash; (slash = strrchr(at, '/')) && slash > at;) {
		*slash = '\0';
		if (read_count(at, "pids.events.local", "max") > 0 &&
		    read_figure(at, "pids.max", &above) && above < limit)
			return xasprintf("the limit is %" PRIu64 " tasks, of %s", above,
					 strrchr(at, '/') + 1);
	}
	return limit != UINT64_MAX ? xasprintf("its limit is %" PRIu64 " tasks", limit) : NULL;
}

static void keep_larger(const char *group, const char *name, int64_t *figure)
{
	uint64_t value;
	if (read_figure(group, name, &value) && value <= INT64_MAX && (int64_t)value > *figure)
		*figure = (int64_t)value;
}

void unit_figures_read(sd_bus *bus, const char *unit, const char *path, struct hook_result *ret)
{
	auto_free char *slice = unit_slice_name(unit), *group = NULL;
	auto_free char *slice_path = unit_path(slice);
	if (!slice_path || sd_bus_get_property_string(bus, SYSTEMD, slice_path, SLICE_INTERFACE,
						      "ControlGroup", NULL, &group) < 0)
		return;
	if (str_empty(group)) /* one that a worker before this version has started */
		return;
	auto_free char *own = xasprintf("%s/%s", group, unit);
	keep_larger(group, "memory.peak", &ret->memory_peak_bytes);
	keep_larger(group, "pids.peak", &ret->tasks_peak);
	if (!ret->shortage && read_count(group, "memory.events", "oom_kill") > 0)
		ret->shortage = describe_shortage(bus, path, group);
	if (!ret->refusal && (was_refused(group) || was_refused(own)))
		ret->refusal = describe_refusal(bus, path, group);
}
