/* SPDX-License-Identifier: Apache-2.0 */
/* The deployment root as the official agent keeps it (1.8 and 2.x, the same names): read with
 * distrust, since root removes what stands in it, and written so that its next deployment cleans up
 * the right files. Format: docs/formats/official.md. */
#pragma once

#include "agent/worker/group.h"
#include "common/cleanup.h"
#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

#define OFFICIAL_INSTRUCTIONS "deployment-instructions"
#define OFFICIAL_FILE_MAX ((size_t)256 << 20)

struct official_object {
	char *path; /* canonical */
	char type;  /* 'f' 'd' 'l' */
};

struct official_group {
	char *id;
	char *successful, *recent;       /* deployments, by the pointer files; NULL */
	struct official_object *objects; /* directories first, each after the one that it is in */
	size_t n_objects;
	char **labels; /* NULL-terminated: paths with a rule of semanage's; may be NULL */
	size_t n_labels;
	size_t gone;  /* paths of the cleanup file at which there is nothing any more */
	bool partial; /* its last line was not finished: the official agent was killed */
};
void official_group_clear(struct official_group *g);
#define auto_official_group CLEANUP(official_group_clear)

/* The deployment that is going on, by the tracking directory (files younger than a day, as both
 * generations read it). Returns 1 with its id, which the caller frees, or 0. */
int official_ongoing(int root_fd, const char *tracking, char **ret, struct error *err) MUST_CHECK;

/* Ids of the groups that have instructions, sorted, NULL-terminated; str_list_free(). */
int official_groups(int root_fd, char ***ret, struct error *err) MUST_CHECK;

/* What one of them has installed. keep_out: NULL-terminated prefixes of paths that no deployment
 * may have. ERR_REFUSED with the file, and the line of the cleanup file, that cannot be trusted. */
int official_group_read(int root_fd, const char *root_path, const char *id,
			const char *const *keep_out, struct official_group *ret,
			struct error *err) MUST_CHECK;

/* Of an open group: GROUP-cleanup, GROUP-install.json and the pointer files as if the official
 * agent had installed what the group has; durable. labels: a JSON list, may be NULL.
 * *ret_unwritable: paths that the cleanup file cannot express. */
int official_group_write(struct group *g, const json_t *labels, size_t *ret_unwritable,
			 struct error *err) MUST_CHECK;
