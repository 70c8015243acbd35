// SPDX-License-Identifier: Apache-2.0
/* Wiring. Start: settings, lock, local socket, readiness, recovery (on the loop); then what was in
 * work goes on and polling begins. Not enrolled, all of that but the polling happens. Readiness
 * does not wait for recovery: that may run scripts, and an upgrade restarts us and waits. */
#include "agent/daemon/daemon.h"

#include "agent/daemon/amazon.h"
#include "agent/daemon/commands.h"
#include "agent/daemon/exposure.h"
#include "agent/daemon/ipc-server.h"
#include "agent/daemon/metrics.h"
#include "agent/daemon/orphans.h"
#include "agent/daemon/poll.h"
#include "agent/daemon/recovery.h"
#include "agent/daemon/renew.h"
#include "agent/daemon/report.h"
#include "agent/daemon/tool-files.h"
#include "agent/messages.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/proc.h"
#include "common/str.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

int daemon_open_dir(struct daemon *daemon, const char *name, struct error *err)
{
	int fd = fs_mkdirs(daemon->agent_dirfd, name, 0700, err);
	return fd < 0 ? error_prefix(err, fd, "'%s/%s'", daemon->paths.agent, name) : fd;
}

/* Status */

static char *describe(const struct daemon *daemon)
{
	if (!daemon->running)
		return xstrdup("recovering what was interrupted");
	if (!daemon->service && amazon_is_on(daemon->amazon))
		return xasprintf("waiting for AWS: %s", *amazon_problem(daemon->amazon)
								? amazon_problem(daemon->amazon)
								: "asking who this host is");
	if (!daemon->service)
		return xstrdup("not enrolled: run 'slipway enroll'");
	const struct health *health = poll_health(daemon->poll);
	auto_free char *work = NULL;
	size_t commands = commands_count(daemon->commands);
	size_t results = report_waiting(daemon->report);
	if (commands || results)
		work = xasprintf("; %zu commands in work, %zu results to report", commands,
				 results);
	bool bad = health->state > HEALTH_REACHABLE;
	return xasprintf("endpoint '%s' is %s%s%s%s%s", service_endpoint(daemon->service),
			 health_state_to_string(health->state), bad ? " (" : "",
			 bad ? health->error.text : "", bad ? ")" : "", work ? work : "");
}

void daemon_show_status(struct daemon *daemon)
{
	auto_free char *text = describe(daemon);
	if (str_eq(text, daemon->status))
		return;
	loop_status("%s", text);
	free(daemon->status);
	daemon->status = TAKE(text);
}

/* Idle memory is a promise: what specifications and TLS took goes back, once all is quiet. */

enum { QUIET_MS = 1000 };

static int on_quiet(sd_event_source *source, uint64_t usec, void *arg)
{
	malloc_trim(0);
	return 0;
}

static void trim_when_quiet(struct daemon *daemon)
{
	struct error err = {0};
	if (commands_count(daemon->commands) || report_waiting(daemon->report))
		return;
	if (loop_timer(&daemon->loop, &daemon->quiet, QUIET_MS, QUIET_MS, on_quiet, daemon, &err) <
	    0)
		log_debug("%s", err.text);
}

/* What the modules tell each other through here */

void daemon_results_sent(struct daemon *daemon)
{
	metrics_touch(daemon->metrics);
	trim_when_quiet(daemon);
	daemon_show_status(daemon);
}

void daemon_work_changed(struct daemon *daemon)
{
	if (!daemon->running)
		return;
	commands_schedule(daemon->commands);
	metrics_touch(daemon->metrics);
	poll_go_on(daemon->poll);
	trim_when_quiet(daemon);
	daemon_show_status(daemon);
}

void daemon_endpoint_answers(struct daemon *daemon, bool again)
{
	if (again) {
		commands_kick(daemon->commands);
		report_kick(daemon->report);
	}
	orphans_heard(daemon->orphans);
	renew_check(daemon->renew);
	daemon_show_status(daemon);
}

