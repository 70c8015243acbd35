// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/renew.h"

#include "agent/daemon/backoff.h"
#include "agent/messages.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/pki.h"
#include "common/proc.h"
#include "common/str.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

enum {
	CERTIFICATE_MAX = 64 * 1024,
	TRY_AGAIN_S = 3600, /* after a failure; the last third of a life leaves time for many */
	HELPER_MAX_MS = 120000,
};

struct renew {
	struct daemon *daemon;
	int64_t expires_s, due_s;
	sd_event_source *child, *limit;
	int stderr_fd; /* what the helper said */
	char problem[512];
};

int64_t renew_time(int64_t not_before_s, int64_t not_after_s)
{
	return not_before_s + (not_after_s - not_before_s) / 3 * 2;
}

struct renew *renew_new(struct daemon *daemon)
{
	struct renew *renew = xcalloc(1, sizeof(*renew));
	renew->daemon = daemon;
	renew->stderr_fd = -1;
	return renew;
}

void renew_free(struct renew *renew)
{
	if (!renew)
		return;
	sd_event_source_disable_unref(renew->child);
	sd_event_source_disable_unref(renew->limit);
	fs_close_quiet(renew->stderr_fd);
	free(renew);
}

int64_t renew_expires_s(const struct renew *renew)
{
	return renew->expires_s;
}

int64_t renew_due_s(const struct renew *renew)
{
	return renew->due_s;
}

const char *renew_problem(const struct renew *renew)
{
	return renew->problem;
}

static int read_certificate(const char *file, X509 **ret, struct error *err)
{
	auto_free char *pem = NULL;
	int r = fs_read_file(AT_FDCWD, file, CERTIFICATE_MAX, &pem, NULL, err);
	return r < 0 ? r : pki_cert_from_pem(pem, ret, err);
}

void renew_load(struct renew *renew)
{
	renew->expires_s = renew->due_s = 0;
	if (!renew->daemon->identity || !renew->daemon->identity->cert_file)
		return; /* AWS knows us by signatures */
	auto_x509 X509 *certificate = NULL;
	struct error err = {0};
	if (read_certificate(renew->daemon->identity->cert_file, &certificate, &err) < 0) {
		log_error("%s: %s", renew->daemon->identity->cert_file, err.text);
		return;
	}
	renew->expires_s = pki_cert_not_after(certificate);
	renew->due_s = renew_time(pki_cert_not_before(certificate), renew->expires_s);
}

/* Say it when it is new. */
static void failed(struct renew *renew, const char *why)
{
	if (!str_eq(renew->problem, why))
		log_event(LOG_WARNING, MESSAGE_CERTIFICATE_NOT_RENEWED, NULL,
			  "the certificate could not be renewed: %s; trying again every hour", why);
	snprintf(renew->problem, sizeof(renew->problem), "%s", why);
	renew->due_s = clock_wall_s() + TRY_AGAIN_S;
}

static void succeeded(struct renew *renew)
{
	struct error err = {0};
	*renew->problem = '\0';
	int64_t before_s = renew->expires_s;
	if (daemon_reload(renew->daemon, &err) < 0) {
		failed(renew, err.text);
		return;
	}
	if (renew->expires_s == before_s) {
		failed(renew, "there is no new certificate");
		return;
	}
	char date[CLOCK_ISO_LEN];
	log_event(LOG_NOTICE, MESSAGE_CERTIFICATE_RENEWED, NULL,
		  "the certificate was renewed, it expires at %s",
		  clock_format_iso(renew->expires_s, date));
}

static int on_limit(sd_event_source *source, uint64_t usec, void *arg)
{
	struct renew *renew = arg;
	pid_t pid = 0;
	if (sd_event_source_get_child_pid(renew->child, &pid) >= 0 && pid > 0)
		kill(pid, SIGKILL);
	return 0;
}

static int on_helper_end(sd_event_source *source, const siginfo_t *info, void *arg)
{
	struct renew *renew = arg;
	char text[400] = "";
	ssize_t n = read(renew->stderr_fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	fs_close_quiet(TAKE_FD(renew->stderr_fd));
	renew->child = sd_event_source_disable_unref(renew->child);
	loop_timer_off(renew->limit);
	if (info->si_code == CLD_EXITED && info->si_status == 0)
		succeeded(renew);
	else
		failed(renew, *text ? text : "the helper ended too early");
	return 0;
}

static int start_helper(struct renew *renew, struct error *err)
{
	struct daemon *daemon = renew->daemon;
	int ends[2];
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return error_errno(err, "make a pipe");
	auto_close int reader = ends[0], writer = ends[1];
	const char *const argv[] = {"slipwayd", "--renew", "--root", daemon->paths.root, NULL};
	const struct proc_spec spec = {
		.path = "/proc/self/exe",
		.argv = argv,
		.stdin_fd = -1,
		.stdout_fd = writer,
		.stderr_fd = writer,
	};
	pid_t pid = proc_start(&spec, err);
	if (pid < 0)
		return (int)pid;
	int r = sd_event_add_child(daemon->loop.event, &renew->child, pid, WEXITED, on_helper_end,
				   renew);
	if (r < 0)
		return error_set(err, r, "wait for the helper: %s", strerror(-r));
	renew->stderr_fd = TAKE_FD(reader);
	return loop_timer(&daemon->loop, &renew->limit, HELPER_MAX_MS, 1000, on_limit, renew, err);
}

void renew_check(struct renew *renew)
{
	if (renew->child || !renew->due_s || clock_wall_s() < renew->due_s)
		return;
	struct error err = {0};
	if (start_helper(renew, &err) < 0)
		failed(renew, err.text);
}

int renew_main(const char *root, struct error *err)
{
	auto_paths struct paths paths = {0};
	int r = paths_init(&paths, root, err);
	if (r < 0)
		return r;
	auto_identity struct identity *identity = NULL;
	r = identity_load(&paths, &identity, err);
	return r < 0 ? r : identity_renew(&paths, identity, err);
}
