/* SPDX-License-Identifier: Apache-2.0 */
/* scripts.log, line by line:
 *
 *     2026-11-21 18:40:18 LifecycleEvent - ApplicationStart
 *     2026-11-21 18:40:18 Script - scripts/start.sh
 *     2026-11-21 18:40:18 [stdout]what it printed
 */
#pragma once

#include <jansson.h>
#include <stddef.h>

/* What the headings before a line say. Empty at the beginning. */
struct log_place {
	char *event, *script;
};
void log_place_clear(struct log_place *place);

/* {"time","event","script","stream","line"} of a line, with or without its end; NULL for a heading,
 * which is remembered. stream is "slipway" where that has left something out. What is no line of
 * this kind has only "line". Bytes that are not UTF-8 and control characters are replaced. */
json_t *log_line_to_json(struct log_place *place, const char *line, size_t len);