static void begin(struct daemon *daemon)
{
	daemon->running = true;
	if (!daemon->service && !amazon_is_on(daemon->amazon))
		log_event(LOG_NOTICE, MESSAGE_NOT_ENROLLED, NULL,
			  "this host is not enrolled: run 'slipway enroll'; waiting for that");
	commands_resume(daemon->commands);
	daemon_show_status(daemon);
}

void daemon_recovered(struct daemon *daemon)
{
	if (!daemon->running)
		begin(daemon);
	else
		commands_kick(daemon->commands);
	report_scan(daemon->report);
	daemon_work_changed(daemon);
}

/* Identity and settings */

static bool same_endpoint(const struct daemon *daemon, const struct identity *identity)
{
	const struct identity *old = daemon->identity;
	return old && identity && str_eq(old->endpoint, identity->endpoint) &&
	       str_eq(old->host_identifier, identity->host_identifier);
}

void daemon_leave(struct daemon *daemon)
{
	if (daemon->service) {
		log_notice("this host has left '%s'", service_endpoint(daemon->service));
		poll_reset(daemon->poll);
		commands_stop(daemon->commands);
		report_stop(daemon->report);
		service_free(TAKE(daemon->service));
	}
	identity_free(TAKE(daemon->identity));
}

int daemon_join(struct daemon *daemon, struct identity *identity, struct aws_provider *aws,
		struct error *err)
{
	identity_free(daemon->identity);
	daemon->identity = identity;
	renew_load(daemon->renew);
	int r = service_new(&daemon->loop, &daemon->settings, identity, aws, &daemon->service, err);
	if (r < 0)
		return r;
	log_info("this host is '%s' at '%s'", identity->name, service_endpoint(daemon->service));
	if (!daemon->running)
		return 0;
	report_kick(daemon->report);
	daemon_work_changed(daemon);
	return 0;
}

/* Not enrolled: AWS, where root has said so. */
static void use_aws(struct daemon *daemon)
{
	if (daemon->settings.aws) {
		amazon_begin(daemon->amazon);
		return;
	}
	daemon_leave(daemon);
	amazon_end(daemon->amazon);
}

static int load_identity(struct daemon *daemon, struct error *err)
{
	auto_identity struct identity *identity = NULL;
	int r = identity_load(&daemon->paths, &identity, err);
	if (r < 0 && r != -ENOENT)
		return r;
	if (!identity) {
		use_aws(daemon);
		return 0;
	}
	if (daemon->settings.aws)
		log_warning("agent.yml says 'aws: true', but this host is enrolled at '%s', which "
			    "counts: run 'slipway unenroll' to have AWS",
			    identity->endpoint);
	bool same = !amazon_is_on(daemon->amazon) && same_endpoint(daemon, identity);
	if (!same)
		daemon_leave(daemon);
	amazon_end(daemon->amazon);
	if (!same || !daemon->service)
		return daemon_join(daemon, TAKE(identity), NULL, err);
	identity_free(daemon->identity);
	daemon->identity = TAKE(identity);
	renew_load(daemon->renew);
	service_reload(daemon->service);
	/* it is not exchanged under requests that run */
	if (!service_is_made_of(daemon->service, &daemon->settings, daemon->identity))
		log_warning("deploy_control_endpoint, ca_file and proxies take effect when "
			    "slipwayd starts again");
	return 0;
}

static int load_settings(struct daemon *daemon, struct error *err)
{
	struct settings fresh = {0};
	int r = settings_load(&fresh, &daemon->paths, err);
	if (r < 0)
		return r;
	settings_clear(&daemon->settings);
	daemon->settings = fresh;
	log_set_level(fresh.verbose || daemon->verbose ? LOG_DEBUG : LOG_INFO);
	proc_allow_core_dumps(!fresh.disable_core_dumps);
	daemon->tool_files = tool_files_open(&daemon->settings, daemon->tool_files);
	return 0;
}

int daemon_reload(struct daemon *daemon, struct error *err)
{
	int r = load_settings(daemon, err);
	if (r == 0)
		r = load_identity(daemon, err);
	if (r < 0)
		return r;
	exposure_warn(&daemon->paths, &daemon->settings, daemon->identity);
	log_info("settings and identity were read again");
	report_kick(daemon->report);
	metrics_reload(daemon->metrics);
	daemon_work_changed(daemon);
	return 0;
}

