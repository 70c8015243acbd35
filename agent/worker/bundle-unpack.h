/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the bundle module: the two processes that unpack an archive, and the copy of a directory.
 */
#pragma once

#include "agent/worker/bundle.h"

struct bundle_job {
	const struct bundle_source *source;
	const struct bundle_limits *limits;
	int dir_fd; /* empty directory to unpack into */
	bundle_progress_fn *progress;
	void *arg;
};

/* Read, hash and unpack; 0 only when size and hash are what the source says. Error texts may hold
 * any bytes of the archive's names. */
int bundle_unpack_archive(const struct bundle_job *job, struct bundle_stats *ret,
			  struct error *err) MUST_CHECK;

/* Copy the source directory; avoid_fd: a directory that must not lie in it. */
int bundle_copy_directory(const struct bundle_job *job, int avoid_fd, struct bundle_stats *ret,
			  struct error *err) MUST_CHECK;
