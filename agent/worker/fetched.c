// SPDX-License-Identifier: Apache-2.0
/* The bundle comes as a whole file, or through a pipe while it is downloaded:
 *
 *     bundle (stream)      unpack what comes. At the pipe's end the daemon says what that was:
 *       bundle-end         all of it
 *       bundle-again       nothing: another pipe comes with it, and the unpacking begins again
 *       bundle-failed      it has given up
 *
 * Until it has said "all of it" nothing has happened, and the group is free for a person. */
#include "agent/worker/fetched.h"

#include "agent/worker/prepare.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/log.h"
#include "common/room.h"
#include "common/str.h"

#include <string.h>

#define ETAG_MAX 200
#define LOOK_US 200000 /* whether somebody else wants the group */

static bool gives_way(void *arg)
{
	return group_is_claimed(arg);
}

/* Until there is an answer the group is free for a person on this host. */
static void begin_waiting(struct group *g, const char *event)
{
	group_say_waiting(g, event, true);
	g->run->caller.gives_way = gives_way;
	g->run->caller.gives_way_arg = g;
}

static void end_waiting(struct group *g, const char *event)
{
	g->run->caller.gives_way = NULL;
	group_say_waiting(g, event, false);
}

int fetched_ask(struct group *g, const char *event, json_t *message, json_t **ret, int *ret_fd,
		struct error *err)
{
	begin_waiting(g, event);
	int r = caller_ask(&g->run->caller, message, ret, ret_fd, err);
	end_waiting(g, event);
	return r;
}

static json_t *describe_fetch(const struct wire_spec *spec)
{
	json_t *event = caller_event("fetch");
	auto_json json_t *doc = wire_spec_to_json(spec);
	json_object_set(event, "revision", json_object_get(doc, "Revision"));
	json_set_str(event, "sha256", spec->sha256);
	if (spec->size_bytes >= 0)
		json_set_int(event, "size", spec->size_bytes);
	json_set_bool(event, "stream", true);
	return event;
}

/* Is it that, or why not? */
static int need_verb(const json_t *answer, const char *wanted, struct error *err)
{
	const char *verb = NULL, *code = error_name(ERR_NETWORK);
	const char *text = "the bundle could not be fetched";
	int r;
	if ((r = json_need_str(answer, "verb", &verb, err)) < 0 ||
	    (r = json_opt_str(answer, "code", &code, err)) < 0 ||
	    (r = json_opt_str(answer, "text", &text, err)) < 0)
		return r;
	return strcmp(verb, wanted) == 0 ? 0 : error_set(err, error_from_name(code), "%s", text);
}

static int read_fetched(const json_t *answer, const struct wire_spec *spec,
			struct bundle_source *source, bool *ret_stream, struct error *err)
{
	const char *type = spec->bundle_type ? spec->bundle_type : "auto";
	int r;
	if ((r = need_verb(answer, "bundle", err)) < 0 ||
	    (r = json_opt_str(answer, "type", &type, err)) < 0 ||
	    (r = json_opt_bool(answer, "stream", ret_stream, err)) < 0)
		return r;
	if (source->fd < 0)
		return error_set(err, ERR_FORMAT, "no descriptor came with the bundle");
	if (bundle_type_from_string(type, &source->type) < 0 || source->type == BUNDLE_DIRECTORY)
		return error_set(err, ERR_FORMAT, "bundle type '%s' is not known", type);
	return 0;
}

static char *unquote(const char *etag)
{
	size_t len = strlen(etag);
	bool quoted = len >= 2 && etag[0] == '"' && etag[len - 1] == '"';
	return quoted ? xstrndup(etag + 1, len - 2) : xstrdup(etag);
}

/* It is told to scripts. */
static bool is_sane_etag(const char *etag)
{
	const char *p = etag;
	while (*p > 0x20 && *p < 0x7f)
		p++;
	return p > etag && !*p && p - etag <= ETAG_MAX;
}

/* What the store says of the object: the same as the specification, as the official agent compares
 * it; and whether that is the MD5 of the bytes, which it is not of an object encrypted by a key. */
static int take_etag(const json_t *answer, struct wire_spec *spec, const char **ret_etag,
		     struct error *err)
{
	const char *etag = NULL;
	bool opaque = false;
	int r = json_opt_str(answer, "etag", &etag, err);
	if (r >= 0)
		r = json_opt_bool(answer, "etag_is_opaque", &opaque, err);
	if (r < 0)
		return r;
	if (opaque)
		*ret_etag = NULL;
	if (str_empty(etag) || spec->revision_type != WIRE_REVISION_S3)
		return 0;
	auto_free char *seen = unquote(etag);
	if (!is_sane_etag(seen))
		return error_set(err, ERR_FORMAT, "the bundle's ETag is no text");
	auto_free char *wanted = spec->etag ? unquote(spec->etag) : NULL;
	if (wanted && !str_eq(wanted, seen))
		return error_set(err, ERR_SIGNATURE,
				 "the bundle has the ETag '%s', but the revision says '%s': it was "
				 "replaced, or is not the one that was meant",
				 seen, wanted);
	if (wanted)
		return 0;
	spec->etag = TAKE(seen);
	if (!opaque)
		*ret_etag = spec->etag;
	return 0;
}

