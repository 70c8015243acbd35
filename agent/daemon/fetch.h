/* SPDX-License-Identifier: Apache-2.0 */
/* Download a revision for the worker, which has no network: into a file without a name, resumed
 * where a connection broke. What the bytes are worth (SHA-256, ETag) is checked by the worker. */
#pragma once

#include "agent/daemon/service.h"
#include "agent/settings.h"
#include "common/loop.h"

#include <jansson.h>
#include <stdint.h>

struct fetch;

struct fetch_order {
	const json_t *revision; /* the specification's Revision object; borrowed for the call */
	int64_t size_bytes;     /* -1: unknown */
	uint64_t max_bytes;     /* 0: no ceiling */
	int downloads_dirfd;
};

/* On success fd is the whole file, the callee's to keep or close; else -1 and error says why. The
 * fetch is gone afterwards. */
typedef void fetch_done_fn(int fd, const char *bundle_type, const struct error *error, void *arg);

/* Fails at once on a revision that cannot be fetched: of a type we do not know, or too large. */
int fetch_start(struct loop *loop, struct service *service, const struct fetch_order *order,
		fetch_done_fn *done, void *arg, struct fetch **ret, struct error *err) MUST_CHECK;
void fetch_cancel(struct fetch *fetch); /* no callback will come; NULL is allowed */

/* URL of an S3 object in our endpoint's bundle store, path style. Caller frees. Pure. */
char *fetch_s3_url(const char *endpoint, const char *bucket, const char *key, const char *version);
