// SPDX-License-Identifier: Apache-2.0
/* linux/posix_acl_xattr.h: a version, then entries of tag, permissions and id, all little-endian;
 * by tag, those of one tag by id. Example, "user::rw-,user:7:r--,group::r--,mask::r--,other::---":
 *
 *   02 00 00 00 | 01 00 06 00 ff ff ff ff | 02 00 04 00 07 00 00 00 | 04 00 04 00 ff ff ff ff |
 *   10 00 04 00 ff ff ff ff | 20 00 00 00 ff ff ff ff
 */
#include "agent/worker/acl.h"

#include <endian.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define HEADER 4
#define ACL_VERSION 2

struct entry {
	uint16_t tag, perm;
	uint32_t id;
};

static const char *const names[] = {
	[ACL_OF_OBJECT] = "system.posix_acl_access",
	[ACL_TO_BEQUEATH] = "system.posix_acl_default",
};

static bool is_none(int e)
{
	return e == ENODATA || e == ENOTSUP;
}

bool acl_equal(struct acl a, struct acl b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.bytes, b.bytes, a.len) == 0);
}

static struct entry entry_at(struct acl acl, size_t at)
{
	struct entry e;
	memcpy(&e, acl.bytes + at, sizeof(e));
	return (struct entry){le16toh(e.tag), le16toh(e.perm), le32toh(e.id)};
}

bool acl_at(struct acl acl, size_t index, struct acl_entry *ret)
{
	size_t at = HEADER + index * sizeof(struct entry);
	if (at + sizeof(struct entry) > acl.len)
		return false;
	struct entry e = entry_at(acl, at);
	*ret = (struct acl_entry){e.tag, e.perm, e.id};
	return true;
}

static void entry_put(struct acl_room *acl, size_t at, struct entry e)
{
	e = (struct entry){htole16(e.tag), htole16(e.perm), htole32(e.id)};
	memcpy(acl->bytes + at, &e, sizeof(e));
}

static bool has_tag(struct acl acl, unsigned tags)
{
	for (size_t at = HEADER; at < acl.len; at += sizeof(struct entry))
		if (entry_at(acl, at).tag & tags)
			return true;
	return false;
}

/* Which three bits of the mode an entry stands for: their shift, or -1. With a mask, the group bits
 * are the mask's. */
static int shift_of(unsigned tag, bool has_mask)
{
	switch (tag) {
	case ACL_TAG_USER_OBJ:
		return 6;
	case ACL_TAG_GROUP_OBJ:
		return has_mask ? -1 : 3;
	case ACL_TAG_MASK:
		return 3;
	case ACL_TAG_OTHER:
		return 0;
	default:
		return -1;
	}
}

static bool is_valid(struct acl acl)
{
	static const uint8_t version[HEADER] = {ACL_VERSION};
	return acl.len > HEADER && acl.len <= ACL_MAX &&
	       (acl.len - HEADER) % sizeof(struct entry) == 0 &&
	       memcmp(acl.bytes, version, sizeof(version)) == 0;
}

void acl_reduce(struct acl_room *acl)
{
	if (!has_tag(acl_of(acl), ACL_TAG_USER | ACL_TAG_GROUP | ACL_TAG_MASK))
		acl->len = 0;
}

static int got(ssize_t n, enum acl_kind kind, struct acl_room *ret)
{
	ret->len = 0;
	if (n < 0)
		return is_none(errno) ? 0 : -errno;
	ret->len = (uint16_t)n;
	if (n <= HEADER)
		ret->len = 0;
	else if (!is_valid(acl_of(ret)))
		return -EINVAL;
	if (kind == ACL_OF_OBJECT)
		acl_reduce(ret);
	return 0;
}

int acl_get(int fd, enum acl_kind kind, struct acl_room *ret)
{
	return got(fgetxattr(fd, names[kind], ret->bytes, sizeof(ret->bytes)), kind, ret);
}

int acl_get_path(const char *path, enum acl_kind kind, struct acl_room *ret)
{
	return got(lgetxattr(path, names[kind], ret->bytes, sizeof(ret->bytes)), kind, ret);
}

/* Through /proc, so that a directory that we may not read can be asked, too. */
int acl_get_at(int dirfd, const char *name, enum acl_kind kind, struct acl_room *ret)
{
	char path[NAME_MAX + 64];
	int n = snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dirfd, name);
	if (n >= (int)sizeof(path))
		return -ENAMETOOLONG;
	return acl_get_path(path, kind, ret);
}

/* The kernel takes an ACL of three entries for a mode. */
int acl_set(int fd, struct acl acl, mode_t mode)
{
	struct acl_room plain;
	if (acl.len == 0) {
		acl_start(&plain);
		int r = acl_complete(&plain, mode);
		if (r < 0)
			return r;
		acl = acl_of(&plain);
	}
	if (fsetxattr(fd, names[ACL_OF_OBJECT], acl.bytes, acl.len, 0) == 0)
		return 0;
	if (errno != ENOTSUP || acl.bytes != plain.bytes)
		return -errno;
	struct stat st;
	if (fstat(fd, &st) < 0 || fchmod(fd, (st.st_mode & 07000) | (mode & 0777)) < 0)
		return -errno;
	return 0;
}

