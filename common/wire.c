// SPDX-License-Identifier: Apache-2.0
/* Names of the lifecycle, commands and diagnostics. The specification is in wire-spec.c, enrolment
 * in wire-enroll.c, error bodies in wire-fault.c. */
#include "common/wire.h"

#include "common/alloc.h"
#include "common/json.h"
#include "common/str.h"
#include "common/wire-text.h"

#include <assert.h>
#include <string.h>

static const struct {
	const char *name;
	bool hooks;
} events[WIRE_EVENT_COUNT] = {
	[WIRE_BEFORE_BLOCK_TRAFFIC] = {"BeforeBlockTraffic", true},
	[WIRE_BLOCK_TRAFFIC] = {"BlockTraffic", false},
	[WIRE_AFTER_BLOCK_TRAFFIC] = {"AfterBlockTraffic", true},
	[WIRE_APPLICATION_STOP] = {"ApplicationStop", true},
	[WIRE_DOWNLOAD_BUNDLE] = {"DownloadBundle", false},
	[WIRE_BEFORE_INSTALL] = {"BeforeInstall", true},
	[WIRE_INSTALL] = {"Install", false},
	[WIRE_AFTER_INSTALL] = {"AfterInstall", true},
	[WIRE_APPLICATION_START] = {"ApplicationStart", true},
	[WIRE_VALIDATE_SERVICE] = {"ValidateService", true},
	[WIRE_BEFORE_ALLOW_TRAFFIC] = {"BeforeAllowTraffic", true},
	[WIRE_ALLOW_TRAFFIC] = {"AllowTraffic", false},
	[WIRE_AFTER_ALLOW_TRAFFIC] = {"AfterAllowTraffic", true},
};

static const char *const statuses[] = {
	[WIRE_PENDING] = "Pending",
	[WIRE_IN_PROGRESS] = "InProgress",
	[WIRE_SUCCEEDED] = "Succeeded",
	[WIRE_FAILED] = "Failed",
};

static const char *const api_codes[] = {
	[WIRE_SUCCESS] = "Success",
	[WIRE_SCRIPT_MISSING] = "ScriptMissing",
	[WIRE_SCRIPT_NOT_EXECUTABLE] = "ScriptNotExecutable",
	[WIRE_SCRIPT_TIMED_OUT] = "ScriptTimedOut",
	[WIRE_SCRIPT_FAILED] = "ScriptFailed",
};

const char *wire_event_to_string(enum wire_event event)
{
	assert((unsigned)event < ARRAY_LEN(events));
	return events[event].name;
}

int wire_event_from_string(const char *name, enum wire_event *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(events); i++) {
		if (str_eq(events[i].name, name)) {
			*ret = i;
			return 0;
		}
	}
	return -EINVAL;
}

bool wire_event_has_hooks(enum wire_event event)
{
	assert((unsigned)event < ARRAY_LEN(events));
	return events[event].hooks;
}

const char *wire_status_to_string(enum wire_status status)
{
	assert((unsigned)status < ARRAY_LEN(statuses));
	return statuses[status];
}

