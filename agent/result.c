// SPDX-License-Identifier: Apache-2.0
/* A result is born whole: written under a name that no reader takes, synced, then renamed to its
 * own name only if nobody has that name yet. So there is one result per command, ever. */
#include "agent/result.h"

#include "common/alloc.h"
#include "common/digest.h"
#include "common/fs.h"
#include "common/json.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RESULT_VERSION 1
#define RESULT_MAX_BYTES (64 * 1024)
#define RESULT_NAME_DIGITS 32

void result_free(struct result *r)
{
	if (!r)
		return;
	free(r->command_id);
	free(r->deployment_id);
	free(r->event);
	free(r->payload);
	free(r->group_id);
	free(r);
}

void result_name(const char *command_id, char out[40])
{
	char hex[DIGEST_SHA256_HEX];
	digest_sha256_hex(command_id, strlen(command_id), hex);
	snprintf(out, 40, "%.*s.json", RESULT_NAME_DIGITS, hex);
}

bool result_is_name(const char *name)
{
	return strspn(name, "0123456789abcdef") == RESULT_NAME_DIGITS &&
	       strcmp(name + RESULT_NAME_DIGITS, ".json") == 0;
}

static char *format(const struct result *r)
{
	auto_json json_t *doc = json_object();
	json_set_int(doc, "version", RESULT_VERSION);
	json_set_str(doc, "command_id", r->command_id);
	json_set_str(doc, "group_id", r->group_id);
	json_set_str(doc, "deployment_id", r->deployment_id);
	json_set_str(doc, "event", r->event);
	json_set_str(doc, "status", wire_status_to_string(r->status));
	json_set_str(doc, "payload", r->payload);
	json_set_int(doc, "finished_s", r->finished_s);
	json_set_bool(doc, "open", r->open);
	return json_text(doc);
}

static int write_beside(int dirfd, const char *name, const char *text, struct error *err)
{
	auto_close int fd =
		openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0)
		return error_errno(err, "make '%s'", name);
	int r = fs_write_all(fd, text, strlen(text));
	if (r < 0)
		return error_set(err, r, "write '%s': %s", name, strerror(-r));
	return fsync(fd) < 0 ? error_errno(err, "sync '%s'", name) : 0;
}

int result_write(int results_dirfd, const struct result *r, struct error *err)
{
	char name[40];
	result_name(r->command_id, name);
	char beside[64];
	snprintf(beside, sizeof(beside), ".%s.%ld", name, (long)getpid());
	auto_free char *text = format(r);
	int code = write_beside(results_dirfd, beside, text, err);
	if (code < 0) {
		fs_unlink_quiet(results_dirfd, beside);
		return error_prefix(err, code, "result");
	}
	if (renameat2(results_dirfd, beside, results_dirfd, name, RENAME_NOREPLACE) < 0) {
		code = error_errno(err, "result '%s'", name);
		fs_unlink_quiet(results_dirfd, beside);
		return code;
	}
	return fs_sync_dir(results_dirfd, err);
}

static int from_json(const json_t *doc, struct result *r, struct error *err)
{
	int64_t version = 0;
	int code = json_need_int(doc, "version", &version, err);
	if (code < 0)
		return code;
	if (version != RESULT_VERSION)
		return error_set(err, ERR_FORMAT, "version %" PRId64 " is not known", version);
	const char *command = NULL, *status = NULL, *payload = NULL;
	const char *group = "", *deployment = "", *event = "";
	if ((code = json_need_str(doc, "command_id", &command, err)) < 0 ||
	    (code = json_need_str(doc, "status", &status, err)) < 0 ||
	    (code = json_need_str(doc, "payload", &payload, err)) < 0 ||
	    (code = json_opt_str(doc, "group_id", &group, err)) < 0 ||
	    (code = json_opt_str(doc, "deployment_id", &deployment, err)) < 0 ||
	    (code = json_opt_str(doc, "event", &event, err)) < 0 ||
	    (code = json_opt_bool(doc, "open", &r->open, err)) < 0 ||
	    (code = json_need_int(doc, "finished_s", &r->finished_s, err)) < 0)
		return code;
	if (wire_status_from_string(status, &r->status) < 0)
		return error_set(err, ERR_FORMAT, "'status' is '%s'", status);
	r->command_id = xstrdup(command);
	r->payload = xstrdup(payload);
	r->group_id = xstrdup(group);
	r->deployment_id = xstrdup(deployment);
	r->event = xstrdup(event);
	return 0;
}

int result_read(int results_dirfd, const char *name, struct result **ret, struct error *err)
{
	auto_json json_t *doc = NULL;
	int r = json_read_file(results_dirfd, name, RESULT_MAX_BYTES, &doc, err);
	if (r < 0)
		return error_prefix(err, r, "result '%s'", name);
	auto_result struct result *result = xcalloc(1, sizeof(*result));
	r = from_json(doc, result, err);
	if (r < 0)
		return error_prefix(err, r, "result '%s'", name);
	*ret = TAKE(result);
	return 0;
}
