// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/host.h"
#include "agent/cli/report.h"
#include "common/buf.h"
#include "common/json.h"
#include "common/proc.h"
#include "tests/unit/tempdir.h"

#include <sys/wait.h>
#include <unistd.h>

#define GROUPS "var/lib/slipway/host/groups"

/* A closed deployment as the worker writes it, failed at an event or (NULL) not. */
static struct state_deployment *deployment(const char *id, const char *failed_at, double ended)
{
	auto_json json_t *spec =
		json_pack("{s:s, s:s, s:s, s:s, s:{s:s, s:{s:s, s:s}}}", "DeploymentId", id,
			  "DeploymentGroupId", "g-1", "DeploymentGroupName", "shop",
			  "ApplicationName", "app", "Revision", "RevisionType", "Local File",
			  "LocalRevision", "Location", "/r.tgz", "BundleType", "tgz");
	struct job *job = xcalloc(1, sizeof(*job));
	struct error err = {0};
	job->verb = JOB_DEPLOY;
	if (wire_spec_from_json(spec, &job->spec, &err) < 0)
		fail_msg("%s", err.text);
	struct state_deployment *d = state_deployment_new(job);
	d->phase = STATE_CLOSED;
	d->started = ended - 2;
	d->ended = ended;
	d->succeeded = !failed_at;
	if (!failed_at)
		return d;
	state_step_end(state_step_start(d, failed_at), STATE_FAILED, NULL);
	d->failure = xcalloc(1, sizeof(*d->failure));
	*d->failure = (struct state_failure){.event = xstrdup(failed_at),
					     .code = WIRE_SCRIPT_FAILED,
					     .script_name = xstrdup("start.sh"),
					     .message = xstrdup("it did not start"),
					     .log = xstrdup("[stderr]\x1b[2Jno port\n"),
					     .exit_code = 3};
	d->rolled_back = xstrdup("d-OLD");
	return d;
}

static void add_line(struct buf *file, const char *id, const char *failed_at, double ended)
{
	auto_state_deployment struct state_deployment *d = deployment(id, failed_at, ended);
	auto_json json_t *obj = state_deployment_to_json(d);
	json_set_str(obj, "group_id", "g-1");
	auto_free char *text = json_text(obj);
	buf_addf(file, "%s\n", text);
}

static int setup(void **state)
{
	if (tempdir_setup(state) < 0)
		return -1;
	struct tempdir *dir = *state;
	auto_close int fd = fs_mkdirs(dir->fd, GROUPS "/g-1", 0755, NULL);
	return fd < 0 ? -1 : 0;
}

#define HISTORY "var/lib/slipway/host/history.jsonl"

static struct cli host_of(const struct tempdir *dir)
{
	struct cli cli = {.json = false};
	assert_int_equal(paths_init(&cli.paths, dir->path, NULL), 0);
	return cli;
}

static int list(const struct state_deployment *d, const char *group, void *arg)
{
	buf_addf(arg, "%s/%s:%s ", group, state_deployment_id(d), report_outcome(d));
	return 0;
}

static void torn_and_foreign_lines_are_passed_over(void **state)
{
	struct tempdir *dir = *state;
	auto_buf struct buf file = BUF_INIT(100000);
	add_line(&file, "d-1", NULL, 1000);
	buf_adds(&file, "\n{\"not\":\"ours\"}\nnonsense\n");
	add_line(&file, "d-2", "ApplicationStart", 2000);
	buf_adds(&file, "{\"deployment_id\":\"d-3\",\"job\"");
	tempdir_write(dir, HISTORY, buf_str(&file));
	auto_buf struct buf old = BUF_INIT(100000);
	add_line(&old, "d-0", NULL, 500);
	tempdir_write(dir, HISTORY ".1", buf_str(&old));
	struct cli cli = host_of(dir);
	auto_buf struct buf seen = BUF_INIT(1000);
	struct error err = {0};
	assert_int_equal(host_history(&cli, list, &seen, &err), 0);
	assert_string_equal(buf_str(&seen),
			    "g-1/d-0:succeeded g-1/d-1:succeeded g-1/d-2:rolled back ");
	paths_clear(&cli.paths);
}

static void a_host_without_history_has_an_empty_one(void **state)
{
	struct cli cli = host_of(*state);
	auto_buf struct buf seen = BUF_INIT(1000);
	assert_int_equal(host_history(&cli, list, &seen, NULL), 0);
	assert_int_equal(seen.len, 0);
	struct state_deployment *d = NULL;
	char *group = NULL;
	struct error err = {0};
	assert_int_equal(host_deployment(&cli, NULL, NULL, &d, &group, &err), ERR_NOT_FOUND);
	assert_string_equal(err.text, "nothing was ever deployed here");
	paths_clear(&cli.paths);
}

