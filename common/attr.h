/* SPDX-License-Identifier: Apache-2.0 */
/* Compiler attributes under names that say what they mean. GCC and Clang only. */
#pragma once

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define MUST_CHECK __attribute__((warn_unused_result))
#define NORETURN __attribute__((noreturn))
#define UNUSED __attribute__((unused))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
