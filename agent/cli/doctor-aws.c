// SPDX-License-Identifier: Apache-2.0
/* AWS mode: who this host is there, with which credentials, and what it trusts. */
#include "agent/cli/doctor.h"

#include "agent/aws/credentials.h"
#include "agent/aws/partition.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/digest.h"
#include "common/sigv4.h"
#include "common/str.h"

#include <signal.h>
#include <string.h>

#define AWS_MS 8000
#define SOON_S 300

/* A copy: the provider's own live as long as its loop. */
struct doctor_aws {
	struct aws_provider *provider;
	struct loop loop;
	struct aws_credentials copy; /* its strings are ours */
	bool have;
	struct error why;
};

static char *wipe(const char *secret)
{
	if (secret)
		explicit_bzero((char *)secret, strlen(secret));
	free((char *)secret);
	return NULL;
}

void doctor_aws_free(struct doctor_aws *aws)
{
	if (!aws)
		return;
	wipe(aws->copy.access_key_id);
	wipe(aws->copy.secret);
	wipe(aws->copy.session_token);
	aws_provider_free(aws->provider);
	loop_clear(&aws->loop);
	free(aws);
}

static void on_ready(const struct aws_credentials *credentials, const struct error *why, void *arg)
{
	struct doctor_aws *aws = arg;
	aws->have = credentials;
	if (credentials)
		aws->copy = (struct aws_credentials){
			.access_key_id = xstrdup(credentials->access_key_id),
			.secret = xstrdup(credentials->secret),
			.session_token = xstrdup_null(credentials->session_token),
			.expires_s = credentials->expires_s,
		};
	else
		aws->why = *why;
	loop_stop(&aws->loop, 0);
}

static int on_late(sd_event_source *source, uint64_t usec, void *arg)
{
	struct doctor_aws *aws = arg;
	error_set(&aws->why, -ETIMEDOUT,
		  "neither the on-premises file nor the metadata service gave an answer in time");
	loop_stop(&aws->loop, 0);
	return 0;
}

struct doctor_aws *doctor_aws_ask(struct doctor *doctor)
{
	struct doctor_aws *aws = xcalloc(1, sizeof(*aws));
	auto_source sd_event_source *timer = NULL;
	struct error *err = &aws->why;
	sigset_t before; /* the loop takes signals; a person's Ctrl-C is to end us all the same */
	sigprocmask(SIG_SETMASK, NULL, &before);
	int r = loop_init(&aws->loop, err);
	if (r == 0)
		r = loop_timer(&aws->loop, &timer, doctor_left_ms(doctor, AWS_MS), 10, on_late, aws,
			       err);
	if (r == 0)
		r = aws_provider_new(&aws->loop, &doctor->settings, &doctor->cli->paths,
				     &aws->provider, err);
	if (r < 0)
		return aws;
	struct aws_wait *wait = aws_provider_get(aws->provider, on_ready, aws);
	r = loop_run(&aws->loop, err);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (!aws->have && aws->why.code == -ETIMEDOUT)
		aws_wait_cancel(wait);
	return aws;
}

static const struct aws_identity *identity_of(const struct doctor_aws *aws)
{
	return aws->provider ? aws_provider_identity(aws->provider) : NULL;
}

const char *doctor_aws_host_identifier(const struct doctor_aws *aws)
{
	return identity_of(aws)->host_identifier;
}

void doctor_aws_identity(struct doctor *doctor)
{
	doctor->aws = doctor_aws_ask(doctor);
	const struct aws_identity *id = identity_of(doctor->aws);
	if (id)
		doctor_say(doctor, DOCTOR_OK, NULL, "AWS mode: this host is %s in %s (%s)",
			   id->host_identifier, id->region,
			   id->source == AWS_ROLE ? "metadata service" : "on-premises file");
	else
		doctor_say(doctor, DOCTOR_FAILED,
			   "on EC2 allow the metadata service; elsewhere write "
			   "on_premises_config_file; 'aws: true' in agent.yml asks for this",
			   "AWS mode, and who this host is is not known: %s",
			   doctor->aws->why.text);
}

