// SPDX-License-Identifier: Apache-2.0
#include "control/settings.h"

#include "common/alloc.h"
#include "common/conf.h"

#include <stddef.h>
#include <string.h>

#define AT(member) offsetof(struct settings, member)
#define SECONDS 1000LL
#define DAYS (86400 * SECONDS)
#define GIB (1LL << 30)

static const char *const log_levels[] = {"error", "warning", "notice", "info", "debug", NULL};

/* clang-format off */
static const struct conf_option table[] = {
	{ "listen", CONF_STRING, AT(listen), ":8443", NULL, 0, 0, NULL,
	  "Address and port to listen on; without address: every address, IPv6 and IPv4.", false },
	{ "names", CONF_STRING, AT(names), NULL, NULL, 0, 0, NULL,
	  "Further DNS names and addresses of the server's certificate, separated by commas.", false },
	{ "region", CONF_STRING, AT(region), NULL, NULL, 0, 0, NULL,
	  "Region in ARNs; set once, at init (default us-east-1).", false },
	{ "account", CONF_STRING, AT(account), NULL, NULL, 0, 0, NULL,
	  "Account in ARNs, 12 digits; set once, at init (default 000000000000).", false },
	{ "host_certificate_life", CONF_DURATION, AT(host_life_ms), "90d", NULL,
	  3600 * SECONDS, 3650 * DAYS, NULL,
	  "Life of a host's certificate; the host renews it at two thirds.", false },
	{ "lease", CONF_DURATION, AT(lease_ms), "30s", NULL, SECONDS, 3600 * SECONDS, NULL,
	  "A command that a host took and has not acknowledged is offered again after this.", false },
	{ "poll", CONF_DURATION, AT(poll_ms), "60s", NULL, SECONDS, 75 * SECONDS, NULL,
	  "A long poll is answered empty after this; agents give up after 80 s.", false },
	{ "offline_after", CONF_DURATION, AT(offline_ms), "2m", NULL,
	  10 * SECONDS, DAYS, NULL, "A host that has not polled for so long counts as offline.", false },
	{ "event_start_timeout", CONF_DURATION, AT(event_start_ms), "5m", NULL,
	  SECONDS, DAYS, NULL, "A lifecycle event that its host has not picked up by then fails.", false },
	{ "event_run_timeout", CONF_DURATION, AT(event_run_ms), "60m", NULL,
	  SECONDS, 7 * DAYS, NULL, "A lifecycle event that has begun and not ended by then fails.", false },
	{ "bundle_max_size", CONF_SIZE, AT(bundle_max_bytes), "50G", NULL,
	  1, 5 * 1024 * GIB, NULL, "Largest object of the bundle store.", false },
	{ "upload_max_age", CONF_DURATION, AT(upload_max_age_ms), "7d", NULL,
	  60 * SECONDS, 3650 * DAYS, NULL,
	  "A multipart upload that was not completed by then is dropped with its parts.", false },
	{ "connections_max", CONF_INT, AT(connections_max), "60000", NULL, 16, 1000000, NULL,
	  "Connections at once; the limit of open files lowers it.", false },
	{ "idle_timeout", CONF_DURATION, AT(idle_ms), "75s", NULL, SECONDS, 3600 * SECONDS, NULL,
	  "A connection without a complete request is closed after this; long polls are not.", false },
	{ "log_level", CONF_CHOICE, AT(log_level), "info", NULL, 0, 0, log_levels,
	  "The least important kind of line that is logged.", false },
};
/* clang-format on */

void settings_init(struct settings *settings)
{
	*settings = (struct settings){0};
	conf_defaults(table, ARRAY_LEN(table), settings);
}

static int check(const struct settings *settings, const char *file, struct error *err)
{
	if (settings->region && !settings_is_region(settings->region))
		return error_set(err, ERR_INPUT, "%s: region '%s' is not of the form 'us-east-1'",
				 file, settings->region);
	if (settings->account && !settings_is_account(settings->account))
		return error_set(err, ERR_INPUT, "%s: account '%s' is not 12 digits", file,
				 settings->account);
	return 0;
}

int settings_load(struct settings *settings, const char *file, struct error *err)
{
	const char *path = file ? file : CONTROL_SETTINGS;
	int r = conf_load_file(table, ARRAY_LEN(table), path, settings, err);
	if (r == -ENOENT && !file)
		return 0;
	return r < 0 ? r : check(settings, path, err);
}

int settings_set(struct settings *settings, const char *name, const char *value, struct error *err)
{
	int r = conf_set(table, ARRAY_LEN(table), name, value, settings, err);
	return r < 0 ? r : check(settings, "command line", err);
}

void settings_clear(struct settings *settings)
{
	conf_clear(table, ARRAY_LEN(table), settings);
}

void settings_help(FILE *out)
{
	conf_help(table, ARRAY_LEN(table), out);
}

void settings_each_name(const char *begin, FILE *out)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (strncmp(table[i].name, begin, strlen(begin)) == 0)
			fprintf(out, "%s=\t%s\n", table[i].name, table[i].help);
}

static bool made_of(const char *text, const char *set, size_t min, size_t max)
{
	size_t len = strlen(text);
	return len >= min && len <= max && strspn(text, set) == len;
}

bool settings_is_region(const char *text)
{
	return made_of(text, "abcdefghijklmnopqrstuvwxyz0123456789-", 1, 32);
}

bool settings_is_account(const char *text)
{
	return made_of(text, "0123456789", 12, 12);
}
