// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/host.h"

#include "common/alloc.h"
#include "common/buf.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/log.h"
#include "common/str.h"

#include <assert.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define GOING_ON 1e12 /* seconds: later than any time */
#define LINE_MAX_BYTES STATE_MAX_BYTES

int host_load(const struct cli *cli, struct host *ret, struct error *err)
{
	*ret = (struct host){0};
	return state_load_all(&cli->paths, &ret->groups, &ret->count, err);
}

void host_clear(struct host *host)
{
	state_list_free(host->groups, host->count);
	*host = (struct host){0};
}

char *host_group_label(const struct state_deployment *d, const char *group_id)
{
	auto_free char *label = state_group_label(d, group_id);
	return cli_clean(label);
}

static const struct state_deployment *newest(const struct state *state)
{
	return state->open ? state->open : state->last;
}

char *host_state_label(const struct state *state)
{
	return host_group_label(newest(state), state->group_id);
}

const struct wire_spec *host_state_names(const struct state *state)
{
	const struct state_deployment *d = newest(state);
	return d && state_has_names(d->job->spec, state->group_id) ? d->job->spec : NULL;
}

static bool is_called(const struct state *state, const char *name)
{
	const struct state_deployment *d = newest(state);
	return d && str_eq(d->job->spec->group_name, name);
}

static void add_label(struct buf *list, const struct state *state)
{
	auto_free char *label = host_state_label(state);
	buf_addf(list, "%s%s", list->len ? ", " : "", label);
}

static int find_by_name(const struct host *host, const char *name, const struct state **ret,
			struct error *err)
{
	auto_buf struct buf called = BUF_INIT(sizeof(err->text));
	const struct state *found = NULL;
	size_t count = 0;
	for (size_t i = 0; i < host->count; i++) {
		if (!is_called(host->groups[i], name))
			continue;
		found = host->groups[i];
		add_label(&called, found);
		count++;
	}
	if (count > 1)
		return error_set(err, ERR_INPUT, "several groups are called '%s', choose one: %s",
				 name, buf_str(&called));
	if (!found)
		return error_set(err, ERR_NOT_FOUND, "this host has no group '%s'", name);
	*ret = found;
	return 0;
}

int host_group(const struct host *host, const char *name, const struct state **ret,
	       struct error *err)
{
	for (size_t i = 0; i < host->count; i++) {
		auto_free char *label = host_state_label(host->groups[i]);
		if (!str_eq(host->groups[i]->group_id, name) && !str_eq(label, name))
			continue;
		*ret = host->groups[i];
		return 0;
	}
	return find_by_name(host, name, ret, err);
}

/* Not one whose every deployment was refused: a name that somebody mistyped. */
static bool is_used(const struct state *state)
{
	return state->installed || state->open || state->n_revisions > 0;
}

int host_need_group(const struct host *host, const char *name, const struct state **ret,
		    struct error *err)
{
	if (host->count == 0)
		return error_set(err, ERR_NOT_FOUND, "nothing was ever deployed on this host");
	int r = name ? host_group(host, name, ret, err) : ERR_NOT_FOUND;
	if (r != ERR_NOT_FOUND)
		return r;
	const struct state *used = NULL;
	size_t n_used = 0;
	for (size_t i = 0; i < host->count; i++)
		if (is_used(host->groups[i])) {
			used = host->groups[i];
			n_used++;
		}
	if (!name && (host->count == 1 || n_used == 1)) {
		*ret = used ? used : host->groups[0];
		return 0;
	}
	auto_buf struct buf known = BUF_INIT(sizeof(err->text));
	for (size_t i = 0; i < host->count; i++)
		add_label(&known, host->groups[i]);
	if (name)
		return error_set(err, ERR_INPUT, "this host has no group '%s', but %s", name,
				 buf_str(&known));
	return error_set(err, ERR_INPUT, "this host has several groups, choose with --group: %s",
			 buf_str(&known));
}

int host_group_id(const struct cli *cli, const char *name, char **ret, struct error *err)
{
	auto_host struct host host = {0};
	*ret = NULL;
	if (!name)
		return 0;
	const struct state *state = NULL;
	/* who may not look will be told by the worker */
	int r = host_load(cli, &host, NULL) == 0 ? host_group(&host, name, &state, err)
						 : ERR_NOT_FOUND;
	if (r < 0 && r != ERR_NOT_FOUND)
		return r;
	*ret = xstrdup(state ? state->group_id : name);
	return 0;
}

static int read_line(const struct cli *cli, const char *line, size_t len, host_history_fn *fn,
		     void *arg)
{
	auto_json json_t *obj = NULL;
	if (len > LINE_MAX_BYTES || json_parse(line, len, LINE_MAX_BYTES, &obj, NULL) < 0)
		return 0;
	auto_state_deployment struct state_deployment *d = NULL;
	if (state_deployment_from_json(obj, &d, NULL) < 0)
		return 0;
	const char *group = json_string_value(json_object_get(obj, "group_id"));
	return fn(d, group ? group : "", arg);
}

