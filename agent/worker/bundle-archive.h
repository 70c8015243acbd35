/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the bundle module: read tar and zip by libarchive, entry by entry into a writer. */
#pragma once

#include "agent/worker/bundle-stream.h"
#include "agent/worker/bundle-write.h"

#include <sys/types.h>

/* Who has this name? group: among the groups. The id, or -1 when nobody has it. */
typedef int64_t bundle_owner_fn(bool group, const char *name, void *arg);

/* Unpack a plain tar from s, and read s to its end, so that whatever s checks is checked. complete:
 * s itself proves that nothing is missing at its end; otherwise the tar must have its own end mark.
 * owner may be NULL: owners are the numbers in the archive. */
int bundle_read_tar(struct bundle_stream *s, bool complete, struct bundle_writer *w,
		    bundle_owner_fn *owner, void *arg, struct error *err) MUST_CHECK;
/* Unpack a zip from a seekable descriptor. Its entries belong to whoever unpacks them. */
int bundle_read_zip(int fd, struct bundle_writer *w, struct error *err) MUST_CHECK;
