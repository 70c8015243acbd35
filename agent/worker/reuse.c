// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/reuse.h"

#include "agent/worker/prepare.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/str.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOURCE_MARK ".bundle-source"
#define ETAG_MARK ".bundle-etag"

bool reuse_is_id(const char *id)
{
	if (!str_starts(id, "d-") || !id[2] || strlen(id) > REUSE_ID_MAX)
		return false;
	return id[2 + strspn(id + 2, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")] == '\0';
}

bool reuse_is_reused(const struct group *g)
{
	const struct state_deployment *d = g->state->open;
	return d->archive && !str_eq(d->archive, state_deployment_id(d));
}

static bool is_file(int archive_fd, const char *name)
{
	struct stat st;
	auto_close int fd = fs_open_beneath(archive_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
	return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

/* The names of agent/worker/spec.c; the one that is asked for must be there itself. */
static bool has_appspec(int archive_fd, const char *wanted)
{
	if (!str_empty(wanted) && !str_eq(wanted, "appspec.yml"))
		return is_file(archive_fd, wanted);
	return is_file(archive_fd, "appspec.yml") || is_file(archive_fd, "appspec.yaml");
}

struct sum {
	const struct settings *settings;
	uint64_t entries, bytes;
};

/* fs_walk_fn: what an archive is refused for now may have been allowed when that one came. */
static int check_entry(const struct fs_entry *entry, void *arg, struct error *err)
{
	struct sum *sum = arg;
	const struct settings *settings = sum->settings;
	mode_t mode = entry->st.st_mode;
	bool device = S_ISCHR(mode) || S_ISBLK(mode);
	bool setid = S_ISREG(mode) && mode & (S_ISUID | S_ISGID);
	if (!settings->allow_setid && (device || setid))
		return error_set(err, ERR_INPUT, "'%.200s' needs allow_setid", entry->path);
	if (S_ISREG(mode))
		sum->bytes += (uint64_t)entry->st.st_size;
	if (++sum->entries > (uint64_t)settings->archive_max_entries ||
	    (settings->archive_max_bytes && sum->bytes > settings->archive_max_bytes) ||
	    (settings->archive_max_extraction_size &&
	     sum->bytes > settings->archive_max_extraction_size))
		return error_set(err, ERR_LIMIT, "it is larger than agent.yml allows");
	return 0;
}

static int check_archive(struct group *g, const struct state_revision *revision, struct error *err)
{
	const struct wire_spec *spec = g->state->open->job->spec;
	auto_close int fd = group_archive(g, revision->archive, err);
	if (fd < 0)
		return fd;
	if (!has_appspec(fd, spec->appspec_name))
		return error_set(err, ERR_NOT_FOUND, "it has no AppSpec '%s'",
				 spec->appspec_name ? spec->appspec_name : "appspec.yml");
	struct sum sum = {.settings = &g->run->settings};
	int r = fs_walk(fd, 0, check_entry, &sum, err);
	return r < 0 ? r : prepare_check_kept(g, fd, err);
}

/* Scripts are told an ETag also where the specification has none. */
static void take_etag(struct wire_spec *spec, const struct wire_spec *from)
{
	if (!spec->etag && spec->revision_type == WIRE_REVISION_S3 &&
	    from->revision_type == WIRE_REVISION_S3)
		spec->etag = xstrdup_null(from->etag);
}

static int use(struct group *g, const char *from, struct error *err)
{
	struct state_deployment *d = g->state->open;
	if (!reuse_is_id(from) || str_eq(from, state_deployment_id(d)))
		return error_set(err, ERR_INPUT, "that is no other deployment's id");
	const struct state_revision *revision = state_revision_find(g->state, from);
	if (!revision)
		return error_set(err, ERR_NOT_FOUND, "its revision is not kept");
	int r = check_archive(g, revision, err);
	if (r < 0)
		return r;
	r = fs_remove_tree(g->dir_fd, state_deployment_id(d), err); /* of an earlier try */
	if (r < 0)
		return r;
	r = prepare_reuse(g, revision, err);
	if (r < 0)
		return r;
	/* Which name counts is for this deployment's specification to say. */
	free(TAKE(d->appspec));
	take_etag(d->job->spec, revision->spec);
	return 0;
}

int reuse_archive(struct group *g)
{
	const char *from = g->state->open->job->spec->reuse_from;
	if (!from || !g->run->settings.enable_archive_reuse)
		return 0;
	struct error err = {0};
	auto_free char *shown = str_to_utf8(from, strlen(from));
	if (use(g, from, &err) < 0) {
		log_notice("the revision of '%.80s' is not used again, the bundle is downloaded: "
			   "%s",
			   shown, err.text);
		prepare_discard(g);
		return 0;
	}
	log_info("the revision of '%s' is used again, nothing is downloaded", from);
	return 1;
}

static void write_mark(int dirfd, const char *name, const char *text)
{
	auto_close int fd =
		openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0 || fs_write_all(fd, text, strlen(text)) < 0)
		log_debug("'%s' was not written", name);
}

void reuse_write_marks(struct group *g)
{
	const struct state_deployment *d = g->state->open;
	struct error err = {0};
	auto_close int dirfd = group_deployment_dir(g, state_deployment_id(d), &err);
	if (dirfd < 0) {
		log_debug("%s", err.text);
		return;
	}
	write_mark(dirfd, SOURCE_MARK, reuse_is_reused(g) ? "archive-reuse" : "downloaded");
	if (d->job->spec->revision_type == WIRE_REVISION_S3 && d->job->spec->etag)
		write_mark(dirfd, ETAG_MARK, d->job->spec->etag);
}
