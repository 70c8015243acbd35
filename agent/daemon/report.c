// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/report.h"

#include "agent/daemon/commands.h"
#include "agent/daemon/names.h"
#include "agent/daemon/orphans.h"
#include "agent/daemon/poll.h"
#include "agent/daemon/queue.h"
#include "agent/messages.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/log.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

enum {
	SENDING_MAX = 4,
	OWN_RESULTS_KEPT_S = 7 * 86400, /* after they were reported; then nobody asks any more */
};

struct report {
	struct daemon *daemon;
	char *host_results; /* path; workers make it */
	int host_dirfd;     /* -1 as long as it is not there */
	int own_dirfd, reported_dirfd;
	sd_event_source *watch, *timer;
	struct queue queue;
	struct backoff backoff; /* of the endpoint as a whole */
	uint64_t hold_us;       /* nothing is sent before; monotonic */
};

/* One completion on its way. */
struct sending {
	struct report *report;
	struct service_call *call;
	char name[40];
};

int report_new(struct daemon *daemon, struct report **ret, struct error *err)
{
	struct report *report = xcalloc(1, sizeof(*report));
	*report = (struct report){
		.daemon = daemon,
		.host_results = xasprintf("%s/results", daemon->paths.host),
		.host_dirfd = -1,
		.own_dirfd = -1,
		.reported_dirfd = -1,
	};
	*ret = report; /* freed by the daemon, whether this succeeds or not */
	report->own_dirfd = daemon_open_dir(daemon, "results", err);
	if (report->own_dirfd < 0)
		return report->own_dirfd;
	report->reported_dirfd = daemon_open_dir(daemon, "reported", err);
	return report->reported_dirfd < 0 ? report->reported_dirfd : 0;
}

static void sending_free(struct sending *sending)
{
	if (!sending)
		return;
	service_cancel(sending->call);
	free(sending);
}

void report_free(struct report *report)
{
	if (!report)
		return;
	for (size_t i = 0; i < report->queue.count; i++)
		sending_free(report->queue.items[i]->arg);
	queue_clear(&report->queue);
	sd_event_source_disable_unref(report->watch);
	sd_event_source_disable_unref(report->timer);
	fs_close_quiet(report->host_dirfd);
	fs_close_quiet(report->own_dirfd);
	fs_close_quiet(report->reported_dirfd);
	free(report->host_results);
	free(report);
}

size_t report_waiting(const struct report *report)
{
	return report->queue.count;
}

/* The directories */

