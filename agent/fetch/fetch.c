// SPDX-License-Identifier: Apache-2.0
/*   attempt -> (credentials) -> request -> answer: bytes go to the sink -> end
 *      ^                                     |
 *      +---- at once: elsewhere, other region, new credentials
 *      +---- later: network, an error of theirs, throttled
 *
 * "have" bytes are in the sink. An attempt asks for what follows them when the first answer had a
 * validator; an answer with everything (200) empties the sink first. */
#include "agent/fetch/fetch.h"

#include "agent/aws/partition.h"
#include "agent/aws/trust.h"
#include "agent/fetch/answer.h"
#include "agent/fetch/sign.h"
#include "agent/fetch/sink.h"
#include "agent/proxies.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/room.h"
#include "common/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum {
	ATTEMPTS_MAX = 10,          /* in a row without progress: about five minutes */
	PROGRESS_BYTES = 64 * 1024, /* so much more makes the next attempt a first one again */
	BROKEN_MS = 100, /* a connection that brought something may simply be made again */
	DETOURS_MAX = 8, /* at once, in a row: redirects, regions, credentials */
	HEADERS = FETCH_SIGNED_HEADERS + 4,
	DEADLINE_S = 3600, /* for all of it: as long as AWS waits for an event */
};

struct fetch {
	struct loop *loop;
	struct fetch_source source;
	struct fetch_handler handler;
	/* whom to ask */
	struct http_client *http, *own_http; /* own_http: to be freed */
	struct aws_provider *aws;
	struct aws_wait *wait;
	char *url, *first_url; /* first_url: before it was redirected */
	char *api;             /* of GitHub, without a '/' at its end */
	unsigned detours;
	/* S3 */
	char *region, *key_id;
	int64_t signed_s; /* the last request, with that key */
	char *override;   /* URL of another S3 than AWS's; NULL: none */
	struct partition_options partition;
	char *suffix; /* partition's, owned */
	bool path_style, region_told;
	/* what has come */
	struct fetch_sink sink;
	int64_t size_bytes; /* that the revision has; -1: unknown */
	int64_t total;      /* that the server has; -1: unknown */
	uint64_t max_bytes; /* 0: no ceiling */
	char *validator, *etag;
	bool opaque;
	bool begun;    /* this attempt's answer */
	bool whole;    /* nothing more will come, but the sink is not done */
	uint64_t most; /* bytes that were ever there at the end of an attempt */
	bool advanced; /* this attempt got further than all before it */
	/* when to ask again */
	unsigned attempts; /* failed in a row */
	struct http_call *call;
	sd_event_source *timer, *deadline;
};

static void fetch_free(struct fetch *fetch)
{
	if (!fetch)
		return;
	if (fetch->call)
		http_cancel(fetch->call);
	aws_wait_cancel(fetch->wait);
	sd_event_source_disable_unref(fetch->timer);
	sd_event_source_disable_unref(fetch->deadline);
	fetch_sink_clear(&fetch->sink);
	http_client_free(fetch->own_http);
	fetch_source_clear(&fetch->source);
	char *const texts[] = {fetch->url,      fetch->first_url, fetch->region,
			       fetch->key_id,   fetch->api,       fetch->suffix,
			       fetch->override, fetch->etag,      fetch->validator};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		free(texts[i]);
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
	struct error named;
	if (error && error->code != -EPIPE) {
		error_set(&named, error->code, "%s: %s", fetch->source.name, error->text);
		error = &named;
	}
	struct fetch_end what = {
		.fd = -1,
		.type = fetch->source.type,
		.bytes = fetch->sink.bytes,
		.etag = fetch->etag,
		.etag_is_opaque = fetch->opaque,
		.error = error,
	};
	if (fetch->sink.pipe)
		fetch_sink_clear(&fetch->sink); /* its end is seen before it is told of */
	else if (!error)
		what.fd = TAKE_FD(fetch->sink.fd);
	fetch->handler.done(&what, fetch->handler.arg);
}

static int attempt(struct fetch *fetch, struct error *err);

static void attempt_or_end(struct fetch *fetch)
{
	struct error err = {0};
	if (attempt(fetch, &err) < 0)
		end(fetch, &err);
}

