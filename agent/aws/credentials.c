// SPDX-License-Identifier: Apache-2.0
/* Who asks gets a set at once, or waits for a refresh:
 *
 *   files   read on the spot, again when they have changed
 *   IMDS    identity: document, partition (and domain, where the partition is a new one)
 *           role: its name, then its credentials
 *
 * All is done by work(), which runs from the loop. A refresh that failed is tried again when
 * somebody asks, but not before a back-off is over. */
#include "agent/aws/credentials.h"

#include "agent/aws/imds.h"
#include "agent/aws/keys.h"
#include "agent/aws/partition.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/str.h"

#include <string.h>
#include <time.h>

#define ONPREMISES_FILE "/etc/codedeploy-agent/conf/codedeploy.onpremises.yml"

enum {
	EARLY_S = 300,   /* before its end a set is exchanged */
	PAUSE_S = 60,    /* between two refreshes of a set that may still be used */
	BACKOFF_S = 60,  /* at most, between two that failed */
	SKEW_MIN_S = 30, /* the machine's clock is taken as right within */
};

/* What one pass through IMDS collects. */
struct collected {
	char *document, *partition, *role;
};

struct aws_provider {
	struct loop *loop;
	const struct settings *settings;
	bool disable_v1; /* of the settings that it was made with */
	char *root, *onpremises_file, *credentials_file;
	bool names_nobody;           /* onpremises_file is there, but has no ARN */
	struct aws_keys_stamp stamp; /* of the file that the keys are from */
	struct imds *imds;
	struct aws_identity *identity;
	struct aws_credentials *keys;
	bool refused;    /* the keys, by the service */
	bool busy;       /* IMDS is being asked */
	uint64_t got_us; /* when the keys were had */
	unsigned failures;
	uint64_t next_us; /* no refresh before */
	struct error failure;
	char *from; /* for people */
	struct collected collected;
	int64_t offset_s; /* of the service's clock to ours */
	sd_event_source *work;
	struct aws_wait *waits;
};

struct aws_wait {
	struct aws_provider *provider;
	struct aws_wait *next, **link;
	aws_ready_fn *done;
	void *arg;
};

static void drop_collected(struct collected *c)
{
	free(c->document);
	free(c->partition);
	free(c->role);
	*c = (struct collected){0};
}

/* ---- time ---- */

int64_t aws_provider_now_s(const struct aws_provider *provider)
{
	return clock_wall_s() + provider->offset_s;
}

static bool is_skewed(int64_t a_s, int64_t b_s)
{
	return a_s - b_s >= SKEW_MIN_S || b_s - a_s >= SKEW_MIN_S;
}

static void warn_of_clock(int64_t offset_s)
{
	if (is_skewed(offset_s, 0))
		log_warning("this machine's clock is %lld s %s that of AWS: requests are signed "
			    "with the right time, but the clock should be set",
			    (long long)(offset_s < 0 ? -offset_s : offset_s),
			    offset_s < 0 ? "ahead of" : "behind");
	else
		log_notice("this machine's clock agrees with that of AWS again");
}

bool aws_provider_set_clock(struct aws_provider *provider, const char *date, int64_t signed_s)
{
	struct tm tm = {0};
	const char *end = date ? strptime(date, "%a, %d %b %Y %H:%M:%S GMT", &tm) : NULL;
	if (!end || *end)
		return false;
	int64_t now_s = timegm(&tm), offset_s = now_s - clock_wall_s();
	if (is_skewed(offset_s, provider->offset_s)) {
		provider->offset_s = offset_s;
		warn_of_clock(offset_s);
	}
	return is_skewed(now_s, signed_s);
}

/* ---- the set at hand ---- */

static uint64_t age_s(const struct aws_provider *p)
{
	return (clock_mono_us() - p->got_us) / 1000000;
}

/* A set that IMDS has just given is tried even when it seems to have expired: it may be our clock.
 */
static bool is_usable(const struct aws_provider *p)
{
	return p->keys && !p->refused &&
	       (!p->keys->expires_s || aws_provider_now_s(p) < p->keys->expires_s ||
		age_s(p) < PAUSE_S);
}

static const char *file_of(const struct aws_provider *p)
{
	if (!p->identity || p->identity->source == AWS_ROLE)
		return NULL;
	return p->identity->source == AWS_USER ? p->onpremises_file : p->credentials_file;
}

static bool is_due(const struct aws_provider *p)
{
	if (!p->keys || p->refused)
		return true;
	const char *file = file_of(p);
	if (file)
		return aws_keys_changed(file, &p->stamp);
	return p->keys->expires_s && aws_provider_now_s(p) >= p->keys->expires_s - EARLY_S &&
	       age_s(p) >= PAUSE_S;
}

