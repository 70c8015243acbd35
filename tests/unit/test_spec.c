// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/spec-parse.h"
#include "agent/worker/spec.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "tests/unit/tempdir.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define HEAD "version: 0.0\nos: linux\n"
#define FILES HEAD "files:\n"
#define PERMISSION HEAD "permissions:\n  - object: /srv/a\n"
#define SCRIPT HEAD "hooks:\n  AfterInstall:\n    - location: s.sh\n"

/* "error PLACE: TEXT" must stand in the list; text may be a part of it. */
static bool has_problem(const struct problems *problems, enum problem_level level,
			const char *where, const char *text)
{
	for (size_t i = 0; i < problems->count; i++) {
		const struct problem *one = &problems->list[i];
		if (one->level == level && strcmp(one->where, where) == 0 &&
		    strstr(one->text, text))
			return true;
	}
	problems_print(problems, stderr);
	fprintf(stderr, "wanted: %s: %s\n", where, text);
	return false;
}

static int parse(const char *text, struct spec **ret, struct problems *problems)
{
	struct error err = {0};
	int r = spec_parse("appspec.yml", text, strlen(text), ret, problems, &err);
	assert_true(r == 0 || (r == ERR_INPUT && err.code == ERR_INPUT && *err.text));
	return r;
}

struct row {
	const char *text, *where, *problem;
};

static void check_rows(const struct row *rows, size_t n, enum problem_level level)
{
	for (size_t i = 0; i < n; i++) {
		auto_spec struct spec *spec = NULL;
		auto_problems struct problems problems = {0};
		int r = parse(rows[i].text, &spec, &problems);
		assert_true(has_problem(&problems, level, rows[i].where, rows[i].problem));
		assert_int_equal(r, level == PROBLEM_ERROR ? ERR_INPUT : 0);
		assert_int_equal(problems.errors, level == PROBLEM_ERROR ? 1 : 0);
		assert_true((spec != NULL) == (r == 0));
	}
}

/* The rows "P" of the reference's validation table, in its order. */
static void every_mistake_of_the_reference_is_found_at_its_place(void **state)
{
	static const struct row rows[] = {
		/* 1 */
		{"", "appspec.yml", "empty"},
		{"# nothing\n", "appspec.yml", "empty"},
		{"---\n", "appspec.yml", "empty"},
		{"false\n", "appspec.yml", "empty"},
		{"~\n", "appspec.yml", "empty"},
		/* 2 */
		{"os: linux\n", "appspec.yml:1:1", "'version' is missing, expected 'version: 0.0'"},
		{"os: linux\nversion: 0.1\n", "appspec.yml:2:10", "number 0.0, not '0.1'"},
		{"os: linux\nversion: '0.0'\n", "appspec.yml:2:10", "quoted text '0.0'"},
		{"os: linux\nversion: [0.0]\n", "appspec.yml:2:10", "not a list"},
		{"os: linux\nversion: zero\n", "appspec.yml:2:10", "not 'zero'"},
		/* 3 */
		{"version: 0.0\n", "appspec.yml:1:1", "'os' is missing, expected 'os: linux'"},
		{"version: 0.0\nos: windows\n", "appspec.yml:2:5", "linux, not 'windows'"},
		{"version: 0.0\nos: Linux\n", "appspec.yml:2:5", "linux, not 'Linux'"},
		{"version: 0.0\nos: 'linux '\n", "appspec.yml:2:5", "linux, not 'linux '"},
		/* 4 */
		{HEAD "file_exists_behavior: KEEP\n", "appspec.yml:3:23",
		 "must be DISALLOW, OVERWRITE or RETAIN, not 'KEEP'"},
		{HEAD "file_exists_behavior: retain\n", "appspec.yml:3:23", "not 'retain'"},
		/* 5 */
		{FILES "  - destination: /srv\n", "appspec.yml:4:5", "'source' is missing"},
		{FILES "  - source:\n    destination: /srv\n", "appspec.yml:4:5",
		 "'source' is missing"},
		/* 6 */
		{FILES "  - source: web\n", "appspec.yml:4:5",
		 "'destination' is missing in the file entry of 'web'"},
		/* 7 */
		{HEAD "hooks:\n  AfterInstall:\n    - timeout: 5\n", "appspec.yml:5:7",
		 "'location' is missing"},
		{HEAD "hooks:\n  AfterInstall:\n    - location: '  '\n", "appspec.yml:5:17",
		 "'location' must not be empty"},
		/* 8 */
		{SCRIPT "      timeout: 0\n", "appspec.yml:6:16", "above 0, not '0'"},
		{SCRIPT "      timeout: -5\n", "appspec.yml:6:16", "above 0, not '-5'"},
		{SCRIPT "      timeout: soon\n", "appspec.yml:6:16", "above 0, not 'soon'"},
		{SCRIPT "      timeout: 0.5\n", "appspec.yml:6:16", "above 0, not '0.5'"},
		{SCRIPT "      timeout: true\n", "appspec.yml:6:16", "number of seconds"},
		{SCRIPT "      timeout: [5]\n", "appspec.yml:6:16", "not a list"},
		/* our own: limits */
		{SCRIPT "      limits: 512M\n", "appspec.yml:6:15", "'limits' must be a map"},
		{SCRIPT "      limits: {memory: much}\n", "appspec.yml:6:24",
		 "'memory' must be a size of at least 1M, such as 512M, not 'much'"},
		{SCRIPT "      limits: {memory: 1000k}\n", "appspec.yml:6:24", "not '1000k'"},
		{SCRIPT "      limits: {tasks: 0}\n", "appspec.yml:6:23",
		 "'tasks' must be a number from 1 to 4194304, not '0'"},
		{SCRIPT "      limits:\n        cpu: 0%\n", "appspec.yml:7:14",
		 "'cpu' must be a percentage of one processor, such as 150%, not '0%'"},
		{SCRIPT "      limits: {cpu: [1]}\n", "appspec.yml:6:21", "not a list"},
		{SCRIPT "      limits: {nice: 20}\n", "appspec.yml:6:22",
		 "'nice' must be a number from -20 to 19, not '20'"},
		/* 9 */
		{HEAD "permissions:\n  - mode: '0644'\n", "appspec.yml:4:5", "'object' is missing"},
		{HEAD "permissions:\n  - object: '  '\n", "appspec.yml:4:13",
		 "'object' must not be empty"},
		/* 10: permissions for windows; the os itself is refused */
		{"version: 0.0\nos: windows\npermissions:\n  - object: /a\n", "appspec.yml:2:5",
		 "linux, not 'windows'"},
		/* 11 */
		{PERMISSION "    type: [file, link]\n", "appspec.yml:5:18",
		 "file or directory, not 'link'"},
		/* 12 */
		{PERMISSION "    mode: '00644'\n", "appspec.yml:5:11", "1 to 4 octal digits"},
		{PERMISSION "    mode: ''\n", "appspec.yml:5:11", "1 to 4 octal digits"},
		/* 13 */
		{PERMISSION "    mode: 0688\n", "appspec.yml:5:11", "octal digits (0-7)"},
		{PERMISSION "    mode: u+x\n", "appspec.yml:5:11", "not 'u+x'"},
		{PERMISSION "    mode: 0x1ff\n", "appspec.yml:5:11", "not '0x1ff'"},
		/* 14 */
		{PERMISSION "    acls: ['a:b:c:d:e']\n", "appspec.yml:5:12", "no ACL entry"},
		{PERMISSION "    acls: ['rwx']\n", "appspec.yml:5:12", "no ACL entry"},
		{PERMISSION "    acls: ['x:bob:rwx']\n", "appspec.yml:5:12", "no ACL entry"},
		{PERMISSION "    acls: ['d:d:bob:rwx']\n", "appspec.yml:5:12", "no ACL entry"},
		{PERMISSION "    acls: ['m:bob:rwx']\n", "appspec.yml:5:12", "mask or other"},
		{PERMISSION "    acls: ['d:o:bob:rwx']\n", "appspec.yml:5:12", "mask or other"},
		/* 15 */
		{PERMISSION "    acls: ['u::rwx']\n", "appspec.yml:5:12", "use 'mode'"},
		{PERMISSION "    acls: ['o:rwx']\n", "appspec.yml:5:12", "use 'mode'"},
		/* 16 */
		{PERMISSION "    acls: ['bob:rwz']\n", "appspec.yml:5:12", "permissions"},
		{PERMISSION "    acls: ['bob:8']\n", "appspec.yml:5:12", "permissions"},
		/* 17 */
		{PERMISSION "    context:\n      range: s0\n", "appspec.yml:6:7",
		 "'type' is missing in 'context'"},
		{PERMISSION "    context: {type: 'a:b', range: s0}\n", "appspec.yml:5:21",
		 "cannot be 'a:b'"},
		/* 18 to 20 are in the_range_grammar below; here: their place */
		{PERMISSION "    context:\n      type: t\n      range: s1-s0\n", "appspec.yml:7:14",
		 "below the low one"},
	};
	check_rows(rows, ARRAY_LEN(rows), PROBLEM_ERROR);
}

