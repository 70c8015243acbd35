// SPDX-License-Identifier: Apache-2.0
/* DIR/ca holds three files of PEM blocks:
 *
 *     ca.key       the CA's key, written before ca.pem: a ca.key without ca.pem is a crash's rest
 *     ca.pem       the CA's certificate; its presence says that there is a CA
 *     server.pem   "names: a,b,c", key, certificate: one file, so they always belong together
 *     signer.pem   key, certificate
 *
 * A server.pem or signer.pem that is missing, unreadable or past two thirds of its life is made
 * anew; the CA never is.
 */
#include "control/ca.h"

#include "common/alloc.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/pki.h"
#include "common/str.h"

#include <assert.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#define PEM_MAX 65536
#define BACKDATE_S 300 /* clocks of hosts may be a little behind */

struct leaf {
	EVP_PKEY *key;
	X509 *cert;
	char *key_pem, *cert_pem;
};

struct ca {
	int dirfd;
	EVP_PKEY *key;
	X509 *cert;
	char *pem;
	char fingerprint[65];
	char *names; /* of the server's certificate, "a,b,c" */
	struct leaf server, signer;
	bool reload;        /* look at their files again */
	char *server_chain; /* server's certificate, then the CA's */
};

static void leaf_clear(struct leaf *leaf)
{
	EVP_PKEY_free(leaf->key);
	X509_free(leaf->cert);
	free(leaf->key_pem);
	free(leaf->cert_pem);
	*leaf = (struct leaf){0};
}

void ca_free(struct ca *ca)
{
	if (!ca)
		return;
	leaf_clear(&ca->server);
	leaf_clear(&ca->signer);
	EVP_PKEY_free(ca->key);
	X509_free(ca->cert);
	free(ca->pem);
	free(ca->names);
	free(ca->server_chain);
	fs_close_quiet(ca->dirfd);
	free(ca);
}

static int make_ca(int dirfd, struct error *err)
{
	auto_pkey EVP_PKEY *key = NULL;
	auto_x509 X509 *cert = NULL;
	auto_free char *key_pem = NULL, *pem = NULL;
	char id[9], cn[64];
	str_random(id, sizeof(id) - 1); /* tells the CAs of two endpoints apart */
	snprintf(cn, sizeof(cn), "Slipway CA %s", id);

	int64_t now = clock_wall_s();
	int r = pki_key_new(&key, err);
	if (r >= 0)
		r = pki_issue(&(struct pki_issue){.role = PKI_CA,
						  .cn = cn,
						  .not_before_s = now - BACKDATE_S,
						  .not_after_s = now + CA_LIFE_S,
						  .subject_key = key,
						  .issuer_key = key},
			      &cert, err);
	if (r >= 0)
		r = pki_key_to_pem(key, &key_pem, err);
	if (r >= 0)
		r = pki_cert_to_pem(cert, &pem, err);
	if (r >= 0)
		r = fs_write_atomic(dirfd, "ca.key", key_pem, strlen(key_pem), 0600, err);
	if (r >= 0)
		r = fs_write_atomic(dirfd, "ca.pem", pem, strlen(pem), 0644, err);
	return r;
}

static int load_ca(struct ca *ca, struct error *err)
{
	auto_free char *key_pem = NULL;
	int r = fs_read_file(ca->dirfd, "ca.pem", PEM_MAX, &ca->pem, NULL, err);
	if (r < 0)
		return r;
	r = pki_cert_from_pem(ca->pem, &ca->cert, err);
	if (r < 0)
		return error_prefix(err, r, "ca.pem");
	r = fs_read_file(ca->dirfd, "ca.key", PEM_MAX, &key_pem, NULL, err);
	if (r == -ENOENT)
		return error_set(err, ERR_CRYPTO,
				 "ca.key is missing beside ca.pem: bring it back from a copy");
	if (r >= 0)
		r = pki_key_from_pem(key_pem, &ca->key, err);
	if (r < 0)
		return error_prefix(err, r, "ca.key");
	return pki_cert_fingerprint(ca->cert, ca->fingerprint, err);
}

