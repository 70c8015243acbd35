// SPDX-License-Identifier: Apache-2.0
/* The running endpoint: starts the parts in the order in which they need each other, and ends them
 * in the reverse one. */
#include "control/control.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/log.h"
#include "common/str.h"
#include "control/bundles.h"
#include "control/ca.h"
#include "control/deploy.h"
#include "control/guard.h"
#include "control/keeper.h"
#include "control/messages.h"
#include "control/server.h"
#include "control/store.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>

#define STOP_WAIT_MS 5000
#define RENEW_EVERY_MS (6 * 3600 * 1000ULL)
#define CREDENTIALS_MAX 65536

struct serve {
	struct control *control;
	sd_event_source *changed, *renew;
};

/* ---- what happens while it runs ---- */

/* A command wrote to the store: 'host revoke', 'key delete', ... */
static int on_changed(sd_event_source *source, const struct inotify_event *event, void *arg)
{
	struct control *control = ((struct serve *)arg)->control;
	store_changed(control->store);
	deploy_changed(control->deploy);
	server_recheck(control->server);
	return 0;
}

static int on_renew(sd_event_source *source, uint64_t usec, void *arg);

static int arm_renew(struct serve *serve, struct error *err)
{
	return loop_timer(&serve->control->loop, &serve->renew, RENEW_EVERY_MS, 60000, on_renew,
			  serve, err);
}

static void renew(struct control *control, bool always)
{
	struct error err = {0};
	bool renewed = false;
	int r = ca_renew(control->ca, NULL, clock_wall_s(), &renewed, &err);
	if (r >= 0 && (renewed || always))
		r = server_set_certificate(control->server, ca_server_pem(control->ca),
					   ca_server_key(control->ca), &err);
	if (r < 0)
		log_event(LOG_ERR, MESSAGE_SERVER_NOT_RENEWED, NULL,
			  "renewing the server's certificate: %s", err.text);
	else if (renewed)
		log_notice("the server's certificate was renewed");
}

static int on_renew(sd_event_source *source, uint64_t usec, void *arg)
{
	struct serve *serve = arg;
	struct error err = {0};
	renew(serve->control, false);
	if (arm_renew(serve, &err) < 0)
		log_error("%s", err.text);
	return 0;
}

/* SIGHUP: look at the certificates' files now. */
static void on_reload(void *arg)
{
	struct control *control = ((struct serve *)arg)->control;
	ca_reload(control->ca);
	renew(control, true);
}

static void on_stopped(void *arg)
{
	loop_stop(arg, 0);
}

static void on_stop(void *arg)
{
	struct control *control = ((struct serve *)arg)->control;
	log_notice("stopping");
	server_stop(control->server, STOP_WAIT_MS, on_stopped, &control->loop);
}

/* ---- start ---- */

/* The credentials' file follows the port, unless a person has changed its address. */
static int update_credentials(struct control *control, const char *before, struct error *err)
{
	auto_json json_t *doc = NULL;
	const char *written = NULL;
	int r = json_read_file(control->dirfd, CONTROL_CREDENTIALS, CREDENTIALS_MAX, &doc, err);
	if (r == -ENOENT)
		return 0;
	if (r < 0 || json_opt_str(doc, "endpoint", &written, err) < 0 || !str_eq(written, before)) {
		log_warning("'%s' was changed by hand: its endpoint is left as it is",
			    CONTROL_CREDENTIALS);
		return 0;
	}
	json_set_str(doc, "endpoint", control->endpoint);
	return json_write_file(control->dirfd, CONTROL_CREDENTIALS, doc, 0600, err);
}

/* Write down where it listens: 'token create' prints it. */
static int remember_endpoint(struct control *control, struct error *err)
{
	auto_free char *before = TAKE(control->endpoint);
	control->endpoint = xstrdup(server_url(control->server));
	if (strcmp(before, control->endpoint) == 0)
		return 0;
	int r = update_credentials(control, before, err);
	if (r >= 0)
		r = store_meta_set(control->store, "endpoint", control->endpoint, err);
	return r < 0 ? r : store_commit(control->store, err);
}

static int watch_changes(struct serve *serve, struct error *err)
{
	struct control *control = serve->control;
	int r = control_commit(control, err); /* makes the file */
	if (r < 0)
		return r;
	auto_free char *path = fs_join(control->dir, "changed");
	r = sd_event_add_inotify(control->loop.event, &serve->changed, path, IN_ATTRIB, on_changed,
				 serve);
	if (r < 0) {
		errno = -r;
		return error_errno(err, "watch '%s'", path);
	}
	return 0;
}

static int start_server(struct control *control, struct error *err)
{
	struct server_options options = {
		.listen = control->settings.listen,
		.name = control->name,
		.ca_pem = ca_pem(control->ca),
		.cert_pem = ca_server_pem(control->ca),
		.key_pem = ca_server_key(control->ca),
		.connections_max = (unsigned)control->settings.connections_max,
		.idle_ms = control->settings.idle_ms,
	};
	int r = server_start(control, &options, &control->server, err);
	return r < 0 ? r : remember_endpoint(control, err);
}

static int start(struct serve *serve, struct error *err)
{
	struct control *control = serve->control;
	control->guard = xcalloc(1, sizeof(*control->guard));
	int r = bundles_open(control->dirfd, &control->loop, &control->bundles, err);
	if (r >= 0)
		r = keeper_start(control, &control->keeper, err);
	if (r >= 0)
		r = deploy_start(control, &control->deploy, err);
	if (r >= 0)
		r = start_server(control, err);
	if (r >= 0)
		r = watch_changes(serve, err);
	if (r >= 0)
		r = arm_renew(serve, err);
	return r;
}

static void end(struct serve *serve)
{
	struct control *control = serve->control;
	struct error err = {0};
	loop_source_unref_at(&serve->changed);
	loop_source_unref_at(&serve->renew);
	server_free(control->server);
	deploy_stop(control->deploy);
	if (store_commit(control->store, &err) < 0)
		log_warning("%s", err.text);
	keeper_stop(control->keeper);
	bundles_close(control->bundles);
	free(control->guard);
	control->server = NULL;
	control->deploy = NULL;
	control->bundles = NULL;
	control->keeper = NULL;
	control->guard = NULL;
}

int control_serve(struct control *control, struct error *err)
{
	auto_close int lock = fs_lock(control->dirfd, "serve.lock", 0, err);
	if (lock == ERR_BUSY)
		return error_set(err, ERR_BUSY, "another slipway-controld serves '%s'",
				 control->dir);
	if (lock < 0)
		return lock;
	int r = loop_init(&control->loop, err);
	if (r < 0)
		return r;
	struct serve serve = {.control = control};
	control->loop.on_stop = on_stop;
	control->loop.on_reload = on_reload;
	control->loop.arg = &serve;
	r = start(&serve, err);
	if (r >= 0) {
		printf("slipway-controld: listening on %s\n", control->endpoint);
		fflush(stdout);
		loop_ready();
		loop_status("listening on %s", control->endpoint);
		r = loop_run(&control->loop, err);
	}
	end(&serve);
	loop_clear(&control->loop);
	return r;
}
