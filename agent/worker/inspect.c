// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/inspect.h"

#include "agent/worker/drift.h"
#include "agent/worker/group.h"
#include "agent/worker/hooks.h"
#include "agent/worker/install.h"
#include "agent/worker/manifest.h"
#include "agent/worker/scratch.h"
#include "agent/worker/transact.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/log.h"
#include "common/str.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* A group as it was when it was looked up: what it has installed, and the revision of that. */
struct inspected {
	struct scratch scratch; /* with the manifest */
	char *installed;        /* NULL: nothing */
	char *last;             /* deployment that ended last */
	int archive_fd;         /* -1: it is gone */
	struct spec *spec;
};
#define INSPECTED_INIT ((struct inspected){.scratch = SCRATCH_INIT, .archive_fd = -1})

static void inspected_clear(struct inspected *i)
{
	scratch_clear(&i->scratch);
	fs_close_quiet(i->archive_fd);
	spec_free(i->spec);
	free(i->installed);
	free(i->last);
	*i = INSPECTED_INIT;
}

struct inspection {
	struct run *run;
	const char *id;
	bool leave_extra;
	struct drift_summary summary;
};

static const char *last_of(const struct state *state)
{
	return state->last ? state_deployment_id(state->last) : NULL;
}

/* The revision is best effort: without it content cannot be compared, which is told. */
static void open_revision(struct group *g, struct inspected *i)
{
	struct hooks_revision revision;
	auto_problems struct problems problems = {0};
	struct error why = {0};
	if (!i->installed || !hooks_revision_kept(g, i->installed, &revision))
		return;
	i->archive_fd = group_archive(g, revision.archive, &why);
	if (i->archive_fd >= 0 &&
	    spec_load(i->archive_fd, revision.appspec, &i->spec, NULL, &problems, &why) < 0)
		fs_close_quiet(TAKE_FD(i->archive_fd));
	if (i->archive_fd < 0)
		caller_problem(&g->run->caller, PROBLEM_WARNING, i->installed, why.text);
}

static int take(struct inspection *s, struct inspected *ret, struct error *err)
{
	auto_group struct group g = {.lock_fd = -1, .fd = -1, .dir_fd = -1};
	int r = group_open(s->run, s->id, "verify", true, &g, err);
	if (r >= 0)
		r = transact_check_idle(&g, err);
	if (r >= 0)
		r = scratch_open(&ret->scratch, s->run, err);
	if (r >= 0)
		r = scratch_link_manifest(&ret->scratch, s->run, s->id, err);
	if (r < 0)
		return r;
	ret->installed = xstrdup_null(g.state->installed);
	ret->last = xstrdup_null(last_of(g.state));
	open_revision(&g, ret);
	return 0;
}

static bool same_manifest(const struct scratch *scratch, const struct group *g)
{
	struct stat then = {0}, now = {0};
	bool was = fstatat(scratch->fd, MANIFEST, &then, AT_SYMLINK_NOFOLLOW) == 0;
	bool is = fstatat(g->fd, MANIFEST, &now, AT_SYMLINK_NOFOLLOW) == 0;
	return was == is && then.st_ino == now.st_ino;
}

/* What was found holds only if nobody has deployed since. */
static int check_unchanged(struct inspection *s, const struct inspected *i, struct error *err)
{
	auto_group struct group g = {.lock_fd = -1, .fd = -1, .dir_fd = -1};
	int r = group_open(s->run, s->id, "verify", true, &g, err);
	if (r >= 0)
		r = transact_check_idle(&g, err);
	if (r < 0)
		return r;
	if (str_eq(i->last, last_of(g.state)) && same_manifest(&i->scratch, &g))
		return 0;
	auto_free char *label = state_label(g.state);
	return error_set(err, ERR_BUSY,
			 "group '%s': there was a deployment while its files were compared", label);
}

static json_t *describe(const struct drift_object *object)
{
	json_t *list = json_array();
	for (size_t i = 0; i < object->n_differences; i++) {
		const struct drift_difference *one = &object->differences[i];
		json_t *obj = json_object();
		json_set_str(obj, "what", one->what);
		json_set_str(obj, "expected", one->expected);
		json_set_str(obj, "found", one->found);
		json_array_append_new(list, obj);
	}
	return list;
}

static int tell_drift(const struct drift_object *object, void *arg)
{
	struct inspection *s = arg;
	json_t *event = caller_event("drift");
	json_set_str(event, "group_id", s->id);
	json_set_str(event, "kind", drift_kind_to_string(object->kind));
	json_set_str(event, "path", object->path);
	json_object_set_new(event, "differs", describe(object));
	caller_say(&s->run->caller, event);
	return s->run->caller.gone ? -EPIPE : 0; /* nobody else has any use for it */
}

