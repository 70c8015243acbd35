/* SPDX-License-Identifier: Apache-2.0 */
/* Where a revision lies: read from a specification or from what a person typed, and the address to
 * ask for it. Everything here is pure. */
#pragma once

#include "common/cleanup.h"
#include "common/error.h"

#include <jansson.h>
#include <stdbool.h>

enum fetch_kind {
	FETCH_STORE, /* S3 as the endpoint that this host is enrolled at speaks it */
	FETCH_S3,
	FETCH_GITHUB,
	FETCH_HTTPS,
};

struct fetch_source {
	enum fetch_kind kind;
	char *name;                          /* for messages, without secrets: "s3://bucket/key" */
	char *type;                          /* of the bundle: "tar", "tgz", "tar.zst", "zip" */
	char *bucket, *key;                  /* S3 */
	char *version;                       /* S3; NULL: the newest */
	char *etag;                          /* S3, that it must have; NULL: any */
	char *account, *repository, *commit; /* GitHub; commit: whatever it takes for a ref */
	char *token;                         /* GitHub, secret; NULL: anonymous */
	char *url;                           /* HTTPS */
	char *sha256;                        /* HTTPS, from "#sha256="; NULL: not told */
};
void fetch_source_clear(struct fetch_source *source); /* forgets secrets for good */
#define auto_fetch_source CLEANUP(fetch_source_clear)

/* From a specification's Revision object; token may be NULL. */
int fetch_source_from_revision(const json_t *revision, const char *token, struct fetch_source *ret,
			       struct error *err) MUST_CHECK;

/* From a command line: s3://bucket/key[?versionId=V][&etag=E], github:owner/repo[@ref],
 * https://github.com/owner/repo[/tree/REF|/commit/REF|/archive/...], https://...[#sha256=HEX].
 * type: of the bundle, NULL where its name says it. ERR_INPUT says what is wrong with it. */
int fetch_source_parse(const char *text, const char *type, struct fetch_source *ret,
		       struct error *err) MUST_CHECK;

/* URL of an S3 object: the bucket stands in front of base's host name where it can, else in the
 * path. Caller frees. */
char *fetch_s3_url(const struct fetch_source *source, const char *base, bool path_style);
/* The same in the bundle store of our own endpoint. */
char *fetch_store_url(const struct fetch_source *source, const char *endpoint);
/* URL of GitHub's archive of a commit. */
char *fetch_github_url(const struct fetch_source *source, const char *api);

/* "https://HOST[:PORT]/PATH[?QUERY]": its parts, for a signature. Caller frees each; *ret_query may
 * be NULL. */
void fetch_url_split(const char *url, char **ret_host, char **ret_path, char **ret_query);
