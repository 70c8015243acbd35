// SPDX-License-Identifier: Apache-2.0
/* "slipway --complete WORD...": what bash and zsh offer at the last word. It is told by the same
 * tables that parse and explain the commands, and by the host's own files; a host that cannot be
 * read has nothing to offer, and nobody is told why in the middle of typing.
 *
 * bash cuts "--group=a" into three words at its '='; zsh leaves it one. Both are understood. */
#include "agent/cli/host.h"
#include "agent/cli/report.h"
#include "agent/job.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"
#include "common/wire.h"

#include <string.h>
#include <syslog.h>

#define SHOWN_MAX 50 /* deployments, the newest */

struct completion {
	struct cli cli;
	const char *const *words; /* before the one that is typed */
	int n_words;
	const char *current; /* what is typed of the value, behind any "--name=" */
	char *front;         /* that "--name=", or the earlier parts of a list; "" */
	const char *group;   /* of --group, NULL: none was given */
};

static void offer(const struct completion *c, const char *word, const char *what)
{
	if (!str_starts(word, c->current) || strpbrk(word, "\n\t"))
		return;
	auto_free char *clean = cli_clean(what ? what : "");
	printf("%s%s\t%s\n", c->front, word, clean);
}

/* ---- values ---- */

typedef void offer_fn(struct completion *c);

static void offer_files(struct completion *c)
{
	puts(":file");
}

static void offer_dirs(struct completion *c)
{
	puts(":dir");
}

static void offer_groups(struct completion *c)
{
	auto_host struct host host = {0};
	if (host_load(&c->cli, &host, NULL) < 0)
		return;
	for (size_t i = 0; i < host.count; i++) {
		auto_free char *label = host_state_label(host.groups[i]);
		const char *installed = host.groups[i]->installed;
		auto_free char *what = xasprintf("%s%s", installed ? "runs " : "nothing installed",
						 installed ? installed : "");
		offer(c, label, what);
	}
}

struct remembered {
	char *id, *what;
};

struct memory {
	const char *group;
	struct remembered list[SHOWN_MAX];
	size_t count;
};

static int remember(const struct state_deployment *d, const char *group, void *arg)
{
	struct memory *m = arg;
	char when[CLOCK_ISO_LEN];
	if (m->group && strcmp(m->group, group) != 0)
		return 0;
	if (m->count == SHOWN_MAX) {
		free(m->list[0].id);
		free(m->list[0].what);
		memmove(m->list, m->list + 1, --m->count * sizeof(*m->list));
	}
	auto_free char *label = host_group_label(d, group);
	m->list[m->count++] = (struct remembered){
		xstrdup(state_deployment_id(d)),
		xasprintf(
			"%s %s, %s", label, report_outcome(d),
			clock_format_local((int64_t)(d->ended > 0 ? d->ended : d->started), when)),
	};
	return 0;
}

/* Newest first; one that is going on stands before those that have ended. */
static void offer_deployments(struct completion *c)
{
	struct memory m = {0};
	auto_free char *group = NULL;
	auto_host struct host host = {0};
	if (host_load(&c->cli, &host, NULL) < 0 ||
	    host_group_id(&c->cli, c->group, &group, NULL) < 0)
		return;
	m.group = group;
	int r = host_history(&c->cli, remember, &m, NULL);
	for (size_t i = 0; r >= 0 && i < host.count; i++)
		if (host.groups[i]->open)
			remember(host.groups[i]->open, host.groups[i]->group_id, &m);
	while (m.count > 0) {
		struct remembered *one = &m.list[--m.count];
		offer(c, one->id, one->what);
		free(one->id);
		free(one->what);
	}
}

static void offer_kept(struct completion *c)
{
	auto_free char *wanted = NULL;
	auto_host struct host host = {0};
	if (host_load(&c->cli, &host, NULL) < 0 ||
	    host_group_id(&c->cli, c->group, &wanted, NULL) < 0)
		return;
	for (size_t i = 0; i < host.count; i++) {
		const struct state *state = host.groups[i];
		if (wanted && !str_eq(wanted, state->group_id))
			continue;
		auto_free char *label = host_state_label(state);
		for (size_t k = state->n_revisions; k-- > 0;) {
			const struct state_revision *r = &state->revisions[k];
			auto_free char *revision = report_revision(r->spec);
			auto_free char *what = xasprintf(
				"%s %s%s", label, revision,
				str_eq(r->deployment_id, state->installed) ? " (installed)" : "");
			offer(c, r->deployment_id, what);
		}
	}
}