static bool may_try(const struct aws_provider *p)
{
	return !p->busy && clock_mono_us() >= p->next_us;
}

static void work_soon(struct aws_provider *p)
{
	sd_event_source_set_enabled(p->work, SD_EVENT_ONESHOT);
}

const struct aws_credentials *aws_provider_at_hand(struct aws_provider *provider)
{
	if (!is_usable(provider))
		return NULL;
	if (is_due(provider) && may_try(provider)) {
		if (file_of(provider))
			return NULL; /* read at once, when asked for */
		work_soon(provider);
	}
	return provider->keys;
}

/* ---- who waits ---- */

void aws_wait_cancel(struct aws_wait *wait)
{
	if (!wait)
		return;
	*wait->link = wait->next;
	if (wait->next)
		wait->next->link = wait->link;
	free(wait);
}

struct aws_wait *aws_provider_get(struct aws_provider *provider, aws_ready_fn *done, void *arg)
{
	struct aws_wait *wait = xcalloc(1, sizeof(*wait));
	*wait = (struct aws_wait){
		.provider = provider,
		.next = provider->waits,
		.link = &provider->waits,
		.done = done,
		.arg = arg,
	};
	if (wait->next)
		wait->next->link = &wait->next;
	provider->waits = wait;
	work_soon(provider);
	return wait;
}

/* One of them; the others have their turn in the next round, so that a callback may do anything,
 * also free the provider. */
static void answer_one(struct aws_provider *p)
{
	struct aws_wait *wait = p->waits;
	if (!wait)
		return;
	aws_ready_fn *done = wait->done;
	void *arg = wait->arg;
	const struct aws_credentials *keys = is_usable(p) ? p->keys : NULL;
	const struct error why = p->failure;
	aws_wait_cancel(wait);
	if (p->waits)
		work_soon(p);
	done(keys, keys ? NULL : &why, arg);
}

/* ---- how a refresh ends ---- */

static void has_failed(struct aws_provider *p, const struct error *why)
{
	bool news = !error_is_like(&p->failure, why);
	uint64_t pause_s = UINT64_C(1) << (p->failures < 6 ? p->failures : 6);
	p->busy = false;
	p->failures++;
	p->next_us =
		clock_mono_us() + (pause_s < BACKOFF_S ? pause_s : BACKOFF_S) * UINT64_C(1000000);
	p->failure = *why;
	drop_collected(&p->collected);
	if (news && is_usable(p))
		log_warning("no new credentials: %s; those at hand are used as long as they are "
			    "good",
			    why->text);
	work_soon(p);
}

/* Takes keys over. */
static void has_keys(struct aws_provider *p, struct aws_credentials *keys)
{
	bool is_new = !p->keys || !str_eq(p->keys->access_key_id, keys->access_key_id);
	if (is_new)
		log_debug("credentials: access key %s", keys->access_key_id);
	aws_keys_free(p->keys);
	p->keys = keys;
	p->got_us = clock_mono_us();
	p->busy = p->refused = false;
	p->failures = 0;
	/* those that the service refuses again and again are not fetched again and again */
	p->next_us = p->got_us + (is_new ? 1 : PAUSE_S) * UINT64_C(1000000);
	p->failure = (struct error){0};
	drop_collected(&p->collected);
	work_soon(p);
}

/* ---- IMDS ---- */

static void ask(struct aws_provider *p, const char *path, imds_done_fn *done)
{
	p->busy = true;
	imds_get(p->imds, path, done, p);
}

/* How the metadata were had is something that an auditor asks for. */
static void note_role(struct aws_provider *p)
{
	free(p->from);
	p->from = xasprintf("%s (%s), role '%s'", imds_endpoint(p->imds),
			    imds_version(p->imds) == IMDS_V2 ? "IMDSv2" : "IMDSv1, no token",
			    p->collected.role);
}

static void on_role_keys(int code, const char *text, const struct error *why, void *arg)
{
	struct aws_provider *p = arg;
	struct aws_credentials *keys = NULL;
	struct error err = {0};
	if (code == 0)
		code = aws_role_parse(text, strlen(text), &keys, &err);
	else
		err = *why;
	if (code < 0) {
		has_failed(p, &err);
		return;
	}
	note_role(p);
	has_keys(p, keys);
}

static bool is_role_name(const char *s)
{
	size_t len = strlen(s);
	return len > 0 && len <= 128 &&
	       strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+=,.@_-") ==
		       len;
}

