// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/amazon.h"

#include "agent/aws/credentials.h"
#include "agent/daemon/backoff.h"
#include "agent/daemon/exposure.h"
#include "agent/messages.h"
#include "agent/rival.h"
#include "common/alloc.h"
#include "common/json.h"
#include "common/log.h"
#include "common/str.h"

#include <sys/stat.h>

struct amazon {
	struct daemon *daemon;
	struct aws_provider *provider; /* NULL: the mode is off */
	struct aws_wait *wait;
	sd_event_source *timer;
	struct backoff backoff;
	bool joined;
	struct error problem;
};

struct amazon *amazon_new(struct daemon *daemon)
{
	struct amazon *amazon = xcalloc(1, sizeof(*amazon));
	amazon->daemon = daemon;
	return amazon;
}

void amazon_end(struct amazon *amazon)
{
	aws_wait_cancel(TAKE(amazon->wait));
	loop_timer_off(amazon->timer);
	aws_provider_free(TAKE(amazon->provider));
	backoff_reset(&amazon->backoff);
	amazon->joined = false;
	amazon->problem = (struct error){0};
}

void amazon_free(struct amazon *amazon)
{
	if (!amazon)
		return;
	amazon_end(amazon);
	sd_event_source_disable_unref(amazon->timer);
	free(amazon);
}

bool amazon_is_on(const struct amazon *amazon)
{
	return amazon->provider;
}

const char *amazon_problem(const struct amazon *amazon)
{
	return amazon->problem.text;
}

static void ask(struct amazon *amazon);

static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	ask(arg);
	return 0;
}

/* Say it when it is new, and ask again: an instance may get its role, or a host its registration,
 * at any time. */
static void failed(struct amazon *amazon, const struct error *why)
{
	struct error err = {0};
	if (!error_is_like(&amazon->problem, why))
		log_event(LOG_ERR, MESSAGE_NO_AWS_IDENTITY, NULL,
			  "AWS cannot be asked for deployments: %s; trying again", why->text);
	amazon->problem = *why;
	uint64_t ms = backoff_next_ms(&amazon->backoff, OUTCOME_UNREACHABLE, backoff_random());
	if (loop_timer(&amazon->daemon->loop, &amazon->timer, ms, ms / 10, on_timer, amazon, &err) <
	    0)
		log_error("%s; restart slipwayd", err.text);
	daemon_show_status(amazon->daemon);
}

static void warn_of_exposure(const struct amazon *amazon)
{
	struct aws_seen seen;
	aws_provider_look(amazon->provider, &seen);
	if (seen.from && *seen.from == '/')
		exposure_check(seen.from, "credentials of AWS", S_IRWXO, 0640);
}

static int join(struct amazon *amazon, const struct aws_identity *who, struct error *err)
{
	auto_identity struct identity *identity = xcalloc(1, sizeof(*identity));
	int r = aws_commands_url(&amazon->daemon->settings, who, &identity->endpoint, err);
	if (r < 0)
		return r;
	identity->name = xstrdup(who->name);
	identity->host_identifier = xstrdup(who->host_identifier);
	identity->region = xstrdup(who->region);
	return daemon_join(amazon->daemon, TAKE(identity), amazon->provider, err);
}

/* Credentials that are not there yet are the service's to miss; an identity is all that we need. */
static void on_ready(const struct aws_credentials *credentials, const struct error *why, void *arg)
{
	struct amazon *amazon = arg;
	struct error err = {0};
	amazon->wait = NULL;
	const struct aws_identity *who = aws_provider_identity(amazon->provider);
	if (!who) {
		failed(amazon, why);
		return;
	}
	if (join(amazon, who, &err) < 0) {
		failed(amazon, &err);
		return;
	}
	amazon->joined = true;
	warn_of_exposure(amazon);
	amazon->problem = (struct error){0};
	backoff_reset(&amazon->backoff);
	daemon_show_status(amazon->daemon);
}

static void ask(struct amazon *amazon)
{
	const struct settings *settings = &amazon->daemon->settings;
	struct error err = {0};
	loop_timer_off(amazon->timer);
	if (rival_check(&amazon->daemon->paths, settings->pid_dir, settings->program_name, &err) <
	    0)
		failed(amazon, &err);
	else if (!amazon->wait)
		amazon->wait = aws_provider_get(amazon->provider, on_ready, amazon);
}

static bool is_current(const struct amazon *amazon)
{
	const struct daemon *daemon = amazon->daemon;
	struct error err = {0};
	auto_free char *endpoint = NULL;
	return amazon->joined && !aws_provider_is_outdated(amazon->provider) &&
	       aws_commands_url(&daemon->settings, aws_provider_identity(amazon->provider),
				&endpoint, &err) == 0 &&
	       str_eq(endpoint, daemon->identity->endpoint) &&
	       service_is_made_of(daemon->service, &daemon->settings, daemon->identity);
}

void amazon_begin(struct amazon *amazon)
{
	struct error err = {0};
	struct daemon *daemon = amazon->daemon;
	if (amazon->provider && is_current(amazon))
		return;
	daemon_leave(daemon);
	amazon_end(amazon);
	if (aws_provider_new(&daemon->loop, &daemon->settings, &daemon->paths, &amazon->provider,
			     &err) < 0)
		log_error("AWS cannot be asked for deployments: %s; restart slipwayd", err.text);
	else
		ask(amazon);
}

json_t *amazon_to_json(const struct amazon *amazon)
{
	json_t *obj = json_object();
	const struct aws_identity *who = aws_provider_identity(amazon->provider);
	struct aws_seen seen;
	aws_provider_look(amazon->provider, &seen);
	if (who) {
		json_set_str(obj, "identity", aws_source_to_string(who->source));
		json_set_str(obj, "region", who->region);
	}
	json_set_str(obj, "credentials", seen.from);
	json_set_str(obj, "access_key_id", seen.access_key_id);
	if (seen.expires_s)
		json_set_int(obj, "credentials_expire", seen.expires_s);
	if (!str_empty(seen.problem))
		json_set_str(obj, "credentials_error", seen.problem);
	if (seen.clock_offset_s)
		json_set_int(obj, "clock_offset", seen.clock_offset_s);
	if (*amazon->problem.text)
		json_set_str(obj, "error", amazon->problem.text);
	return obj;
}
