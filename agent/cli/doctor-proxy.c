// SPDX-License-Identifier: Apache-2.0
/* Which proxy is for what, why, and whether the one for the endpoint lets us through. */
#include "agent/cli/doctor.h"

#include "agent/proxies.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/dial.h"
#include "common/fs.h"
#include "common/str.h"

#include <poll.h>
#include <string.h>

#define PROXY_MS 5000
#define ANSWER_MAX 8192

/* "http://user:password@host:port/" taken apart; the password is shown to nobody. */
struct place {
	char *host, *port, *login; /* login NULL: none */
	bool http;
};

static void place_clear(struct place *place)
{
	free(place->host);
	free(place->port);
	if (place->login)
		explicit_bzero(place->login, strlen(place->login));
	free(place->login);
}
#define auto_place CLEANUP(place_clear)

static bool place_parse(const char *uri, struct place *ret)
{
	const char *scheme = strstr(uri, "://");
	const char *rest = scheme ? scheme + 3 : uri;
	size_t len = strcspn(rest, "/?#");
	const char *at = memrchr(rest, '@', len);
	ret->http = !scheme || str_starts(uri, "http://");
	if (at)
		ret->login = xstrndup(rest, (size_t)(at - rest));
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

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef";
	const char *at = c ? strchr(digits, c | 0x20) : NULL;
	return at ? (int)(at - digits) : -1;
}

static void base64(const unsigned char *in, size_t len, char *out)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (size_t i = 0; i < len; i += 3) {
		size_t have = len - i < 3 ? len - i : 3;
		unsigned bits = 0;
		for (size_t k = 0; k < 3; k++)
			bits = bits << 8 | (k < have ? in[i + k] : 0);
		for (size_t k = 0; k < 4; k++)
			*out++ = k <= have ? letters[bits >> (18 - 6 * k) & 63] : '=';
	}
	*out = '\0';
}

/* "user:p%40ss" to base64 of "user:p@ss". Caller frees. */
static char *basic(const char *login)
{
	auto_free char *plain = xcalloc(1, strlen(login) + 1);
	size_t n = 0;
	for (const char *p = login; *p; p++) {
		bool coded = *p == '%' && hex_digit(p[1]) >= 0 && hex_digit(p[2]) >= 0;
		plain[n++] = coded ? (char)(hex_digit(p[1]) << 4 | hex_digit(p[2])) : *p;
		p += coded ? 2 : 0;
	}
	char *out = xcalloc(1, 4 * (n / 3 + 1) + 1);
	base64((const unsigned char *)plain, n, out);
	explicit_bzero(plain, n);
	return out;
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

/* Until the empty line behind the headers. Returns the status, or below 0. */
static int read_status(int fd, uint64_t deadline_us, struct error *err)
{
	char answer[ANSWER_MAX];
	size_t have = 0;
	int status = 0;
	while (have + 1 < sizeof(answer)) {
		int r = dial_wait(fd, POLLIN, deadline_us);
		if (r < 0)
			return error_set(err, r, "it does not answer: %s", strerror(-r));
		/* byte by byte: what comes behind is TLS's */
		ssize_t n = recv(fd, answer + have, 1, MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			continue;
		if (n <= 0)
			return error_set(err, ERR_NETWORK, "it closed the connection");
		have += (size_t)n;
		answer[have] = '\0';
		if (str_ends(answer, "\r\n\r\n") || str_ends(answer, "\n\n"))
			break;
	}
	if (sscanf(answer, "HTTP/%*d.%*d %d", &status) != 1)
		return error_set(err, ERR_NETWORK, "it does not speak HTTP");
	return status;
}

static int ask_for_endpoint(struct doctor *doctor, const struct place *place, int fd,
			    uint64_t deadline_us, struct error *err)
{
	auto_free char *code = place->login ? basic(place->login) : NULL;
	bool six = strchr(doctor->host, ':');
	auto_free char *to = xasprintf(six ? "[%s]:%s" : "%s:%s", doctor->host, doctor->port);
	auto_free char *ask = xasprintf("CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s%s%s\r\n", to, to,
					code ? "Proxy-Authorization: Basic " : "", code ? code : "",
					code ? "\r\n" : "");
	int r = dial_wait(fd, POLLOUT, deadline_us);
	size_t len = strlen(ask);
	if (r == 0 && send(fd, ask, len, MSG_NOSIGNAL) != (ssize_t)len)
		r = -errno;
	explicit_bzero(ask, len);
	return r < 0 ? error_set(err, r, "it does not take a request: %s", strerror(-r))
		     : read_status(fd, deadline_us, err);
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
	int status = ask_for_endpoint(doctor, place, fd, deadline_us, &err);
	if (status < 0)
		doctor_say(doctor, DOCTOR_FAILED, "is it a HTTP proxy that allows CONNECT?",
			   "the proxy %s:%s: %s", place->host, place->port, err.text);
	else
		say_status(doctor, place, status);
	if (status >= 200 && status < 300)
		doctor->fd = TAKE_FD(fd);
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
		doctor_say(doctor, DOCTOR_FAILED, "write it as http://[user:password@]host:port",
			   "%s is no address of a proxy", key);
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
		doctor_say(doctor, DOCTOR_FAILED, "write it as http://[user:password@]host:port",
			   "what is set for the endpoint is no address of a proxy");
		return;
	}
	say_choice(doctor, &place);
	if (doctor->proxy.uri)
		try_it(doctor, &place);
	try_other(doctor, PROXIES_S3, "downloads");
	try_other(doctor, PROXIES_GITHUB, "GitHub");
}
