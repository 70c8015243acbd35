// SPDX-License-Identifier: Apache-2.0
/* The chain of the AWS service's signer is not checked: the one that its agents ship has expired,
 * and so has, for all that is known, whatever would replace it. What holds is that the document is
 * intact, that it came over TLS from the service to the daemon, and the pinned certificate. */
#include "agent/trust.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/pki.h"
#include "common/str.h"

#include <fcntl.h>
#include <string.h>

#define TRUST_MAX_BYTES ((size_t)256 * 1024)
#define SEPARATORS ", \t\n"
#define NOT_ENROLLED "this host is not enrolled (see 'slipway enroll')"

static const char *const kinds[] = {
	[TRUST_NOBODY] = "nobody",
	[TRUST_ENDPOINT] = "endpoint",
	[TRUST_AWS] = "aws",
};

void trust_clear(struct trust *trust)
{
	free(trust->ca);
	free(trust->host);
	free(trust->endpoint);
	free(trust->signer_subject);
	free(trust->signer_fingerprints);
	*trust = (struct trust){0};
}

static int read_enrolment(int dirfd, struct trust *trust, struct error *err)
{
	auto_json json_t *identity = NULL;
	const char *host = NULL, *endpoint = NULL;
	size_t len;
	struct error why = {0};
	if (fs_read_file(dirfd, "ca.pem", TRUST_MAX_BYTES, &trust->ca, &len, &why) < 0 ||
	    json_read_file(dirfd, "identity.json", TRUST_MAX_BYTES, &identity, &why) < 0)
		return error_set(err, ERR_TRUST, NOT_ENROLLED ": %s", why.text);
	int r = json_need_str(identity, "host_identifier", &host, err);
	if (r >= 0)
		r = json_opt_str(identity, "endpoint", &endpoint, err);
	if (r < 0)
		return error_prefix(err, r, "trust/identity.json");
	trust->kind = TRUST_ENDPOINT;
	trust->host = xstrdup(host);
	trust->endpoint = xstrdup_null(endpoint);
	return 0;
}

/* The next of several fingerprints; cuts the text up. */
static char *next_fingerprint(char **list)
{
	char *one = NULL;
	while ((one = strsep(list, SEPARATORS)) && !*one)
		;
	return one;
}

static int check_fingerprints(const char *text, struct error *err)
{
	auto_free char *copy = xstrdup(text);
	char *rest = copy, *one;
	size_t n = 0;
	for (; (one = next_fingerprint(&rest)); n++)
		if (!pki_fingerprint_equal(one, one))
			return error_set(err, ERR_INPUT,
					 "agent.yml: 'aws_signer_fingerprint': '%.80s' is not the "
					 "SHA-256 of a certificate (64 hex digits)",
					 one);
	return n ? 0 : error_set(err, ERR_INPUT, "agent.yml: 'aws_signer_fingerprint' is empty");
}

static int read_settings(const struct settings *settings, struct trust *trust, struct error *err)
{
	if (!settings->aws)
		return 0;
	int r = settings->aws_signer_fingerprint
			? check_fingerprints(settings->aws_signer_fingerprint, err)
			: 0;
	if (r < 0)
		return r;
	trust->kind = TRUST_AWS;
	trust->signer_subject = xstrdup_null(settings->aws_signer_subject);
	trust->signer_fingerprints = xstrdup_null(settings->aws_signer_fingerprint);
	return 0;
}

int trust_load(const struct paths *paths, const struct settings *settings, struct trust *ret,
	       struct error *err)
{
	auto_trust struct trust trust = {0};
	auto_free char *path = fs_join(paths->host, "trust");
	auto_close int dirfd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dirfd < 0 && errno != ENOENT)
		return error_errno(err, "open '%s'", path);
	int r = dirfd >= 0 ? read_enrolment(dirfd, &trust, err)
			   : read_settings(settings, &trust, err);
	if (r < 0)
		return r;
	*ret = trust;
	trust = (struct trust){0};
	return 0;
}

bool trust_is_pinned(const struct trust *trust)
{
	return trust->kind == TRUST_AWS && trust->signer_fingerprints;
}