static bool in_list(const char *list, const char *name)
{
	auto_free char *wrapped =
		xasprintf(",%s", strrchr(list, '=') ? strrchr(list, '=') + 1 : list);
	auto_free char *item = xasprintf(",%s,", name);
	return strstr(wrapped, item) != NULL;
}

/* A list: what stands before the last comma is taken as it is. */
static void offer_events(struct completion *c)
{
	const char *comma = strrchr(c->current, ',');
	if (comma) {
		auto_free char *before = TAKE(c->front);
		size_t len = (size_t)(comma + 1 - c->current);
		c->front = xasprintf("%s%.*s", before, (int)len, c->current);
		c->current = comma + 1;
	}
	for (unsigned e = 0; e < WIRE_EVENT_COUNT; e++) {
		const char *name = wire_event_to_string((enum wire_event)e);
		if (job_is_command(name) && !in_list(c->front, name))
			offer(c, name, "lifecycle event");
	}
}

static void offer_behaviors(struct completion *c)
{
	offer(c, "DISALLOW", "refuse to deploy");
	offer(c, "OVERWRITE", "put the revision's file in its place");
	offer(c, "RETAIN", "leave it as it is");
}

static void offer_configs(struct completion *c)
{
	offer(c, "OneAtATime", "one host after the other");
	offer(c, "HalfAtATime", "half of the hosts at once");
	offer(c, "AllAtOnce", "every host at once");
}

/* The next word of a name: "fleet", then "app", then "create". */
static void offer_command_words(struct completion *c, const char *group)
{
	size_t skip = *group ? strlen(group) + 1 : 0;
	auto_free char *last = NULL;
	for (const struct cli_command *const *one = cli_commands; *one; one++) {
		if (skip && !cli_in_group(*one, group))
			continue;
		const char *rest = (*one)->name + skip;
		size_t len = strcspn(rest, " ");
		auto_free char *word = xstrndup(rest, len);
		auto_free char *name = xasprintf("%s%s%s", group, *group ? " " : "", word);
		if (!str_eq(word, last))
			offer(c, word, rest[len] ? cli_group_summary(name) : (*one)->summary);
		free(last);
		last = TAKE(word);
	}
}

static void offer_commands(struct completion *c)
{
	offer_command_words(c, "");
	offer(c, "agent.yml", "the options of the configuration file");
}

static offer_fn *const offers[CLI_KIND_COUNT] = {
	[CLI_FILE] = offer_files,         [CLI_DIR] = offer_dirs,
	[CLI_GROUP] = offer_groups,       [CLI_DEPLOYMENT] = offer_deployments,
	[CLI_KEPT] = offer_kept,          [CLI_EVENTS] = offer_events,
	[CLI_BEHAVIOR] = offer_behaviors, [CLI_CONFIG] = offer_configs,
	[CLI_COMMAND] = offer_commands,
};

static void offer_kind(struct completion *c, enum cli_kind kind)
{
	if (offers[kind])
		offers[kind](c);
}

/* ---- the words before ---- */

/* The option that a word names; len: without what follows a '='. */
static const struct cli_option *find_option(const struct cli_command *command, const char *word,
					    size_t len)
{
	const struct cli_option *lists[] = {command ? command->options : NULL, cli_global_options};
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		for (const struct cli_option *o = lists[i]; o && o->name; o++) {
			bool is_long = len > 2 && strlen(o->name) == len - 2 &&
				       strncmp(word, "--", 2) == 0 &&
				       memcmp(word + 2, o->name, len - 2) == 0;
			if (is_long || (len == 2 && word[0] == '-' && word[1] == o->letter))
				return o;
		}
	}
	return NULL;
}

