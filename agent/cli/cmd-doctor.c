// SPDX-License-Identifier: Apache-2.0
/* The table of layers, and what a person sees of them. */
#include "agent/cli/doctor.h"
#include "agent/cli/lines.h"
#include "agent/ipc.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/http.h"
#include "common/json.h"
#include "common/str.h"

#include <string.h>

#define DAEMON_MS 3000
#define LABEL "  %-15s%-9s"
#define TEXT_COLUMN 26

static const char *const verdict_names[] = {
	[DOCTOR_OK] = "ok",
	[DOCTOR_SKIPPED] = "skipped",
	[DOCTOR_WARNING] = "warning",
	[DOCTOR_FAILED] = "failed",
};

enum { NOTHING = DOCTOR_LAYERS };

/* In this order. after: the layer without which it has no meaning; the first to fail gives the exit
 * code, see slipway-doctor(1). */
static const struct {
	const char *name, *title;
	int exit;
	int after[2];
	void (*look)(struct doctor *doctor);
} layers[DOCTOR_LAYERS] = {
	[DOCTOR_CONFIGURATION] =
		{"configuration", "configuration", 10, {NOTHING, NOTHING}, doctor_configuration},
	[DOCTOR_IDENTITY] = {"identity", "identity", 16, {NOTHING, NOTHING}, doctor_identity},
	[DOCTOR_DNS] = {"dns", "DNS", 11, {DOCTOR_IDENTITY, NOTHING}, doctor_dns},
	[DOCTOR_TCP] = {"tcp", "TCP", 12, {DOCTOR_DNS, NOTHING}, doctor_tcp},
	[DOCTOR_PROXY] = {"proxy", "proxy", 13, {DOCTOR_IDENTITY, NOTHING}, doctor_proxy},
	[DOCTOR_TLS] = {"tls", "TLS", 14, {DOCTOR_TCP, DOCTOR_PROXY}, doctor_tls},
	[DOCTOR_CLOCK] = {"clock", "clock", 15, {DOCTOR_TLS, NOTHING}, doctor_clock},
	[DOCTOR_CREDENTIALS] =
		{"credentials", "credentials", 16, {DOCTOR_IDENTITY, NOTHING}, doctor_credentials},
	[DOCTOR_AUTHORISATION] = {"authorisation",
				  "authorisation",
				  17,
				  {DOCTOR_TLS, DOCTOR_CREDENTIALS},
				  doctor_authorisation},
	[DOCTOR_SIGNER] = {"signer", "signer", 18, {NOTHING, NOTHING}, doctor_signer},
	[DOCTOR_DISK] = {"disk", "disk", 19, {NOTHING, NOTHING}, doctor_disk},
	[DOCTOR_UNITS] = {"units", "units", 20, {NOTHING, NOTHING}, doctor_units},
	[DOCTOR_CGROUPS] = {"cgroups", "control groups", 20, {NOTHING, NOTHING}, doctor_cgroups},
	[DOCTOR_KERNEL] = {"kernel", "kernel", 20, {NOTHING, NOTHING}, doctor_kernel},
};

/* Looking */

static bool needs_endpoint(enum doctor_layer layer)
{
	return layer >= DOCTOR_DNS && layer <= DOCTOR_AUTHORISATION;
}

/* The failed layer that this one rests on, also by way of one that was skipped for it. */
static int missing(const struct doctor *doctor, enum doctor_layer layer)
{
	for (size_t i = 0; i < ARRAY_LEN(layers[layer].after); i++) {
		int before = layers[layer].after[i];
		if (before == NOTHING)
			continue;
		if (doctor_verdict_of(doctor, (enum doctor_layer)before) == DOCTOR_FAILED)
			return before;
		int below = missing(doctor, (enum doctor_layer)before);
		if (below != NOTHING)
			return below;
	}
	return NOTHING;
}

static void look(struct doctor *doctor, enum doctor_layer layer)
{
	doctor->layer = layer;
	int lacks = missing(doctor, layer);
	if (lacks != NOTHING)
		doctor_say(doctor, DOCTOR_SKIPPED, NULL, "because of %s", layers[lacks].title);
	else if (needs_endpoint(layer) && !doctor->host)
		doctor_say(doctor, DOCTOR_SKIPPED, NULL, "no endpoint is known");
	else
		layers[layer].look(doctor);
}

static void ask_daemon(struct doctor *doctor)
{
	auto_json json_t *request = json_pack("{s:s}", "request", "status");
	if (ipc_call(&doctor->cli->paths, request, DAEMON_MS, &doctor->daemon, NULL) < 0)
		doctor->daemon = NULL;
}

static void doctor_clear(struct doctor *doctor)
{
	for (size_t i = 0; i < doctor->n_findings; i++) {
		free(doctor->findings[i].fact);
		free(doctor->findings[i].next);
	}
	free(doctor->findings);
	http_client_free(doctor->http);
	doctor_aws_free(doctor->aws);
	identity_free(doctor->identity);
	json_decref(doctor->daemon);
	settings_clear(&doctor->settings);
	fs_close_quiet(doctor->fd);
	fs_close_quiet(doctor->ca_fd);
	free(doctor->ca_path);
	free(doctor->endpoint);
	free(doctor->host);
	free(doctor->port);
}
#define auto_doctor CLEANUP(doctor_clear)

