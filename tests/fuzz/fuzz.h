/* SPDX-License-Identifier: Apache-2.0 */
/* One function per fuzz target; libFuzzer calls it, or replay.c does. */
#pragma once

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
