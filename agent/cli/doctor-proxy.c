// SPDX-License-Identifier: Apache-2.0
/* Which proxy is for what, why, and whether the one for the endpoint lets us through. */
#include "agent/cli/doctor.h"

#include "agent/proxies.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/dial.h"
#include "common/http-proxy.h"
#include "common/str.h"
#include "common/tunnel.h"

#include <string.h>

#define PROXY_MS 5000
#define HOW_TO_WRITE                                                                           \
	"write it as http://[user:password@]host:port, with '/', '@', ':', '%' and blanks of " \
	"user and password percent-encoded"

/* "http://user:password@host:port/" taken apart; the password is shown to nobody. */
struct place {
	char *host, *port;
	bool http, login;
};

static void place_clear(struct place *place)
{
	free(place->host);
	free(place->port);
}
#define auto_place CLEANUP(place_clear)

static bool place_parse(const char *uri, struct place *ret)
{
	const struct proxy_choice choice = {.uri = uri};
	if (http_proxy_check(&choice, NULL) < 0)
		return false;
	const char *scheme = strstr(uri, "://");
	const char *rest = scheme ? scheme + 3 : uri;
	size_t len = strcspn(rest, "/?#");
	const char *at = memrchr(rest, '@', len);
	ret->http = !scheme || str_starts(uri, "http://");
	ret->login = at != NULL;
	const char *host = at ? at + 1 : rest;
	auto_free char *url = xasprintf("http://%.*s", (int)(rest + len - host), host);
	if (!doctor_split_url(url, &ret->host, &ret->port))
		return false;
	if (str_eq(ret->port, "80") && !str_ends(url, ":80")) { /* libcurl's own default */
		free(ret->port);
		ret->port = xstrdup("1080");
	}
	return true;
}

static int connect_first(const struct place *place, uint64_t deadline_us, struct error *err)
{
	struct doctor_addresses found = {0};
	int r = doctor_resolve(place->host, place->port, deadline_us, &found, err);
	if (r < 0)
		return r;
	int fd = -EHOSTUNREACH;
	for (size_t i = 0; i < found.count && fd < 0; i++)
		fd = dial_address((struct sockaddr *)&found.list[i].sockaddr, found.list[i].len,
				  deadline_us);
	return fd < 0 ? error_set(err, fd, "%s port %s: %s", place->host, place->port,
				  strerror(-fd))
		      : fd;
}

static void say_status(struct doctor *doctor, const struct place *place, int status)
{
	if (status == 407)
		doctor_say(doctor, DOCTOR_FAILED,
			   place->login ? "put user and password right where the proxy is named"
					: "name it as http://user:password@host:port",
			   "the proxy %s:%s %s (HTTP 407)", place->host, place->port,
			   place->login ? "refuses this user or password"
					: "wants a user and password");
	else if (status == 403 || status == 405)
		doctor_say(doctor, DOCTOR_FAILED, "have it allow CONNECT to that host and port",
			   "the proxy %s:%s does not let us through to %s port %s (HTTP %d)",
			   place->host, place->port, doctor->host, doctor->port, status);
	else if (status < 200 || status > 299)
		doctor_say(doctor, DOCTOR_FAILED,
			   "look from the proxy's machine: is the endpoint running, is its name "
			   "known there?",
			   "the proxy %s:%s cannot reach %s port %s (HTTP %d)", place->host,
			   place->port, doctor->host, doctor->port, status);
	else
		doctor_say(doctor, DOCTOR_OK, NULL, "the proxy %s:%s lets us through to %s port %s",
			   place->host, place->port, doctor->host, doctor->port);
}

