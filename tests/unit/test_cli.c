// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/cli.h"
#include "agent/cli/report.h"
#include "agent/cli/view.h"
#include "common/attr.h"
#include "common/cleanup.h"
#include "common/str.h"
#include "tests/unit/unit.h"

#include <string.h>

static int never(struct cli *cli, const struct cli_args *args)
{
	return CLI_FAILED;
}

static const struct cli_option options[] = {
	{.name = "group", .letter = 'g', .arg = "G", .help = "a group"},
	{.name = "tag", .arg = "K=V", .help = "a tag"},
	{.name = "force", .letter = 'f', .help = "a flag"},
	{0},
};
static const struct cli_command sample = {.name = "sample",
					  .operands = "SOURCE",
					  .min_operands = 1,
					  .max_operands = 1,
					  .options = options,
					  .run = never};

struct parsed {
	struct cli cli;
	struct cli_args args;
	const char *root;
	bool help;
	struct error err;
	int code;
};

static void clear(struct parsed *p)
{
	cli_args_clear(&p->args);
}

static struct parsed parse(const char *const *words)
{
	struct parsed p = {.code = 0};
	int n = 0;
	while (words[n])
		n++;
	p.code = cli_args_parse(&p.cli, &sample, n, words, &p.args, &p.root, &p.help, &p.err);
	return p;
}
#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})

static void options_stand_anywhere_in_both_spellings(void **state)
{
	CLEANUP(clear)
	struct parsed p = PARSE("--group", "a", "src", "--force", "--tag=x=1", "--tag", "y=2",
				"--json", "--root=/r", "-g", "b");
	assert_int_equal(p.code, 0);
	assert_int_equal(p.args.n_operands, 1);
	assert_string_equal(p.args.operands[0], "src");
	assert_string_equal(cli_value(&p.args, "group"), "b");
	assert_true(cli_has(&p.args, "force"));
	assert_true(p.cli.json);
	assert_string_equal(p.root, "/r");
	auto_free const char **tags = cli_values(&p.args, "tag");
	assert_string_equal(tags[0], "x=1");
	assert_string_equal(tags[1], "y=2");
	assert_null(tags[2]);
	assert_null(cli_value(&p.args, "other"));
}

static void after_two_dashes_nothing_is_an_option(void **state)
{
	CLEANUP(clear) struct parsed p = PARSE("--", "--force");
	assert_int_equal(p.code, 0);
	assert_string_equal(p.args.operands[0], "--force");
	assert_false(cli_has(&p.args, "force"));
}

static void refused(struct parsed p, const char *text)
{
	assert_int_equal(p.code, ERR_INPUT);
	assert_string_equal(p.err.text, text);
	clear(&p);
}

static void what_is_wrong_is_named(void **state)
{
	refused(PARSE("src", "--gruop", "x"), "unknown option '--gruop'; did you mean '--group'?");
	refused(PARSE("src", "--gruop=x"), "unknown option '--gruop'; did you mean '--group'?");
	refused(PARSE("src", "--everything"), "unknown option '--everything'");
	refused(PARSE("src", "-x"), "unknown option '-x'");
	refused(PARSE("src", "-fg"), "unknown option '-fg'");
	refused(PARSE("src", "--group"), "option '--group' needs a value: --group G");
	refused(PARSE("src", "--group="), "option '--group' needs a value: --group G");
	refused(PARSE("src", "--force=1"), "option '--force' takes no value");
	refused(PARSE("--force"), "SOURCE is missing");
	refused(PARSE("a", "b"), "'b' is one argument too many");
}

static void help_is_given_even_without_operands(void **state)
{
	CLEANUP(clear) struct parsed p = PARSE("-h");
	assert_int_equal(p.code, 0);
	assert_true(p.help);
}

static void every_command_explains_itself(void **state)
{
	for (const struct cli_command *const *c = cli_commands; *c; c++) {
		assert_non_null((*c)->run);
		assert_false(str_empty((*c)->summary));
		assert_non_null((*c)->operands);
		assert_true(str_starts((*c)->example, "slipway "));
		const char *name = (*c)->name;
		assert_non_null(strstr((*c)->example, name));
		assert_true(str_starts((*c)->page, "slipway"));
		for (const struct cli_option *o = (*c)->options; o && o->name; o++)
			assert_false(str_empty(o->help));
	}
}

/* The help of every command, and the list of them all, in a terminal of 80 columns. */
static void help_fits_a_terminal(void **state)
{
	auto_free char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	for (const struct cli_command *const *c = cli_commands; *c; c++)
		cli_help(*c, out);
	cli_list(out);
	cli_help_group("fleet", out);
	assert_int_equal(fclose(out), 0);
	for (const char *line = text; *line; line = strchr(line, '\n') + 1)
		if (strcspn(line, "\n") > 79)
			fail_msg("too long: %.*s", (int)strcspn(line, "\n"), line);
}

static void names_of_commands_are_found_whole(void **state)
{
	int words;
	const char *const deploy[] = {"deploy", "x"};
	assert_ptr_equal(cli_find(2, deploy, &words), &cmd_deploy);
	assert_int_equal(words, 1);
	const char *const cut[] = {"depl"};
	assert_null(cli_find(1, cut, &words));
	assert_null(cli_find(0, cut, &words));
}

static void durations_are_short(void **state)
{
	char out[32];
	assert_string_equal(view_duration(0.04, out), "0.0 s");
	assert_string_equal(view_duration(59.9, out), "59.9 s");
	assert_string_equal(view_duration(65, out), "1 min 05 s");
	assert_string_equal(view_duration(7380, out), "2 h 03 min");
	assert_string_equal(view_duration(-3, out), "0.0 s");
}

static void a_summary_names_what_was_done(void **state)
{
	json_t *counts =
		json_pack("{s:i,s:i,s:i,s:i}", "keep", 5, "create", 2, "delete", 0, "bytes", 99);
	auto_free char *done = report_summary(counts, false);
	auto_free char *todo = report_summary(counts, true);
	auto_free char *nothing = report_summary(NULL, true);
	assert_string_equal(done, "2 created, 5 unchanged");
	assert_string_equal(todo, "2 to create, 5 unchanged");
	assert_string_equal(nothing, "no file is concerned");
	json_decref(counts);
}

static void errors_have_the_exit_codes_of_the_contract(void **state)
{
	assert_int_equal(cli_exit_of(ERR_INPUT), 2);
	assert_int_equal(cli_exit_of(ERR_REFUSED), 3);
	assert_int_equal(cli_exit_of(ERR_UNDO), 4);
	assert_int_equal(cli_exit_of(ERR_BUSY), 6);
	assert_int_equal(cli_exit_of(ERR_NETWORK), 6);
	assert_int_equal(cli_exit_of(-EIO), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_stand_anywhere_in_both_spellings),
		cmocka_unit_test(after_two_dashes_nothing_is_an_option),
		cmocka_unit_test(what_is_wrong_is_named),
		cmocka_unit_test(help_is_given_even_without_operands),
		cmocka_unit_test(every_command_explains_itself),
		cmocka_unit_test(help_fits_a_terminal),
		cmocka_unit_test(names_of_commands_are_found_whole),
		cmocka_unit_test(durations_are_short),
		cmocka_unit_test(a_summary_names_what_was_done),
		cmocka_unit_test(errors_have_the_exit_codes_of_the_contract),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
