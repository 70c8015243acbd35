// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/journal.h"

#include "agent/worker/fault.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/proc.h"
#include "common/str.h"

#include <assert.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>

enum { REC_BEGIN = 1, REC_MOUNT, REC_STAGE, REC_DIR, REC_OP, REC_STATE };

#define MOUNTS_MAX 255

static const char *const state_names[] = {
	[JOURNAL_STAGED] = "staged",       [JOURNAL_COMMITTED] = "committed",
	[JOURNAL_INSTALLED] = "installed", [JOURNAL_UNDOING] = "undoing",
	[JOURNAL_UNDONE] = "undone",       [JOURNAL_SETTLED] = "settled",
};

const char *journal_state_to_string(enum journal_state state)
{
	assert(state < JOURNAL_STATE_COUNT);
	return state_names[state];
}

static void mounts_free(struct journal_mount *mounts, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		free(mounts[i].path);
	free(mounts);
}

void journal_free(struct journal *j)
{
	if (!j)
		return;
	record_close(&j->file);
	mounts_free(j->mounts, j->n_mounts);
	free(j->deployment);
	free(j->dirs);
	free(j->ops);
	free(j);
}

static void new_txid(char out[JOURNAL_TXID_LEN + 1])
{
	uint8_t bytes[JOURNAL_TXID_LEN / 2];
	while (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		continue;
	str_hex(bytes, sizeof(bytes), out);
}

static struct journal *journal_new(int group_fd)
{
	struct journal *j = xcalloc(1, sizeof(*j));
	j->group_fd = group_fd;
	j->file = RECORD_FILE_INIT;
	return j;
}

static int append(struct journal *j, uint64_t *ret_offset, struct error *err)
{
	int r = record_append(&j->file, &j->out, ret_offset, err);
	return r < 0 ? error_prefix(err, r, JOURNAL) : 0;
}

static int put_begin(struct journal *j, struct error *err)
{
	auto_free char *boot = proc_boot_id();
	record_start(&j->out, REC_BEGIN);
	record_put_text(&j->out, j->txid);
	record_put_text(&j->out, j->deployment);
	record_put_text(&j->out, boot);
	record_put_u32(&j->out, j->n_mounts);
	int r = append(j, NULL, err);
	for (uint32_t i = 0; i < j->n_mounts && r >= 0; i++) {
		const struct journal_mount *m = &j->mounts[i];
		struct plan_mount rec = {
			.index = i, .magic = m->magic, .parent = m->parent, .path = m->path};
		record_start(&j->out, REC_MOUNT);
		plan_mount_put(&j->out, &rec);
		r = append(j, NULL, err);
	}
	return r;
}

int journal_begin(int group_fd, const char *deployment, struct journal_mount *mounts,
		  uint32_t n_mounts, struct journal **ret, struct error *err)
{
	auto_journal struct journal *j = journal_new(group_fd);
	j->mounts = mounts;
	j->n_mounts = n_mounts;
	j->deployment = xstrdup(deployment);
	j->same_boot = true;
	new_txid(j->txid);

	int fd =
		openat(group_fd, JOURNAL, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return error_errno(err, "create the journal");
	FAULT("journal created");
	int r = record_create(&j->file, fd, RECORD_JOURNAL, err);
	FAULT("journal header");
	if (r >= 0)
		r = put_begin(j, err);
	if (r >= 0)
		r = record_sync(&j->file, err);
	FAULT("journal begin");
	if (r >= 0)
		r = fs_sync_dir(group_fd, err);
	FAULT("journal begin durable");
	if (r < 0) {
		fs_unlink_quiet(group_fd, JOURNAL);
		return error_prefix(err, r, JOURNAL);
	}
	*ret = TAKE(j);
	return 0;
}

static int get_begin(struct journal *j, struct record *rec, uint32_t *ret_mounts, struct error *err)
{
	const char *txid = record_text(rec);
	if (strlen(txid) != JOURNAL_TXID_LEN || strspn(txid, "0123456789abcdef") != strlen(txid))
		return error_set(err, ERR_FORMAT, "the transaction's name makes no sense");
	strcpy(j->txid, txid);
	j->deployment = xstrdup(record_text(rec));
	auto_free char *boot = proc_boot_id();
	j->same_boot = proc_same_boot(record_text(rec), boot);
	*ret_mounts = record_u32(rec);
	if (*ret_mounts > MOUNTS_MAX)
		return error_set(err, ERR_FORMAT, "too many mounts");
	j->mounts = xcalloc(*ret_mounts, sizeof(*j->mounts));
	return record_check(rec, "begin", err);
}

static int get_mount(struct journal *j, struct record *rec, uint32_t expected, struct error *err)
{
	struct plan_mount m;
	int r = plan_mount_get(rec, &m, err);
	if (r < 0)
		return r;
	if (m.index != j->n_mounts || m.index >= expected || m.path[0] != '/')
		return error_set(err, ERR_FORMAT, "a mount out of order");
	j->mounts[j->n_mounts++] = (struct journal_mount){
		.path = xstrdup(m.path), .magic = m.magic, .parent = m.parent};
	return 0;
}

static int get_stage(struct journal *j, struct record *rec, struct error *err)
{
	uint32_t index = record_u32(rec);
	struct live_ident ident;
	live_ident_get(rec, &ident);
	int r = record_check(rec, "stage", err);
	if (r < 0)
		return r;
	if (index >= j->n_mounts)
		return error_set(err, ERR_FORMAT, "a stage without its mount");
	j->mounts[index].stage = ident;
	j->mounts[index].has_stage = true;
	return 0;
}

/* Room for one more at powers of two. */
static void *grow(void *list, uint32_t count, size_t size)
{
	if (count > 0 && (count & (count - 1)))
		return list;
	return reallocarray(list, count ? (size_t)count * 2 : 1, size);
}

static int add_dir(struct journal *j, const struct plan_dir *d, struct error *err)
{
	if (d->index != j->n_dirs || d->mount >= j->n_mounts)
		return error_set(err, ERR_FORMAT, "%s: a directory out of order", JOURNAL);
	void *grown = grow(j->dirs, j->n_dirs, sizeof(*j->dirs));
	if (!grown)
		return error_set(err, -ENOMEM, "no memory for %u directories", j->n_dirs);
	j->dirs = grown;
	j->dirs[j->n_dirs++] = (struct journal_dir){.ino = d->ino,
						    .mount = d->mount,
						    .mode = d->mode,
						    .uid = d->uid,
						    .gid = d->gid,
						    .inherit = d->inherit};
	return 0;
}

static int add_offset(struct journal *j, uint64_t offset, struct error *err)
{
	void *grown = grow(j->ops, j->n_ops, sizeof(*j->ops));
	if (!grown)
		return error_set(err, -ENOMEM, "no memory for %u operations", j->n_ops);
	j->ops = grown;
	j->ops[j->n_ops++] = offset;
	return 0;
}

/* What only the metadata of a directory has. */
static void op_get_more(struct record *rec, struct journal_op *op)
{
	op->has_acl = rec->version > 1 && op->kind == JOURNAL_META;
	op->access = op->bequeath = op->old_access = op->old_bequeath = (struct acl){0};
	op->label = op->old_label = "";
	if (!op->has_acl)
		return;
	op->access = acl_record_get(rec);
	op->bequeath = acl_record_get(rec);
	op->old_access = acl_record_get(rec);
	op->old_bequeath = acl_record_get(rec);
	op->label = record_text(rec);
	op->old_label = record_text(rec);
}

static void op_put_more(struct record_out *out, const struct journal_op *op)
{
	acl_record_put(out, op->access);
	acl_record_put(out, op->bequeath);
	acl_record_put(out, op->old_access);
	acl_record_put(out, op->old_bequeath);
	record_put_text(out, op->label ? op->label : "");
	record_put_text(out, op->old_label ? op->old_label : "");
}

static int op_get(struct journal *j, struct record *rec, struct journal_op *op, struct error *err)
{
	op->kind = (enum journal_kind)record_u8(rec);
	op->type = (char)record_u8(rec);
	op->number = record_u32(rec);
	op->dir = record_u32(rec);
	live_object_get(rec, &op->old);
	op->new_ino = record_u64(rec);
	op->mode = record_u32(rec);
	op->uid = record_u32(rec);
	op->gid = record_u32(rec);
	op->path = record_text(rec);
	op_get_more(rec, op);
	int r = record_check(rec, "op", err);
	if (r < 0)
		return r;
	if (op->kind < JOURNAL_PUT || op->kind >= JOURNAL_KIND_END || op->dir >= j->n_dirs ||
	    !live_is_canonical(op->path))
		return error_set(err, ERR_FORMAT, "%s: an operation makes no sense", JOURNAL);
	return 0;
}

static int get_state(struct journal *j, struct record *rec, struct error *err)
{
	uint8_t state = record_u8(rec);
	uint32_t ops = record_u32(rec);
	int r = record_check(rec, "state", err);
	if (r < 0)
		return r;
	if (state == JOURNAL_STAGED || state >= JOURNAL_STATE_COUNT || ops != j->n_ops)
		return error_set(err, ERR_FORMAT, "a state that makes no sense");
	for (uint32_t i = 0; i < j->n_mounts; i++)
		if (!j->mounts[i].has_stage)
			return error_set(err, ERR_FORMAT, "a mount without its stage");
	j->state = (enum journal_state)state;
	return 0;
}

static int get_record(struct journal *j, struct record *rec, uint32_t *mounts, struct error *err)
{
	struct plan_dir dir;
	struct journal_op op;
	int r;
	if (!j->deployment != (rec->type == REC_BEGIN))
		return error_set(err, ERR_FORMAT, "it does not begin with 'begin'");
	switch (rec->type) {
	case REC_BEGIN:
		return get_begin(j, rec, mounts, err);
	case REC_MOUNT:
		return get_mount(j, rec, *mounts, err);
	case REC_STAGE:
		return get_stage(j, rec, err);
	case REC_DIR:
		r = plan_dir_get(rec, &dir, err);
		return r < 0 ? r : add_dir(j, &dir, err);
	case REC_OP:
		r = op_get(j, rec, &op, err);
		return r < 0 ? r : add_offset(j, rec->offset, err);
	case REC_STATE:
		return get_state(j, rec, err);
	default:
		return error_set(err, ERR_FORMAT, "unknown record type %u", rec->type);
	}
}

int journal_load(int group_fd, struct journal **ret, struct error *err)
{
	auto_journal struct journal *j = journal_new(group_fd);
	int fd = fs_open_regular(group_fd, JOURNAL, O_RDWR, err);
	if (fd < 0)
		return fd;

	uint32_t mounts = 0;
	int r = record_open(&j->file, fd, RECORD_JOURNAL, err);
	while (r >= 0) {
		struct record rec;
		r = record_next(&j->file, &rec, err);
		if (r <= 0)
			break;
		r = get_record(j, &rec, &mounts, err);
	}
	if (r < 0 && r != -ENODATA) /* cut off in its header: it had not begun */
		return error_prefix(err, r, JOURNAL);
	if (!j->deployment)
		j->deployment = xstrdup("");
	*ret = TAKE(j);
	return 0;
}

int journal_add_stage(struct journal *j, uint32_t mount, const struct live_ident *stage,
		      struct error *err)
{
	j->mounts[mount].stage = *stage;
	j->mounts[mount].has_stage = true;
	record_start(&j->out, REC_STAGE);
	record_put_u32(&j->out, mount);
	live_ident_put(&j->out, stage);
	int r = append(j, NULL, err);
	/* a worker that is killed while it stages must not leave a stage that nobody knows */
	return r < 0 ? r : record_flush(&j->file, err);
}

int journal_add_dir(struct journal *j, const struct plan_dir *dir, struct error *err)
{
	int r = add_dir(j, dir, err);
	if (r < 0)
		return r;
	record_start(&j->out, REC_DIR);
	plan_dir_put(&j->out, dir);
	return append(j, NULL, err);
}

int journal_add_op(struct journal *j, const struct journal_op *op, struct error *err)
{
	record_start(&j->out, REC_OP);
	record_put_u8(&j->out, (uint8_t)op->kind);
	record_put_u8(&j->out, (uint8_t)op->type);
	record_put_u32(&j->out, op->number);
	record_put_u32(&j->out, op->dir);
	live_object_put(&j->out, &op->old);
	record_put_u64(&j->out, op->new_ino);
	record_put_u32(&j->out, op->mode);
	record_put_u32(&j->out, op->uid);
	record_put_u32(&j->out, op->gid);
	record_put_text(&j->out, op->path);
	if (op->kind == JOURNAL_META)
		op_put_more(&j->out, op);
	uint64_t offset = 0;
	int r = append(j, &offset, err);
	return r < 0 ? r : add_offset(j, offset, err);
}

/* What a crash or a failed write left after the last whole record must go first: behind it the new
 * one would not be found. What comes after committed has its room before: a disk that is full by
 * then must not stop an undo. */
int journal_set_state(struct journal *j, enum journal_state state, struct error *err)
{
	int r = 0;
	if (j->state != JOURNAL_STAGED && j->file.pos != j->file.end) {
		r = record_cut(&j->file, err);
		FAULT("journal cut");
	}
	record_start(&j->out, REC_STATE);
	record_put_u8(&j->out, (uint8_t)state);
	record_put_u32(&j->out, j->n_ops);
	if (r >= 0 && state == JOURNAL_COMMITTED)
		r = record_reserve(&j->file, err);
	FAULT("journal room reserved");
	j->state_at = j->file.end;
	if (r >= 0)
		r = append(j, NULL, err);
	if (r >= 0)
		r = record_flush(&j->file, err);
	FAULT("journal state written");
	if (r >= 0)
		r = record_sync(&j->file, err);
	if (r < 0)
		return error_prefix(err, r, JOURNAL);
	FAULT(state_names[state]);
	j->state = state;
	j->file.pos = j->file.end;
	return 0;
}

int journal_retract(struct journal *j, struct error *err)
{
	j->file.pos = j->state_at;
	int r = record_cut(&j->file, err);
	FAULT("journal state retracted");
	return r < 0 ? r : record_sync(&j->file, err);
}

int journal_op_at(struct journal *j, uint32_t i, struct journal_op *ret, struct error *err)
{
	struct record rec;
	int r = record_at(&j->file, j->ops[i], &rec, err);
	if (r <= 0)
		return r < 0 ? r : error_set(err, ERR_FORMAT, "%s: it changed", JOURNAL);
	return op_get(j, &rec, ret, err);
}

int journal_remove(struct journal *j, struct error *err)
{
	if (unlinkat(j->group_fd, JOURNAL, 0) < 0 && errno != ENOENT)
		return error_errno(err, "remove the journal");
	FAULT("journal removed");
	return 0;
}
