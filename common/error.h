/* SPDX-License-Identifier: Apache-2.0 */
/* The one error idiom: a function that can fail returns int, 0 or more on success, below 0 a code
 * that callers branch on; the reason in words goes into a struct error that the caller owns. It
 * holds no heap: dropping it needs no release. */
#pragma once

#include "common/attr.h"

#include <errno.h>
#include <stdbool.h>

struct error {
	int code;       /* negative errno or ERR_*; 0 while unset */
	char text[512]; /* UTF-8, NUL-terminated, cut at the end when too long */
};

/* Our own codes, below every negative errno: one number space. Each has a stable name, see
 * error_name(). */
enum {
	ERR_FORMAT = -1001,  /* "bad_format": bytes that are not what their format says */
	ERR_INPUT = -1002,   /* "bad_input": a person's input is wrong; nothing was touched */
	ERR_REFUSED = -1003, /* "refused_by_plan": the plan refuses; nothing was touched */
	ERR_SIGNATURE =
		-1004,       /* "signature_mismatch": a signature, digest or ETag does not match */
	ERR_TRUST = -1005,   /* "not_trusted": TLS or certificate chain refused */
	ERR_DENIED = -1006,  /* "access_denied": the peer refuses our identity */
	ERR_NETWORK = -1007, /* "unreachable": no answer, or none that makes sense; try again */
	ERR_HTTP = -1008,    /* "http_error": the peer answered with an error status */
	ERR_THROTTLED = -1009, /* "throttled": the peer asks us to slow down */
	ERR_BUSY = -1010,      /* "busy": another deployment holds the lock */
	ERR_SCRIPT = -1011,    /* "script_failed": a lifecycle script failed; see its diagnostics */
	ERR_CONFLICT = -1012,  /* "changed_underneath": a target changed between plan and switch */
	ERR_UNDO = -1013,      /* "undo_failed": could not be undone, a person is needed */
	ERR_NOT_MOUNTED =
		-1014, /* "not_mounted": a destination's file system is not there; recovery waits */
	ERR_LIMIT = -1015,     /* "over_limit": a ceiling was reached */
	ERR_CRYPTO = -1016,    /* "crypto_failed": OpenSSL or GnuTLS failed */
	ERR_DATABASE = -1017,  /* "database_failed": the store failed */
	ERR_NOT_FOUND = -1018, /* "not_found": no such object */
	ERR_EXISTS = -1019,    /* "exists": the object exists already */
	ERR_EXPIRED = -1020, /* "expired": a token, specification or certificate is past its time */
};

/* Set err and return code, so that a failure reads "return error_set(...)". err may be NULL. */
int error_set(struct error *err, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Same with code = -errno; ": strerror(errno)" is appended. Returns the code. */
int error_errno(struct error *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Put context in front of the text: "context: text". Keeps code as given; returns it. */
int error_prefix(struct error *err, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Is it the failure that is known already? Numbers in the text do not count: libcurl says after how
 * many milliseconds it gave up, which differs each time. */
bool error_is_like(const struct error *a, const struct error *b);

/* The stable name of a code for JSON and the API: "bad_format", ..., or the errno's own ("ENOENT"),
 * or "unknown". */
const char *error_name(int code);

/* The code of a stable name; -EINVAL when nobody has that name. */
int error_from_name(const char *name);
