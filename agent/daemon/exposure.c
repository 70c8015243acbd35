// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/exposure.h"

#include "common/log.h"

#include <string.h>
#include <sys/stat.h>

/* wide: the bits that the file must not have; to: the mode that is right. */
static void check(const char *path, const char *secret, mode_t wide, mode_t to)
{
	struct stat st;
	if (stat(path, &st) < 0 || !(st.st_mode & wide))
		return;
	log_warning("'%s' holds %s and has mode %04o: others may read it; run 'chmod %04o %s'",
		    path, secret, st.st_mode & 07777, to, path);
}

/* "http://user:password@host:port" */
static bool has_password(const char *uri)
{
	const char *scheme = uri ? strstr(uri, "://") : NULL;
	const char *authority = scheme ? scheme + 3 : uri;
	if (!authority)
		return false;
	const char *at = memchr(authority, '@', strcspn(authority, "/?#"));
	return at && memchr(authority, ':', (size_t)(at - authority));
}

void exposure_warn(const struct paths *paths, const struct settings *settings,
		   const struct identity *identity)
{
	if (identity)
		check(identity->key_file, "the host's key", S_IRWXG | S_IRWXO, 0600);
	if (has_password(settings->proxy_uri))
		check(paths->agent_yml, "the proxy's password", S_IRWXO, 0640);
}
