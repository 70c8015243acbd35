// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/plan-file.h"

#include "common/fs.h"

#include <fcntl.h>
#include <string.h>

enum { FLAG_MODE_FIXED = 1, FLAG_INSIDE = 2, FLAG_PLAIN = 4, FLAG_ACL_FIXED = 8 };

void plan_dir_put(struct record_out *out, const struct plan_dir *d)
{
	record_put_u32(out, d->index);
	record_put_u32(out, d->mount);
	record_put_u64(out, d->ino);
	record_put_u32(out, d->mode);
	record_put_u32(out, d->uid);
	record_put_u32(out, d->gid);
	record_put_u8(out, d->inherit);
	record_put_text(out, d->path);
	acl_record_put(out, d->bequeath);
}

int plan_dir_get(struct record *rec, struct plan_dir *d, struct error *err)
{
	d->index = record_u32(rec);
	d->mount = record_u32(rec);
	d->ino = record_u64(rec);
	d->mode = record_u32(rec);
	d->uid = record_u32(rec);
	d->gid = record_u32(rec);
	d->inherit = record_u8(rec) != 0;
	d->path = record_text(rec);
	d->bequeath = rec->version > 1 ? acl_record_get(rec) : (struct acl){0};
	return record_check(rec, "a directory's record", err);
}

void plan_entry_put(struct record_out *out, const struct plan_entry *e)
{
	record_put_u8(out, (uint8_t)e->op);
	record_put_u8(out, (uint8_t)e->type);
	record_put_u8(out, (uint8_t)((e->mode_fixed ? FLAG_MODE_FIXED : 0) |
				     (e->inside ? FLAG_INSIDE : 0) | (e->plain ? FLAG_PLAIN : 0) |
				     (e->acl_fixed ? FLAG_ACL_FIXED : 0)));
	record_put_u32(out, e->number);
	record_put_u32(out, e->dir);
	record_put_u32(out, e->root);
	record_put_u16(out, e->root_len);
	record_put_u32(out, e->mode);
	record_put_u32(out, e->uid);
	record_put_u32(out, e->gid);
	record_put_u64(out, e->size);
	record_put_u64(out, (uint64_t)e->mtime_s);
	record_put_u32(out, e->mtime_ns);
	live_object_put(out, &e->old);
	record_put_u64(out, e->from.ino);
	record_put_u64(out, (uint64_t)e->from.ctime_s);
	record_put_u32(out, e->from.ctime_ns);
	record_put_text(out, e->path);
	record_put_text(out, e->source);
	acl_record_put(out, e->access);
	acl_record_put(out, e->bequeath);
	acl_record_put(out, e->old_access);
	acl_record_put(out, e->old_bequeath);
	record_put_text(out, e->label ? e->label : "");
	record_put_text(out, e->old_label ? e->old_label : "");
}

int plan_entry_get(struct record *rec, struct plan_entry *e, struct error *err)
{
	e->op = (enum plan_op)record_u8(rec);
	e->type = (char)record_u8(rec);
	uint8_t flags = record_u8(rec);
	e->mode_fixed = flags & FLAG_MODE_FIXED;
	e->inside = flags & FLAG_INSIDE;
	e->plain = flags & FLAG_PLAIN;
	e->acl_fixed = flags & FLAG_ACL_FIXED;
	e->number = record_u32(rec);
	e->dir = record_u32(rec);
	e->root = record_u32(rec);
	e->root_len = record_u16(rec);
	e->mode = record_u32(rec);
	e->uid = record_u32(rec);
	e->gid = record_u32(rec);
	e->size = record_u64(rec);
	e->mtime_s = (int64_t)record_u64(rec);
	e->mtime_ns = record_u32(rec);
	live_object_get(rec, &e->old);
	e->from.ino = record_u64(rec);
	e->from.ctime_s = (int64_t)record_u64(rec);
	e->from.ctime_ns = record_u32(rec);
	e->path = record_text(rec);
	e->source = record_text(rec);
	e->access = acl_record_get(rec);
	e->bequeath = acl_record_get(rec);
	e->old_access = acl_record_get(rec);
	e->old_bequeath = acl_record_get(rec);
	e->label = record_text(rec);
	e->old_label = record_text(rec);
	int r = record_check(rec, "an operation's record", err);
	if (r < 0)
		return r;
	if (e->op >= PLAN_OP_COUNT || !live_is_canonical(e->path) || e->root_len > strlen(e->path))
		return error_set(err, ERR_FORMAT, "an operation's record makes no sense");
	return 0;
}

void plan_mount_put(struct record_out *out, const struct plan_mount *m)
{
	record_put_u32(out, m->index);
	record_put_u32(out, m->magic);
	live_ident_put(out, &m->parent);
	record_put_text(out, m->path);
}

int plan_mount_get(struct record *rec, struct plan_mount *m, struct error *err)
{
	m->index = record_u32(rec);
	m->magic = record_u32(rec);
	live_ident_get(rec, &m->parent);
	m->path = record_text(rec);
	return record_check(rec, "a mount's record", err);
}

void plan_end_put(struct record_out *out, const struct plan_end *e)
{
	record_put_u32(out, e->dirs);
	record_put_u32(out, e->ops);
	record_put_u32(out, e->mounts);
	record_put_u64(out, (uint64_t)e->made_s);
	record_put_u32(out, e->made_ns);
}

int plan_end_get(struct record *rec, struct plan_end *e, struct error *err)
{
	e->dirs = record_u32(rec);
	e->ops = record_u32(rec);
	e->mounts = record_u32(rec);
	e->made_s = (int64_t)record_u64(rec);
	e->made_ns = record_u32(rec);
	return record_check(rec, "the plan's end", err);
}

int plan_open(int group_fd, struct record_file *f, struct error *err)
{
	int fd = fs_open_regular(group_fd, PLAN, O_RDONLY, err);
	if (fd < 0)
		return fd;
	int r = record_open(f, fd, RECORD_PLAN, err);
	if (r >= 0 && f->version != RECORD_VERSION)
		r = error_set(err, ERR_FORMAT, "version %u was written by another release",
			      f->version);
	return r < 0 ? error_prefix(err, r == -ENODATA ? ERR_FORMAT : r, "plan") : 0;
}

int plan_next(struct record_file *f, struct record *rec, struct error *err)
{
	int r = record_next(f, rec, err);
	if (r == 0)
		return error_set(err, ERR_FORMAT, "plan: it is cut off or damaged");
	if (r > 0 && (rec->type < PLAN_REC_DIR || rec->type > PLAN_REC_END))
		return error_set(err, ERR_FORMAT, "plan: unknown record type %u", rec->type);
	return r;
}
