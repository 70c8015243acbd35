/* SPDX-License-Identifier: Apache-2.0 */
/* What an answer to a download says: whether it is the bundle, what to do where it is not, and by
 * what a broken one may be continued. Everything here is pure. */
#pragma once

#include "agent/fetch/source.h"
#include "common/http.h"

#include <stdint.h>

enum fetch_verdict {
	FETCH_GOOD,      /* 200 or 206, whole */
	FETCH_AGAIN,     /* may succeed later: network, an error of theirs */
	FETCH_THROTTLED, /* may succeed later, but not soon */
	FETCH_RESTART,   /* cannot be continued: from the first byte */
	FETCH_MOVED,     /* location says where to */
	FETCH_REGION,    /* region says which one to sign for and ask in */
	FETCH_EXPIRED,   /* the credentials are: with new ones */
	FETCH_SKEWED,    /* signed with a time that is not the server's */
	FETCH_NO,        /* for good */
};

struct fetch_advice {
	uint64_t wait_ms; /* that the server asks for; 0: it says nothing */
	char *location;   /* https://..., or a path of the same host; owned */
	char region[64];
};
void fetch_advice_clear(struct fetch_advice *advice);
#define auto_fetch_advice CLEANUP(fetch_advice_clear)

/* ret is filled in any case; err unless it is good; its text never holds more of an address than
 * its host. */
enum fetch_verdict fetch_judge(const struct http_response *response, enum fetch_kind kind,
			       int64_t now_s, struct fetch_advice *ret, struct error *err);

/* What If-Range takes: a strong ETag, or a Last-Modified that is old enough to be one. NULL: an
 * answer that cannot be continued. Caller frees. */
char *fetch_validator(const struct http_response *head);
/* Is a 206 what follows offset bytes of something that is total long (-1: not known)? */
bool fetch_continues(const struct http_response *head, uint64_t offset, int64_t total);
/* Length of what is asked for as a whole; -1: not told. */
int64_t fetch_total(const struct http_response *head);
/* Compared as AWS does: without quotes, case matters. */
bool fetch_same_etag(const char *a, const char *b);
/* S3 says that the object's ETag is no MD5, whatever it looks like. */
bool fetch_etag_is_opaque(const struct http_response *head);
