// SPDX-License-Identifier: Apache-2.0
/* 'limits' of a script: an extension that other agents ignore. It can only take away: what the host
 * allows is in its agent.yml. */
#include "agent/worker/spec-parse.h"

#include "agent/settings.h"
#include "common/alloc.h"
#include "common/str.h"

#include <inttypes.h>
#include <stdarg.h>

#define MEMORY_MIN ((uint64_t)1024 * 1024) /* below, no interpreter starts */
#define TASKS_MAX 4194304                  /* as many as the kernel can number */
#define CPU_MAX 1000000
#define NICE_MIN (-20)
#define NICE_MAX 19

static void take_memory(struct spec_parse *p, const struct yaml *value, void *obj)
{
	struct spec_limits *limits = obj;
	const char *text = spec_parse_text(p, value, "memory");
	uint64_t bytes = 0;
	if (!text)
		return;
	if (str_to_size(text, &bytes) == 0 && bytes >= MEMORY_MIN) {
		limits->memory_bytes = bytes;
		return;
	}
	auto_free char *shown = spec_parse_shown(text);
	spec_parse_error(p, value, "'memory' must be a size of at least 1M, such as 512M, not '%s'",
			 shown);
}

/* Returns false after an error. */
static bool take_number(struct spec_parse *p, const struct yaml *value, const char *key,
			int64_t min, int64_t max, int64_t *ret)
{
	const char *text = spec_parse_text(p, value, key);
	if (!text)
		return false;
	if (yaml_to_int(value, ret) == 0 && *ret >= min && *ret <= max)
		return true;
	auto_free char *shown = spec_parse_shown(text);
	spec_parse_error(p, value,
			 "'%s' must be a number from %" PRId64 " to %" PRId64 ", not '%s'", key,
			 min, max, shown);
	return false;
}

static void take_tasks(struct spec_parse *p, const struct yaml *value, void *obj)
{
	struct spec_limits *limits = obj;
	int64_t tasks;
	if (take_number(p, value, "tasks", 1, TASKS_MAX, &tasks))
		limits->tasks = (uint64_t)tasks;
}

static void take_nice(struct spec_parse *p, const struct yaml *value, void *obj)
{
	struct spec_limits *limits = obj;
	int64_t nice;
	if (!take_number(p, value, "nice", NICE_MIN, NICE_MAX, &nice))
		return;
	limits->nice = (int)nice;
	limits->has_nice = true;
}

static void take_cpu(struct spec_parse *p, const struct yaml *value, void *obj)
{
	struct spec_limits *limits = obj;
	const char *text = spec_parse_text(p, value, "cpu");
	uint64_t percent = 0;
	if (!text)
		return;
	if (str_to_percent(text, &percent) == 0 && percent >= 1 && percent <= CPU_MAX) {
		limits->cpu_percent = percent;
		return;
	}
	auto_free char *shown = spec_parse_shown(text);
	spec_parse_error(p, value,
			 "'cpu' must be a percentage of one processor, such as 150%%, not '%s'",
			 shown);
}

static const struct spec_key limit_keys[] = {
	{"memory", take_memory},
	{"tasks", take_tasks},
	{"cpu", take_cpu},
	{"nice", take_nice},
};

void spec_parse_limits(struct spec_parse *p, const struct yaml *node, struct spec_limits *ret)
{
	*ret = (struct spec_limits){.line = node->line, .column = node->column};
	(void)spec_parse_map(p, node, "'limits'", limit_keys, ARRAY_LEN(limit_keys), ret);
}

struct spec_limits spec_limits_of_host(const struct settings *settings)
{
	return (struct spec_limits){
		.memory_bytes = settings->script_memory_max,
		.tasks = (uint64_t)settings->script_tasks_max,
		.cpu_percent = settings->script_cpu_max,
		.nice = (int)settings->script_nice,
		.has_nice = settings->script_nice != 0,
	};
}

static uint64_t stricter(uint64_t a, uint64_t b)
{
	if (!a || !b)
		return a ? a : b;
	return a < b ? a : b;
}

struct spec_limits spec_limits_join(const struct spec_limits *host,
				    const struct spec_limits *script)
{
	struct spec_limits both = *script;
	both.memory_bytes = stricter(host->memory_bytes, script->memory_bytes);
	both.tasks = stricter(host->tasks, script->tasks);
	both.cpu_percent = stricter(host->cpu_percent, script->cpu_percent);
	if (!script->has_nice || script->nice < host->nice) {
		both.nice = host->nice;
		both.has_nice = host->has_nice;
	}
	return both;
}

static void warn(struct problems *problems, const char *name, const struct spec_limits *at,
		 const char *fmt, ...) PRINTF_LIKE(4, 5);
static void warn(struct problems *problems, const char *name, const struct spec_limits *at,
		 const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	auto_free char *text = xvasprintf(fmt, ap);
	va_end(ap);
	auto_free char *where =
		at->line ? xasprintf("%s:%u:%u", name, at->line, at->column) : xstrdup("agent.yml");
	problems_add(problems, PROBLEM_WARNING, where, "%s", text);
}

static void check_one(const char *name, const struct spec_limits *host,
		      const struct spec_limits *script, struct problems *problems)
{
	const struct {
		const char *key, *option;
		uint64_t here, there;
		const char *unit;
	} rows[] = {
		{"memory", "script_memory_max", script->memory_bytes, host->memory_bytes, " bytes"},
		{"tasks", "script_tasks_max", script->tasks, host->tasks, ""},
		{"cpu", "script_cpu_max", script->cpu_percent, host->cpu_percent, "%"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].there && rows[i].here > rows[i].there)
			warn(problems, name, script,
			     "'%s' is more than this host allows, and is cut to its %s: "
			     "%" PRIu64 "%s",
			     rows[i].key, rows[i].option, rows[i].there, rows[i].unit);
	if (script->has_nice && script->nice < host->nice)
		warn(problems, name, script,
		     "'nice' is less than this host allows, and is cut to its script_nice: %d",
		     host->nice);
}

static bool needs_service(const struct spec_limits *limits)
{
	return limits->memory_bytes || limits->tasks || limits->cpu_percent;
}

void spec_check_limits(const struct spec *spec, const char *name, const struct spec_limits *host,
		       bool services, struct problems *problems)
{
	bool any = false;
	const struct spec_limits *first = needs_service(host) ? host : NULL;
	for (size_t e = 0; e < spec->n_events; e++) {
		const struct spec_event *event = &spec->events[e];
		for (size_t i = 0; i < event->n_hooks; i++) {
			const struct spec_limits *limits = &event->hooks[i].limits;
			check_one(name, host, limits, problems);
			if (!first && needs_service(limits))
				first = limits;
			any = true;
		}
	}
	if (any && first && !services)
		warn(problems, name, first,
		     "scripts are no services here (no systemd, or --root): of their limits only "
		     "'nice' holds, memory, tasks and cpu are not limited");
}
