// SPDX-License-Identifier: Apache-2.0
/* For tests: an endpoint's CA with the certificates that it issues, and specifications signed by
 * any of them.
 *
 *     mkspec init DIR                     ca, signer, host, expired (all of one CA) and stranger
 * (of another) mkspec sign DIR NAME <JSON >PEM     sign with that certificate
 */
#include "common/alloc.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/pki.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DAY_S ((int64_t)24 * 3600)

struct pair {
	EVP_PKEY *key;
	X509 *cert;
};

static void pair_clear(struct pair *p)
{
	X509_free(p->cert);
	EVP_PKEY_free(p->key);
}
#define auto_pair CLEANUP(pair_clear)

static int issue(const char *cn, enum pki_role role, const struct pair *issuer, int64_t not_after_s,
		 struct pair *ret, struct error *err)
{
	auto_pkey EVP_PKEY *key = NULL;
	auto_x509 X509 *cert = NULL;
	int r = pki_key_new(&key, err);
	if (r < 0)
		return r;
	const struct pki_issue request = {
		.role = role,
		.cn = cn,
		.not_before_s = clock_wall_s() - 2 * DAY_S,
		.not_after_s = not_after_s,
		.subject_key = key,
		.issuer = issuer ? issuer->cert : NULL,
		.issuer_key = issuer ? issuer->key : key,
	};
	r = pki_issue(&request, &cert, err);
	if (r < 0)
		return r;
	*ret = (struct pair){.key = TAKE(key), .cert = TAKE(cert)};
	return 0;
}

static int save(int dirfd, const char *name, const struct pair *p, struct error *err)
{
	auto_free char *cert = NULL;
	auto_free char *key = NULL;
	auto_free char *cert_name = xasprintf("%s.pem", name);
	auto_free char *key_name = xasprintf("%s.key", name);
	int r;
	if ((r = pki_cert_to_pem(p->cert, &cert, err)) < 0 ||
	    (r = pki_key_to_pem(p->key, &key, err)) < 0 ||
	    (r = fs_write_atomic(dirfd, cert_name, cert, strlen(cert), 0644, err)) < 0)
		return r;
	return fs_write_atomic(dirfd, key_name, key, strlen(key), 0600, err);
}

static int init(int dirfd, struct error *err)
{
	int64_t later_s = clock_wall_s() + DAY_S;
	auto_pair struct pair ca = {0};
	auto_pair struct pair other = {0};
	int r;
	if ((r = issue("test CA", PKI_CA, NULL, later_s, &ca, err)) < 0 ||
	    (r = issue("other CA", PKI_CA, NULL, later_s, &other, err)) < 0 ||
	    (r = save(dirfd, "ca", &ca, err)) < 0)
		return r;
	const struct {
		const char *name;
		enum pki_role role;
		const struct pair *issuer;
		int64_t not_after_s;
	} rows[] = {
		{"signer", PKI_SIGNER, &ca, later_s},
		{"host", PKI_HOST, &ca, later_s},
		{"expired", PKI_SIGNER, &ca, clock_wall_s() - DAY_S},
		{"stranger", PKI_SIGNER, &other, later_s},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_pair struct pair one = {0};
		r = issue(rows[i].name, rows[i].role, rows[i].issuer, rows[i].not_after_s, &one,
			  err);
		if (r >= 0)
			r = save(dirfd, rows[i].name, &one, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int load(int dirfd, const char *name, struct pair *ret, struct error *err)
{
	auto_free char *cert_name = xasprintf("%s.pem", name);
	auto_free char *key_name = xasprintf("%s.key", name);
	auto_free char *cert = NULL;
	auto_free char *key = NULL;
	size_t len;
	int r;
	if ((r = fs_read_file(dirfd, cert_name, 65536, &cert, &len, err)) < 0 ||
	    (r = fs_read_file(dirfd, key_name, 65536, &key, &len, err)) < 0 ||
	    (r = pki_cert_from_pem(cert, &ret->cert, err)) < 0)
		return r;
	return pki_key_from_pem(key, &ret->key, err);
}

static int sign(int dirfd, const char *name, struct error *err)
{
	auto_pair struct pair signer = {0};
	auto_buf struct buf text = BUF_INIT(1 << 20);
	auto_free char *pem = NULL;
	int r = load(dirfd, name, &signer, err);
	if (r >= 0)
		r = buf_read_fd(&text, STDIN_FILENO);
	if (r >= 0)
		r = pki_cms_sign(buf_str(&text), text.len, signer.cert, signer.key, &pem, err);
	if (r < 0)
		return r;
	fputs(pem, stdout);
	return 0;
}

int main(int argc, char **argv)
{
	struct error err = {0};
	int dirfd = argc >= 3 ? open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	int r = -EINVAL;
	if (dirfd >= 0 && argc == 3 && strcmp(argv[1], "init") == 0)
		r = init(dirfd, &err);
	else if (dirfd >= 0 && argc == 4 && strcmp(argv[1], "sign") == 0)
		r = sign(dirfd, argv[3], &err);
	if (r < 0)
		fprintf(stderr, "mkspec: %s\n", err.code ? err.text : "init DIR | sign DIR NAME");
	fs_close_quiet(dirfd);
	return r < 0;
}