/* Later */

static int on_retry(sd_event_source *source, uint64_t usec, void *arg)
{
	attempt_or_end(arg);
	return 0;
}

static uint64_t pause_ms(unsigned attempts, bool throttled)
{
	static const unsigned steps_s[] = {1, 2, 4, 8, 16, 30, 60, 90};
	unsigned step = attempts - 1 + (throttled ? 4 : 0), last = ARRAY_LEN(steps_s) - 1;
	uint64_t ms = steps_s[step < last ? step : last] * UINT64_C(1000);
	uint32_t random = UINT32_MAX / 2;
	ssize_t n UNUSED = getrandom(&random, sizeof(random), GRND_NONBLOCK);
	return ms - ms / 4 + ms / 2 * random / UINT32_MAX;
}

static void retry_later(struct fetch *fetch, bool throttled, uint64_t wait_ms,
			const struct error *why)
{
	if (++fetch->attempts >= ATTEMPTS_MAX) {
		end(fetch, why);
		return;
	}
	uint64_t ms = fetch->advanced ? BROKEN_MS : pause_ms(fetch->attempts, throttled);
	if (wait_ms > ms)
		ms = wait_ms;
	if (fetch->handler.pause)
		fetch->handler.pause(why, ms, fetch->handler.arg);
	else
		log_info("download of '%s' stopped at %" PRIu64 " bytes: %s; goes on in %.1f s",
			 fetch->source.name, fetch->sink.bytes, why->text, (double)ms / 1000);
	fetch->detours = 0;
	struct error err = {0};
	if (loop_timer(fetch->loop, &fetch->timer, ms, ms / 10, on_retry, fetch, &err) < 0)
		end(fetch, &err);
}

/* The answer */

/* Nothing of what came counts any more. */
static int begin_again(struct fetch *fetch, struct error *err)
{
	free(TAKE(fetch->validator));
	if (fetch->sink.bytes == 0)
		return 0;
	if (!fetch->sink.pipe)
		return fetch_sink_empty(&fetch->sink, err);
	int fd;
	int r = fetch_sink_pipe(&fetch->sink, &fd, err);
	if (r == 0)
		fetch->handler.again(fd, fetch->handler.arg);
	return r;
}

static int over(const struct fetch *fetch, uint64_t bytes, struct error *err)
{
	if (fetch->size_bytes >= 0 && bytes > (uint64_t)fetch->size_bytes)
		return error_set(err, ERR_LIMIT,
				 "it has more than the %" PRId64 " bytes that the revision names",
				 fetch->size_bytes);
	if (fetch->max_bytes > 0 && bytes > fetch->max_bytes)
		return error_set(err, ERR_LIMIT,
				 "it has more bytes than bundle_max_bytes allows, %" PRIu64,
				 fetch->max_bytes);
	return 0;
}

static int check_room(const struct fetch *fetch, int64_t total, struct error *err)
{
	struct room need = {0};
	if (fetch->sink.pipe)
		return 0;
	if (total > 0 && (uint64_t)total > fetch->sink.bytes)
		need.bytes = (uint64_t)total - fetch->sink.bytes;
	int r = room_check(fetch->sink.fd, &need, err);
	return r < 0 ? error_prefix(err, room_advise(fetch->sink.fd, err), "download the bundle")
		     : 0;
}

static int check_etag(struct fetch *fetch, const char *etag, struct error *err)
{
	const char *wanted = fetch->source.etag;
	if (!wanted || !etag || fetch_same_etag(wanted, etag))
		return 0;
	return error_set(err, ERR_SIGNATURE,
			 "its ETag is %.80s, but the revision names %.80s: the object was replaced "
			 "since; make a new revision of it",
			 etag, wanted);
}

static int take_total(struct fetch *fetch, const struct http_response *head, struct error *err)
{
	fetch->total = fetch_total(head);
	if (fetch->total < 0)
		return 0;
	int r = over(fetch, (uint64_t)fetch->total, err);
	return r < 0 ? r : check_room(fetch, fetch->total, err);
}

