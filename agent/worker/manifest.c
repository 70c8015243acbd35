// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/manifest.h"

#include "agent/worker/live.h"
#include "common/fs.h"

#include <fcntl.h>
#include <stdlib.h>

enum { MANIFEST_OBJECT = 1, MANIFEST_END = 2 };

void manifest_clear(struct manifest *m)
{
	record_close(&m->file);
	pathset_clear(&m->paths);
	free(m->offsets);
	*m = MANIFEST_INIT;
}

static int entry_decode(struct record *rec, struct manifest_entry *e, struct error *err)
{
	e->type = (char)record_u8(rec);
	e->root = record_u32(rec);
	e->mode = record_u32(rec);
	e->uid = record_u32(rec);
	e->gid = record_u32(rec);
	e->ino = record_u64(rec);
	e->size = record_u64(rec);
	e->mtime_s = (int64_t)record_u64(rec);
	e->mtime_ns = record_u32(rec);
	e->path = record_text(rec);
	e->has_acl = rec->version > 1;
	e->access = e->bequeath = (struct acl){0};
	e->label = "";
	if (e->has_acl) {
		e->access = acl_record_get(rec);
		e->bequeath = acl_record_get(rec);
		e->label = record_text(rec);
	}
	int r = record_check(rec, MANIFEST, err);
	if (r < 0)
		return r;
	if ((e->type != 'f' && e->type != 'd' && e->type != 'l') || !live_is_canonical(e->path))
		return error_set(err, ERR_FORMAT, "%s: an entry makes no sense", MANIFEST);
	return 0;
}

/* The next entry. Returns 1, 0 after the end record when count entries came before it, else below
 * 0. */
static int entry_next(struct record_file *f, uint64_t count, struct manifest_entry *e,
		      uint64_t *ret_offset, struct error *err)
{
	struct record rec;
	int r = record_next(f, &rec, err);
	if (r < 0)
		return r;
	if (r == 0)
		return error_set(err, ERR_FORMAT, "%s: it is cut off or damaged", MANIFEST);
	if (rec.type == MANIFEST_END)
		return record_u64(&rec) == count
			       ? record_check(&rec, MANIFEST, err)
			       : error_set(err, ERR_FORMAT, "%s: entries are missing", MANIFEST);
	if (rec.type != MANIFEST_OBJECT)
		return error_set(err, ERR_FORMAT, "%s: unknown record type %u", MANIFEST, rec.type);
	*ret_offset = rec.offset;
	r = entry_decode(&rec, e, err);
	return r < 0 ? r : 1;
}

static int stream_open(struct record_file *f, int dirfd, const char *name, struct error *err)
{
	int fd = fs_open_regular(dirfd, name, O_RDONLY, err);
	if (fd < 0)
		return fd;
	int r = record_open(f, fd, RECORD_MANIFEST, err);
	return r < 0 ? error_prefix(err, r == -ENODATA ? ERR_FORMAT : r, "%s", name) : 0;
}

static const char *path_of(uint64_t value, void *arg, struct error *err)
{
	struct manifest *m = arg;
	struct manifest_entry e;
	struct record rec;
	if (record_at(&m->file, PATHSET_VALUE(value), &rec, err) <= 0 ||
	    entry_decode(&rec, &e, err) < 0)
		return NULL;
	return e.path;
}

static int index_add(struct manifest *m, size_t *room, const char *path, uint64_t offset,
		     struct error *err)
{
	if (m->count == *room) {
		*room = *room ? *room * 2 : 64;
		uint64_t *grown = reallocarray(m->offsets, *room, sizeof(*grown));
		if (!grown)
			return error_set(err, -ENOMEM, "no memory for %s", MANIFEST);
		m->offsets = grown;
	}
	m->offsets[m->count++] = offset;
	return pathset_add(&m->paths, path, offset, err);
}

int manifest_load(struct manifest *m, int dirfd, const char *name, struct error *err)
{
	*m = MANIFEST_INIT;
	pathset_init(&m->paths);
	int r = stream_open(&m->file, dirfd, name, err);
	if (r == -ENOENT)
		return 0;

	size_t room = 0;
	while (r >= 0) {
		struct manifest_entry e;
		uint64_t offset;
		r = entry_next(&m->file, m->count, &e, &offset, err);
		if (r <= 0)
			break;
		r = index_add(m, &room, e.path, offset, err);
	}
	if (r < 0)
		manifest_clear(m);
	else
		m->file.unchecked = true;
	return r;
}

int manifest_at(struct manifest *m, size_t i, struct manifest_entry *ret, struct error *err)
{
	struct record rec;
	int r = record_at(&m->file, m->offsets[i], &rec, err);
	if (r < 0)
		return r;
	if (r == 0)
		return error_set(err, ERR_FORMAT, "%s: it changed while it was read", MANIFEST);
	return entry_decode(&rec, ret, err);
}

int manifest_find(struct manifest *m, const char *path, struct manifest_entry *ret,
		  struct error *err)
{
	uint64_t *value;
	int r = pathset_find(&m->paths, path, path_of, m, &value, err);
	if (r <= 0)
		return r;
	struct record rec;
	r = record_at(&m->file, *value, &rec, err);
	if (r <= 0)
		return r < 0 ? r : error_set(err, ERR_FORMAT, "%s: it changed", MANIFEST);
	r = entry_decode(&rec, ret, err);
	return r < 0 ? r : 1;
}

int manifest_stream(int dirfd, const char *name, manifest_fn *fn, void *arg, struct error *err)
{
	auto_record_file struct record_file f = RECORD_FILE_INIT;
	int r = stream_open(&f, dirfd, name, err);
	for (uint64_t count = 0; r >= 0; count++) {
		struct manifest_entry e;
		uint64_t offset;
		r = entry_next(&f, count, &e, &offset, err);
		if (r <= 0)
			return r;
		r = fn(&e, arg, err);
	}
	return r;
}

int manifest_create(struct manifest_writer *w, int dirfd, const char *name, struct error *err)
{
	w->count = 0;
	w->file = RECORD_FILE_INIT;
	int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return error_errno(err, "create %s", name);
	return record_create(&w->file, fd, RECORD_MANIFEST, err);
}

int manifest_add(struct manifest_writer *w, const struct manifest_entry *e, struct error *err)
{
	record_start(&w->out, MANIFEST_OBJECT);
	record_put_u8(&w->out, (uint8_t)e->type);
	record_put_u32(&w->out, e->root);
	record_put_u32(&w->out, e->mode);
	record_put_u32(&w->out, e->uid);
	record_put_u32(&w->out, e->gid);
	record_put_u64(&w->out, e->ino);
	record_put_u64(&w->out, e->size);
	record_put_u64(&w->out, (uint64_t)e->mtime_s);
	record_put_u32(&w->out, e->mtime_ns);
	record_put_text(&w->out, e->path);
	acl_record_put(&w->out, e->access);
	acl_record_put(&w->out, e->bequeath);
	record_put_text(&w->out, e->label ? e->label : "");
	w->count++;
	return record_append(&w->file, &w->out, NULL, err);
}

int manifest_finish(struct manifest_writer *w, struct error *err)
{
	record_start(&w->out, MANIFEST_END);
	record_put_u64(&w->out, w->count);
	int r = record_append(&w->file, &w->out, NULL, err);
	return r < 0 ? r : record_sync(&w->file, err);
}

void manifest_writer_clear(struct manifest_writer *w)
{
	record_close(&w->file);
}
