/* SPDX-License-Identifier: Apache-2.0 */
/* A deployment that only restarts: its specification names an earlier one whose revision may be
 * used again instead of a download (ReuseArchiveFromDeploymentId). It is a wish of the endpoint's:
 * whatever is in the way, the bundle is downloaded. */
#pragma once

#include "agent/worker/group.h"
#include "common/error.h"

#include <stdbool.h>

#define REUSE_ID_MAX 64 /* bytes of such an id */

/* What a DownloadBundle's success says; the AWS service counts both spellings. */
#define REUSE_NOTE_REUSED "Succeeded: BundleSource=archive-reuse"
#define REUSE_NOTE_DOWNLOADED "Succeeded: BundleSource=downloaded"

/* May that be the id of a deployment whose revision is used: "d-" and capitals and digits? */
bool reuse_is_id(const char *id);

/* Give the open deployment the revision of the one that its specification names: as prepare_reuse()
 * does, no file is copied. Returns 1, or 0 when it is to be downloaded; nothing is left of it then,
 * and the reason is in the log. */
int reuse_archive(struct group *g);

/* Is the open deployment's revision another deployment's? */
bool reuse_is_reused(const struct group *g);

/* The files .bundle-source and .bundle-etag of the open deployment's directory, as the official
 * agent has them. For that agent alone, ours reads neither. Best effort. */
void reuse_write_marks(struct group *g);
