/* SPDX-License-Identifier: Apache-2.0 */
/* Strict text: parsing of numbers, sizes and durations that accepts the whole string or nothing;
 * small string helpers. */
#pragma once

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool str_eq(const char *a, const char *b); /* NULL equals NULL only */
bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
bool str_empty(const char *s); /* NULL or "" */

/* Decimal digits only, no sign (str_to_i64 takes one), no blanks. Return 0, -EINVAL or -ERANGE. */
int str_to_u64(const char *s, uint64_t *ret) MUST_CHECK;
int str_to_i64(const char *s, int64_t *ret) MUST_CHECK;
/* true/false, yes/no, on/off, 1/0. */
int str_to_bool(const char *s, bool *ret) MUST_CHECK;
/* "10", "64k", "2M", "1G", "1T" (powers of 1024) to bytes; "5B"; "5KB" to "TB" (powers of 1000);
 * "5KiB" to "TiB". */
int str_to_size(const char *s, uint64_t *ret_bytes) MUST_CHECK;
/* "150%", or "150", to 150. */
int str_to_percent(const char *s, uint64_t *ret) MUST_CHECK;
/* "90" (seconds), "500ms", "30s", "10m", "2h", "1d" to milliseconds. */
int str_to_duration(const char *s, uint64_t *ret_ms) MUST_CHECK;

/* Lower-case hex. out has 2 * len + 1 bytes. */
void str_hex(const void *data, size_t len, char *out);
/* Returns the number of bytes written, -EINVAL on a bad digit or odd length, -ENOSPC. */
int str_unhex(const char *hex, void *out, size_t room) MUST_CHECK;

/* Is s valid UTF-8 without NUL? */
bool str_is_utf8(const char *s, size_t len);
/* A copy in which every byte that is not valid UTF-8 became U+FFFD, and every control character but
 * \n and \t, and what turns the direction of text, a '?'. Caller frees. */
char *str_to_utf8(const void *data, size_t len);
/* The same in one line: \n and \t became '?', too. For names, where they pretend to be more lines.
 */
char *str_to_line(const void *data, size_t len);
/* As it is typed at a shell: in quotes unless it needs none. Caller frees. */
char *str_shell_word(const char *word);

/* Split at sep; empty parts stay. Returns a NULL-terminated array, to be freed with
 * str_list_free(). */
char **str_split(const char *s, char sep);
void str_list_free(char **list);

/* Of two words that could have been meant by word, the one that is nearer by its letters (case does
 * not count); best may be NULL: none yet. A candidate that resembles word too little is none. */
const char *str_nearer(const char *word, const char *best, const char *candidate);

/* Percent-encode as RFC 3986 (unreserved stays); keep_slash leaves '/'. Caller frees. */
char *str_uri_encode(const char *s, size_t len, bool keep_slash);

/* A file name that cannot climb: not empty, not "." or "..", no '/', no NUL, at most 255 bytes. */
bool str_is_filename(const char *s);

/* "1.5 GB" style for people, into out (32 bytes are enough). */
const char *str_human_bytes(uint64_t bytes, char *out, size_t room);

/* Random text of n characters from [A-Z0-9] (getrandom). out has n + 1 bytes. */
void str_random(char *out, size_t n);
/* Random UUID v4 text, 36 characters + NUL. */
void str_uuid(char out[37]);
