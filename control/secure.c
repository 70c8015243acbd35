// SPDX-License-Identifier: Apache-2.0
#include "control/secure.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/str.h"

#include <gnutls/x509.h>
#include <string.h>

void secure_identity_free(struct secure_identity *identity)
{
	if (!identity)
		return;
	for (unsigned i = 0; i < identity->count; i++)
		gnutls_pcert_deinit(&identity->chain[i]);
	gnutls_privkey_deinit(identity->key);
	free(identity);
}
DEFINE_CLEANUP(struct secure_identity *, secure_identity_free)

static gnutls_datum_t datum(const char *text)
{
	return (gnutls_datum_t){(unsigned char *)text, (unsigned)strlen(text)};
}

int secure_identity_new(const char *cert_pem, const char *key_pem, struct secure_identity **ret,
			struct error *err)
{
	CLEANUP(secure_identity_free_at)
	struct secure_identity *id = xcalloc(1, sizeof(*id));
	gnutls_datum_t cert = datum(cert_pem), key = datum(key_pem);
	unsigned count = ARRAY_LEN(id->chain);
	/* Flags 0: the chain keeps its order and its end, so that a host that joins sees the CA. */
	int r = gnutls_pcert_list_import_x509_raw(id->chain, &count, &cert, GNUTLS_X509_FMT_PEM, 0);
	if (r < 0)
		return error_set(err, ERR_CRYPTO, "server certificate: %s", gnutls_strerror(r));
	id->count = count;
	r = gnutls_privkey_init(&id->key);
	if (r >= 0)
		r = gnutls_privkey_import_x509_raw(id->key, &key, GNUTLS_X509_FMT_PEM, NULL, 0);
	if (r < 0)
		return error_set(err, ERR_CRYPTO, "server key: %s", gnutls_strerror(r));
	*ret = TAKE(id);
	return 0;
}

static int take_names(gnutls_x509_crt_t crt, struct caller *caller, struct error *err)
{
	size_t len = sizeof(caller->name);
	int r = gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, caller->name,
					      &len);
	if (r < 0 || strlen(caller->name) != len)
		return error_set(err, ERR_TRUST, "client certificate: no usable common name");
	unsigned char serial[(sizeof(caller->serial) - 1) / 2];
	len = sizeof(serial);
	r = gnutls_x509_crt_get_serial(crt, serial, &len);
	if (r < 0)
		return error_set(err, ERR_TRUST, "client certificate: serial: %s",
				 gnutls_strerror(r));
	size_t skip = len > 1 && serial[0] == 0 ? 1 : 0; /* DER's sign byte */
	str_hex(serial + skip, len - skip, caller->serial);
	return 0;
}

static int describe_refusal(gnutls_x509_crt_t crt, unsigned status, struct error *err)
{
	char from[CLOCK_ISO_LEN], to[CLOCK_ISO_LEN], subject[128] = "?";
	size_t len = sizeof(subject);
	gnutls_x509_crt_get_dn(crt, subject, &len);
	auto_free char *clean = str_to_utf8(subject, strlen(subject));
	gnutls_datum_t why = {0};
	gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &why, 0);
	size_t end = why.data ? strlen((char *)why.data) : 0;
	while (end > 0 && strchr(". ", why.data[end - 1]))
		why.data[--end] = '\0';
	error_set(err, ERR_TRUST, "client certificate %s, valid %s to %s: %s", clean,
		  clock_format_iso(gnutls_x509_crt_get_activation_time(crt), from),
		  clock_format_iso(gnutls_x509_crt_get_expiration_time(crt), to),
		  why.data ? (char *)why.data : "refused");
	gnutls_free(why.data);
	return ERR_TRUST;
}

int secure_peer(gnutls_session_t session, struct caller *caller, struct error *err)
{
	unsigned count = 0;
	const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &count);
	if (!chain || count == 0)
		return 0;
	gnutls_x509_crt_t crt;
	int r = gnutls_x509_crt_init(&crt);
	if (r < 0)
		return error_set(err, ERR_CRYPTO, "client certificate: %s", gnutls_strerror(r));
	r = gnutls_x509_crt_import(crt, &chain[0], GNUTLS_X509_FMT_DER);
	if (r < 0) {
		error_set(err, ERR_TRUST, "client certificate: %s", gnutls_strerror(r));
	} else {
		gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID,
						 .data = (unsigned char *)GNUTLS_KP_TLS_WWW_CLIENT};
		unsigned status = 0;
		r = gnutls_certificate_verify_peers(session, &purpose, 1, &status);
		if (r < 0)
			error_set(err, ERR_TRUST, "client certificate: %s", gnutls_strerror(r));
		else if (status != 0)
			r = describe_refusal(crt, status, err);
		else
			r = take_names(crt, caller, err);
	}
	gnutls_x509_crt_deinit(crt);
	return r < 0 ? ERR_TRUST : 1;
}