static void wrong_containers_and_syntax_are_named(void **state)
{
	static const struct row rows[] = {
		{"[a]\n", "appspec.yml:1:1", "the AppSpec must be a map"},
		{"hello\n", "appspec.yml:1:1", "the AppSpec must be a map"},
		{HEAD "files:\n  source: /\n  destination: /srv\n", "appspec.yml:4:3",
		 "'files' must be a list"},
		{FILES "  - web\n", "appspec.yml:4:5", "a file entry must be a map"},
		{HEAD "hooks:\n  - AfterInstall\n", "appspec.yml:4:3", "'hooks' must be a map"},
		{HEAD "hooks:\n  AfterInstall:\n    location: s.sh\n", "appspec.yml:5:5",
		 "'AfterInstall' must be a list"},
		{HEAD "hooks:\n  AfterInstall: [s.sh]\n", "appspec.yml:4:18",
		 "a script entry must be a map"},
		{PERMISSION "    type: file\n", "appspec.yml:5:11", "'type' must be a list"},
		{PERMISSION "    except: a\n", "appspec.yml:5:13", "'except' must be a list"},
		{PERMISSION "    acls: 'bob:rwx'\n", "appspec.yml:5:11", "'acls' must be a list"},
		{PERMISSION "    owner: {a: b}\n", "appspec.yml:5:12", "not a map"},
		{PERMISSION "    owner: app:app\n", "appspec.yml:5:12",
		 "the name of one account, not 'app:app'"},
		{PERMISSION "    group: -x\n", "appspec.yml:5:12", "the name of one account"},
		{SCRIPT "      runas: root:root\n", "appspec.yml:6:14", "one account"},
		{SCRIPT "      runas: root,app\n", "appspec.yml:6:14", "one account"},
		{SCRIPT "      runas: [root]\n", "appspec.yml:6:14", "must be text, not a list"},
		{SCRIPT "      runas: ''\n", "appspec.yml:6:14", "must not be empty"},
		{HEAD "hooks:\n  AfterInstall:\n    -\n", "appspec.yml:5:6",
		 "a script entry must be a map"},
		{HEAD "hooks:\n  AfterInstall: s.sh\n", "appspec.yml:4:17",
		 "'AfterInstall' must be a list"},
		{HEAD "permissions: yes\n", "appspec.yml:3:14", "'permissions' must be a list"},
		{PERMISSION "    mode: 0o644\n", "appspec.yml:5:11", "not '0o644'"},
		{PERMISSION "    mode: [0644]\n", "appspec.yml:5:11", "not a list"},
		{PERMISSION "    mode: -1\n", "appspec.yml:5:11", "not '-1'"},
		{FILES "  - source: ../etc\n    destination: /srv\n", "appspec.yml:4:13",
		 "'..' is refused"},
		{FILES "  - source: a/../../b\n    destination: /srv\n", "appspec.yml:4:13",
		 "'..' is refused"},
		{HEAD "hooks:\n  AfterInstall:\n    - location: a/../s.sh\n", "appspec.yml:5:17",
		 "'..' is refused"},
		{HEAD "hooks:\n  AfterInstall:\n    - location: /\n", "appspec.yml:5:17",
		 "must name a script"},
		{FILES "  - source: a\n    destination: ~/www\n", "appspec.yml:5:18",
		 "'~' is not expanded"},
		{FILES "  - source: a\n    destination: /../www\n", "appspec.yml:5:18",
		 "does not climb"},
		{FILES "  - source: a\n    destination: ''\n", "appspec.yml:5:18",
		 "must not be empty"},
		{"version: 0.0\nResources:\n  - TargetService: {}\n", "appspec.yml:2:1",
		 "is for an ECS service ('Resources'), not for a host: one for hosts has "
		 "'os: linux', 'files' and 'hooks'"},
		{"version: 0.0\nResources:\n  - TargetService:\n      Type: AWS::ECS::Service\n"
		 "      Properties:\n        TaskDefinition: <TASK_DEFINITION>\n"
		 "Hooks:\n  - BeforeInstall: check\n  - AfterAllowTraffic: more\n",
		 "appspec.yml:2:1", "an ECS service"},
		{"version: 0.0\nResources:\n  - f:\n      Type: AWS::Lambda::Function\n"
		 "Hooks:\n  - BeforeAllowTraffic: check\n",
		 "appspec.yml:2:1", "a Lambda function"},
		{"{\"version\": 0.0, \"Resources\": [{\"f\": {\"Type\": "
		 "\"AWS::Lambda::Function\"}}],\n\"Hooks\": [{\"AfterAllowTraffic\": \"g\"}]}",
		 "appspec.yml:1:18", "a Lambda function"},
		{HEAD "Resources:\n  - f: x\n", "appspec.yml:3:1", "ECS or Lambda"},
		{"version: 0.0\nHooks:\n  - BeforeInstall: check\n", "appspec.yml:2:1",
		 "ECS or Lambda ('Hooks')"},
		{HEAD "\tfiles:\n", "appspec.yml:3:1", "a tab: YAML is indented with blanks"},
		{FILES "\t- source: a\n", "appspec.yml:4:1", "a tab: YAML is indented"},
		{FILES "  - source: a\n\tdestination: /b\n", "appspec.yml:5:1", "a tab"},
		{FILES "  - source: &a x\n    destination: *a\n", "appspec.yml:5:18",
		 "aliases are not supported"},
		{FILES "  - source: @app\n", "appspec.yml:4:13", "needs quotes"},
		{FILES "  - source: *\n", "appspec.yml:4:14", "'*' or '&' needs quotes"},
		{FILES "  - source:a\n    destination: /b\n", "appspec.yml:5:16",
		 "is a blank missing after a ':' above"},
		{FILES "  - source: a\n   destination: /b\n", "appspec.yml:5:4",
		 "is it indented like the lines above?"},
		{HEAD "os: linux\n", "appspec.yml:3:1", "'os' is here twice, first in line 2"},
		{FILES "  - {source: a, destination: /b, source: c}\n", "appspec.yml:4:34",
		 "'source' is here twice"},
	};
	check_rows(rows, ARRAY_LEN(rows), PROBLEM_ERROR);
}

