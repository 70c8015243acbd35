// SPDX-License-Identifier: Apache-2.0
#include "common/log-file.h"
#include "common/log.h"
#include "tests/unit/tempdir.h"

#include <errno.h>
#include <regex.h>
#include <time.h>

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

static struct log_file *open_file(const struct tempdir *dir, bool restricted)
{
	struct log_file *file = NULL;
	struct error err = {0};
	auto_free char *path = xasprintf("%s/logs", dir->path);
	if (log_file_open(path, "agent", restricted ? 0750 : 0755, restricted ? 0640 : 0644, &file,
			  &err) < 0)
		fail_msg("%s", err.text);
	return file;
}

static void a_log_file_gets_every_line_with_its_time(void **state)
{
	struct tempdir *dir = *state;
	struct log_file *file = open_file(dir, false);
	log_to_sink(log_file_write, file);
	free(said(dir, speak_levels));
	log_to_sink(NULL, NULL);
	log_file_free(file);
	auto_free char *text = tempdir_read(dir, "logs/agent.log");
	regex_t official;
	assert_int_equal(regcomp(&official,
				 "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2} ERROR "
				 "\\[agent\\([0-9]+\\)\\]: disk 'sda' is full\n"
				 "[-0-9T:]{19} INFO  \\[agent\\([0-9]+\\)\\]: deployed\n$",
				 REG_EXTENDED | REG_NOSUB),
			 0);
	if (regexec(&official, text, 0, NULL, 0) != 0)
		fail_msg("%s", text);
	regfree(&official);
}

static void a_log_file_is_begun_anew_each_day_and_seven_stay(void **state)
{
	struct tempdir *dir = *state;
	char name[64];
	struct log_file *file = open_file(dir, false);
	for (int day = 1; day <= 9; day++) {
		log_file_write(LOG_INFO, "of that day", file);
		log_file_free(file);
		struct tm tm = {.tm_year = 126, .tm_mday = day, .tm_hour = 12, .tm_isdst = -1};
		const struct timespec times[2] = {{.tv_sec = mktime(&tm)}, {.tv_sec = mktime(&tm)}};
		assert_int_equal(utimensat(dir->fd, "logs/agent.log", times, 0), 0);
		file = open_file(dir, false);
	}
	log_file_write(LOG_INFO, "today", file);
	log_file_free(file);
	auto_free char *text = tempdir_read(dir, "logs/agent.log");
	assert_non_null(strstr(text, "today"));
	assert_null(strstr(text, "of that day"));
	for (int day = 1; day <= 9; day++) {
		snprintf(name, sizeof(name), "logs/agent.2026010%d.log", day);
		assert_int_equal(faccessat(dir->fd, name, F_OK, 0), day > 2 ? 0 : -1);
	}
}

static void a_log_file_that_grew_too_large_has_a_number(void **state)
{
	struct tempdir *dir = *state;
	char day[32], name[64];
	time_t now = time(NULL);
	for (int i = 0; i < 2; i++) {
		struct log_file *file = open_file(dir, false);
		log_file_write(LOG_INFO, "small", file);
		log_file_free(file);
		auto_close int fd = openat(dir->fd, "logs/agent.log", O_WRONLY | O_CLOEXEC);
		assert_int_equal(ftruncate(fd, (off_t)64 * 1024 * 1024), 0);
		file = open_file(dir, false);
		log_file_write(LOG_INFO, "next", file);
		log_file_free(file);
	}
	struct stat st;
	assert_int_equal(fstatat(dir->fd, "logs/agent.log", &st, 0), 0);
	assert_true(st.st_size < 4096);
	strftime(day, sizeof(day), "%Y%m%d", localtime(&now));
	snprintf(name, sizeof(name), "logs/agent.%s.log", day);
	assert_int_equal(faccessat(dir->fd, name, F_OK, 0), 0);
	snprintf(name, sizeof(name), "logs/agent.%s.1.log", day);
	assert_int_equal(faccessat(dir->fd, name, F_OK, 0), 0);
}

static void whoever_rotates_a_log_file_finds_a_new_one(void **state)
{
	struct tempdir *dir = *state;
	struct log_file *file = open_file(dir, false);
	log_file_write(LOG_INFO, "one", file);
	assert_int_equal(renameat(dir->fd, "logs/agent.log", dir->fd, "logs/agent.log-1"), 0);
	log_file_write(LOG_INFO, "two", file);
	assert_int_equal(unlinkat(dir->fd, "logs/agent.log", 0), 0);
	log_file_write(LOG_INFO, "three", file);
	auto_close int fd = openat(dir->fd, "logs/agent.log", O_WRONLY | O_CLOEXEC);
	assert_int_equal(ftruncate(fd, 0), 0); /* copytruncate */
	log_file_write(LOG_INFO, "four", file);
	log_file_free(file);
	auto_free char *old = tempdir_read(dir, "logs/agent.log-1");
	auto_free char *text = tempdir_read(dir, "logs/agent.log");
	assert_non_null(strstr(old, ": one\n"));
	assert_null(strstr(old, "two"));
	assert_null(strstr(text, "three"));
	assert_non_null(strstr(text, ": four\n"));
}

static void a_restricted_log_file_is_not_for_others(void **state)
{
	struct tempdir *dir = *state;
	static const mode_t modes[][2] = {{0755, 0644}, {0750, 0640}};
	for (int restricted = 0; restricted < 2; restricted++) {
		struct stat st;
		log_file_free(open_file(dir, restricted));
		assert_int_equal(fstatat(dir->fd, "logs", &st, 0), 0);
		assert_int_equal(st.st_mode & 0777, modes[restricted][0]);
		assert_int_equal(fstatat(dir->fd, "logs/agent.log", &st, 0), 0);
		assert_int_equal(st.st_mode & 0777, modes[restricted][1]);
	}
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
		tempdir_test(a_log_file_is_begun_anew_each_day_and_seven_stay),
		tempdir_test(a_log_file_that_grew_too_large_has_a_number),
		tempdir_test(whoever_rotates_a_log_file_finds_a_new_one),
		tempdir_test(a_restricted_log_file_is_not_for_others),
		cmocka_unit_test(the_level_can_be_raised),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
