// SPDX-License-Identifier: Apache-2.0
/* An AppSpec: whatever the bytes, either a struct and no error, or errors and no struct. */
#include "agent/worker/spec.h"
#include "common/str.h"
#include "tests/fuzz/fuzz.h"

#include <assert.h>
#include <string.h>

/* "x../y" does not */
static bool climbs(const char *path)
{
	for (const char *at = path; (at = strstr(at, "..")); at += 2)
		if ((at == path || at[-1] == '/') && (at[2] == '/' || at[2] == '\0'))
			return true;
	return false;
}

static void check_paths(const struct spec *spec)
{
	for (size_t i = 0; i < spec->n_files; i++) {
		assert(spec->files[i].source && spec->files[i].source[0] != '/');
		assert(!climbs(spec->files[i].source));
		assert(spec->files[i].destination && spec->files[i].destination[0] == '/');
	}
	for (size_t i = 0; i < spec->n_permissions; i++)
		assert(spec->permissions[i].object && spec->permissions[i].object[0] == '/');
	for (size_t i = 0; i < spec->n_events; i++) {
		for (size_t k = 0; k < spec->events[i].n_hooks; k++) {
			const struct spec_hook *hook = &spec->events[i].hooks[k];
			assert(!str_empty(hook->location) && hook->location[0] != '/');
			assert(!climbs(hook->location));
			assert(hook->timeout_s > 0 && hook->timeout_s <= SPEC_TIMEOUT_MAX_S);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_spec struct spec *spec = NULL;
	auto_problems struct problems problems = {0};
	struct error err = {0};
	int r = spec_parse("appspec.yml", (const char *)data, size, &spec, &problems, &err);
	assert((r == 0) == (spec != NULL));
	assert((r == 0) == (problems.errors == 0));
	for (size_t i = 0; i < problems.count; i++)
		assert(str_is_utf8(problems.list[i].text, strlen(problems.list[i].text)));
	if (spec)
		check_paths(spec);
	return 0;
}
