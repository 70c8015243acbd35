// SPDX-License-Identifier: Apache-2.0
#include "agent/ipc.h"

#include "common/alloc.h"
#include "common/fs.h"
#include "common/json.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>

int ipc_address(const char *run, const char *name, struct sockaddr_un *ret, int *ret_dirfd,
		struct error *err)
{
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	*ret_dirfd = -1;
	int n = snprintf(ret->sun_path, sizeof(ret->sun_path), "%s/%s", run, name);
	if (n >= 0 && (size_t)n < sizeof(ret->sun_path))
		return sizeof(*ret);

	int dirfd = open(run, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return error_errno(err, "open '%s'", run);
	n = snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%s", dirfd, name);
	if (n < 0 || (size_t)n >= sizeof(ret->sun_path)) {
		fs_close_quiet(dirfd);
		return error_set(err, -ENAMETOOLONG, "the socket name '%s' is too long", name);
	}
	*ret_dirfd = dirfd;
	return sizeof(*ret);
}

static int connect_daemon(const struct paths *paths, uint64_t timeout_ms, struct error *err)
{
	struct sockaddr_un address;
	auto_close int dirfd = -1;
	int len = ipc_address(paths->agent_run, IPC_SOCKET_NAME, &address, &dirfd, err);
	if (len == -ENOENT)
		return error_set(err, -ENOENT, "slipwayd is not running");
	if (len < 0)
		return len;
	auto_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_errno(err, "make a socket");
	struct timeval limit = {.tv_sec = (time_t)(timeout_ms / 1000),
				.tv_usec = (suseconds_t)(timeout_ms % 1000 * 1000)};
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
		return error_errno(err, "set the socket's time limit");
	if (connect(fd, (struct sockaddr *)&address, (socklen_t)len) == 0)
		return TAKE_FD(fd);
	if (errno == ENOENT || errno == ECONNREFUSED)
		return error_set(err, -errno, "slipwayd is not running");
	return error_errno(err, "connect to '%s/" IPC_SOCKET_NAME "'", paths->agent_run);
}

/* The daemon closes in silence only when it is stopped or has too many callers. */
static int receive(int fd, json_t **ret, struct error *err)
{
	auto_free char *packet = xcalloc(1, IPC_PACKET_MAX);
	ssize_t n = recv(fd, packet, IPC_PACKET_MAX, 0);
	if (n < 0 && errno == EAGAIN)
		return error_set(err, -ETIMEDOUT, "slipwayd does not answer");
	if (n < 0)
		return error_errno(err, "read slipwayd's answer");
	if (n == 0)
		return error_set(err, -ECONNRESET, "slipwayd closed the connection; try again");
	int r = json_parse(packet, (size_t)n, IPC_PACKET_MAX, ret, err);
	return r < 0 ? error_prefix(err, r, "slipwayd's answer") : 0;
}

/* An answer that is an error becomes ours. */
static int check_error(const json_t *answer, struct error *err)
{
	json_t *error = NULL;
	int r = json_opt_obj(answer, "error", &error, err);
	if (r < 0 || !error)
		return r;
	const char *code = "unknown", *text = "slipwayd refuses";
	r = json_opt_str(error, "code", &code, err);
	if (r == 0)
		r = json_opt_str(error, "text", &text, err);
	return r < 0 ? r : error_set(err, error_from_name(code), "%s", text);
}

int ipc_call(const struct paths *paths, const json_t *request, uint64_t timeout_ms, json_t **ret,
	     struct error *err)
{
	auto_close int fd = connect_daemon(paths, timeout_ms, err);
	if (fd < 0)
		return fd;
	auto_free char *text = json_text(request);
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		return error_errno(err, "ask slipwayd");
	auto_json json_t *answer = NULL;
	int r = receive(fd, &answer, err);
	if (r < 0)
		return r;
	r = check_error(answer, err);
	if (r < 0)
		return r;
	*ret = TAKE(answer);
	return 0;
}
