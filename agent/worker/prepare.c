// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/prepare.h"

#include "agent/worker/durable.h"
#include "agent/worker/hook.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/log.h"
#include "common/str.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static void tell_progress(uint64_t done, uint64_t total, void *arg)
{
	struct group *g = arg;
	caller_progress(&g->run->caller, "unpack", done, total);
}

/* What a program may do without them it finds out much later. */
static void warn_of_capabilities(struct group *g, const struct bundle_source *source,
				 const struct bundle_stats *stats)
{
	auto_problems struct problems problems = {0};
	if (stats->capabilities == 0)
		return;
	problems_add(&problems, PROBLEM_WARNING, source->name,
		     "file capabilities are not installed, of %llu in the bundle; set them in a "
		     "script (setcap)",
		     (unsigned long long)stats->capabilities);
	caller_problems(&g->run->caller, &problems);
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a && (!b || a < b) ? a : b;
}

static struct bundle_limits limits_of(const struct settings *settings)
{
	return (struct bundle_limits){
		.max_bytes =
			smaller(settings->archive_max_bytes, settings->archive_max_extraction_size),
		.max_entries = (uint64_t)settings->archive_max_entries,
		.allow_setid = settings->allow_setid,
		.refuse_setid = settings->reject_unsafe_permissions_in_bundle,
		.refuse_links = settings->reject_symlinks_in_bundle,
		.refuse_outward = settings->reject_path_traversal_in_bundle,
		.ignore_owners = settings->ignore_ownership_in_bundle,
	};
}

int prepare_unpack(struct group *g, const struct bundle_source *source, struct error *err)
{
	struct state_deployment *d = g->state->open;
	const char *id = state_deployment_id(d);
	auto_close int dir_fd = group_deployment_dir(g, id, err);
	if (dir_fd < 0)
		return dir_fd;
	const struct bundle_limits limits = limits_of(&g->run->settings);
	struct bundle_stats stats;
	int r = bundle_unpack(source, dir_fd, GROUP_ARCHIVE, &limits, tell_progress, g, &stats,
			      err);
	if (r < 0)
		return r; /* the text names the bundle */
	log_debug("unpacked %llu entries", (unsigned long long)stats.entries);
	warn_of_capabilities(g, source, &stats);
	free(d->archive);
	d->archive = xstrdup(id);
	return 0;
}

int prepare_reuse(struct group *g, const struct state_revision *revision, struct error *err)
{
	struct state_deployment *d = g->state->open;
	const char *id = state_deployment_id(d);
	auto_close int dir_fd = group_deployment_dir(g, id, err);
	if (dir_fd < 0)
		return dir_fd;
	auto_close int archive_fd = group_archive(g, revision->archive, err);
	if (archive_fd < 0)
		return archive_fd;
	auto_free char *target = xasprintf("../%s/" GROUP_ARCHIVE, revision->archive);
	if (symlinkat(target, dir_fd, GROUP_ARCHIVE) < 0 && errno != EEXIST)
		return error_errno(err, "point '%s' at the kept revision", id);
	free(d->archive);
	d->archive = xstrdup(revision->archive);
	d->bytes = revision->bytes;
	free(d->appspec);
	d->appspec = xstrdup_null(revision->appspec);
	return 0;
}

static bool listed(char *const *list, const char *name)
{
	for (size_t i = 0; list[i]; i++)
		if (strcmp(list[i], name) == 0)
			return true;
	return false;
}

static bool is_standard(const char *name)
{
	enum wire_event event;
	return wire_event_from_string(name, &event) == 0 || strcmp(name, "Start") == 0 ||
	       strcmp(name, "End") == 0;
}

int prepare_check_events(const struct spec *spec, const char *name, char *const *all_events,
			 struct error *err)
{
	for (size_t i = 0; all_events && i < spec->n_events; i++)
		if (!is_standard(spec->events[i].name) && !listed(all_events, spec->events[i].name))
			return error_set(err, ERR_INPUT,
					 "%s:%u: '%s' is no lifecycle event of this deployment",
					 name, spec->events[i].line, spec->events[i].name);
	for (size_t i = 0; all_events && all_events[i]; i++)
		if (!is_standard(all_events[i]) && !spec_event(spec, all_events[i]))
			return error_set(err, ERR_INPUT,
					 "%s: event '%s' of this deployment has no hooks", name,
					 all_events[i]);
	return 0;
}

static int file_exists_of(const char *name, enum spec_file_exists *ret, struct error *err)
{
	*ret = SPEC_EXISTS_UNSET;
	if (!name || spec_file_exists_from_string(name, ret) == 0)
		return 0;
	return error_set(err, ERR_INPUT,
			 "file-exists behavior '%s': expected DISALLOW, OVERWRITE or RETAIN", name);
}

/* What is refused is part of the answer to 'plan': with its path it is an operation that is none.
 */
static void tell_planned(const struct problem *problem, void *arg)
{
	struct run *run = arg;
	caller_problem(&run->caller, problem->level, problem->where, problem->text);
	if (problem->level != PROBLEM_ERROR || problem->where[0] != '/')
		return;
	json_t *event = caller_event("operation");
	json_set_str(event, "op", "refuse");
	json_set_str(event, "path", problem->where);
	json_set_int(event, "bytes", 0);
	json_set_str(event, "reason", problem->text);
	caller_say(&run->caller, event);
	run->refused++;
}

