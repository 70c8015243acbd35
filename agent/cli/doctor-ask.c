// SPDX-License-Identifier: Apache-2.0
/* What the endpoint says: its clock, and whether it accepts who we are. */
#include "agent/cli/doctor.h"

#include "agent/aws/sign.h"
#include "agent/proxies.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/http.h"
#include "common/json.h"
#include "common/str.h"
#include "common/wire.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#define ANSWER_MS 6000
#define SKEW_WARN_S 30

static int make_client(struct doctor *doctor, struct error *err)
{
	struct http_options options = {
		.ca_file = doctor->ca_file,
		.cert_file = doctor->cert_file,
		.key_file = doctor->key_file,
	};
	proxies_set(&doctor->settings, PROXIES_COMMANDS, &options);
	return doctor->http ? 0 : http_client_new(NULL, &options, &doctor->http, err);
}

/* Clock */

/* "Sat, 21 Nov 2026 22:00:00 GMT" */
static time_t parse_date(const char *date)
{
	struct tm tm = {0};
	const char *end = strptime(date, "%a, %d %b %Y %H:%M:%S", &tm);
	return end && str_eq(end, " GMT") ? timegm(&tm) : -1;
}

static void say_skew(struct doctor *doctor, int64_t skew_s, const char *date, uint64_t round_ms)
{
	uint64_t seconds = (uint64_t)(skew_s < 0 ? -skew_s : skew_s);
	const char *which = skew_s < 0 ? "behind" : "ahead of";
	if (seconds > DOCTOR_SKEW_MAX_S && doctor_aws_set_clock(doctor, date))
		doctor_say(doctor, DOCTOR_WARNING, "'timedatectl' shows whether it is synchronised",
			   "this host's clock is %" PRIu64 " s %s that of AWS (%s); requests are "
			   "signed for theirs",
			   seconds, which, date);
	else if (seconds > DOCTOR_SKEW_MAX_S)
		doctor_say(
			doctor, DOCTOR_FAILED,
			"'timedatectl' shows whether the clock is synchronised; 'systemctl "
			"restart systemd-timesyncd' or chrony's 'chronyc makestep' puts it right",
			"this host's clock is %" PRIu64
			" s %s the endpoint's (%s): signatures and certificates fail",
			seconds, which, date);
	else if (seconds > SKEW_WARN_S)
		doctor_say(doctor, DOCTOR_WARNING, "'timedatectl' shows whether it is synchronised",
			   "this host's clock is %" PRIu64 " s %s the endpoint's (%s)", seconds,
			   which, date);
	else
		doctor_say(doctor, DOCTOR_OK, NULL,
			   "%" PRId64 " s from the endpoint's (%s, answered in %" PRIu64 " ms)",
			   skew_s, date, round_ms);
}

void doctor_clock(struct doctor *doctor)
{
	if (doctor->trust_hidden) {
		doctor_say(doctor, DOCTOR_SKIPPED, "run it as root",
			   "without the endpoint's CA nothing is asked of it");
		return;
	}
	struct error *err = &doctor->silence;
	if (err->code || make_client(doctor, err) < 0) {
		doctor_say(doctor, DOCTOR_SKIPPED, NULL, "%s", err->text);
		return;
	}
	auto_free char *url = xasprintf("%s/", doctor->endpoint);
	const struct http_request request = {
		.method = "GET", .url = url, .timeout_ms = doctor_left_ms(doctor, ANSWER_MS)};
	auto_http_response struct http_response response = {0};
	double begin = clock_wall();
	int r = http_perform(doctor->http, &request, &response, err);
	double end = clock_wall();
	const char *date = r < 0 ? NULL : http_header_get(&response, "date");
	time_t theirs = date ? parse_date(date) : -1;
	if (r < 0)
		doctor_say(doctor, DOCTOR_SKIPPED, NULL, "the endpoint gave no answer: %s",
			   err->text);
	else if (theirs < 0)
		doctor_say(doctor, DOCTOR_SKIPPED, NULL, "the endpoint's answer has no date");
	else /* a date has whole seconds: its middle is meant */
		say_skew(doctor, (int64_t)((begin + end) / 2) - (int64_t)theirs, date,
			 (uint64_t)((end - begin) * 1000));
}

/* Credentials */

void doctor_credentials(struct doctor *doctor)
{
	if (doctor->aws)
		doctor_aws_credentials(doctor);
	else if (doctor->cert_file)
		doctor_say(doctor, DOCTOR_OK, NULL,
			   "the host's key and certificate; no AWS credentials are used");
	else if (doctor->hidden)
		doctor_say(doctor, DOCTOR_SKIPPED, "run it as root",
			   "the host's key is root's and the agent's to read");
	else
		doctor_say(doctor, DOCTOR_SKIPPED, NULL, "this host has none");
}

/* Authorisation */

static const char *advise_refusal(const struct doctor *doctor, const char *type)
{
	if (!doctor->aws)
		return "was it revoked ('slipway-controld host list' there)? 'slipway unenroll', "
		       "then 'slipway enroll' with a new token";
	if (str_starts(type, "AccessDenied"))
		return "its role or user lacks the policy: codedeploy-commands-secure:* "
		       "(enable_auth_policy), or the account is not allowed here";
	if (strstr(type, "Signature") || str_starts(type, "Request"))
		return "the clock, the secret key or the region is wrong";
	return "its credentials are expired or of another account: renew them";
}

