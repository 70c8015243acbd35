// SPDX-License-Identifier: Apache-2.0
/* What a script has printed, looked through for a reason. The first byte is its exit code. Whatever
 * it printed, texts and advice are one line of harmless characters. */
#include "agent/worker/cause.h"
#include "common/alloc.h"
#include "common/str.h"
#include "tests/fuzz/fuzz.h"

#include <assert.h>
#include <string.h>

static void check(const struct state_cause *cause)
{
	assert(cause->name && cause->text && cause->next);
	assert(strlen(cause->text) <= STATE_CAUSE_TEXT_MAX);
	assert(!strpbrk(cause->text, "$`|<>\n\t\x1b"));
	assert(str_is_utf8(cause->text, strlen(cause->text)));
	assert(!cause->evidence || !strchr(cause->evidence, '\n'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > 16384)
		return 0;
	char *output = str_to_utf8(data + 1, size - 1);
	const struct cause_request request = {
		.event = "ValidateService",
		.archive_fd = -1,
		.runas = "nobody",
		.started = true,
		.exit_code = data[0],
		.output = output,
		.proc_net = "/nonexistent",
	};
	struct state_causes causes = {0};
	cause_find(&request, &causes);
	for (size_t i = 0; i < causes.n; i++)
		check(&causes.list[i]);
	state_causes_clear(&causes);
	cause_find_error(-ENOSPC, output, &causes);
	state_causes_clear(&causes);
	assert(strlen(cause_last_lines(output)) <= strlen(output));
	free(output);
	return 0;
}