static void on_reload(void *arg)
{
	struct error err = {0};
	if (daemon_reload(arg, &err) < 0)
		log_error("nothing is changed: %s", err.text);
}

/* Start and end */

/* One thread, few and short-lived large allocations: give memory back, and keep libcurl's resolver
 * thread from having a heap of its own. */
static void tune_memory(void)
{
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_TRIM_THRESHOLD, 64 * 1024);
	mallopt(M_MMAP_THRESHOLD, 64 * 1024);
}

static int open_agent_dir(struct daemon *daemon, struct error *err)
{
	int r = fs_mkdirs_path(daemon->paths.agent, 0700, err);
	if (r < 0)
		return r;
	daemon->agent_dirfd = open(daemon->paths.agent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (daemon->agent_dirfd < 0)
		return error_errno(err, "open '%s'", daemon->paths.agent);
	daemon->lock_fd = fs_lock(daemon->agent_dirfd, "daemon.lock", 0, err);
	if (daemon->lock_fd == ERR_BUSY)
		return error_set(err, ERR_BUSY, "another slipwayd runs with '%s'",
				 daemon->paths.agent);
	return daemon->lock_fd < 0 ? daemon->lock_fd : 0;
}

static int start(struct daemon *daemon, const struct daemon_options *options, struct error *err)
{
	int r = paths_init(&daemon->paths, options->root, err);
	if (r == 0)
		r = settings_load(&daemon->settings, &daemon->paths, err);
	if (r < 0)
		return r;
	log_set_level(options->verbose || daemon->settings.verbose ? LOG_DEBUG : LOG_INFO);
	r = loop_init(&daemon->loop, err);
	if (r == 0)
		r = open_agent_dir(daemon, err);
	if (r < 0)
		return r;
	proc_allow_core_dumps(!daemon->settings.disable_core_dumps);
	daemon->tool_files = tool_files_open(&daemon->settings, NULL);
	daemon->loop.on_reload = on_reload;
	daemon->loop.arg = daemon;
	daemon->recovery = recovery_new(daemon);
	daemon->orphans = orphans_new(daemon);
	daemon->poll = poll_new(daemon);
	daemon->renew = renew_new(daemon);
	daemon->metrics = metrics_new(daemon);
	daemon->amazon = amazon_new(daemon);
	r = commands_new(daemon, &daemon->commands, err);
	if (r == 0)
		r = report_new(daemon, &daemon->report, err);
	if (r == 0)
		r = load_identity(daemon, err);
	if (r == 0)
		r = ipc_new(daemon, &daemon->ipc, err);
	if (r < 0)
		return r;
	exposure_warn(&daemon->paths, &daemon->settings, daemon->identity);
	daemon_show_status(daemon);
	loop_ready();
	recovery_run(daemon->recovery);
	return 0;
}

static void clear(struct daemon *daemon)
{
	ipc_free(daemon->ipc);
	renew_free(daemon->renew);
	metrics_free(daemon->metrics);
	poll_free(daemon->poll);
	commands_free(daemon->commands);
	report_free(daemon->report);
	orphans_free(daemon->orphans);
	recovery_free(daemon->recovery);
	service_free(daemon->service);
	amazon_free(daemon->amazon);
	identity_free(daemon->identity);
	sd_event_source_disable_unref(daemon->quiet);
	loop_clear(&daemon->loop);
	tool_files_free(daemon->tool_files);
	fs_close_quiet(daemon->lock_fd);
	fs_close_quiet(daemon->agent_dirfd);
	settings_clear(&daemon->settings);
	paths_clear(&daemon->paths);
	free(daemon->status);
}

int daemon_main(const struct daemon_options *options, struct error *err)
{
	tune_memory();
	struct daemon daemon = {
		.agent_dirfd = -1,
		.lock_fd = -1,
		.verbose = options->verbose,
		.started_s = clock_wall_s(),
	};
	int r = start(&daemon, options, err);
	if (r == 0)
		r = loop_run(&daemon.loop, err);
	clear(&daemon);
	return r;
}
