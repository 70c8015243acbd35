/* SPDX-License-Identifier: Apache-2.0 */
/* The AppSpec: what a bundle says about its installation. Rules: reference "appspec". All mistakes
 * of a file are found in one go, each with line and column. */
#pragma once

#include "agent/problem.h"
#include "common/cleanup.h"
#include "common/error.h"
#include "common/wire.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SPEC_MAX_BYTES ((size_t)1024 * 1024)
#define SPEC_TIMEOUT_DEFAULT_S 3600
#define SPEC_TIMEOUT_MAX_S \
	((int64_t)366 * 24 * 3600) /* longer ones are cut to it, with a warning */

enum spec_file_exists { SPEC_EXISTS_UNSET, SPEC_DISALLOW, SPEC_OVERWRITE, SPEC_RETAIN };
const char *spec_file_exists_to_string(enum spec_file_exists b);
int spec_file_exists_from_string(const char *name,
				 enum spec_file_exists *ret) MUST_CHECK; /* exact upper case */

struct spec_file {
	char *source; /* relative to the archive, normalised: no leading '/', no ".", never climbs;
			 "" is the whole revision */
	char *destination;     /* absolute, normalised; a directory */
	unsigned line, column; /* of the entry, for messages */
};

enum spec_acl_tag { SPEC_ACL_USER, SPEC_ACL_GROUP, SPEC_ACL_MASK, SPEC_ACL_OTHER };

/* One entry of 'acls'. */
struct spec_acl {
	bool is_default;
	enum spec_acl_tag tag;
	char *name;    /* "": the owner's, or none */
	unsigned perm; /* 0 to 7 */
};

/* SELinux; what is NULL is as the host's policy has it. */
struct spec_context {
	char *type, *user, *range;
};

struct spec_permission {
	char *object;            /* absolute, normalised */
	char *pattern;           /* "**" by default */
	char **except;           /* NULL-terminated; may be NULL */
	bool files, directories; /* type; both by default */
	char *owner, *group;     /* NULL: unchanged */
	bool has_mode;
	mode_t mode;   /* a plain 0644 is the text 0644, as its author meant it; the official agent
			  1.8 reads it as YAML's octal number 420 and sets 0420. A warning says so */
	bool has_acls; /* 'acls' is there, maybe empty: what the object would inherit goes */
	struct spec_acl *acls;
	size_t n_acls;
	bool has_context;
	struct spec_context context;
	unsigned line, column;
};

/* What a script, and all that it starts, may use at most. A host has some for all its scripts, an
 * AppSpec may have stricter ones for one; 0: not limited. */
struct spec_limits {
	uint64_t memory_bytes, tasks, cpu_percent;
	int nice;
	bool has_nice; /* 0 may be meant */
	unsigned line, column;
};

struct spec_hook {
	char *location;      /* relative to the archive, normalised */
	char *location_text; /* as written, for script_name */
	int64_t timeout_s;   /* 3600 by default */
	char *runas;         /* NULL */
	bool sudo;           /* accepted with a warning: hooks run as root already, or as runas */
	struct spec_limits limits; /* an extension of ours */
	unsigned line, column;
};

struct spec_event {
	char *name; /* free text: custom events are allowed */
	struct spec_hook *hooks;
	size_t n_hooks;
	unsigned line, column;
};

struct spec {
	enum spec_file_exists file_exists;
	struct spec_file *files;
	size_t n_files;
	struct spec_permission *permissions;
	size_t n_permissions;
	struct spec_event *events;
	size_t n_events;
	unsigned up_line, up_column; /* the first path of the host with a "..", else 0 */
};

/* Parse bytes; name ("appspec.yml") stands in every message. Problems are added to the list: errors
 * where the agent cannot go on, warnings for keys it does not know or does not act on yet. Returns
 * 0 when there is no error, else ERR_INPUT (text: problems_check) and *ret is untouched. */
int spec_parse(const char *name, const char *text, size_t len, struct spec **ret,
	       struct problems *problems, struct error *err) MUST_CHECK;
void spec_free(struct spec *spec);
DEFINE_CLEANUP(struct spec *, spec_free)
#define auto_spec CLEANUP(spec_free_at)

/* Find and read it in an unpacked revision: wanted (NULL: appspec.yml), else appspec.yaml, else
 * appspec.yml. -ENOENT names all that were tried. *ret_name (may be NULL): the name that was found,
 * caller frees. */
int spec_load(int archive_fd, const char *wanted, struct spec **ret, char **ret_name,
	      struct problems *problems, struct error *err) MUST_CHECK;

/* The same for lint: with ERR_INPUT, *ret and *ret_name are set too, to what can be used in spite
 * of the mistakes; entries that lack something are left out. */
int spec_load_usable(int archive_fd, const char *wanted, struct spec **ret, char **ret_name,
		     struct problems *problems, struct error *err) MUST_CHECK;

/* An AppSpec alone, from its descriptor; for lint as spec_load_usable(). */
int spec_read_usable(int fd, const char *name, struct spec **ret, struct problems *problems,
		     struct error *err) MUST_CHECK;

/* What a host's options (reject_*_in_bundle) refuse; each is an error, at its place. */
struct spec_strict {
	bool no_setid;      /* set-id bits in a mode */
	bool no_unconfined; /* types of processes without confinement */
	bool no_up;         /* ".." in a path of the host */
};
void spec_check_strict(const struct spec *spec, const char *name, const struct spec_strict *strict,
		       struct problems *problems);
bool spec_is_unconfined(const char *type);

/* What entries say about each other, and needs no bundle: timeouts over an event's 3600 s,
 * permissions for nothing, ... All are warnings. */
void spec_check(const struct spec *spec, const char *name, struct problems *problems);

/* That, and what needs the bundle: missing sources and scripts, scripts without shebang or with
 * CRLF, globs, two entries for one file, ... (lint; also at deploy the errors among them). */
void spec_check_archive(const struct spec *spec, const char *name, int archive_fd,
			struct problems *problems);

/* The host's own limits. */
struct settings;
struct spec_limits spec_limits_of_host(const struct settings *settings);
/* Both together: of each the stricter one. */
struct spec_limits spec_limits_join(const struct spec_limits *host,
				    const struct spec_limits *script);
/* A warning for each limit that is laxer than the host's, and so is cut to it; and one, where there
 * are no services, if there are limits that nothing but a service can have. */
void spec_check_limits(const struct spec *spec, const char *name, const struct spec_limits *host,
		       bool services, struct problems *problems);

const struct spec_event *spec_event(const struct spec *spec,
				    const char *name); /* NULL when it has none */