/* The deployment's fate, as host_deployment() finds it. */
static void expect(const struct cli *cli, const char *id, const char *group, const char *outcome)
{
	struct state_deployment *d = NULL;
	auto_free char *found_group = NULL;
	struct error err = {0};
	if (host_deployment(cli, id, group, &d, &found_group, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(found_group, "g-1");
	assert_string_equal(report_outcome(d), outcome);
	state_deployment_free(d);
}

static void the_later_line_of_a_deployment_counts(void **state)
{
	struct tempdir *dir = *state;
	auto_buf struct buf file = BUF_INIT(100000);
	add_line(&file, "d-1", NULL, 1000);
	add_line(&file, "d-1", "AllowTraffic", 1100);
	add_line(&file, "d-2", NULL, 1200);
	tempdir_write(dir, HISTORY, buf_str(&file));
	struct cli cli = host_of(dir);
	expect(&cli, "d-1", NULL, "rolled back");
	expect(&cli, NULL, NULL, "succeeded");
	paths_clear(&cli.paths);
}

static void groups_are_found_by_id_and_by_name(void **state)
{
	struct tempdir *dir = *state;
	auto_state struct state *group = state_new("g-1");
	group->last = deployment("d-9", NULL, 3000);
	auto_close int fd = openat(dir->fd, GROUPS "/g-1", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(state_save(fd, group, NULL), 0);
	struct cli cli = host_of(dir);
	expect(&cli, NULL, "g-1", "succeeded");
	expect(&cli, "d-9", "shop", "succeeded");
	expect(&cli, "d-9", "app/shop", "succeeded");
	struct error err = {0};
	auto_free char *id = NULL, *fresh = NULL;
	assert_int_equal(host_group_id(&cli, "shop", &id, &err), 0);
	assert_string_equal(id, "g-1");
	assert_int_equal(host_group_id(&cli, "new", &fresh, &err), 0);
	assert_string_equal(fresh, "new");
	auto_host struct host host = {0};
	const struct state *found = NULL;
	assert_int_equal(host_load(&cli, &host, &err), 0);
	assert_int_equal(host_need_group(&host, NULL, &found, &err), 0);
	assert_int_equal(host_need_group(&host, "other", &found, &err), ERR_INPUT);
	assert_string_equal(err.text, "this host has no group 'other', but app/shop");
	paths_clear(&cli.paths);
}

/* Two applications may each have a group of one name: neither is taken for the other. */
static void a_name_of_two_groups_is_not_guessed(void **state)
{
	struct tempdir *dir = *state;
	auto_state struct state *one = state_new("g-1"), *two = state_new("g-2");
	one->last = deployment("d-1", NULL, 1000);
	two->last = deployment("d-2", NULL, 2000);
	free(two->last->job->spec->application);
	two->last->job->spec->application = xstrdup("other");
	auto_close int fd = fs_mkdirs(dir->fd, GROUPS "/g-1", 0755, NULL);
	auto_close int other = fs_mkdirs(dir->fd, GROUPS "/g-2", 0755, NULL);
	assert_int_equal(state_save(fd, one, NULL), 0);
	assert_int_equal(state_save(other, two, NULL), 0);
	struct cli cli = host_of(dir);
	auto_host struct host host = {0};
	struct error err = {0};
	const struct state *found = NULL;
	char *id = NULL;
	assert_int_equal(host_load(&cli, &host, &err), 0);
	assert_int_equal(host_need_group(&host, "shop", &found, &err), ERR_INPUT);
	assert_string_equal(err.text, "several groups are called 'shop', choose one: app/shop, "
				      "other/shop");
	assert_int_equal(host_group_id(&cli, "shop", &id, &err), ERR_INPUT);
	assert_null(id);
	assert_int_equal(host_need_group(&host, "other/shop", &found, &err), 0);
	assert_string_equal(found->group_id, "g-2");
	paths_clear(&cli.paths);
}

static void an_explanation_names_script_exit_output_and_what_is_back(void **state)
{
	struct tempdir *dir = *state;
	auto_state_deployment struct state_deployment *d =
		deployment("d-2", "ApplicationStart", 2000);
	FILE *out = fdopen(openat(dir->fd, "out", O_WRONLY | O_CREAT | O_CLOEXEC, 0600), "w");
	assert_non_null(out);
	report_explain(d, "g-1", out);
	fclose(out);
	auto_free char *text = tempdir_read(dir, "out");
	static const char *const parts[] = {"  group    app/shop\n",
					    "d-2 failed at ApplicationStart\n",
					    "  script   start.sh\n", "    | [stderr]?[2Jno port\n",
					    "  now      d-OLD is back\n"};
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (!strstr(text, parts[i]))
			fail_msg("'%s' is not in: %s", parts[i], text);
}

static void what_was_refused_has_touched_nothing(void **state)
{
	struct tempdir *dir = *state;
	auto_state_deployment struct state_deployment *d = deployment("d-2", "Install", 2000);
	d->n_steps = 0;
	free(d->steps[0].event);
	assert_string_equal(report_outcome(d), "refused");
	FILE *out = fdopen(openat(dir->fd, "out", O_WRONLY | O_CREAT | O_CLOEXEC, 0600), "w");
	assert_non_null(out);
	report_explain(d, "g-1", out);
	fclose(out);
	auto_free char *text = tempdir_read(dir, "out");
	assert_non_null(strstr(text, "d-2 refused\n"));
	assert_non_null(strstr(text, "  now      nothing was touched\n"));
}

static void scripts_have_a_line_each_that_fits(void **state)
{
	static const char long_name[] = "scripts/\xc3\xa4/of/the/web/application/check.sh";
	const struct state_run runs[] = {
		{1, "scripts/start.sh", true, 1200, 400, 12 << 20, 3, NULL},
		{2, (char *)long_name, false, 3599000, 3599000, 100 << 10, 1, NULL},
		{3, "s.sh", true, -1, -1, -1, -1, NULL},
	};
	auto_state_deployment struct state_deployment *d = deployment("d-A", NULL, 100);
	auto_free char *text = NULL, *none = NULL;
	size_t len;
	FILE *out = open_memstream(&none, &len);
	report_scripts(d, out);
	fclose(out);
	assert_string_equal(none, "");
	state_step_start(d, "ApplicationStart");
	state_run_add(d, &runs[0]);
	state_run_add(d, &runs[1]);
	state_step_start(d, "Rollback: ApplicationStart");
	state_run_add(d, &runs[2]);
	out = open_memstream(&text, &len);
	report_scripts(d, out);
	fclose(out);
	assert_string_equal(
		text,
		"  scripts that ran:\n"
		"    ...pts/start.sh  ok      1.2 s        cpu 0.4 s        peak 12 MiB   3 "
		"tasks\n"
		"    ...ion/check.sh  FAILED  59 min 59 s  cpu 59 min 59 s  peak 100 KiB  1 task\n"
		"  and on the way back:\n"
		"    s.sh  ok\n");
}

/* What report_left_running() says of a step that ended then and left that process. */
static char *left_running(pid_t pid, double ended)
{
	auto_state_deployment struct state_deployment *d = deployment("d-A", NULL, 100);
	auto_free char *message = xasprintf(STATE_LEFT_RUNNING "(x) (0), b.sh (%d)", (int)pid);
	struct state_step *step = state_step_start(d, "ApplicationStart");
	state_step_end(step, STATE_SUCCEEDED, message);
	step->ended = ended;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	report_left_running(d, out);
	fclose(out);
	return text;
}

static void only_what_still_runs_is_told(void **state)
{
	double started = proc_started(getpid());
	pid_t gone = fork();
	if (gone == 0)
		_exit(0);
	assert_int_equal(waitpid(gone, NULL, 0), gone);
	auto_free char *runs = left_running(getpid(), started + 10);
	auto_free char *ended = left_running(gone, started + 10);
	auto_free char *younger = left_running(getpid(), started - 10);
	auto_free char *line =
		xasprintf("  started  (x) (0), b.sh (%d), by ApplicationStart\n", (int)getpid());
	assert_string_equal(runs, line);
	assert_string_equal(ended, "");
	assert_string_equal(younger, "");
}

#define host_test(f) cmocka_unit_test_setup_teardown(f, setup, tempdir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		host_test(torn_and_foreign_lines_are_passed_over),
		host_test(a_host_without_history_has_an_empty_one),
		host_test(the_later_line_of_a_deployment_counts),
		host_test(groups_are_found_by_id_and_by_name),
		host_test(a_name_of_two_groups_is_not_guessed),
		host_test(an_explanation_names_script_exit_output_and_what_is_back),
		host_test(what_was_refused_has_touched_nothing),
		cmocka_unit_test(scripts_have_a_line_each_that_fits),
		cmocka_unit_test(only_what_still_runs_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