static void all_mistakes_of_a_file_are_told_at_once(void **state)
{
	auto_spec struct spec *spec = NULL;
	auto_problems struct problems problems = {0};
	struct error err = {0};
	static const char text[] = "version: 1.0\n"
				   "os: solaris\n"
				   "files:\n"
				   "  - source: ../x\n"
				   "  - destination: /srv\n"
				   "permissions:\n"
				   "  - object: /srv\n"
				   "    mode: 999\n"
				   "hooks:\n"
				   "  AfterInstall:\n"
				   "    - timeout: 0\n";
	int r = spec_parse("appspec.yml", text, strlen(text), &spec, &problems, &err);
	assert_int_equal(r, ERR_INPUT);
	assert_null(spec);
	assert_int_equal(problems.errors, 8);
	assert_non_null(strstr(err.text, "8 problems: appspec.yml:1:10: 'version'"));
	assert_true(has_problem(&problems, PROBLEM_ERROR, "appspec.yml:4:13", "'source'"));
	assert_true(has_problem(&problems, PROBLEM_ERROR, "appspec.yml:4:5", "'destination'"));
	assert_true(has_problem(&problems, PROBLEM_ERROR, "appspec.yml:11:16", "'timeout'"));
}

/* The first one counts, so that nothing is told of what the second one would have changed. */
static void keys_that_are_there_twice_hide_no_other_mistake(void **state)
{
	auto_spec struct spec *spec = NULL;
	auto_problems struct problems problems = {0};
	static const char text[] = HEAD "files:\n"
					"  - source: a\n"
					"    destination: /b\n"
					"    source: c\n"
					"hooks:\n"
					"  AfterInstall:\n"
					"    - location: a\n"
					"      timeout: 0\n"
					"  AfterInstall: []\n"
					"os: windows\n"
					"os: solaris\n"
					"files: []\n"
					"colour: red\n";
	assert_int_equal(parse(text, &spec, &problems), ERR_INPUT);
	static const char *const places[] = {"6:5", "11:3", "12:1", "13:1", "14:1"};
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		auto_free char *where = xasprintf("appspec.yml:%s", places[i]);
		assert_true(has_problem(&problems, PROBLEM_ERROR, where, "is here twice"));
	}
	assert_true(has_problem(&problems, PROBLEM_ERROR, "appspec.yml:10:16", "'timeout'"));
	assert_int_equal(problems.errors, 6);
	assert_true(has_problem(&problems, PROBLEM_WARNING, "appspec.yml:15:1", "'colour'"));
	assert_int_equal(problems.warnings, 1);
}

