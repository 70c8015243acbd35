// SPDX-License-Identifier: Apache-2.0
#include "common/log.h"
#include "tests/unit/tempdir.h"

#include <errno.h>

/* Run with stderr in a file; its content is the answer. */
static char *said(const struct tempdir *dir, void (*speak)(void))
{
	auto_close int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	auto_close int fd = openat(dir->fd, "stderr", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	dup2(fd, STDERR_FILENO);
	log_init("unit", LOG_INFO);
	speak();
	dup2(saved, STDERR_FILENO);
	return tempdir_read(dir, "stderr");
}

static void speak_levels(void)
{
	log_error("disk '%s' is full", "sda");
	log_info("deployed");
	log_debug("not shown");
}

static void lines_name_their_level_and_stop_at_the_ceiling(void **state)
{
	auto_free char *text = said(*state, speak_levels);
	assert_string_equal(text, "error: disk 'sda' is full\ninfo: deployed\n");
}

static void speak_lines(void)
{
	log_warning("script said 'a\nerror: forged \x1b[2J'");
}

static void a_hostile_text_stays_one_line(void **state)
{
	auto_free char *text = said(*state, speak_lines);
	assert_string_equal(text, "warning: script said 'a error: forged ?[2J'\n");
}

static void speak_for_terminals(void)
{
	log_warning("a\rb\bc\x7f"
		    "d\u202e"
		    "e\xc2\x9b"
		    "f\xffg");
}

static void nothing_in_a_line_drives_a_terminal(void **state)
{
	auto_free char *text = said(*state, speak_for_terminals);
	assert_string_equal(text, "warning: a?b?c?d?e?f\ufffdg\n");
}

static void speak_long(void)
{
	auto_free char *text = xcalloc(1, 20001);
	memset(text, 'x', 20000);
	log_info("%s", text);
}

static void a_long_line_is_cut(void **state)
{
	auto_free char *text = said(*state, speak_long);
	assert_int_equal(strlen(text), 4095 + strlen("info: \n"));
}

static void speak_fields(void)
{
	static const char *const fields[] = {"HOOK", "ApplicationStart", "GONE", NULL, NULL};
	log_field("DEPLOYMENT_ID", "d-1");
	errno = EBUSY;
	log_event(LOG_NOTICE, NULL, fields, "started");
	assert_int_equal(errno, EBUSY);
	log_field("DEPLOYMENT_ID", NULL);
}

static void an_event_outside_the_journal_is_a_plain_line(void **state)
{
	auto_free char *text = said(*state, speak_fields);
	assert_string_equal(text, "notice: started\n");
}

static void a_log_file_gets_every_line_with_its_time(void **state)
{
	struct tempdir *dir = *state;
	auto_close int fd = openat(dir->fd, "log", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	log_to_fd(fd);
	free(said(dir, speak_levels));
	log_to_fd(-1);
	auto_free char *text = tempdir_read(dir, "log");
	assert_int_equal(strlen(text), 2 * strlen("2026-01-02 03:04:05 ") +
					       strlen("error disk 'sda' is full\ninfo deployed\n"));
	assert_non_null(strstr(text, " error disk 'sda' is full\n"));
}

static void the_level_can_be_raised(void **state)
{
	log_set_level(LOG_DEBUG);
	assert_int_equal(log_get_level(), LOG_DEBUG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		tempdir_test(lines_name_their_level_and_stop_at_the_ceiling),
		tempdir_test(a_hostile_text_stays_one_line),
		tempdir_test(nothing_in_a_line_drives_a_terminal),
		tempdir_test(a_long_line_is_cut),
		tempdir_test(an_event_outside_the_journal_is_a_plain_line),
		tempdir_test(a_log_file_gets_every_line_with_its_time),
		cmocka_unit_test(the_level_can_be_raised),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