static void tell_progress(uint64_t done, uint64_t total, void *arg)
{
	struct inspection *s = arg;
	caller_progress(&s->run->caller, "verify", done, total);
}

static int compare(struct inspection *s, const struct inspected *i, struct error *err)
{
	const struct plan_request plan = {
		.archive_fd = i->archive_fd,
		.spec = i->spec,
		.destination_root = s->run->settings.destination_root,
		.group_id = s->id,
		.groups_fd = -1,
		.group_fd = i->scratch.fd,
		.allow_setid = s->run->settings.allow_setid,
	};
	auto_plan_sources struct plan_sources *sources = NULL;
	int r = plan_sources_make(&plan, &sources, err);
	if (r < 0)
		return r;
	const struct drift_request request = {
		.sources = sources,
		.archive_fd = i->archive_fd,
		.groups_fd = s->run->groups_fd,
		.group_id = s->id,
		.scratch_fd = i->scratch.fd,
		.leave_extra = s->leave_extra,
		.tell = tell_drift,
		.progress = tell_progress,
		.arg = s,
	};
	return drift_find(&request, &s->summary, err);
}

static void tell_verified(struct inspection *s, const char *installed, const struct error *busy)
{
	json_t *event = caller_event("verified");
	json_set_str(event, "group_id", s->id);
	json_set_str(event, "deployment", installed);
	if (busy) {
		json_set_str(event, "busy", busy->text);
	} else {
		json_set_int(event, "objects", (int64_t)s->summary.objects);
		json_set_int(event, "uncompared", (int64_t)s->summary.uncompared);
		for (int kind = 0; kind < DRIFT_KIND_COUNT; kind++)
			json_set_int(event, drift_kind_to_string(kind),
				     (int64_t)s->summary.counts[kind]);
	}
	caller_say(&s->run->caller, event);
}

/* Returns 1 when something differs, 0, or below 0; a busy group was told as such. */
static int inspect(struct inspection *s, struct error *err)
{
	CLEANUP(inspected_clear) struct inspected i = INSPECTED_INIT;
	s->summary = (struct drift_summary){0};
	int r = take(s, &i, err);
	if (r >= 0)
		r = compare(s, &i, err);
	if (r >= 0)
		r = check_unchanged(s, &i, err);
	if (r >= 0 || r == ERR_BUSY)
		tell_verified(s, i.installed, r < 0 ? err : NULL);
	if (r < 0)
		return r;
	for (int kind = 0; kind < DRIFT_KIND_COUNT; kind++)
		if (s->summary.counts[kind])
			return 1;
	return 0;
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* A file in a group's place, and one that was never deployed, are nothing to look at. */
static bool has_state(struct run *run, const char *id)
{
	auto_free char *path = fs_join(id, "state.json");
	return faccessat(run->groups_fd, path, F_OK, 0) == 0;
}

/* What cannot be looked at is told, and does not end it; what is worse than busy counts. */
static int inspect_each(struct inspection *s, struct dirent *const *entries, int count,
			struct error *err)
{
	bool drift = false;
	int failed = 0;
	for (int i = 0; i < count; i++) {
		struct error one = {0};
		s->id = entries[i]->d_name;
		int r = has_state(s->run, s->id) ? inspect(s, &one) : 0;
		drift |= r > 0;
		if (r >= 0)
			continue;
		if (r != ERR_BUSY)
			log_error("%s", one.text);
		if (!failed || (failed == ERR_BUSY && r != ERR_BUSY)) {
			*err = one;
			failed = r;
		}
	}
	/* Drift is told as such whatever became of the other groups: it is there. */
	return drift ? 1 : failed;
}

static int inspect_all(struct inspection *s, struct error *err)
{
	struct dirent **entries = NULL;
	int count = scandirat(s->run->groups_fd, ".", &entries, is_visible, alphasort);
	if (count < 0)
		return error_errno(err, "list the groups");
	int r = inspect_each(s, entries, count, err);
	for (int i = 0; i < count; i++)
		free(entries[i]);
	free(entries);
	return r;
}

int inspect_verify_verb(struct run *run, const json_t *message, int fd, json_t *result,
			struct error *err)
{
	struct inspection s = {.run = run};
	bool extra = true;
	if (json_opt_str(message, "group", &s.id, err) < 0 ||
	    json_opt_bool(message, "extra", &extra, err) < 0)
		return 2;
	s.leave_extra = !extra;
	int r = s.id ? inspect(&s, err) : inspect_all(&s, err);
	if (r < 0)
		return run_exit_code(r);
	*err = (struct error){0};
	return r;
}
