/* SPDX-License-Identifier: Apache-2.0 */
/* The numbered files of schema/, embedded in their order when the program is built. */
#pragma once

#include <stddef.h>

extern const char *const store_schema[];
extern const size_t store_schema_count;