/* It is another object than the one whose first bytes we have. */
static int begin_with(struct fetch *fetch, const struct http_response *head, struct error *err)
{
	int r = begin_again(fetch, err);
	if (r < 0)
		return r;
	const char *etag = http_header_get(head, "etag");
	free(fetch->etag);
	fetch->etag = xstrdup_null(etag);
	fetch->opaque = fetch_etag_is_opaque(head);
	fetch->validator = fetch_validator(head);
	return take_total(fetch, head, err);
}

/* Before an answer's first byte: 206 goes on where we are, 200 begins again. A server may give the
 * first part where everything was asked for: then that is what the rest has to fit to. */
static int begin_answer(struct fetch *fetch, const struct http_response *head, struct error *err)
{
	const char *etag = http_header_get(head, "etag");
	fetch->begun = true;
	int r = check_etag(fetch, etag, err);
	if (r < 0)
		return r;
	if (head->status == 200)
		return begin_with(fetch, head, err);
	bool same = !etag || !fetch->etag || fetch_same_etag(etag, fetch->etag);
	if (head->status == 206 && same && fetch_continues(head, fetch->sink.bytes, fetch->total)) {
		if (fetch->sink.bytes == 0)
			return begin_with(fetch, head, err);
		return fetch->total < 0 ? take_total(fetch, head, err) : 0;
	}
	free(TAKE(fetch->validator)); /* so the next attempt asks for everything */
	return error_set(err, ERR_NETWORK,
			 "the answer (HTTP %d) is not the part that was asked for", head->status);
}

static int on_body(const struct http_response *head, const void *data, size_t len, void *arg,
		   struct error *err)
{
	struct fetch *fetch = arg;
	int r = fetch->begun ? 0 : begin_answer(fetch, head, err);
	if (r == 0)
		r = over(fetch, fetch->sink.bytes + len, err);
	if (r == 0)
		r = fetch_sink_take(&fetch->sink, data, len, err);
	if (r == 0 && fetch->handler.progress)
		fetch->handler.progress(fetch->sink.bytes,
					fetch->total > 0 ? (uint64_t)fetch->total : 0,
					fetch->handler.arg);
	return r;
}

/* The answer ended well. */
static int check_whole(struct fetch *fetch, const struct http_response *response, struct error *err)
{
	int r = fetch->begun ? 0 : begin_answer(fetch, response, err);
	if (r < 0)
		return r;
	int64_t wanted = fetch->size_bytes >= 0 ? fetch->size_bytes : fetch->total;
	if (wanted < 0 || fetch->sink.bytes == (uint64_t)wanted)
		return 0;
	return error_set(err, ERR_NETWORK, "%" PRIu64 " of %" PRId64 " bytes came",
			 fetch->sink.bytes, wanted);
}

static bool is_all(const struct fetch *fetch)
{
	int64_t wanted = fetch->size_bytes >= 0 ? fetch->size_bytes : fetch->total;
	return fetch->begun && wanted >= 0 && fetch->sink.bytes == (uint64_t)wanted;
}

static void finish(struct fetch *fetch)
{
	if (fetch_sink_is_idle(&fetch->sink)) {
		end(fetch, NULL);
		return;
	}
	fetch->whole = true;
	loop_timer_off(fetch->deadline);
}

static void on_room(int code, void *arg)
{
	struct fetch *fetch = arg;
	if (code < 0) {
		struct error err = {0};
		error_set(&err, code, "hand the bundle on: %s", strerror(-code));
		end(fetch, &err);
	} else if (fetch->whole) {
		end(fetch, NULL);
	} else if (fetch->call) {
		http_resume(fetch->call);
	}
}

/* At once, but not for ever. */
static bool may_detour(struct fetch *fetch)
{
	return fetch->detours++ < DETOURS_MAX;
}

static bool go_elsewhere(struct fetch *fetch, const struct fetch_advice *advice)
{
	if (!may_detour(fetch))
		return false;
	auto_free char *host = NULL, *path = NULL, *query = NULL;
	fetch_url_split(fetch->url, &host, &path, &query);
	free(fetch->url);
	fetch->url = *advice->location == '/' ? xasprintf("https://%s%s", host, advice->location)
					      : xstrdup(advice->location);
	return true;
}