static void offer_options(struct completion *c, const struct cli_command *command)
{
	const struct cli_option *lists[] = {command ? command->options : NULL, cli_global_options};
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		for (const struct cli_option *o = lists[i]; o && o->name; o++) {
			auto_free char *word = xasprintf("--%s", o->name);
			offer(c, word, o->help);
		}
	}
	if (!command)
		offer(c, "--version", cmd_version.summary);
}

/* The option whose value is being typed; NULL: none. */
static const struct cli_option *valued(struct completion *c, const struct cli_command *command)
{
	const char *equals = strchr(c->current, '=');
	const char *name = NULL;
	size_t len = 0;
	if (str_starts(c->current, "--") && equals) {
		name = c->current;
		len = (size_t)(equals - name);
	} else if (c->n_words > 0) {
		bool is_cut = str_eq(c->current, "="); /* "--group" "=" */
		bool behind = c->n_words > 1 && str_eq(c->words[c->n_words - 1], "=");
		name = c->words[c->n_words - (behind ? 2 : 1)];
		len = strlen(name);
		c->current = is_cut ? "" : c->current;
		if (strchr(name, '='))
			return NULL;
	}
	const struct cli_option *option = name ? find_option(command, name, len) : NULL;
	if (!option || !option->arg)
		return NULL;
	if (name == c->current) {
		free(c->front);
		c->front = xstrndup(name, len + 1);
		c->current = equals + 1;
	}
	return option;
}

/* The value of an option among the words, NULL: it is not there. */
static const char *given(const struct completion *c, const char *name)
{
	size_t len = strlen(name);
	for (int i = 0; i < c->n_words; i++) {
		const char *word = c->words[i];
		if (strncmp(word, name, len) != 0)
			continue;
		if (word[len] == '=')
			return word + len + 1;
		int at = i + 1 + (i + 1 < c->n_words && str_eq(c->words[i + 1], "="));
		if (!word[len] && at < c->n_words)
			return c->words[at];
	}
	return NULL;
}

/* How many of the words from the first one on are operands. */
static unsigned count_operands(const struct completion *c, const struct cli_command *command,
			       int first)
{
	unsigned count = 0;
	for (int i = first; i < c->n_words; i++) {
		const char *word = c->words[i];
		const struct cli_option *option = find_option(command, word, strlen(word));
		if (option && option->arg)
			i += i + 1 < c->n_words && str_eq(c->words[i + 1], "=") ? 2 : 1;
		else
			count += word[0] != '-';
	}
	return count;
}

/* Options may stand in front of the command. */
static int skip_leading(const struct completion *c)
{
	int i = 0;
	while (i < c->n_words && c->words[i][0] == '-') {
		bool value = str_eq(c->words[i], "--root");
		bool cut = value && i + 1 < c->n_words && str_eq(c->words[i + 1], "=");
		i += cut ? 3 : value ? 2 : 1;
	}
	return i < c->n_words ? i : c->n_words;
}

static void complete(struct completion *c)
{
	int words, first = skip_leading(c);
	const struct cli_command *command = cli_find(c->n_words - first, c->words + first, &words);
	const struct cli_option *option = valued(c, command);
	auto_free char *group = cli_find_group(c->n_words - first, c->words + first);
	if (option)
		offer_kind(c, option->kind);
	else if (c->current[0] == '-')
		offer_options(c, command);
	else if (!command && (group || first == c->n_words))
		offer_command_words(c, group ? group : "");
	else if (command && command->max_operands > count_operands(c, command, first + words))
		offer_kind(c, command->operand_kind);
	else if (command)
		offer_options(c, command);
}

int cli_complete(int argc, const char *const *words)
{
	if (argc == 0)
		return CLI_USAGE;
	log_set_level(LOG_CRIT);
	struct completion c = {.words = words,
			       .n_words = argc - 1,
			       .current = words[argc - 1],
			       .front = xstrdup("")};
	c.group = given(&c, "--group");
	const char *root = given(&c, "--root");
	int r = paths_init(&c.cli.paths, root, NULL);
	if (r >= 0) {
		complete(&c);
		paths_clear(&c.cli.paths);
	}
	free(c.front);
	return r < 0 ? CLI_FAILED : CLI_DONE;
}
