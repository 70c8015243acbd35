/* SPDX-License-Identifier: Apache-2.0 */
/* What a monitoring system wants to know: over the local socket (request "metrics"), and as a file
 * for node_exporter (metrics_file). Names and meanings: docs/metrics.md. Without either nothing is
 * done here but counting. */
#pragma once

#include "agent/daemon/daemon.h"
#include "agent/daemon/service.h"

struct metrics;
struct metrics *metrics_new(struct daemon *daemon);
void metrics_free(struct metrics *metrics);

/* A poll has ended. */
void metrics_polled(struct metrics *metrics, enum outcome outcome);
/* A bundle has come, or finally not. */
void metrics_downloaded(struct metrics *metrics, bool ok, uint64_t bytes);
/* Something else that is told may have changed. The file is written at most every 15 s. */
void metrics_touch(struct metrics *metrics);

/* The settings may name another file: it is written at once. */
void metrics_reload(struct metrics *metrics);

/* The whole text; the caller frees. */
int metrics_text(struct metrics *metrics, bool openmetrics, char **ret,
		 struct error *err) MUST_CHECK;
