/* SPDX-License-Identifier: Apache-2.0 */
/* Every message that agent and endpoint exchange: struct <-> JSON, limits; and what both must know
 * of the lifecycle. Formats: docs/formats/wire.md. Unknown members are ignored, absent optional
 * members are omitted. Strings inside the structs are owned copies. */
#pragma once

#include "common/cleanup.h"
#include "common/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define WIRE_TARGET_COMMANDS "CodeDeployCommandService_v20141006"
#define WIRE_TARGET_MANAGEMENT "CodeDeploy_20141006"
#define WIRE_MESSAGE_MAX (256 * 1024) /* bytes of one JSON message */
#define WIRE_PAYLOAD_MAX 8192         /* characters of a diagnostics payload */
#define WIRE_LOG_TAIL_MAX 2048        /* bytes of script output in a completion */
#define WIRE_ID_MAX 1024              /* bytes of an identifier */

/* Lifecycle events, in the order in which a deployment walks them. */
enum wire_event {
	WIRE_BEFORE_BLOCK_TRAFFIC,
	WIRE_BLOCK_TRAFFIC, /* done by the endpoint */
	WIRE_AFTER_BLOCK_TRAFFIC,
	WIRE_APPLICATION_STOP,
	WIRE_DOWNLOAD_BUNDLE,
	WIRE_BEFORE_INSTALL,
	WIRE_INSTALL,
	WIRE_AFTER_INSTALL,
	WIRE_APPLICATION_START,
	WIRE_VALIDATE_SERVICE,
	WIRE_BEFORE_ALLOW_TRAFFIC,
	WIRE_ALLOW_TRAFFIC, /* done by the endpoint */
	WIRE_AFTER_ALLOW_TRAFFIC,
	WIRE_EVENT_COUNT
};
const char *wire_event_to_string(enum wire_event event);
int wire_event_from_string(const char *name, enum wire_event *ret) MUST_CHECK; /* -EINVAL */
/* Does the event run scripts of the AppSpec? (All but DownloadBundle, Install, BlockTraffic,
 * AllowTraffic.) */
bool wire_event_has_hooks(enum wire_event event);

enum wire_status { WIRE_PENDING, WIRE_IN_PROGRESS, WIRE_SUCCEEDED, WIRE_FAILED };
const char *
wire_status_to_string(enum wire_status status); /* "Pending" "InProgress" "Succeeded" "Failed" */
int wire_status_from_string(const char *name, enum wire_status *ret) MUST_CHECK;

/* Numbers of diagnostics.error_code (reference: agent-protocol, section 8). */
enum wire_error_code {
	WIRE_SUCCESS = 0,
	WIRE_SCRIPT_MISSING = 1,
	WIRE_SCRIPT_NOT_EXECUTABLE = 2,
	WIRE_SCRIPT_TIMED_OUT = 3,
	WIRE_SCRIPT_FAILED = 4,
	WIRE_UNKNOWN_ERROR = 5,
	WIRE_OUTPUTS_LEFT_OPEN = 6,
	WIRE_FAILED_AFTER_RESTART = 7,
};
/* "Success", "ScriptMissing", ... as the management API shows them (6, 7: "UnknownError"). */
const char *wire_error_code_to_api(int error_code);

/* PollHostCommand's answer. */
struct wire_command {
	char *id;           /* HostCommandIdentifier, opaque */
	char *host;         /* HostIdentifier */
	char *execution_id; /* DeploymentExecutionId */
	char *name;         /* CommandName */
	int64_t nonce;
};
void wire_command_free(struct wire_command *c);
DEFINE_CLEANUP(struct wire_command *, wire_command_free)
#define auto_wire_command CLEANUP(wire_command_free_at)
json_t *wire_command_to_json(const struct wire_command *c);
int wire_command_from_json(const json_t *obj, struct wire_command **ret,
			   struct error *err) MUST_CHECK;

/* The payload of a completion. All strings owned; NULL is "". */
struct wire_diagnostics {
	int error_code;
	char *script_name, *message, *log;
};
void wire_diagnostics_clear(struct wire_diagnostics *d);
#define auto_wire_diagnostics CLEANUP(wire_diagnostics_clear)
/* JSON text with exactly error_code, script_name, message, log; at most WIRE_PAYLOAD_MAX characters
 * as encoded: the log is cut from its front by whole lines, then the message at its end. Bytes that
 * are not UTF-8 are replaced. Caller frees. */