/* A leaf's file into memory. names: where the file's "names:" line goes; may be NULL. */
static int load_leaf(int dirfd, const char *file, struct leaf *leaf, char **names,
		     struct error *err)
{
	auto_free char *text = NULL;
	int r = fs_read_file(dirfd, file, PEM_MAX, &text, NULL, err);
	if (r >= 0)
		r = pki_key_from_pem(text, &leaf->key, err);
	if (r >= 0)
		r = pki_cert_from_pem(text, &leaf->cert, err);
	if (r >= 0)
		r = pki_key_to_pem(leaf->key, &leaf->key_pem, err);
	if (r >= 0)
		r = pki_cert_to_pem(leaf->cert, &leaf->cert_pem, err);
	if (r >= 0 && names && str_starts(text, "names: "))
		*names = xstrndup(text + 7, strcspn(text + 7, "\n"));
	return r;
}

static int make_leaf(struct ca *ca, const char *file, const struct pki_issue *issue,
		     const char *names, struct leaf *ret, struct error *err)
{
	struct leaf leaf = {0};
	auto_buf struct buf text = BUF_INIT(PEM_MAX);
	int r = pki_key_new(&leaf.key, err);
	if (r < 0)
		return r;
	struct pki_issue full = *issue;
	full.subject_key = leaf.key;
	full.issuer = ca->cert;
	full.issuer_key = ca->key;
	r = pki_issue(&full, &leaf.cert, err);
	if (r >= 0)
		r = pki_key_to_pem(leaf.key, &leaf.key_pem, err);
	if (r >= 0)
		r = pki_cert_to_pem(leaf.cert, &leaf.cert_pem, err);
	if (r >= 0) {
		if (names)
			buf_addf(&text, "names: %s\n", names);
		buf_adds(&text, leaf.key_pem);
		buf_adds(&text, leaf.cert_pem);
		r = buf_check(&text, file, err);
	}
	if (r >= 0)
		r = fs_write_atomic(ca->dirfd, file, text.data, text.len, 0600, err);
	if (r < 0) {
		leaf_clear(&leaf);
		return r;
	}
	leaf_clear(ret);
	*ret = leaf;
	return 1;
}

/* None, less than a third of its life left, or the clock went back before its begin. */
static bool is_stale(const struct leaf *leaf, int64_t now_s)
{
	if (!leaf->cert)
		return true;
	int64_t begin = pki_cert_not_before(leaf->cert), end = pki_cert_not_after(leaf->cert);
	return end - now_s < (end - begin) / 3 || begin > now_s;
}

/* What is in memory stays until something better is on disk. Returns 1 when it was made anew. */
static int renew_leaf(struct ca *ca, struct leaf *leaf, const char *file,
		      const struct pki_issue *issue, const char *names, int64_t now_s,
		      struct error *err)
{
	bool make = false;
	if (!leaf->cert || ca->reload) {
		struct leaf found = {0};
		struct error ignored = {0};
		auto_free char *found_names = NULL;
		make = load_leaf(ca->dirfd, file, &found, &found_names, &ignored) < 0 ||
		       !str_eq(found_names, names);
		leaf_clear(make ? &found : leaf);
		if (!make)
			*leaf = found;
	}
	if (!make && !is_stale(leaf, now_s))
		return 0;
	int r = make_leaf(ca, file, issue, names, leaf, err);
	return r < 0 ? error_prefix(err, r, "%s", issue->cn) : r;
}

static int renew_server(struct ca *ca, int64_t now_s, struct error *err)
{
	char **list = str_split(ca->names, ',');
	struct pki_issue issue = {.role = PKI_SERVER,
				  .cn = "slipway-controld",
				  .names = (const char *const *)list,
				  .not_before_s = now_s - BACKDATE_S,
				  .not_after_s = now_s + CA_SERVER_LIFE_S};
	int r = renew_leaf(ca, &ca->server, "server.pem", &issue, ca->names, now_s, err);
	str_list_free(list);
	if (r < 0)
		return r;
	free(ca->server_chain);
	ca->server_chain = xasprintf("%s%s", ca->server.cert_pem, ca->pem);
	return r;
}

