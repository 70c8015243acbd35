// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/inflight.h"

#include "agent/daemon/names.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX (WIRE_MESSAGE_MAX + 16 * 1024)

void inflight_clear(struct inflight *inflight)
{
	wire_command_free(inflight->command);
	json_decref(inflight->specification);
	*inflight = (struct inflight){0};
}

/* A file of its own, so that the mark costs no sync and cannot tear what is there. */
struct mark_name {
	char text[48];
};
static struct mark_name mark_name(const char *name)
{
	struct mark_name mark;
	snprintf(mark.text, sizeof(mark.text), "%.36s.acked", name);
	return mark;
}

int inflight_mark_acked(int dirfd, const char *name, struct error *err)
{
	auto_close int fd =
		openat(dirfd, mark_name(name).text, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	return fd < 0 ? error_errno(err, "make inflight/%s", mark_name(name).text) : 0;
}

int inflight_save(int dirfd, const char *name, const struct inflight *inflight, struct error *err)
{
	auto_json json_t *doc = json_object();
	json_object_set_new(doc, "command", wire_command_to_json(inflight->command));
	if (inflight->specification && !inflight->secret)
		json_object_set(doc, "specification", inflight->specification);
	fs_unlink_quiet(dirfd, mark_name(name).text);
	int r = json_write_file(dirfd, name, doc, 0600, err);
	return r < 0 ? error_prefix(err, r, "inflight/%s", name) : 0;
}

static int from_json(const json_t *doc, struct inflight *inflight, struct error *err)
{
	json_t *command = NULL, *specification = NULL;
	int r = json_need_obj(doc, "command", &command, err);
	if (r == 0)
		r = json_opt_obj(doc, "specification", &specification, err);
	if (r == 0)
		r = wire_command_from_json(command, &inflight->command, err);
	if (r == 0 && specification)
		inflight->specification = json_incref(specification);
	return r;
}

int inflight_load(int dirfd, const char *name, struct inflight *ret, struct error *err)
{
	auto_json json_t *doc = NULL;
	int r = json_read_file(dirfd, name, FILE_MAX, &doc, err);
	if (r < 0)
		return r;
	auto_inflight struct inflight inflight = {0};
	r = from_json(doc, &inflight, err);
	if (r < 0)
		return error_prefix(err, r, "inflight/%s", name);
	inflight.acked = faccessat(dirfd, mark_name(name).text, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	inflight.stored = true;
	*ret = inflight;
	inflight = (struct inflight){0};
	return 0;
}

void inflight_remove(int dirfd, const char *name)
{
	fs_unlink_quiet(dirfd, mark_name(name).text);
	fs_unlink_quiet(dirfd, name);
}

static void set_aside(int dirfd, const char *name, const struct error *why)
{
	log_warning("inflight/%s cannot be read and is set aside: %s", name, why->text);
	auto_free char *aside = xasprintf("%s.bad", name);
	if (renameat(dirfd, name, dirfd, aside) < 0)
		log_warning("inflight/%s cannot be renamed: %s", name, strerror(errno));
}

int inflight_each(int dirfd, inflight_fn *fn, void *arg, struct error *err)
{
	auto_names struct names names = {0};
	int r = names_list(dirfd, &names, err);
	if (r < 0)
		return error_prefix(err, r, "inflight");
	for (size_t i = 0; i < names.count; i++) {
		auto_inflight struct inflight inflight = {0};
		struct error why = {0};
		if (inflight_load(dirfd, names.list[i].name, &inflight, &why) < 0)
			set_aside(dirfd, names.list[i].name, &why);
		else
			fn(names.list[i].name, &inflight, arg);
	}
	return 0;
}
