/* SPDX-License-Identifier: Apache-2.0 */
/* Monotonic and wall time. */
#pragma once

#include <stddef.h>
#include <stdint.h>

uint64_t clock_mono_us(void); /* CLOCK_MONOTONIC, microseconds */
int64_t clock_wall_s(void);   /* Unix time, seconds */
double clock_wall(void);      /* Unix time, seconds with fraction (microseconds) */

#define CLOCK_ISO_LEN 32
/* "2026-01-02T03:04:05Z" (UTC) into out; returns out. */
const char *clock_format_iso(int64_t unix_s, char out[CLOCK_ISO_LEN]);
/* "20260102T030405Z" (UTC), the form of X-Amz-Date. */
const char *clock_format_amz(int64_t unix_s, char out[CLOCK_ISO_LEN]);
/* "2026-01-02 03:04:05" local time, for people and scripts.log. */
const char *clock_format_local(int64_t unix_s, char out[CLOCK_ISO_LEN]);
/* Parse "20260102T030405Z". Returns 0 or -EINVAL. */
int clock_parse_amz(const char *s, int64_t *ret_unix_s);
