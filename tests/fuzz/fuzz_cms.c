// SPDX-License-Identifier: Apache-2.0
/* Any text as a signed specification, as a certificate request, as a certificate. Nothing may be
 * accepted, as the CA is another, and only what is intact opened. */
#include "tests/fuzz/fuzz.h"

#include "common/alloc.h"
#include "common/pki.h"

#include <stdlib.h>
#include <string.h>

static const char ca_pem[] = "-----BEGIN CERTIFICATE-----\n"
			     "MIIBjDCCATGgAwIBAgIQTxl1jcBimPfwjvaOUgMXHDAKBggqhkjOPQQDAjAVMRMw\n"
			     "EQYDVQQDDAphbm90aGVyIENBMB4XDTIzMTExNDIyMTMyMFoXDTMzMDUxODAzMzMy\n"
			     "MFowFTETMBEGA1UEAwwKYW5vdGhlciBDQTBZMBMGByqGSM49AgEGCCqGSM49AwEH\n"
			     "A0IABOAfgPmJnX+4KQnOHPL6qzRxWtjFLkDvSGsvJ2bW1xOEZ7W0dDq7iyftNUNq\n"
			     "KxnmESTRjma2euUAoR8Oe/tRliajYzBhMA8GA1UdEwEB/wQFMAMBAf8wDgYDVR0P\n"
			     "AQH/BAQDAgEGMB0GA1UdDgQWBBRvePuZDVFAd3g2cdHE6aNIHdQEwDAfBgNVHSME\n"
			     "GDAWgBRvePuZDVFAd3g2cdHE6aNIHdQEwDAKBggqhkjOPQQDAgNJADBGAiEAhZSl\n"
			     "qEfeya7l4hBA2JN+PS2f5MYl1jmhVdq42QO+DE8CIQCXTT/igwEd/xiaaLqBmaWB\n"
			     "woqS9GEOLHamIQhQ+qzTPA==\n"
			     "-----END CERTIFICATE-----\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *text = xcalloc(size + 1, 1);
	auto_free char *content = NULL, *peeked = NULL;
	size_t len;
	if (size)
		memcpy(text, data, size);
	if (pki_cms_verify(text, ca_pem, 1800000000, &content, &len, NULL) == 0)
		abort();
	auto_pki_signer struct pki_signer signer = {0};
	auto_free char *opened = NULL;
	if (pki_cms_open(text, &signer, &opened, &len, NULL) == 0 &&
	    (opened[len] != '\0' || strlen(signer.fingerprint) != 64))
		abort();
	if (pki_cms_peek(text, &peeked, &len, NULL) == 0 && peeked[len] != '\0')
		abort();
	auto_pkey EVP_PKEY *key = NULL;
	auto_x509 X509 *cert = NULL;
	if (pki_csr_key(text, &key, NULL) < 0)
		key = NULL;
	if (pki_cert_from_pem(text, &cert, NULL) < 0)
		return 0;
	auto_free char *about = pki_cert_describe(cert), *cn = pki_cert_cn(cert);
	auto_free char *serial = pki_cert_serial(cert);
	if (!*about || (cn && !*cn))
		abort();
	return 0;
}
