// SPDX-License-Identifier: Apache-2.0
/* The daemon is not believed: what it hands over counts only as far as the endpoint has signed it
 * for this host. The CA and the host's name come from files that root wrote at enrolment. What the
 * AWS service signs names neither a host nor an end nor the bundle's hash: there a pinned signer
 * (agent/trust.h) keeps whoever owns the daemon from making deployments up, and from no more. */
#include "agent/worker/command.h"

#include "agent/trust.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/str.h"

#include <string.h>

static int check_host(const struct wire_command *command, const struct wire_spec *spec,
		      const char *host, struct error *err)
{
	if (!str_eq(command->host, host))
		return error_set(err, ERR_DENIED, "the command is for host '%s', this is '%s'",
				 command->host, host);
	if (!str_eq(spec->host, host))
		return error_set(err, ERR_DENIED,
				 "the specification is for host '%s', this is '%s'",
				 spec->host ? spec->host : "", host);
	return 0;
}

static int check_time(const struct wire_spec *spec, struct error *err)
{
	char when[CLOCK_ISO_LEN];
	if (!spec->not_after_s)
		return error_set(err, ERR_EXPIRED,
				 "the specification does not say until when it "
				 "is valid");
	if (spec->not_after_s <= clock_wall_s())
		return error_set(err, ERR_EXPIRED,
				 "the specification was valid until %s (check this host's clock)",
				 clock_format_iso(spec->not_after_s, when));
	return 0;
}

static int check_bundle(const struct wire_spec *spec, struct error *err)
{
	/* Else whoever owns the daemon chooses the bytes that root runs. */
	if (!spec->sha256)
		return error_set(err, ERR_FORMAT,
				 "the specification does not say which SHA-256 the bundle has: "
				 "push it to the endpoint's store and deploy it from there");
	/* Else the worker reads for as long as whoever owns the daemon likes. */
	if (spec->size_bytes < 0)
		return error_set(err, ERR_FORMAT,
				 "the specification does not say how many bytes the bundle has");
	return 0;
}

/* Only what our own endpoint signs says all this. */
static int check_endpoint(const struct wire_command *command, const struct wire_spec *spec,
			  const struct trust *trust, struct error *err)
{
	int r = check_host(command, spec, trust->host, err);
	if (r >= 0)
		r = check_time(spec, err);
	return r < 0 ? r : check_bundle(spec, err);
}

static int check_local(const struct wire_spec *spec, struct error *err)
{
	if (spec->revision_type == WIRE_REVISION_LOCAL_FILE ||
	    spec->revision_type == WIRE_REVISION_LOCAL_DIRECTORY)
		return error_set(err, ERR_FORMAT,
				 "the specification names a local revision: only a person on this "
				 "host may deploy one");
	return 0;
}

static bool climbs(const char *path)
{
	for (const char *part = path; *part; part += strspn(part, "/")) {
		size_t len = strcspn(part, "/");
		if (len == 2 && strncmp(part, "..", 2) == 0)
			return true;
		part += len;
	}
	return false;
}

static int check_appspec(const struct wire_spec *spec, struct error *err)
{
	const char *name = spec->appspec_name;
	if (!name || (name[0] != '/' && !climbs(name)))
		return 0;
	return error_set(err, ERR_FORMAT,
			 "'AppSpecFilename' is '%.200s', expected a path inside the bundle", name);
}

static bool is_sane_id(const char *id)
{
	for (const char *p = id; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return false;
	return *id && strlen(id) <= WIRE_ID_MAX;
}

int command_verify(struct run *run, const struct wire_command *command, const json_t *specification,
		   struct wire_spec **ret, struct error *err)
{
	if (!is_sane_id(command->id) || !is_sane_id(command->execution_id))
		return error_set(err, ERR_FORMAT, "the command's identifiers are not printable");
	auto_trust struct trust trust = {0};
	int r = trust_load(&run->paths, &run->settings, &trust, err);
	if (r < 0)
		return r;
	auto_free char *text = NULL;
	auto_free char *signer = NULL;
	size_t len;
	r = trust_open(&trust, specification, &text, &len, &signer, err);
	if (r < 0)
		return r;
	if (signer) /* what a person may pin */
		log_info("the specification is intact and signed by %s", signer);
	auto_json json_t *doc = NULL;
	auto_wire_spec struct wire_spec *spec = NULL;
	if ((r = json_parse(text, len, WIRE_MESSAGE_MAX, &doc, err)) < 0 ||
	    (r = wire_spec_from_json(doc, &spec, err)) < 0 || (r = check_local(spec, err)) < 0 ||
	    (r = check_appspec(spec, err)) < 0)
		return r;
	if (trust.kind == TRUST_ENDPOINT && (r = check_endpoint(command, spec, &trust, err)) < 0)
		return r;
	*ret = TAKE(spec);
	return 0;
}
