// SPDX-License-Identifier: Apache-2.0
/* What the official tool's command lines mean for slipway. */
#include "agent/cli/codedeploy-local.h"
#include "common/alloc.h"
#include "common/attr.h"
#include "common/buf.h"
#include "common/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* "-l X -t tgz" as slipway's arguments in one line; of a refusal its text. Caller frees. */
static char *translate(const char *line)
{
	char **words = *line ? str_split(line, ' ') : xcalloc(1, sizeof(char *));
	int n = 0;
	while (words[n])
		n++;
	struct codedeploy_local asked;
	struct error err = {0};
	char **list = NULL;
	int r = codedeploy_local_parse(n, (const char *const *)words, &asked, &err);
	if (r == 0)
		r = codedeploy_local_words(&asked, &list, &err);
	struct buf text = BUF_INIT(4096);
	for (size_t i = 2; r == 0 && list[i]; i++)
		buf_addf(&text, "%s%s", i > 2 ? " " : "", list[i]);
	if (r < 0) {
		assert_int_equal(r, ERR_INPUT);
		buf_adds(&text, err.text);
	}
	str_list_free(list);
	str_list_free(words);
	return buf_take(&text);
}

#define LOCAL " --group default-local-deployment-group --group-name LocalFleet"

static void options_have_their_defaults(void **state)
{
	static const char *const cases[][2] = {
		{"", "--type directory" LOCAL " --app . -- ."},
		{"-l /srv/shop.tgz -t tgz",
		 "--type tgz" LOCAL " --app /srv/shop.tgz -- /srv/shop.tgz"},
		{"--bundle-location=b.zip --type=zip --deployment-group g-1 -d blue -a shop",
		 "--type zip --group g-1 --group-name blue --app shop -- b.zip"},
		{"-b overwrite -e AfterInstall,Custom -A deploy/appspec.yml",
		 "--type directory" LOCAL " --app . --file-exists-behavior overwrite --events "
		 "AfterInstall,Custom --appspec deploy/appspec.yml -- ."},
		{"-lx -ttar", "--type tar" LOCAL " --app x -- x"},
		{"--bundle x --deployment-group-n n",
		 "--type directory --group default-local-deployment-group --group-name n --app x "
		 "-- x"},
		{"-l a -l b", "--type directory" LOCAL " --app b -- b"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_free char *seen = translate(cases[i][0]);
		assert_string_equal(seen, cases[i][1]);
	}
}

static void places_of_bundles_are_known(void **state)
{
	static const struct {
		const char *line, *type, *source;
	} cases[] = {
		{"-t tgz -l s3://b/a/k.tgz?versionId=1&etag=2", "tgz",
		 "s3://b/a/k.tgz?versionId=1&etag=2"},
		{"-l https://github.com/o/r", "zip", "github:o/r@HEAD"},
		{"-l https://github.com/o/r/", "zip", "github:o/r@HEAD"},
		{"-t tar -l https://github.com/o/r.git", "tar", "github:o/r@HEAD"},
		{"-t tgz -l https://github.com/o/r/tree/release/1.2", "zip",
		 "github:o/r@release/1.2"},
		{"-l https://github.com/o/r/commit/0123abc", "zip", "github:o/r@0123abc"},
		{"-l https://api.github.com/repos/o/r/zipball/v1", "zip", "github:o/r@v1"},
		{"-t tar -l https://api.github.com/repos/o/r/tarball/v1", "tar", "github:o/r@v1"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_free char *seen = translate(cases[i].line);
		auto_free char *type = xasprintf("--type %s ", cases[i].type);
		auto_free char *source = xasprintf(" -- %s", cases[i].source);
		assert_true(str_starts(seen, type));
		assert_true(str_ends(seen, source));
	}
}

static void mistakes_are_named(void **state)
{
	static const char *const cases[][2] = {
		{"-t rpm", "not 'rpm'"},
		{"-l http://example.com/a.tgz -t tgz", "only https"},
		{"-l https://example.com/a.tgz -t tgz", "is not on GitHub"},
		{"-l s3://b/k", "give --type"},
		{"-l https://github.com/o", "names no repository"},
		{"-l https://github.com//r", "names no repository"},
		{"-l https://github.com/o/r/issues/3", "names no revision"},
		{"-l https://github.com/o/r/tree/", "names no revision"},
		{"-l https://api.github.com/repos/o/r/contents/x", "names no revision"},
		{"-l", "needs a value"},
		{"--type=", "needs a value"},
		{"--colour red", "unknown option '--colour'"},
		{"-x", "unknown option '-x'"},
		{"--a", "may be '--application-name' or '--a"},
		{"./shop", "--bundle-location"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_free char *seen = translate(cases[i][0]);
		if (!strstr(seen, cases[i][1]))
			fail_msg("'%s' gives: %s", cases[i][0], seen);
	}
}

static void the_token_is_no_argument(void **state)
{
	auto_free char *seen = translate("--github-token s3cret -l https://github.com/o/r");
	assert_null(strstr(seen, "s3cret"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_have_their_defaults),
		cmocka_unit_test(places_of_bundles_are_known),
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(the_token_is_no_argument),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
