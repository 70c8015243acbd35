/* SPDX-License-Identifier: Apache-2.0 */
/* Fetch a revision, for the daemon and the command line: into a file without a name, or into a pipe
 * as it comes. A transfer that breaks is continued by range where the server said by what (a strong
 * ETag, or a date), else begun again; a pipe then is exchanged for a new one. What the bytes are
 * worth (SHA-256, MD5) is checked by the worker, who hashes each as it comes; that they are those
 * of the ETag that the revision names is checked here, as AWS does it.
 *
 * Secrets (GitHub's token, the signature) go to the host that they are for and no other, and are in
 * no message. */
#pragma once

#include "agent/aws/credentials.h"
#include "agent/fetch/source.h"
#include "agent/settings.h"
#include "common/http.h"
#include "common/loop.h"

#include <stdint.h>

struct fetch;

struct fetch_order {
	const struct settings *settings; /* borrowed for the call */
	/* S3 revisions come from this endpoint's store, by its client; NULL: from AWS, or from the
	 * S3 that the settings name, with the credentials of aws. Both outlive the fetch. */
	struct http_client *store;
	const char *endpoint;
	struct aws_provider *aws; /* NULL: this host has none */
	int64_t size_bytes;       /* -1: unknown */
	int dirfd;                /* where the file goes; -1: into a pipe */
};

struct fetch_end {
	int fd; /* the whole file, the callee's to keep or close; -1: a pipe, or an error */
	const char *type; /* of the bundle */
	uint64_t bytes;
	const char *etag;          /* as the server has it; NULL: none */
	bool etag_is_opaque;       /* it is not the MD5 of the bytes, even if it looks like one */
	const struct error *error; /* NULL: all is well. -EPIPE: nobody reads the pipe any more */
};

struct fetch_handler {
	/* Of a pipe: what came is void; this is the reading end of a new one, the callee's. */
	void (*again)(int fd, void *arg);
	/* total 0: unknown. May be NULL. */
	void (*progress)(uint64_t done, uint64_t total, void *arg);
	/* A transfer broke and goes on in so many ms. May be NULL: then it is logged. */
	void (*pause)(const struct error *why, uint64_t ms, void *arg);
	/* Called once, from the loop; the fetch is gone afterwards. */
	void (*done)(const struct fetch_end *end, void *arg);
	void *arg;
};

/* Takes source over, also when it fails. *ret_fd: the reading end of the pipe, the caller's; NULL
 * when it is a file. */
int fetch_start(struct loop *loop, struct fetch_source *source, const struct fetch_order *order,
		const struct fetch_handler *handler, struct fetch **ret, int *ret_fd,
		struct error *err) MUST_CHECK;
void fetch_cancel(struct fetch *fetch); /* no callback will come; NULL is allowed */