int prepare_plan(struct group *g, int archive_fd, const struct spec *spec, const char *file_exists,
		 int flags, struct plan_summary *ret, struct error *err)
{
	enum spec_file_exists behaviour;
	int r = file_exists_of(file_exists, &behaviour, err);
	if (r < 0)
		return r;
	const struct plan_request request = {
		.archive_fd = archive_fd,
		.spec = spec,
		.destination_root = g->run->settings.destination_root,
		.file_exists = behaviour,
		.group_id = g->id,
		.groups_fd = g->run->groups_fd,
		.group_fd = g->fd,
		.allow_setid = g->run->settings.allow_setid,
		.refuse_links_permissions = (flags & PREPARE_STRICT) &&
					    g->run->settings.reject_symlink_permission_targets,
		.users_later = flags & PREPARE_USERS_LATER,
		.keep_refused = g->run->looks,
	};
	auto_problems struct problems problems = {.arg = g->run};
	if (g->run->looks)
		problems.tell = tell_planned;
	r = plan_make(&request, ret, &problems, err);
	if (!g->run->looks)
		caller_problems(&g->run->caller, &problems);
	return r;
}

/* A kept revision was checked when it came. */
static char *const *known_events(const struct job *job)
{
	switch (job->verb) {
	case JOB_ENDPOINT:
		return job->spec->all_events;
	case JOB_DEPLOY:
		return job->events;
	default:
		return NULL;
	}
}

static void check_limits(const struct group *g, const struct spec *spec, const char *name,
			 struct problems *problems)
{
	const struct spec_limits host = spec_limits_of_host(&g->run->settings);
	spec_check_limits(spec, name, &host, hook_unit_used(g->run->paths.root), problems);
}

/* A rollback goes back to what ran before, whatever the options say by now. */
static bool goes_back(const struct group *g)
{
	const struct state_deployment *d = g->state->open;
	return d && d->job && d->job->verb == JOB_ROLLBACK;
}

static void check_strict(const struct group *g, const struct spec *spec, const char *name,
			 struct problems *problems)
{
	const struct settings *settings = &g->run->settings;
	const struct spec_strict strict = {
		.no_setid = settings->reject_unsafe_permissions_in_bundle,
		.no_unconfined = settings->reject_unconfined_selinux_in_bundle,
		.no_up = settings->reject_path_traversal_in_bundle,
	};
	if (!goes_back(g))
		spec_check_strict(spec, name, &strict, problems);
}

int prepare_check_kept(const struct group *g, int archive_fd, struct error *err)
{
	const struct bundle_limits limits = limits_of(&g->run->settings);
	return bundle_check_tree(archive_fd, &limits, err);
}

/* What was unpacked for another deployment. */
static int check_kept(const struct group *g, int archive_fd, struct error *err)
{
	const struct state_deployment *d = g->state->open;
	if (goes_back(g) || str_eq(d->archive, state_deployment_id(d)))
		return 0;
	int r = prepare_check_kept(g, archive_fd, err);
	return r < 0 ? error_prefix(err, r, "revision '%s'", d->archive) : 0;
}

static int read_spec(struct group *g, int archive_fd, struct spec **ret, struct error *err)
{
	struct state_deployment *d = g->state->open;
	auto_problems struct problems problems = {0};
	auto_free char *name = NULL;
	auto_spec struct spec *spec = NULL;
	const char *wanted = d->appspec ? d->appspec : d->job->spec->appspec_name;
	int r = spec_load(archive_fd, wanted, &spec, &name, &problems, err);
	if (r >= 0) {
		spec_check_archive(spec, name, archive_fd, &problems);
		check_limits(g, spec, name, &problems);
		check_strict(g, spec, name, &problems);
		r = problems_check(&problems, ERR_INPUT, err);
	}
	caller_problems(&g->run->caller, &problems);
	if (r == -ENOENT)
		r = err->code = ERR_INPUT;
	if (r < 0)
		return r;
	r = prepare_check_events(spec, name, known_events(d->job), err);
	if (r < 0)
		return r;
	free(d->appspec);
	d->appspec = TAKE(name);
	*ret = TAKE(spec);
	return 0;
}

int prepare_check(struct group *g, struct plan_summary *ret, struct error *err)
{
	struct state_deployment *d = g->state->open;
	auto_close int archive_fd = group_archive(g, d->archive, err);
	if (archive_fd < 0)
		return archive_fd;
	auto_spec struct spec *spec = NULL;
	caller_progress(&g->run->caller, "plan", 0, 0);
	int r = check_kept(g, archive_fd, err);
	if (r == 0)
		r = read_spec(g, archive_fd, &spec, err);
	if (r < 0)
		return r;
	const int flags = (spec_event(spec, "BeforeInstall") ? PREPARE_USERS_LATER : 0) |
			  (goes_back(g) ? 0 : PREPARE_STRICT);
	r = prepare_plan(g, archive_fd, spec, d->job->spec->file_exists, flags, ret, err);
	if (r < 0)
		return r;
	r = durable_tree(archive_fd, true, err);
	if (r < 0)
		return r;
	struct error ignored;
	if (!d->bytes && fs_tree_bytes(archive_fd, &d->bytes, &ignored) < 0)
		log_debug("the size of '%s' is not known: %s", d->archive, ignored.text);
	return 0;
}

void prepare_discard(struct group *g)
{
	struct state_deployment *d = g->state->open;
	struct error err = {0};
	if (fs_remove_tree(g->dir_fd, state_deployment_id(d), &err) < 0)
		log_warning("the directory of '%s' stays: %s", state_deployment_id(d), err.text);
	free(d->archive);
	d->archive = NULL;
}
