// SPDX-License-Identifier: Apache-2.0
/* A worker is a stranger to its caller from the first moment: own session, nothing inherited but
 * stderr and the socket as descriptor 3. So the caller may be stopped or killed at any time. */
#include "agent/launch.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/proc.h"
#include "common/str.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKER_NAME "slipway-worker"

/* Where it lies beside the running program: in a build tree, for a program below it (tests), and in
 * an installation that was moved as a whole. */
static const char *const beside[] = {"", "../../", "../libexec/slipway/"};

static char *find_beside(const char *name)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n <= 0)
		return NULL;
	self[n] = '\0';
	char *slash = strrchr(self, '/');
	if (!slash)
		return NULL;
	*slash = '\0';
	for (size_t i = 0; i < ARRAY_LEN(beside); i++) {
		auto_free char *path = xasprintf("%s/%s%s", self, beside[i], name);
		if (access(path, X_OK) == 0)
			return TAKE(path);
	}
	return NULL;
}

char *launch_program(const char *name)
{
	const char *folder = getenv("SLIPWAY_LIBEXEC");
	if (!str_empty(folder))
		return fs_join(folder, name);
	char *found = find_beside(name);
	return found ? found : fs_join(LIBEXECDIR, name);
}

static char *find_worker(void)
{
	const char *named = getenv("SLIPWAY_WORKER");
	return named && *named ? xstrdup(named) : launch_program(WORKER_NAME);
}

/* Returns the connected descriptor, -ENOENT when nobody listens there. */
static int connect_activated(const char *run_dir, struct error *err)
{
	auto_free char *path = fs_join(run_dir, "worker.sock");
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(addr.sun_path))
		return error_set(err, -ENAMETOOLONG, "'%s' is too long for a socket path", path);
	memcpy(addr.sun_path, path, strlen(path));
	auto_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_errno(err, "make a socket");
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		return error_errno(err, "connect to the worker at '%s'", path);
	return TAKE_FD(fd);
}

/* The command line alone, without the agent, is installed on a pipeline's machine. */
static int check_installed(const char *program, struct error *err)
{
	if (access(program, F_OK) == 0 || errno != ENOENT)
		return 0;
	return error_set(err, -ENOENT,
			 "'%s', which deploys on this machine, is not installed: install the "
			 "package slipway-agent",
			 program);
}

static pid_t spawn(const struct paths *paths, const char *program, int sock, struct error *err)
{
	auto_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return error_errno(err, "open /dev/null");
	const char *const plain[] = {WORKER_NAME, NULL};
	const char *const rooted[] = {WORKER_NAME, "--root", paths->root, NULL};
	const struct proc_spec spec = {
		.path = program,
		.argv = *paths->root ? rooted : plain,
		.stdin_fd = -1,
		.stdout_fd = null,
		.stderr_fd = -1,
		.fds = &sock,
		.n_fds = 1,
		.new_session = true,
	};
	pid_t pid = proc_start(&spec, err);
	if (pid < 0)
		return error_prefix(err, pid, "start '%s'", program);
	return pid;
}

/* A worker of our own, with the socket as descriptor 3. */
int launch_start_own(const struct paths *paths, struct launch *ret, struct error *err)
{
	auto_free char *program = find_worker();
	int r = check_installed(program, err);
	if (r < 0)
		return r;
	if (!*paths->root && geteuid() != 0)
		return error_set(err, -ECONNREFUSED,
				 "no worker can be reached at '%s/worker.sock': start it as root "
				 "('systemctl start slipway-worker.socket')",
				 paths->run);
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(err, "make a socket pair");
	auto_close int ours = pair[0];
	auto_close int theirs = pair[1];
	pid_t pid = spawn(paths, program, theirs, err);
	if (pid < 0)
		return pid;
	*ret = (struct launch){.fd = TAKE_FD(ours), .pid = pid};
	return 0;
}

int launch_start(const struct paths *paths, struct launch *ret, struct error *err)
{
	if (*paths->root)
		return launch_start_own(paths, ret, err);
	int fd = connect_activated(paths->run, err);
	if (fd == -ENOENT || fd == -ECONNREFUSED)
		return launch_start_own(paths, ret, err);
	if (fd < 0)
		return fd;
	*ret = (struct launch){.fd = fd};
	return 0;
}

void launch_clear(struct launch *launch)
{
	if (launch->fd >= 0)
		close(launch->fd);
	if (launch->pid > 0)
		waitpid(launch->pid, NULL, WNOHANG);
	*launch = (struct launch){.fd = -1};
}

int launch_send(int sock, const json_t *message, int fd, struct error *err)
{
	auto_free char *text = json_text(message);
	size_t len = strlen(text);
	if (len > LAUNCH_PACKET_MAX)
		return error_set(err, -EMSGSIZE, "a message of %zu bytes is too long", len);
	struct iovec part = {.iov_base = text, .iov_len = len};
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1};
	if (fd >= 0) {
		msg.msg_control = control.room;
		msg.msg_controllen = sizeof(control.room);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	ssize_t n;
	do
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? error_errno(err, "send to the other side") : 0;
}

/* The first descriptor that came along; more than one is none of ours and closed. */
static int take_descriptor(struct msghdr *msg)
{
	int kept = -1;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (kept < 0)
				kept = fd;
			else
				close(fd);
		}
	}
	return kept;
}

int launch_receive(int sock, json_t **ret, int *ret_fd, struct error *err)
{
	auto_free char *text = xcalloc(1, LAUNCH_PACKET_MAX + 1);
	struct iovec part = {.iov_base = text, .iov_len = LAUNCH_PACKET_MAX};
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(4 * sizeof(int))];
	} control;
	struct msghdr msg = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.room,
		.msg_controllen = sizeof(control.room),
	};
	ssize_t n;
	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == ECONNRESET)
		return 0;
	if (n < 0)
		return error_errno(err, "receive from the other side");
	auto_close int fd = take_descriptor(&msg);
	if (n == 0)
		return 0;
	if (msg.msg_flags & MSG_TRUNC)
		return error_set(err, -EMSGSIZE, "a message is longer than %d bytes",
				 LAUNCH_PACKET_MAX);
	int r = json_parse(text, (size_t)n, LAUNCH_PACKET_MAX, ret, err);
	if (r < 0)
		return error_prefix(err, r, "message from the other side");
	if (ret_fd)
		*ret_fd = TAKE_FD(fd);
	return 1;
}