static void on_role_name(int code, const char *text, const struct error *why, void *arg)
{
	struct aws_provider *p = arg;
	struct error err = {0};
	if (code == ERR_NOT_FOUND || (code == 0 && !*text)) {
		error_set(&err, ERR_DENIED,
			  "this instance has no role: give it an instance profile, or register it "
			  "as an on-premises instance");
	} else if (code < 0) {
		err = *why;
	} else {
		p->collected.role = xstrndup(text, strcspn(text, "\r\n"));
		if (!is_role_name(p->collected.role))
			error_set(&err, ERR_FORMAT,
				  "the instance's metadata name a role that is no name");
	}
	if (err.code) {
		has_failed(p, &err);
		return;
	}
	auto_free char *path =
		xasprintf("/latest/meta-data/iam/security-credentials/%s", p->collected.role);
	ask(p, path, on_role_keys);
}

static void ask_role(struct aws_provider *p)
{
	ask(p, "/latest/meta-data/iam/security-credentials/", on_role_name);
}

static const char *env_text(const char *name)
{
	const char *value = getenv(name);
	return str_empty(value) ? NULL : value;
}

static void take_instance(struct aws_provider *p, const char *domain)
{
	struct error err = {0};
	const struct collected *c = &p->collected;
	const struct aws_instance instance = {
		.document = c->document,
		.partition = c->partition,
		.domain = domain,
		.region = env_text("AWS_REGION"),
		.host_identifier = env_text("AWS_HOST_IDENTIFIER"),
	};
	if (aws_instance_parse(&instance, &p->identity, &err) < 0)
		has_failed(p, &err);
	else
		ask_role(p);
}

static void on_domain(int code, const char *text, const struct error *why, void *arg)
{
	take_instance(arg, code == 0 ? text : NULL);
}

static void on_partition(int code, const char *text, const struct error *why, void *arg)
{
	struct aws_provider *p = arg;
	if (code == 0)
		p->collected.partition = xstrdup(text);
	if (code == 0 && *text && !partition_named(text))
		ask(p, "/latest/meta-data/services/domain", on_domain);
	else
		take_instance(p, NULL);
}

static void on_document(int code, const char *text, const struct error *why, void *arg)
{
	struct aws_provider *p = arg;
	struct error err = {0};
	if (code < 0) {
		error_set(&err, code, "this host has no identity at AWS: %s'%s'%s, and %s",
			  p->names_nobody ? "" : "there is no ", p->onpremises_file,
			  p->names_nobody ? " has neither iam_user_arn nor iam_session_arn" : "",
			  why->text);
		has_failed(p, &err);
		return;
	}
	p->collected.document = xstrdup(text);
	ask(p, "/latest/meta-data/services/partition", on_partition);
}

static int open_imds(struct aws_provider *p, struct error *err)
{
	struct imds_options options;
	if (p->imds)
		return 0;
	int r = imds_options(p->disable_v1, &options, err);
	return r < 0 ? r : imds_new(p->loop, &options, &p->imds, err);
}

static int begin_instance(struct aws_provider *p, struct error *err)
{
	int r = open_imds(p, err);
	if (r < 0)
		return r;
	if (p->identity)
		ask_role(p);
	else if (env_text("AWS_REGION") && env_text("AWS_HOST_IDENTIFIER"))
		take_instance(p, NULL);
	else
		ask(p, "/latest/dynamic/instance-identity/document", on_document);
	return 0;
}

/* ---- files ---- */

static int read_onpremises(const char *path, struct aws_keys_stamp *stamp,
			   struct aws_onpremises **ret, struct error *err)
{
	auto_secret char *text = NULL;
	size_t len = 0;
	int r = aws_keys_read(path, &text, &len, stamp, err);
	return r < 0 ? r : aws_onpremises_parse(path, text, len, ret, err);
}

static bool is_same_host(const struct aws_onpremises *file, const struct aws_provider *p)
{
	return file->identity->source == p->identity->source &&
	       str_eq(file->identity->region, p->identity->region) &&
	       str_eq(file->identity->host_identifier, p->identity->host_identifier) &&
	       str_eq(file->credentials_file, p->credentials_file);
}

static char *onpremises_path(const struct settings *settings, const char *root)
{
	return settings->on_premises_config_file ? xstrdup(settings->on_premises_config_file)
						 : xasprintf("%s" ONPREMISES_FILE, root);
}

bool aws_provider_is_outdated(const struct aws_provider *provider)
{
	auto_aws_onpremises struct aws_onpremises *file = NULL;
	struct aws_keys_stamp stamp;
	auto_free char *path = onpremises_path(provider->settings, provider->root);
	if (provider->disable_v1 != provider->settings->disable_imds_v1 ||
	    !str_eq(path, provider->onpremises_file))
		return true;
	int r = read_onpremises(provider->onpremises_file, &stamp, &file, NULL);
	if (!provider->identity)
		return true;
	if (r < 0 && r != -ENOENT)
		return false; /* half written, say: what is known stays */
	return file ? !is_same_host(file, provider) : provider->identity->source != AWS_ROLE;
}

