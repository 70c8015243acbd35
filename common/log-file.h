/* SPDX-License-Identifier: Apache-2.0 */
/* A log file for tools that read files: NAME.log in a directory, lines as the official CodeDeploy
 * agents write them, one file a day:
 *
 *     2026-01-02T03:04:05 WARN  [codedeploy-agent(4711)]: text
 *
 * The first line of a new day, and the one that would pass 64 MiB, finds the file renamed to
 * NAME.YYYYMMDD.log (NAME.YYYYMMDD.N.log when there is one already), the day of its last line;
 * LOG_FILE_KEPT of those stay. Who else renames or removes the file finds a new one begun. */
#pragma once

#include "common/error.h"

#include <sys/types.h>

#define LOG_FILE_KEPT 7

struct log_file;

/* dir is made when missing, with dir_mode; one that is there loses what others may do beyond that.
 * Files get file_mode. */
int log_file_open(const char *dir, const char *name, mode_t dir_mode, mode_t file_mode,
		  struct log_file **ret, struct error *err) MUST_CHECK;
void log_file_free(struct log_file *file);
/* A sink of log.h; arg is the struct log_file. */
void log_file_write(int level, const char *text, void *arg);