static int read_history(const struct cli *cli, const char *name, host_history_fn *fn, void *arg,
			struct error *err)
{
	auto_free char *path = fs_join(cli->paths.host, name);
	int fd = fs_open_regular(AT_FDCWD, path, O_RDONLY, err);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	auto_fclose FILE *file = fdopen(fd, "r");
	assert(file);
	auto_free char *line = NULL;
	size_t room = 0;
	ssize_t len;
	int r = 0;
	while (r == 0 && (len = getline(&line, &room, file)) > 0)
		if (line[len - 1] == '\n')
			r = read_line(cli, line, (size_t)len, fn, arg);
	return r;
}

int host_history(const struct cli *cli, host_history_fn *fn, void *arg, struct error *err)
{
	/* what was rotated away is the older half */
	int r = read_history(cli, "history.jsonl.1", fn, arg, err);
	return r ? r : read_history(cli, "history.jsonl", fn, arg, err);
}

struct search {
	const char *id, *wanted_group;
	json_t *found; /* a copy that outlives the line */
	char *group;
};

static int look(const struct state_deployment *d, const char *group, void *arg)
{
	struct search *search = arg;
	if (search->id && strcmp(state_deployment_id(d), search->id) != 0)
		return 0;
	if (search->wanted_group && strcmp(search->wanted_group, group) != 0)
		return 0;
	/* the later line of the same deployment counts */
	json_decref(search->found);
	free(search->group);
	search->found = state_deployment_to_json(d);
	search->group = xstrdup(group);
	return 0;
}

/* What goes on is newer than all that has ended. */
static double when(const struct state_deployment *d)
{
	return d->ended > 0 ? d->ended : d->started + GOING_ON;
}

/* Of the states' own deployments the wanted one, or the newest. */
static const struct state_deployment *in_states(const struct host *host, const char *id,
						const char *group, const char **ret_group)
{
	const struct state_deployment *best = NULL;
	for (size_t i = 0; i < host->count; i++) {
		const struct state *state = host->groups[i];
		if (group && strcmp(state->group_id, group) != 0)
			continue;
		const struct state_deployment *own[] = {state->open, state->last};
		for (size_t k = 0; k < ARRAY_LEN(own); k++) {
			if (!own[k] || (id && strcmp(state_deployment_id(own[k]), id) != 0))
				continue;
			if (best && when(own[k]) <= when(best))
				continue;
			best = own[k];
			*ret_group = state->group_id;
		}
	}
	return best;
}

static int nothing_found(const char *id, struct error *err)
{
	if (id)
		return error_set(err, ERR_NOT_FOUND, "this host knows no deployment '%s'", id);
	return error_set(err, ERR_NOT_FOUND, "nothing was ever deployed here");
}

int host_deployment(const struct cli *cli, const char *id, const char *group,
		    struct state_deployment **ret, char **ret_group, struct error *err)
{
	auto_host struct host host = {0};
	int r = host_load(cli, &host, err);
	if (r < 0)
		return r;
	const struct state *state = NULL;
	r = group ? host_group(&host, group, &state, err) : 0;
	if (r < 0 && r != ERR_NOT_FOUND)
		return r;
	struct search search = {.id = id, .wanted_group = state ? state->group_id : group};
	const char *found_group = NULL;
	const struct state_deployment *own =
		in_states(&host, id, search.wanted_group, &found_group);
	if (own)
		r = look(own, found_group, &search);
	else
		r = host_history(cli, look, &search, err);
	auto_json json_t *found = search.found;
	auto_free char *name = search.group;
	if (r < 0)
		return r;
	if (!found)
		return nothing_found(id, err);
	r = state_deployment_from_json(found, ret, err);
	if (r == 0)
		*ret_group = TAKE(name);
	return r;
}

int host_settings(const struct cli *cli, struct settings *ret)
{
	int level = log_get_level();
	log_set_level(LOG_ERR); /* keys without effect are the daemon's to complain about */
	int r = settings_load(ret, &cli->paths, NULL);
	log_set_level(level);
	return r;
}

/* Its lock is not tried: whoever holds it, be it for a moment, keeps a worker away. */
bool host_is_held(const struct cli *cli, const char *group_id)
{
	auto_free char *path = xasprintf("%s/locks/group-%s", cli->paths.host, group_id);
	auto_fclose FILE *file = fopen("/proc/locks", "re");
	struct stat st;
	char line[256];
	unsigned long inode;
	if (!file || stat(path, &st) < 0)
		return true;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "%*u: FLOCK %*s WRITE %*d %*x:%*x:%lu", &inode) == 1 &&
		    inode == st.st_ino)
			return true;
	return false;
}

char *host_deployment_dir(const struct cli *cli, const char *group, const char *deployment)
{
	auto_settings struct settings settings = {0};
	int r = host_settings(cli, &settings);
	const char *root =
		r == 0 && settings.root_dir ? settings.root_dir : cli->paths.deployment_root;
	return xasprintf("%s/%s/%s", root, group, deployment);
}

const char *host_hint(int code)
{
	switch (code) {
	case -EACCES:
	case -EPERM:
	case ERR_DENIED:
		return "this needs root: try it with sudo";
	case ERR_BUSY:
		return "wait until it has ended ('slipway status' shows it), then try again";
	case ERR_NOT_FOUND:
		return "'slipway status' and 'slipway history' show what this host has";
	case ERR_INPUT:
		return "'slipway status' shows the groups of this host";
	case -ENOSPC:
	case -EDQUOT:
		return "make room on the disk, then try again";
	default:
		return "'slipway status' shows what this host runs now";
	}
}
