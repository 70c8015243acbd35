// SPDX-License-Identifier: Apache-2.0
#include "control/ca.h"
#include "control/control.h"
#include "control/store.h"
#include "tests/unit/tempdir.h"

#include "common/json.h"

#include <sys/stat.h>

static const char *const no_names[] = {NULL};
static const char *const names[] = {"deploy.example", NULL};

static int open_with(struct control *control, const struct tempdir *dir, const char *const list[],
		     const char *region, struct error *err)
{
	auto_free char *path = xasprintf("%s/a/b", dir->path);
	*control = CONTROL_INIT;
	settings_init(&control->settings);
	if (region)
		assert_int_equal(settings_set(&control->settings, "region", region, err), 0);
	return control_open(control, path, list, err);
}

static void open_ok(struct control *control, const struct tempdir *dir, const char *const list[],
		    const char *region)
{
	struct error err = {0};
	if (open_with(control, dir, list, region, &err) < 0)
		fail_msg("%s", err.text);
}

static void an_endpoint_is_made_from_nothing(void **state)
{
	auto_control struct control control;
	open_ok(&control, *state, no_names, NULL);
	assert_true(control.made);
	assert_string_equal(control.settings.region, "us-east-1");
	assert_string_equal(control.settings.account, "000000000000");
	assert_non_null(ca_server_pem(control.ca));
	struct stat st;
	assert_int_equal(fstat(control.dirfd, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(fstatat(control.dirfd, CONTROL_CREDENTIALS, &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void the_second_time_nothing_changes(void **state)
{
	const struct tempdir *dir = *state;
	auto_free char *before = NULL, *after = NULL, *fingerprint = NULL;
	{
		auto_control struct control control;
		open_ok(&control, dir, names, "eu-north-1");
		fingerprint = xstrdup(ca_fingerprint(control.ca));
		before = tempdir_read(dir, "a/b/" CONTROL_CREDENTIALS);
	}
	auto_control struct control control;
	open_ok(&control, dir, no_names, NULL);
	assert_false(control.made);
	after = tempdir_read(dir, "a/b/" CONTROL_CREDENTIALS);
	assert_string_equal(before, after);
	assert_string_equal(fingerprint, ca_fingerprint(control.ca));
	assert_string_equal(control.settings.region, "eu-north-1");
	assert_string_equal(control.name, "deploy.example");
	assert_string_equal(control.endpoint, "https://deploy.example:8443");
}

static void another_region_is_refused(void **state)
{
	{
		auto_control struct control control;
		open_ok(&control, *state, no_names, "eu-north-1");
	}
	auto_control struct control control;
	struct error err = {0};
	assert_int_equal(open_with(&control, *state, no_names, "us-west-2", &err), ERR_INPUT);
	assert_non_null(strstr(err.text, "'eu-north-1'"));
}

static void the_credentials_open_the_store(void **state)
{
	auto_control struct control control;
	open_ok(&control, *state, no_names, NULL);
	auto_json json_t *doc = NULL;
	assert_int_equal(json_read_file(control.dirfd, CONTROL_CREDENTIALS, 65536, &doc, NULL), 0);
	const char *id = json_string_value(json_object_get(doc, "access_key_id"));
	const char *secret = json_string_value(json_object_get(doc, "secret_access_key"));
	struct store_key key;
	assert_int_equal(store_key_get(control.store, id, &key, NULL), 0);
	assert_string_equal(key.secret, secret);
	assert_string_equal(json_string_value(json_object_get(doc, "ca")), ca_pem(control.ca));
}

static void what_a_crash_left_half_made_is_made_whole(void **state)
{
	const struct tempdir *dir = *state;
	{
		auto_control struct control control;
		open_ok(&control, dir, no_names, NULL);
	}
	fs_unlink_quiet(dir->fd, "a/b/control.db"); /* as if it had not been committed */
	fs_unlink_quiet(dir->fd, "a/b/control.db-wal");
	auto_control struct control control;
	open_ok(&control, dir, no_names, NULL);
	assert_true(control.made);
	the_credentials_open_the_store(state);
}

static void a_command_makes_no_endpoint(void **state)
{
	const struct tempdir *dir = *state;
	auto_control struct control control;
	struct error err = {0};
	struct stat st;
	assert_true(open_with(&control, dir, NULL, NULL, &err) < 0);
	assert_non_null(strstr(err.text, "slipway-controld init"));
	assert_int_equal(fstatat(dir->fd, "a/b/control.db", &st, 0), -1);
	assert_int_equal(fstatat(dir->fd, "a/b/ca", &st, 0), -1);
}

static void a_command_makes_no_certificate(void **state)
{
	const struct tempdir *dir = *state;
	{
		auto_control struct control control;
		open_ok(&control, dir, no_names, NULL);
	}
	fs_unlink_quiet(dir->fd, "a/b/ca/server.pem");
	auto_control struct control control;
	open_ok(&control, dir, NULL, NULL);
	struct stat st;
	assert_int_equal(fstatat(control.dirfd, "ca/ca.pem", &st, 0), 0);
	assert_int_equal(fstatat(control.dirfd, "ca/server.pem", &st, 0), -1);
}

static void settings_are_checked(void **state)
{
	struct settings s;
	struct error err = {0};
	settings_init(&s);
	assert_int_equal(s.lease_ms, 30000);
	assert_int_equal(s.poll_ms, 60000);
	assert_int_equal(s.host_life_ms, 90LL * 86400 * 1000);
	assert_string_equal(s.listen, ":8443");
	assert_int_equal(settings_set(&s, "lease", "5s", &err), 0);
	assert_int_equal(s.lease_ms, 5000);
	assert_true(settings_set(&s, "poll", "10m", &err) < 0); /* agents hang up after 80 s */
	assert_true(settings_set(&s, "account", "123", &err) < 0);
	assert_true(settings_set(&s, "region", "Here!", &err) < 0);
	assert_true(settings_set(&s, "no_such_thing", "1", &err) < 0);
	settings_clear(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		tempdir_test(an_endpoint_is_made_from_nothing),
		tempdir_test(the_second_time_nothing_changes),
		tempdir_test(another_region_is_refused),
		tempdir_test(the_credentials_open_the_store),
		tempdir_test(what_a_crash_left_half_made_is_made_whole),
		tempdir_test(a_command_makes_no_endpoint),
		tempdir_test(a_command_makes_no_certificate),
		cmocka_unit_test(settings_are_checked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
