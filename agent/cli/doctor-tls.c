// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/doctor.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/str.h"
#include "common/tls-inspect.h"

#include <inttypes.h>
#include <string.h>

#define TLS_MS 6000
#define SOON_S (14 * 86400)

static const struct {
	const char *what, *next;
} meanings[] = {
	[TLS_SILENT] = {"it takes the connection and never answers",
			"something else than the endpoint may listen there, or the endpoint hangs: "
			"restart it"},
	[TLS_CLOSED] = {"it closes the connection in the handshake",
			"a firewall, or a balancer with nobody behind it, may do that"},
	[TLS_NOT_TLS] = {"it does not speak TLS",
			 "the endpoint speaks HTTPS: check the port in its address"},
	[TLS_TOO_OLD] = {"it has no TLS 1.2 or newer",
			 "the endpoint, or what stands before it, must allow TLS 1.2: this host "
			 "takes nothing older"},
	[TLS_OTHER_NAME] = {"its certificate is for another host",
			    "use one of these names in the endpoint's address, or give the "
			    "endpoint a certificate for this one"},
	[TLS_BROKEN] = {"the handshake fails", "the endpoint's own log says more"},
};

static void say_chain(struct doctor *doctor, const struct tls_inspection *seen)
{
	char from[CLOCK_ISO_LEN], until[CLOCK_ISO_LEN];
	for (unsigned i = 0; i < seen->n_chain; i++) {
		const struct tls_certificate *c = &seen->chain[i];
		doctor_detail(doctor, "certificate %u: %s, by %s, from %s until %s%s%s", i + 1,
			      c->subject, c->issuer, clock_format_local(c->not_before_s, from),
			      clock_format_local(c->not_after_s, until), i == 0 ? ", for " : "",
			      i == 0 ? seen->names : "");
	}
}

/* Which of the certificates is out of its time; else the peer's own. */
static const struct tls_certificate *culprit_of(const struct tls_inspection *seen)
{
	for (unsigned i = 0; i < seen->n_chain; i++)
		if (*seen->culprit && str_eq(seen->chain[i].subject, seen->culprit))
			return &seen->chain[i];
	return &seen->chain[0];
}

static void say_untrusted(struct doctor *doctor, const struct tls_inspection *seen)
{
	const struct tls_certificate *c = culprit_of(seen);
	char from[CLOCK_ISO_LEN], until[CLOCK_ISO_LEN], now[CLOCK_ISO_LEN];
	clock_format_local(c->not_before_s, from);
	clock_format_local(c->not_after_s, until);
	clock_format_local(clock_wall_s(), now);
	if (c->not_after_s <= clock_wall_s())
		doctor_say(doctor, DOCTOR_FAILED,
			   "have the endpoint's certificate renewed, unless this host's clock is "
			   "wrong",
			   "the certificate %s expired at %s (this host has %s)", c->subject, until,
			   now);
	else if (c->not_before_s > clock_wall_s())
		doctor_say(doctor, DOCTOR_FAILED,
			   "this host's clock is wrong, most likely: "
			   "'timedatectl'",
			   "the certificate %s is valid from %s on (this host has %s)", c->subject,
			   from, now);
	else if (seen->n_chain == 1 && str_eq(c->subject, c->issuer))
		doctor_say(doctor, DOCTOR_FAILED,
			   doctor->identity
				   ? "is it the endpoint? then enroll this host again; else "
				     "something stands between"
				   : "name a file with it in ca_file of agent.yml",
			   "the certificate %s is signed by itself, and %s does not have it",
			   c->subject, doctor->ca_file ? doctor->ca_file : "the system's trust");
	else
		doctor_say(doctor, DOCTOR_FAILED,
			   doctor->identity
				   ? "something may stand between (a proxy that opens TLS: ca_file "
				     "in agent.yml); or the endpoint is a new one: enroll again"
				   : "name a file with that CA in ca_file of agent.yml",
			   "the certificate %s is by %s, which %s does not have (%s)", c->subject,
			   seen->chain[seen->n_chain - 1].issuer,
			   doctor->ca_file ? doctor->ca_file : "the system's trust", seen->reason);
}