static void what_is_odd_but_works_is_warned_about(void **state)
{
	static const struct row rows[] = {
		{HEAD "file:\n", "appspec.yml:3:1",
		 "unknown key 'file' in the AppSpec is ignored; "
		 "did you mean 'files'?"},
		{HEAD "Hooks: {}\n", "appspec.yml:3:1", "did you mean 'hooks'?"},
		{HEAD "comment: x\n", "appspec.yml:3:1", "unknown key 'comment'"},
		{FILES "  - source: a\n    destination: /b\n    overwrite: yes\n",
		 "appspec.yml:6:5", "unknown key 'overwrite' in a file entry"},
		{HEAD "hooks:\nAfterInstall:\n  - location: s.sh\n", "appspec.yml:4:1",
		 "events belong below 'hooks', indented"},
		{SCRIPT "      runas: 1000\n", "appspec.yml:6:14",
		 "'runas' must be a name: '1000' is taken as one"},
		{SCRIPT "      runas: yes\n", "appspec.yml:6:14", "'runas' must be a name"},
		{HEAD "hooks:\n  after_install: []\n", "appspec.yml:4:3",
		 "did you mean 'AfterInstall'?"},
		{HEAD "hooks:\n  VALIDATESERVICES: []\n", "appspec.yml:4:3",
		 "did you mean 'ValidateService'?"},
		{SCRIPT "      run_as: bob\n", "appspec.yml:6:7", "did you mean 'runas'?"},
		{PERMISSION "    modes: 755\n", "appspec.yml:5:5", "did you mean 'mode'?"},
		{PERMISSION "    mode: 0644\n", "appspec.yml:5:11", "the number 420"},
		{PERMISSION "    owner: 1000\n", "appspec.yml:5:12", "must be a name"},
		{PERMISSION "    context: {type: init_t, range: s0}\n", "appspec.yml:5:21",
		 "'init_t' is the type of a process without confinement"},
		{PERMISSION "    context: {type: t}\n", "appspec.yml:5:14", "'range' is missing"},
		{PERMISSION "    context: {type: t, user: u}\n", "appspec.yml:5:30",
		 "ignores 'user'"},
		{PERMISSION "    context: {type: t, name: n, user: u}\n", "appspec.yml:5:39",
		 "'name' counts"},
		{PERMISSION "    context: {type: t, role: r}\n", "appspec.yml:5:30", "ignored"},
		{PERMISSION "    except: [a/b]\n", "appspec.yml:5:14", "matches nothing"},
		{PERMISSION "    pattern: a/b\n", "appspec.yml:5:14", "matches nothing"},
		{PERMISSION "    pattern: '*.{c,h}'\n", "appspec.yml:5:14", "only '*'"},
		{PERMISSION "    type: []\n", "appspec.yml:5:11", "applies to nothing"},
		{SCRIPT "      limits: {mem: 5M}\n", "appspec.yml:6:16",
		 "unknown key 'mem' in 'limits'"},
		{SCRIPT "      timeout: 30s\n", "appspec.yml:6:16", "taken as 30 seconds"},
		{SCRIPT "      timeout: 1:30\n", "appspec.yml:6:16", "taken as 5400 seconds"},
		{SCRIPT "      timeout: 1.9\n", "appspec.yml:6:16", "taken as 1 seconds"},
		{SCRIPT "      timeout: 99999999999999999999\n", "appspec.yml:6:16", "cut to"},
		{SCRIPT "      sudo: 'no'\n", "appspec.yml:6:13", "'sudo' changes nothing"},
		{HEAD "hooks:\n  AfterInstal:\n", "appspec.yml:4:3",
		 "did you mean 'AfterInstall'?"},
		{HEAD "hooks:\n  Migrate:\n", "appspec.yml:4:3", "asks for it by name"},
		{HEAD "hooks:\n  Install:\n", "appspec.yml:4:3", "runs no scripts"},
		{FILES "  - source: a\n    destination: srv/www\n", "appspec.yml:5:18",
		 "taken as '/srv/www'"},
		{FILES "  - source: ''\n    destination: /srv\n", "appspec.yml:4:13",
		 "whole revision"},
	};
	check_rows(rows, ARRAY_LEN(rows), PROBLEM_WARNING);
}

static void a_full_file_is_read_into_its_struct(void **state)
{
	static const char text[] = "version: 0.0\r\n"
				   "os: linux\r\n"
				   "file_exists_behavior: OVERWRITE\r\n"
				   "files:\r\n"
				   "  - source: /\r\n"
				   "    destination: /srv/app/\r\n"
				   "  - {source: ./conf//x.conf, destination: /etc/../etc/x}\r\n"
				   "permissions:\r\n"
				   "  - object: /srv/app/\r\n"
				   "    pattern: '*.sh'\r\n"
				   "    except: [a.sh, b.sh]\r\n"
				   "    type: [file]\r\n"
				   "    owner: nobody\r\n"
				   "    group: nogroup\r\n"
				   "    mode: 4755\r\n"
				   "  - object: /srv\r\n"
				   "hooks:\r\n"
				   "  AfterInstall:\r\n"
				   "    - location: ' /scripts/a b.sh '\r\n"
				   "      timeout: 30\r\n"
				   "      runas: nobody\r\n"
				   "    - location: scripts/c.sh\r\n"
				   "  ApplicationStop: []\r\n"
				   "  BeforeInstall:\r\n";
	auto_spec struct spec *spec = NULL;
	auto_problems struct problems problems = {0};
	assert_int_equal(parse(text, &spec, &problems), 0);
	assert_int_equal(problems.warnings, 0);
	assert_int_equal(spec->file_exists, SPEC_OVERWRITE);
	assert_int_equal(spec->n_files, 2);
	assert_string_equal(spec->files[0].source, "");
	assert_string_equal(spec->files[0].destination, "/srv/app");
	assert_string_equal(spec->files[1].source, "conf/x.conf");
	assert_string_equal(spec->files[1].destination, "/etc/x");
	assert_int_equal(spec->files[1].line, 7);

	const struct spec_permission *one = &spec->permissions[0], *two = &spec->permissions[1];
	assert_int_equal(spec->n_permissions, 2);
	assert_string_equal(one->object, "/srv/app");
	assert_string_equal(one->pattern, "*.sh");
	assert_string_equal(one->except[1], "b.sh");
	assert_null(one->except[2]);
	assert_true(one->files && !one->directories && one->has_mode);
	assert_int_equal(one->mode, 04755);
	assert_string_equal(one->owner, "nobody");
	assert_string_equal(one->group, "nogroup");
	assert_string_equal(two->pattern, "**");
	assert_true(two->files && two->directories && !two->has_mode && !two->owner);

	const struct spec_event *after = spec_event(spec, "AfterInstall");
	assert_int_equal(after->n_hooks, 2);
	assert_string_equal(after->hooks[0].location, "scripts/a b.sh");
	assert_string_equal(after->hooks[0].location_text, "/scripts/a b.sh");
	assert_int_equal(after->hooks[0].timeout_s, 30);
	assert_string_equal(after->hooks[0].runas, "nobody");
	assert_int_equal(after->hooks[1].timeout_s, 3600);
	assert_null(after->hooks[1].runas);
	assert_int_equal(spec_event(spec, "ApplicationStop")->n_hooks, 0);
	assert_null(spec_event(spec, "BeforeInstall"));
}

