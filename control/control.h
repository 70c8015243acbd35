/* SPDX-License-Identifier: Apache-2.0 */
/* The endpoint: everything that runs, wired together. */
#pragma once

#include "common/loop.h"
#include "control/settings.h"

struct bundles;
struct ca;
struct deploy;
struct guard;
struct keeper;
struct s3_join;
struct server;
struct store;

#define CONTROL_DIR "/var/lib/slipway-control"
#define CONTROL_USER "slipway-control" /* whose it is, where there is such a user */
#define CONTROL_CREDENTIALS "admin-credentials.json"

struct control {
	char *dir; /* /var/lib/slipway-control, absolute */
	int dirfd;
	struct settings settings;
	bool made;      /* control_open() made the endpoint: it was not there */
	char *name;     /* the first of its names, or the host's */
	char *endpoint; /* "https://host:port": how others reach it, as far as is known */
	struct store *store;
	struct ca *ca;
	/* only while serving: */
	struct loop loop;
	struct bundles *bundles;
	struct keeper *keeper; /* of what the bundle store needs no longer */
	struct s3_join *joins; /* uploads whose parts are being joined: api-s3-parts.c */
	struct guard *guard;   /* of enrolment */
	struct deploy *deploy; /* deploy.h */
	struct server *server;
};
#define CONTROL_INIT ((struct control){.dirfd = -1})

/* Open what every command needs: directory, store, CA. With names it makes what is missing, with
 * the first admin access key in DIR/admin-credentials.json; without, ERR_INPUT when there is none.
 * Overwrites nothing. Root becomes the directory's owner. control->settings was loaded; region and
 * account are those of the store once it has some, and others are refused (ERR_INPUT: they are in
 * every ARN). names: further ones of the server, remembered (NULL-terminated); NULL: the
 * certificates of server and signer are not needed. */
int control_open(struct control *control, const char *dir, const char *const names[],
		 struct error *err) MUST_CHECK;
void control_close(struct control *control);
#define auto_control CLEANUP(control_close)

/* Commit what a command wrote and tell a running endpoint, which watches DIR/changed. */
int control_commit(struct control *control, struct error *err) MUST_CHECK;

/* Serve until a signal says otherwise. Says on stdout where it listens. Returns the exit code, or
 * below 0; ERR_BUSY when another process serves this directory. */
int control_serve(struct control *control, struct error *err) MUST_CHECK;
