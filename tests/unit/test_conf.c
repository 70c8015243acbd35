// SPDX-License-Identifier: Apache-2.0
#include "common/conf.h"
#include "common/log.h"
#include "tests/unit/tempdir.h"

struct sample {
	char *name, *dir, *mode, *file;
	bool on;
	int64_t count;
	uint64_t size, wait, share, lax;
	struct conf_map env;
};

#define AT(m) .offset = offsetof(struct sample, m)
static const char *const modes[] = {"fast", "safe", NULL};
static const struct conf_option table[] = {
	{.name = "name", .type = CONF_STRING, AT(name), .help = "A name."},
	{.name = "dir", .type = CONF_PATH, AT(dir), .def = "/srv", .help = "A directory."},
	{.name = "mode",
	 .type = CONF_CHOICE,
	 AT(mode),
	 .def = "safe",
	 .choices = modes,
	 .help = "How."},
	{.name = "on", .type = CONF_BOOL, AT(on), .def = "true", .help = "Whether."},
	{.name = "count",
	 .type = CONF_INT,
	 AT(count),
	 .def = "5",
	 .min = 1,
	 .max = 10,
	 .help = "How many."},
	{.name = "size", .type = CONF_SIZE, AT(size), .def = "1k", .help = "How large."},
	{.name = "wait",
	 .type = CONF_DURATION,
	 AT(wait),
	 .def = "90",
	 .unit = "at least",
	 .help = "How long."},
	{.name = "share",
	 .type = CONF_PERCENT,
	 AT(share),
	 .def = "0",
	 .max = 200,
	 .help = "How much of it."},
	{.name = "env", .type = CONF_MAP, AT(env), .help = "Variables."},
	{.name = "file", .type = CONF_FILENAME, AT(file), .help = "A file."},
	{.name = "lax",
	 .type = CONF_DURATION,
	 AT(lax),
	 .min = 1000,
	 .max = 3600000,
	 .help = "How long, about.",
	 .clamp = true},
	{.name = "old", .type = CONF_RETIRED, .help = "it is gone"},
};
#define COUNT ARRAY_LEN(table)

static int load(struct sample *s, const char *text, struct error *err)
{
	auto_yaml struct yaml *doc = NULL;
	assert_int_equal(yaml_parse("c.yml", text, strlen(text), 10000, &doc, err), 0);
	conf_defaults(table, COUNT, s);
	return conf_load(table, COUNT, "c.yml", doc, s, err);
}

static void without_a_file_every_member_has_its_default(void **state)
{
	struct sample s = {0};
	struct error err = {0};
	assert_int_equal(load(&s, "", &err), 0);
	assert_null(s.name);
	assert_string_equal(s.dir, "/srv");
	assert_string_equal(s.mode, "safe");
	assert_true(s.on);
	assert_int_equal(s.count, 5);
	assert_int_equal(s.size, 1024);
	assert_int_equal(s.wait, 90000);
	assert_int_equal(s.env.count, 0);
	conf_clear(table, COUNT, &s);
}

