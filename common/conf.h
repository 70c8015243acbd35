/* SPDX-License-Identifier: Apache-2.0 */
/* Option tables: one row per option parses, checks, prints --help-config and fills the man page. */
#pragma once

#include "common/error.h"
#include "common/yaml.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum conf_type {
	CONF_STRING,   /* char *; default is text or NULL */
	CONF_PATH,     /* char *; must be absolute */
	CONF_FILENAME, /* char *; of one file: without '/' */
	CONF_HTTPS,    /* char *; must be https://HOST[:PORT] */
	CONF_BOOL,     /* bool */
	CONF_INT,      /* int64_t, with minimum and maximum */
	CONF_SIZE,     /* uint64_t bytes: "64k", "2G" */
	CONF_PERCENT,  /* uint64_t: "150%", or "150" */
	CONF_DURATION, /* uint64_t milliseconds: "90" is seconds, "500ms", "10m" */
	CONF_CHOICE,   /* char *; one of choices */
	CONF_MAP,      /* struct conf_map: string -> string */
	CONF_RETIRED,  /* accepted, has no effect: a warning with the reason, which is its help */
};

struct conf_map {
	size_t count;
	char **keys, **values;
};

struct conf_option {
	const char *name;
	enum conf_type type;
	size_t offset;    /* of the member in the settings struct */
	const char *def;  /* default as text, NULL: none */
	const char *unit; /* "s", "bytes", ... for the help; may be NULL */
	int64_t min, max; /* CONF_INT; sizes in bytes, durations in ms; both 0: no limits */
	const char *const *choices; /* CONF_CHOICE, NULL-terminated */
	const char *help;           /* one sentence */
	bool clamp; /* what is above max, and an amount below min, becomes that, with a warning */
};

/* Set every member to its default. settings was zeroed before. */
void conf_defaults(const struct conf_option *table, size_t count, void *settings);

/* Read a parsed file into settings. Keys may carry the official agent's leading colon
 * (":log_dir:"). Unknown keys and bad values are errors with file and line, all of them in one
 * message as far as it holds; retired ones a warning through log, and so is an unknown one that has
 * the colon: that file is another agent's, which ignores what it does not know. */
int conf_load(const struct conf_option *table, size_t count, const char *file,
	      const struct yaml *doc, void *settings, struct error *err) MUST_CHECK;
/* Read and parse the file (at most 256 KiB), then conf_load(). -ENOENT when missing. */
int conf_load_file(const struct conf_option *table, size_t count, const char *file, void *settings,
		   struct error *err) MUST_CHECK;
/* One option from text (the command line). */
int conf_set(const struct conf_option *table, size_t count, const char *name, const char *value,
	     void *settings, struct error *err) MUST_CHECK;
void conf_clear(const struct conf_option *table, size_t count, void *settings);
void conf_help(const struct conf_option *table, size_t count, FILE *out);
