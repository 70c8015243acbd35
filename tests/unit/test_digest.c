// SPDX-License-Identifier: Apache-2.0
#include "common/digest.h"
#include "common/str.h"
#include "tests/unit/tempdir.h"

#define ABC_SHA256 "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void sha256_of_abc_is_the_published_one(void **state)
{
	char hex[DIGEST_SHA256_HEX];
	digest_sha256_hex("abc", 3, hex);
	assert_string_equal(hex, ABC_SHA256);
	digest_sha256_hex("", 0, hex);
	assert_string_equal(hex,
			    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void pieces_give_the_same_digest_as_the_whole(void **state)
{
	auto_digest struct digest *sha = NULL;
	auto_digest struct digest *md5 = NULL;
	assert_int_equal(digest_new_sha256(&sha, NULL), 0);
	digest_update(sha, "a", 1);
	digest_update(sha, "bc", 2);
	char hex[DIGEST_SHA256_HEX];
	digest_hex(sha, hex);
	assert_string_equal(hex, ABC_SHA256);
	assert_int_equal(digest_new_md5(&md5, NULL), 0);
	digest_update(md5, "abc", 3);
	digest_hex(md5, hex);
	assert_string_equal(hex, "900150983cd24fb0d6963f7d28e17f72");
}

static void hmac_matches_rfc_4231(void **state)
{
	uint8_t sum[DIGEST_SHA256_LEN];
	char hex[DIGEST_SHA256_HEX];
	digest_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, sum);
	str_hex(sum, sizeof(sum), hex);
	assert_string_equal(hex,
			    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	digest_hmac_sha256(NULL, 0, "", 0, sum);
	str_hex(sum, sizeof(sum), hex);
	assert_string_equal(hex,
			    "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void a_descriptor_is_hashed_from_its_start(void **state)
{
	struct tempdir *dir = *state;
	tempdir_write(dir, "f", "abc");
	auto_close int fd = openat(dir->fd, "f", O_RDONLY | O_CLOEXEC);
	char c, hex[DIGEST_SHA256_HEX];
	assert_int_equal(read(fd, &c, 1), 1);
	uint64_t size = 0;
	assert_int_equal(digest_sha256_fd(fd, hex, &size, NULL), 0);
	assert_string_equal(hex, ABC_SHA256);
	assert_int_equal(size, 3);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 1);
	struct error err = {0};
	assert_int_equal(digest_sha256_fd(dir->fd, hex, NULL, &err), -EISDIR);
}

static void comparison_sees_every_byte(void **state)
{
	assert_true(digest_equal("abc", "abc", 3));
	assert_false(digest_equal("abc", "abd", 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sha256_of_abc_is_the_published_one),
		cmocka_unit_test(pieces_give_the_same_digest_as_the_whole),
		cmocka_unit_test(hmac_matches_rfc_4231),
		tempdir_test(a_descriptor_is_hashed_from_its_start),
		cmocka_unit_test(comparison_sees_every_byte),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