static int renew_signer(struct ca *ca, int64_t now_s, struct error *err)
{
	struct pki_issue issue = {.role = PKI_SIGNER,
				  .cn = "Slipway deployment signer",
				  .not_before_s = now_s - BACKDATE_S,
				  .not_after_s = now_s + CA_SERVER_LIFE_S};
	return renew_leaf(ca, &ca->signer, "signer.pem", &issue, NULL, now_s, err);
}

static void add_name(struct buf *list, const char *name)
{
	if (str_empty(name))
		return;
	/* Compare whole names: ",a,b," holds ",b,". */
	auto_free char *wanted = xasprintf(",%s,", name);
	auto_free char *all = xasprintf(",%s,", buf_str(list));
	if (strstr(all, wanted))
		return;
	if (list->len)
		buf_addc(list, ',');
	buf_adds(list, name);
}

/* The given names first, then those by which a machine can always reach itself. */
static char *all_names(const char *const names[])
{
	struct buf list = BUF_INIT(16384);
	for (; names && *names; names++)
		add_name(&list, *names);
	char host[HOST_NAME_MAX + 1] = "";
	gethostname(host, sizeof(host) - 1);
	add_name(&list, host);
	add_name(&list, "localhost");
	add_name(&list, "127.0.0.1");
	add_name(&list, "::1");
	return buf_take(&list);
}

int ca_renew(struct ca *ca, const char *const names[], int64_t now_s, bool *ret_renewed,
	     struct error *err)
{
	if (names) {
		free(ca->names);
		ca->names = all_names(names);
		ca->reload = true;
	}
	int r = renew_signer(ca, now_s, err);
	if (r >= 0)
		r = renew_server(ca, now_s, err);
	if (r < 0)
		return r;
	ca->reload = false;
	if (ret_renewed)
		*ret_renewed = r > 0;
	return 0;
}

void ca_reload(struct ca *ca)
{
	ca->reload = true;
}

int ca_open(int dirfd, struct ca **ret, struct error *err)
{
	auto_ca struct ca *ca = xcalloc(1, sizeof(*ca));
	ca->dirfd = fs_mkdirs(dirfd, "ca", 0700, err);
	int r = ca->dirfd;
	if (r >= 0 && faccessat(ca->dirfd, "ca.pem", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		r = make_ca(ca->dirfd, err);
	if (r >= 0)
		r = load_ca(ca, err);
	if (r < 0)
		return error_prefix(err, r, "certificate authority");
	*ret = TAKE(ca);
	return 0;
}

const char *ca_pem(const struct ca *ca)
{
	return ca->pem;
}

const char *ca_fingerprint(const struct ca *ca)
{
	return ca->fingerprint;
}

const char *ca_server_pem(const struct ca *ca)
{
	return ca->server_chain;
}

const char *ca_server_key(const struct ca *ca)
{
	return ca->server.key_pem;
}

int ca_sign(struct ca *ca, const void *content, size_t len, char **ret_pem, struct error *err)
{
	assert(ca->signer.cert); /* ca_renew() was called */
	return pki_cms_sign(content, len, ca->signer.cert, ca->signer.key, ret_pem, err);
}

int ca_issue_host(struct ca *ca, const char *csr_pem, const char *name, int64_t now_s,
		  int64_t life_s, char **ret_pem, char **ret_serial, int64_t *ret_not_after_s,
		  struct error *err)
{
	auto_pkey EVP_PKEY *key = NULL;
	int r = pki_csr_key(csr_pem, &key, err);
	if (r < 0)
		return r;
	int64_t end = now_s + life_s, ca_end = pki_cert_not_after(ca->cert);
	auto_x509 X509 *cert = NULL;
	r = pki_issue(&(struct pki_issue){.role = PKI_HOST,
					  .cn = name,
					  .not_before_s = now_s - BACKDATE_S,
					  .not_after_s = end < ca_end ? end : ca_end,
					  .subject_key = key,
					  .issuer = ca->cert,
					  .issuer_key = ca->key},
		      &cert, err);
	auto_free char *pem = NULL;
	if (r >= 0)
		r = pki_cert_to_pem(cert, &pem, err);
	if (r < 0)
		return r;
	*ret_not_after_s = pki_cert_not_after(cert);
	*ret_serial = pki_cert_serial(cert);
	*ret_pem = TAKE(pem);
	return 0;
}
