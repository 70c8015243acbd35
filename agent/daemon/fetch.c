// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/fetch.h"

#include "agent/daemon/backoff.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/log.h"
#include "common/room.h"
#include "common/str.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

enum {
	ATTEMPTS_MAX = 10,         /* in a row without progress: about five minutes */
	PROGRESS_BYTES = 64 * 1024 /* so much more makes the next attempt a first one again */
};

struct fetch {
	struct loop *loop;
	struct service *service;
	char *url, *type, *etag;
	int fd;
	int64_t size_bytes;
	uint64_t max_bytes;
	uint64_t have_bytes; /* on disk, good so far */
	struct backoff backoff;
	unsigned attempts; /* failed in a row */
	struct http_call *call;
	sd_event_source *timer;
	fetch_done_fn *done;
	void *arg;
};

char *fetch_s3_url(const char *endpoint, const char *bucket, const char *key, const char *version)
{
	auto_free char *b = str_uri_encode(bucket, strlen(bucket), false);
	auto_free char *k = str_uri_encode(key, strlen(key), true);
	if (str_empty(version))
		return xasprintf("%s/%s/%s", endpoint, b, k);
	auto_free char *v = str_uri_encode(version, strlen(version), false);
	return xasprintf("%s/%s/%s?versionId=%s", endpoint, b, k, v);
}

/* Fill url, type and etag from an S3 revision. */
static int from_s3(struct fetch *fetch, const json_t *revision, struct error *err)
{
	json_t *s3 = NULL;
	const char *bucket = NULL, *key = NULL, *type = NULL, *version = NULL, *etag = NULL;
	int r = json_need_obj(revision, "S3Revision", &s3, err);
	if (r == 0)
		r = json_need_str(s3, "Bucket", &bucket, err);
	if (r == 0)
		r = json_need_str(s3, "Key", &key, err);
	if (r == 0)
		r = json_need_str(s3, "BundleType", &type, err);
	if (r == 0)
		r = json_opt_str(s3, "Version", &version, err);
	if (r == 0)
		r = json_opt_str(s3, "ETag", &etag, err);
	if (r < 0)
		return error_prefix(err, r, "revision");
	fetch->url = fetch_s3_url(service_endpoint(fetch->service), bucket, key, version);
	fetch->type = xstrdup(type);
	fetch->etag = str_empty(etag) ? NULL : xstrdup(etag);
	return 0;
}

/* Where each type of revision comes from. */
static const struct {
	const char *type;
	int (*prepare)(struct fetch *fetch, const json_t *revision, struct error *err);
} sources[] = {
	{"S3", from_s3},
};

static int find_source(struct fetch *fetch, const json_t *revision, struct error *err)
{
	const char *type = NULL;
	int r = json_need_str(revision, "RevisionType", &type, err);
	if (r < 0)
		return error_prefix(err, r, "revision");
	for (size_t i = 0; i < ARRAY_LEN(sources); i++)
		if (str_eq(sources[i].type, type))
			return sources[i].prepare(fetch, revision, err);
	return error_set(err, ERR_INPUT,
			 "revisions of the type '%.40s' cannot be fetched by this agent; push the "
			 "bundle to the endpoint's store and deploy it from there (type 'S3')",
			 type);
}

/* A file that nobody can open and that is gone with us. */
static int open_nameless(int dirfd, struct error *err)
{
	int fd = openat(dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0)
		return fd;
	char name[40] = "download-";
	str_random(name + strlen(name), 20);
	fd = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		error_errno(err, "make a file for the download");
		return room_advise(dirfd, err);
	}
	fs_unlink_quiet(dirfd, name);
	return fd;
}

static void fetch_free(struct fetch *fetch)
{
	if (!fetch)
		return;
	if (fetch->call)
		http_cancel(fetch->call);
	sd_event_source_disable_unref(fetch->timer);
	fs_close_quiet(fetch->fd);
	free(fetch->url);
	free(fetch->type);
	free(fetch->etag);
	free(fetch);
}
DEFINE_CLEANUP(struct fetch *, fetch_free)
#define auto_fetch CLEANUP(fetch_free_at)

void fetch_cancel(struct fetch *fetch)
{
	fetch_free(fetch);
}

static void end(struct fetch *fetch, const struct error *error)
{
	auto_fetch struct fetch *gone = fetch;
	fetch->done(error ? -1 : TAKE_FD(fetch->fd), fetch->type, error, fetch->arg);
}

static int attempt(struct fetch *fetch, struct error *err);

static int on_retry(sd_event_source *source, uint64_t usec, void *arg)
{
	struct fetch *fetch = arg;
	struct error err = {0};
	if (attempt(fetch, &err) < 0)
		end(fetch, &err);
	return 0;
}

static void retry_later(struct fetch *fetch, enum outcome outcome, const struct error *why)
{
	if (++fetch->attempts >= ATTEMPTS_MAX) {
		end(fetch, why);
		return;
	}
	uint64_t ms = backoff_next_ms(&fetch->backoff, outcome, backoff_random());
	log_info("download of '%s' stopped at %" PRIu64 " bytes: %s; goes on in %.1f s", fetch->url,
		 fetch->have_bytes, why->text, (double)ms / 1000);
	struct error err = {0};
	if (loop_timer(fetch->loop, &fetch->timer, ms, ms / 10, on_retry, fetch, &err) < 0)
		end(fetch, &err);
}

