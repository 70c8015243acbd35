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
	DOCTOR_PROXY,
	DOCTOR_DNS,
	DOCTOR_TCP,
	DOCTOR_TLS,
	DOCTOR_CREDENTIALS,
	DOCTOR_CLOCK,
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
	bool hidden;               /* what identity has is there, but not for this user */
	json_t *daemon;            /* its status; NULL: none answers */

	/* what the network's layers hand on */
	char *endpoint, *host, *port; /* host without brackets; NULL: there is none */
	const char *ca_file, *cert_file, *key_file; /* borrowed; NULL: none, or not readable */
	bool trust_hidden;
	struct proxy_choice proxy;
	struct doctor_addresses addresses;
	int fd; /* a connection to the endpoint, for TLS; -1: none */
	bool answered;
	int64_t skew_s, round_trip_ms; /* of the answer */
	bool has_date;
	struct error silence; /* why none came */
	int status;           /* HTTP */
	char fault[640];      /* "" : none */
	char fault_type[128];

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
void doctor_credentials(struct doctor *doctor);
void doctor_clock(struct doctor *doctor);
void doctor_authorisation(struct doctor *doctor);
/* doctor-system.c */
void doctor_units(struct doctor *doctor);
void doctor_cgroups(struct doctor *doctor);
void doctor_kernel(struct doctor *doctor);