char *doctor_aws_endpoint(struct doctor *doctor)
{
	const struct settings *s = &doctor->settings;
	const struct aws_identity *id = identity_of(doctor->aws);
	if (!id)
		return NULL;
	if (s->endpoint)
		return xstrdup(s->endpoint);
	const struct partition_options options = {
		.secure = s->enable_auth_policy,
		.fips = s->use_fips_mode,
		.dual_stack = s->use_dualstack_endpoint,
		.suffix = id->suffix,
	};
	struct error err = {0};
	char *url = NULL;
	if (partition_commands_url(id->region, &options, &url, &err) < 0)
		doctor_say(doctor, DOCTOR_FAILED, "put that option of agent.yml right", "%s",
			   err.text);
	return url;
}

void doctor_aws_credentials(struct doctor *doctor)
{
	const struct doctor_aws *aws = doctor->aws;
	const struct aws_identity *id = identity_of(aws);
	char until[CLOCK_ISO_LEN];
	if (!aws->have) {
		doctor_say(doctor, DOCTOR_FAILED,
			   id && id->source == AWS_ROLE
				   ? "attach an instance profile, and allow the metadata service"
				   : "renew the credentials that the on-premises file names",
			   "there are no credentials: %s", aws->why.text);
		return;
	}
	int64_t left = aws->copy.expires_s ? aws->copy.expires_s - clock_wall_s() : INT64_MAX;
	const char *of = aws_source_to_string(id->source);
	if (left <= 0)
		doctor_say(doctor, DOCTOR_FAILED, "renew them, or put this host's clock right",
			   "the credentials (%s, %.20s) expired at %s", of, aws->copy.access_key_id,
			   clock_format_local(aws->copy.expires_s, until));
	else if (left < SOON_S)
		doctor_say(doctor, DOCTOR_WARNING,
			   "whoever writes that file should have renewed "
			   "them by now",
			   "the credentials (%s, %.20s) expire at %s", of, aws->copy.access_key_id,
			   clock_format_local(aws->copy.expires_s, until));
	else
		doctor_say(doctor, DOCTOR_OK, NULL, "%s, key %.20s%s%s", of,
			   aws->copy.access_key_id, aws->copy.expires_s ? ", until " : "",
			   aws->copy.expires_s ? clock_format_local(aws->copy.expires_s, until)
					       : "");
}

void doctor_aws_signer(struct doctor *doctor)
{
	doctor_say(doctor, DOCTOR_OK, NULL,
		   "AWS: specifications are checked for integrity; who signed is not pinned");
}

void doctor_signed_clear(struct doctor_signed *headers)
{
	free(headers->authorization);
	free(headers->target);
	wipe(headers->token);
	*headers = (struct doctor_signed){.target = NULL};
}

int doctor_aws_sign(const struct doctor *doctor, const char *operation, const char *body,
		    struct doctor_signed *ret, struct error *err)
{
	const struct doctor_aws *aws = doctor->aws;
	const struct aws_identity *id = identity_of(aws);
	if (!aws->have)
		return error_set(err, aws->why.code, "%s", aws->why.text);
	bool secure = doctor->settings.enable_auth_policy;
	char hash[DIGEST_SHA256_HEX];
	digest_sha256_hex(body, strlen(body), hash);
	clock_format_amz(aws_provider_now_s(aws->provider), ret->date);
	ret->target = xasprintf("%s.%s", partition_commands_target(secure), operation);
	ret->token = xstrdup_null(aws->copy.session_token);
	const char *host = strstr(doctor->endpoint, "://") + 3;
	const struct sigv4_header headers[] = {
		{"host", host},
		{"content-type", "application/x-amz-json-1.1"},
		{"x-amz-date", ret->date},
		{"x-amz-target", ret->target},
		{"x-amz-security-token", ret->token},
	};
	const struct sigv4_request request = {.method = "POST",
					      .path = "/",
					      .headers = headers,
					      .n_headers = ret->token ? 5 : 4,
					      .payload_hash = hash};
	const struct sigv4_key key = {aws->copy.access_key_id, aws->copy.secret, id->region,
				      partition_commands_service(secure)};
	return sigv4_sign(&request, &key, ret->date, &ret->authorization, err);
}
