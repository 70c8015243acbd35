// SPDX-License-Identifier: Apache-2.0
#include "control/ca.h"
#include "tests/unit/tempdir.h"
#include "tests/unit/unit.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/pki.h"

#include <openssl/x509v3.h>
#include <string.h>
#include <sys/stat.h>

#define DAY 86400LL

static const char *const no_names[] = {NULL};
static const char *const two_names[] = {"deploy.example", "192.0.2.7", NULL};

static struct ca *open_ca(int dirfd)
{
	struct ca *ca = NULL;
	struct error err = {0};
	if (ca_open(dirfd, &ca, &err) < 0)
		fail_msg("%s", err.text);
	return ca;
}

static bool renew(struct ca *ca, const char *const names[], int64_t now_s)
{
	bool renewed = false;
	struct error err = {0};
	if (ca_renew(ca, names, now_s, &renewed, &err) < 0)
		fail_msg("%s", err.text);
	return renewed;
}

static void a_ca_is_made_once(void **state)
{
	const struct tempdir *dir = *state;
	auto_ca struct ca *first = open_ca(dir->fd), *second = open_ca(dir->fd);
	assert_string_equal(ca_pem(first), ca_pem(second));
	assert_int_equal(strlen(ca_fingerprint(first)), 64);
	assert_string_equal(ca_fingerprint(first), ca_fingerprint(second));
}