/* It unpacks to no less than it is: without room for that it need not be fetched. */
static int check_room(const struct group *g, const struct wire_spec *spec, struct error *err)
{
	const struct room need = {.bytes = spec->size_bytes > 0 ? (uint64_t)spec->size_bytes : 0};
	int r = room_check(g->dir_fd, &need, err);
	return r < 0 ? error_prefix(err, room_advise(g->dir_fd, err), "unpack the bundle") : 0;
}

/* A pipe whose end the daemon has */
struct stream {
	struct group *g;
	const char *event;
	struct wire_spec *spec;
	int next_fd; /* the pipe that comes in the place of this one */
	uint64_t looked_us;
	bool gone; /* the daemon is */
};

static int stream_tick(void *arg, struct error *err)
{
	struct stream *s = arg;
	uint64_t now_us = clock_mono_us();
	if (now_us - s->looked_us < LOOK_US)
		return 0;
	s->looked_us = now_us;
	if (!group_is_claimed(s->g))
		return 0;
	return error_set(err, ERR_BUSY, "a person on this host goes first; try again later");
}

static int take_end(struct stream *s, const json_t *answer, uint64_t bytes, const char **ret_etag,
		    struct error *err)
{
	int64_t size = -1;
	int r = need_verb(answer, "bundle-end", err);
	if (r == 0)
		r = json_opt_int(answer, "size", &size, err);
	if (r == 0)
		r = take_etag(answer, s->spec, ret_etag, err);
	if (r == 0 && size != (int64_t)bytes)
		r = error_set(err, ERR_FORMAT,
			      "%llu bytes came of a bundle that had %lld when it was fetched",
			      (unsigned long long)bytes, (long long)size);
	return r;
}

static int stream_ended(void *arg, uint64_t bytes, const char **ret_etag, struct error *err)
{
	struct stream *s = arg;
	auto_json json_t *answer = NULL;
	auto_close int fd = -1;
	const char *verb = NULL;
	int r = caller_hear(&s->g->run->caller, &answer, &fd, err);
	s->gone = r == 0;
	if (r <= 0)
		return r < 0 ? r : error_set(err, -ECANCELED, "nobody fetches it any more");
	r = json_need_str(answer, "verb", &verb, err);
	if (r < 0)
		return r;
	if (strcmp(verb, "bundle-again") != 0 || fd < 0)
		return take_end(s, answer, bytes, ret_etag, err);
	s->next_fd = TAKE_FD(fd);
	return error_set(err, -ERESTART, "it comes again");
}

/* Returns as fetched_unpack(). Whoever sends one beginning after the other is stopped by our
 * caller's patience: each of them is a message that has to come. */
static int unpack_stream(struct stream *s, struct bundle_source *source, struct error *err)
{
	const struct bundle_feed feed = {stream_tick, stream_ended, s};
	auto_close int again = -1;
	source->feed = &feed;
	begin_waiting(s->g, s->event);
	int r;
	while ((r = prepare_unpack(s->g, source, err)) == -ERESTART) {
		fs_close_quiet(again);
		source->fd = again = s->next_fd;
		s->next_fd = -1;
	}
	end_waiting(s->g, s->event);
	if (r == 0)
		return 1;
	if (r == ERR_BUSY || s->gone)
		prepare_discard(s->g); /* nothing has happened */
	return s->gone ? 0 : r;
}

int fetched_unpack(struct group *g, const char *event, struct error *err)
{
	struct wire_spec *spec = g->state->open->job->spec;
	auto_json json_t *answer = NULL;
	auto_close int fd = -1;
	bool stream = false;
	int r = check_room(g, spec, err);
	if (r < 0)
		return r;
	r = fetched_ask(g, event, describe_fetch(spec), &answer, &fd, err);
	if (r <= 0)
		return r;
	struct bundle_source source = {
		.fd = fd,
		.name = spec->key ? spec->key : "bundle",
		.sha256 = spec->sha256,
		.etag = spec->etag,
		.size_bytes = spec->size_bytes,
	};
	r = read_fetched(answer, spec, &source, &stream, err);
	if (r == 0 && stream) {
		struct stream s = {.g = g, .event = event, .spec = spec, .next_fd = -1};
		return unpack_stream(&s, &source, err);
	}
	if (r == 0)
		r = take_etag(answer, spec, &source.etag, err);
	if (r == 0)
		r = prepare_unpack(g, &source, err);
	return r < 0 ? r : 1;
}