int wire_status_from_string(const char *name, enum wire_status *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		if (str_eq(statuses[i], name)) {
			*ret = i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *wire_error_code_to_api(int error_code)
{
	if (error_code < 0 || (size_t)error_code >= ARRAY_LEN(api_codes))
		return "UnknownError";
	return api_codes[error_code];
}

void wire_command_free(struct wire_command *c)
{
	if (!c)
		return;
	free(c->id);
	free(c->host);
	free(c->execution_id);
	free(c->name);
	free(c);
}

json_t *wire_command_to_json(const struct wire_command *c)
{
	json_t *obj = json_object();
	json_set_str(obj, "HostCommandIdentifier", c->id);
	json_set_str(obj, "HostIdentifier", c->host);
	json_set_str(obj, "DeploymentExecutionId", c->execution_id);
	json_set_str(obj, "CommandName", c->name);
	json_set_int(obj, "Nonce", c->nonce);
	return obj;
}

int wire_command_from_json(const json_t *obj, struct wire_command **ret, struct error *err)
{
	auto_wire_command struct wire_command *c = xcalloc(1, sizeof(*c));
	int r = wire_need_text(obj, "HostCommandIdentifier", WIRE_ID_MAX, &c->id, err);
	if (r < 0)
		return r;
	r = wire_need_text(obj, "HostIdentifier", WIRE_ID_MAX, &c->host, err);
	if (r < 0)
		return r;
	r = wire_need_text(obj, "DeploymentExecutionId", WIRE_ID_MAX, &c->execution_id, err);
	if (r < 0)
		return r;
	r = wire_need_text(obj, "CommandName", 64, &c->name, err);
	if (r < 0)
		return r;
	r = json_opt_int(obj, "Nonce", &c->nonce, err);
	if (r < 0)
		return r;
	*ret = TAKE(c);
	return 0;
}

void wire_diagnostics_clear(struct wire_diagnostics *d)
{
	free(d->script_name);
	free(d->message);
	free(d->log);
	*d = (struct wire_diagnostics){0};
}

/* Bytes that one byte of clean UTF-8 takes inside a JSON string. */
static size_t encoded_size(char c)
{
	return c == '"' || c == '\\' || c == '\n' || c == '\t' ? 2 : 1;
}

static size_t encoded_len(const char *s)
{
	size_t len = 0;
	for (; *s; s++)
		len += encoded_size(*s);
	return len;
}

static bool is_continuation(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

/* The longest end of log that is made of whole lines and takes at most room bytes; when not even
 * the last line fits, its end, which says more than nothing. */
static const char *log_tail(const char *log, size_t room)
{
	size_t used = 0, i = strlen(log);
	const char *line = NULL;
	while (i > 0 && used + encoded_size(log[i - 1]) <= room) {
		used += encoded_size(log[--i]);
		if (i == 0 || log[i - 1] == '\n')
			line = log + i;
	}
	if (line)
		return line;
	while (is_continuation(log[i]))
		i++;
	return log + i;
}

static void cut_end(char *text, size_t room)
{
	size_t used = 0, i = 0;
	while (text[i] && used + encoded_size(text[i]) <= room)
		used += encoded_size(text[i++]);
	while (text[i] && i > 0 && is_continuation(text[i]))
		i--;
	text[i] = '\0';
}

static char *clean(const char *text)
{
	return text ? str_to_utf8(text, strlen(text)) : xstrdup("");
}

char *wire_diagnostics_format(const struct wire_diagnostics *d)
{
	static const char frame[] =
		"{\"error_code\":-2147483648,\"script_name\":\"\",\"message\":\"\",\"log\":\"\"}";
	auto_free char *script = clean(d->script_name);
	auto_free char *message = clean(d->message);
	auto_free char *log = clean(d->log);
	cut_end(script, WIRE_ID_MAX);
	size_t room = WIRE_PAYLOAD_MAX - (sizeof(frame) - 1) - encoded_len(script);
	cut_end(message, room);
	room -= encoded_len(message);

	auto_json json_t *obj = json_object();
	json_set_int(obj, "error_code", d->error_code);
	json_set_str(obj, "script_name", script);
	json_set_str(obj, "message", message);
	json_set_str(obj, "log", log_tail(log, room));
	return json_text(obj);
}

/* The official agent writes "Unknown" when it could not build the real payload. */
static int parse_code(const json_t *obj, int *ret, struct error *err)
{
	int64_t code = WIRE_UNKNOWN_ERROR;
	if (!json_is_string(json_object_get(obj, "error_code"))) {
		int r = json_need_int(obj, "error_code", &code, err);
		if (r < 0)
			return r;
	}
	if (code < 0 || code > 1000)
		return error_set(err, ERR_FORMAT, "'error_code' must be between 0 and 1000");
	*ret = (int)code;
	return 0;
}

int wire_diagnostics_parse(const char *payload, struct wire_diagnostics *ret, struct error *err)
{
	auto_json json_t *obj = NULL;
	int r = json_parse(payload, strlen(payload), WIRE_MESSAGE_MAX, &obj, err);
	if (r < 0)
		return error_prefix(err, r, "diagnostics");
	auto_wire_diagnostics struct wire_diagnostics d = {0};
	r = parse_code(obj, &d.error_code, err);
	if (r >= 0)
		r = wire_opt_text(obj, "script_name", WIRE_MESSAGE_MAX, &d.script_name, err);
	if (r >= 0)
		r = wire_opt_text(obj, "message", WIRE_MESSAGE_MAX, &d.message, err);
	if (r >= 0)
		r = wire_opt_text(obj, "log", WIRE_MESSAGE_MAX, &d.log, err);
	if (r < 0)
		return error_prefix(err, r, "diagnostics");
	*ret = d;
	d = (struct wire_diagnostics){0};
	return 0;
}
