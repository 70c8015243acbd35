// SPDX-License-Identifier: Apache-2.0
/* The way to the endpoint: names, addresses, connections. */
#include "agent/cli/doctor.h"

#include "common/alloc.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/dial.h"
#include "common/fs.h"
#include "common/str.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>

#define DNS_MS 6000
#define TCP_MS 5000
#define SLOW_DNS_MS 2000
#define NAMESERVERS_MAX 256

bool doctor_split_url(const char *url, char **ret_host, char **ret_port)
{
	bool plain = str_starts(url, "http://");
	if (!plain && !str_starts(url, "https://"))
		return false;
	const char *at = strstr(url, "://") + 3;
	size_t len = strcspn(at, "/?#");
	bool bracket = *at == '[';
	size_t host = bracket ? strcspn(at, "]") : strcspn(at, ":");
	if (host >= len)
		host = len;
	if (host <= (bracket ? 1U : 0U))
		return false;
	const char *behind = at + host + bracket;
	*ret_host = xstrndup(at + bracket, host - bracket);
	*ret_port = behind < at + len && *behind == ':'
			    ? xstrndup(behind + 1, (size_t)(at + len - behind - 1))
			    : xstrdup(plain ? "80" : "443");
	return true;
}

/* DNS */

static void describe(struct doctor_address *address)
{
	char text[INET6_ADDRSTRLEN] = "";
	bool six = address->sockaddr.ss_family == AF_INET6;
	const void *from = six ? (void *)&((struct sockaddr_in6 *)&address->sockaddr)->sin6_addr
			       : (void *)&((struct sockaddr_in *)&address->sockaddr)->sin_addr;
	inet_ntop(six ? AF_INET6 : AF_INET, from, text, sizeof(text));
	snprintf(address->text, sizeof(address->text), six ? "[%s]" : "%s", text);
}

/* In the child: the answer as one message, at most PIPE_BUF bytes. */
static NORETURN void resolve_and_tell(int out, const char *host, const char *port)
{
	struct {
		int status;
		struct doctor_addresses found;
	} answer = {0};
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
	struct addrinfo *list = NULL;
	answer.status = getaddrinfo(host, port, &hints, &list);
	if (answer.status)
		list = NULL;
	for (const struct addrinfo *a = list; a && answer.found.count < DOCTOR_ADDRESSES_MAX;
	     a = a->ai_next) {
		struct doctor_address *one = &answer.found.list[answer.found.count++];
		memcpy(&one->sockaddr, a->ai_addr, a->ai_addrlen);
		one->len = a->ai_addrlen;
		describe(one);
	}
	_exit(fs_write_all(out, &answer, sizeof(answer)) < 0);
}

static int read_answer(int in, uint64_t deadline_us, const char *host, struct doctor_addresses *ret,
		       struct error *err)
{
	struct {
		int status;
		struct doctor_addresses found;
	} answer;
	for (size_t have = 0; have < sizeof(answer);) {
		int r = dial_wait(in, POLLIN, deadline_us);
		if (r < 0)
			return error_set(err, r, "no answer for the name '%s': %s", host,
					 strerror(-r));
		ssize_t n = read(in, (char *)&answer + have, sizeof(answer) - have);
		if (n <= 0)
			return error_set(err, ERR_NETWORK, "'%s' could not be looked up", host);
		have += (size_t)n;
	}
	if (answer.status)
		return error_set(err, ERR_NETWORK, "'%s': %s", host, gai_strerror(answer.status));
	*ret = answer.found;
	return 0;
}

int doctor_resolve(const char *host, const char *port, uint64_t deadline_us,
		   struct doctor_addresses *ret, struct error *err)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_errno(err, "make a pipe");
	auto_close int reader = ends[0], writer = ends[1];
	fflush(stdout);
	pid_t pid = fork();
	if (pid < 0)
		return error_errno(err, "start a process");
	if (pid == 0)
		resolve_and_tell(writer, host, port);
	fs_close_quiet(TAKE_FD(writer));
	int r = read_answer(reader, deadline_us, host, ret, err);
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return r;
}

static bool is_in_hosts_file(const char *host)
{
	auto_fclose FILE *file = fopen("/etc/hosts", "re");
	char line[1024];
	while (file && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "#\n")] = '\0';
		char *rest = line;
		strtok_r(line, " \t", &rest);
		for (char *name; (name = strtok_r(NULL, " \t", &rest));)
			if (strcasecmp(name, host) == 0)
				return true;
	}
	return false;
}

/* "nameserver 10.0.0.2, 10.0.0.3": who is asked, which is what a person checks first. */
static void who_answers(const char *host, char *out, size_t room)
{
	if (is_in_hosts_file(host)) {
		snprintf(out, room, "/etc/hosts");
		return;
	}
	auto_fclose FILE *file = fopen("/etc/resolv.conf", "re");
	char line[512], server[80];
	size_t len = (size_t)snprintf(out, room, "nameserver");
	bool any = false;
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "nameserver %79s", server) != 1 || len + 82 > room)
			continue;
		len += (size_t)snprintf(out + len, room - len, "%s %s", any ? "," : "", server);
		any = true;
	}
	if (!any)
		snprintf(out, room, "no nameserver in /etc/resolv.conf");
}

static char *list_addresses(const struct doctor_addresses *addresses)
{
	auto_buf struct buf text = BUF_INIT(DOCTOR_ADDRESSES_MAX * sizeof(addresses->list[0].text));
	for (size_t i = 0; i < addresses->count; i++)
		buf_addf(&text, "%s%s", i ? ", " : "", addresses->list[i].text);
	return xstrdup(buf_str(&text));
}

