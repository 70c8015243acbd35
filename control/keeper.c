// SPDX-License-Identifier: Apache-2.0
/* A file is removed when its row of garbage is durable and nothing uses it, and the row after the
 * file: killed in between, the next look finds the row again. */
#include "control/keeper.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "control/api-s3.h"
#include "control/bundles.h"
#include "control/control.h"
#include "control/store.h"

#include <stdlib.h>

#define EVERY_MS (3600 * 1000ULL)
#define SOON_MS 1000
#define STEP 100 /* files or uploads in one turn of the loop */

struct keeper {
	struct control *control;
	sd_event_source *timer;
	char *after; /* the garbage that was looked at in this round, or NULL */
};

static int on_timer(sd_event_source *source, uint64_t usec, void *arg);

static void look_again(struct keeper *keeper, uint64_t ms)
{
	struct error err = {0};
	if (loop_timer(&keeper->control->loop, &keeper->timer, ms, ms / 10, on_timer, keeper,
		       &err) < 0)
		log_error("%s", err.text);
}

void keeper_wake(struct keeper *keeper)
{
	look_again(keeper, SOON_MS);
}

static int clean_one(struct control *control, const char *file, struct error *err)
{
	bool used = false;
	int r = store_file_is_used(control->store, file, &used, err);
	if (r == 0 && !used)
		r = bundles_remove(control->bundles, file, err);
	if (r == ERR_BUSY)
		return 0; /* next time */
	return r < 0 ? r : store_garbage_remove(control->store, file, err);
}

/* Returns how many were looked at. */
static int clean_garbage(struct keeper *keeper, struct error *err)
{
	struct control *control = keeper->control;
	auto_names struct store_names files = {0};
	int r = store_garbage_list(control->store, keeper->after ? keeper->after : "", STEP, &files,
				   err);
	for (size_t i = 0; r == 0 && i < files.count; i++)
		r = clean_one(control, files.names[i], err);
	if (r < 0)
		return r;
	free(keeper->after);
	keeper->after = files.count ? xstrdup(files.names[files.count - 1]) : NULL;
	return (int)files.count;
}

/* Returns how many were dropped. */
static int drop_uploads(struct control *control, struct error *err)
{
	auto_names struct store_names ids = {0};
	int64_t before_s = clock_wall_s() - (int64_t)(control->settings.upload_max_age_ms / 1000);
	int r = store_upload_old(control->store, before_s, STEP, &ids, err), dropped = 0;
	for (size_t i = 0; r == 0 && i < ids.count; i++) {
		if (s3_is_joining(control, ids.names[i]))
			continue;
		log_info("upload %s is older than upload_max_age: forgotten", ids.names[i]);
		r = store_upload_delete(control->store, ids.names[i], err);
		dropped++;
	}
	return r < 0 ? r : dropped;
}

/* One step: of uploads, then of garbage. */
static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	struct keeper *keeper = arg;
	struct error err = {0};
	if (store_dirty(keeper->control->store)) {
		look_again(keeper, 10); /* what is not durable may not happen */
		return 0;
	}
	int n = drop_uploads(keeper->control, &err);
	if (n == 0)
		n = clean_garbage(keeper, &err);
	if (n < 0)
		log_warning("cleaning the bundle store: %s", err.text);
	look_again(keeper, n > 0 ? 10 : EVERY_MS);
	return 0;
}

/* ---- start ---- */

static int check_part(const char *file, void *arg)
{
	struct control *control = arg;
	struct error err = {0};
	bool used = true;
	int r = store_file_is_used(control->store, file, &used, &err);
	if (r == 0 && !used)
		r = store_garbage_add(control->store, file, &err);
	if (r < 0)
		log_warning("part file '%s': %s", file, err.text);
	return r;
}

int keeper_start(struct control *control, struct keeper **ret, struct error *err)
{
	int r = bundles_each_part(control->bundles, check_part, control, err);
	if (r == 0)
		r = store_commit(control->store, err);
	if (r < 0)
		return error_prefix(err, r, "parts of uploads");
	struct keeper *keeper = xcalloc(1, sizeof(*keeper));
	keeper->control = control;
	look_again(keeper, 10);
	*ret = keeper;
	return 0;
}

void keeper_stop(struct keeper *keeper)
{
	if (!keeper)
		return;
	loop_source_unref_at(&keeper->timer);
	free(keeper->after);
	free(keeper);
}
