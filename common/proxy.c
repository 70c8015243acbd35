// SPDX-License-Identifier: Apache-2.0
#include "common/proxy.h"

#include "common/attr.h"
#include "common/str.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BETWEEN ", \t\r\n"
#define HOST_MAX 256

struct address {
	unsigned bits; /* 32 or 128; 0: none */
	unsigned char bytes[16];
};

static struct address parse_address(const char *text)
{
	struct address a = {0};
	if (inet_pton(AF_INET, text, a.bytes) == 1)
		a.bits = 32;
	else if (inet_pton(AF_INET6, text, a.bytes) == 1)
		a.bits = 128;
	return a;
}

/* "10.0.0.0/8" */
static bool is_in_network(const char *entry, const struct address *host)
{
	char text[64];
	uint64_t bits;
	size_t len = strcspn(entry, "/");
	if (len >= sizeof(text) || entry[len] != '/' || str_to_u64(entry + len + 1, &bits) < 0)
		return false;
	snprintf(text, sizeof(text), "%.*s", (int)len, entry);
	struct address net = parse_address(text);
	if (!net.bits || net.bits != host->bits || bits > net.bits)
		return false;
	if (memcmp(net.bytes, host->bytes, bits / 8) != 0)
		return false;
	unsigned rest = bits % 8;
	return !rest || ((net.bytes[bits / 8] ^ host->bytes[bits / 8]) >> (8 - rest)) == 0;
}

static bool is_name_in(const char *entry, const char *host)
{
	entry += *entry == '.';
	size_t have = strlen(host), want = strlen(entry);
	if (!want || have < want || strcasecmp(host + have - want, entry) != 0)
		return false;
	return have == want || host[have - want - 1] == '.';
}

static bool entry_excepts(const char *entry, const char *host, const struct address *address)
{
	if (str_eq(entry, "*"))
		return true;
	if (!address->bits)
		return is_name_in(entry, host);
	struct address same = parse_address(entry);
	return (same.bits == address->bits &&
		memcmp(same.bytes, address->bytes, address->bits / 8) == 0) ||
	       is_in_network(entry, address);
}

/* Without brackets, and without the dot that a full name may end with. */
static void bare(const char *text, size_t len, char out[HOST_MAX])
{
	if (len > 1 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	if (len > 1 && text[len - 1] == '.')
		len--;
	snprintf(out, HOST_MAX, "%.*s", (int)len, text);
}

bool proxy_excepts(const char *no_proxy, const char *host, char *except, unsigned room)
{
	char name[HOST_MAX], entry[HOST_MAX];
	bare(host, strlen(host), name);
	const struct address address = parse_address(name);
	for (const char *p = no_proxy ? no_proxy : ""; *(p += strspn(p, BETWEEN));) {
		size_t len = strcspn(p, BETWEEN);
		bare(p, len, entry);
		if (entry_excepts(entry, name, &address)) {
			snprintf(except, room, "%s", entry);
			return true;
		}
		p += len;
	}
	return false;
}

static const char *from_environment(const char *const *names, const char **ret_name)
{
	for (; *names; names++) {
		const char *value = getenv(*names);
		if (str_empty(value))
			continue;
		if (ret_name)
			*ret_name = *names;
		return value;
	}
	return NULL;
}

/* HTTP_PROXY is not asked: a CGI program's caller sets it. */
static const char *proxy_of_environment(bool plain, const char **ret_name)
{
	static const char *const of_https[] = {"https_proxy", "HTTPS_PROXY", "all_proxy",
					       "ALL_PROXY", NULL};
	static const char *const of_http[] = {"http_proxy", "all_proxy", "ALL_PROXY", NULL};
	return from_environment(plain ? of_http : of_https, ret_name);
}

static void host_of(const char *url, char out[HOST_MAX])
{
	const char *scheme = strstr(url, "://");
	const char *authority = scheme ? scheme + 3 : url;
	size_t len = strcspn(authority, "/?#");
	const char *at = memrchr(authority, '@', len);
	if (at) {
		len -= (size_t)(at + 1 - authority);
		authority = at + 1;
	}
	size_t end = *authority == '[' ? strcspn(authority, "]") + 1 : strcspn(authority, ":");
	bare(authority, end < len ? end : len, out);
}

void proxy_choose(const struct proxy_rules *rules, const char *url, struct proxy_choice *ret)
{
	static const char *const exceptions[] = {"no_proxy", "NO_PROXY", NULL};
	char host[HOST_MAX];
	*ret = (struct proxy_choice){.uri = rules->uri};
	if (!ret->uri)
		ret->uri = proxy_of_environment(str_starts(url, "http://"), &ret->variable);
	if (str_empty(ret->uri)) {
		ret->uri = NULL;
		return;
	}
	host_of(url, host);
	const char *also = ret->variable ? from_environment(exceptions, NULL) : NULL;
	if (proxy_excepts(rules->no_proxy, host, ret->except, sizeof(ret->except)) ||
	    proxy_excepts(also, host, ret->except, sizeof(ret->except)))
		ret->uri = ret->variable = NULL;
}
