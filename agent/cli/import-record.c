// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/import-record.h"

#include "common/alloc.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/str.h"

#include <inttypes.h>
#include <unistd.h>

#define RECORD "import.json"
#define RECORD_MAX 65536
#define VERSION_NOW 1

static const char *const phases[] = {
	[IMPORT_NONE] = "none",
	[IMPORT_BEGUN] = "begun",
	[IMPORT_TAKEN] = "taken",
	[IMPORT_DONE] = "done",
	[IMPORT_UNDOING] = "undoing",
};

void import_record_clear(struct import_record *r)
{
	free(r->root_dir);
	free(r->tracking);
	free(r->on_premises);
	*r = (struct import_record){0};
}

int import_record_lock(const struct paths *paths, struct error *err)
{
	auto_close int host_fd = paths_open_host(paths, err);
	auto_close int fd = host_fd < 0 ? host_fd : fs_mkdirs(host_fd, "locks", 0750, err);
	int r = fd < 0 ? fd : fs_lock(fd, "import", 0, err);
	return r == ERR_BUSY ? error_set(err, r, "another 'slipway import' is at work") : r;
}

/* The flags, by the names of their members. */
struct flag {
	const char *name;
	bool *place;
};
#define FLAGS(r)                                                                            \
	{                                                                                   \
		{"had_agent_yml", &(r)->had_agent_yml}, {"had_unit", &(r)->had_unit},       \
			{"was_active", &(r)->was_active}, {"was_masked", &(r)->was_masked}, \
			{"conditioned", &(r)->conditioned},                                 \
			{"slipwayd_was_active", &(r)->slipwayd_was_active},                 \
			{"identity_changed", &(r)->identity_changed},                       \
	}

static int parse_phase(const char *text, enum import_phase *ret)
{
	for (size_t i = IMPORT_BEGUN; i < ARRAY_LEN(phases); i++) {
		if (!str_eq(phases[i], text))
			continue;
		*ret = (enum import_phase)i;
		return 0;
	}
	return -EINVAL;
}

static int parse(const json_t *doc, struct import_record *r, struct error *err)
{
	const char *phase = NULL, *root_dir = NULL, *tracking = NULL, *on_premises = NULL;
	int64_t version = 0;
	int code;
	if ((code = json_need_int(doc, "version", &version, err)) < 0 ||
	    (code = json_need_str(doc, "phase", &phase, err)) < 0 ||
	    (code = json_need_str(doc, "root_dir", &root_dir, err)) < 0 ||
	    (code = json_need_str(doc, "tracking", &tracking, err)) < 0 ||
	    (code = json_need_str(doc, "on_premises", &on_premises, err)) < 0 ||
	    (code = json_opt_int(doc, "identity_gid", &r->identity_gid, err)) < 0 ||
	    (code = json_opt_int(doc, "identity_mode", &r->identity_mode, err)) < 0)
		return code;
	if (version != VERSION_NOW || parse_phase(phase, &r->phase) < 0)
		return error_set(err, ERR_FORMAT, "version %" PRId64 ", phase '%s' is not known",
				 version, phase);
	const struct flag flags[] = FLAGS(r);
	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		code = json_opt_bool(doc, flags[i].name, flags[i].place, err);
		if (code < 0)
			return code;
	}
	r->root_dir = xstrdup(root_dir);
	r->tracking = xstrdup(tracking);
	r->on_premises = xstrdup(on_premises);
	return 0;
}

int import_record_load(const struct paths *paths, struct import_record *ret, struct error *err)
{
	auto_import_record struct import_record r = {0};
	auto_json json_t *doc = NULL;
	auto_close int fd = paths_open_host(paths, err);
	int code = fd < 0 ? fd : json_read_file(fd, RECORD, RECORD_MAX, &doc, err);
	if (code == -ENOENT) {
		*ret = r;
		return 0;
	}
	if (code >= 0)
		code = parse(doc, &r, err);
	if (code < 0)
		return error_prefix(err, code, "%s/" RECORD, paths->host);
	*ret = r;
	r = (struct import_record){0};
	return 0;
}

int import_record_save(const struct paths *paths, const struct import_record *r, struct error *err)
{
	struct import_record copy = *r; /* the table wants places */
	const struct flag flags[] = FLAGS(&copy);
	auto_json json_t *doc = json_object();
	json_set_int(doc, "version", VERSION_NOW);
	json_set_str(doc, "phase", phases[r->phase]);
	json_set_str(doc, "root_dir", r->root_dir);
	json_set_str(doc, "tracking", r->tracking);
	json_set_str(doc, "on_premises", r->on_premises);
	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		json_set_bool(doc, flags[i].name, *flags[i].place);
	json_set_int(doc, "identity_gid", r->identity_gid);
	json_set_int(doc, "identity_mode", r->identity_mode);
	auto_close int fd = paths_open_host(paths, err);
	return fd < 0 ? fd : json_write_file_max(fd, RECORD, doc, RECORD_MAX, 0640, err);
}

int import_record_remove(const struct paths *paths, struct error *err)
{
	auto_close int fd = paths_open_host(paths, err);
	if (fd < 0)
		return fd;
	if (unlinkat(fd, RECORD, 0) < 0 && errno != ENOENT)
		return error_errno(err, "remove '%s/" RECORD "'", paths->host);
	return fs_sync_dir(fd, err);
}
