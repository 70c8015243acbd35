/* SPDX-License-Identifier: Apache-2.0 */
/* What was pushed last from here, for 'fleet deploy' without --revision; and revisions as text.
 * Kept in $XDG_STATE_HOME/slipway/pushed.json (~/.local/state/slipway/pushed.json):
 * {"ENDPOINT APP": REVISION}, REVISION being the API's RevisionLocation. */
#pragma once

#include "common/error.h"

#include <jansson.h>

/* RevisionLocation of a bundle in the endpoint's store. type: tar, tgz or zip. etag and version may
 * be NULL. */
json_t *fleet_revision(const char *bucket, const char *key, const char *type, const char *etag,
		       const char *version);
/* "s3://BUCKET/KEY" or "s3://BUCKET/KEY?versionId=V"; the type is told by the key's end. */
int fleet_revision_parse(const char *text, json_t **ret, struct error *err) MUST_CHECK;
/* "s3://BUCKET/KEY"; the caller frees. */
char *fleet_revision_text(const json_t *revision);

int fleet_pushed_save(const char *endpoint, const char *app, const json_t *revision,
		      struct error *err) MUST_CHECK;
/* ERR_NOT_FOUND when nothing was pushed from here; new reference. */
int fleet_pushed_load(const char *endpoint, const char *app, json_t **ret,
		      struct error *err) MUST_CHECK;
