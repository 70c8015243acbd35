/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics as text: OpenMetrics 1.0, or the older Prometheus format 0.0.4, which is what
 * node_exporter's textfile collector reads. They differ in the names of counters' families and in
 * the last line. */
#pragma once

#include "common/buf.h"

#include <stdbool.h>
#include <stdint.h>

struct exposition {
	struct buf text;
	bool openmetrics;
	const char *family; /* that samples belong to now */
	bool counter;
};

/* kind: "counter" (name without "_total"), "gauge", "histogram", "info" (a gauge in the older
 * format; name without "_info"). Names are literals. */
void exposition_family(struct exposition *e, const char *name, const char *kind, const char *help);
/* labels: name, value, ..., NULL; values may be anything. suffix: "", "_bucket", ... */
void exposition_sample(struct exposition *e, const char *suffix, const char *const labels[],
		       double value);
void exposition_end(struct exposition *e);
