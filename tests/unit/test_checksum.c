// SPDX-License-Identifier: Apache-2.0
#include "common/checksum.h"
#include "tests/unit/unit.h"

static void crc32_has_its_published_check_value(void **state)
{
	assert_int_equal(checksum_crc32(0, "123456789", 9), 0xcbf43926);
	assert_int_equal(checksum_crc32(0, "", 0), 0);
}

static void it_may_be_made_in_pieces(void **state)
{
	uint32_t crc = checksum_crc32(0, "1234", 4);
	assert_int_equal(checksum_crc32(crc, "56789", 5), 0xcbf43926);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crc32_has_its_published_check_value),
		cmocka_unit_test(it_may_be_made_in_pieces),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
