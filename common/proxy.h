/* SPDX-License-Identifier: Apache-2.0 */
/* Which proxy a request goes through. The decision is ours, not libcurl's, so that what 'slipway
 * doctor' says about it is what happens. */
#pragma once

#include <stdbool.h>

struct proxy_rules {
	const char *uri;      /* of the settings; NULL: what the environment says; "": none */
	const char *no_proxy; /* of the settings; NULL: none, and of the environment only where the
				 proxy is from there, too */
};

struct proxy_choice {
	const char *uri;      /* borrowed; NULL: directly */
	const char *variable; /* of the environment that uri is from; NULL: the settings */
	char except[128];     /* directly, because of this entry of a no_proxy; "": not that */
};

/* For an address "http://..." or "https://...". As libcurl and the official agents' SDK have it:
 * https_proxy, then HTTPS_PROXY, for plain HTTP only http_proxy; then all_proxy, ALL_PROXY;
 * exceptions no_proxy, NO_PROXY. */
void proxy_choose(const struct proxy_rules *rules, const char *url, struct proxy_choice *ret);

/* Is host one of the list's, separated by commas or blanks: "*", a name with all below it (with or
 * without a dot before it), an address, a network "10.0.0.0/8"? An IPv6 address may have brackets.
 * The entry goes to except (room bytes). Pure. */
bool proxy_excepts(const char *no_proxy, const char *host, char *except, unsigned room);