static void judge(struct doctor *doctor, const struct http_response *response)
{
	struct wire_fault fault = {0};
	int status = response->status;
	if (status >= 200 && status <= 299) {
		doctor_say(doctor, DOCTOR_OK, NULL, "the endpoint accepts who this host is");
		return;
	}
	wire_fault_parse(status, http_header_get(response, "x-amzn-errortype"),
			 buf_str(&response->body), response->body.len, &fault);
	if (wire_fault_is_throttling(status, &fault))
		doctor_say(doctor, DOCTOR_WARNING, "wait: the agent slows down by itself",
			   "the endpoint asks this host to slow down (%s)", fault.type);
	else if (wire_fault_is_denied(status, &fault))
		doctor_say(doctor, DOCTOR_FAILED, advise_refusal(doctor, fault.type),
			   "the endpoint refuses this host: %s%s%s (HTTP %d)", fault.type,
			   *fault.message ? ": " : "", fault.message, status);
	else if (status >= 500)
		doctor_say(doctor, DOCTOR_FAILED, "the endpoint's own log says more",
			   "the endpoint is in trouble: %s%s%s (HTTP %d)", fault.type,
			   *fault.message ? ": " : "", fault.message, status);
	else if (str_starts(fault.type, "HTTP "))
		doctor_say(doctor, DOCTOR_FAILED,
			   "something else than the endpoint answers there: check the address",
			   "the answer is none of the protocol (HTTP %d)", status);
	else /* that it looked at what was asked means that it knows who did */
		doctor_say(doctor, DOCTOR_OK, NULL, "the endpoint accepts who this host is");
}

/* A question that takes no command and changes nothing: a specification, without saying which. Who
 * may not ask is told so; who may is told what is missing. */
static int ask(struct doctor *doctor, struct http_response *response, struct error *err)
{
	auto_json json_t *input = json_object();
	json_set_str(input, "HostIdentifier",
		     doctor->aws ? doctor_aws_host_identifier(doctor->aws)
				 : doctor->identity->host_identifier);
	auto_free char *body = json_text(input);
	auto_free char *url = xasprintf("%s/", doctor->endpoint);
	auto_aws_signed struct aws_signed with = {0};
	int r = doctor->aws
			? doctor_aws_sign(doctor, "GetDeploymentSpecification", body, &with, err)
			: 0;
	if (r < 0)
		return r;
	static const struct http_header plain[] = {
		{"Content-Type", "application/x-amz-json-1.1"},
		{"X-Amz-Target", WIRE_TARGET_COMMANDS ".GetDeploymentSpecification"},
	};
	const struct http_request request = {
		.method = "POST",
		.url = url,
		.headers = doctor->aws ? with.headers : plain,
		.n_headers = doctor->aws ? with.count : ARRAY_LEN(plain),
		.body = body,
		.body_len = strlen(body),
		.timeout_ms = doctor_left_ms(doctor, ANSWER_MS),
	};
	return http_perform(doctor->http, &request, response, err);
}

/* For those who may not use the host's key, and beside the answer for those who may. */
static void say_daemon(struct doctor *doctor)
{
	char when[CLOCK_ISO_LEN];
	const char *state = doctor_daemon_text(doctor, "state");
	int64_t last = doctor_daemon_time(doctor, "last_poll");
	if (!*state)
		return;
	const json_t *error = json_object_get(doctor->daemon, "last_error");
	const char *text = json_string_value(json_object_get(error, "text"));
	if (str_eq(state, "reachable"))
		doctor_say(doctor, DOCTOR_OK, NULL, "slipwayd's polls are answered%s%s",
			   last ? ", last at " : "", last ? clock_format_local(last, when) : "");
	else if (str_eq(state, "connecting"))
		doctor_say(doctor, DOCTOR_OK, NULL, "slipwayd's first poll waits for its answer");
	else
		doctor_say(doctor, str_eq(state, "refused") ? DOCTOR_FAILED : DOCTOR_WARNING,
			   str_eq(state, "refused") ? advise_refusal(doctor, "") : NULL,
			   "slipwayd's last poll: %s: %s", state,
			   text ? text : "no reason is known");
}

void doctor_authorisation(struct doctor *doctor)
{
	struct error err = {0};
	bool able = doctor->http && (doctor->aws || (doctor->identity && doctor->cert_file));
	if (doctor->silence.code) {
		bool denied = doctor->silence.code == ERR_DENIED;
		doctor_say(doctor, DOCTOR_FAILED,
			   denied ? advise_refusal(doctor, "")
				  : "the endpoint's own log says more; restart it if it hangs",
			   "%s%s", denied ? "the endpoint refuses this host's certificate: " : "",
			   doctor->silence.text);
	} else if (able) {
		auto_http_response struct http_response response = {0};
		int r = ask(doctor, &response, &err);
		if (r < 0)
			doctor_say(doctor, DOCTOR_FAILED,
				   r == ERR_DENIED ? advise_refusal(doctor, "")
						   : "the endpoint's own log says more",
				   "%s", err.text);
		else
			judge(doctor, &response);
	} else {
		doctor_say(doctor, DOCTOR_SKIPPED, "run it as root",
			   "only root and the agent can ask in this host's name");
	}
	say_daemon(doctor);
}
