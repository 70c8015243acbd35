// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/fleet-watch.h"

#include "agent/cli/fleet-view.h"
#include "agent/cli/table.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/str.h"

#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#define INTERVAL_FEW_MS 250
#define INTERVAL_MANY_MS 1000
#define MANY_HOSTS 50
#define SILENCE_MAX_US (60 * 1000000ULL) /* how long the endpoint may be away */

struct watch {
	struct cli *cli;
	struct fleet *fleet;
	const char *id;
	json_t *seen;             /* "HOST EVENT" -> status, of what was printed */
	unsigned drawn;           /* lines of the table on the terminal */
	uint64_t silent_since_us; /* 0: the endpoint answers */
};

/* ---- lines ---- */

static void print_change(struct watch *watch, const json_t *host, const json_t *event)
{
	const char *name = fleet_text(host, "targetId");
	const char *what = fleet_text(event, "lifecycleEventName");
	const char *status = fleet_text(event, "status");
	auto_free char *key = xasprintf("%s %s", name, what);
	if (str_eq(status, "Pending") || str_eq(status, "Skipped") ||
	    str_eq(status, fleet_text(watch->seen, key)))
		return;
	json_set_str(watch->seen, key, status);
	const char *message = str_eq(status, "Failed")
				      ? fleet_text(json_object_get(event, "diagnostics"), "message")
				      : "";
	auto_free char *line =
		xasprintf("%s: %s %s%s%s", name, what, status, *message ? ": " : "", message);
	auto_free char *clean = cli_clean(line);
	puts(clean);
}

static void print_changes(struct watch *watch, const struct fleet_view *view)
{
	size_t i, k;
	const json_t *host, *event;
	json_array_foreach (view->hosts, i, host) {
		json_array_foreach (json_object_get(host, "lifecycleEvents"), k, event) {
			print_change(watch, host, event);
		}
	}
	fflush(stdout);
}

/* ---- the table ---- */

static void terminal_size(unsigned *rows, unsigned *columns)
{
	struct winsize size = {0};
	bool known =
		ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0;
	*rows = known ? size.ws_row : 24;
	*columns = known ? size.ws_col : 80;
}

/* Where people look first: failed, then running, then waiting, then done. */
static int rank_of(const char *status)
{
	static const char *const order[] = {"Failed", "InProgress", "Pending"};
	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		if (str_eq(status, order[i]))
			return (int)i;
	return ARRAY_LEN(order);
}

static void add_host(struct table *table, const json_t *host)
{
	const json_t *event = fleet_host_event(host);
	char since[32] = "";
	double start = json_number_value(json_object_get(event, "startTime"));
	if (str_eq(fleet_text(event, "status"), "InProgress") && start > 0)
		snprintf(since, sizeof(since), "%.0f s", clock_wall() - start);
	table_add(table,
		  (const char *const[]){fleet_text(host, "targetId"), fleet_text(host, "status"),
					fleet_text(event, "lifecycleEventName"), since});
}

/* As many hosts as fit, in the order of rank; those of one rank stay in their own order. */
static size_t fill_table(struct table *table, const struct fleet_view *view, size_t room)
{
	size_t shown = 0, i;
	const json_t *host;
	size_t total = json_array_size(view->hosts);
	bool all_fit = total <= room;
	table_add(table, (const char *const[]){"HOST", "STATUS", "EVENT", ""});
	for (int rank = 0; rank <= 3 && shown < room; rank++) {
		json_array_foreach (view->hosts, i, host) {
			bool mine =
				all_fit ? rank == 0 : rank_of(fleet_text(host, "status")) == rank;
			if (!mine || shown == room)
				continue;
			add_host(table, host);
			shown++;
		}
	}
	return total - shown;
}

/* A line that would wrap would break the count of lines. */
static unsigned put_lines(char *text, unsigned columns)
{
	unsigned lines = 0;
	for (char *line = text, *end; *line; line = end + (*end != '\0')) {
		end = strchrnul(line, '\n');
		size_t len = (size_t)(end - line), width = 0, cut = 0;
		while (cut < len && width < columns)
			width += ((unsigned char)line[cut++] & 0xc0) != 0x80;
		printf("%.*s\033[K\n", (int)cut, line);
		lines++;
	}
	return lines;
}

static void erase_table(struct watch *watch)
{
	if (watch->drawn > 0)
		printf("\033[%uA\r\033[J", watch->drawn);
	watch->drawn = 0;
}

static void draw_table(struct watch *watch, const struct fleet_view *view)
{
	unsigned rows, columns;
	terminal_size(&rows, &columns);
	auto_table struct table table = {.columns = 4};
	size_t hidden = fill_table(&table, view, rows > 6 ? rows - 5 : 1);
	auto_free char *text = NULL, *counts = fleet_view_counts(view);
	size_t len = 0;
	FILE *memory = open_memstream(&text, &len);
	if (!memory)
		return;
	fprintf(memory, "%s %s, %s\n", watch->id, fleet_text(view->info, "status"), counts);
	if (table.rows > 1)
		table_print(&table, memory);
	if (hidden > 0)
		fprintf(memory, "and %zu more\n", hidden);
	fclose(memory);
	erase_table(watch);
	watch->drawn = put_lines(text, columns);
	fflush(stdout);
}

/* ---- the loop ---- */

static void pause_ms(unsigned ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
	nanosleep(&t, NULL);
}

/* Is this failure to ask worth another try? Says so once. */
static bool bear(struct watch *watch, int code, const struct error *err)
{
	if (code != ERR_NETWORK && code != ERR_THROTTLED)
		return false;
	uint64_t now = clock_mono_us();
	if (watch->silent_since_us == 0) {
		watch->silent_since_us = now;
		if (!watch->cli->json)
			fprintf(stderr,
				"slipway fleet watch: %s; the deployment goes on, trying "
				"again\n",
				err->text);
		watch->drawn = 0; /* the line above broke the table */
	}
	return now - watch->silent_since_us < SILENCE_MAX_US;
}

static void show(struct watch *watch, const struct fleet_view *view)
{
	if (watch->cli->json)
		return;
	if (watch->cli->live)
		draw_table(watch, view);
	else
		print_changes(watch, view);
}

static int conclude(struct watch *watch, const struct fleet_view *view)
{
	int code = fleet_view_exit(view);
	if (watch->cli->json)
		return cli_json(fleet_view_to_json(view), code);
	fleet_view_print_outcome(view, stdout);
	return code;
}

int fleet_watch(struct cli *cli, struct fleet *fleet, const char *deployment_id)
{
	auto_json json_t *seen = json_object();
	struct watch watch = {.cli = cli, .fleet = fleet, .id = deployment_id, .seen = seen};
	for (;;) {
		struct error err = {0};
		auto_fleet_view struct fleet_view view = {0};
		int r = fleet_view_load(fleet, deployment_id, &view, &err);
		if (r < 0 && !bear(&watch, r, &err))
			return fleet_fail(cli, fleet, r, &err);
		if (r >= 0) {
			watch.silent_since_us = 0;
			show(&watch, &view);
			if (fleet_view_is_over(&view))
				return conclude(&watch, &view);
		}
		bool many = r < 0 || json_array_size(view.hosts) > MANY_HOSTS;
		pause_ms(many ? INTERVAL_MANY_MS : INTERVAL_FEW_MS);
	}
}
