// SPDX-License-Identifier: Apache-2.0
/* How a host gets its certificate, and gets it again before it expires. The order in which things
 * become durable is the contract of docs/formats/identity.md. */
#include "agent/identity-answer.h"
#include "agent/identity-keys.h"
#include "agent/identity.h"
#include "agent/proxies.h"
#include "agent/settings.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/http.h"
#include "common/json.h"
#include "common/str.h"
#include "common/tls.h"
#include "common/wire.h"

#include <fcntl.h>
#include <pwd.h>
#include <string.h>

#define HANDSHAKE_MS 15000
#define ANSWER_MS 30000

struct place {
	char *host, *port; /* host without the brackets of an IPv6 address */
};

static void place_clear(struct place *place)
{
	free(place->host);
	free(place->port);
}
#define auto_place CLEANUP(place_clear)

/* "https://host[:port]" and nothing behind it. */
static int place_parse(const char *endpoint, struct place *ret, struct error *err)
{
	static const char scheme[] = "https://";
	bool https = str_starts(endpoint, scheme);
	const char *host = https ? endpoint + strlen(scheme) : endpoint;
	bool bracket = *host == '[';
	host += bracket;
	size_t len = strcspn(host, bracket ? "]" : ":/?#@");
	const char *rest = host + len + (bracket && host[len] == ']');
	const char *port = *rest == ':' ? rest + 1 : "443";
	uint64_t number;
	bool good_port = str_to_u64(port, &number) == 0 && number > 0 && number < 65536;
	if (!https || len == 0 || (bracket && host[len] != ']') || (*rest && *rest != ':') ||
	    !good_port)
		return error_set(err, ERR_INPUT,
				 "'%.200s' is not an endpoint, expected https://HOST:PORT",
				 endpoint);
	*ret = (struct place){.host = xstrndup(host, len), .port = xstrdup(port)};
	return 0;
}

static int host_name(const char *wanted, char **ret, struct error *err)
{
	char own[256] = "";
	if (!wanted && gethostname(own, sizeof(own) - 1) < 0)
		return error_errno(err, "find this machine's host name");
	const char *name = wanted ? wanted : own;
	if (!wire_is_host_name(name))
		return error_set(err, ERR_INPUT,
				 "host name '%.80s' must have 1 to 64 of letters, digits and "
				 "+=,.@_-; choose one with --name",
				 name);
	*ret = xstrdup(name);
	return 0;
}

/* What an answer other than 200 means for the person who asked. */
static int refusal(const struct http_response *response, const char *what, struct error *err)
{
	struct wire_fault fault;
	const char *body = buf_str(&response->body);
	wire_fault_parse(response->status, http_header_get(response, "x-amzn-errortype"), body,
			 response->body.len, &fault);
	const char *text = fault.message[0] ? fault.message : fault.type;
	if (wire_fault_is_throttling(response->status, &fault))
		return error_set(err, ERR_THROTTLED, "%s: %s", what, text);
	if (response->status >= 500)
		return error_set(err, ERR_NETWORK, "%s: %s", what, text);
	if (response->status == 401 || response->status == 403)
		return error_set(err, ERR_DENIED, "%s is refused: %s", what, text);
	return error_set(err, ERR_HTTP, "%s is refused: %s", what, text);
}

static int post(struct http_client *client, const char *url, const struct wire_enroll *message,
		const char *what, struct wire_enrolled *ret, struct error *err)
{
	auto_json json_t *body = wire_enroll_to_json(message);
	auto_free char *text = json_text(body);
	const struct http_header header = {"Content-Type", "application/json"};
	const struct http_request request = {.method = "POST",
					     .url = url,
					     .headers = &header,
					     .n_headers = 1,
					     .body = text,
					     .body_len = strlen(text),
					     .timeout_ms = ANSWER_MS,
					     .max_body = WIRE_MESSAGE_MAX};
	auto_http_response struct http_response response = {0};
	int r = http_perform(client, &request, &response, err);
	explicit_bzero(text, strlen(text));
	if (r < 0)
		return r;
	if (response.status != 200)
		return refusal(&response, what, err);
	auto_json json_t *answer = NULL;
	r = json_parse(response.body.data, response.body.len, WIRE_MESSAGE_MAX, &answer, err);
	if (r >= 0)
		r = wire_enrolled_from_json(answer, ret, err);
	return r < 0 ? error_prefix(err, r, "the endpoint's answer makes no sense") : 0;
}

