/* SPDX-License-Identifier: Apache-2.0 */
/* The layers that a deployment stands on, looked at in order. A layer's function says what it found
 * by doctor_say(); cmd-doctor.c has the table and prints. Nothing is changed, no command is taken,
 * and every wait has an end. */
#pragma once

#include "agent/identity.h"
#include "agent/settings.h"
#include "common/attr.h"
#include "common/cleanup.h"
#include "common/proxy.h"

#include "agent/cli/cli.h"

#include <jansson.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define DOCTOR_TOTAL_MS 27000 /* all waits together */
#define DOCTOR_ADDRESSES_MAX 16
#define DOCTOR_SKEW_MAX_S 300 /* what AWS accepts of a signature */

enum doctor_layer {
	DOCTOR_CONFIGURATION,
	DOCTOR_IDENTITY,
	DOCTOR_DNS,
	DOCTOR_TCP,
	DOCTOR_PROXY,
	DOCTOR_TLS,
	DOCTOR_CLOCK,
	DOCTOR_CREDENTIALS,
	DOCTOR_AUTHORISATION,
	DOCTOR_SIGNER,
	DOCTOR_DISK,
	DOCTOR_UNITS,
	DOCTOR_CGROUPS,
	DOCTOR_KERNEL,
	DOCTOR_LAYERS
};

enum doctor_verdict { DOCTOR_OK, DOCTOR_SKIPPED, DOCTOR_WARNING, DOCTOR_FAILED };

struct doctor_address {
	struct sockaddr_storage sockaddr;
	socklen_t len;
	char text[INET6_ADDRSTRLEN + 8]; /* "127.0.0.1", "[::1]" */
};

struct doctor_aws;

struct aws_signed;

struct doctor_addresses {
	size_t count;
	struct doctor_address list[DOCTOR_ADDRESSES_MAX];
};

struct doctor_finding {
	enum doctor_layer layer;
	enum doctor_verdict verdict;
	bool detail; /* shown with --verbose only, while it is ok */
	char *fact, *next;
};

struct doctor {
	const struct cli *cli;
	enum doctor_layer layer; /* that is being looked at */
	uint64_t deadline_us;    /* monotonic */

	struct settings settings;
	bool has_settings;
	struct identity *identity; /* NULL: not enrolled, or not readable */
	bool hidden;               /* there may be one, but this user may not look */
	struct doctor_aws *aws;    /* NULL: not in AWS mode */
	json_t *daemon;            /* its status; NULL: none answers */

	/* what the network's layers hand on */
	char *endpoint, *host, *port;               /* host without brackets; NULL: there is none */
	const char *ca_file, *cert_file, *key_file; /* borrowed; NULL: none, or not readable */
	bool trust_hidden;
	int ca_fd; /* -1: none */
	char *ca_path;
	struct proxy_choice proxy;
	struct doctor_addresses addresses;
	int fd; /* a connection to the endpoint, for TLS; -1: none */
	struct http_client *http;
	struct error silence; /* why the endpoint did not answer at all */

	struct doctor_finding *findings;
	size_t n_findings;
};

/* next: what to do about it, NULL when there is nothing to do; it is copied. */
void doctor_say(struct doctor *doctor, enum doctor_verdict verdict, const char *next,
		const char *fmt, ...) PRINTF_LIKE(4, 5);
/* A fact behind an "ok" that few want to see. */
void doctor_detail(struct doctor *doctor, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The worst of the layer; DOCTOR_OK when it has said nothing. */
enum doctor_verdict doctor_verdict_of(const struct doctor *doctor, enum doctor_layer layer);
/* From now, but never behind the end of all. Monotonic. */
uint64_t doctor_until_us(const struct doctor *doctor, uint64_t ms);
/* The same as what is left, in milliseconds; at least 1. */
uint64_t doctor_left_ms(const struct doctor *doctor, uint64_t ms);

/* What the daemon's status says; "" or 0 without one. */
const char *doctor_daemon_text(const struct doctor *doctor, const char *member);
int64_t doctor_daemon_time(const struct doctor *doctor, const char *member);

/* "https://[::1]:8443/x" to "::1" and "8443". Callers free. False: it is no such address. */
bool doctor_split_url(const char *url, char **ret_host, char **ret_port);
/* In a process of its own, because resolvers may hang. ERR_NETWORK, -ETIMEDOUT. */
int doctor_resolve(const char *host, const char *port, uint64_t deadline_us,
		   struct doctor_addresses *ret, struct error *err) MUST_CHECK;

/* doctor-host.c */
void doctor_configuration(struct doctor *doctor);
void doctor_identity(struct doctor *doctor);
void doctor_signer(struct doctor *doctor);
void doctor_disk(struct doctor *doctor);
/* doctor-net.c */
void doctor_proxy(struct doctor *doctor);
void doctor_dns(struct doctor *doctor);
void doctor_tcp(struct doctor *doctor);
void doctor_tls(struct doctor *doctor);
/* doctor-ask.c */
void doctor_clock(struct doctor *doctor);
void doctor_credentials(struct doctor *doctor);
void doctor_authorisation(struct doctor *doctor);
/* doctor-aws.c: the mode without an enrolment of ours */
struct doctor_aws *doctor_aws_ask(struct doctor *doctor);
void doctor_aws_free(struct doctor_aws *aws);
void doctor_aws_identity(struct doctor *doctor);
void doctor_aws_credentials(struct doctor *doctor);
void doctor_aws_signer(struct doctor *doctor);
/* The address of the command service; the caller frees. NULL: said why not. */
char *doctor_aws_endpoint(struct doctor *doctor);
/* Whom to trust there. */
void doctor_aws_trust(struct doctor *doctor);
/* What the service says the time is: signatures are made for that. True: that changed them. */
bool doctor_aws_set_clock(struct doctor *doctor, const char *date);
const char *doctor_aws_host_identifier(const struct doctor_aws *aws);
/* Sign a request to the endpoint as the daemon does. */
int doctor_aws_sign(const struct doctor *doctor, const char *target, const char *body,
		    struct aws_signed *ret, struct error *err) MUST_CHECK;

/* doctor-system.c */
void doctor_units(struct doctor *doctor);
void doctor_cgroups(struct doctor *doctor);
void doctor_kernel(struct doctor *doctor);
