// SPDX-License-Identifier: Apache-2.0
/* Two passes over the manifest, directories before what is in them: names into both files, then
 * what 'permissions' say about each. In memory there are only the entries of the AppSpec. */
#include "agent/worker/instructions.h"

#include "agent/worker/hooks.h"
#include "agent/worker/install.h"
#include "agent/worker/layout.h"
#include "agent/worker/manifest.h"
#include "agent/worker/spec-match.h"
#include "common/alloc.h"
#include "common/buf.h"
#include "common/fs.h"
#include "common/str.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FLUSH ((size_t)64 * 1024)

/* A file that is written beside and takes its name at the end. */
struct out {
	int dirfd, fd;
	char *name, *beside;
	struct buf text;
};

static void out_clear(struct out *o)
{
	if (o->fd >= 0) { /* given up */
		fs_close_quiet(o->fd);
		fs_unlink_quiet(o->dirfd, o->beside);
	}
	free(o->name);
	free(o->beside);
	buf_clear(&o->text);
}

static int out_open(struct out *o, struct group *g, int dirfd, const char *suffix,
		    struct error *err)
{
	*o = (struct out){.dirfd = dirfd, .fd = -1, .text = BUF_INIT(16 * FLUSH)};
	o->name = xasprintf("%s-%s", g->id, suffix);
	o->beside = xasprintf(".%s.new", o->name);
	o->fd = openat(dirfd, o->beside, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
		       layout_mode_file(g->run));
	return o->fd < 0 ? error_errno(err, "write '%s'", o->name) : 0;
}

static int out_flush(struct out *o, size_t above, struct error *err)
{
	int r = buf_check(&o->text, o->name, err);
	if (r < 0 || o->text.len <= above)
		return r;
	r = fs_write_all(o->fd, buf_str(&o->text), o->text.len);
	buf_reset(&o->text);
	return r < 0 ? error_set(err, r, "write '%s': %s", o->name, strerror(-r)) : 0;
}