/* Whatever the endpoint says, a certificate for another key would lock the host out. */
static int check_answer(const struct wire_enrolled *answer, EVP_PKEY *key, const char *fingerprint,
			struct error *err)
{
	auto_x509 X509 *cert = NULL;
	int r = pki_cert_from_pem(answer->certificate, &cert, err);
	if (r < 0)
		return error_prefix(err, r, "the endpoint's answer");
	if (!pki_cert_is_of_key(cert, key))
		return error_set(err, ERR_FORMAT,
				 "the endpoint's answer has a certificate for another key");
	if (!pki_pem_holds(answer->ca, fingerprint))
		return error_set(err, ERR_TRUST, "the endpoint's answer has another CA");
	return 0;
}

/* The daemon's directory, made when missing. Below the system's own root it is the daemon's. */
static int open_agent_dir(const struct paths *paths, struct error *err)
{
	auto_free char *parent = xstrdup(paths->agent);
	*strrchr(parent, '/') = '\0';
	int r = fs_mkdirs_path(parent, 0755, err);
	if (r < 0)
		return r;
	bool made = mkdir(paths->agent, 0700) == 0;
	if (!made && errno != EEXIST)
		return error_errno(err, "make '%s'", paths->agent);
	int fd = open(paths->agent, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, "open '%s'", paths->agent);
	const struct passwd *daemon = made && !*paths->root ? getpwnam(PATHS_DAEMON_USER) : NULL;
	if (daemon && geteuid() == 0 && fchown(fd, daemon->pw_uid, daemon->pw_gid) < 0) {
		close(fd);
		return error_errno(err, "give '%s' to user '" PATHS_DAEMON_USER "'", paths->agent);
	}
	return fd;
}

static int write_text(int dirfd, const char *name, const char *text, struct error *err)
{
	return fs_write_atomic(dirfd, name, text, strlen(text), 0644, err);
}

/* The worker's copy, out of the daemon's reach. */
static int save_trust(int host_fd, const char *endpoint, const struct wire_enrolled *answer,
		      struct error *err)
{
	auto_close int trust = fs_mkdirs(host_fd, "trust", 0755, err);
	if (trust < 0)
		return trust;
	auto_json json_t *doc = json_object();
	json_set_str(doc, "host_identifier", answer->host_identifier);
	json_set_str(doc, "endpoint", endpoint);
	int r = write_text(trust, "ca.pem", answer->ca, err);
	if (r >= 0)
		r = json_write_file(trust, "identity.json", doc, 0644, err);
	if (r >= 0)
		r = fs_sync_dir(host_fd, err);
	return r;
}

static int save_agent_part(int dirfd, const char *endpoint, const char *fingerprint,
			   const struct wire_enrolled *answer, struct error *err)
{
	auto_json json_t *doc = json_object();
	json_set_str(doc, "endpoint", endpoint);
	json_set_str(doc, "name", answer->name);
	json_set_str(doc, "host_identifier", answer->host_identifier);
	json_set_str(doc, "region", answer->region);
	json_set_str(doc, "ca_fingerprint", fingerprint);
	json_set_int(doc, "enrolled", clock_wall_s());
	auto_owner struct identity_owner owner = {0};
	int r = identity_become_owner(dirfd, &owner, err);
	if (r >= 0)
		r = identity_keys_switch(dirfd, answer->certificate, err);
	if (r >= 0)
		r = write_text(dirfd, "ca.pem", answer->ca, err);
	if (r >= 0)
		r = json_write_file(dirfd, "identity.json", doc, 0644, err);
	return r;
}

static int pending_key(int dirfd, EVP_PKEY **ret, struct error *err)
{
	auto_owner struct identity_owner owner = {0};
	int r = identity_become_owner(dirfd, &owner, err);
	return r < 0 ? r : identity_keys_pending(dirfd, ret, err);
}

/* The message's lists are the caller's; only csr and name are owned here. */
static int ask(const char *endpoint, const struct http_options *options,
	       const struct identity_enroll *enroll, const char *name, EVP_PKEY *key,
	       struct wire_enrolled *ret, struct error *err)
{
	auto_free char *csr = NULL;
	int r = pki_csr_new(key, name, &csr, err);
	if (r < 0)
		return r;
	auto_http_client struct http_client *client = NULL;
	r = http_client_new(NULL, options, &client, err);
	if (r < 0)
		return r;
	const struct wire_enroll message = {.token = (char *)enroll->token,
					    .name = (char *)name,
					    .csr = csr,
					    .tag_keys = (char **)enroll->tag_keys,
					    .tag_values = (char **)enroll->tag_values,
					    .group = (char *)enroll->group};
	auto_free char *url = xasprintf("%s/slipway/v1/enroll", endpoint);
	return post(client, url, &message, "enrolment", ret, err);
}

