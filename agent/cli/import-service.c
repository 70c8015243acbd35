// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/import-service.h"

#include "agent/rival.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/proc.h"
#include "common/str.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define OUTPUT_MAX 65536
#define ADMIN_UNITS "/etc/systemd/system/"
#define DROP_IN_DIR ADMIN_UNITS IMPORT_UNIT ".d"
#define DROP_IN "slipway-import.conf"
#define WAIT_MS ((uint64_t)2 * 3600 * 1000) /* what the official unit may take to stop */

/* Tests have one of their own. */
static const char *systemctl(const struct paths *paths)
{
	const char *given = getenv("SLIPWAY_SYSTEMCTL");
	if (given && *given)
		return given;
	if (*paths->root || access("/run/systemd/system", F_OK) < 0)
		return NULL;
	return access("/usr/bin/systemctl", X_OK) == 0 ? "/usr/bin/systemctl" : "/bin/systemctl";
}

bool import_service_managed(const struct paths *paths)
{
	return systemctl(paths) != NULL;
}

static int read_output(int fd, char **ret, struct error *err)
{
	size_t len;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return error_errno(err, "read what systemctl said");
	return fs_read_fd(fd, OUTPUT_MAX, ret, &len, err);
}

/* Output and errors together; argv[0] is ours. */
static int call(const struct paths *paths, const char **argv, char **ret, struct error *err)
{
	auto_close int out = memfd_create("systemctl", MFD_CLOEXEC);
	struct proc_end end;
	argv[0] = systemctl(paths); /* the caller knows that there is one */
	if (out < 0)
		return error_errno(err, "make a place for systemctl's output");
	const struct proc_spec spec = {
		.path = argv[0],
		.argv = argv,
		.stdin_fd = -1,
		.stdout_fd = out,
		.stderr_fd = out,
	};
	pid_t pid = proc_start(&spec, err);
	int r = pid < 0 ? (int)pid : proc_wait(pid, WAIT_MS, false, &end, err);
	auto_free char *text = NULL;
	if (r >= 0)
		r = read_output(out, &text, err);
	if (r < 0)
		return r;
	if (end.exit_code != 0) {
		auto_free char *line = str_to_line(text, strcspn(text, "\n"));
		return error_set(err, -EIO, "systemctl %s %s: %s", argv[1], argv[2] ? argv[2] : "",
				 *line ? line : "it failed");
	}
	if (ret)
		*ret = TAKE(text);
	return 0;
}

static bool says(const char *output, const char *line)
{
	size_t len = strlen(line);
	for (const char *at = output; (at = strstr(at, line)); at += len)
		if ((at == output || at[-1] == '\n') && (!at[len] || at[len] == '\n'))
			return true;
	return false;
}

int import_service_look(const struct paths *paths, const char *unit, struct import_unit *ret,
			struct error *err)
{
	*ret = (struct import_unit){0};
	if (!import_service_managed(paths))
		return 0;
	auto_free char *out = NULL;
	const char *argv[] = {NULL, "show", unit, "--property=LoadState,ActiveState,FragmentPath",
			      NULL};
	int r = call(paths, argv, &out, err);
	if (r < 0)
		return r;
	ret->masked = says(out, "LoadState=masked");
	ret->loaded = ret->masked || says(out, "LoadState=loaded");
	ret->active = !says(out, "ActiveState=inactive") && !says(out, "ActiveState=failed");
	ret->maskable = !strstr(out, "FragmentPath=" ADMIN_UNITS);
	return 0;
}

int import_service_do(const struct paths *paths, const char *verb, const char *unit,
		      struct error *err)
{
	const char *argv[] = {NULL, verb, unit, NULL};
	return import_service_managed(paths) ? call(paths, argv, NULL, err) : 0;
}

static int reload(const struct paths *paths, struct error *err)
{
	const char *argv[] = {NULL, "daemon-reload", NULL};
	return call(paths, argv, NULL, err);
}

/* A unit that an administrator wrote lies where the mask would: a condition does the same, as long
 * as the record of the import is there. */
static int write_condition(const struct paths *paths, struct error *err)
{
	auto_free char *text = xasprintf("# slipway import codedeploy: Slipway polls as this host\n"
					 "[Unit]\nConditionPathExists=!%s/import.json\n",
					 paths->host);
	int r = fs_mkdirs_path(DROP_IN_DIR, 0755, err);
	auto_close int fd = r < 0 ? r : open(DROP_IN_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return r < 0 ? r : error_errno(err, "open '" DROP_IN_DIR "'");
	r = fs_write_atomic(fd, DROP_IN, text, strlen(text), 0644, err);
	return r < 0 ? r : reload(paths, err);
}

static int remove_condition(const struct paths *paths, struct error *err)
{
	if (unlink(DROP_IN_DIR "/" DROP_IN) < 0 && errno != ENOENT)
		return error_errno(err, "remove '" DROP_IN_DIR "/" DROP_IN "'");
	if (rmdir(DROP_IN_DIR) < 0 && errno != ENOENT && errno != ENOTEMPTY)
		return error_errno(err, "remove '" DROP_IN_DIR "'");
	return reload(paths, err);
}

int import_service_hold(const struct paths *paths, const struct import_record *r, struct error *err)
{
	if (!r->had_unit || !import_service_managed(paths))
		return 0;
	return r->conditioned ? write_condition(paths, err)
			      : import_service_do(paths, "mask", IMPORT_UNIT, err);
}

int import_service_release(const struct paths *paths, const struct import_record *r,
			   struct error *err)
{
	if (!r->had_unit || r->was_masked || !import_service_managed(paths))
		return 0;
	return r->conditioned ? remove_condition(paths, err)
			      : import_service_do(paths, "unmask", IMPORT_UNIT, err);
}

long import_service_pid(const struct import_config *config)
{
	return rival_pid(config->pid_file, config->lock_file);
}