int acl_set_default(int fd, struct acl acl)
{
	const char *name = names[ACL_TO_BEQUEATH];
	if (acl.len > 0)
		return fsetxattr(fd, name, acl.bytes, acl.len, 0) < 0 ? -errno : 0;
	return fremovexattr(fd, name) < 0 && !is_none(errno) ? -errno : 0;
}

bool acl_is_supported(int fd)
{
	return fgetxattr(fd, names[ACL_OF_OBJECT], NULL, 0) >= 0 || errno != ENOTSUP;
}

void acl_start(struct acl_room *acl)
{
	static const uint8_t version[HEADER] = {ACL_VERSION};
	memcpy(acl->bytes, version, sizeof(version));
	acl->len = HEADER;
}

int acl_put(struct acl_room *acl, enum acl_tag tag, uint32_t id, unsigned perm)
{
	struct entry new = {(uint16_t)tag, (uint16_t)(perm & 7), id};
	size_t at = HEADER;
	for (; at < acl->len; at += sizeof(struct entry)) {
		struct entry e = entry_at(acl_of(acl), at);
		if (e.tag == new.tag && e.id == new.id) {
			entry_put(acl, at, new);
			return 0;
		}
		if (e.tag > new.tag || (e.tag == new.tag &&e.id > new.id))
			break;
	}
	if (acl->len + sizeof(struct entry) > sizeof(acl->bytes))
		return -EFBIG;
	memmove(acl->bytes + at + sizeof(struct entry), acl->bytes + at, acl->len - at);
	acl->len += sizeof(struct entry);
	entry_put(acl, at, new);
	return 0;
}

static unsigned perm_of(struct acl acl, enum acl_tag tag)
{
	for (size_t at = HEADER; at < acl.len; at += sizeof(struct entry))
		if (entry_at(acl, at).tag == tag)
			return entry_at(acl, at).perm;
	return 0;
}

int acl_complete(struct acl_room *acl, mode_t mode)
{
	static const enum acl_tag base[] = {ACL_TAG_USER_OBJ, ACL_TAG_GROUP_OBJ, ACL_TAG_OTHER};
	int r = 0;
	for (size_t i = 0; i < 3 && r >= 0; i++)
		if (!has_tag(acl_of(acl), base[i]))
			r = acl_put(acl, base[i], ACL_NO_ID, mode >> shift_of(base[i], false) & 7);
	if (r >= 0 && has_tag(acl_of(acl), ACL_TAG_USER | ACL_TAG_GROUP) &&
	    !has_tag(acl_of(acl), ACL_TAG_MASK))
		r = acl_put(acl, ACL_TAG_MASK, ACL_NO_ID, perm_of(acl_of(acl), ACL_TAG_GROUP_OBJ));
	return r;
}

mode_t acl_mode(struct acl acl, mode_t mode)
{
	bool has_mask = has_tag(acl, ACL_TAG_MASK);
	for (size_t at = HEADER; at < acl.len; at += sizeof(struct entry)) {
		struct entry e = entry_at(acl, at);
		int shift = shift_of(e.tag, has_mask);
		if (shift >= 0)
			mode = (mode & ~((mode_t)7 << shift)) | (mode_t)(e.perm & 7) << shift;
	}
	return mode;
}

/* Each entry that stands for bits of the mode: what both allow, or what the mode says. */
static void meet_mode(struct acl_room *acl, mode_t mode, bool replace)
{
	bool has_mask = has_tag(acl_of(acl), ACL_TAG_MASK);
	for (size_t at = HEADER; at < acl->len; at += sizeof(struct entry)) {
		struct entry e = entry_at(acl_of(acl), at);
		int shift = shift_of(e.tag, has_mask);
		if (shift < 0)
			continue;
		uint16_t bits = mode >> shift & 7;
		e.perm = replace ? bits : e.perm & bits;
		entry_put(acl, at, e);
	}
}

mode_t acl_inherit(struct acl from, mode_t mode, struct acl_room *ret)
{
	ret->len = from.len;
	if (from.len == 0)
		return mode;
	memcpy(ret->bytes, from.bytes, from.len);
	meet_mode(ret, mode, false);
	mode = acl_mode(acl_of(ret), mode);
	acl_reduce(ret);
	return mode;
}

void acl_chmod(struct acl_room *acl, mode_t mode)
{
	meet_mode(acl, mode, true);
}

void acl_record_put(struct record_out *out, struct acl acl)
{
	record_put_bytes(out, acl.len > 0 ? acl.bytes : (const uint8_t *)"", acl.len);
}

struct acl acl_record_get(struct record *rec)
{
	struct acl acl;
	acl.bytes = record_bytes(rec, &acl.len);
	if (acl.len > 0 && !is_valid(acl)) {
		rec->bad = true;
		acl.len = 0;
	}
	return acl;
}