static void values_are_read_with_and_without_a_leading_colon(void **state)
{
	struct sample s = {0};
	struct error err = {0};
	const char *text =
		"---\n:name: web\ndir: /opt\n:mode: fast\non: no\ncount: 0x0a\n"
		"size: 2M\nwait: '500ms'\nshare: 150%\nenv:\n  A: 1\n  B:\n  A2: 'x y'\n";
	if (load(&s, text, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(s.name, "web");
	assert_string_equal(s.dir, "/opt");
	assert_string_equal(s.mode, "fast");
	assert_false(s.on);
	assert_int_equal(s.count, 10);
	assert_int_equal(s.size, 2 << 20);
	assert_int_equal(s.wait, 500);
	assert_int_equal(s.share, 150);
	assert_int_equal(s.env.count, 3);
	assert_string_equal(s.env.keys[2], "A2");
	assert_string_equal(s.env.values[2], "x y");
	assert_string_equal(s.env.values[1], "");
	conf_clear(table, COUNT, &s);
}

static void an_empty_value_leaves_the_default(void **state)
{
	struct sample s = {0};
	struct error err = {0};
	assert_int_equal(load(&s, "dir:\ncount: ~\n", &err), 0);
	assert_string_equal(s.dir, "/srv");
	assert_int_equal(s.count, 5);
	conf_clear(table, COUNT, &s);
}

static void every_mistake_is_named_with_its_line(void **state)
{
	struct sample s = {0};
	struct error err = {0};
	const char *text = "nmae: x\ncount: 11\ndir: relative\nmode: slow\non: 3\nsize: [1]\n"
			   "share: half\n";
	assert_int_equal(load(&s, text, &err), ERR_INPUT);
	assert_string_equal(err.text,
			    "c.yml:1: 'nmae' is not known: remove it, or correct its name; "
			    "c.yml:2: 'count' must be from 1 to 10, not 11; "
			    "c.yml:3: 'dir' must be an absolute path, not 'relative'; "
			    "c.yml:4: 'mode' must be one of fast, safe, not 'slow'; "
			    "c.yml:5: 'on' must be true or false, not '3'; "
			    "c.yml:6: 'size' must be one value, not a list or a map; "
			    "c.yml:7: 'share' must be a percentage such as 150%, not 'half'");
	conf_clear(table, COUNT, &s);
}

static void a_file_that_is_no_map_is_refused(void **state)
{
	struct sample s = {0};
	struct error err = {0};
	assert_int_equal(load(&s, "- a\n", &err), ERR_INPUT);
	assert_string_equal(err.text, "c.yml:1: options must be NAME: VALUE lines");
	conf_clear(table, COUNT, &s);
}

static void keep_line(int level, const char *text, void *arg)
{
	char **line = arg;
	assert_int_equal(level, LOG_WARNING);
	free(*line);
	*line = xstrdup(text);
}

static void a_retired_option_is_a_warning_whatever_its_value(void **state)
{
	struct sample s = {0};
	struct error err = {0};
	auto_free char *said = NULL;
	log_to_sink(keep_line, &said);
	assert_int_equal(load(&s, ":old: [a, {b: c}]\n:strange: 1\n", &err), 0);
	log_to_sink(NULL, NULL);
	assert_string_equal(said,
			    "c.yml: has no effect here: 'old' (it is gone), 'strange' (is not "
			    "known)");
	assert_int_equal(load(&s, "strange: 1\n", &err), ERR_INPUT);
	conf_clear(table, COUNT, &s);
}

static void what_is_out_of_range_may_become_the_nearest(void **state)
{
	struct sample s = {0};
	struct error err = {0};
	auto_free char *said = NULL;
	log_to_sink(keep_line, &said);
	assert_int_equal(load(&s, "lax: 2d\n", &err), 0);
	assert_int_equal(s.lax, 3600000);
	assert_string_equal(said, "'lax': 2d is out of range, the nearest is used");
	assert_int_equal(load(&s, "lax: 0\n", &err), 0);
	assert_int_equal(s.lax, 1000);
	assert_int_equal(load(&s, "lax: many\n", &err), ERR_INPUT);
	log_to_sink(NULL, NULL);
	conf_clear(table, COUNT, &s);
}

static void a_file_name_stays_one(void **state)
{
	struct sample s = {0};
	struct error err = {0};
	assert_int_equal(load(&s, "file: a/b\n", &err), ERR_INPUT);
	assert_string_equal(err.text, "c.yml:1: 'file' must be a name without '/', not 'a/b'");
	assert_int_equal(load(&s, "file: agent\n", &err), 0);
	assert_string_equal(s.file, "agent");
	conf_clear(table, COUNT, &s);
}

static void a_single_option_is_set_from_text(void **state)
{
	struct sample s = {0};
	struct error err = {0};
	assert_int_equal(conf_set(table, COUNT, "env", "A=b=c", &s, &err), 0);
	assert_int_equal(conf_set(table, COUNT, "env", "A=d", &s, &err), 0);
	assert_int_equal(s.env.count, 1);
	assert_string_equal(s.env.values[0], "d");
	assert_int_equal(conf_set(table, COUNT, "env", "=d", &s, &err), ERR_INPUT);
	assert_int_equal(conf_set(table, COUNT, "count", "many", &s, &err), ERR_INPUT);
	assert_string_equal(err.text, "'count' must be a whole number, not 'many'");
	assert_int_equal(conf_set(table, COUNT, "nothing", "1", &s, &err), ERR_INPUT);
	conf_clear(table, COUNT, &s);
}

static void a_file_is_loaded_by_its_path(void **state)
{
	struct tempdir *dir = *state;
	struct sample s = {0};
	struct error err = {0};
	auto_free char *path = fs_join(dir->path, "c.yml");
	assert_int_equal(conf_load_file(table, COUNT, path, &s, &err), -ENOENT);
	tempdir_write(dir, "c.yml", "count: 3\n");
	assert_int_equal(conf_load_file(table, COUNT, path, &s, &err), 0);
	assert_int_equal(s.count, 3);
	tempdir_write(dir, "c.yml", "count: [\n");
	assert_int_equal(conf_load_file(table, COUNT, path, &s, &err), ERR_FORMAT);
	conf_clear(table, COUNT, &s);
}

static void the_help_names_type_limits_and_default(void **state)
{
	struct tempdir *dir = *state;
	FILE *out = fdopen(openat(dir->fd, "help", O_WRONLY | O_CREAT | O_CLOEXEC, 0600), "w");
	assert_non_null(out);
	conf_help(table, COUNT, out);
	fclose(out);
	auto_free char *text = tempdir_read(dir, "help");
	assert_non_null(strstr(text, "mode: one of fast, safe; default safe\n    How.\n"));
	assert_non_null(strstr(text, "count: number from 1 to 10; default 5\n"));
	assert_non_null(strstr(text, "Accepted without effect: old\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_file_every_member_has_its_default),
		cmocka_unit_test(values_are_read_with_and_without_a_leading_colon),
		cmocka_unit_test(an_empty_value_leaves_the_default),
		cmocka_unit_test(every_mistake_is_named_with_its_line),
		cmocka_unit_test(a_file_that_is_no_map_is_refused),
		cmocka_unit_test(a_retired_option_is_a_warning_whatever_its_value),
		cmocka_unit_test(what_is_out_of_range_may_become_the_nearest),
		cmocka_unit_test(a_file_name_stays_one),
		cmocka_unit_test(a_single_option_is_set_from_text),
		tempdir_test(a_file_is_loaded_by_its_path),
		tempdir_test(the_help_names_type_limits_and_default),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
