/* SPDX-License-Identifier: Apache-2.0 */
/* The host's identity at AWS and its credentials, kept fresh: they are fetched when somebody asks,
 * again five minutes before they expire, and when their file has changed. A refresh that fails is
 * no failure as long as the old set is valid. Everything happens on the loop.
 *
 * Secrets lie in memory of their own, which is zeroed when they go, as are the headers made of
 * them; what libcurl has copied into its buffers is not. They are in no message. */
#pragma once

#include "agent/aws/identity.h"
#include "agent/paths.h"
#include "agent/settings.h"
#include "common/error.h"
#include "common/loop.h"

#include <stdint.h>

struct aws_credentials {
	const char *access_key_id, *secret;
	const char *session_token; /* NULL: none */
	int64_t expires_s;         /* Unix time; 0: not known */
};

struct aws_provider;
/* settings and paths are borrowed and must outlive it. Asks nobody yet. */
int aws_provider_new(struct loop *loop, const struct settings *settings, const struct paths *paths,
		     struct aws_provider **ret, struct error *err) MUST_CHECK;
/* Who waits is not called any more. */
void aws_provider_free(struct aws_provider *provider);
DEFINE_CLEANUP(struct aws_provider *, aws_provider_free)
#define auto_aws_provider CLEANUP(aws_provider_free_at)

/* Credentials that are valid now, from the loop and never from within the call: done is called
 * once, with either credentials (borrowed for the call) or why. Then aws_provider_identity() is
 * known too. The reason names what was asked and what to do. */
struct aws_wait;
typedef void aws_ready_fn(const struct aws_credentials *credentials, const struct error *why,
			  void *arg);
struct aws_wait *aws_provider_get(struct aws_provider *provider, aws_ready_fn *done, void *arg);
void aws_wait_cancel(struct aws_wait *wait); /* NULL is allowed */

/* Those at hand, when they need no refresh; else NULL: ask with aws_provider_get(). */
const struct aws_credentials *aws_provider_at_hand(struct aws_provider *provider);

/* NULL before the first success. It stays the same for the provider's life, and may be known while
 * credentials are not. */
const struct aws_identity *aws_provider_identity(const struct aws_provider *provider);

/* For people: where the set at hand is from, never the set itself. Borrowed. */
struct aws_seen {
	const char *from; /* a file, or "http://... (IMDSv2), role NAME"; NULL: nothing yet */
	const char *access_key_id;
	const char *problem; /* why the last refresh failed; "" */
	int64_t expires_s, clock_offset_s;
};
void aws_provider_look(const struct aws_provider *provider, struct aws_seen *ret);

/* Does the on-premises file name another host by now, or do the settings say otherwise where to
 * look?
 */
bool aws_provider_is_outdated(const struct aws_provider *provider);

/* The service said that the set with this access key id is expired or unknown: the next ones asked
 * for are new, where there are any. */
void aws_provider_refused(struct aws_provider *provider, const char *access_key_id);

/* Unix time as the service has it, for signatures: the machine's, put right by what the service
 * said once. */
int64_t aws_provider_now_s(const struct aws_provider *provider);
/* date: of an answer, "Sat, 21 Nov 2026 22:00:00 GMT", to a request that was signed with the time
 * signed_s. Returns whether that is more than half a minute off: then repeating the request makes
 * sense, also where another answer has put the clock right in between. */
bool aws_provider_set_clock(struct aws_provider *provider, const char *date, int64_t signed_s);
