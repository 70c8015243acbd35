// SPDX-License-Identifier: Apache-2.0
/* What a host remembers on disk, damaged: the first byte chooses which file the rest is. A reader
 * must refuse it with a reason, or give something that can be written and read again unchanged. */
#include "agent/daemon/inflight.h"
#include "agent/identity.h"
#include "agent/job.h"
#include "agent/result.h"
#include "agent/settings.h"
#include "agent/state.h"
#include "agent/worker/hook-note.h"
#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/log.h"
#include "common/proc.h"
#include "tests/fuzz/folder.h"
#include "tests/fuzz/fuzz.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define JSON_MAX ((size_t)1 << 20)
#define RESULT "0123456789abcdef0123456789abcdef.json"

/* Refusals say why. */
static bool refused(int r, const struct error *err)
{
	assert(r >= 0 || (err->code == r && *err->text));
	return r < 0;
}

static void assert_same(const json_t *a, const json_t *b)
{
	auto_free char *one = json_text(a), *two = json_text(b);
	assert(strcmp(one, two) == 0);
}

static void read_state(const uint8_t *data, size_t len)
{
	struct error err = {0};
	auto_state struct state *first = NULL, *again = NULL;
	fuzz_folder_write("state.json", data, len);
	if (refused(state_load(fuzz_folder(), &first, &err), &err))
		return;
	auto_json json_t *doc = state_to_json(first);
	int r = state_from_json(doc, &again, &err);
	assert(r == 0);
	auto_json json_t *doc_again = state_to_json(again);
	assert_same(doc, doc_again);
}

static void read_result(const uint8_t *data, size_t len)
{
	struct error err = {0};
	auto_result struct result *result = NULL;
	fuzz_folder_write(RESULT, data, len);
	if (refused(result_read(fuzz_folder(), RESULT, &result, &err), &err))
		return;
	char name[40];
	result_name(result->command_id, name);
	assert(result_is_name(name) && result->payload && result->event && result->group_id);
}

/* A note counts in the boot that it was written in. */
static void write_note(const uint8_t *data, size_t len)
{
	auto_json json_t *doc = NULL;
	if (json_parse((const char *)data, len, JSON_MAX, &doc, NULL) < 0 || !json_is_object(doc)) {
		fuzz_folder_write("hook", data, len);
		return;
	}
	auto_free char *boot = proc_boot_id();
	json_set_str(doc, "boot", boot);
	auto_free char *text = json_text(doc);
	fuzz_folder_write("hook", text, strlen(text));
}

static void read_note(const uint8_t *data, size_t len)
{
	struct error err = {0};
	auto_hook_note struct hook_note first = {0}, again = {0};
	write_note(data, len);
	if (!hook_note_load(fuzz_folder(), &first))
		return;
	assert(first.deployment && first.step && first.pid >= 0);
	int r = hook_note_save(fuzz_folder(), &first, &err);
	assert(r == 0);
	bool loaded = hook_note_load(fuzz_folder(), &again);
	assert(loaded && first.ended == again.ended && first.number == again.number);
}

static void read_inflight(const uint8_t *data, size_t len)
{
	struct error err = {0};
	auto_inflight struct inflight inflight = {0};
	fuzz_folder_write("inflight", data, len);
	if (refused(inflight_load(fuzz_folder(), "inflight", &inflight, &err), &err))
		return;
	assert(inflight.command && json_is_object(inflight.specification));
}

static void read_job(const uint8_t *data, size_t len)
{
	struct error err = {0};
	auto_json json_t *doc = NULL;
	auto_job struct job *first = NULL, *again = NULL;
	if (refused(json_parse((const char *)data, len, JSON_MAX, &doc, &err), &err) ||
	    refused(job_from_json(doc, &first, &err), &err))
		return;
	auto_json json_t *out = job_to_json(first);
	int r = job_from_json(out, &again, &err);
	assert(r == 0);
	auto_json json_t *out_again = job_to_json(again);
	assert_same(out, out_again);
}

static void read_settings(const uint8_t *data, size_t len)
{
	struct error err = {0};
	auto_settings struct settings settings = {0};
	auto_free char *file = fs_join(fuzz_folder_path(), "agent.yml");
	const struct paths paths = {.agent_yml = file};
	fuzz_folder_write("agent.yml", data, len);
	if (refused(settings_load(&settings, &paths, &err), &err))
		return;
	assert(settings.max_parallel >= 1 && settings.archive_max_entries >= 1);
	assert(settings.orphan_timeout >= 1000 && settings.script_output_max > 0);
}

static void read_identity(const uint8_t *data, size_t len)
{
	struct error err = {0};
	auto_identity struct identity *identity = NULL;
	auto_free char *folder = xstrdup(fuzz_folder_path());
	const struct paths paths = {.agent = folder};
	fuzz_folder_write("identity.json", data, len);
	if (refused(identity_load(&paths, &identity, &err), &err))
		return;
	assert(identity->endpoint && identity->host_identifier && identity->key_file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static void (*const readers[])(const uint8_t *data, size_t len) = {
		read_state, read_result,   read_note,     read_inflight,
		read_job,   read_settings, read_identity,
	};
	if (len == 0)
		return 0;
	log_set_level(LOG_ERR); /* one line for each unknown option is too much here */
	readers[data[0] % ARRAY_LEN(readers)](data + 1, len - 1);
	return 0;
}
