/* SPDX-License-Identifier: Apache-2.0 */
/* The instance metadata service: GET of one path, with a token (IMDSv2) that is kept as long as it
 * is good; without one only where that is allowed and the service gives none. It is on this
 * machine's own link: no proxy, no redirect, short time limits, small answers. */
#pragma once

#include "common/cleanup.h"
#include "common/error.h"
#include "common/loop.h"

#include <stdbool.h>
#include <stddef.h>

struct imds_options {
	const char *endpoint; /* "http://169.254.169.254" */
	bool allow_v1;
};

/* From AWS_EC2_METADATA_SERVICE_ENDPOINT, AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE,
 * AWS_EC2_METADATA_V1_DISABLED and AWS_EC2_METADATA_DISABLED, and disable_imds_v1 of agent.yml.
 * ERR_INPUT when they make no sense, -ENOENT when the last one says so. ret->endpoint is borrowed
 * from the environment. */
int imds_options(bool disable_v1, struct imds_options *ret, struct error *err) MUST_CHECK;

struct imds;
int imds_new(struct loop *loop, const struct imds_options *options, struct imds **ret,
	     struct error *err) MUST_CHECK;
void imds_free(struct imds *imds); /* without callbacks */
DEFINE_CLEANUP(struct imds *, imds_free)
#define auto_imds CLEANUP(imds_free_at)
const char *imds_endpoint(const struct imds *imds);

/* How the last answer was had. */
enum imds_version { IMDS_NONE, IMDS_V1, IMDS_V2 };
enum imds_version imds_version(const struct imds *imds);

/* One at a time. done is called once, from the loop. code: 0 with the body, blanks at its ends cut;
 * ERR_NOT_FOUND: the service has no such path; ERR_DENIED: only without a token, which is not
 * allowed, or the service is switched off; ERR_NETWORK and others: no usable answer. text is
 * borrowed, and zeroed afterwards: it may be a secret. */
typedef void imds_done_fn(int code, const char *text, const struct error *why, void *arg);
void imds_get(struct imds *imds, const char *path, imds_done_fn *done, void *arg);
