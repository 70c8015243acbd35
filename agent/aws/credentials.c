// SPDX-License-Identifier: Apache-2.0
#include "agent/aws/credentials.h"

#include "common/alloc.h"
#include "common/clock.h"

struct aws_provider {
	struct loop *loop;
};

struct aws_wait {
	struct aws_provider *provider;
	sd_event_source *defer;
	aws_ready_fn *done;
	void *arg;
};

int aws_provider_new(struct loop *loop, const struct settings *settings, const struct paths *paths,
		     struct aws_provider **ret, struct error *err)
{
	struct aws_provider *provider = xcalloc(1, sizeof(*provider));
	provider->loop = loop;
	*ret = provider;
	return 0;
}

void aws_provider_free(struct aws_provider *provider)
{
	free(provider);
}

void aws_wait_cancel(struct aws_wait *wait)
{
	if (!wait)
		return;
	sd_event_source_disable_unref(wait->defer);
	free(wait);
}

static int on_defer(sd_event_source *source, void *arg)
{
	struct aws_wait *wait = arg;
	const struct error why = {.code = -ENODATA, .text = "this host has no identity at AWS"};
	aws_ready_fn *done = wait->done;
	void *done_arg = wait->arg;
	aws_wait_cancel(wait);
	done(NULL, &why, done_arg);
	return 0;
}

struct aws_wait *aws_provider_get(struct aws_provider *provider, aws_ready_fn *done, void *arg)
{
	struct aws_wait *wait = xcalloc(1, sizeof(*wait));
	*wait = (struct aws_wait){.provider = provider, .done = done, .arg = arg};
	if (sd_event_add_defer(provider->loop->event, &wait->defer, on_defer, wait) < 0)
		abort();
	return wait;
}

const struct aws_credentials *aws_provider_at_hand(struct aws_provider *provider)
{
	return NULL;
}

const struct aws_identity *aws_provider_identity(const struct aws_provider *provider)
{
	return NULL;
}

void aws_provider_refused(struct aws_provider *provider, const char *access_key_id)
{
}

int64_t aws_provider_now_s(const struct aws_provider *provider)
{
	return clock_wall_s();
}

bool aws_provider_set_clock(struct aws_provider *provider, const char *date)
{
	return false;
}
