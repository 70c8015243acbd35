// SPDX-License-Identifier: Apache-2.0
#include "agent/identity-answer.h"

#include "agent/identity-keys.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/str.h"

#include <string.h>

#define FILE_NAME "answer.json"

int identity_answer_save(int host_fd, const char *endpoint, const char *fingerprint,
			 const struct wire_enrolled *answer, struct error *err)
{
	auto_json json_t *doc = wire_enrolled_to_json(answer);
	json_set_str(doc, "endpoint", endpoint);
	json_set_str(doc, "ca_fingerprint", fingerprint);
	return json_write_file(host_fd, FILE_NAME, doc, 0600, err);
}

static bool is_from(const json_t *doc, const char *endpoint, const char *fingerprint)
{
	const char *there = NULL, *ca = NULL;
	return json_opt_str(doc, "endpoint", &there, NULL) == 0 &&
	       json_opt_str(doc, "ca_fingerprint", &ca, NULL) == 0 && str_eq(there, endpoint) &&
	       ca && pki_fingerprint_equal(ca, fingerprint);
}

int identity_answer_load(int host_fd, int agent_fd, const char *endpoint, const char *fingerprint,
			 const char *name, struct wire_enrolled *ret, struct error *err)
{
	auto_json json_t *doc = NULL;
	auto_wire_enrolled struct wire_enrolled answer = {0};
	int r = json_read_file(host_fd, FILE_NAME, WIRE_MESSAGE_MAX, &doc, NULL);
	/* what cannot be read was never complete */
	if (r < 0 || !is_from(doc, endpoint, fingerprint) ||
	    wire_enrolled_from_json(doc, &answer, NULL) < 0 || !str_eq(answer.name, name))
		return 0;
	r = identity_keys_have(agent_fd, answer.certificate, err);
	if (r <= 0)
		return r;
	*ret = answer;
	answer = (struct wire_enrolled){0};
	return 1;
}

void identity_answer_drop(int host_fd)
{
	fs_unlink_quiet(host_fd, FILE_NAME);
}