static int set_s3_url(struct fetch *fetch, struct error *err)
{
	auto_free char *host = NULL, *base = NULL;
	if (fetch->override) {
		base = xstrdup(fetch->override);
	} else {
		int r = partition_s3_host(fetch->region, &fetch->partition, &host, err);
		if (r < 0)
			return r;
		base = xasprintf("https://%s", host);
	}
	free(fetch->url);
	fetch->url = fetch_s3_url(&fetch->source, base, fetch->path_style);
	return 0;
}

/* Followed once: two regions that send to each other have no bundle for us. A host that is named by
 * the settings knows its region. */
static bool go_to_region(struct fetch *fetch, const struct fetch_advice *advice)
{
	if (fetch->override || fetch->region_told || str_eq(fetch->region, advice->region))
		return false;
	free(fetch->region);
	fetch->region = xstrdup(advice->region);
	fetch->region_told = true;
	return set_s3_url(fetch, NULL) == 0;
}

static bool renew_credentials(struct fetch *fetch)
{
	if (!fetch->aws || !fetch->key_id || !may_detour(fetch) || fetch->detours > 2)
		return false;
	aws_provider_refused(fetch->aws, fetch->key_id);
	return true;
}

static bool set_clock(struct fetch *fetch, const struct http_response *response)
{
	const char *date = http_header_get(response, "date");
	return fetch->aws && date && may_detour(fetch) &&
	       aws_provider_set_clock(fetch->aws, date, fetch->signed_s);
}

static bool detour(struct fetch *fetch, enum fetch_verdict verdict,
		   const struct http_response *response, const struct fetch_advice *advice)
{
	switch (verdict) {
	case FETCH_MOVED:
		return go_elsewhere(fetch, advice);
	case FETCH_REGION:
		return go_to_region(fetch, advice);
	case FETCH_EXPIRED:
		return renew_credentials(fetch);
	case FETCH_SKEWED:
		return set_clock(fetch, response);
	default:
		return false;
	}
}

/* A signed address that GitHub gave may have expired since: the next attempt asks GitHub. */
static void ask_first_address(struct fetch *fetch)
{
	if (!fetch->first_url)
		return;
	free(fetch->url);
	fetch->url = xstrdup(fetch->first_url);
}

static void failed(struct fetch *fetch, enum fetch_verdict verdict,
		   const struct fetch_advice *advice, struct error *err)
{
	bool redirected = fetch->first_url && !str_eq(fetch->url, fetch->first_url);
	bool again = verdict == FETCH_AGAIN || verdict == FETCH_THROTTLED ||
		     verdict == FETCH_RESTART || (redirected && err->code == ERR_DENIED);
	if (verdict == FETCH_RESTART) {
		int r = begin_again(fetch, err);
		if (r < 0)
			again = false;
	}
	if (!again) {
		end(fetch, err);
		return;
	}
	ask_first_address(fetch);
	retry_later(fetch, verdict == FETCH_THROTTLED, advice->wait_ms, err);
}

/* One that began again has to get further than those before it: else two ends that differ could
 * take turns for ever. */
static void note_progress(struct fetch *fetch)
{
	fetch->advanced = fetch->sink.bytes >= fetch->most + PROGRESS_BYTES;
	if (fetch->advanced)
		fetch->attempts = 0;
	if (fetch->sink.bytes > fetch->most)
		fetch->most = fetch->sink.bytes;
}

static void on_done(struct http_call *call, struct http_response *response, void *arg)
{
	struct fetch *fetch = arg;
	auto_fetch_advice struct fetch_advice advice = {0};
	struct error err = {0};
	fetch->call = NULL;
	note_progress(fetch);
	enum fetch_verdict verdict =
		fetch_judge(response, fetch->source.kind, clock_wall_s(), &advice, &err);
	if (verdict == FETCH_AGAIN && is_all(fetch)) {
		finish(fetch); /* it broke after the last byte */
		return;
	}
	if (verdict == FETCH_GOOD) {
		int r = check_whole(fetch, response, &err);
		if (r == 0) {
			finish(fetch);
			return;
		}
		verdict = r == ERR_NETWORK ? FETCH_AGAIN : FETCH_NO;
	}
	if (detour(fetch, verdict, response, &advice))
		attempt_or_end(fetch);
	else
		failed(fetch, verdict, &advice, &err);
}

