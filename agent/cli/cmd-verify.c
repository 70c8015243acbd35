// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/host.h"
#include "agent/cli/talk.h"
#include "common/alloc.h"
#include "common/buf.h"
#include "common/json.h"
#include "common/str.h"

#include <inttypes.h>
#include <string.h>

#define SHOWN 200 /* of a group, for people */
#define KIND_WIDTH 8
#define LINE_WIDTH 80
#define DIFFERENCES_BYTES ((size_t)64 << 10)

static const struct cli_option options[] = {
	{.name = "group", .arg = "G", .kind = CLI_GROUP, .help = "only this deployment group"},
	{.name = "no-extra", .help = "do not look for what nobody installed"},
	{.name = "all", .help = "every line, however many there are; default: 200 of a group"},
	{0},
};

static const char *member(const json_t *obj, const char *name)
{
	const char *text = json_string_value(json_object_get(obj, name));
	return text ? text : "";
}

static uint64_t count_of(const json_t *group, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(group, name));
}

/* "content differs", "mode 0644 -> 0600", "file -> directory", "directory". */
static void add_difference(struct buf *text, const json_t *one)
{
	const char *what = member(one, "what"), *found = member(one, "found");
	const char *expected = member(one, "expected");
	bool is_type = strcmp(what, "type") == 0;
	buf_addf(text, "%s%s", text->len ? ", " : "", is_type ? "" : what);
	if (!*found && !*expected)
		buf_adds(text, " differs");
	else
		buf_addf(text, "%s%s%s%s", is_type ? "" : " ", expected, *expected ? " -> " : "",
			 found);
}

/* Caller frees. */
static char *differences_of(const json_t *object)
{
	struct buf text = BUF_INIT(DIFFERENCES_BYTES);
	size_t i;
	const json_t *one;
	json_array_foreach (json_object_get(object, "differs"), i, one)
		add_difference(&text, one);
	auto_free char *raw = buf_take(&text);
	return cli_clean(raw ? raw : "");
}

/* What differs stands below a path that leaves no room for it; elsewhere than on a terminal a line
 * is what programs read. */
static void print_object(const struct cli *cli, const json_t *object)
{
	auto_free char *path = cli_clean(member(object, "path"));
	auto_free char *differs = differences_of(object);
	bool below = cli->tty && strlen(path) + strlen(differs) + KIND_WIDTH + 6 > LINE_WIDTH;
	printf("  %-*s  %s", KIND_WIDTH, member(object, "kind"), path);
	if (*differs && below)
		printf("\n  %-*s    ", KIND_WIDTH, "");
	else if (*differs)
		fputs("  ", stdout);
	puts(differs);
}

/* Returns how many objects are not as they were installed. */
static uint64_t print_counts(const json_t *group)
{
	static const struct {
		const char *name, *word;
	} rows[] = {
		{"modified", "modified"},    {"missing", "missing"},
		{"type", "of another type"}, {"metadata", "with other metadata"},
		{"extra", "extra"},
	};
	uint64_t sum = 0;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t n = count_of(group, rows[i].name);
		if (n)
			printf("%s%" PRIu64 " %s", sum ? ", " : "  ", n, rows[i].word);
		sum += n;
	}
	uint64_t objects = count_of(group, "objects");
	if (sum)
		printf("; of %" PRIu64 " installed\n", objects);
	else if (objects)
		printf("  no drift: all %" PRIu64 " are as they were installed\n", objects);
	else
		puts("  nothing is installed");
	return sum - count_of(group, "extra");
}

static void print_uncompared(const json_t *group)
{
	uint64_t n = count_of(group, "uncompared");
	if (n)
		printf("  the revision of %" PRIu64 " %s is not kept: size and time were "
		       "compared, not content\n",
		       n, n == 1 ? "file" : "files");
}

static char *label_of(const struct host *host, const char *id)
{
	const struct state *state = NULL;
	return host_group(host, id, &state, NULL) == 0 ? host_state_label(state) : cli_clean(id);
}

/* Lines of the spool belong to the groups in their order. */
static uint64_t print_group(struct talk *talk, const struct host *host, const json_t *group,
			json_t **next, uint64_t max)
{
	const char *id = member(group, "group_id");
	auto_free char *label = label_of(host, id);
	const char *deployment = member(group, "deployment");
	printf("group %s%s%s\n", label, *deployment ? "  " : "", deployment);
	auto_free char *busy = cli_clean(member(group, "busy"));
	if (*busy) {
		printf("  not verified: %s\n", busy);
		return 0;
	}
	uint64_t lines = 0;
	for (; *next && str_eq(member(*next, "group_id"), id); lines++) {
		if (lines < max)
			print_object(talk->cli, *next);
		json_decref(*next);
		*next = spool_next(&talk->spool);
	}
	if (lines > max)
		printf("  ... and %" PRIu64 " more: --all or --json shows them\n", lines - max);
	uint64_t changed = print_counts(group);
	print_uncompared(group);
	return changed;
}

static void print_all(struct talk *talk, const struct host *host, uint64_t max)
{
	size_t i;
	const json_t *group;
	spool_rewind(&talk->spool);
	json_t *next = spool_next(&talk->spool);
	uint64_t changed = 0;
	json_array_foreach (talk->groups, i, group)
		changed += print_group(talk, host, group, &next, max);
	json_decref(next);
	if (!i)
		puts("nothing was ever deployed on this host");
	if (changed)
		puts("'slipway redeploy' puts back what was installed; what is extra stays");
}

static int ask(struct talk *talk, const struct host *host, const struct cli_args *args,
	       struct error *err)
{
	const char *name = cli_value(args, "group");
	const struct state *group = NULL;
	int r = name ? host_need_group(host, name, &group, err) : 0;
	if (r < 0)
		return r;
	json_t *request = json_object();
	json_set_str(request, "verb", "verify");
	json_set_str(request, "group", group ? group->group_id : NULL);
	json_set_bool(request, "extra", !cli_has(args, "no-extra"));
	talk->looks = true;
	talk->spooled = "drift";
	return talk_run(talk, request, -1, err);
}

static int run(struct cli *cli, const struct cli_args *args)
{
	struct error err = {0};
	auto_host struct host host = {0};
	auto_talk struct talk talk;
	talk_init(&talk, cli);
	int r = host_load(cli, &host, &err);
	if (r == 0)
		r = ask(&talk, &host, args, &err);
	if (r < 0)
		return cli_fail(cli, cli_exit_of(r), &err, "%s", host_hint(r));
	if (cli->json)
		return talk_finish_json(&talk);
	/* busy groups are part of the answer; other errors are the end of it */
	bool answered = json_array_size(talk.groups) || !json_object_get(talk.result, "code");
	if (answered)
		print_all(&talk, &host, cli_has(args, "all") ? UINT64_MAX : SHOWN);
	return json_object_get(talk.result, "code") ? talk_finish(&talk) : talk_exit(&talk);
}

const struct cli_command cmd_verify = {
	.name = "verify",
	.operands = "",
	.summary = "whether installed files are as they were installed",
	.help = "Every file is compared with the revision that it came from, byte by byte, every "
		"object with its recorded mode, owner and group, and directories that a group made "
		"are searched for what nobody installed. Nothing is touched. Exit code 0: no "
		"drift, 1: there is some, 6: a deployment was going on, try again.",
	.example = "slipway verify --group shop\nslipway verify --json",
	.options = options,
	.page = "slipway-verify",
	.run = run,
};
