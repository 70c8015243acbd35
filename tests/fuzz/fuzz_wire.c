// SPDX-License-Identifier: Apache-2.0
/* Any bytes as each message of the protocol; what is accepted must survive being written again. */
#include "tests/fuzz/fuzz.h"

#include "common/alloc.h"
#include "common/json.h"
#include "common/wire.h"

#include <stdlib.h>
#include <string.h>

static void spec(const json_t *doc)
{
	auto_wire_spec struct wire_spec *first = NULL, *again = NULL;
	if (wire_spec_from_json(doc, &first, NULL) < 0)
		return;
	auto_json json_t *out = wire_spec_to_json(first);
	if (wire_spec_from_json(out, &again, NULL) < 0)
		abort();
}

static void enrolment(const json_t *doc)
{
	auto_wire_enroll struct wire_enroll first = {0}, again = {0};
	if (wire_enroll_from_json(doc, &first, NULL) < 0)
		return;
	auto_json json_t *out = wire_enroll_to_json(&first);
	if (wire_enroll_from_json(out, &again, NULL) < 0)
		abort();
}

static void diagnostics(const char *text)
{
	auto_wire_diagnostics struct wire_diagnostics first = {0}, again = {0};
	if (wire_diagnostics_parse(text, &first, NULL) < 0)
		return;
	auto_free char *out = wire_diagnostics_format(&first);
	if (strlen(out) > WIRE_PAYLOAD_MAX || wire_diagnostics_parse(out, &again, NULL) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *text = xcalloc(size + 1, 1);
	if (size)
		memcpy(text, data, size);
	struct wire_fault fault;
	wire_fault_parse(500, NULL, text, size, &fault);
	diagnostics(text);
	struct wire_diagnostics raw = {.message = text, .log = text, .script_name = text};
	auto_free char *out = wire_diagnostics_format(&raw);
	if (strlen(out) > WIRE_PAYLOAD_MAX)
		abort();

	auto_json json_t *doc = NULL;
	if (json_parse(text, size, WIRE_MESSAGE_MAX, &doc, NULL) < 0)
		return 0;
	auto_wire_command struct wire_command *command = NULL;
	auto_wire_enrolled struct wire_enrolled enrolled = {0};
	if (wire_command_from_json(doc, &command, NULL) < 0)
		command = NULL;
	if (wire_enrolled_from_json(doc, &enrolled, NULL) < 0)
		enrolled = (struct wire_enrolled){0};
	spec(doc);
	enrolment(doc);
	return 0;
}