/* The request */

static void add_header(struct http_request *request, struct http_header *headers, const char *name,
		       const char *value)
{
	headers[request->n_headers++] = (struct http_header){name, value};
}

/* A repository that was renamed stays one of the API's; the archive itself lies elsewhere, even
 * where that is the same host, and has a token of its own in its address. */
static bool is_of_api(const struct fetch *fetch)
{
	static const char *const places[] = {"/repos/", "/repositories/"};
	size_t len = strlen(fetch->api);
	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		if (strncmp(fetch->url, fetch->api, len) == 0 &&
		    str_starts(fetch->url + len, places[i]))
			return true;
	return false;
}

static int ask(struct fetch *fetch, const struct fetch_signature *signature, struct error *err)
{
	struct http_header headers[HEADERS];
	struct http_request request = {.method = "GET",
				       .url = fetch->url,
				       .headers = headers,
				       .on_body = on_body,
				       .arg = fetch};
	auto_free char *token = NULL, *range = NULL;
	for (unsigned i = 0; signature && i < signature->n_headers; i++)
		headers[request.n_headers++] = signature->headers[i];
	if (fetch->source.token && is_of_api(fetch)) {
		token = xasprintf("token %s", fetch->source.token);
		add_header(&request, headers, "Authorization", token);
	}
	if (fetch->sink.bytes > 0 && fetch->validator) {
		range = xasprintf("bytes=%" PRIu64 "-", fetch->sink.bytes);
		add_header(&request, headers, "Range", range);
		add_header(&request, headers, "If-Range", fetch->validator);
	}
	fetch->begun = false;
	int r = http_start(fetch->http, &request, on_done, fetch, &fetch->call, err);
	if (token)
		explicit_bzero(token, strlen(token));
	return r;
}

static int ask_signed(struct fetch *fetch, const struct aws_credentials *credentials,
		      struct error *err)
{
	struct fetch_signature signature;
	free(fetch->key_id);
	fetch->key_id = xstrdup(credentials->access_key_id);
	fetch->signed_s = aws_provider_now_s(fetch->aws);
	int r = fetch_sign(fetch->url, fetch->region, credentials, fetch->signed_s, &signature,
			   err);
	if (r < 0)
		return r;
	r = ask(fetch, &signature, err);
	fetch_signature_clear(&signature);
	return r;
}

/* Whose region it is, is known with the first credentials. */
static int ask_s3(struct fetch *fetch, const struct aws_credentials *credentials, struct error *err)
{
	const struct aws_identity *identity = aws_provider_identity(fetch->aws);
	if (!fetch->region && (!identity || !identity->region))
		return error_set(err, ERR_INPUT, "this host knows no region of AWS");
	if (!fetch->region) {
		fetch->region = xstrdup(identity->region);
		fetch->suffix = xstrdup_null(identity->suffix);
		fetch->partition.suffix = fetch->suffix;
	}
	int r = fetch->url ? 0 : set_s3_url(fetch, err);
	return r < 0 ? r : ask_signed(fetch, credentials, err);
}

static void on_credentials(const struct aws_credentials *credentials, const struct error *why,
			   void *arg)
{
	struct fetch *fetch = arg;
	struct error err = {0};
	fetch->wait = NULL;
	if (credentials) {
		if (ask_s3(fetch, credentials, &err) < 0)
			end(fetch, &err);
	} else if (why->code == ERR_NETWORK || why->code == ERR_THROTTLED) {
		retry_later(fetch, why->code == ERR_THROTTLED, 0, why);
	} else {
		end(fetch, why);
	}
}

static int attempt(struct fetch *fetch, struct error *err)
{
	fetch->advanced = false;
	int r = check_room(fetch, fetch->size_bytes, err);
	if (r < 0)
		return r;
	if (fetch->source.kind != FETCH_S3)
		return ask(fetch, NULL, err);
	fetch->wait = aws_provider_get(fetch->aws, on_credentials, fetch);
	return 0;
}

/* The start */

