/* SPDX-License-Identifier: Apache-2.0 */
/* What an object would inherit from the directory that it is made in: the default ACL. The set-gid
 * group is the plan's business. The kernel does the inheriting (an object is staged in a directory
 * with the same default ACL); here the result is foretold, to tell whether an installed file still
 * is as it should be. ACLs are handled in the kernel's own form, the extended attribute: two
 * arithmetic rules need no library. */
#pragma once

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define INHERIT_ACL_MAX 8192

struct inherit {
	size_t len; /* 0: no default ACL */
	uint8_t acl[INHERIT_ACL_MAX];
};

/* Of an open directory. */
int inherit_load(int dirfd, struct inherit *ret, struct error *err) MUST_CHECK;
/* Make dirfd bequeath the same. */
int inherit_copy(int dirfd, const struct inherit *from, struct error *err) MUST_CHECK;
/* Make dirfd bequeath nothing. */
int inherit_none(int dirfd, struct error *err) MUST_CHECK;

/* The access ACL and the mode of an object that was made with this mode; fixed: and then changed to
 * it by chmod. ret->len 0: none beyond the mode. Returns the resulting permission bits. */
mode_t inherit_apply(const struct inherit *from, mode_t mode, bool fixed, struct inherit *ret);
/* Does the open file have this access ACL? */
bool inherit_matches(int fd, const struct inherit *access);
