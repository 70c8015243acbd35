// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/inherit.h"

#include <endian.h>
#include <string.h>
#include <sys/xattr.h>

#define ACL_DEFAULT "system.posix_acl_default"
#define ACL_ACCESS "system.posix_acl_access"

/* linux/posix_acl_xattr.h: a version, then entries, little-endian. */
#define ACL_HEADER 4
struct acl_entry {
	uint16_t tag, perm;
	uint32_t id;
};
enum { TAG_USER_OBJ = 1, TAG_GROUP_OBJ = 4, TAG_MASK = 0x10, TAG_OTHER = 0x20 };

static bool no_acl(int e)
{
	return e == ENODATA || e == ENOTSUP;
}

int inherit_load(int dirfd, struct inherit *ret, struct error *err)
{
	ret->len = 0;
	ssize_t n = fgetxattr(dirfd, ACL_DEFAULT, ret->acl, sizeof(ret->acl));
	if (n < 0)
		return no_acl(errno) ? 0 : error_errno(err, "read the default ACL");
	ret->len = (size_t)n > ACL_HEADER ? (size_t)n : 0;
	return 0;
}

int inherit_copy(int dirfd, const struct inherit *from, struct error *err)
{
	if (fsetxattr(dirfd, ACL_DEFAULT, from->acl, from->len, 0) < 0)
		return error_errno(err, "set a default ACL");
	return 0;
}

int inherit_none(int dirfd, struct error *err)
{
	if ((fremovexattr(dirfd, ACL_DEFAULT) < 0 && !no_acl(errno)) ||
	    (fremovexattr(dirfd, ACL_ACCESS) < 0 && !no_acl(errno)))
		return error_errno(err, "remove an ACL");
	return 0;
}

static struct acl_entry entry_at(const struct inherit *acl, size_t at)
{
	struct acl_entry e;
	memcpy(&e, acl->acl + at, sizeof(e));
	return (struct acl_entry){le16toh(e.tag), le16toh(e.perm), le32toh(e.id)};
}

/* Which three bits of the mode an entry stands for: their shift, or -1. With a mask, the group bits
 * are the mask's. */
static int shift_of(uint16_t tag, bool has_mask)
{
	switch (tag) {
	case TAG_USER_OBJ:
		return 6;
	case TAG_GROUP_OBJ:
		return has_mask ? -1 : 3;
	case TAG_MASK:
		return 3;
	case TAG_OTHER:
		return 0;
	default:
		return -1;
	}
}

static bool has_tag(const struct inherit *acl, uint16_t tag)
{
	for (size_t at = ACL_HEADER; at + sizeof(struct acl_entry) <= acl->len;
	     at += sizeof(struct acl_entry))
		if (entry_at(acl, at).tag == tag)
			return true;
	return false;
}

mode_t inherit_apply(const struct inherit *from, mode_t mode, bool fixed, struct inherit *ret)
{
	ret->len = 0;
	if (from->len == 0)
		return mode;

	memcpy(ret->acl, from->acl, from->len);
	bool has_mask = has_tag(from, TAG_MASK), named = has_mask;
	mode_t result = mode & 07000;
	for (size_t at = ACL_HEADER; at + sizeof(struct acl_entry) <= from->len;
	     at += sizeof(struct acl_entry)) {
		struct acl_entry e = entry_at(from, at);
		int shift = shift_of(e.tag, has_mask);
		if (shift < 0)
			continue;
		uint16_t bits = (mode >> shift) & 7;
		uint16_t perm = fixed ? bits : e.perm & bits;
		result |= (mode_t)perm << shift;
		perm = htole16(perm);
		memcpy(ret->acl + at + 2, &perm, sizeof(perm));
	}
	/* Without named entries the mode says it all and the kernel stores no ACL. */
	ret->len = named ? from->len : 0;
	return result;
}

bool inherit_matches(int fd, const struct inherit *access)
{
	uint8_t there[INHERIT_ACL_MAX];
	ssize_t n = fgetxattr(fd, ACL_ACCESS, there, sizeof(there));
	if (n < 0)
		return no_acl(errno) && access->len == 0;
	return (size_t)n == access->len && memcmp(there, access->acl, access->len) == 0;
}
