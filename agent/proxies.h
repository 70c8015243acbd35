/* SPDX-License-Identifier: Apache-2.0 */
/* Which of agent.yml's proxies is for what. The metadata service of a machine is never asked
 * through one: its client has .proxy = "". */
#pragma once

#include "agent/settings.h"
#include "common/http.h"

enum proxies_use {
	PROXIES_COMMANDS, /* the endpoint: commands, and what lies in its own store */
	PROXIES_S3,
	PROXIES_GITHUB,
	PROXIES_COUNT
};

/* Fill proxy and no_proxy of options; they are borrowed from settings. */
void proxies_set(const struct settings *settings, enum proxies_use use,
		 struct http_options *options);
/* The key that says so: "proxy_uri_s3", "proxy_uri"; NULL: none is set, so the environment does. */
const char *proxies_key(const struct settings *settings, enum proxies_use use);
/* Does one of agent.yml's proxies come with a password? */
bool proxies_have_password(const struct settings *settings);
