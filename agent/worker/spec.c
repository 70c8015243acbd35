// SPDX-License-Identifier: Apache-2.0
/* What of the AppSpec is not parsing: its tables, its memory, finding it in a revision. */
#include "agent/worker/spec.h"

#include "agent/worker/spec-parse.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/str.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static const char *const file_exists_names[] = {
	[SPEC_EXISTS_UNSET] = NULL,
	[SPEC_DISALLOW] = "DISALLOW",
	[SPEC_OVERWRITE] = "OVERWRITE",
	[SPEC_RETAIN] = "RETAIN",
};

const char *spec_file_exists_to_string(enum spec_file_exists b)
{
	return file_exists_names[b];
}

int spec_file_exists_from_string(const char *name, enum spec_file_exists *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(file_exists_names); i++) {
		if (file_exists_names[i] && str_eq(file_exists_names[i], name)) {
			*ret = (enum spec_file_exists)i;
			return 0;
		}
	}
	return -EINVAL;
}

static void file_clear(struct spec_file *file)
{
	free(file->source);
	free(file->destination);
}

static void hook_clear(struct spec_hook *hook)
{
	free(hook->location);
	free(hook->location_text);
	free(hook->runas);
}

static void event_clear(struct spec_event *event)
{
	for (size_t i = 0; i < event->n_hooks; i++)
		hook_clear(&event->hooks[i]);
	free(event->hooks);
	free(event->name);
}

static void permission_clear(struct spec_permission *permission)
{
	free(permission->object);
	free(permission->pattern);
	str_list_free(permission->except);
	free(permission->owner);
	free(permission->group);
	for (size_t i = 0; i < permission->n_acls; i++)
		free(permission->acls[i].name);
	free(permission->acls);
	free(permission->context.type);
	free(permission->context.user);
	free(permission->context.range);
}

void spec_free(struct spec *spec)
{
	if (!spec)
		return;
	for (size_t i = 0; i < spec->n_files; i++)
		file_clear(&spec->files[i]);
	free(spec->files);
	for (size_t i = 0; i < spec->n_permissions; i++)
		permission_clear(&spec->permissions[i]);
	free(spec->permissions);
	for (size_t i = 0; i < spec->n_events; i++)
		event_clear(&spec->events[i]);
	free(spec->events);
	free(spec);
}

const struct spec_event *spec_event(const struct spec *spec, const char *name)
{
	for (size_t i = 0; i < spec->n_events; i++)
		if (str_eq(spec->events[i].name, name))
			return &spec->events[i];
	return NULL;
}

/* O_NONBLOCK: a bundle may hold a FIFO under that name. */
static int open_name(int archive_fd, const char *name, struct error *err)
{
	int fd = fs_open_inside(archive_fd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	if (fd == -EXDEV)
		return error_set(err, ERR_INPUT, "'%s' leaves the revision", name);
	if (fd < 0)
		return error_set(err, fd, "open '%s': %s", name, strerror(-fd));
	return fd;
}

/* Try the names in their order; the first that is there counts. Returns its descriptor. */
static int find_appspec(int archive_fd, const char *wanted, const char **ret_name,
			struct error *err)
{
	const char *const names[] = {wanted, "appspec.yaml", "appspec.yml"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		int fd = open_name(archive_fd, names[i], err);
		if (fd == -ENOENT || fd == -ENOTDIR)
			continue;
		if (fd >= 0)
			*ret_name = names[i];
		return fd;
	}
	if (str_eq(wanted, "appspec.yml"))
		return error_set(err, -ENOENT,
				 "the bundle has no AppSpec: neither 'appspec.yml' nor "
				 "'appspec.yaml' is in its top directory");
	return error_set(err, -ENOENT,
			 "the bundle has no AppSpec: none of '%s', 'appspec.yaml', 'appspec.yml' "
			 "is there",
			 wanted);
}

static int read_appspec(int fd, const char *name, char **ret, size_t *ret_len, struct error *err)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return error_errno(err, "stat '%s'", name);
	if (!S_ISREG(st.st_mode))
		return error_set(err, ERR_INPUT, "'%s' is not a regular file", name);
	int r = fs_read_fd(fd, SPEC_MAX_BYTES, ret, ret_len, err);
	if (r == -EFBIG)
		return error_set(err, ERR_LIMIT, "'%s' is larger than %zu bytes", name,
				 SPEC_MAX_BYTES);
	return r < 0 ? error_prefix(err, r, "read '%s'", name) : 0;
}

/* Drop what lacks something that everyone who uses a spec relies on. */
static void keep_usable(struct spec *spec)
{
	size_t n = 0;
	for (size_t i = 0; i < spec->n_files; i++) {
		if (spec->files[i].source && spec->files[i].destination)
			spec->files[n++] = spec->files[i];
		else
			file_clear(&spec->files[i]);
	}
	spec->n_files = n;
	n = 0;
	for (size_t i = 0; i < spec->n_permissions; i++) {
		if (spec->permissions[i].object && spec->permissions[i].pattern)
			spec->permissions[n++] = spec->permissions[i];
		else
			permission_clear(&spec->permissions[i]);
	}
	spec->n_permissions = n;
	for (size_t e = 0; e < spec->n_events; e++) {
		struct spec_event *event = &spec->events[e];
		n = 0;
		for (size_t i = 0; i < event->n_hooks; i++) {
			if (!str_empty(event->hooks[i].location))
				event->hooks[n++] = event->hooks[i];
			else
				hook_clear(&event->hooks[i]);
		}
		event->n_hooks = n;
	}
}

int spec_read_usable(int fd, const char *name, struct spec **ret, struct problems *problems,
		     struct error *err)
{
	auto_free char *text = NULL;
	size_t len = 0;
	int r = read_appspec(fd, name, &text, &len, err);
	if (r < 0)
		return r;
	r = spec_parse_usable(name, text, len, ret, problems, err);
	keep_usable(*ret);
	return r;
}

int spec_load_usable(int archive_fd, const char *wanted, struct spec **ret, char **ret_name,
		     struct problems *problems, struct error *err)
{
	const char *name = NULL;
	auto_close int fd =
		find_appspec(archive_fd, str_empty(wanted) ? "appspec.yml" : wanted, &name, err);
	if (fd < 0)
		return fd;
	int r = spec_read_usable(fd, name, ret, problems, err);
	if (*ret)
		*ret_name = xstrdup(name);
	return r;
}

int spec_load(int archive_fd, const char *wanted, struct spec **ret, char **ret_name,
	      struct problems *problems, struct error *err)
{
	auto_spec struct spec *spec = NULL;
	auto_free char *name = NULL;
	int r = spec_load_usable(archive_fd, wanted, &spec, &name, problems, err);
	if (r < 0)
		return r;
	*ret = TAKE(spec);
	if (ret_name)
		*ret_name = TAKE(name);
	return 0;
}