static void say_fine(struct doctor *doctor, const struct tls_inspection *seen)
{
	const struct tls_certificate *own = &seen->chain[0];
	char until[CLOCK_ISO_LEN];
	clock_format_local(own->not_after_s, until);
	doctor_say(doctor, DOCTOR_OK, NULL, "%s; the certificate is %s, until %s", seen->version,
		   own->subject, until);
	doctor_say(doctor, DOCTOR_OK, NULL, "trusted by %s: %s",
		   doctor->settings.ca_file ? doctor->settings.ca_file
		   : doctor->identity       ? "the CA of the enrolment"
					    : "the system's store",
		   seen->root.subject);
	doctor_detail(doctor, "cipher %s", seen->cipher);
	if (own->not_after_s - clock_wall_s() < SOON_S)
		doctor_say(doctor, DOCTOR_WARNING, "have it renewed at the endpoint",
			   "the endpoint's certificate ends soon, at %s", until);
}

/* Without the CA's file who signed it cannot be judged: only that it speaks, and what it shows. */
static void say_unjudged(struct doctor *doctor, const struct tls_inspection *seen)
{
	char until[CLOCK_ISO_LEN];
	doctor_say(doctor, DOCTOR_SKIPPED, "run it as root",
		   "it shows %s by %s, until %s; the CA to judge it by is root's to read",
		   seen->chain[0].subject, seen->chain[0].issuer,
		   clock_format_local(seen->chain[0].not_after_s, until));
}

static void say_all(struct doctor *doctor, const struct tls_inspection *seen)
{
	if (seen->verdict == TLS_UNTRUSTED && doctor->trust_hidden)
		say_unjudged(doctor, seen);
	else if (seen->verdict == TLS_UNTRUSTED)
		say_untrusted(doctor, seen);
	else if (seen->verdict == TLS_OTHER_NAME)
		doctor_say(doctor, DOCTOR_FAILED, meanings[TLS_OTHER_NAME].next,
			   "the certificate %s is not for '%s' but for %s", seen->chain[0].subject,
			   doctor->host, *seen->names ? seen->names : "no host");
	else if (seen->verdict == TLS_FINE || seen->verdict == TLS_REFUSES_US)
		say_fine(doctor, seen);
	else
		doctor_say(doctor, DOCTOR_FAILED, meanings[seen->verdict].next,
			   "%s port %s: %s%s%s", doctor->host, doctor->port,
			   meanings[seen->verdict].what, *seen->reason ? ": " : "", seen->reason);
	say_chain(doctor, seen);
	if (seen->verdict == TLS_REFUSES_US) /* that is no fault of the way there */
		error_set(&doctor->silence, ERR_DENIED, "%s", seen->reason);
}

void doctor_tls(struct doctor *doctor)
{
	if (doctor->fd < 0) {
		doctor_say(doctor, DOCTOR_SKIPPED, NULL,
			   "through this kind of proxy only a request shows it: below");
		return;
	}
	const struct tls_how how = {
		.host = doctor->host,
		.ca_file = doctor->ca_file,
		.cert_file = doctor->cert_file,
		.key_file = doctor->key_file,
		.deadline_us = doctor_until_us(doctor, TLS_MS),
	};
	struct tls_inspection seen;
	struct error err = {0};
	int r = tls_inspect(doctor->fd, &how, &seen, &err);
	fs_close_quiet(TAKE_FD(doctor->fd));
	if (r < 0)
		doctor_say(doctor, DOCTOR_FAILED,
			   doctor->settings.ca_file ? "put ca_file in agent.yml right"
						    : "enroll this host again",
			   "%s", err.text);
	else
		say_all(doctor, &seen);
}
