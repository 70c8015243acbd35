// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/tally.h"

#include "agent/state.h"
#include "common/alloc.h"
#include "common/attr.h"
#include "common/json.h"
#include "common/str.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define HISTORY "history.jsonl"
#define OTHER "other"
#define VERSION_READ 1

const char *const tally_result_names[TALLY_RESULTS] = {
	[TALLY_SUCCEEDED] = "succeeded",
	[TALLY_FAILED] = "failed",
	[TALLY_LEFT] = "left",
	[TALLY_UNDO] = "undo_failed",
};
const double tally_buckets_s[TALLY_BUCKETS] = {0.1, 1, 10, 60, 300, 1800, 3600};

void tally_clear(struct tally *tally)
{
	for (size_t i = 0; i < tally->n_groups; i++) {
		free(tally->groups[i].name);
		free(tally->groups[i].last);
	}
	for (size_t i = 0; i < tally->n_events; i++)
		free(tally->events[i].name);
	free(tally->groups);
	free(tally->events);
	*tally = (struct tally){0};
}

/* Counting */

static struct tally_group *group_of(struct tally *tally, const char *name)
{
	for (size_t i = 0; i < tally->n_groups; i++)
		if (str_eq(tally->groups[i].name, name))
			return &tally->groups[i];
	if (tally->n_groups >= TALLY_GROUPS_MAX && !str_eq(name, OTHER))
		return group_of(tally, OTHER);
	tally->groups = xrealloc_array(tally->groups, tally->n_groups + 1, sizeof(*tally->groups));
	struct tally_group *group = &tally->groups[tally->n_groups++];
	*group = (struct tally_group){.name = xstrdup(name)};
	return group;
}

static bool is_event(const char *name)
{
	if (str_starts(name, STATE_ROLLBACK_PREFIX))
		name += strlen(STATE_ROLLBACK_PREFIX);
	for (int i = 0; i < WIRE_EVENT_COUNT; i++)
		if (str_eq(wire_event_to_string((enum wire_event)i), name))
			return true;
	return false;
}

static struct tally_event *event_of(struct tally *tally, const char *name)
{
	for (size_t i = 0; i < tally->n_events; i++)
		if (str_eq(tally->events[i].name, name))
			return &tally->events[i];
	tally->events = xrealloc_array(tally->events, tally->n_events + 1, sizeof(*tally->events));
	struct tally_event *event = &tally->events[tally->n_events++];
	*event = (struct tally_event){.name = xstrdup(name)};
	return event;
}

static double number(const json_t *obj, const char *name)
{
	return json_number_value(json_object_get(obj, name));
}

static const char *text(const json_t *obj, const char *name)
{
	return json_string_value(json_object_get(obj, name));
}

/* A step that ran, in whatever way it ended. */
static void add_step(struct tally *tally, const json_t *step)
{
	const char *name = text(step, "event"), *status = text(step, "status");
	double seconds = number(step, "ended") - number(step, "started");
	if (!name || !is_event(name) || !status || seconds < 0)
		return;
	if (!str_eq(status, "succeeded") && !str_eq(status, "failed"))
		return;
	struct tally_event *event = event_of(tally, name);
	size_t bucket = 0;
	while (bucket < TALLY_BUCKETS && seconds > tally_buckets_s[bucket])
		bucket++;
	event->counts[bucket]++;
	event->sum_s += seconds;
}

static enum tally_result result_of(const json_t *deployment)
{
	if (json_is_true(json_object_get(deployment, "undo_failed")))
		return TALLY_UNDO;
	if (str_eq(text(deployment, "result"), "succeeded"))
		return TALLY_SUCCEEDED;
	if (json_object_get(deployment, "rolled_back"))
		return TALLY_FAILED;
	const json_t *step;
	size_t i;
	json_array_foreach (json_object_get(deployment, "steps"), i, step)
		if (str_eq(text(step, "event"), "Install") &&
		    str_eq(text(step, "status"), "succeeded"))
			return TALLY_LEFT;
	return TALLY_FAILED;
}

void tally_add(struct tally *tally, const json_t *deployment)
{
	const char *id = text(deployment, "deployment_id"),
		   *group_id = text(deployment, "group_id");
	if (!id || !group_id)
		return;
	auto_state_deployment struct state_deployment *d = NULL;
	if (state_deployment_from_json(deployment, &d, NULL) < 0)
		return;
	auto_free char *label = state_group_label(d, group_id);
	struct tally_group *group = group_of(tally, label);
	/* one that went on after it was complete has a second line, with the steps of the first */
	bool again = str_eq(group->last, id);
	double counted_s = again ? group->last_s : 0;
	if (!again) {
		group->deployments[result_of(deployment)]++;
		free(group->last);
		group->last = xstrdup(id);
		group->last_s = 0;
	}
	const json_t *step;
	size_t i;
	json_array_foreach (json_object_get(deployment, "steps"), i, step) {
		double ended = number(step, "ended");
		if (ended <= counted_s)
			continue;
		add_step(tally, step);
		if (ended > group->last_s)
			group->last_s = ended;
	}
}

/* The file */

static json_t *numbers_to_json(const uint64_t *list, size_t count)
{
	json_t *array = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(array, json_integer((json_int_t)list[i]));
	return array;
}

