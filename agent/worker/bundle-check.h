/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the bundle module: what a host's options refuse in a bundle, by the name of the entry. */
#pragma once

#include "agent/worker/bundle-write.h"

/* One entry, before anything is made of it; path: its name for a message. */
int bundle_check_entry(const struct bundle_limits *limits, const struct bundle_entry *entry,
		       const char *path, struct error *err) MUST_CHECK;
