// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/metrics.h"

#include "agent/daemon/amazon.h"
#include "agent/daemon/commands.h"
#include "agent/daemon/exposition.h"
#include "agent/daemon/poll.h"
#include "agent/daemon/renew.h"
#include "agent/daemon/report.h"
#include "agent/daemon/tally.h"
#include "agent/ipc.h"
#include "agent/state.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/digest.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/log.h"
#include "common/str.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define TALLY_FILE "metrics.json"
#define TALLY_MAX ((size_t)256 * 1024)
/* Of the answer as JSON: newlines and quotes take two bytes there. */
#define TEXT_MAX (IPC_PACKET_MAX * 3 / 4)
#define FILE_EVERY_US ((uint64_t)15 * 1000000)
#define OUTCOMES (OUTCOME_REFUSED + 1)

struct metrics {
	struct daemon *daemon;
	uint64_t polls[OUTCOMES], downloads[2], download_bytes;
	struct tally tally;
	bool loaded;               /* tally, from its file */
	uint64_t kept, kept_bytes; /* revisions */
	sd_event_source *timer;
	bool due;                       /* the timer runs */
	uint64_t written_us;            /* monotonic: the file, last */
	char digest[DIGEST_SHA256_HEX]; /* of what is in it */
	char problem[512];              /* why it is not written; "" */
};

struct metrics *metrics_new(struct daemon *daemon)
{
	struct metrics *metrics = xcalloc(1, sizeof(*metrics));
	metrics->daemon = daemon;
	return metrics;
}

void metrics_free(struct metrics *metrics)
{
	if (!metrics)
		return;
	sd_event_source_disable_unref(metrics->timer);
	tally_clear(&metrics->tally);
	free(metrics);
}

/* What is on disk */

static void load_tally(struct metrics *metrics)
{
	auto_json json_t *obj = NULL;
	struct error err = {0};
	int r = json_read_file(metrics->daemon->agent_dirfd, TALLY_FILE, TALLY_MAX, &obj, &err);
	if (r == 0)
		r = tally_from_json(obj, &metrics->tally, &err);
	if (r < 0 && r != -ENOENT)
		log_warning(TALLY_FILE ": %s; counting begins with the history that is there",
			    err.text);
	metrics->loaded = true;
}

static void count_kept(struct metrics *metrics)
{
	struct state **list = NULL;
	size_t count = 0;
	struct error err = {0};
	metrics->kept = metrics->kept_bytes = 0;
	if (state_load_all(&metrics->daemon->paths, &list, &count, &err) < 0)
		log_debug("metrics: %s", err.text);
	for (size_t i = 0; i < count; i++) {
		metrics->kept += list[i]->n_revisions;
		for (size_t k = 0; k < list[i]->n_revisions; k++)
			metrics->kept_bytes += list[i]->revisions[k].bytes;
	}
	state_list_free(list, count);
}

/* The history is the truth and the count is made from it, so a count that cannot be saved is only
 * made again. */
