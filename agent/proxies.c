// SPDX-License-Identifier: Apache-2.0
#include "agent/proxies.h"

#include "common/attr.h"
#include "common/str.h"

#include <string.h>

struct row {
	const char *key, *uri;
};

static struct row find(const struct settings *settings, enum proxies_use use)
{
	const struct row rows[PROXIES_COUNT] = {
		[PROXIES_COMMANDS] = {"proxy_uri_commands", settings->proxy_uri_commands},
		[PROXIES_S3] = {"proxy_uri_s3", settings->proxy_uri_s3},
		[PROXIES_GITHUB] = {"proxy_uri_github", settings->proxy_uri_github},
	};
	if (rows[use].uri)
		return rows[use];
	return (struct row){settings->proxy_uri ? "proxy_uri" : NULL, settings->proxy_uri};
}

void proxies_set(const struct settings *settings, enum proxies_use use,
		 struct http_options *options)
{
	options->proxy = find(settings, use).uri;
	options->no_proxy = settings->no_proxy;
}

const char *proxies_key(const struct settings *settings, enum proxies_use use)
{
	return find(settings, use).key;
}

/* "http://user:password@host:port"; also where a '/' of the password is not encoded. */
static bool has_password(const char *uri)
{
	const char *scheme = uri ? strstr(uri, "://") : NULL;
	const char *authority = scheme ? scheme + 3 : uri;
	if (!authority)
		return false;
	const char *at = strrchr(authority, '@');
	return at && memchr(authority, ':', (size_t)(at - authority));
}

bool proxies_have_password(const struct settings *settings)
{
	const char *const uris[] = {settings->proxy_uri, settings->proxy_uri_commands,
				    settings->proxy_uri_s3, settings->proxy_uri_github};
	for (size_t i = 0; i < ARRAY_LEN(uris); i++)
		if (has_password(uris[i]))
			return true;
	return false;
}
