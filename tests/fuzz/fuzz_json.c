// SPDX-License-Identifier: Apache-2.0
/* What can be read can be written, and what was written reads the same. */
#include "common/json.h"
#include "tests/fuzz/fuzz.h"

#include <assert.h>
#include <string.h>

#define TEXT_MAX (64 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_json json_t *value = NULL, *again = NULL;
	struct error err = {0};
	int r = json_parse((const char *)data, size, TEXT_MAX, &value, &err);
	assert((r == 0) == (value != NULL));
	if (r < 0) {
		assert(err.code == r && *err.text);
		return 0;
	}
	auto_free char *text = json_text(value);
	r = json_parse(text, strlen(text), 8 * TEXT_MAX, &again, &err);
	assert(r == 0);
	/* a number may have lost digits when it was written first, but no more after that */
	auto_free char *text_again = json_text(again);
	assert(strcmp(text, text_again) == 0);
	return 0;
}