static uint64_t file_size(int fd)
{
	struct stat st;
	return fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static enum outcome judge(struct fetch *fetch, const struct http_response *response,
			  struct error *err)
{
	enum outcome outcome = service_judge_download(response, err);
	if (outcome != OUTCOME_OK)
		return outcome;
	if (fetch->size_bytes >= 0 && fetch->have_bytes != (uint64_t)fetch->size_bytes) {
		error_set(err, ERR_NETWORK, "%" PRIu64 " of %" PRId64 " bytes came",
			  fetch->have_bytes, fetch->size_bytes);
		return OUTCOME_BROKEN;
	}
	return OUTCOME_OK;
}

/* Failures that another attempt cannot mend: our own disk, a ceiling, a certificate, a clear no. */
static bool is_final(enum outcome outcome, int code)
{
	if (outcome == OUTCOME_REFUSED || outcome == OUTCOME_DENIED)
		return true;
	return code == ERR_LIMIT || code == ERR_TRUST || (code < 0 && code > -1000);
}

static void on_done(struct http_call *call, struct http_response *response, void *arg)
{
	struct fetch *fetch = arg;
	fetch->call = NULL;
	uint64_t before = fetch->have_bytes;
	fetch->have_bytes = file_size(fetch->fd);
	if (fetch->have_bytes >= before + PROGRESS_BYTES) {
		backoff_reset(&fetch->backoff);
		fetch->attempts = 0;
	}
	struct error err = {0};
	enum outcome outcome = judge(fetch, response, &err);
	/* What cannot be continued is begun again: a part that is too long, or past the end. */
	if (outcome != OUTCOME_OK &&
	    (response->status == 416 ||
	     (fetch->size_bytes >= 0 && fetch->have_bytes >= (uint64_t)fetch->size_bytes))) {
		fetch->have_bytes = 0;
		outcome = OUTCOME_BROKEN;
		if (ftruncate(fetch->fd, 0) < 0)
			error_errno(&err, "empty the download");
	}
	if (outcome == OUTCOME_OK)
		end(fetch, NULL);
	else if (is_final(outcome, err.code))
		end(fetch, &err);
	else
		retry_later(fetch, outcome, &err);
}

/* 0 would be "no ceiling". */
static uint64_t ceiling(const struct fetch *fetch)
{
	if (fetch->size_bytes < 0)
		return fetch->max_bytes;
	return fetch->size_bytes ? (uint64_t)fetch->size_bytes : 1;
}

/* Of a size that is not known beforehand the answer's length is checked, when it comes. */
static int check_room(const struct fetch *fetch, struct error *err)
{
	struct room need = {.bytes = 0};
	if (fetch->size_bytes > 0 && (uint64_t)fetch->size_bytes > fetch->have_bytes)
		need.bytes = (uint64_t)fetch->size_bytes - fetch->have_bytes;
	int r = room_check(fetch->fd, &need, err);
	return r < 0 ? error_prefix(err, room_advise(fetch->fd, err), "download the bundle") : 0;
}

static int attempt(struct fetch *fetch, struct error *err)
{
	int r = check_room(fetch, err);
	if (r < 0)
		return r;
	const struct http_header only_if_same[] = {{"If-Range", fetch->etag}};
	const struct http_request request = {
		.method = "GET",
		.url = fetch->url,
		.headers = only_if_same,
		.n_headers = fetch->etag && fetch->have_bytes ? 1 : 0,
		.sink_fd = fetch->fd,
		.sink_max = ceiling(fetch),
		.sink_offset = fetch->have_bytes,
	};
	return http_start(service_http(fetch->service), &request, on_done, fetch, &fetch->call,
			  err);
}

static int check_size(const struct fetch *fetch, struct error *err)
{
	if (fetch->max_bytes == 0 || fetch->size_bytes < 0 ||
	    (uint64_t)fetch->size_bytes <= fetch->max_bytes)
		return 0;
	return error_set(err, ERR_LIMIT,
			 "the bundle has %" PRId64 " bytes, bundle_max_bytes allows %" PRIu64,
			 fetch->size_bytes, fetch->max_bytes);
}

int fetch_start(struct loop *loop, struct service *service, const struct fetch_order *order,
		fetch_done_fn *done, void *arg, struct fetch **ret, struct error *err)
{
	auto_fetch struct fetch *fetch = xcalloc(1, sizeof(*fetch));
	*fetch = (struct fetch){
		.loop = loop,
		.service = service,
		.fd = -1,
		.size_bytes = order->size_bytes,
		.max_bytes = order->max_bytes,
		.done = done,
		.arg = arg,
	};
	int r = find_source(fetch, order->revision, err);
	if (r == 0)
		r = check_size(fetch, err);
	if (r < 0)
		return r;
	fetch->fd = open_nameless(order->downloads_dirfd, err);
	if (fetch->fd < 0)
		return fetch->fd;
	r = attempt(fetch, err);
	if (r < 0)
		return r;
	*ret = TAKE(fetch);
	return 0;
}