static void a_mode_is_octal_by_its_text(void **state)
{
	static const struct {
		const char *text;
		mode_t mode;
		unsigned warnings;
	} rows[] = {
		{"0644", 0644, 1},  {"644", 0644, 0}, {"'0644'", 0644, 0}, {"4755", 04755, 0},
		{"0", 0, 0},        {"7", 07, 0},     {"07", 07, 0},       {"\"0755\"", 0755, 0},
		{"1777", 01777, 0}, {"0000", 0, 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_spec struct spec *spec = NULL;
		auto_problems struct problems problems = {0};
		auto_free char *text = xasprintf(PERMISSION "    mode: %s\n", rows[i].text);
		assert_int_equal(parse(text, &spec, &problems), 0);
		assert_true(spec->permissions[0].has_mode);
		assert_int_equal(spec->permissions[0].mode, rows[i].mode);
		assert_int_equal(problems.warnings, rows[i].warnings);
	}
}

/* What YAML 1.1 takes for a date, a truth or minutes is a name like any other. */
static void text_needs_no_quotes(void **state)
{
	auto_spec struct spec *spec = NULL;
	auto_problems struct problems problems = {0};
	assert_int_equal(parse("\xef\xbb\xbf" FILES
			       "  - source: 2020-01-01\n    destination: /srv/yes\n"
			       "  - source: no\n    destination: /srv/1:30\n",
			       &spec, &problems),
			 0);
	assert_int_equal(problems.count, 0);
	assert_string_equal(spec->files[0].source, "2020-01-01");
	assert_string_equal(spec->files[1].source, "no");
	assert_string_equal(spec->files[1].destination, "/srv/1:30");
}

static void null_means_not_given(void **state)
{
	auto_spec struct spec *spec = NULL;
	auto_problems struct problems problems = {0};
	assert_int_equal(parse(HEAD "files:\npermissions: ~\nhooks: null\nfile_exists_behavior:\n",
			       &spec, &problems),
			 0);
	assert_int_equal(spec->n_files + spec->n_permissions + spec->n_events, 0);
	assert_int_equal(spec->file_exists, SPEC_EXISTS_UNSET);
	assert_int_equal(problems.warnings, 0);
}

static void limits_of_host_and_script_are_joined_to_the_stricter(void **state)
{
	auto_spec struct spec *spec = NULL;
	auto_problems struct problems problems = {0};
	static const char text[] =
		SCRIPT "      limits: {memory: 512M, tasks: 100, cpu: 150%, nice: 5}\n"
		       "    - {location: b, limits: {nice: 0}}\n"
		       "    - {location: c}\n";
	assert_int_equal(parse(text, &spec, &problems), 0);
	assert_int_equal(problems.count, 0);
	const struct spec_hook *hooks = spec->events[0].hooks;
	static const struct spec_limits none = {0},
					lax = {.memory_bytes = 1 << 30, .tasks = 50, .nice = -5},
					strict = {.cpu_percent = 100, .nice = 10};
	struct spec_limits l = spec_limits_join(&none, &hooks[0].limits);
	assert_true(l.memory_bytes == 512 << 20 && l.tasks == 100 && l.cpu_percent == 150);
	assert_int_equal(l.nice, 5);
	l = spec_limits_join(&lax, &hooks[0].limits);
	assert_true(l.memory_bytes == 512 << 20 && l.tasks == 50 && l.nice == 5);
	l = spec_limits_join(&lax, &hooks[1].limits);
	assert_true(l.memory_bytes == 1 << 30 && l.nice == 0);
	l = spec_limits_join(&lax, &hooks[2].limits);
	assert_true(l.tasks == 50 && l.nice == -5);
	l = spec_limits_join(&strict, &hooks[0].limits);
	assert_true(l.cpu_percent == 100 && l.nice == 10);
}

static void a_limit_that_is_laxer_than_the_hosts_is_cut_with_a_warning(void **state)
{
	auto_spec struct spec *spec = NULL;
	auto_problems struct problems problems = {0};
	static const char text[] =
		SCRIPT "      limits: {memory: 512M, tasks: 100, cpu: 150%, nice: -1}\n";
	static const struct spec_limits none = {0}, host = {.memory_bytes = 1 << 20,
							    .tasks = 99,
							    .cpu_percent = 149};
	assert_int_equal(parse(text, &spec, &problems), 0);
	spec_check_limits(spec, "appspec.yml", &host, true, &problems);
	assert_int_equal(problems.count, 4);
	static const char *const words[] = {"'memory' is more than this host allows, and is cut to "
					    "its script_memory_max: 1048576 bytes",
					    "script_tasks_max: 99", "script_cpu_max: 149%",
					    "script_nice: 0"};
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		assert_true(has_problem(&problems, PROBLEM_WARNING, "appspec.yml:6:15", words[i]));
	spec_check_limits(spec, "appspec.yml", &none, true, &problems);
	assert_int_equal(problems.count, 5); /* nice, once more */
}

static void limits_that_only_services_can_have_are_warned_about_once(void **state)
{
	auto_spec struct spec *spec = NULL;
	auto_problems struct problems problems = {0};
	static const char text[] = SCRIPT "      limits: {nice: 5}\n"
					  "    - {location: b, limits: {tasks: 5}}\n"
					  "    - {location: c, limits: {memory: 5M}}\n";
	static const struct spec_limits none = {0}, host = {.cpu_percent = 50};
	assert_int_equal(parse(text, &spec, &problems), 0);
	spec_check_limits(spec, "appspec.yml", &none, false, &problems);
	assert_int_equal(problems.count, 1);
	assert_true(
		has_problem(&problems, PROBLEM_WARNING, "appspec.yml:7:29", "only 'nice' holds"));
	spec_check_limits(spec, "appspec.yml", &host, false, &problems);
	assert_int_equal(problems.count, 2);
	assert_true(has_problem(&problems, PROBLEM_WARNING, "agent.yml", "only 'nice' holds"));
}

static void a_timeout_of_false_is_the_default(void **state)
{
	auto_spec struct spec *spec = NULL;
	auto_problems struct problems problems = {0};
	assert_int_equal(
		parse(SCRIPT "      timeout: false\n      sudo: false\n", &spec, &problems), 0);
	assert_int_equal(spec->events[0].hooks[0].timeout_s, 3600);
	assert_false(spec->events[0].hooks[0].sudo);
}

static void versions_that_equal_zero_pass(void **state)
{
	static const char *const versions[] = {"0.0", "0", "0.00", "-0.0"};
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		auto_spec struct spec *spec = NULL;
		auto_problems struct problems problems = {0};
		auto_free char *text = xasprintf("version: %s\nos: linux\n", versions[i]);
		assert_int_equal(parse(text, &spec, &problems), 0);
	}
}

