// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/fleet.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/digest.h"
#include "common/fs.h"
#include "common/http.h"
#include "common/json.h"
#include "common/sigv4.h"
#include "common/str.h"
#include "common/wire.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define CREDENTIALS_MAX (256 * 1024)
#define CALL_MS 30000
#define ANSWER_MAX (4 * 1024 * 1024)

struct fleet {
	char *file; /* where the credentials came from */
	char *endpoint, *host, *access_key_id, *secret, *region;
	char *ca_file, *ca_pem;
	struct http_client *http;
};

const char *fleet_endpoint(const struct fleet *fleet)
{
	return fleet->endpoint;
}

const char *fleet_text(const json_t *obj, const char *name)
{
	const char *text = json_string_value(json_object_get(obj, name));
	return text ? text : "";
}

const char *fleet_need(const struct cli *cli, const struct cli_args *args, const char *option)
{
	const char *value = cli_value(args, option);
	if (!value)
		cli_usage(cli, "--%s is missing", option);
	return value;
}

static char *credentials_file(const struct cli_args *args)
{
	const char *given = cli_value(args, "credentials");
	if (!given)
		given = getenv("SLIPWAY_CREDENTIALS");
	if (!str_empty(given))
		return xstrdup(given);
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	if (!str_empty(config) && config[0] == '/')
		return xasprintf("%s/slipway/credentials.json", config);
	return xasprintf("%s/.config/slipway/credentials.json", home ? home : "");
}

static int take(const json_t *doc, const char *name, char **ret, struct error *err)
{
	const char *text = NULL;
	int r = json_need_str(doc, name, &text, err);
	if (r >= 0)
		*ret = xstrdup(text);
	return r;
}

static int take_optional(const json_t *doc, const char *name, char **ret, struct error *err)
{
	const char *text = NULL;
	int r = json_opt_str(doc, name, &text, err);
	if (r >= 0)
		*ret = xstrdup_null(text);
	return r;
}

static int read_credentials(struct fleet *fleet, struct error *err)
{
	auto_json json_t *doc = NULL;
	auto_close int fd = open(fleet->file, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return error_set(err, ERR_INPUT, "there are no credentials at '%s'", fleet->file);
	if (fd < 0)
		return error_errno(err, "open credentials '%s'", fleet->file);
	int r = json_read(fd, CREDENTIALS_MAX, &doc, err);
	if (r >= 0)
		r = take(doc, "endpoint", &fleet->endpoint, err);
	if (r >= 0)
		r = take(doc, "access_key_id", &fleet->access_key_id, err);
	if (r >= 0)
		r = take(doc, "secret_access_key", &fleet->secret, err);
	if (r >= 0)
		r = take(doc, "region", &fleet->region, err);
	if (r >= 0)
		r = take_optional(doc, "ca_file", &fleet->ca_file, err);
	if (r >= 0)
		r = take_optional(doc, "ca", &fleet->ca_pem, err);
	return r < 0 ? error_prefix(err, r, "credentials '%s'", fleet->file) : 0;
}

/* The Host header as libcurl sends it: without the port that goes without saying. */
static int find_host(struct fleet *fleet, struct error *err)
{
	static const char scheme[] = "https://";
	for (size_t len = strlen(fleet->endpoint); len > 0 && fleet->endpoint[len - 1] == '/';)
		fleet->endpoint[--len] = '\0';
	const char *host = fleet->endpoint + strlen(scheme);
	if (!str_starts(fleet->endpoint, scheme) || !*host || strpbrk(host, "/?#@"))
		return error_set(err, ERR_INPUT,
				 "credentials '%s': endpoint '%s' is not https://HOST:PORT",
				 fleet->file, fleet->endpoint);
	fleet->host = xstrdup(host);
	if (str_ends(fleet->host, ":443"))
		fleet->host[strlen(fleet->host) - 4] = '\0';
	return 0;
}

int fleet_open(const struct cli_args *args, struct fleet **ret, struct error *err)
{
	auto_fleet struct fleet *fleet = xcalloc(1, sizeof(*fleet));
	fleet->file = credentials_file(args);
	int r = read_credentials(fleet, err);
	if (r >= 0)
		r = find_host(fleet, err);
	if (r < 0)
		return r;
	const struct http_options options = {.ca_file = fleet->ca_file, .ca_pem = fleet->ca_pem};
	r = http_client_new(NULL, &options, &fleet->http, err);
	if (r < 0)
		return r;
	*ret = TAKE(fleet);
	return 0;
}

void fleet_close(struct fleet *fleet)
{
	if (!fleet)
		return;
	http_client_free(fleet->http);
	if (fleet->secret)
		explicit_bzero(fleet->secret, strlen(fleet->secret));
	free(fleet->file);
	free(fleet->endpoint);
	free(fleet->host);
	free(fleet->access_key_id);
	free(fleet->secret);
	free(fleet->region);
	free(fleet->ca_file);
	free(fleet->ca_pem);
	free(fleet);
}

/* What the endpoint's refusals mean here; the first row whose word is in the type. */
static const struct {
	const char *word;
	int code;
} refusals[] = {
	{"DoesNotExist", ERR_NOT_FOUND},
	{"NotRegistered", ERR_NOT_FOUND},
	{"NoSuch", ERR_NOT_FOUND},
	{"AlreadyExists", ERR_EXISTS},
	{"AlreadyCompleted", ERR_EXISTS},
	{"DeploymentLimitExceeded", ERR_BUSY},
	{"DeploymentNotStarted", ERR_BUSY},
	{"AccessDenied", ERR_DENIED},
	{"UnrecognizedClient", ERR_DENIED},
	{"InvalidAccessKeyId", ERR_DENIED},
	{"InvalidSignature", ERR_DENIED},
	{"SignatureDoesNotMatch", ERR_DENIED},
	{"MissingAuthenticationToken", ERR_DENIED},
	{"RequestTimeTooSkewed", ERR_DENIED},
	{"Expired", ERR_DENIED},
	{"Invalid", ERR_INPUT},
	{"Required", ERR_INPUT},
	{"Validation", ERR_INPUT},
	{"TooLong", ERR_INPUT},
	{"Unsupported", ERR_INPUT},
};

static int refuse(const struct http_response *response, const struct wire_fault *fault,
		  struct error *err)
{
	int code = response->status >= 500 ? ERR_NETWORK : ERR_HTTP;
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		if (!strstr(fault->type, refusals[i].word))
			continue;
		code = refusals[i].code;
		break;
	}
	if (wire_fault_is_throttling(response->status, fault))
		code = ERR_THROTTLED;
	if (!fault->message[0])
		return error_set(err, code, "the endpoint answers %s", fault->type);
	return error_set(err, code, "%s: %s", fault->type, fault->message);
}