/* Ask for a certificate, or take up the answer that an earlier try was given. */
static int get_answer(int host_fd, int dirfd, const char *endpoint,
		      const struct http_options *options, const struct identity_enroll *enroll,
		      const char *name, struct wire_enrolled *ret, struct error *err)
{
	int r = identity_answer_load(host_fd, dirfd, endpoint, enroll->ca_fingerprint, name, ret,
				     err);
	if (r != 0)
		return r;
	auto_pkey EVP_PKEY *key = NULL;
	r = pending_key(dirfd, &key, err);
	if (r >= 0)
		r = ask(endpoint, options, enroll, name, key, ret, err);
	if (r >= 0)
		r = check_answer(ret, key, enroll->ca_fingerprint, err);
	if (r < 0)
		return r;
	return identity_answer_save(host_fd, endpoint, enroll->ca_fingerprint, ret, err);
}

static int enroll_now(const struct paths *paths, const struct identity_enroll *enroll,
		      const char *endpoint, const struct place *place, struct error *err)
{
	auto_free char *ca_pem = NULL, *name = NULL;
	auto_settings struct settings settings = {0};
	struct http_options options = {0};
	int r = host_name(enroll->name, &name, err);
	if (r >= 0)
		r = settings_load(&settings, paths, err);
	if (r < 0)
		return r;
	proxies_set(&settings, PROXIES_COMMANDS, &options);
	const struct proxy_rules proxy = {options.proxy, options.no_proxy};
	r = tls_find_ca(place->host, place->port, &proxy, enroll->ca_fingerprint, HANDSHAKE_MS,
			&ca_pem, err);
	if (r < 0)
		return r;
	auto_close int dirfd = open_agent_dir(paths, err);
	if (dirfd < 0)
		return dirfd;
	auto_close int host_fd = paths_open_host(paths, err);
	if (host_fd < 0)
		return host_fd;
	auto_wire_enrolled struct wire_enrolled answer = {0};
	options.ca_pem = ca_pem;
	r = get_answer(host_fd, dirfd, endpoint, &options, enroll, name, &answer, err);
	if (r >= 0)
		r = save_trust(host_fd, endpoint, &answer, err);
	if (r >= 0)
		r = save_agent_part(dirfd, endpoint, enroll->ca_fingerprint, &answer, err);
	if (r >= 0)
		identity_answer_drop(host_fd);
	return r;
}

int identity_enroll(const struct paths *paths, const struct identity_enroll *enroll,
		    struct identity **ret, struct error *err)
{
	auto_identity struct identity *known = NULL;
	int r = identity_load(paths, &known, NULL);
	if (r == 0)
		return error_set(err, ERR_EXISTS,
				 "this host is enrolled at %s already; 'slipway unenroll' first",
				 known->endpoint);
	auto_free char *endpoint = xstrdup(enroll->endpoint);
	for (size_t len = strlen(endpoint); len > 0 && endpoint[len - 1] == '/'; len--)
		endpoint[len - 1] = '\0';
	auto_place struct place place = {0};
	r = place_parse(endpoint, &place, err);
	if (r >= 0)
		r = enroll_now(paths, enroll, endpoint, &place, err);
	return r < 0 ? r : identity_load(paths, ret, err);
}

int identity_renew(const struct paths *paths, const struct identity *identity, struct error *err)
{
	auto_close int dirfd = open(paths->agent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return error_errno(err, "open '%s'", paths->agent);
	auto_pkey EVP_PKEY *key = NULL;
	int r = pending_key(dirfd, &key, err);
	if (r < 0)
		return r;
	auto_free char *csr = NULL;
	r = pki_csr_new(key, identity->name, &csr, err);
	if (r < 0)
		return r;
	auto_http_client struct http_client *client = NULL;
	auto_settings struct settings settings = {0};
	r = settings_load(&settings, paths, err);
	if (r < 0)
		return r;
	struct http_options options = {.ca_file = identity->ca_file,
				       .cert_file = identity->cert_file,
				       .key_file = identity->key_file};
	proxies_set(&settings, PROXIES_COMMANDS, &options);
	r = http_client_new(NULL, &options, &client, err);
	if (r < 0)
		return r;
	const struct wire_enroll message = {.name = identity->name, .csr = csr};
	auto_free char *url = xasprintf("%s/slipway/v1/renew", identity->endpoint);
	auto_wire_enrolled struct wire_enrolled answer = {0};
	r = post(client, url, &message, "renewal", &answer, err);
	if (r >= 0)
		r = check_answer(&answer, key, identity->ca_fingerprint, err);
	if (r < 0)
		return r;
	auto_owner struct identity_owner owner = {0};
	r = identity_become_owner(dirfd, &owner, err);
	return r < 0 ? r : identity_keys_switch(dirfd, answer.certificate, err);
}
