// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/import.h"

#include "agent/worker/group.h"
#include "agent/worker/history.h"
#include "agent/worker/import-give.h"
#include "agent/worker/manifest.h"
#include "agent/worker/official.h"
#include "agent/worker/spec.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/log.h"
#include "common/str.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEPT_MAX 100 /* earlier deployments of a group that are taken over, the newest ones */

/* A deployment whose revision is still there. */
struct kept {
	char *id;
	double installed; /* Unix time */
	bool listed;
};

struct import {
	struct run *run;
	const char *tracking;
	bool resume;  /* groups that are here as imported ones are left as they are */
	bool stopped; /* the official agent has no process, and had none before */
	struct official_group *groups;
	size_t n_groups;
};

static void import_clear(struct import *im)
{
	for (size_t i = 0; i < im->n_groups; i++)
		official_group_clear(&im->groups[i]);
	free(im->groups);
}

static void warn(struct run *run, const char *where, char *text)
{
	caller_problem(&run->caller, PROBLEM_WARNING, where, text);
	free(text);
}

/* ---- may it be done? ---- */

static int check_ongoing(struct import *im, struct error *err)
{
	auto_free char *deployment = NULL;
	int r = official_ongoing(im->run->root_fd, im->tracking, &deployment, err);
	if (r <= 0)
		return r;
	if (!im->stopped)
		return error_set(err, ERR_BUSY,
				 "the official agent has deployment '%s' going on ('%s/%s'): try "
				 "again when it has ended",
				 deployment, im->run->root_path, im->tracking);
	return error_set(err, ERR_BUSY,
			 "the official agent does not run, and has left deployment '%s' open: %s, "
			 "so that it closes it, or remove '%s/%s/%s'",
			 deployment,
			 im->resume ? "'slipway import codedeploy --undo' starts it again"
				    : "start it",
			 im->run->root_path, im->tracking, deployment);
}

static int load_here(struct run *run, const char *id, struct state **ret, struct error *err)
{
	auto_close int fd =
		openat(run->groups_fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ENOENT : error_errno(err, "open group '%s'", id);
	return state_load(fd, ret, err);
}

static bool is_imported(const struct state *state)
{
	return state->last && state->last->job->verb == JOB_IMPORT && !state->open;
}

/* Returns 1 when it is here already as it should be. */
static int check_here(struct import *im, const char *id, struct error *err)
{
	auto_state struct state *state = NULL;
	int r = load_here(im->run, id, &state, err);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return error_prefix(err, r, "group '%s'", id);
	if (im->resume && is_imported(state))
		return 1;
	return error_set(err, ERR_REFUSED,
			 "this host has a group '%s' already, with deployments of its own: which "
			 "of the two is right cannot be told. 'slipway status' shows it",
			 id);
}

/* Revisions stay where they were unpacked, and there is one place for all groups. */
static int check_others(struct import *im, const char *root_before, struct error *err)
{
	struct state **list = NULL;
	size_t count = 0;
	if (str_eq(root_before, im->run->root_path))
		return 0;
	int r = state_load_all(&im->run->paths, &list, &count, err);
	for (size_t i = 0; i < count && r >= 0; i++) {
		bool runs = list[i]->installed || list[i]->open;
		if (!runs || (im->resume && is_imported(list[i])))
			continue;
		auto_free char *label = state_label(list[i]);
		r = error_set(err, ERR_REFUSED,
			      "group '%s' keeps its revisions in '%s', and this host would look "
			      "for them in '%s': 'slipway remove --group %s' first, and deploy it "
			      "again afterwards",
			      label, root_before, im->run->root_path, label);
	}
	state_list_free(list, count);
	return r;
}

static int read_group(struct import *im, const char *id, struct error *err)
{
	const struct paths *paths = &im->run->paths;
	const char *const keep_out[] = {paths->etc, paths->host, paths->agent, im->run->root_path,
					NULL};
	struct official_group *g = &im->groups[im->n_groups];
	int r = check_here(im, id, err);
	if (r != 0)
		return r < 0 ? r : 0;
	r = official_group_read(im->run->root_fd, im->run->root_path, id, keep_out, g, err);
	if (r < 0)
		return r;
	if (!g->n_objects && !g->successful) {
		official_group_clear(g); /* its first deployment has never come to Install */
		return 0;
	}
	im->n_groups++;
	return 0;
}

static int examine(struct import *im, const char *root_before, struct error *err)
{
	char **ids = NULL;
	size_t n = 0;
	int r;
	if ((r = check_ongoing(im, err)) < 0 ||
	    (r = official_groups(im->run->root_fd, &ids, err)) < 0)
		return r;
	while (ids[n])
		n++;
	im->groups = xcalloc(n + 1, sizeof(*im->groups));
	for (size_t i = 0; i < n && r >= 0; i++)
		r = read_group(im, ids[i], err);
	str_list_free(ids);
	return r < 0 ? r : check_others(im, root_before, err);
}

/* ---- revisions that are still there ---- */

static int open_archive(struct import *im, const char *group, const char *deployment)
{
	auto_free char *path = xasprintf("%s/%s/" GROUP_ARCHIVE, group, deployment);
	return fs_open_beneath(im->run->root_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
}

/* The name of its AppSpec; NULL: it has none that Slipway can find. Caller frees. */
static char *find_appspec(struct import *im, int archive_fd, const char *where, bool say)
{
	auto_problems struct problems problems = {0};
	struct spec *spec = NULL;
	char *name = NULL;
	struct error why = {0};
	int r = spec_load_usable(archive_fd, NULL, &spec, &name, &problems, &why);
	if (r < 0 && say)
		warn(im->run, where,
		     xasprintf("%s: %s", why.text,
			       name ? "its scripts cannot be run, the next ApplicationStop fails"
				    : "no revision of it is kept"));
	if (r >= 0 || name)
		spec_free(spec);
	return name;
}

static int by_time(const void *a, const void *b)
{
	const struct kept *x = a, *y = b;
	return (x->installed > y->installed) - (x->installed < y->installed);
}

static void kept_free(struct kept *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i].id);
	free(list);
}