/* A recovery that found nothing to do changes nothing that somebody may watch. */
static bool is_there_already(const struct out *o)
{
	auto_close int fd =
		openat(o->dirfd, o->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat is, was;
	if (fd < 0 || fstat(fd, &was) < 0 || fstat(o->fd, &is) < 0 || is.st_size != was.st_size ||
	    is.st_mode != was.st_mode || is.st_uid != was.st_uid || is.st_gid != was.st_gid)
		return false;
	char a[4096], b[sizeof(a)];
	for (off_t at = 0; at < is.st_size;) {
		ssize_t n = pread(fd, a, sizeof(a), at);
		if (n <= 0 || pread(o->fd, b, (size_t)n, at) != n || memcmp(a, b, (size_t)n) != 0)
			return false;
		at += n;
	}
	return true;
}

static int out_finish(struct out *o, struct error *err)
{
	int r = out_flush(o, 0, err);
	if (r < 0)
		return r;
	if (is_there_already(o)) {
		fs_unlink_quiet(o->dirfd, o->beside);
		fs_close_quiet(TAKE_FD(o->fd));
		return 0;
	}
	if (renameat(o->dirfd, o->beside, o->dirfd, o->name) < 0)
		return error_errno(err, "write '%s'", o->name);
	fs_close_quiet(TAKE_FD(o->fd));
	return 0;
}

/* An entry of 'files' as it is on this host. */
struct mapping {
	char *destination;  /* canonical */
	const char *source; /* in the archive */
	const char *base;   /* of a file; NULL: it is a directory */
};

struct permission {
	const struct spec_permission *spec;
	char *object; /* canonical */
	char kind;
};

struct writer {
	struct group *g;
	const char *manifest;
	int archive_fd; /* -1: the revision is gone */
	char *archive_path;
	struct spec *spec;
	struct mapping *mappings;
	size_t n_mappings;
	struct permission *permissions;
	size_t n_permissions;
	struct out install, cleanup;
	bool begun; /* there is an instruction before */
};

static void writer_clear(struct writer *w)
{
	for (size_t i = 0; i < w->n_mappings; i++)
		free(w->mappings[i].destination);
	for (size_t i = 0; i < w->n_permissions; i++)
		free(w->permissions[i].object);
	free(w->mappings);
	free(w->permissions);
	free(w->archive_path);
	spec_free(w->spec);
	fs_close_quiet(w->archive_fd);
	out_clear(&w->install);
	out_clear(&w->cleanup);
}

/* The manifest's paths are canonical. */
static char *canonical(const struct writer *w, const char *path)
{
	const char *root = w->g->run->settings.destination_root;
	auto_free char *joined = fs_join(root ? root : "", path);
	char *real = realpath(joined, NULL);
	return real ? real : TAKE(joined);
}

static void add_mapping(struct writer *w, const struct spec_file *f)
{
	struct stat st;
	if (fstatat(w->archive_fd, *f->source ? f->source : ".", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	const char *slash = strrchr(f->source, '/');
	w->mappings[w->n_mappings++] = (struct mapping){
		.destination = canonical(w, f->destination),
		.source = f->source,
		.base = S_ISDIR(st.st_mode) ? NULL : (slash ? slash + 1 : f->source),
	};
}

static void add_permission(struct writer *w, const struct spec_permission *s)
{
	struct stat st;
	struct permission p = {.spec = s, .object = canonical(w, s->object)};
	bool dir = lstat(p.object, &st) == 0 && S_ISDIR(st.st_mode);
	p.kind = dir ? 'd' : (s->files ? 'f' : 0);
	w->permissions[w->n_permissions++] = p;
}

static bool in_place(const struct writer *w, bool next, struct hooks_revision *ret)
{
	const struct state *state = w->g->state;
	if (next)
		return hooks_revision_new(w->g, ret);
	return state->installed && hooks_revision_kept(w->g, state->installed, ret);
}

/* A revision that is gone or broken has no sources; what is installed of it is in the manifest. */
static void load_revision(struct writer *w, bool next)
{
	struct hooks_revision revision;
	struct error ignored;
	if (!in_place(w, next, &revision))
		return;
	w->archive_fd = group_archive(w->g, revision.archive, &ignored);
	auto_problems struct problems problems = {0};
	if (w->archive_fd < 0 ||
	    spec_load(w->archive_fd, revision.appspec, &w->spec, NULL, &problems, &ignored) < 0)
		return;
	w->archive_path = group_archive_path(w->g, revision.archive);
	w->mappings = xcalloc(w->spec->n_files + 1, sizeof(*w->mappings));
	for (size_t i = 0; i < w->spec->n_files; i++)
		add_mapping(w, &w->spec->files[i]);
	w->permissions = xcalloc(w->spec->n_permissions + 1, sizeof(*w->permissions));
	for (size_t i = 0; i < w->spec->n_permissions; i++)
		add_permission(w, &w->spec->permissions[i]);
}

/* In the archive; NULL: this entry does not bring it. Caller frees. */
static char *source_by(const struct mapping *m, const char *path)
{
	const char *rel;
	if (!spec_match_below(path, m->destination, &rel))
		return NULL;
	if (!m->base)
		return fs_join(m->source, rel);
	return strcmp(rel, m->base) == 0 ? xstrdup(m->source) : NULL;
}

/* Where entries lie inside of each other, only one of them has it. */
static char *source_of(const struct writer *w, const char *path)
{
	for (size_t i = 0; i < w->n_mappings; i++) {
		auto_free char *source = source_by(&w->mappings[i], path);
		if (source && (w->n_mappings == 1 ||
			       faccessat(w->archive_fd, source, F_OK, AT_SYMLINK_NOFOLLOW) == 0))
			return xasprintf("%s/%s", w->archive_path, source);
	}
	return NULL;
}

/* JSON */

static void add_text(struct buf *b, const char *name, const char *text)
{
	auto_free char *clean =
		str_is_utf8(text, strlen(text)) ? NULL : str_to_utf8(text, strlen(text));
	buf_addf(b, ",\"%s\":\"", name);
	for (const char *p = clean ? clean : text; *p; p++) {
		if (*p == '"' || *p == '\\')
			buf_addf(b, "\\%c", *p);
		else if ((unsigned char)*p < 0x20)
			buf_addf(b, "\\u%04x", (unsigned char)*p);
		else
			buf_addc(b, *p);
	}
	buf_addc(b, '"');
}

static void add_text_or_null(struct buf *b, const char *name, const char *text)
{
	if (text)
		add_text(b, name, text);
	else
		buf_addf(b, ",\"%s\":null", name);
}

static struct buf *begin(struct writer *w, const char *type)
{
	struct buf *b = &w->install.text;
	buf_addf(b, "%s{\"type\":\"%s\"", w->begun ? "," : "", type);
	w->begun = true;
	return b;
}

/* One entry a line, trimmed by who reads it: a name that this would change would remove another. */
static bool fits_a_line(const char *path)
{
	size_t len = strlen(path);
	return !strchr(path, '\n') && len > 0 && !isspace((unsigned char)path[len - 1]);
}

static int put_name(const struct manifest_entry *e, void *arg, struct error *err)
{
	struct writer *w = arg;
	if (fits_a_line(e->path))
		buf_addf(&w->cleanup.text, "%s\n", e->path);
	auto_free char *source = e->type == 'd' ? NULL : source_of(w, e->path);
	if (e->type == 'd') {
		struct buf *b = begin(w, "mkdir");
		add_text(b, "directory", e->path);
		buf_addc(b, '}');
	} else if (source) {
		struct buf *b = begin(w, "copy");
		add_text(b, "source", source);
		add_text(b, "destination", e->path);
		buf_addc(b, '}');
	}
	int r = out_flush(&w->cleanup, FLUSH, err);
	return r < 0 ? r : out_flush(&w->install, FLUSH, err);
}

static void put_acl(struct buf *b, const struct spec_acl *acl)
{
	static const char *const tags[] = {
		[SPEC_ACL_USER] = "user",
		[SPEC_ACL_GROUP] = "group",
		[SPEC_ACL_MASK] = "mask",
		[SPEC_ACL_OTHER] = "other",
	};
	buf_addf(b, "\"%s%s:%s:%s%s%s\"", acl->is_default ? "default:" : "", tags[acl->tag],
		 acl->name, acl->perm & 4 ? "r" : "", acl->perm & 2 ? "w" : "",
		 acl->perm & 1 ? "x" : "");
}

static void put_acls(struct writer *w, const struct spec_permission *s, const char *path)
{
	struct buf *b = begin(w, "setfacl");
	buf_adds(b, ",\"acl\":[");
	for (size_t i = 0; i < s->n_acls; i++) {
		if (i)
			buf_addc(b, ',');
		put_acl(b, &s->acls[i]);
	}
	buf_addc(b, ']');
	add_text(b, "file", path);
	buf_addc(b, '}');
}

static void put_context(struct writer *w, const struct spec_context *c, const char *path)
{
	struct buf *b = begin(w, "semanage");
	buf_adds(b, ",\"context\":{\"role\":null");
	add_text_or_null(b, "user", c->user);
	add_text_or_null(b, "type", c->type);
	add_text_or_null(b, "range", c->range);
	buf_addc(b, '}');
	add_text(b, "file", path);
	buf_addc(b, '}');
}

/* In the order in which the official agents apply them. */
static void put_permission(struct writer *w, const struct spec_permission *s, const char *path)
{
	if (s->has_mode) {
		struct buf *b = begin(w, "chmod");
		buf_addf(b, ",\"mode\":\"%03o\"", (unsigned)s->mode);
		add_text(b, "file", path);
		buf_addc(b, '}');
	}
	if (s->n_acls)
		put_acls(w, s, path);
	if (s->has_context)
		put_context(w, &s->context, path);
	if (!s->owner && !s->group)
		return;
	struct buf *b = begin(w, "chown");
	add_text_or_null(b, "owner", s->owner);
	add_text_or_null(b, "group", s->group);
	add_text(b, "file", path);
	buf_addc(b, '}');
}

static int put_permissions(const struct manifest_entry *e, void *arg, struct error *err)
{
	struct writer *w = arg;
	for (size_t i = 0; i < w->n_permissions; i++) {
		const struct permission *p = &w->permissions[i];
		if (spec_match(p->spec, p->kind, p->object, e->path, e->type))
			put_permission(w, p->spec, e->path);
	}
	return out_flush(&w->install, FLUSH, err);
}

static void remove_both(struct group *g, int dirfd)
{
	static const char *const suffixes[] = {"install.json", "cleanup"};
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		auto_free char *name = xasprintf("%s-%s", g->id, suffixes[i]);
		fs_unlink_quiet(dirfd, name);
	}
}

static int write_both(struct writer *w, int dirfd, struct error *err)
{
	int r = out_open(&w->install, w->g, dirfd, "install.json", err);
	if (r >= 0)
		r = out_open(&w->cleanup, w->g, dirfd, "cleanup", err);
	if (r < 0)
		return r;
	buf_adds(&w->install.text, "{\"instructions\":[");
	r = manifest_stream(w->g->fd, w->manifest, put_name, w, err);
	if (r >= 0 && w->n_permissions)
		r = manifest_stream(w->g->fd, w->manifest, put_permissions, w, err);
	if (r < 0)
		return r;
	if (!w->begun && !w->cleanup.text.len) { /* what is left of a group that was removed */
		remove_both(w->g, dirfd);
		return 0;
	}
	buf_adds(&w->install.text, "]}");
	r = out_finish(&w->cleanup, err);
	return r < 0 ? r : out_finish(&w->install, err);
}

int instructions_write(struct group *g, struct error *err)
{
	CLEANUP(writer_clear)
	struct writer w = {.g = g, .archive_fd = -1, .install = {.fd = -1}, .cleanup = {.fd = -1}};
	enum install_state state;
	int r = install_state(g->fd, &state, NULL, err);
	if (r < 0)
		return r;
	if (state != INSTALL_NONE && state != INSTALL_INSTALLED)
		return 0; /* half way: recovery comes */
	bool next = state == INSTALL_INSTALLED;
	w.manifest = next ? MANIFEST_NEXT : MANIFEST;
	auto_close int dirfd = layout_open_instructions(g);
	if (dirfd < 0)
		return 0;
	if (faccessat(g->fd, w.manifest, F_OK, 0) < 0) {
		if (!g->state->installed)
			remove_both(g, dirfd);
		return 0;
	}
	load_revision(&w, next);
	return write_both(&w, dirfd, err);
}
