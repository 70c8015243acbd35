// SPDX-License-Identifier: Apache-2.0
#include "common/clock.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

static void times_have_three_forms(void **state)
{
	char out[CLOCK_ISO_LEN];
	assert_string_equal(clock_format_iso(1767323045, out), "2026-01-02T03:04:05Z");
	assert_string_equal(clock_format_amz(1767323045, out), "20260102T030405Z");
	setenv("TZ", "EST5", 1);
	tzset();
	assert_string_equal(clock_format_local(1767323045, out), "2026-01-01 22:04:05");
}

static void impossible_times_are_shown_as_the_epoch(void **state)
{
	char out[CLOCK_ISO_LEN];
	assert_string_equal(clock_format_iso(INT64_MAX, out), "1970-01-01T00:00:00Z");
	assert_string_equal(clock_format_iso(999999999999, out), "1970-01-01T00:00:00Z");
}

static void a_date_of_x_amz_date_is_read_back(void **state)
{
	int64_t t;
	assert_int_equal(clock_parse_amz("20260102T030405Z", &t), 0);
	assert_int_equal(t, 1767323045);
}

static void what_is_no_date_is_refused(void **state)
{
	int64_t t = 1;
	static const char *const bad[] = {"",
					  "20260102T030405",
					  "20260102T030405Z ",
					  "20260231T030405Z",
					  "2026010aT030405Z",
					  "20260102T250405Z",
					  "-0260102T030405Z",
					  "20261302T030405Z"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(clock_parse_amz(bad[i], &t), -EINVAL);
	assert_int_equal(t, 1);
}

static void monotonic_time_goes_forward_and_wall_time_is_now(void **state)
{
	uint64_t one = clock_mono_us();
	assert_true(clock_mono_us() >= one);
	assert_true(clock_wall() - (double)clock_wall_s() < 2);
	assert_true(clock_wall_s() > 1700000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_have_three_forms),
		cmocka_unit_test(impossible_times_are_shown_as_the_epoch),
		cmocka_unit_test(a_date_of_x_amz_date_is_read_back),
		cmocka_unit_test(what_is_no_date_is_refused),
		cmocka_unit_test(monotonic_time_goes_forward_and_wall_time_is_now),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