static void catch_up(struct metrics *metrics)
{
	struct daemon *daemon = metrics->daemon;
	struct error err = {0};
	bool first = !metrics->loaded;
	if (first)
		load_tally(metrics);
	auto_close int host_fd = open(daemon->paths.host, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = host_fd < 0 ? 0 : tally_read(&metrics->tally, host_fd, &err);
	if (first || r > 0)
		count_kept(metrics);
	if (r > 0) {
		auto_json json_t *obj = tally_to_json(&metrics->tally);
		r = json_write_file_max(daemon->agent_dirfd, TALLY_FILE, obj, TALLY_MAX, 0600,
					&err);
	}
	if (r < 0)
		log_debug("metrics: %s", err.text);
}

/* The text */

static void one(struct exposition *e, const char *name, const char *kind, const char *help,
		double value)
{
	exposition_family(e, name, kind, help);
	exposition_sample(e, "", NULL, value);
}

static void when(struct exposition *e, const char *name, const char *help, int64_t unix_s)
{
	if (unix_s)
		one(e, name, "gauge", help, (double)unix_s);
}

static void add_daemon(const struct metrics *metrics, struct exposition *e)
{
	const struct daemon *daemon = metrics->daemon;
	const char *const version[] = {"version", VERSION, NULL};
	exposition_family(e, "slipway_build", "info", "The agent.");
	exposition_sample(e, "_info", version, 1);
	when(e, "slipway_start_time_seconds",
	     "When the daemon started; counters of polls and "
	     "downloads begin then.",
	     daemon->started_s);
	one(e, "slipway_joined", "gauge", "Whether this host has an endpoint, or AWS.",
	    daemon->service != NULL);
	one(e, "slipway_commands_in_work", "gauge", "Commands of the endpoint that are in work.",
	    (double)commands_count(daemon->commands));
	one(e, "slipway_results_waiting", "gauge", "Results that the endpoint has not taken yet.",
	    (double)report_waiting(daemon->report));
}

static void add_endpoint(const struct metrics *metrics, struct exposition *e)
{
	static const char *const names[OUTCOMES] = {
		[OUTCOME_OK] = "ok",         [OUTCOME_UNREACHABLE] = "unreachable",
		[OUTCOME_BROKEN] = "broken", [OUTCOME_THROTTLED] = "throttled",
		[OUTCOME_DENIED] = "denied", [OUTCOME_REFUSED] = "refused",
	};
	const struct daemon *daemon = metrics->daemon;
	const struct health *health = poll_health(daemon->poll);
	exposition_family(e, "slipway_endpoint_state", "gauge",
			  "1 for the state that the endpoint is in.");
	for (int i = HEALTH_CONNECTING; i <= HEALTH_REFUSED; i++) {
		const char *name = health_state_to_string((enum health_state)i);
		exposition_sample(e, "", (const char *const[]){"state", name, NULL},
				  daemon->service && (int)health->state == i);
	}
	when(e, "slipway_last_poll_timestamp_seconds", "When a poll was last answered well.",
	     health->last_ok_s);
	exposition_family(e, "slipway_polls", "counter", "Polls that have ended, by outcome.");
	for (size_t i = 0; i < OUTCOMES; i++)
		exposition_sample(e, "", (const char *const[]){"outcome", names[i], NULL},
				  (double)metrics->polls[i]);
	when(e, "slipway_certificate_expiry_timestamp_seconds",
	     "When this host's certificate expires.", renew_expires_s(daemon->renew));
	if (!amazon_is_on(daemon->amazon))
		return;
	auto_json json_t *aws = amazon_to_json(daemon->amazon);
	when(e, "slipway_credentials_expiry_timestamp_seconds",
	     "When this host's credentials at AWS expire; they are renewed before.",
	     json_integer_value(json_object_get(aws, "credentials_expire")));
}

static void add_downloads(const struct metrics *metrics, struct exposition *e)
{
	exposition_family(e, "slipway_downloads", "counter", "Bundles that were downloaded.");
	exposition_sample(e, "", (const char *const[]){"result", "succeeded", NULL},
			  (double)metrics->downloads[1]);
	exposition_sample(e, "", (const char *const[]){"result", "failed", NULL},
			  (double)metrics->downloads[0]);
	one(e, "slipway_downloaded_bytes", "counter", "Bytes of bundles that were downloaded.",
	    (double)metrics->download_bytes);
}

static void add_deployments(const struct metrics *metrics, struct exposition *e)
{
	exposition_family(e, "slipway_deployments", "counter",
			  "Deployments that have ended, by group and result.");
	for (size_t i = 0; i < metrics->tally.n_groups; i++) {
		const struct tally_group *g = &metrics->tally.groups[i];
		for (size_t k = 0; k < TALLY_RESULTS; k++) {
			const char *const labels[] = {"group", g->name, "result",
						      tally_result_names[k], NULL};
			/* also at 0: else the first one is no increase */
			exposition_sample(e, "", labels, (double)g->deployments[k]);
		}
	}
}

static void add_event(const struct tally_event *event, struct exposition *e)
{
	const char *const labels[] = {"event", event->name, NULL};
	uint64_t count = 0;
	for (size_t i = 0; i <= TALLY_BUCKETS; i++) {
		char bound[32] = "+Inf";
		if (i < TALLY_BUCKETS)
			snprintf(bound, sizeof(bound), "%.1f", tally_buckets_s[i]);
		const char *const bucket[] = {"event", event->name, "le", bound, NULL};
		count += event->counts[i];
		exposition_sample(e, "_bucket", bucket, (double)count);
	}
	exposition_sample(e, "_sum", labels, event->sum_s);
	exposition_sample(e, "_count", labels, (double)count);
}

static void add_disk(const struct metrics *metrics, struct exposition *e)
{
	const struct paths *paths = &metrics->daemon->paths;
	struct statvfs fs;
	one(e, "slipway_kept_revisions", "gauge", "Revisions that are kept on disk.",
	    (double)metrics->kept);
	one(e, "slipway_kept_bytes", "gauge",
	    "What the revisions take that are kept in the deployment root.",
	    (double)metrics->kept_bytes);
	if (statvfs(paths->host, &fs) < 0)
		return;
	one(e, "slipway_filesystem_free_bytes", "gauge",
	    "Room on the file system of the host's records, which is the deployment root's unless "
	    "root_dir says otherwise.",
	    (double)((uint64_t)fs.f_bavail * fs.f_frsize >> 20 << 20));
}

int metrics_text(struct metrics *metrics, bool openmetrics, char **ret, struct error *err)
{
	catch_up(metrics);
	struct exposition e = {.text = BUF_INIT(TEXT_MAX), .openmetrics = openmetrics};
	add_daemon(metrics, &e);
	add_endpoint(metrics, &e);
	add_downloads(metrics, &e);
	add_disk(metrics, &e);
	add_deployments(metrics, &e);
	exposition_family(&e, "slipway_event_duration_seconds", "histogram",
			  "How long lifecycle events took.");
	for (size_t i = 0; i < metrics->tally.n_events; i++)
		add_event(&metrics->tally.events[i], &e);
	exposition_end(&e);
	int r = buf_check(&e.text, "metrics", err);
	if (r == 0)
		*ret = xstrdup(buf_str(&e.text));
	buf_clear(&e.text);
	return r;
}

/* The file */

/* Not synced: after a power cut it is written anew anyway, and a disk need not turn for it. */
static int replace(const char *path, const char *text, struct error *err)
{
	auto_free char *beside = xasprintf("%s.new", path);
	auto_close int fd =
		open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0 || fchmod(fd, 0644) < 0)
		return error_errno(err, "make '%s'", beside);
	int r = fs_write_all(fd, text, strlen(text));
	if (r < 0)
		return error_set(err, r, "write '%s': %s", beside, strerror(-r));
	return rename(beside, path) < 0 ? error_errno(err, "replace '%s'", path) : 0;
}

