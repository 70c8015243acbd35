/* SPDX-License-Identifier: Apache-2.0 */
/* The management API without HTTP: each handler is called as route.c would, and the answer is
 * caught where server.c would send it. */
#pragma once

#include "control/api.h"
#include "tests/unit/unit.h"

#include "common/alloc.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/log.h"
#include "common/str.h"
#include "control/api-check.h"
#include "control/ca.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define OK(call)                                                \
	do {                                                    \
		if ((call) < 0)                                 \
			fail_msg("%s: %s", #call, f->err.text); \
	} while (0)

struct fixture {
	char dir[64];
	struct control control;
	struct error err;
	/* the answer to the last call */
	int status;
	bool parked;
	json_t *body;
	char fault[128], message[2048];
};

static struct fixture *current;

/* ---- where answers end up ---- */

void request_reply_json(struct request *request, int status, const json_t *body)
{
	current->status = status;
	current->body = json_deep_copy(body);
}

void request_reply_empty(struct request *request)
{
	current->status = 200;
}

void request_reply_fault(struct request *request, int status, const char *type, const char *fmt,
			 ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(current->message, sizeof(current->message), fmt, ap);
	va_end(ap);
	snprintf(current->fault, sizeof(current->fault), "%s", type);
	current->status = status;
}

void request_park(struct request *request, request_close_fn *on_close, void *arg)
{
	current->parked = true;
	on_close(request, arg);
}

int ca_sign(struct ca *ca, const void *content, size_t len, char **ret_pem, struct error *err)
{
	*ret_pem = xstrndup(content, len);
	return 0;
}

/* ---- calling ---- */

static inline void call_as(struct fixture *f, api_fn *fn, const char *input,
			   const struct caller *caller)
{
	json_decref(TAKE(f->body));
	f->fault[0] = f->message[0] = '\0';
	f->status = 0;
	f->parked = false;
	auto_json json_t *json = NULL;
	OK(json_parse(input, strlen(input), 65536, &json, &f->err));
	struct request request = {.control = &f->control, .caller = *caller};
	fn(&request, json);
}

static inline void call(struct fixture *f, api_fn *fn, const char *input)
{
	struct caller admin = {.kind = CALLER_KEY, .name = "AKADMIN"};
	call_as(f, fn, input, &admin);
}

static inline void call_ok(struct fixture *f, api_fn *fn, const char *input)
{
	call(f, fn, input);
	if (f->status != 200)
		fail_msg("%s: %s", f->fault, f->message);
}

static inline void assert_fault(struct fixture *f, const char *fault, const char *part)
{
	if (!str_eq(f->fault, fault) || f->status != 400)
		fail_msg("%s expected, got %d %s: %s", fault, f->status, f->fault, f->message);
	if (!strstr(f->message, part))
		fail_msg("'%s' is not in '%s'", part, f->message);
}

static inline void assert_body(struct fixture *f, const char *expected)
{
	auto_free char *text = f->body ? json_text(f->body) : xstrdup("");
	assert_string_equal(text, expected);
}

static inline const char *text_of(struct fixture *f, const char *object, const char *member)
{
	const char *text = api_text(object ? json_object_get(f->body, object) : f->body, member);
	return text ? text : "(absent)";
}

static inline int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	current = f;
	log_init("test", LOG_EMERG);
	snprintf(f->dir, sizeof(f->dir), "/tmp/slipway-api-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->control.settings.region = (char *)"us-east-1";
	f->control.settings.account = (char *)"123456789012";
	OK(store_open(f->dir, &f->control.store, &f->err));
	struct deploy_options options = {.store = f->control.store,
					 .place = {"us-east-1", "123456789012"},
					 .lease_ms = 30000,
					 .poll_ms = 60000,
					 .offline_ms = 120000,
					 .event_start_ms = 300000,
					 .event_run_ms = 3600000};
	OK(deploy_new(&options, &f->control.deploy, &f->err));
	*state = f;
	return 0;
}

static inline int tear_down(void **state)
{
	struct fixture *f = *state;
	deploy_stop(f->control.deploy);
	store_close(f->control.store);
	auto_close int tmp = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	OK(fs_remove_tree(tmp, f->dir + strlen("/tmp/"), &f->err));
	json_decref(f->body);
	free(f);
	return 0;
}

#define ROLE "\"serviceRoleArn\":\"arn:aws:iam::123456789012:role/R\""
#define GROUP "\"applicationName\":\"app\",\"deploymentGroupName\":\"web\""
#define WEB                                                                      \
	"\"onPremisesInstanceTagFilters\":[{\"Key\":\"role\",\"Value\":\"web\"," \
	"\"Type\":\"KEY_AND_VALUE\"}]"
#define S3                                                                          \
	"\"revision\":{\"revisionType\":\"S3\",\"s3Location\":{\"bucket\":\"bkt\"," \
	"\"key\":\"app.zip\",\"bundleType\":\"zip\"}}"

static inline void with_group(struct fixture *f)
{
	call_ok(f, api_create_application, "{\"applicationName\":\"app\"}");
	call_ok(f, api_create_deployment_group, "{" GROUP "," ROLE "," WEB "}");
}

static inline void with_host(struct fixture *f, const char *name)
{
	struct store_tag tag = {(char *)"role", (char *)"web"};
	struct ids_place place = {"us-east-1", "123456789012"};
	auto_free char *arn = ids_host_arn(&place, name);
	struct store_enroll enroll = {.name = name,
				      .arn = arn,
				      .serial = name,
				      .now_s = 1425579465,
				      .tag_count = 1,
				      .tags = &tag};
	OK(store_host_enroll(f->control.store, &enroll, &f->err));
}

static inline void host_calls(struct fixture *f, const char *host, api_fn *fn, const char *input)
{
	struct caller caller = {.kind = CALLER_HOST};
	snprintf(caller.name, sizeof(caller.name), "%s", host);
	call_as(f, fn, input, &caller);
}

static inline void poll_as(struct fixture *f, const char *host, const char *identifier)
{
	char input[256];
	snprintf(input, sizeof(input),
		 "{\"HostIdentifier\":\"arn:aws:codedeploy:us-east-1:123456789012:instance/%s\"}",
		 identifier);
	host_calls(f, host, api_poll_host_command, input);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
