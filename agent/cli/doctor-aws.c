// SPDX-License-Identifier: Apache-2.0
/* AWS mode: who this host is there, with which credentials, and what it trusts. */
#include "agent/cli/doctor.h"

#include "agent/aws/credentials.h"
#include "agent/aws/partition.h"
#include "agent/aws/sign.h"
#include "agent/aws/trust.h"
#include "agent/rival.h"
#include "agent/trust.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/str.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>

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
	struct error err = {0};
	doctor->aws = doctor_aws_ask(doctor);
	const struct aws_identity *id = identity_of(doctor->aws);
	const struct settings *settings = &doctor->settings;
	if (rival_check(&doctor->cli->paths, settings->pid_dir, settings->program_name, &err) < 0)
		doctor_say(doctor, DOCTOR_FAILED,
			   "'slipway import codedeploy' takes over from it and stops it", "%s",
			   err.text);
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
	const struct aws_identity *id = identity_of(doctor->aws);
	struct error err = {0};
	char *url = NULL;
	if (id && aws_commands_url(&doctor->settings, id, &url, &err) < 0)
		doctor_say(doctor, DOCTOR_FAILED, "put that option of agent.yml right", "%s",
			   err.text);
	return url;
}

/* A directory of certificates is one text in memory: a file for whoever wants one. */
static int hold(struct doctor *doctor, const char *pem, struct error *err)
{
	doctor->ca_fd = memfd_create("slipway-ca", MFD_CLOEXEC);
	if (doctor->ca_fd < 0 || fs_write_all(doctor->ca_fd, pem, strlen(pem)) < 0)
		return error_errno(err, "hold the certificates in memory");
	doctor->ca_path = xasprintf("/proc/self/fd/%d", doctor->ca_fd);
	return 0;
}

void doctor_aws_trust(struct doctor *doctor)
{
	struct http_options options = {0};
	auto_free char *text = NULL;
	struct error err = {0};
	int r = aws_trust(&doctor->settings, &options, &text, &err);
	if (r == 0 && options.ca_pem)
		r = hold(doctor, options.ca_pem, &err);
	if (r < 0)
		doctor_say(doctor, DOCTOR_FAILED, "put that variable or key right", "%s", err.text);
	else if (options.ca_file)
		doctor->ca_path = xstrdup(options.ca_file);
	doctor->ca_file = doctor->ca_path;
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
	struct aws_seen seen;
	aws_provider_look(aws->provider, &seen);
	if (seen.from)
		doctor_say(doctor, DOCTOR_OK, NULL, "they are from %s", seen.from);
}

void doctor_aws_signer(struct doctor *doctor)
{
	auto_trust struct trust trust = {0};
	struct error err = {0};
	int r = trust_load(&doctor->cli->paths, &doctor->settings, &trust, &err);
	auto_free char *text = trust_describe(&trust);
	if (r == -EACCES)
		doctor_say(doctor, DOCTOR_SKIPPED, "run it as root", "%s", err.text);
	else if (r < 0)
		doctor_say(doctor, DOCTOR_FAILED,
			   r == ERR_INPUT ? "correct it" : "run 'slipway unenroll'",
			   "%s; the worker takes no command", err.text);
	else if (trust.kind != TRUST_AWS)
		doctor_say(doctor, DOCTOR_FAILED, "run 'slipway unenroll'",
			   "the worker takes only %s", text);
	else
		doctor_say(doctor, DOCTOR_OK, NULL, "the worker takes %s", text);
}

bool doctor_aws_set_clock(struct doctor *doctor, const char *date)
{
	int level = log_get_level();
	log_set_level(LOG_ERR); /* it is said among the findings */
	bool changed = doctor->aws &&
		       aws_provider_set_clock(doctor->aws->provider, date,
					      aws_provider_now_s(doctor->aws->provider));
	log_set_level(level);
	return changed;
}

int doctor_aws_sign(const struct doctor *doctor, const char *operation, const char *body,
		    struct aws_signed *ret, struct error *err)
{
	const struct doctor_aws *aws = doctor->aws;
	bool secure = doctor->settings.enable_auth_policy;
	if (!aws->have)
		return error_set(err, aws->why.code, "%s", aws->why.text);
	auto_free char *target = xasprintf("%s.%s", partition_commands_target(secure), operation);
	auto_free char *url = xasprintf("%s/", doctor->endpoint);
	const struct aws_order order = {
		.credentials = &aws->copy,
		.region = identity_of(aws)->region,
		.service = partition_commands_service(secure),
		.now_s = aws_provider_now_s(aws->provider),
		.url = url,
		.target = target,
		.version = doctor->settings.agent_version_header,
		.body = body,
	};
	return aws_sign(&order, ret, err);
}
