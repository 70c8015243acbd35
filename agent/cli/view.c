// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/view.h"

#include "agent/cli/cli.h"
#include "agent/cli/lines.h"
#include "agent/cli/report.h"
#include "agent/state.h"
#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PROBLEMS_SHOWN 20
#define COMMAND ": slipway "
#define STEP_WIDTH 20

const char *view_duration(double seconds, char out[32])
{
	uint64_t whole = seconds > 0 ? (uint64_t)seconds : 0;
	if (whole < 60)
		snprintf(out, 32, "%.1f s", seconds > 0 ? seconds : 0);
	else if (whole < 3600)
		snprintf(out, 32, "%" PRIu64 " min %02" PRIu64 " s", whole / 60, whole % 60);
	else
		snprintf(out, 32, "%" PRIu64 " h %02" PRIu64 " min", whole / 3600, whole / 60 % 60);
	return out;
}

/* Written at once: whoever ends us next may do so without a word to stdio. */
void view_clear(struct view *view)
{
	if (view->drawn) {
		fputs("\r\033[K", stdout);
		fflush(stdout);
	}
	view->drawn = false;
}

static char *step_line(const struct view *view, uint64_t now_us)
{
	char duration[32];
	double seconds = (double)(now_us - view->started_us) / 1e6;
	bool narrow = lines_width(stdout) < LINES_WIDTH;
	if (seconds < 60)
		snprintf(duration, sizeof(duration), "%.0f s", seconds);
	else
		view_duration(seconds, duration);
	return xasprintf("  %-*s %*s  %s", narrow ? 0 : STEP_WIDTH, view->step, narrow ? 0 : 10,
			 duration, view->note);
}

/* The width is asked each time: a terminal is made larger and smaller. The last column stays free:
 * some terminals break the line there. */
void view_tick(struct view *view)
{
	if (view->quiet || !view->live || (!*view->step && !*view->bar.what))
		return;
	uint64_t now_us = clock_mono_us();
	unsigned columns = lines_width(stdout) - 1;
	auto_free char *line =
		*view->bar.what ? bar_line(&view->bar, now_us, columns) : step_line(view, now_us);
	printf("\r\033[K%.*s", (int)lines_cut(line, columns), line);
	fflush(stdout);
	view->drawn = true;
}

static const char *member(const json_t *event, const char *name)
{
	const char *text = json_string_value(json_object_get(event, name));
	return text ? text : "";
}

/* The step's name without the prefix; says once that the way back begins. */
static const char *step_name(struct view *view, const char *step)
{
	if (!str_starts(step, STATE_ROLLBACK_PREFIX))
		return step;
	if (!view->rolling_back) {
		view_clear(view);
		puts("going back:");
	}
	view->rolling_back = true;
	return step + strlen(STATE_ROLLBACK_PREFIX);
}

/* The message behind the line where it fits, else below. */
static void print_step_line(const char *line, const char *message)
{
	size_t len = strlen(line) + strlen("  ");
	size_t room = lines_width(stdout);
	bool fits = len < room && lines_cut(message, (unsigned)(room - len)) == strlen(message);
	if (*message && fits && !strchr(message, '\n')) {
		printf("%s  %s\n", line, message);
		return;
	}
	puts(line);
	if (*message)
		lines_below(stdout, STEP_WIDTH + strlen("   "), message);
}

static void step_ended(struct view *view, const char *name, const char *state, const json_t *event)
{
	char duration[32];
	bool failed = strcmp(state, "failed") == 0;
	bool skipped = strcmp(state, "skipped") == 0;
	auto_free char *bare = report_short(member(event, "message"));
	auto_free char *message = cli_clean_lines(bare);
	view_clear(view);
	view->step[0] = '\0';
	view->bar.what[0] = '\0';
	/* most of the thirteen events have nothing to run; only a reason is worth a line */
	if (skipped && !*message)
		return;
	view_duration(json_number_value(json_object_get(event, "seconds")), duration);
	const char *word = failed ? "FAILED" : skipped ? "skipped" : "ok";
	auto_free char *line =
		xasprintf("  %-*s %-7s %s", STEP_WIDTH, name, word, skipped ? "" : duration);
	print_step_line(line, skipped ? "" : message);
	fflush(stdout);
}

static void on_step(struct view *view, const json_t *event)
{
	auto_free char *step = cli_clean(member(event, "step"));
	const char *name = step_name(view, step);
	const char *state = member(event, "state");
	if (strcmp(state, "started") != 0) {
		step_ended(view, name, state, event);
		return;
	}
	snprintf(view->step, sizeof(view->step), "%s", name);
	view->started_us = clock_mono_us();
	view->note[0] = '\0';
	view->bar.what[0] = '\0';
	view_tick(view);
}

static void on_progress(struct view *view, const json_t *event)
{
	auto_free char *what = cli_clean(member(event, "what"));
	json_int_t done = json_integer_value(json_object_get(event, "done"));
	json_int_t total = json_integer_value(json_object_get(event, "total"));
	if (strncmp(what, view->bar.what, sizeof(view->bar.what) - 1) != 0)
		bar_start(&view->bar, what, strcmp(what, "unpack") == 0, clock_mono_us());
	bar_set(&view->bar, done > 0 ? (uint64_t)done : 0, total > 0 ? (uint64_t)total : 0);
	view_tick(view);
}

static void on_output(struct view *view, const json_t *event)
{
	auto_free char *line = cli_clean(member(event, "line"));
	snprintf(view->note, sizeof(view->note), "%.*s", (int)lines_cut(line, 100), line);
	view->bar.what[0] = '\0';
	view_tick(view);
}

static void on_problem(struct view *view, const json_t *event)
{
	auto_free char *where = cli_clean(member(event, "where"));
	auto_free char *text = cli_clean(member(event, "text"));
	/* what is about no place is about all of them */
	if (*where && view->problems++ >= PROBLEMS_SHOWN && !view->all)
		return;
	view_clear(view);
	fflush(stdout);
	const char *command = strstr(text, COMMAND);
	int len = (int)(command ? (size_t)(command - text) + 1 : strlen(text));
	fprintf(stderr, "%s: %s%s%.*s\n", member(event, "level"), where, *where ? ": " : "", len,
		text);
	if (command) /* to be copied: it has a line of its own */
		fprintf(stderr, "  %s\n", command + 2);
}

static void on_recovered(struct view *view, const json_t *event)
{
	auto_free char *text = cli_clean(member(event, "text"));
	view_clear(view);
	printf("%s: %s %s%s%s\n", member(event, "group_id"), member(event, "deployment"),
	       member(event, "what"), *text ? ": " : "", text);
}

void view_event(struct view *view, const json_t *event)
{
	static const struct {
		const char *name;
		void (*show)(struct view *view, const json_t *event);
	} rows[] = {
		{"step", on_step},       {"progress", on_progress},   {"output", on_output},
		{"problem", on_problem}, {"recovered", on_recovered},
	};
	if (view->quiet)
		return;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(rows[i].name, member(event, "event")) == 0)
			rows[i].show(view, event);
}

void view_end(const struct view *view)
{
	if (!view->quiet && !view->all && view->problems > PROBLEMS_SHOWN)
		fprintf(stderr, "and %zu more: with --json each of them\n",
			view->problems - PROBLEMS_SHOWN);
}