static bool exists(int dirfd, const char *name)
{
	return dirfd >= 0 && faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void watch(struct report *report);

/* Where the result of that name is; a worker's stands before ours. -1: nowhere. */
static int dirfd_of(struct report *report, const char *name)
{
	watch(report);
	if (exists(report->host_dirfd, name))
		return report->host_dirfd;
	return exists(report->own_dirfd, name) ? report->own_dirfd : -1;
}

bool report_has_result(struct report *report, const char *name)
{
	return dirfd_of(report, name) >= 0;
}

/* A mark is a hint: when it is lost the result is sent again, and the endpoint keeps the first. */
static void mark(struct report *report, const char *name)
{
	int fd = openat(report->reported_dirfd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		log_warning("agent/reported/%s cannot be made: %s", name, strerror(errno));
	else
		fs_close_quiet(fd);
}

static void unmark_lost(struct report *report)
{
	auto_names struct names marks = {0};
	struct error err = {0};
	if (names_list(report->reported_dirfd, &marks, &err) < 0)
		log_warning("agent/reported: %s", err.text);
	for (size_t i = 0; i < marks.count; i++)
		if (!report_has_result(report, marks.list[i].name))
			fs_unlink_quiet(report->reported_dirfd, marks.list[i].name);
}

static void send_due(struct report *report);

static void add(struct report *report, int dirfd, const char *name)
{
	if (queue_find(&report->queue, name))
		return;
	struct error err = {0};
	auto_result struct result *result = NULL;
	int r = result_read(dirfd, name, &result, &err);
	if (r < 0) {
		/* Seen while it is written, or removed again: another event comes. */
		log_debug("result %s: %s", name, err.text);
		return;
	}
	orphans_note(report->daemon->orphans, result);
	commands_result_seen(report->daemon->commands, name);
	struct stat st;
	if (exists(report->reported_dirfd, name) ||
	    fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	queue_add(&report->queue, name, result->deployment_id,
		  (uint64_t)st.st_mtim.tv_sec * 1000000000 + (uint64_t)st.st_mtim.tv_nsec);
}

void report_note(struct report *report, const char *name)
{
	int dirfd = dirfd_of(report, name);
	if (dirfd >= 0)
		add(report, dirfd, name);
	send_due(report);
	daemon_show_status(report->daemon);
}

static int on_change(sd_event_source *source, const struct inotify_event *event, void *arg)
{
	struct report *report = arg;
	if (event->mask & IN_Q_OVERFLOW)
		report_scan(report);
	if (event->mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF)) {
		/* The directory itself is gone; a worker makes it again. */
		report->watch = sd_event_source_disable_unref(report->watch);
		fs_close_quiet(TAKE_FD(report->host_dirfd));
		return 0;
	}
	if (!event->len || !result_is_name(event->name))
		return 0;
	if (event->mask & (IN_DELETE | IN_MOVED_FROM))
		fs_unlink_quiet(report->reported_dirfd, event->name);
	else
		report_note(report, event->name);
	return 0;
}

static void watch(struct report *report)
{
	if (report->watch)
		return;
	if (report->host_dirfd < 0)
		report->host_dirfd = open(report->host_results, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (report->host_dirfd < 0) {
		if (errno != ENOENT)
			log_error("'%s' cannot be read: %s", report->host_results, strerror(errno));
		return;
	}
	int r = sd_event_add_inotify(
		report->daemon->loop.event, &report->watch, report->host_results,
		IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE | IN_MOVED_FROM |
			IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR,
		on_change, report);
	if (r < 0)
		log_warning("'%s' cannot be watched: %s", report->host_results, strerror(-r));
}

static void scan_dir(struct report *report, int dirfd)
{
	auto_names struct names names = {0};
	struct error err = {0};
	if (dirfd < 0)
		return;
	if (names_list(dirfd, &names, &err) < 0)
		log_error("results: %s", err.text);
	for (size_t i = 0; i < names.count; i++)
		add(report, dirfd, names.list[i].name);
}

static void forget_old_own(struct report *report)
{
	auto_names struct names names = {0};
	uint64_t oldest_ns = (uint64_t)(clock_wall_s() - OWN_RESULTS_KEPT_S) * 1000000000;
	struct error err = {0};
	if (names_list(report->own_dirfd, &names, &err) < 0)
		return;
	for (size_t i = 0; i < names.count && names.list[i].changed_ns < oldest_ns; i++)
		if (exists(report->reported_dirfd, names.list[i].name))
			fs_unlink_quiet(report->own_dirfd, names.list[i].name);
}

void report_scan(struct report *report)
{
	watch(report);
	forget_old_own(report);
	scan_dir(report, report->host_dirfd);
	scan_dir(report, report->own_dirfd);
	unmark_lost(report);
	send_due(report);
	daemon_show_status(report->daemon);
}

void report_resend(struct report *report, const char *name)
{
	fs_unlink_quiet(report->reported_dirfd, name);
	report_note(report, name);
}

void report_expect_known(struct report *report, const char *name)
{
	mark(report, name);
}

int report_write_own(struct report *report, const struct result *result, struct error *err)
{
	char name[40];
	result_name(result->command_id, name);
	if (report_has_result(report, name))
		return error_set(err, -EEXIST, "the command has its result already");
	int r = result_write(report->own_dirfd, result, err);
	if (r == 0)
		report_note(report, name);
	return r;
}

/* Sending */

static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	send_due(arg);
	return 0;
}

/* "Denied" is about us when polls are denied as well; else about this result: one for a command
 * that the endpoint never gave, of a time when somebody else was in the daemon's place. */
static bool is_about_one(const struct report *report, enum outcome outcome)
{
	return outcome == OUTCOME_BROKEN ||
	       (outcome == OUTCOME_DENIED &&
		poll_health(report->daemon->poll)->state != HEALTH_REFUSED);
}

/* What failed for this result alone holds up its deployment; what failed for the endpoint as a
 * whole holds up everything. */
static void put_off(struct report *report, struct queue_item *item, const struct answer *answer)
{
	uint64_t now_us = clock_mono_us();
	if (item->backoff.failures == 0)
		log_warning("a result of deployment '%s' is not taken yet: %s; it is kept and sent "
			    "again",
			    item->deployment, answer->error.text);
	item->due_us =
		now_us + 1000 * backoff_next_ms(&item->backoff, answer->outcome, backoff_random());
	if (!is_about_one(report, answer->outcome))
		report->hold_us = now_us + 1000 * backoff_next_ms(&report->backoff, answer->outcome,
								  backoff_random());
}

static void settle(struct report *report, struct queue_item *item, const struct answer *answer)
{
	if (answer->outcome == OUTCOME_REFUSED)
		log_event(LOG_WARNING, MESSAGE_RESULT_REFUSED,
			  (const char *const[]){"DEPLOYMENT_ID", item->deployment, NULL},
			  "the endpoint refuses a result of deployment '%s' for good: %s",
			  item->deployment, answer->error.text);
	else if (item->backoff.failures)
		log_notice("a result of deployment '%s' is taken after %u attempts",
			   item->deployment, item->backoff.failures + 1);
	backoff_reset(&report->backoff);
	report->hold_us = 0;
	mark(report, item->name);
	queue_remove(&report->queue, item->name);
}

static void on_answer(const struct answer *answer, void *arg)
{
	struct sending *sending = arg;
	struct report *report = sending->report;
	struct queue_item *item = queue_find(&report->queue, sending->name);
	sending->call = NULL;
	sending_free(sending);
	item->arg = NULL;
	item->sending = false;
	/* Any success will do: there is nothing to read in the answer. */
	bool taken = answer->status >= 200 && answer->status < 300;
	if (taken || answer->outcome == OUTCOME_OK || answer->outcome == OUTCOME_REFUSED)
		settle(report, item, answer);
	else
		put_off(report, item, answer);
	send_due(report);
	daemon_results_sent(report->daemon);
}

static int start_sending(struct report *report, struct queue_item *item,
			 const struct result *result, struct error *err)
{
	auto_json json_t *input =
		json_pack("{s:s, s:{s:s, s:s}, s:s}", "CommandStatus",
			  wire_status_to_string(result->status), "Diagnostics", "Format", "JSON",
			  "Payload", result->payload, "HostCommandIdentifier", result->command_id);
	if (!input)
		return error_set(err, ERR_FORMAT, "it holds bytes that are not UTF-8");
	struct sending *sending = xcalloc(1, sizeof(*sending));
	sending->report = report;
	memcpy(sending->name, item->name, sizeof(sending->name));
	const struct service_request request = {.operation = "PutHostCommandComplete",
						.input = input};
	int r = service_start(report->daemon->service, &request, on_answer, sending, &sending->call,
			      err);
	if (r < 0) {
		sending_free(sending);
		return r;
	}
	item->arg = sending;
	item->sending = true;
	return 0;
}

static void send_one(struct report *report, struct queue_item *item)
{
	struct answer failure = {.outcome = OUTCOME_BROKEN};
	auto_result struct result *result = NULL;
	int dirfd = dirfd_of(report, item->name);
	if (dirfd < 0) {
		queue_remove(&report->queue, item->name);
		return;
	}
	int r = result_read(dirfd, item->name, &result, &failure.error);
	if (r == 0)
		r = start_sending(report, item, result, &failure.error);
	if (r < 0)
		put_off(report, item, &failure);
}

static void send_due(struct report *report)
{
	struct daemon *daemon = report->daemon;
	uint64_t now_us = clock_mono_us(), due_us = report->hold_us;
	if (!daemon->service || !daemon->running)
		return;
	if (report->hold_us <= now_us) {
		struct queue_item *item;
		due_us = UINT64_MAX;
		while (queue_sending(&report->queue) < SENDING_MAX &&
		       (item = queue_next(&report->queue, now_us, &due_us)))
			send_one(report, item);
	}
	if (report->queue.count == 0 || due_us == UINT64_MAX)
		return;
	uint64_t ms = due_us > now_us ? (due_us - now_us) / 1000 + 1 : 1;
	struct error err = {0};
	if (loop_timer(&daemon->loop, &report->timer, ms, ms / 10, on_timer, report, &err) < 0)
		log_error("results are sent only when the next one comes: %s", err.text);
}

void report_stop(struct report *report)
{
	for (size_t i = 0; i < report->queue.count; i++) {
		sending_free(TAKE(report->queue.items[i]->arg));
		report->queue.items[i]->sending = false;
	}
}

void report_kick(struct report *report)
{
	if (report->queue.count == 0)
		return;
	report->hold_us = 0;
	queue_hurry(&report->queue);
	send_due(report);
}