static int write_file(struct metrics *metrics, struct error *err)
{
	auto_free char *text = NULL;
	char digest[DIGEST_SHA256_HEX];
	int r = metrics_text(metrics, false, &text, err);
	if (r < 0)
		return r;
	digest_sha256_hex(text, strlen(text), digest);
	if (str_eq(digest, metrics->digest))
		return 0;
	r = replace(metrics->daemon->settings.metrics_file, text, err);
	if (r == 0)
		memcpy(metrics->digest, digest, sizeof(digest));
	return r;
}

static void write_now(struct metrics *metrics)
{
	struct error err = {0};
	metrics->written_us = clock_mono_us();
	int r = write_file(metrics, &err);
	if (r < 0 && !str_eq(metrics->problem, err.text))
		log_warning("metrics_file cannot be written: %s", err.text);
	snprintf(metrics->problem, sizeof(metrics->problem), "%s", r < 0 ? err.text : "");
}

static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	struct metrics *metrics = arg;
	metrics->due = false;
	if (metrics->daemon->settings.metrics_file)
		write_now(metrics);
	return 0;
}

/* An idle host's polls are a minute apart: its file is written when it is awake for them. */
void metrics_touch(struct metrics *metrics)
{
	struct daemon *daemon = metrics->daemon;
	struct error err = {0};
	if (!daemon->settings.metrics_file || metrics->due)
		return;
	uint64_t passed_us = clock_mono_us() - metrics->written_us;
	if (!metrics->written_us || passed_us >= FILE_EVERY_US) {
		write_now(metrics);
		return;
	}
	uint64_t ms = (FILE_EVERY_US - passed_us) / 1000 + 1;
	if (loop_timer(&daemon->loop, &metrics->timer, ms, 1000, on_timer, metrics, &err) < 0)
		log_debug("%s", err.text);
	else
		metrics->due = true;
}

void metrics_reload(struct metrics *metrics)
{
	loop_timer_off(metrics->timer);
	metrics->due = false;
	metrics->written_us = 0;
	*metrics->digest = *metrics->problem = '\0';
	metrics_touch(metrics);
}

void metrics_polled(struct metrics *metrics, enum outcome outcome)
{
	metrics->polls[outcome]++;
	metrics_touch(metrics);
}

void metrics_downloaded(struct metrics *metrics, bool ok, uint64_t bytes)
{
	metrics->downloads[ok]++;
	metrics->download_bytes += bytes;
	metrics_touch(metrics);
}