static int open_client(struct fetch *fetch, const struct settings *settings, struct error *err)
{
	static const enum proxies_use uses[] = {
		[FETCH_S3] = PROXIES_S3,
		[FETCH_GITHUB] = PROXIES_GITHUB,
		[FETCH_HTTPS] = PROXIES_S3,
	};
	struct http_options options = {0};
	auto_free char *trusted = NULL;
	int r = aws_trust(settings, &options, &trusted, err);
	if (r < 0)
		return r;
	proxies_set(settings, uses[fetch->source.kind], &options);
	r = http_client_new(fetch->loop, &options, &fetch->own_http, err);
	fetch->http = fetch->own_http;
	return r;
}

static int set_s3(struct fetch *fetch, const struct fetch_order *order, struct error *err)
{
	const struct settings *settings = order->settings;
	if (!order->aws)
		return error_set(err, ERR_INPUT,
				 "this host has no credentials for S3: it is neither enrolled nor "
				 "has it 'aws: true' in agent.yml");
	fetch->aws = order->aws;
	fetch->override = xstrdup_null(settings->s3_endpoint_override);
	fetch->path_style = settings->s3_path_style;
	fetch->partition = aws_options(settings, NULL); /* suffix: with the first credentials */
	return 0;
}

static int set_address(struct fetch *fetch, const struct fetch_order *order, struct error *err)
{
	struct fetch_source *source = &fetch->source;
	if (source->kind == FETCH_S3 && order->endpoint) {
		source->kind = FETCH_STORE;
		fetch->http = order->store;
		fetch->url = fetch_store_url(source, order->endpoint);
		return 0;
	}
	if (source->kind == FETCH_S3) {
		int r = set_s3(fetch, order, err);
		return r < 0 ? r : open_client(fetch, order->settings, err);
	}
	fetch->api = xstrdup(order->settings->github_api_url);
	for (size_t len = strlen(fetch->api); len > 0 && fetch->api[len - 1] == '/';)
		fetch->api[--len] = '\0';
	fetch->first_url = source->kind == FETCH_GITHUB ? fetch_github_url(source, fetch->api)
							: xstrdup(source->url);
	fetch->url = xstrdup(fetch->first_url);
	return open_client(fetch, order->settings, err);
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

static int on_deadline(sd_event_source *source, uint64_t usec, void *arg)
{
	struct fetch *fetch = arg;
	struct error err = {0};
	error_set(&err, ERR_NETWORK,
		  "not all of it came within an hour: %" PRIu64 " bytes are here",
		  fetch->sink.bytes);
	end(fetch, &err);
	return 0;
}

static int start(struct fetch *fetch, const struct fetch_order *order, int *ret_fd,
		 struct error *err)
{
	int r = set_address(fetch, order, err);
	if (r == 0)
		r = check_size(fetch, err);
	if (r < 0)
		return r;
	if (order->dirfd < 0)
		r = fetch_sink_pipe(&fetch->sink, ret_fd, err);
	else
		r = fetch_sink_file(&fetch->sink, order->dirfd, err);
	if (r == 0)
		r = loop_timer(fetch->loop, &fetch->deadline, DEADLINE_S * UINT64_C(1000), 1000,
			       on_deadline, fetch, err);
	return r < 0 ? r : attempt(fetch, err);
}

int fetch_start(struct loop *loop, struct fetch_source *source, const struct fetch_order *order,
		const struct fetch_handler *handler, struct fetch **ret, int *ret_fd,
		struct error *err)
{
	auto_fetch struct fetch *fetch = xcalloc(1, sizeof(*fetch));
	auto_close int reading = -1;
	*fetch = (struct fetch){
		.loop = loop,
		.source = *source,
		.handler = *handler,
		.size_bytes = order->size_bytes,
		.total = -1,
		.max_bytes = order->settings->bundle_max_bytes,
	};
	fetch->sink = (struct fetch_sink){.loop = loop, .fd = -1, .on_room = on_room, .arg = fetch};
	*source = (struct fetch_source){0};
	int r = start(fetch, order, &reading, err);
	if (r < 0)
		return r;
	if (ret_fd)
		*ret_fd = TAKE_FD(reading);
	*ret = TAKE(fetch);
	return 0;
}
