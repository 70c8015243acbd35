/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX ACLs in the kernel's own form, that of the extended attributes: what is compared, recorded
 * and written is the same bytes, and a default ACL can be set through a descriptor, which libacl
 * cannot. An ACL that says no more than the mode does is none (len 0). */
#pragma once

#include "agent/worker/record.h"
#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define ACL_MAX 4096 /* 511 entries; what a plan's record has room for */

enum acl_kind { ACL_OF_OBJECT, ACL_TO_BEQUEATH }; /* access ACL, default ACL */

enum acl_tag {
	ACL_TAG_USER_OBJ = 1,
	ACL_TAG_USER = 2,
	ACL_TAG_GROUP_OBJ = 4,
	ACL_TAG_GROUP = 8,
	ACL_TAG_MASK = 16,
	ACL_TAG_OTHER = 32,
};
#define ACL_NO_ID UINT32_MAX /* of the tags that name nobody */

/* Borrowed bytes; good as long as what they were taken from. */
struct acl {
	const uint8_t *bytes;
	uint16_t len;
};

struct acl_room {
	uint16_t len;
	uint8_t bytes[ACL_MAX];
};
static inline struct acl acl_of(const struct acl_room *room)
{
	return (struct acl){room->bytes, room->len};
}

bool acl_equal(struct acl a, struct acl b);

/* Entry number index; false: there are not so many. */
struct acl_entry {
	enum acl_tag tag;
	unsigned perm; /* rwx: 4 2 1 */
	uint32_t id;
};
bool acl_at(struct acl acl, size_t index, struct acl_entry *ret);

/* Of a file, of a path (not followed), or of what dirfd has at name (not followed). len 0 also
 * where the file system knows no ACLs. Returns 0 or negative errno. */
int acl_get(int fd, enum acl_kind kind, struct acl_room *ret) MUST_CHECK;
int acl_get_path(const char *path, enum acl_kind kind, struct acl_room *ret) MUST_CHECK;
int acl_get_at(int dirfd, const char *name, enum acl_kind kind, struct acl_room *ret) MUST_CHECK;
/* Give the object this ACL, and with it the nine bits of mode, in one step. Returns 0 or negative
 * errno. */
int acl_set(int fd, struct acl acl, mode_t mode) MUST_CHECK;
/* Make the directory bequeath it; len 0: nothing. */
int acl_set_default(int fd, struct acl acl) MUST_CHECK;
/* Does the file system of fd know ACLs? */
bool acl_is_supported(int fd);

/* Build one: start, put in any order (the same tag and id again: the last counts), complete. */
void acl_start(struct acl_room *acl);
/* Returns 0 or -EFBIG. */
int acl_put(struct acl_room *acl, enum acl_tag tag, uint32_t id, unsigned perm) MUST_CHECK;
/* What is missing of owner, group and other comes from mode; named entries need a mask: without one
 * it is the group's entry. Returns 0 or -EFBIG. */
int acl_complete(struct acl_room *acl, mode_t mode) MUST_CHECK;
/* The mode that an object with this ACL has: mode with other nine bits. */
mode_t acl_mode(struct acl acl, mode_t mode);
/* Make it none when it says no more than a mode. */
void acl_reduce(struct acl_room *acl);

/* The ACL and the mode of an object that is made with mode in a directory with this default ACL.
 * Returns the resulting permission bits. */
mode_t acl_inherit(struct acl from, mode_t mode, struct acl_room *ret);
/* The same object after a chmod to mode. */
void acl_chmod(struct acl_room *acl, mode_t mode);

void acl_record_put(struct record_out *out, struct acl acl);
struct acl acl_record_get(struct record *rec);
