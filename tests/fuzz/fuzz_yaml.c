// SPDX-License-Identifier: Apache-2.0
/* Every node of a tree knows its place, and every scalar answers every question. */
#include "common/yaml.h"
#include "tests/fuzz/fuzz.h"

#include <assert.h>
#include <string.h>

static void ask(const struct yaml *node)
{
	int64_t i = 0;
	double d = 0;
	bool b = false;
	bool is_int = yaml_to_int(node, &i) == 0, is_number = yaml_to_number(node, &d) == 0;
	bool is_bool = yaml_to_bool(node, &b) == 0, is_null = yaml_is_null(node);
	assert(!(is_bool && is_number) && !(is_null && is_bool) && !(is_null && is_int));
	assert(!node->quoted || !(is_int || is_number || is_bool || is_null));
}

static void visit(const struct yaml *node, unsigned depth)
{
	assert(node->line > 0 && node->column > 0 && depth < 64);
	if (node->type == YAML_SCALAR) {
		assert(node->text);
		ask(node);
	}
	for (size_t i = 0; i < node->count; i++) {
		if (node->type == YAML_MAP) {
			assert(node->key_lines[i] > 0 && node->key_columns[i] > 0);
			assert(yaml_get(node, node->keys[i]) == node->items[i]);
		}
		visit(node->items[i], depth + 1);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_yaml struct yaml *root = NULL;
	struct error err = {0};
	int r = yaml_parse("f.yml", (const char *)data, size, 64 * 1024, &root, &err);
	assert(r == 0 || (!root && err.code == r && *err.text));
	if (root)
		visit(root, 0);
	return 0;
}