static void numbers_from_json(const json_t *array, uint64_t *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		json_int_t n = json_integer_value(json_array_get(array, i));
		list[i] = n > 0 ? (uint64_t)n : 0;
	}
}

json_t *tally_to_json(const struct tally *tally)
{
	json_t *groups = json_array(), *events = json_array(), *obj = json_object();
	for (size_t i = 0; i < tally->n_groups; i++) {
		const struct tally_group *g = &tally->groups[i];
		json_t *one = json_object();
		json_set_str(one, "group", g->name);
		json_object_set_new(one, "deployments",
				    numbers_to_json(g->deployments, TALLY_RESULTS));
		json_set_str(one, "last", g->last);
		json_object_set_new(one, "last_ended", json_real(g->last_s));
		json_array_append_new(groups, one);
	}
	for (size_t i = 0; i < tally->n_events; i++) {
		const struct tally_event *e = &tally->events[i];
		json_t *one = json_object();
		json_set_str(one, "event", e->name);
		json_object_set_new(one, "counts", numbers_to_json(e->counts, TALLY_BUCKETS + 1));
		json_object_set_new(one, "seconds", json_real(e->sum_s));
		json_array_append_new(events, one);
	}
	json_set_int(obj, "version", VERSION_READ);
	json_set_int(obj, "inode", (int64_t)tally->inode);
	json_set_int(obj, "offset", tally->offset);
	json_object_set_new(obj, "groups", groups);
	json_object_set_new(obj, "events", events);
	return obj;
}

static void groups_from_json(const json_t *array, struct tally *tally)
{
	const json_t *one;
	size_t i;
	json_array_foreach (array, i, one) {
		const char *name = text(one, "group");
		if (!name || i > TALLY_GROUPS_MAX)
			continue;
		struct tally_group *group = group_of(tally, name);
		numbers_from_json(json_object_get(one, "deployments"), group->deployments,
				  TALLY_RESULTS);
		free(group->last);
		group->last = xstrdup_null(text(one, "last"));
		group->last_s = number(one, "last_ended");
	}
}

static void events_from_json(const json_t *array, struct tally *tally)
{
	const json_t *one;
	size_t i;
	json_array_foreach (array, i, one) {
		const char *name = text(one, "event");
		if (!name || !is_event(name))
			continue;
		struct tally_event *event = event_of(tally, name);
		numbers_from_json(json_object_get(one, "counts"), event->counts, TALLY_BUCKETS + 1);
		event->sum_s = number(one, "seconds");
	}
}

int tally_from_json(const json_t *obj, struct tally *ret, struct error *err)
{
	int64_t version = 0, inode = 0, offset = 0;
	int r = json_need_int(obj, "version", &version, err);
	if (r == 0 && version != VERSION_READ)
		r = error_set(err, ERR_FORMAT, "version %lld is not known", (long long)version);
	if (r == 0)
		r = json_need_int(obj, "inode", &inode, err);
	if (r == 0)
		r = json_need_int(obj, "offset", &offset, err);
	if (r < 0)
		return r;
	*ret = (struct tally){.inode = (uint64_t)inode, .offset = offset > 0 ? offset : 0};
	groups_from_json(json_object_get(obj, "groups"), ret);
	events_from_json(json_object_get(obj, "events"), ret);
	return 0;
}

/* The history */

/* From offset to the last whole line; a line that is not yet whole is read next time. */
static int read_lines(struct tally *tally, FILE *file, int64_t offset)
{
	auto_free char *line = NULL;
	size_t room = 0;
	int count = 0;
	ssize_t len;
	if (fseeko(file, offset, SEEK_SET) < 0)
		return 0;
	while ((len = getline(&line, &room, file)) > 0 && line[len - 1] == '\n') {
		auto_json json_t *obj = NULL;
		tally->offset += len;
		count++;
		if (len <= STATE_MAX_BYTES &&
		    json_parse(line, (size_t)len, STATE_MAX_BYTES, &obj, NULL) == 0)
			tally_add(tally, obj);
	}
	return count;
}

static FILE *open_history(int host_dirfd, const char *name, struct stat *st)
{
	auto_close int fd = openat(host_dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, st) < 0 || !S_ISREG(st->st_mode))
		return NULL;
	FILE *file = fdopen(fd, "r");
	if (file)
		TAKE_FD(fd);
	return file;
}

int tally_read(struct tally *tally, int host_dirfd, struct error *err)
{
	struct stat st, older_st;
	int count = 0;
	errno = 0;
	auto_fclose FILE *file = open_history(host_dirfd, HISTORY, &st);
	if (!file)
		return errno == ENOENT || errno == 0 ? 0 : error_errno(err, "open " HISTORY);
	if (tally->inode == st.st_ino && tally->offset == st.st_size)
		return 0;
	if (tally->inode != st.st_ino) {
		auto_fclose FILE *older = open_history(host_dirfd, HISTORY ".1", &older_st);
		bool rest = older && (!tally->inode || tally->inode == older_st.st_ino);
		if (rest)
			count = read_lines(tally, older, tally->inode ? tally->offset : 0);
	}
	if (tally->inode != st.st_ino || tally->offset > st.st_size)
		tally->offset = 0;
	tally->inode = st.st_ino;
	return count + read_lines(tally, file, tally->offset);
}
