// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/exposure.h"

#include "agent/proxies.h"
#include "common/log.h"

#include <sys/stat.h>

void exposure_check(const char *path, const char *secret, mode_t wide, mode_t to)
{
	struct stat st;
	if (stat(path, &st) < 0 || !(st.st_mode & wide))
		return;
	log_warning("'%s' holds %s and has mode %04o: others may read it; run 'chmod %04o %s'",
		    path, secret, st.st_mode & 07777, to, path);
}

void exposure_warn(const struct paths *paths, const struct settings *settings,
		   const struct identity *identity)
{
	if (identity && identity->key_file)
		exposure_check(identity->key_file, "the host's key", S_IRWXG | S_IRWXO, 0600);
	if (proxies_have_password(settings))
		exposure_check(paths->agent_yml, "the proxy's password", S_IRWXO, 0640);
}