/* The deployments of a group, oldest first; what is none is left alone. */
static struct kept *list_kept(struct import *im, const char *group, size_t *ret_n)
{
	struct kept *list = NULL;
	size_t n = 0;
	auto_close int fd =
		fs_open_beneath(im->run->root_fd, group, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	auto_close int list_fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;
	auto_closedir DIR *dir = list_fd >= 0 ? fdopendir(list_fd) : NULL;
	struct dirent *entry;
	if (dir)
		TAKE_FD(list_fd);
	while (dir && (entry = readdir(dir))) {
		struct stat st;
		auto_close int archive_fd =
			entry->d_name[0] == '.' ? -1 : open_archive(im, group, entry->d_name);
		if (archive_fd < 0 || fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		list = xrealloc_array(list, n + 1, sizeof(*list));
		list[n++] = (struct kept){.id = xstrdup(entry->d_name),
					  .installed = (double)st.st_mtime};
	}
	if (n)
		qsort(list, n, sizeof(*list), by_time);
	*ret_n = n;
	return list;
}

/* ---- a group's records ---- */

/* Its names are nowhere in the official layout: the id has to do until the next deployment. */
static int make_record(const char *group, const char *deployment, struct state_deployment **ret,
		       struct error *err)
{
	auto_json json_t *doc =
		json_pack("{s:{s:s,s:{s:s,s:s}}}", "Revision", "RevisionType", "Local Directory",
			  "LocalRevision", "BundleType", "directory", "Location",
			  "imported from the official agent");
	json_set_str(doc, "DeploymentId", deployment);
	json_set_str(doc, "DeploymentGroupId", group);
	json_set_str(doc, "DeploymentGroupName", group);
	json_set_str(doc, "ApplicationName", group);
	auto_job struct job *job = xcalloc(1, sizeof(*job));
	job->verb = JOB_IMPORT;
	int r = wire_spec_from_json(doc, &job->spec, err);
	if (r < 0)
		return error_prefix(err, r, "group '%s', deployment '%s'", group, deployment);
	*ret = state_deployment_new(TAKE(job));
	return 0;
}

/* Adds it to the state when its revision can be used. */
static int add_revision(struct import *im, struct state *state, const char *id, double installed,
			bool succeeded, struct error *err)
{
	auto_state_deployment struct state_deployment *d = NULL;
	auto_close int archive_fd = open_archive(im, state->group_id, id);
	auto_free char *appspec =
		archive_fd >= 0 ? find_appspec(im, archive_fd, id, succeeded) : NULL;
	if (!appspec)
		return 0;
	int r = make_record(state->group_id, id, &d, err);
	if (r < 0)
		return r;
	d->archive = xstrdup(id);
	d->appspec = TAKE(appspec);
	struct error ignored;
	if (fs_tree_bytes(archive_fd, &d->bytes, &ignored) < 0)
		d->bytes = 0;
	state_revision_add(state, d, succeeded);
	struct state_revision *added = state_revision_find(state, id);
	if (added && installed > 0)
		added->installed = installed;
	return added ? 1 : 0;
}

/* That of another deployment may have failed, for all that is known: it is kept, and a rollback
 * goes there only when it is named. */
static int add_earlier(struct import *im, struct state *state, const char *successful,
		       struct error *err)
{
	size_t n;
	struct kept *list = list_kept(im, state->group_id, &n);
	int r = 0;
	for (size_t i = n > KEPT_MAX ? n - KEPT_MAX : 0; i < n && r >= 0; i++)
		if (!str_eq(list[i].id, successful))
			r = add_revision(im, state, list[i].id, list[i].installed, false, err);
	kept_free(list, n);
	return r;
}

static int make_state(struct import *im, const struct official_group *og, struct state **ret,
		      struct error *err)
{
	auto_state struct state *state = state_new(og->id);
	char local[JOB_LOCAL_ID_LEN];
	int r = add_earlier(im, state, og->successful, err);
	if (r >= 0 && og->successful)
		r = add_revision(im, state, og->successful, 0, true, err);
	if (r < 0)
		return r;
	bool kept = og->successful && r > 0;
	job_local_id(local);
	r = make_record(og->id, og->successful ? og->successful : local, &state->open, err);
	if (r < 0)
		return r;
	if (kept) {
		const struct state_revision *rev = state_revision_find(state, og->successful);
		state->open->archive = xstrdup(rev->archive);
		state->open->appspec = xstrdup(rev->appspec);
		state->open->bytes = rev->bytes;
		state->installed = xstrdup(og->successful);
		state->last_successful = xstrdup(og->successful);
	}
	const char *recent = og->recent ? og->recent : og->successful;
	state->most_recent = xstrdup_null(recent);
	state_close(state, true);
	*ret = TAKE(state);
	return 0;
}

static void describe(const struct stat *st, struct manifest_entry *e)
{
	e->root = MANIFEST_NO_ROOT;
	e->mode = st->st_mode & 07777;
	e->uid = st->st_uid;
	e->gid = st->st_gid;
	e->ino = st->st_ino;
	e->size = (uint64_t)st->st_size;
	e->mtime_s = st->st_mtim.tv_sec;
	e->mtime_ns = (uint32_t)st->st_mtim.tv_nsec;
}

/* As it is now: what was changed since it was installed shows where its revision is kept. */
static int write_manifest(const struct official_group *og, int fd, struct error *err)
{
	auto_manifest_writer struct manifest_writer w = {.file = RECORD_FILE_INIT};
	int r = manifest_create(&w, fd, MANIFEST, err);
	for (size_t i = 0; i < og->n_objects && r >= 0; i++) {
		const struct official_object *o = &og->objects[i];
		struct manifest_entry e = {.type = o->type, .path = o->path, .has_acl = true};
		struct acl_room access = {0}, bequeath = {0};
		struct stat st;
		if (lstat(o->path, &st) < 0)
			continue;
		describe(&st, &e);
		if (o->type != 'l' && acl_get_path(o->path, ACL_OF_OBJECT, &access) == 0)
			e.access = acl_of(&access);
		if (o->type == 'd' && acl_get_path(o->path, ACL_TO_BEQUEATH, &bequeath) == 0)
			e.bequeath = acl_of(&bequeath);
		r = manifest_add(&w, &e, err);
	}
	return r < 0 ? r : manifest_finish(&w, err);
}

static int write_note(const struct official_group *og, int fd, struct error *err)
{
	if (!og->n_labels)
		return 0;
	auto_json json_t *doc = json_object();
	json_t *list = json_array();
	json_set_int(doc, "version", 1);
	json_object_set_new(doc, "semanage", list);
	for (size_t i = 0; i < og->n_labels; i++)
		json_array_append_new(list, json_string(og->labels[i]));
	return json_write_file_max(fd, IMPORT_NOTE, doc, OFFICIAL_FILE_MAX, 0640, err);
}

static int write_records(struct import *im, const struct official_group *og,
			 const struct state *state, struct error *err)
{
	struct run *run = im->run;
	char name[32] = "import-";
	str_random(name + 7, 12);
	auto_close int tmp_fd = fs_mkdirs(run->host_fd, "tmp", 0700, err);
	auto_close int fd = tmp_fd < 0 ? tmp_fd : fs_mkdirs(tmp_fd, name, 0750, err);
	int r = fd;
	if (r >= 0 && (r = write_manifest(og, fd, err)) >= 0 &&
	    (r = write_note(og, fd, err)) >= 0 && (r = state_save(fd, state, err)) >= 0 &&
	    (r = fs_sync_dir(fd, err)) >= 0 &&
	    (r = fs_remove_tree(run->groups_fd, og->id, err)) >= 0) /* it has no state */
		r = renameat(tmp_fd, name, run->groups_fd, og->id) < 0
			    ? error_errno(err, "make group '%s'", og->id)
			    : fs_sync_dir(run->groups_fd, err);
	struct error ignored;
	if (r < 0 && fd >= 0 && fs_remove_tree(tmp_fd, name, &ignored) < 0)
		log_debug("'%s' stays", name);
	return r;
}

static int take_group(struct import *im, const struct official_group *og, struct error *err)
{
	auto_state struct state *state = NULL;
	auto_close int lock_fd = group_lock(im->run, og->id, "import", err);
	/* again: a deployment may have come between */
	int r = lock_fd < 0 ? lock_fd : check_here(im, og->id, err);
	if (r != 0)
		return r < 0 ? r : 0;
	if ((r = make_state(im, og, &state, err)) < 0 ||
	    (r = write_records(im, og, state, err)) < 0)
		return r;
	struct error quiet = {0};
	if (history_ensure(im->run->host_fd, state, &quiet) < 0)
		log_warning("history was not written: %s", quiet.text);
	return 0;
}

/* ---- what the caller is told ---- */

static void tell_oddities(struct import *im, const struct official_group *og)
{
	struct run *run = im->run;
	if (og->gone)
		warn(run, og->id,
		     xasprintf("%zu paths of '%s-cleanup' are not there any more", og->gone,
			       og->id));
	if (og->partial)
		warn(run, og->id,
		     xasprintf(
			     "the last line of '%s-cleanup' is cut off, as the official agent was "
			     "killed in Install: files of that deployment may be in the way of "
			     "the next one",
			     og->id));
	if (og->recent && og->successful && !str_eq(og->recent, og->successful))
		warn(run, og->id,
		     xasprintf("its last deployment '%s' has failed; what counts is '%s', the last "
			       "one whose files were all installed",
			       og->recent, og->successful));
	if (og->n_labels)
		warn(run, og->id,
		     xasprintf("%zu rules that 'semanage fcontext' has made for it stay in the "
			       "policy: 'semanage fcontext -d PATH' removes one, 'slipway import "
			       "codedeploy --undo' gives them back",
			       og->n_labels));
	if (!og->successful)
		warn(run, og->id,
		     xstrdup("it has files, and no deployment that was successful: "
			     "the files are taken over, and no revision"));
}

static void tell_group(struct import *im, const struct official_group *og)
{
	int64_t files = 0, directories = 0;
	for (size_t i = 0; i < og->n_objects; i++)
		*(og->objects[i].type == 'd' ? &directories : &files) += 1;
	size_t n;
	struct kept *list = list_kept(im, og->id, &n);
	kept_free(list, n);
	json_t *event = caller_event("imported");
	json_set_str(event, "group_id", og->id);
	json_set_str(event, "deployment", og->successful);
	json_set_int(event, "files", files);
	json_set_int(event, "directories", directories);
	json_set_int(event, "revisions", (int64_t)n);
	caller_say(&im->run->caller, event);
	tell_oddities(im, og);
}

/* ---- the verb ---- */

/* What settings say of the deployment root does not count here: they are about to change. */
static int use_root(struct run *run, const char *path, struct error *err)
{
	auto_free char *clean = NULL;
	if (fs_normalise(path, &clean) < 0)
		return error_set(err, ERR_INPUT, "'%s' is not an absolute path", path);
	int fd = open(clean, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, "open '%s'", clean);
	fs_close_quiet(run->root_fd);
	free(run->root_path);
	run->root_fd = fd;
	run->root_path = TAKE(clean);
	return 0;
}

static int take(struct import *im, const char *root_before, bool look, struct error *err)
{
	int r = examine(im, root_before, err);
	for (size_t i = 0; i < im->n_groups && r >= 0; i++) {
		r = look ? 0 : take_group(im, &im->groups[i], err);
		if (r >= 0)
			tell_group(im, &im->groups[i]);
	}
	return r;
}

int import_verb(struct run *run, const json_t *message, int fd, json_t *result, struct error *err)
{
	CLEANUP(import_clear)
	struct import im = {.run = run, .tracking = "ongoing-deployment"};
	const char *step = NULL, *root_dir = NULL;
	auto_free char *root_before = xstrdup(run->root_path);
	int r;
	if ((r = json_need_str(message, "step", &step, err)) < 0 ||
	    (r = json_need_str(message, "root_dir", &root_dir, err)) < 0 ||
	    (r = json_opt_str(message, "tracking", &im.tracking, err)) < 0 ||
	    (r = json_opt_bool(message, "resume", &im.resume, err)) < 0 ||
	    (r = json_opt_bool(message, "stopped", &im.stopped, err)) < 0)
		return run_exit_code(r);
	if (!str_is_filename(im.tracking))
		r = error_set(err, ERR_INPUT, "'%s' is no name of a directory", im.tracking);
	if (r >= 0)
		r = use_root(run, root_dir, err);
	if (r < 0)
		return run_exit_code(r);
	if (str_eq(step, "check") || str_eq(step, "take"))
		r = take(&im, root_before, str_eq(step, "check"), err);
	else if (str_eq(step, "give-check"))
		r = import_give_check(run, err);
	else if (str_eq(step, "give"))
		r = import_give(run, err);
	else
		r = error_set(err, ERR_INPUT, "step '%s' is not known", step);
	return r < 0 ? run_exit_code(r) : 0;
}
