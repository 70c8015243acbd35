// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/label.h"

#include "common/log.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#ifdef HAVE_SELINUX
#include <selinux/label.h>
#include <selinux/selinux.h>
#endif

#define ATTRIBUTE "security.selinux"

#ifdef HAVE_SELINUX
bool label_is_enabled(const char **ret_why)
{
	bool enabled = is_selinux_enabled() > 0;
	if (ret_why)
		*ret_why = enabled ? NULL : "SELinux is not enabled on this host";
	return enabled;
}

static int keep(const char *label, char ret[LABEL_MAX], struct error *err)
{
	int n = snprintf(ret, LABEL_MAX, "%s", label);
	return n < LABEL_MAX ? 0
			     : error_set(err, ERR_INPUT, "the label '%.64s...' is too long", label);
}

int label_default(const char *path, mode_t type, char ret[LABEL_MAX], struct error *err)
{
	struct selabel_handle *handle = selabel_open(SELABEL_CTX_FILE, NULL, 0);
	if (!handle)
		return error_errno(err, "open the policy's list of labels");
	char *label = NULL;
	int r = selabel_lookup_raw(handle, &label, path, (int)type) < 0 ? -errno : 0;
	selabel_close(handle);
	ret[0] = '\0';
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return error_set(err, r, "the policy's label of %s: %s", path, strerror(-r));
	r = keep(label, ret, err);
	freecon(label);
	return r;
}

void label_create(const char *label)
{
	if (setfscreatecon_raw(label) < 0)
		log_debug("new objects cannot be given the label '%s'", label ? label : "");
}

int label_check(char label[LABEL_MAX], struct error *err)
{
	char *canonical = NULL;
	if (security_canonicalize_context_raw(label, &canonical) < 0)
		return error_set(err, errno == EINVAL ? ERR_INPUT : -errno,
				 "the host's SELinux policy does not know '%s' (%s)", label,
				 strerror(errno));
	int r = keep(canonical, label, err);
	freecon(canonical);
	return r;
}
#else
void label_create(const char *label)
{
	(void)label;
}

bool label_is_enabled(const char **ret_why)
{
	if (ret_why)
		*ret_why = "this build knows no SELinux";
	return false;
}

int label_default(const char *path, mode_t type, char ret[LABEL_MAX], struct error *err)
{
	(void)path;
	(void)type;
	(void)err;
	ret[0] = '\0';
	return 0;
}

int label_check(char label[LABEL_MAX], struct error *err)
{
	return error_set(err, -ENOTSUP, "'%s' cannot be checked: this build knows no SELinux",
			 label);
}
#endif

/* A policy without levels has labels of three parts, and then a range makes no sense: whoever
 * writes one anyway hears it from label_check(). */
int label_compose(const char *base, const struct spec_context *context, char ret[LABEL_MAX],
		  struct error *err)
{
	char copy[LABEL_MAX];
	char *part[4] = {NULL}; /* a range has colons of its own */
	snprintf(copy, sizeof(copy), "%s", base);
	char *rest = copy;
	for (size_t i = 0; i < 4 && rest && *rest; i++)
		part[i] = i < 3 ? strsep(&rest, ":") : rest;
	const char *user = context->user ? context->user : part[0] ? part[0] : "system_u";
	const char *role = part[1] ? part[1] : "object_r";
	const char *range = context->range ? context->range : part[0] ? part[3] : "s0";
	int n = snprintf(ret, LABEL_MAX, "%s:%s:%s%s%s", user, role, context->type,
			 range ? ":" : "", range ? range : "");
	return n < LABEL_MAX ? 0 : error_set(err, ERR_INPUT, "the SELinux context is too long");
}

/* Its NUL is part of it, as a rule. */
static int got(ssize_t n, char ret[LABEL_MAX])
{
	ret[n < 0 ? 0 : n] = '\0';
	return n >= 0 || errno == ENODATA || errno == ENOTSUP ? 0 : -errno;
}

int label_get(int fd, char ret[LABEL_MAX])
{
	return got(fgetxattr(fd, ATTRIBUTE, ret, LABEL_MAX - 1), ret);
}

int label_get_at(int dirfd, const char *name, char ret[LABEL_MAX])
{
	char path[NAME_MAX + 64];
	int n = snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dirfd, name);
	if (n >= (int)sizeof(path))
		return -ENAMETOOLONG;
	return got(lgetxattr(path, ATTRIBUTE, ret, LABEL_MAX - 1), ret);
}

int label_set(int fd, const char *label)
{
	return fsetxattr(fd, ATTRIBUTE, label, strlen(label) + 1, 0) < 0 ? -errno : 0;
}
