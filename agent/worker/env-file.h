/* SPDX-License-Identifier: Apache-2.0 */
/* hook_environment_file of agent.yml: NAME=VALUE lines, as /etc/environment and EnvironmentFile= of
 * systemd have them. Nothing is expanded or run: what a shell would make of /etc/profile has to be
 * in it already. */
#pragma once

#include "common/conf.h"
#include "common/error.h"

#define ENV_FILE_MAX ((size_t)256 * 1024)
#define ENV_FILE_VARIABLES_MAX 1000

/* Blank lines and those with # are skipped, "export " before a name too; one pair of quotes around
 * the value goes, and in double quotes a backslash before \ " $ ` and the end of the line. What is
 * no such line is left out and named in *ret_bad: the first of their numbers, 0: none. The last of
 * a name counts. Pure. ERR_LIMIT. */
int env_file_parse(const char *text, struct conf_map *ret, unsigned *ret_bad,
		   struct error *err) MUST_CHECK;
int env_file_load(const char *path, struct conf_map *ret, unsigned *ret_bad,
		  struct error *err) MUST_CHECK;
void env_file_clear(struct conf_map *map);
#define auto_env_file CLEANUP(env_file_clear)
