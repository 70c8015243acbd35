/* SPDX-License-Identifier: Apache-2.0 */
/* Scope cleanup: an owned local is released when its scope ends, unless TAKE() handed it on.
 * Cleanups run in reverse order of declaration; not on _exit, exec or a signal. */
#pragma once

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(fn) __attribute__((cleanup(fn)))

/* Two lines beside a destructor give its type a scope variable:
 *     DEFINE_CLEANUP(struct state *, state_free)
 *     #define auto_state CLEANUP(state_free_at)
 */
#define DEFINE_CLEANUP(type, free_fn)            \
	static inline void free_fn##_at(type *p) \
	{                                        \
		if (*p)                          \
			free_fn(*p);             \
	}

/* Hand an owned pointer (or descriptor) on: the variable is empty afterwards. */
#define TAKE(ptr)                              \
	({                                     \
		__typeof__(ptr) took_ = (ptr); \
		(ptr) = NULL;                  \
		took_;                         \
	})
#define TAKE_FD(fd)               \
	({                        \
		int took_ = (fd); \
		(fd) = -1;        \
		took_;            \
	})

static inline void cleanup_free_at(void *p)
{
	free(*(void **)p);
}
#define auto_free CLEANUP(cleanup_free_at)

static inline void cleanup_close_at(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
#define auto_close CLEANUP(cleanup_close_at)

static inline void cleanup_fclose_at(FILE **f)
{
	if (*f)
		fclose(*f);
}
#define auto_fclose CLEANUP(cleanup_fclose_at)

static inline void cleanup_closedir_at(DIR **d)
{
	if (*d)
		closedir(*d);
}
#define auto_closedir CLEANUP(cleanup_closedir_at)
