/* SPDX-License-Identifier: Apache-2.0 */
/* control.yml: the option table. The same table is the command line's --set and --help-config. */
#pragma once

#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define CONTROL_SETTINGS "/etc/slipway/control.yml"

struct settings {
	char *listen;            /* "ADDRESS:PORT" */
	char *names;             /* further names of the server, separated by commas; may be NULL */
	char *region;            /* "us-east-1" */
	char *account;           /* 12 digits */
	uint64_t host_life_ms;   /* of a host's certificate */
	uint64_t lease_ms;       /* an unacknowledged command is offered again */
	uint64_t poll_ms;        /* a long poll is answered empty after this */
	uint64_t offline_ms;     /* a host that has not polled for so long is offline */
	uint64_t event_start_ms; /* an event that no host has picked up fails */
	uint64_t event_run_ms;   /* an event that was acknowledged and never ends fails */
	uint64_t bundle_max_bytes;  /* of one object */
	uint64_t upload_max_age_ms; /* of a multipart upload */
	int64_t connections_max;
	uint64_t idle_ms; /* a connection without a complete request is closed */
	char *log_level;
};

/* Defaults; region and account have none here (control.c asks the store). */
void settings_init(struct settings *settings);
/* file: NULL is /etc/slipway/control.yml, which may be missing; settings_init() was called. */
int settings_load(struct settings *settings, const char *file, struct error *err) MUST_CHECK;
void settings_clear(struct settings *settings);
/* One option from the command line. */
int settings_set(struct settings *settings, const char *name, const char *value,
		 struct error *err) MUST_CHECK;
void settings_help(FILE *out);
/* "NAME=<TAB>WHAT IT IS" of every option whose name begins so: for the shells' completion. */
void settings_each_name(const char *begin, FILE *out);

/* Is it a region ("us-east-1"), an account (12 digits)? */
bool settings_is_region(const char *text);
bool settings_is_account(const char *text);