#define SIGNED_MAX 8

struct signed_headers {
	struct http_header list[SIGNED_MAX + 1];
	unsigned count;
	char *authorization;
};

static void signed_headers_clear(struct signed_headers *headers)
{
	free(headers->authorization);
}
#define auto_signed CLEANUP(signed_headers_clear)

/* request->headers: all but host; amz_date is among them. */
static int sign(const struct fleet *fleet, const char *service, struct sigv4_request *request,
		const char *amz_date, struct signed_headers *ret, struct error *err)
{
	struct sigv4_header all[SIGNED_MAX + 1];
	const struct sigv4_key key = {.access_key_id = fleet->access_key_id,
				      .secret = fleet->secret,
				      .region = fleet->region,
				      .service = service};
	for (size_t i = 0; i < request->n_headers; i++) {
		all[i] = request->headers[i];
		ret->list[ret->count++] = (struct http_header){all[i].name, all[i].value};
	}
	all[request->n_headers++] = (struct sigv4_header){"host", fleet->host};
	request->headers = all;
	int r = sigv4_sign(request, &key, amz_date, &ret->authorization, err);
	request->headers = NULL;
	ret->list[ret->count++] = (struct http_header){"Authorization", ret->authorization};
	return r;
}

static int read_answer(const struct http_response *response, json_t **ret, struct error *err)
{
	struct wire_fault fault;
	if (response->status < 200 || response->status > 299) {
		wire_fault_parse(response->status, http_header_get(response, "x-amzn-errortype"),
				 buf_str(&response->body), response->body.len, &fault);
		return refuse(response, &fault, err);
	}
	auto_json json_t *answer = NULL;
	if (response->body.len == 0)
		answer = json_object();
	int r = answer ? 0
		       : json_parse(response->body.data, response->body.len, ANSWER_MAX, &answer,
				    err);
	if (r >= 0 && !json_is_object(answer))
		r = error_set(err, ERR_FORMAT, "not a JSON object");
	if (r < 0) {
		error_prefix(err, ERR_NETWORK, "the endpoint's answer makes no sense");
		return ERR_NETWORK;
	}
	if (ret)
		*ret = TAKE(answer);
	return 0;
}

int fleet_call(struct fleet *fleet, const char *operation, json_t *input, json_t **ret,
	       struct error *err)
{
	auto_json json_t *owned = input;
	auto_free char *body = json_text(owned);
	auto_free char *target = xasprintf(WIRE_TARGET_MANAGEMENT ".%s", operation);
	char date[CLOCK_ISO_LEN], hash[DIGEST_SHA256_HEX];
	clock_format_amz(clock_wall_s(), date);
	digest_sha256_hex(body, strlen(body), hash);
	const struct sigv4_header headers[] = {{"Content-Type", "application/x-amz-json-1.1"},
					       {"X-Amz-Date", date},
					       {"X-Amz-Target", target}};
	struct sigv4_request to_sign = {.method = "POST",
					.path = "/",
					.headers = headers,
					.n_headers = ARRAY_LEN(headers),
					.payload_hash = hash};
	auto_signed struct signed_headers sent = {0};
	int r = sign(fleet, "codedeploy", &to_sign, date, &sent, err);
	if (r < 0)
		return r;
	auto_free char *url = xasprintf("%s/", fleet->endpoint);
	const struct http_request request = {.method = "POST",
					     .url = url,
					     .headers = sent.list,
					     .n_headers = sent.count,
					     .body = body,
					     .body_len = strlen(body),
					     .timeout_ms = CALL_MS,
					     .max_body = ANSWER_MAX};
	auto_http_response struct http_response response = {0};
	r = http_perform(fleet->http, &request, &response, err);
	return r < 0 ? r : read_answer(&response, ret, err);
}

