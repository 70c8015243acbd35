// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/import-config.h"
#include "agent/settings.h"
#include "common/conf.h"
#include "common/json.h"
#include "common/yaml.h"
#include "tests/unit/tempdir.h"

static void parse(const char *text, struct import_config *c)
{
	struct error err = {0};
	if (import_config_parse("f.yml", text, strlen(text), "", c, &err) < 0)
		fail_msg("%s", err.text);
}

static void refuse(const char *text, const char *why)
{
	auto_import_config struct import_config c = {0};
	struct error err = {0};
	assert_int_not_equal(import_config_parse("f.yml", text, strlen(text), "", &c, &err), 0);
	assert_non_null(strstr(err.text, why));
	assert_null(c.text);
}

/* What slipwayd reads of it. */
static void load(const struct import_config *c, struct settings *settings)
{
	size_t count;
	struct error err = {0};
	auto_yaml struct yaml *doc = NULL;
	const struct conf_option *table = settings_table(&count);
	*settings = (struct settings){0};
	conf_defaults(table, count, settings);
	assert_int_equal(yaml_parse("new", c->text, strlen(c->text), 1 << 20, &doc, &err), 0);
	assert_int_equal(conf_load(table, count, "new", doc, settings, &err), 0);
}

static void both_spellings_of_a_key_are_taken(void **state)
{
	auto_import_config struct import_config c = {0};
	auto_settings struct settings settings = {0};
	parse("---\n:max_revisions: 7\nverbose: true\n:root_dir: '/srv/cd/root/'\n", &c);
	load(&c, &settings);
	assert_true(settings.aws);
	assert_true(settings.verbose);
	assert_int_equal(settings.max_revisions, 7);
	assert_string_equal(settings.root_dir, "/srv/cd/root/");
	assert_string_equal(c.root_dir, "/srv/cd/root");
}

static void without_a_file_its_defaults_hold(void **state)
{
	auto_import_config struct import_config c = {0};
	auto_settings struct settings settings = {0};
	struct error err = {0};
	assert_int_equal(import_config_parse(NULL, NULL, 0, "/x", &c, &err), 0);
	load(&c, &settings);
	assert_string_equal(settings.root_dir, "/x/opt/codedeploy-agent/deployment-root");
	assert_string_equal(c.pid_file, "/x/opt/codedeploy-agent/state/.pid/codedeploy-agent.pid");
	assert_string_equal(c.on_premises,
			    "/x/etc/codedeploy-agent/conf/codedeploy.onpremises.yml");
	assert_string_equal(c.tracking, "ongoing-deployment");
}

static void what_has_no_effect_is_a_comment(void **state)
{
	auto_import_config struct import_config c = {0};
	auto_settings struct settings settings = {0};
	parse(":children: 1\nunheard_of: x\n:max_revisions: -1\n:plugins: [a, b]\n:proxy_uri:\n",
	      &c);
	load(&c, &settings);
	assert_int_equal(settings.max_revisions, 5);
	assert_int_equal(json_array_size(c.notes), 4);
	assert_non_null(strstr(c.text, "\n#children: 1\n"));
	assert_non_null(strstr(c.text, "\n#unheard_of: x\n"));
	assert_non_null(strstr(c.text, "\n#max_revisions: -1\n"));
	assert_null(strstr(c.text, "proxy_uri"));
}

/* A value must not become a line of its own. */
static void a_value_stays_a_value(void **state)
{
	auto_import_config struct import_config c = {0};
	auto_settings struct settings settings = {0};
	parse("proxy_uri: \"http://u:p#1@h:1 # x\\nmax_revisions: 3\"\n"
	      "\"x\\naws: false\": \"y\\nverbose: true\"\n"
	      "s3_endpoint_overrides: \"z\\nverbose: true\"\n",
	      &c);
	load(&c, &settings);
	assert_string_equal(settings.proxy_uri, "http://u:p#1@h:1 # x\nmax_revisions: 3");
	assert_int_equal(settings.max_revisions, 5);
	assert_true(settings.aws);
	assert_false(settings.verbose);
}

static void what_makes_no_sense_is_refused(void **state)
{
	refuse("root_dir: here\n", "no absolute path");
	refuse("root_dir: /a/../../b\n", "no absolute path");
	refuse("ongoing_deployment_tracking: ../x\n", "cannot be a file's name");
	refuse("root_dir: /a\nroot_dir: /b\n", "is here twice");
	refuse("program_name: a/b\n", "cannot be a file's name");
	refuse("- a\n", "NAME: VALUE");
	refuse("a: [\n", "f.yml:");
	refuse("verbose: true\nverbose: false\n", "verbose");
	refuse(":verbose: true\nverbose: false\n", "verbose");
}

static void it_is_looked_for_where_both_generations_have_it(void **state)
{
	const struct tempdir *dir = *state;
	static const char *const places[] = {"opt/codedeploy-agent/conf",
					     "etc/codedeploy-agent/conf"};
	auto_paths struct paths paths = {0};
	struct error err = {0};
	assert_int_equal(paths_init(&paths, dir->path, &err), 0);
	auto_import_config struct import_config none = {0};
	assert_int_equal(import_config_read(NULL, &paths, &none, &err), ERR_NOT_FOUND);
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		auto_import_config struct import_config c = {0};
		auto_close int fd = fs_mkdirs(dir->fd, places[i], 0755, &err);
		assert_int_equal(
			fs_write_atomic(fd, "codedeployagent.yml", "a: b\n", 5, 0644, &err), 0);
		assert_int_equal(import_config_read(NULL, &paths, &c, &err), 0);
		assert_non_null(strstr(c.file, places[i])); /* the one in etc comes first */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_spellings_of_a_key_are_taken),
		cmocka_unit_test(without_a_file_its_defaults_hold),
		cmocka_unit_test(what_has_no_effect_is_a_comment),
		cmocka_unit_test(a_value_stays_a_value),
		cmocka_unit_test(what_makes_no_sense_is_refused),
		tempdir_test(it_is_looked_for_where_both_generations_have_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