static int read_user(struct aws_provider *p, struct error *err)
{
	auto_aws_onpremises struct aws_onpremises *file = NULL;
	int r = read_onpremises(p->onpremises_file, &p->stamp, &file, err);
	if (r < 0)
		return r;
	if (!file || !is_same_host(file, p))
		return error_set(err, ERR_INPUT,
				 "'%s' names another host now: run 'systemctl reload slipwayd'",
				 p->onpremises_file);
	has_keys(p, TAKE(file->keys));
	return 0;
}

static int read_session(struct aws_provider *p, struct error *err)
{
	auto_secret char *text = NULL;
	struct aws_credentials *keys = NULL;
	size_t len = 0;
	const char *profile = env_text("AWS_PROFILE");
	int r = aws_keys_read(p->credentials_file, &text, &len, &p->stamp, err);
	if (r == 0)
		r = aws_session_parse(p->credentials_file, text, len, profile ? profile : "default",
				      &keys, err);
	if (r == 0)
		has_keys(p, keys);
	return r;
}

/* Who we are, if the on-premises file says so: then *ret_there. */
static int identify(struct aws_provider *p, bool *ret_there, struct error *err)
{
	auto_aws_onpremises struct aws_onpremises *file = NULL;
	int r = read_onpremises(p->onpremises_file, &p->stamp, &file, err);
	*ret_there = r == 0 && file;
	p->names_nobody = r == 0 && !file;
	if (r == -ENOENT || (r == 0 && !file))
		return 0;
	if (r < 0)
		return r;
	p->identity = TAKE(file->identity);
	p->credentials_file = TAKE(file->credentials_file);
	if (file->keys)
		has_keys(p, TAKE(file->keys));
	return 0;
}

static int refresh(struct aws_provider *p, struct error *err)
{
	if (!p->identity) {
		bool there = false;
		int r = identify(p, &there, err);
		if (r < 0 || (there && p->keys))
			return r;
		if (!there)
			return begin_instance(p, err);
	}
	switch (p->identity->source) {
	case AWS_USER:
		return read_user(p, err);
	case AWS_SESSION:
		return read_session(p, err);
	default:
		return begin_instance(p, err);
	}
}

static int on_work(sd_event_source *source, void *arg)
{
	struct aws_provider *p = arg;
	struct error err = {0};
	if (is_due(p) && may_try(p) && refresh(p, &err) < 0)
		has_failed(p, &err);
	if (is_usable(p) || !p->busy)
		answer_one(p);
	return 0;
}

/* ---- the provider ---- */

int aws_provider_new(struct loop *loop, const struct settings *settings, const struct paths *paths,
		     struct aws_provider **ret, struct error *err)
{
	auto_aws_provider struct aws_provider *p = xcalloc(1, sizeof(*p));
	p->loop = loop;
	p->settings = settings;
	p->disable_v1 = settings->disable_imds_v1;
	p->root = xstrdup(paths->root);
	p->onpremises_file = onpremises_path(settings, p->root);
	int r = sd_event_add_defer(loop->event, &p->work, on_work, p);
	if (r < 0)
		return error_set(err, r, "no event source for credentials");
	sd_event_source_set_enabled(p->work, SD_EVENT_OFF);
	*ret = TAKE(p);
	return 0;
}

void aws_provider_free(struct aws_provider *provider)
{
	if (!provider)
		return;
	while (provider->waits)
		aws_wait_cancel(provider->waits);
	sd_event_source_disable_unref(provider->work);
	imds_free(provider->imds);
	aws_identity_free(provider->identity);
	aws_keys_free(provider->keys);
	drop_collected(&provider->collected);
	free(provider->root);
	free(provider->onpremises_file);
	free(provider->credentials_file);
	free(provider->from);
	free(provider);
}

void aws_provider_look(const struct aws_provider *provider, struct aws_seen *ret)
{
	const char *file = file_of(provider);
	*ret = (struct aws_seen){
		.from = file && provider->keys ? file : provider->from,
		.access_key_id = provider->keys ? provider->keys->access_key_id : NULL,
		.problem = provider->failure.text,
		.expires_s = provider->keys ? provider->keys->expires_s : 0,
		.clock_offset_s = provider->offset_s,
	};
}

const struct aws_identity *aws_provider_identity(const struct aws_provider *provider)
{
	return provider->identity;
}

void aws_provider_refused(struct aws_provider *provider, const char *access_key_id)
{
	if (!provider->keys || !str_eq(provider->keys->access_key_id, access_key_id))
		return;
	provider->refused = true;
	error_set(
		&provider->failure, ERR_DENIED,
		"AWS does not accept the credentials (access key %s), and there are no others yet",
		access_key_id);
}