void doctor_dns(struct doctor *doctor)
{
	if (doctor->proxy.uri) {
		doctor_say(doctor, DOCTOR_SKIPPED, NULL, "the proxy looks names up");
		return;
	}
	char asked[NAMESERVERS_MAX];
	struct error err = {0};
	uint64_t begin = clock_mono_us();
	int r = doctor_resolve(doctor->host, doctor->port, doctor_until_us(doctor, DNS_MS),
			       &doctor->addresses, &err);
	uint64_t ms = (clock_mono_us() - begin) / 1000;
	who_answers(doctor->host, asked, sizeof(asked));
	if (r < 0) {
		auto_free char *next = xasprintf(
			"check the name, and that the resolver answers: 'getent hosts %s'",
			doctor->host);
		doctor_say(doctor, DOCTOR_FAILED, next, "%s (after %" PRIu64 " ms; %s)", err.text,
			   ms, asked);
		return;
	}
	auto_free char *all = list_addresses(&doctor->addresses);
	if (doctor->addresses.count == 1 && strstr(all, doctor->host))
		doctor_say(doctor, DOCTOR_OK, NULL, "%s needs no name", all);
	else if (ms >= SLOW_DNS_MS)
		doctor_say(doctor, DOCTOR_WARNING,
			   "one of the nameservers in /etc/resolv.conf may not answer",
			   "%s is %s, but that took %" PRIu64 " ms (%s)", doctor->host, all, ms,
			   asked);
	else
		doctor_say(doctor, DOCTOR_OK, NULL, "%s is %s (%" PRIu64 " ms; %s)", doctor->host,
			   all, ms, asked);
}

/* TCP */

struct attempt {
	int fd, result; /* -EINPROGRESS while it runs */
	uint64_t begin_us, took_us;
};

static void begin_attempt(struct attempt *a, const struct doctor_address *to)
{
	a->begin_us = clock_mono_us();
	a->result = 0;
	a->fd = socket(to->sockaddr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (a->fd < 0 || connect(a->fd, (const struct sockaddr *)&to->sockaddr, to->len) < 0)
		a->result = -errno;
}

static void end_attempt(struct attempt *a)
{
	int failure = 0;
	socklen_t size = sizeof(failure);
	if (getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &failure, &size) < 0)
		failure = errno;
	a->result = -failure;
	a->took_us = clock_mono_us() - a->begin_us;
}

/* All at the same time, so that one that is dropped does not hide the others. */
static void connect_all(const struct doctor_addresses *to, struct attempt *attempts,
			uint64_t deadline_us)
{
	struct pollfd fds[DOCTOR_ADDRESSES_MAX];
	for (size_t i = 0; i < to->count; i++)
		begin_attempt(&attempts[i], &to->list[i]);
	for (;;) {
		size_t running = 0;
		for (size_t i = 0; i < to->count; i++) {
			bool runs = attempts[i].result == -EINPROGRESS;
			fds[i] = (struct pollfd){.fd = runs ? attempts[i].fd : -1,
						 .events = POLLOUT};
			running += runs;
		}
		uint64_t now = clock_mono_us();
		if (!running || now >= deadline_us)
			break;
		if (poll(fds, to->count, (int)((deadline_us - now) / 1000) + 1) < 0)
			continue;
		for (size_t i = 0; i < to->count; i++)
			if (fds[i].fd >= 0 && fds[i].revents)
				end_attempt(&attempts[i]);
	}
	for (size_t i = 0; i < to->count; i++)
		if (attempts[i].result == -EINPROGRESS)
			attempts[i].result = -ETIMEDOUT;
}

static const char *advise_connect(int result)
{
	static const struct {
		int result;
		const char *next;
	} rows[] = {
		{-ECONNREFUSED, "nothing listens there: is the endpoint running, on this port?"},
		{-ETIMEDOUT, "a firewall or security group drops it: allow it out of this host and "
			     "into the endpoint"},
		{-ENETUNREACH, "this host has no route to it: 'ip route get' shows why"},
		{-EHOSTUNREACH, "that machine is not there, or a firewall refuses it"},
		{-EACCES, "a rule on this host forbids it (nftables, SELinux)"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].result == result)
			return rows[i].next;
	return "'ip addr' and 'ip route' show what this host's network can reach";
}

void doctor_tcp(struct doctor *doctor)
{
	if (doctor->proxy.uri) {
		doctor_say(doctor, DOCTOR_SKIPPED, NULL, "the proxy connects");
		return;
	}
	struct attempt attempts[DOCTOR_ADDRESSES_MAX];
	const struct doctor_addresses *to = &doctor->addresses;
	connect_all(to, attempts, doctor_until_us(doctor, TCP_MS));
	size_t good = 0;
	for (size_t i = 0; i < to->count; i++)
		good += attempts[i].result == 0;
	for (size_t i = 0; i < to->count; i++) {
		int r = attempts[i].result;
		if (r == 0)
			doctor_say(doctor, DOCTOR_OK, NULL, "%s port %s: connected in %.1f ms",
				   to->list[i].text, doctor->port,
				   (double)attempts[i].took_us / 1000);
		else
			doctor_say(doctor, good ? DOCTOR_WARNING : DOCTOR_FAILED, advise_connect(r),
				   "%s port %s: %s", to->list[i].text, doctor->port, strerror(-r));
		if (r == 0 && doctor->fd < 0)
			doctor->fd = TAKE_FD(attempts[i].fd);
		fs_close_quiet(attempts[i].fd);
	}
}