/* Telling */

/* The first failed finding of the first failed layer; NULL: none. */
static const struct doctor_finding *first_failure(const struct doctor *doctor)
{
	for (size_t i = 0; i < doctor->n_findings; i++)
		if (doctor->findings[i].verdict == DOCTOR_FAILED)
			return &doctor->findings[i];
	return NULL;
}

static unsigned count(const struct doctor *doctor, enum doctor_verdict verdict)
{
	unsigned n = 0;
	for (size_t i = 0; i < doctor->n_findings; i++)
		n += doctor->findings[i].verdict == verdict;
	return n;
}

static void print_finding(const struct doctor *doctor, const struct doctor_finding *f, bool first)
{
	printf(LABEL, first ? layers[f->layer].title : "", verdict_names[f->verdict]);
	lines_text(stdout, TEXT_COLUMN, f->fact);
	if (f->next && f->verdict != DOCTOR_FAILED)
		lines_below(stdout, TEXT_COLUMN, f->next);
}

static void print_all(const struct doctor *doctor, bool verbose)
{
	int shown = NOTHING;
	for (size_t i = 0; i < doctor->n_findings; i++) {
		const struct doctor_finding *f = &doctor->findings[i];
		if (f->detail && !verbose)
			continue;
		print_finding(doctor, f, shown != (int)f->layer);
		shown = (int)f->layer;
	}
}

/* What a person reads who reads the last lines only. */
static void print_end(const struct doctor *doctor, const struct doctor_finding *failure)
{
	unsigned warnings = count(doctor, DOCTOR_WARNING);
	putchar('\n');
	if (failure) {
		printf("%s failed\n", layers[failure->layer].title);
		lines_item(stdout, "cause", failure->fact);
		if (failure->next)
			lines_item(stdout, "next", failure->next);
		return;
	}
	bool root = geteuid() == 0 || !count(doctor, DOCTOR_SKIPPED);
	printf("nothing has failed; %u %s%s\n", warnings, warnings == 1 ? "warning" : "warnings",
	       root ? "" : "; as root it sees more");
}

static json_t *finding_to_json(const struct doctor_finding *f)
{
	json_t *obj = json_object();
	json_set_str(obj, "layer", layers[f->layer].name);
	json_set_str(obj, "verdict", verdict_names[f->verdict]);
	json_set_str(obj, "fact", f->fact);
	json_set_str(obj, "next", f->next);
	return obj;
}

static int as_json(const struct doctor *doctor, const struct doctor_finding *failure, int code)
{
	json_t *obj = json_object(), *findings = json_array(), *verdicts = json_object();
	for (size_t i = 0; i < doctor->n_findings; i++)
		json_array_append_new(findings, finding_to_json(&doctor->findings[i]));
	for (size_t i = 0; i < ARRAY_LEN(layers); i++)
		json_set_str(verdicts, layers[i].name,
			     verdict_names[doctor_verdict_of(doctor, (enum doctor_layer)i)]);
	json_object_set_new(obj, "layers", verdicts);
	json_object_set_new(obj, "findings", findings);
	if (failure) {
		json_set_str(obj, "failed", layers[failure->layer].name);
		json_set_str(obj, "cause", failure->fact);
		json_set_str(obj, "next", failure->next);
	}
	return cli_json(obj, code);
}

static int run(struct cli *cli, const struct cli_args *args)
{
	auto_doctor struct doctor doctor = {
		.cli = cli,
		.fd = -1,
		.ca_fd = -1,
		.deadline_us = clock_mono_us() + (uint64_t)DOCTOR_TOTAL_MS * 1000,
	};
	ask_daemon(&doctor);
	for (int i = 0; i < DOCTOR_LAYERS; i++)
		look(&doctor, (enum doctor_layer)i);
	const struct doctor_finding *failure = first_failure(&doctor);
	int code = failure ? layers[failure->layer].exit : CLI_DONE;
	if (cli->json)
		return as_json(&doctor, failure, code);
	print_all(&doctor, cli_has(args, "verbose"));
	print_end(&doctor, failure);
	return code;
}

static const struct cli_option options[] = {
	{.name = "verbose", .letter = 'v', .help = "every fact, also of what is well"},
	{0},
};

const struct cli_command cmd_doctor = {
	.name = "doctor",
	.operands = "",
	.summary = "why deployments do not arrive: every layer, and what to do",
	.help = "Looks at configuration, identity, names, connections, proxy, TLS, clock, "
		"credentials, trust, disk, units and kernel, and changes nothing. The exit code "
		"names the first layer that failed.",
	.example = "slipway doctor\nslipway doctor --verbose",
	.options = options,
	.page = "slipway-doctor",
	.run = run,
};