static void try_it(struct doctor *doctor, const struct place *place)
{
	struct error err = {0};
	uint64_t deadline_us = doctor_until_us(doctor, PROXY_MS);
	auto_close int fd = connect_first(place, deadline_us, &err);
	if (fd < 0) {
		doctor_say(doctor, DOCTOR_FAILED,
			   "is the proxy running, and is it the right one? no_proxy in agent.yml "
			   "has what is to be asked directly",
			   "the proxy cannot be reached: %s", err.text);
		return;
	}
	if (!place->http) {
		doctor_say(doctor, DOCTOR_OK, NULL,
			   "the proxy %s:%s can be reached; how it is spoken with is not checked",
			   place->host, place->port);
		return;
	}
	int status;
	uint64_t now_us = clock_mono_us();
	const struct proxy_rules rules = {.uri = doctor->proxy.uri};
	int r = tunnel_open(doctor->host, doctor->port, &rules,
			    deadline_us > now_us ? (deadline_us - now_us) / 1000 + 1 : 1, &status,
			    &err);
	if (r >= 0)
		doctor->fd = r;
	if (r < 0 && status < 300)
		doctor_say(doctor, DOCTOR_FAILED, "is it a HTTP proxy that allows CONNECT?",
			   "the proxy %s:%s: %s", place->host, place->port, err.text);
	else
		say_status(doctor, place, status);
}

/* What is for S3 and GitHub: only connected to, and only where it is another one. */
static void try_other(struct doctor *doctor, enum proxies_use use, const char *what)
{
	const char *key = proxies_key(&doctor->settings, use);
	struct http_options options = {0};
	proxies_set(&doctor->settings, use, &options);
	bool same =
		use == PROXIES_GITHUB && str_eq(key, proxies_key(&doctor->settings, PROXIES_S3));
	if (!key || same || str_empty(options.proxy) ||
	    (doctor->proxy.uri && str_eq(options.proxy, doctor->proxy.uri)))
		return;
	auto_place struct place place = {0};
	struct error err = {0};
	if (!place_parse(options.proxy, &place)) {
		doctor_say(doctor, DOCTOR_FAILED, HOW_TO_WRITE, "%s is no address of a proxy", key);
		return;
	}
	auto_close int fd = connect_first(&place, doctor_until_us(doctor, PROXY_MS), &err);
	if (fd < 0)
		doctor_say(doctor, DOCTOR_WARNING, "is it running? what is asked through it fails",
			   "the proxy for %s (%s) cannot be reached: %s", what, key, err.text);
	else
		doctor_say(doctor, DOCTOR_OK, NULL, "the proxy for %s (%s) is %s:%s", what, key,
			   place.host, place.port);
}

/* Why: a key, a variable, an exception. */
static void say_choice(struct doctor *doctor, const struct place *place)
{
	const char *key = proxies_key(&doctor->settings, PROXIES_COMMANDS);
	if (doctor->proxy.uri)
		doctor_say(doctor, DOCTOR_OK, NULL, "the endpoint is asked through %s:%s, as %s %s",
			   place->host, place->port,
			   doctor->proxy.variable ? doctor->proxy.variable : key,
			   doctor->proxy.variable ? "in this environment says; slipwayd has its own"
						  : "in agent.yml says");
	else if (*doctor->proxy.except)
		doctor_say(doctor, DOCTOR_OK, NULL,
			   "the endpoint is asked directly: '%s' of no_proxy excepts it",
			   doctor->proxy.except);
	else
		doctor_say(doctor, DOCTOR_OK, NULL, "the endpoint is asked directly: none is set");
}

void doctor_proxy(struct doctor *doctor)
{
	auto_place struct place place = {0};
	if (doctor->proxy.uri && !place_parse(doctor->proxy.uri, &place)) {
		doctor_say(doctor, DOCTOR_FAILED, HOW_TO_WRITE,
			   "what is set for the endpoint is no address of a proxy");
		return;
	}
	say_choice(doctor, &place);
	if (doctor->proxy.uri)
		try_it(doctor, &place);
	try_other(doctor, PROXIES_S3, "downloads");
	try_other(doctor, PROXIES_GITHUB, "GitHub");
}
