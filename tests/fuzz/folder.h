/* SPDX-License-Identifier: Apache-2.0 */
/* A directory for targets that read files: made at the first call, removed at the end. */
#pragma once

#include <stddef.h>

/* Its descriptor, the same at each call. */
int fuzz_folder(void);
const char *fuzz_folder_path(void);
/* Write a file in it, over what is there. */
void fuzz_folder_write(const char *name, const void *data, size_t len);
