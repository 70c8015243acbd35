/* SPDX-License-Identifier: Apache-2.0 */
/* The endpoint: everything that runs, wired together. */
#pragma once

#include "common/loop.h"
#include "control/settings.h"

struct auth;
struct bundles;
struct ca;
struct deploy;
struct server;
struct store;

struct control {
	char *dir; /* /var/lib/slipway-control */
	int dirfd;
	struct settings settings;
	struct loop loop; /* only while serving */
	struct ca *ca;
	struct store *store;
	struct bundles *bundles;
	struct auth *auth;
	struct deploy *deploy; /* only while serving */
	struct server *server;
};

/* Open what every command needs: directory, store, CA. Makes what is missing. region and account
 * come from the store once they are there. */
int control_open(struct control *control, const char *dir, struct error *err) MUST_CHECK;
void control_close(struct control *control);

/* Serve until a signal says otherwise. Returns the exit code, or below 0. */
int control_serve(struct control *control, struct error *err) MUST_CHECK;

/* Tell a running endpoint that this process wrote to the store: DIR/changed is touched, and the
 * endpoint watches it. */
int control_notify(struct control *control, struct error *err) MUST_CHECK;
