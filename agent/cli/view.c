// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/view.h"

#include "agent/cli/cli.h"
#include "agent/state.h"
#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

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

void view_clear(struct view *view)
{
	if (view->live)
		fputs("\r\033[K", stdout);
	view->live = false;
}

static unsigned terminal_width(void)
{
	struct winsize size;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col < 20)
		return 80;
	return size.ws_col;
}

/* Columns are counted as characters: good enough to keep the line on one row. */
static size_t cut_to_columns(const char *text, unsigned columns)
{
	size_t len = 0;
	while (text[len]) {
		if (((unsigned char)text[len] & 0xc0) != 0x80 && columns-- == 0)
			return len;
		len++;
	}
	return len;
}

void view_tick(struct view *view)
{
	if (view->quiet || !view->tty || !*view->step)
		return;
	char duration[32];
	double seconds = (double)(clock_mono_us() - view->started_us) / 1e6;
	auto_free char *line =
		xasprintf("  %-*s %8.0f s  %s", STEP_WIDTH, view->step, seconds, view->note);
	if (seconds >= 60)
		snprintf(line, strlen(line) + 1, "  %-*s %s  %s", STEP_WIDTH, view->step,
			 view_duration(seconds, duration), view->note);
	printf("\r\033[K%.*s", (int)cut_to_columns(line, terminal_width() - 1), line);
	fflush(stdout);
	view->live = true;
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

static void step_ended(struct view *view, const char *name, const char *state, const json_t *event)
{
	char duration[32];
	bool failed = strcmp(state, "failed") == 0;
	bool skipped = strcmp(state, "skipped") == 0;
	auto_free char *message = cli_clean_lines(member(event, "message"));
	view_clear(view);
	view->step[0] = '\0';
	/* most of the thirteen events have nothing to run; only a reason is worth a line */
	if (skipped && !*message)
		return;
	view_duration(json_number_value(json_object_get(event, "seconds")), duration);
	printf("  %-*s %-7s %s%s%s\n", STEP_WIDTH, name,
	       failed    ? "FAILED"
	       : skipped ? "skipped"
			 : "ok",
	       skipped ? "" : duration, *message && !skipped ? "  " : "", message);
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
	view_tick(view);
}

static void on_progress(struct view *view, const json_t *event)
{
	uint64_t done = (uint64_t)json_integer_value(json_object_get(event, "done"));
	uint64_t total = (uint64_t)json_integer_value(json_object_get(event, "total"));
	if (!*view->step) { /* before the first step: the bundle is unpacked */
		strcpy(view->step, "preparing");
		view->started_us = clock_mono_us();
	}
	char bar[21] = "";
	unsigned filled = total ? (unsigned)((double)done * 20 / (double)total) : 0;
	for (unsigned i = 0; i < 20; i++)
		bar[i] = i < filled ? '#' : '.';
	snprintf(view->note, sizeof(view->note), "%s [%s] %3.0f %%", member(event, "what"), bar,
		 total ? (double)done * 100 / (double)total : 0.0);
	view_tick(view);
}

static void on_output(struct view *view, const json_t *event)
{
	auto_free char *line = cli_clean(member(event, "line"));
	snprintf(view->note, sizeof(view->note), "%.*s", (int)cut_to_columns(line, 100), line);
	view_tick(view);
}

static void on_problem(struct view *view, const json_t *event)
{
	auto_free char *where = cli_clean(member(event, "where"));
	auto_free char *text = cli_clean(member(event, "text"));
	view_clear(view);
	fflush(stdout);
	fprintf(stderr, "%s: %s%s%s\n", member(event, "level"), where, *where ? ": " : "", text);
}

static void on_operation(struct view *view, const json_t *event)
{
	auto_free char *path = cli_clean(member(event, "path"));
	view_clear(view);
	printf("  %-9s %s\n", member(event, "op"), path);
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
		{"problem", on_problem}, {"operation", on_operation}, {"recovered", on_recovered},
	};
	if (view->quiet)
		return;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(rows[i].name, member(event, "event")) == 0)
			rows[i].show(view, event);
}