char *wire_diagnostics_format(const struct wire_diagnostics *d);
int wire_diagnostics_parse(const char *payload, struct wire_diagnostics *ret,
			   struct error *err) MUST_CHECK;

enum wire_revision_type {
	WIRE_REVISION_S3,
	WIRE_REVISION_GITHUB,
	WIRE_REVISION_LOCAL_FILE,
	WIRE_REVISION_LOCAL_DIRECTORY
};

/* The deployment specification: standard members (agent-protocol, section 9.2) and ours under
 * "Slipway". */
struct wire_spec {
	char *deployment_id, *group_id, *group_name, *application, *creator, *deployment_type;
	char *appspec_name; /* NULL: not given */
	char *file_exists;  /* upper-cased; NULL: not given */
	char **all_events;  /* NULL-terminated, or NULL */
	enum wire_revision_type revision_type;
	char *bucket, *key, *version, *etag; /* S3; version and etag may be NULL */
	char *account, *repository, *commit; /* GitHub */
	char *bundle_type;                   /* tar, tgz, zip, directory; GitHub: may be NULL */
	char *location;                      /* local */
	char *reuse_from; /* ReuseArchiveFromDeploymentId as it came, without an ARN's front; may be
			     anything; NULL: none */
	/* member "Slipway": present when our endpoint signed; the worker insists on host and
	 * not_after for what comes from the daemon */
	char *host;          /* HostIdentifier that this is for */
	int64_t not_after_s; /* Unix time; 0: none */
	char *sha256;        /* of the bundle's bytes; NULL: unknown */
	int64_t size_bytes;  /* -1: unknown */
};
void wire_spec_free(struct wire_spec *s);
DEFINE_CLEANUP(struct wire_spec *, wire_spec_free)
#define auto_wire_spec CLEANUP(wire_spec_free_at)
json_t *wire_spec_to_json(const struct wire_spec *s);
/* Validates as section 9.2, and that deployment and group id can be file names (W4). */
int wire_spec_from_json(const json_t *obj, struct wire_spec **ret, struct error *err) MUST_CHECK;

/* Error bodies: {"__type": "...", "message": "..."}. */
struct wire_fault {
	char type[128]; /* after the last '#' */
	char message[512];
};
/* From an answer with an error status; a body that is no JSON gives type "HTTP 502" or so.
 * header_type: x-amzn-errortype or NULL. */
void wire_fault_parse(int status, const char *header_type, const char *body, size_t len,
		      struct wire_fault *ret);
/* Is it throttling (429, the codes listed in agent-protocol section 4)? Does it refuse who asks
 * (401, 403, the codes for signatures and credentials)? Is it worth a retry (5xx, throttling)? */
bool wire_fault_is_throttling(int status, const struct wire_fault *f);
bool wire_fault_is_denied(int status, const struct wire_fault *f);
bool wire_fault_is_transient(int status, const struct wire_fault *f);

/* Enrolment, ours: POST /slipway/v1/enroll. Renewal: POST /slipway/v1/renew with the same body but
 * token (mutual TLS). */
struct wire_enroll {
	char *token;                   /* NULL on renewal */
	char *name;                    /* wanted host name: [A-Za-z0-9+=,.@_-]{1,64} */
	char *csr;                     /* PEM */
	char **tag_keys, **tag_values; /* NULL-terminated, same length; may be NULL */
	char *group; /* "APP/GROUP" whose tag filters the host wants to match, or NULL */
};
/* May a host be called this? ([A-Za-z0-9+=,.@_-]{1,64}) */
bool wire_is_host_name(const char *name);
void wire_enroll_clear(struct wire_enroll *e);
#define auto_wire_enroll CLEANUP(wire_enroll_clear)
json_t *wire_enroll_to_json(const struct wire_enroll *e);
int wire_enroll_from_json(const json_t *obj, struct wire_enroll *ret, struct error *err) MUST_CHECK;

struct wire_enrolled {
	char *name;            /* as registered */
	char *host_identifier; /* arn:aws:codedeploy:<region>:<account>:instance/<name> */
	char *certificate;     /* PEM */
	char *ca;              /* PEM, one or more */
	char *region;
};
void wire_enrolled_clear(struct wire_enrolled *e);
#define auto_wire_enrolled CLEANUP(wire_enrolled_clear)
json_t *wire_enrolled_to_json(const struct wire_enrolled *e);
int wire_enrolled_from_json(const json_t *obj, struct wire_enrolled *ret,
			    struct error *err) MUST_CHECK;