static void json_is_an_appspec_too(void **state)
{
	auto_spec struct spec *spec = NULL;
	auto_problems struct problems problems = {0};
	assert_int_equal(
		parse("{\"version\": 0.0, \"os\": \"linux\", \"files\": [{\"source\": \"a\", "
		      "\"destination\": \"/b\"}]}",
		      &spec, &problems),
		0);
	assert_string_equal(spec->files[0].destination, "/b");
}

static void messages_hold_no_control_characters(void **state)
{
	auto_spec struct spec *spec = NULL;
	auto_problems struct problems problems = {0};
	assert_int_equal(parse("version: 0.0\nos: \"a\\e[31m\\nb\"\n", &spec, &problems),
			 ERR_INPUT);
	assert_null(strchr(problems.list[0].text, '\033'));
	assert_null(strchr(problems.list[0].text, '\n'));
}

static void the_acl_grammar(void **state)
{
	static const char *const good[] = {
		"bob:rwx",          "bob:7",     "bob:",         "bob:-w-",  "m:rx",
		"mask:5",           "u:bob:r",   "user:bob:xwr", "g:www:rx", "group:www:0",
		"m::rwx",           "d:bob:rwx", "d:m:rwx",      "d:u::rwx", "d:o::r",
		"default:g:www:rx", "d:mask::7", "o:bob:rwx"};
	struct spec_acl acl;
	for (size_t i = 0; i < ARRAY_LEN(good) - 1; i++) {
		assert_int_equal(spec_acl_parse(good[i], &acl, NULL), 0);
		free(acl.name);
	}
	assert_int_equal(spec_acl_parse(good[ARRAY_LEN(good) - 1], &acl, NULL), ERR_FORMAT);
}

