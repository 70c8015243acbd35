// SPDX-License-Identifier: Apache-2.0
/* The daemon is not believed: what it hands over counts only as far as the endpoint has signed it
 * for this host. The CA and the host's name come from files that root wrote at enrolment. */
#include "agent/worker/command.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/pki.h"
#include "common/str.h"

#include <fcntl.h>
#include <string.h>

#define TRUST_MAX_BYTES (256 * 1024)
#define NOT_ENROLLED "this host is not enrolled (see 'slipway enroll')"

static int read_trust(struct run *run, char **ret_ca, char **ret_host, struct error *err)
{
	auto_close int fd =
		fs_open_beneath(run->host_fd, "trust", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0)
		return error_set(err, ERR_TRUST, NOT_ENROLLED ": trust: %s", strerror(-fd));
	auto_json json_t *identity = NULL;
	size_t len;
	struct error why = {0};
	if (fs_read_file(fd, "ca.pem", TRUST_MAX_BYTES, ret_ca, &len, &why) < 0 ||
	    json_read_file(fd, "identity.json", TRUST_MAX_BYTES, &identity, &why) < 0)
		return error_set(err, ERR_TRUST, NOT_ENROLLED ": %s", why.text);
	const char *host = NULL;
	int r = json_need_str(identity, "host_identifier", &host, err);
	if (r < 0)
		return error_prefix(err, r, "trust/identity.json");
	*ret_host = xstrdup(host);
	return 0;
}

static int open_envelope(const json_t *specification, const char *ca, char **ret, size_t *ret_len,
			 struct error *err)
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
	return pki_cms_verify(payload, ca, clock_wall_s(), ret, ret_len, err);
}

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

static int check_revision(const struct wire_spec *spec, struct error *err)
{
	if (spec->revision_type == WIRE_REVISION_LOCAL_FILE ||
	    spec->revision_type == WIRE_REVISION_LOCAL_DIRECTORY)
		return error_set(err, ERR_FORMAT,
				 "the specification names a local revision: only a person on this "
				 "host may deploy one");
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
	auto_free char *ca = NULL;
	auto_free char *host = NULL;
	int r = read_trust(run, &ca, &host, err);
	if (r < 0)
		return r;
	auto_free char *text = NULL;
	size_t len;
	r = open_envelope(specification, ca, &text, &len, err);
	if (r < 0)
		return r;
	auto_json json_t *doc = NULL;
	auto_wire_spec struct wire_spec *spec = NULL;
	if ((r = json_parse(text, len, WIRE_MESSAGE_MAX, &doc, err)) < 0 ||
	    (r = wire_spec_from_json(doc, &spec, err)) < 0 ||
	    (r = check_host(command, spec, host, err)) < 0 || (r = check_time(spec, err)) < 0 ||
	    (r = check_revision(spec, err)) < 0)
		return r;
	*ret = TAKE(spec);
	return 0;
}