static void keys_are_for_their_owner_only(void **state)
{
	static const char *const files[] = {"ca/ca.key", "ca/server.pem", "ca/signer.pem"};
	const struct tempdir *dir = *state;
	auto_ca struct ca *ca = open_ca(dir->fd);
	renew(ca, no_names, clock_wall_s());
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		struct stat st;
		assert_int_equal(fstatat(dir->fd, files[i], &st, 0), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
	}
	struct stat st;
	assert_int_equal(fstatat(dir->fd, "ca", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
}

static void a_crash_before_the_certificate_leaves_no_ca(void **state)
{
	const struct tempdir *dir = *state;
	ca_free(open_ca(dir->fd));
	fs_unlink_quiet(dir->fd, "ca/ca.pem");
	auto_ca struct ca *ca = open_ca(dir->fd);
	assert_non_null(ca_pem(ca));
}

static void a_ca_without_its_key_is_not_replaced(void **state)
{
	const struct tempdir *dir = *state;
	ca_free(open_ca(dir->fd));
	fs_unlink_quiet(dir->fd, "ca/ca.key");
	struct ca *ca = NULL;
	struct error err = {0};
	assert_int_equal(ca_open(dir->fd, &ca, &err), ERR_CRYPTO);
	assert_non_null(strstr(err.text, "ca.key is missing"));
	assert_null(ca);
}

static void certificates_are_kept_until_two_thirds_of_their_life(void **state)
{
	const struct tempdir *dir = *state;
	int64_t now = clock_wall_s();
	{
		auto_ca struct ca *ca = open_ca(dir->fd);
		assert_true(renew(ca, no_names, now));
		assert_false(renew(ca, NULL, now));
		assert_false(renew(ca, NULL, now + 240 * DAY));
	}
	auto_ca struct ca *ca = open_ca(dir->fd);
	assert_false(renew(ca, no_names, now + 240 * DAY));
	assert_true(renew(ca, NULL, now + 250 * DAY));
	assert_false(renew(ca, NULL, now + 250 * DAY));
}

static void other_names_make_another_certificate(void **state)
{
	const struct tempdir *dir = *state;
	auto_ca struct ca *ca = open_ca(dir->fd);
	int64_t now = clock_wall_s();
	assert_true(renew(ca, no_names, now));
	assert_true(renew(ca, two_names, now));
	assert_false(renew(ca, two_names, now));
	auto_x509 X509 *cert = NULL;
	assert_int_equal(pki_cert_from_pem(ca_server_pem(ca), &cert, NULL), 0);
	static const char *const names[] = {"deploy.example", "localhost"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_int_equal(X509_check_host(cert, names[i], 0, 0, NULL), 1);
	static const char *const addresses[] = {"192.0.2.7", "127.0.0.1", "::1"};
	for (size_t i = 0; i < ARRAY_LEN(addresses); i++)
		assert_int_equal(X509_check_ip_asc(cert, addresses[i], 0), 1);
	assert_int_equal(X509_check_host(cert, "other.example", 0, 0, NULL), 0);
}

static void a_file_that_was_taken_away_is_made_anew_when_asked(void **state)
{
	const struct tempdir *dir = *state;
	auto_ca struct ca *ca = open_ca(dir->fd);
	int64_t now = clock_wall_s();
	renew(ca, no_names, now);
	fs_unlink_quiet(dir->fd, "ca/server.pem");
	assert_false(renew(ca, NULL, now));
	ca_reload(ca);
	assert_true(renew(ca, NULL, now));
	ca_reload(ca);
	assert_false(renew(ca, NULL, now));
}

static void a_broken_file_is_made_anew(void **state)
{
	const struct tempdir *dir = *state;
	int64_t now = clock_wall_s();
	{
		auto_ca struct ca *ca = open_ca(dir->fd);
		renew(ca, no_names, now);
	}
	auto_close int ca_fd = openat(dir->fd, "ca", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(fs_write_atomic(ca_fd, "server.pem", "junk", 4, 0600, NULL), 0);
	assert_int_equal(fs_write_atomic(ca_fd, "signer.pem", "", 0, 0600, NULL), 0);
	auto_ca struct ca *ca = open_ca(dir->fd);
	assert_true(renew(ca, no_names, now));
	auto_free char *pem = NULL;
	assert_int_equal(ca_sign(ca, "{}", 2, &pem, NULL), 0);
}

static void what_it_signs_verifies_against_it(void **state)
{
	const struct tempdir *dir = *state;
	auto_ca struct ca *ca = open_ca(dir->fd);
	renew(ca, no_names, clock_wall_s());
	auto_free char *pem = NULL, *content = NULL;
	assert_int_equal(ca_sign(ca, "{\"a\":1}", 7, &pem, NULL), 0);
	size_t len = 0;
	assert_int_equal(pki_cms_verify(pem, ca_pem(ca), clock_wall_s(), &content, &len, NULL), 0);
	assert_string_equal(content, "{\"a\":1}");
}

static void a_host_gets_a_certificate_for_its_key(void **state)
{
	const struct tempdir *dir = *state;
	auto_ca struct ca *ca = open_ca(dir->fd);
	auto_pkey EVP_PKEY *key = NULL;
	auto_free char *csr = NULL, *pem = NULL, *serial = NULL;
	assert_int_equal(pki_key_new(&key, NULL), 0);
	assert_int_equal(pki_csr_new(key, "ignored", &csr, NULL), 0);
	int64_t now = clock_wall_s(), not_after = 0;
	assert_int_equal(
		ca_issue_host(ca, csr, "web1", now, 90 * DAY, &pem, &serial, &not_after, NULL), 0);
	auto_x509 X509 *cert = NULL;
	assert_int_equal(pki_cert_from_pem(pem, &cert, NULL), 0);
	auto_free char *cn = pki_cert_cn(cert), *own_serial = pki_cert_serial(cert);
	assert_string_equal(cn, "web1");
	assert_string_equal(serial, own_serial);
	assert_int_equal(not_after, now + 90 * DAY);
	assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(cert), key), 1);
}

static void no_host_outlives_the_ca(void **state)
{
	const struct tempdir *dir = *state;
	auto_ca struct ca *ca = open_ca(dir->fd);
	auto_pkey EVP_PKEY *key = NULL;
	auto_free char *csr = NULL, *pem = NULL, *serial = NULL;
	assert_int_equal(pki_key_new(&key, NULL), 0);
	assert_int_equal(pki_csr_new(key, "ignored", &csr, NULL), 0);
	int64_t now = clock_wall_s(), not_after = 0;
	assert_int_equal(
		ca_issue_host(ca, csr, "web1", now, 9000 * DAY, &pem, &serial, &not_after, NULL),
		0);
	assert_true(not_after <= now + CA_LIFE_S);
}

static void a_csr_that_is_none_is_refused(void **state)
{
	const struct tempdir *dir = *state;
	auto_ca struct ca *ca = open_ca(dir->fd);
	char *pem = NULL, *serial = NULL;
	int64_t not_after;
	struct error err = {0};
	assert_true(ca_issue_host(ca, "x", "web1", clock_wall_s(), DAY, &pem, &serial, &not_after,
				  &err) < 0);
	assert_true(err.text[0] != '\0');
	assert_null(pem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		tempdir_test(a_ca_is_made_once),
		tempdir_test(keys_are_for_their_owner_only),
		tempdir_test(a_crash_before_the_certificate_leaves_no_ca),
		tempdir_test(a_ca_without_its_key_is_not_replaced),
		tempdir_test(certificates_are_kept_until_two_thirds_of_their_life),
		tempdir_test(other_names_make_another_certificate),
		tempdir_test(a_file_that_was_taken_away_is_made_anew_when_asked),
		tempdir_test(a_broken_file_is_made_anew),
		tempdir_test(what_it_signs_verifies_against_it),
		tempdir_test(a_host_gets_a_certificate_for_its_key),
		tempdir_test(no_host_outlives_the_ca),
		tempdir_test(a_csr_that_is_none_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