static void the_range_grammar(void **state)
{
	static const char *const good[] = {"s0",       "s0-s0",       "s0-s15:c0.c1023",
					   "s0:c1,c3", "s0:c0.c2,c5", "s2-s3:c1023"};
	static const struct {
		const char *range, *why;
	} bad[] = {
		{"s0-", "missing"},
		{"-s0", "missing"},
		{"s0:", "missing"},
		{"s0:c1.", "missing"},
		{"s0:c1,", "missing"},
		{"0", "no sensitivity"},
		{"s", "no sensitivity"},
		{"sx", "no sensitivity"},
		{"s0-t1", "'t1'"},
		{"s0:x1", "no category"},
		{"s0:c1024", "no category"},
		{"s0:c1.c1024", "'c1024'"},
		{"s3-s1", "below the low"},
		{"s0:c5.c1", "reversed"},
		{"s0:c1,c1", "twice"},
		{"s0:c0.c5,c3", "c3 is named twice"},
		{"s0:c99999999999999999999", "no category"},
	};
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_int_equal(spec_range_check(good[i], NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct error err = {0};
		assert_int_equal(spec_range_check(bad[i].range, &err), ERR_FORMAT);
		assert_non_null(strstr(err.text, bad[i].why));
	}
}

/* spec_load and spec_check_archive: a revision in a temporary directory */

static int root = -1; /* of the running test */

static int make_root(void **state)
{
	int r = tempdir_setup(state);
	root = r < 0 ? -1 : ((struct tempdir *)*state)->fd;
	return r;
}

static void put(const char *name, const char *text)
{
	auto_close int fd = openat(root, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(fs_write_all(fd, text, strlen(text)), 0);
}

static void the_appspec_is_found_under_its_names(void **state)
{
	auto_problems struct problems problems = {0};
	struct error err = {0};
	struct spec *spec = NULL;
	char *name = NULL;
	assert_int_equal(spec_load(root, NULL, &spec, &name, &problems, &err), -ENOENT);
	assert_non_null(strstr(err.text, "'appspec.yml'"));
	assert_non_null(strstr(err.text, "'appspec.yaml'"));
	assert_int_equal(spec_load(root, "conf/my.yml", &spec, &name, &problems, &err), -ENOENT);
	assert_non_null(strstr(err.text, "'conf/my.yml'"));

	static const char *const names[] = {"appspec.yml", "appspec.yaml", "my.yml"};
	static const char *const wanted[] = {NULL, NULL, "my.yml"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		put(names[i], HEAD);
		assert_int_equal(spec_load(root, wanted[i], &spec, &name, &problems, &err), 0);
		assert_string_equal(name, names[i]);
		assert_int_equal(unlinkat(root, name, 0), 0);
		spec_free(spec);
		free(name);
	}
}

static void the_appspec_must_be_a_file_inside_the_revision(void **state)
{
	auto_problems struct problems problems = {0};
	struct error err = {0};
	struct spec *spec = NULL;
	assert_int_equal(spec_load(root, "../x.yml", &spec, NULL, &problems, &err), ERR_INPUT);
	assert_int_equal(mkdirat(root, "dir.yml", 0755), 0);
	assert_int_equal(spec_load(root, "dir.yml", &spec, NULL, &problems, &err), ERR_INPUT);
	assert_int_equal(mkfifoat(root, "fifo.yml", 0644), 0);
	assert_int_equal(spec_load(root, "fifo.yml", &spec, NULL, &problems, &err), ERR_INPUT);
	assert_int_equal(symlinkat("/etc/passwd", root, "appspec.yml"), 0);
	assert_true(spec_load(root, NULL, &spec, NULL, &problems, &err) < 0);
	assert_null(spec);
}

static void an_appspec_above_its_ceiling_is_refused(void **state)
{
	auto_problems struct problems problems = {0};
	struct error err = {0};
	struct spec *spec = NULL;
	auto_close int fd = openat(root, "appspec.yml", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_int_equal(ftruncate(fd, SPEC_MAX_BYTES + 1), 0);
	assert_int_equal(spec_load(root, NULL, &spec, NULL, &problems, &err), ERR_LIMIT);
}

static const char checked[] = HEAD "files:\n"
				   "  - source: app.py\n"
				   "    destination: /srv/app.py\n"
				   "  - source: gone\n"
				   "    destination: /srv\n"
				   "  - source: '*.html'\n"
				   "    destination: /srv\n"
				   "  - source: out/x\n"
				   "    destination: /srv\n"
				   "  - source: dangling\n"
				   "    destination: /srv\n"
				   "permissions:\n"
				   "  - object: /srv\n"
				   "    owner: root\n"
				   "    mode: '4755'\n"
				   "  - object: /srv\n"
				   "  - object: /opt\n"
				   "hooks:\n"
				   "  AfterInstall:\n"
				   "    - location: gone.sh\n"
				   "    - location: plain.sh\n"
				   "      timeout: 3000\n"
				   "    - location: crlf.sh\n"
				   "      timeout: 3000\n"
				   "    - location: a b.sh\n"
				   "    - location: sub\n"
				   "    - location: good.sh\n";

static void an_appspec_is_held_against_its_bundle(void **state)
{
	put("app.py", "x");
	put("plain.sh", "echo\n");
	put("crlf.sh", "#!/bin/sh\r\nexit 0\r\n");
	put("a b.sh", "#!/bin/sh\n");
	put("good.sh", "#!/bin/sh\n");
	assert_int_equal(mkdirat(root, "sub", 0755), 0);
	assert_int_equal(symlinkat("/etc", root, "out"), 0);
	assert_int_equal(symlinkat("nowhere", root, "dangling"), 0);

	auto_spec struct spec *spec = NULL;
	auto_problems struct problems problems = {0};
	assert_int_equal(parse(checked, &spec, &problems), 0);
	assert_int_equal(problems.count, 0);
	spec_check_archive(spec, "appspec.yaml", root, &problems);

	static const struct {
		enum problem_level level;
		const char *where, *text;
	} rows[] = {
		{PROBLEM_WARNING, "appspec.yaml", "only under the name appspec.yml"},
		{PROBLEM_WARNING, "appspec.yaml:4:5", "will be /srv/app.py/app.py"},
		{PROBLEM_ERROR, "appspec.yaml:6:5", "gone is not in the bundle"},
		{PROBLEM_ERROR, "appspec.yaml:8:5", "wildcards are not expanded"},
		{PROBLEM_ERROR, "appspec.yaml:10:5", "leads out of the bundle"},
		{PROBLEM_WARNING, "appspec.yaml:15:5", "keeps them"},
		{PROBLEM_WARNING, "appspec.yaml:18:5", "overlaps the one in line 15"},
		{PROBLEM_WARNING, "appspec.yaml:19:5", "no entry of 'files'"},
		{PROBLEM_WARNING, "appspec.yaml:22:5", "6000 seconds"},
		{PROBLEM_ERROR, "appspec.yaml:22:7", "gone.sh is not in the bundle"},
		{PROBLEM_WARNING, "appspec.yaml:23:7", "/bin/sh will run it"},
		{PROBLEM_WARNING, "appspec.yaml:25:7", "Windows line ends"},
		{PROBLEM_WARNING, "appspec.yaml:27:7", "blanks"},
		{PROBLEM_ERROR, "appspec.yaml:28:7", "not a regular file"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_true(has_problem(&problems, rows[i].level, rows[i].where, rows[i].text));
	assert_int_equal(problems.count, ARRAY_LEN(rows));
}

static const char rivals[] = FILES "  - {source: a, destination: /srv}\n"
				   "  - {source: sub/a, destination: /srv/}\n"
				   "  - {source: sub/a, destination: /opt}\n"
				   "  - {source: sub, destination: /srv}\n"
				   "  - {source: sub, destination: /srv}\n";

static void two_files_for_one_path_are_told(void **state)
{
	put("a", "x");
	assert_int_equal(mkdirat(root, "sub", 0755), 0);
	put("sub/a", "y");
	auto_spec struct spec *spec = NULL;
	auto_problems struct problems problems = {0};
	assert_int_equal(parse(rivals, &spec, &problems), 0);
	spec_check_archive(spec, "appspec.yml", root, &problems);
	assert_true(has_problem(&problems, PROBLEM_ERROR, "appspec.yml:5:5",
				"sub/a comes to the same path as the one in line 4"));
	assert_int_equal(problems.count, 1);
}

static void an_appspec_alone_is_held_against_itself(void **state)
{
	put("appspec.yml", HEAD "files:\n"
				"  - destination: /srv\n"
				"permissions:\n"
				"  - object: /opt\n"
				"hooks:\n"
				"  AfterInstall:\n"
				"    - {location: a, timeout: 3000}\n"
				"    - {location: b, timeout: 601}\n"
				"  ApplicationStart:\n"
				"    - {location: a, timeout: 3000}\n"
				"    - {location: b, timeout: 600}\n");
	auto_spec struct spec *spec = NULL;
	auto_problems struct problems problems = {0};
	auto_close int fd = openat(root, "appspec.yml", O_RDONLY | O_CLOEXEC);
	assert_int_equal(spec_read_usable(fd, "appspec.yml", &spec, &problems, NULL), ERR_INPUT);
	spec_check(spec, "appspec.yml", &problems);
	assert_true(has_problem(&problems, PROBLEM_ERROR, "appspec.yml:4:5", "'source'"));
	assert_true(has_problem(&problems, PROBLEM_WARNING, "appspec.yml:6:5", "/opt"));
	assert_true(has_problem(&problems, PROBLEM_WARNING, "appspec.yml:9:5", "3601 seconds"));
	assert_int_equal(problems.count, 3);

	problems_add(&problems, PROBLEM_WARNING, "appspec.yml:4:9", "later, of the same line");
	problems_add(&problems, PROBLEM_WARNING, "appspec.yml", "of the file as a whole");
	problems_add(&problems, PROBLEM_WARNING, "appspec.yml:10:1", "of a line with two digits");
	problems_by_line(&problems);
	static const char *const order[] = {"appspec.yml",     "appspec.yml:4:5",
					    "appspec.yml:4:9", "appspec.yml:6:5",
					    "appspec.yml:9:5", "appspec.yml:10:1"};
	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		assert_string_equal(problems.list[i].where, order[i]);
}

static void a_context_is_read_and_a_huge_one_refused(void **state)
{
	char text[11000] = PERMISSION "    context: {user: staff_u, range: s0:c1, type: ";
	auto_spec struct spec *spec = NULL;
	auto_problems struct problems problems = {0};
	size_t len = strlen(text);
	(void)state;
	strcpy(text + len, "etc_t}\n");
	assert_int_equal(parse(text, &spec, &problems), 0);
	assert_string_equal(spec->permissions[0].context.type, "etc_t");
	assert_string_equal(spec->permissions[0].context.user, "staff_u");
	assert_string_equal(spec->permissions[0].context.range, "s0:c1");
	spec_free(spec);
	spec = NULL;
	memset(text + len, 'x', 10000);
	strcpy(text + len + 10000, "}\n");
	assert_int_equal(parse(text, &spec, &problems), ERR_INPUT);
	assert_true(has_problem(&problems, PROBLEM_ERROR, "appspec.yml:5:50", "cannot be 'xxx"));
}

static void acls_that_give_less_than_they_seem_are_warned_about(void **state)
{
	(void)state;
	auto_spec struct spec *spec = NULL;
	auto_problems struct problems problems = {0};
	assert_int_equal(parse(HEAD
			       "files: [{source: a, destination: /srv}]\n"
			       "permissions:\n"
			       "  - {object: /srv/a, mode: '0640', acls: ['u:bob:rw']}\n"
			       "  - {object: /srv/b, mode: '0640', acls: ['u:bob:rw', 'm:rw']}\n"
			       "  - {object: /srv/c, mode: '0660', acls: ['u:bob:rw']}\n"
			       "  - {object: /srv/d, acls: ['d:u:bob:rw']}\n"
			       "  - {object: /srv/e, acls: ['d:u:bob:rw'], type: [directory]}\n",
			       &spec, &problems),
			 0);
	spec_check(spec, "appspec.yml", &problems);
	assert_true(has_problem(&problems, PROBLEM_WARNING, "appspec.yml:5:5", "'mask:'"));
	assert_true(has_problem(&problems, PROBLEM_WARNING, "appspec.yml:8:5", "[directory]"));
	assert_int_equal(problems.count, 2);
	assert_int_equal(spec->permissions[0].n_acls, 1);
	assert_string_equal(spec->permissions[0].acls[0].name, "bob");
	assert_int_equal(spec->permissions[0].acls[0].perm, 6);
	assert_true(spec->permissions[3].acls[0].is_default);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_context_is_read_and_a_huge_one_refused),
		cmocka_unit_test(acls_that_give_less_than_they_seem_are_warned_about),
		cmocka_unit_test(every_mistake_of_the_reference_is_found_at_its_place),
		cmocka_unit_test(wrong_containers_and_syntax_are_named),
		cmocka_unit_test(all_mistakes_of_a_file_are_told_at_once),
		cmocka_unit_test(keys_that_are_there_twice_hide_no_other_mistake),
		cmocka_unit_test(what_is_odd_but_works_is_warned_about),
		cmocka_unit_test(a_full_file_is_read_into_its_struct),
		cmocka_unit_test(a_mode_is_octal_by_its_text),
		cmocka_unit_test(text_needs_no_quotes),
		cmocka_unit_test(null_means_not_given),
		cmocka_unit_test(a_timeout_of_false_is_the_default),
		cmocka_unit_test(limits_of_host_and_script_are_joined_to_the_stricter),
		cmocka_unit_test(a_limit_that_is_laxer_than_the_hosts_is_cut_with_a_warning),
		cmocka_unit_test(limits_that_only_services_can_have_are_warned_about_once),
		cmocka_unit_test(versions_that_equal_zero_pass),
		cmocka_unit_test(json_is_an_appspec_too),
		cmocka_unit_test(messages_hold_no_control_characters),
		cmocka_unit_test(the_acl_grammar),
		cmocka_unit_test(the_range_grammar),
		cmocka_unit_test_setup_teardown(the_appspec_is_found_under_its_names, make_root,
						tempdir_teardown),
		cmocka_unit_test_setup_teardown(the_appspec_must_be_a_file_inside_the_revision,
						make_root, tempdir_teardown),
		cmocka_unit_test_setup_teardown(an_appspec_above_its_ceiling_is_refused, make_root,
						tempdir_teardown),
		cmocka_unit_test_setup_teardown(an_appspec_is_held_against_its_bundle, make_root,
						tempdir_teardown),
		cmocka_unit_test_setup_teardown(two_files_for_one_path_are_told, make_root,
						tempdir_teardown),
		cmocka_unit_test_setup_teardown(an_appspec_alone_is_held_against_itself, make_root,
						tempdir_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