int fleet_list(struct fleet *fleet, const char *operation, json_t *input, const char *member,
	       size_t max, json_t **ret, struct error *err)
{
	auto_json json_t *owned = input, *all = json_array();
	for (;;) {
		auto_json json_t *page = NULL;
		int r = fleet_call(fleet, operation, json_deep_copy(owned), &page, err);
		if (r < 0)
			return r;
		json_array_extend(all, json_object_get(page, member));
		const char *next = fleet_text(page, "nextToken");
		bool again = str_eq(next, fleet_text(owned, "nextToken"));
		if (!*next || again || json_array_size(all) >= max)
			break;
		json_set_str(owned, "nextToken", next);
	}
	while (json_array_size(all) > max)
		json_array_remove(all, json_array_size(all) - 1);
	*ret = TAKE(all);
	return 0;
}

/* S3 says its errors in XML: <Code>NoSuchKey</Code><Message>...</Message>. */
static void take_element(const char *xml, const char *name, char *out, size_t room)
{
	auto_free char *open = xasprintf("<%s>", name);
	const char *start = strstr(xml, open);
	start = start ? start + strlen(open) : "";
	snprintf(out, room, "%.*s", (int)strcspn(start, "<"), start);
}

static int read_put_answer(const struct http_response *response, char **ret_etag,
			   char **ret_version, struct error *err)
{
	if (response->status != 200) {
		struct wire_fault fault = {0};
		const char *xml = buf_str(&response->body);
		take_element(xml, "Code", fault.type, sizeof(fault.type));
		take_element(xml, "Message", fault.message, sizeof(fault.message));
		if (!fault.type[0])
			snprintf(fault.type, sizeof(fault.type), "HTTP %d", response->status);
		return refuse(response, &fault, err);
	}
	const char *etag = http_header_get(response, "etag");
	char *plain = xstrdup(etag ? etag : "");
	size_t len = strlen(plain);
	if (len >= 2 && plain[0] == '"' && plain[len - 1] == '"') {
		memmove(plain, plain + 1, len - 2);
		plain[len - 2] = '\0';
	}
	*ret_etag = plain;
	*ret_version = xstrdup_null(http_header_get(response, "x-amz-version-id"));
	return 0;
}

int fleet_put(struct fleet *fleet, const struct fleet_object *object, char **ret_etag,
	      char **ret_version, struct error *err)
{
	auto_free char *key = str_uri_encode(object->key, strlen(object->key), true);
	auto_free char *path = xasprintf("/%s/%s", object->bucket, key);
	char date[CLOCK_ISO_LEN];
	clock_format_amz(clock_wall_s(), date);
	const struct sigv4_header headers[] = {{"X-Amz-Content-Sha256", object->sha256},
					       {"X-Amz-Date", date}};
	struct sigv4_request to_sign = {.method = "PUT",
					.path = path,
					.headers = headers,
					.n_headers = ARRAY_LEN(headers),
					.payload_hash = object->sha256,
					.s3 = true};
	auto_signed struct signed_headers sent = {0};
	int r = sign(fleet, "s3", &to_sign, date, &sent, err);
	if (r < 0)
		return r;
	auto_free char *url = xasprintf("%s%s", fleet->endpoint, path);
	const struct http_request request = {.method = "PUT",
					     .url = url,
					     .headers = sent.list,
					     .n_headers = sent.count,
					     .body_fd = object->fd,
					     .body_size = object->size,
					     .on_progress = object->on_progress,
					     .arg = object->arg};
	auto_http_response struct http_response response = {0};
	r = http_perform(fleet->http, &request, &response, err);
	return r < 0 ? r : read_put_answer(&response, ret_etag, ret_version, err);
}

int fleet_fail(const struct cli *cli, const struct fleet *fleet, int code, const struct error *err)
{
	int exit_code = cli_exit_of(code);
	if (!fleet)
		return cli_fail(cli, exit_code, err,
				"'slipway-controld init' writes them: give the file with "
				"--credentials or in $SLIPWAY_CREDENTIALS");
	if (code == ERR_NETWORK)
		return cli_fail(cli, exit_code, err, "does the endpoint serve at %s?",
				fleet->endpoint);
	if (code == ERR_DENIED)
		return cli_fail(cli, exit_code, err,
				"check the access key in '%s' and this machine's clock",
				fleet->file);
	if (code == ERR_TRUST)
		return cli_fail(cli, exit_code, err,
				"the credentials in '%s' are for an endpoint with another CA",
				fleet->file);
	return cli_fail(cli, exit_code, err, NULL);
}