static bool is_listed(const char *fingerprints, const char *seen)
{
	auto_free char *copy = xstrdup(fingerprints);
	char *rest = copy, *one;
	while ((one = next_fingerprint(&rest)))
		if (pki_fingerprint_equal(one, seen))
			return true;
	return false;
}

static int check_signer(const struct trust *trust, const struct pki_signer *signer,
			struct error *err)
{
	if (trust->signer_fingerprints &&
	    !is_listed(trust->signer_fingerprints, signer->fingerprint))
		return error_set(err, ERR_TRUST,
				 "the specification is signed by '%s' with the fingerprint %s, "
				 "aws_signer_fingerprint allows another",
				 signer->subject[0], signer->fingerprint);
	if (trust->signer_subject && !pki_signer_is(signer, trust->signer_subject))
		return error_set(err, ERR_TRUST,
				 "the specification is signed by '%s', aws_signer_subject allows "
				 "'%s'",
				 signer->subject[0], trust->signer_subject);
	return 0;
}

static int open_aws(const struct trust *trust, const char *payload, char **ret, size_t *ret_len,
		    char **ret_signer, struct error *err)
{
	auto_pki_signer struct pki_signer signer = {0};
	auto_free char *text = NULL;
	size_t len;
	int r = pki_cms_open(payload, &signer, &text, &len, err);
	if (r >= 0)
		r = check_signer(trust, &signer, err);
	if (r < 0)
		return r;
	if (ret_signer)
		*ret_signer = xasprintf("'%s', SHA-256 %s", signer.subject[0], signer.fingerprint);
	*ret = TAKE(text);
	*ret_len = len;
	return 0;
}

int trust_open(const struct trust *trust, const json_t *specification, char **ret, size_t *ret_len,
	       char **ret_signer, struct error *err)
{
	const char *format = NULL, *payload = NULL;
	int r;
	if ((r = json_need_str(specification, "Format", &format, err)) < 0 ||
	    (r = json_need_str(specification, "Payload", &payload, err)) < 0)
		return error_prefix(err, r, "specification");
	if (strcmp(format, "PKCS7/JSON") != 0)
		return error_set(err, ERR_SIGNATURE,
				 "specification: format '%s' is not signed, expected PKCS7/JSON",
				 format);
	switch (trust->kind) {
	case TRUST_ENDPOINT:
		return pki_cms_verify(payload, trust->ca, clock_wall_s(), ret, ret_len, err);
	case TRUST_AWS:
		return open_aws(trust, payload, ret, ret_len, ret_signer, err);
	default:
		return error_set(err, ERR_TRUST, NOT_ENROLLED ", and agent.yml does not say 'aws'");
	}
}

char *trust_describe(const struct trust *trust)
{
	switch (trust->kind) {
	case TRUST_ENDPOINT:
		return xasprintf("specifications that the endpoint%s%s%s has signed for this host",
				 trust->endpoint ? " '" : "",
				 trust->endpoint ? trust->endpoint : "",
				 trust->endpoint ? "'" : "");
	case TRUST_AWS:
		if (trust->signer_fingerprints)
			return xasprintf("specifications of the AWS service that are intact and "
					 "signed by the pinned certificate (%s)",
					 trust->signer_fingerprints);
		if (trust->signer_subject)
			return xasprintf("specifications of the AWS service that are intact, and "
					 "whose signer calls itself '%s' (aws_signer_subject); the "
					 "signer is not pinned (aws_signer_fingerprint)",
					 trust->signer_subject);
		return xstrdup("specifications of the AWS service that are intact, whoever has "
			       "signed them; the signer is not pinned (aws_signer_fingerprint)");
	default:
		return xstrdup("nobody's specifications: this host is not enrolled, and agent.yml "
			       "does not say 'aws: true'");
	}
}

json_t *trust_to_json(const struct trust *trust)
{
	json_t *obj = json_object();
	auto_free char *text = trust_describe(trust);
	json_set_str(obj, "kind", kinds[trust->kind]);
	json_set_str(obj, "text", text);
	json_set_str(obj, "endpoint", trust->endpoint);
	json_set_str(obj, "signer_subject", trust->signer_subject);
	json_set_str(obj, "signer_fingerprint", trust->signer_fingerprints);
	return obj;
}
