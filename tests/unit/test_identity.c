// SPDX-License-Identifier: Apache-2.0
/* Against an endpoint of a few lines: a child that speaks TLS and answers enrolments, by what the
 * token says. It keeps what it was asked in the file "asked". */
#include "agent/identity-answer.h"
#include "agent/identity.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/pki.h"
#include "common/str.h"
#include "common/wire.h"
#include "tests/unit/tempdir.h"
#include "tests/unit/unit.h"

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define DAY 86400

struct endpoint {
	struct tempdir *dir;
	pid_t pid;
	int port;
	char url[64], fingerprint[65];
	X509 *ca;
	EVP_PKEY *ca_key;
	struct paths paths;
};

static char *pem_of(X509 *cert)
{
	char *pem = NULL;
	assert_int_equal(pki_cert_to_pem(cert, &pem, NULL), 0);
	return pem;
}

static X509 *issue(const struct endpoint *e, enum pki_role role, const char *name, EVP_PKEY *key)
{
	const char *const names[] = {name, NULL};
	X509 *cert = NULL;
	struct pki_issue order = {.role = role,
				  .cn = name,
				  .names = role == PKI_SERVER ? names : NULL,
				  .not_before_s = clock_wall_s() - DAY,
				  .not_after_s = clock_wall_s() + DAY,
				  .subject_key = key,
				  .issuer = e->ca,
				  .issuer_key = e->ca ? e->ca_key : key};
	if (pki_issue(&order, &cert, NULL) < 0)
		abort();
	return cert;
}

/* ---- the child ---- */

static json_t *certificate_for(struct endpoint *e, const struct wire_enroll *asked)
{
	auto_pkey EVP_PKEY *key = NULL;
	if (pki_csr_key(asked->csr, &key, NULL) < 0)
		abort();
	if (str_eq(asked->token, "other-key")) {
		EVP_PKEY_free(key);
		key = EVP_EC_gen("P-256");
	}
	auto_x509 X509 *cert = issue(e, PKI_HOST, asked->name, key);
	auto_free char *pem = pem_of(cert), *ca = pem_of(e->ca);
	struct wire_enrolled answer = {.name = asked->name,
				       .host_identifier = "arn:aws:codedeploy:r:1:instance/web-1",
				       .certificate = pem,
				       .ca = str_eq(asked->token, "other-ca") ? pem : ca,
				       .region = "eu-west-1"};
	return wire_enrolled_to_json(&answer);
}

static char *answer_to(struct endpoint *e, const char *body)
{
	auto_json json_t *doc = NULL;
	auto_wire_enroll struct wire_enroll asked_for = {0};
	struct wire_enroll *asked = &asked_for;
	if (json_parse(body, strlen(body), WIRE_MESSAGE_MAX, &doc, NULL) < 0 ||
	    wire_enroll_from_json(doc, asked, NULL) < 0)
		abort();
	tempdir_write(e->dir, "asked", body);
	if (str_eq(asked->token, "lost"))
		return NULL;
	if (str_eq(asked->token, "nonsense"))
		return xstrdup("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>");
	if (str_eq(asked->token, "refused"))
		return xstrdup("HTTP/1.1 403 Forbidden\r\nContent-Length: 63\r\n\r\n"
			       "{\"__type\":\"AccessDeniedException\",\"message\":\"no such token "
			       "  \"}\n\n");
	auto_json json_t *answer = certificate_for(e, asked);
	auto_free char *text = json_text(answer);
	return xasprintf("HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(text), text);
}

static void serve_one(struct endpoint *e, SSL *ssl)
{
	char request[32768];
	size_t len = 0;
	const char *body = NULL, *length = NULL;
	do {
		int n = SSL_read(ssl, request + len, (int)(sizeof(request) - 1 - len));
		if (n <= 0)
			return; /* only a look at the certificate */
		len += (size_t)n;
		request[len] = '\0';
		body = strstr(request, "\r\n\r\n");
		length = strstr(request, "Content-Length: ");
	} while (!body || !length || strlen(body + 4) < (size_t)atoi(length + 16));
	auto_free char *answer = answer_to(e, body + 4);
	if (answer)
		SSL_write(ssl, answer, (int)strlen(answer));
	SSL_shutdown(ssl);
}

static int accept_any(int preverified, X509_STORE_CTX *ctx)
{
	return 1;
}

static void serve(struct endpoint *e, int fd, X509 *cert, EVP_PKEY *key)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	X509_up_ref(e->ca);
	if (!SSL_CTX_use_certificate(ctx, cert) || !SSL_CTX_add_extra_chain_cert(ctx, e->ca) ||
	    !SSL_CTX_use_PrivateKey(ctx, key))
		abort();
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, accept_any);
	for (;;) {
		int peer = accept(fd, NULL, NULL);
		SSL *ssl = SSL_new(ctx);
		SSL_set_fd(ssl, peer);
		if (SSL_accept(ssl) == 1)
			serve_one(e, ssl);
		SSL_free(ssl);
		close(peer);
	}
}

/* ---- the test's side ---- */

static int listen_somewhere(int *ret_port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t len = sizeof(address);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	*ret_port = ntohs(address.sin_port);
	return fd;
}

/* name: whom the server's certificate is for. */
static struct endpoint *endpoint_start(struct tempdir *dir, const char *name)
{
	struct endpoint *e = xcalloc(1, sizeof(*e));
	e->dir = dir;
	assert_int_equal(paths_init(&e->paths, dir->path, NULL), 0);
	assert_int_equal(pki_key_new(&e->ca_key, NULL), 0);
	e->ca = issue(e, PKI_CA, "Test CA", e->ca_key);
	assert_int_equal(pki_cert_fingerprint(e->ca, e->fingerprint, NULL), 0);
	auto_pkey EVP_PKEY *key = NULL;
	assert_int_equal(pki_key_new(&key, NULL), 0);
	auto_x509 X509 *cert = issue(e, PKI_SERVER, name, key);
	auto_close int fd = listen_somewhere(&e->port);
	snprintf(e->url, sizeof(e->url), "https://127.0.0.1:%d", e->port);
	e->pid = fork();
	assert_true(e->pid >= 0);
	if (e->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGPIPE, SIG_IGN);
		serve(e, fd, cert, key);
	}
	return e;
}

static void endpoint_stop(struct endpoint *e)
{
	kill(e->pid, SIGKILL);
	waitpid(e->pid, NULL, 0);
	paths_clear(&e->paths);
	X509_free(e->ca);
	EVP_PKEY_free(e->ca_key);
	free(e);
}
DEFINE_CLEANUP(struct endpoint *, endpoint_stop)
#define auto_endpoint CLEANUP(endpoint_stop_at)

static int enroll_with(struct endpoint *e, const char *token, struct error *err)
{
	static const char *const keys[] = {"role", NULL}, *const values[] = {"web", NULL};
	const struct identity_enroll order = {.endpoint = e->url,
					      .token = token,
					      .ca_fingerprint = e->fingerprint,
					      .name = "web-1",
					      .tag_keys = keys,
					      .tag_values = values};
	auto_identity struct identity *id = NULL;
	int r = identity_enroll(&e->paths, &order, &id, err);
	assert_true((r == 0) == (id != NULL));
	return r;
}

static void must_enroll(struct endpoint *e)
{
	struct error err = {0};
	if (enroll_with(e, "good", &err) < 0)
		fail_msg("%s", err.text);
}

static bool is_there(const struct endpoint *e, const char *path)
{
	return faccessat(e->dir->fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static unsigned mode_of(const struct endpoint *e, const char *path)
{
	struct stat st;
	assert_int_equal(fstatat(e->dir->fd, path, &st, 0), 0);
	return st.st_mode & 07777;
}

#define AGENT "var/lib/slipway/agent/"
#define HOST "var/lib/slipway/host/"
#define TRUST "var/lib/slipway/host/trust/"

/* Key and certificate, as the daemon would use them, belong together. */
static void assert_pair(struct endpoint *e)
{
	auto_free char *key_pem = tempdir_read(e->dir, AGENT "keys/key.pem");
	auto_free char *cert_pem = tempdir_read(e->dir, AGENT "keys/cert.pem");
	auto_pkey EVP_PKEY *key = NULL;
	auto_x509 X509 *cert = NULL;
	assert_int_equal(pki_key_from_pem(key_pem, &key, NULL), 0);
	assert_int_equal(pki_cert_from_pem(cert_pem, &cert, NULL), 0);
	assert_true(pki_cert_is_of_key(cert, key));
}

static void a_host_joins_and_knows_who_it_is(void **state)
{
	auto_endpoint struct endpoint *e = endpoint_start(*state, "127.0.0.1");
	must_enroll(e);
	auto_identity struct identity *id = NULL;
	assert_int_equal(identity_load(&e->paths, &id, NULL), 0);
	assert_string_equal(id->endpoint, e->url);
	assert_string_equal(id->name, "web-1");
	assert_string_equal(id->host_identifier, "arn:aws:codedeploy:r:1:instance/web-1");
	assert_string_equal(id->region, "eu-west-1");
	assert_in_range(id->enrolled_s, clock_wall_s() - 60, clock_wall_s());
	assert_int_equal(mode_of(e, AGENT), 0700);
	assert_int_equal(mode_of(e, AGENT "keys/key.pem"), 0600);
	assert_pair(e);
	assert_false(is_there(e, AGENT "keys.new"));
	auto_free char *ca = tempdir_read(e->dir, TRUST "ca.pem");
	assert_true(pki_pem_holds(ca, e->fingerprint));
	auto_free char *trust = tempdir_read(e->dir, TRUST "identity.json");
	assert_non_null(strstr(trust, "\"host_identifier\""));
	auto_free char *asked = tempdir_read(e->dir, "asked");
	assert_non_null(strstr(asked, "\"Tags\":[{\"Key\":\"role\",\"Value\":\"web\"}]"));
}

static void joining_twice_is_refused(void **state)
{
	auto_endpoint struct endpoint *e = endpoint_start(*state, "127.0.0.1");
	must_enroll(e);
	struct error err = {0};
	assert_int_equal(enroll_with(e, "good", &err), ERR_EXISTS);
	assert_non_null(strstr(err.text, "slipway unenroll"));
}

static void nothing_is_sent_to_an_endpoint_with_another_ca(void **state)
{
	auto_endpoint struct endpoint *e = endpoint_start(*state, "127.0.0.1");
	char real[65];
	memcpy(real, e->fingerprint, sizeof(real));
	e->fingerprint[0] = e->fingerprint[0] == '0' ? '1' : '0';
	struct error err = {0};
	assert_int_equal(enroll_with(e, "good", &err), ERR_TRUST);
	assert_non_null(strstr(err.text, "CN=Test CA, valid "));
	assert_non_null(strstr(err.text, real));
	assert_non_null(strstr(err.text, e->fingerprint));
	assert_false(is_there(e, "asked"));
	assert_false(is_there(e, AGENT "keys"));
}

static void nothing_is_sent_to_another_host_of_the_ca(void **state)
{
	auto_endpoint struct endpoint *e = endpoint_start(*state, "elsewhere.example");
	struct error err = {0};
	assert_int_equal(enroll_with(e, "good", &err), ERR_TRUST);
	assert_non_null(strstr(err.text, "CN=elsewhere.example"));
	assert_false(is_there(e, "asked"));
}

static void the_fingerprint_of_the_servers_own_certificate_is_none_of_a_ca(void **state)
{
	auto_endpoint struct endpoint *e = endpoint_start(*state, "127.0.0.1");
	/* the endpoint's "CA" is a certificate that may not issue any */
	auto_pkey EVP_PKEY *key = NULL;
	assert_int_equal(pki_key_new(&key, NULL), 0);
	struct endpoint alone = {0};
	auto_x509 X509 *cert = issue(&alone, PKI_SERVER, "127.0.0.1", key);
	auto_close int fd = listen_somewhere(&e->port);
	snprintf(e->url, sizeof(e->url), "https://127.0.0.1:%d", e->port);
	assert_int_equal(pki_cert_fingerprint(cert, e->fingerprint, NULL), 0);
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGPIPE, SIG_IGN);
		serve(e, fd, cert, key);
	}
	struct error err = {0};
	int r = enroll_with(e, "good", &err);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(r, ERR_TRUST);
	assert_non_null(strstr(err.text, "not that of a CA"));
}

static void a_refused_token_says_so(void **state)
{
	auto_endpoint struct endpoint *e = endpoint_start(*state, "127.0.0.1");
	struct error err = {0};
	assert_int_equal(enroll_with(e, "refused", &err), ERR_DENIED);
	assert_non_null(strstr(err.text, "no such token"));
	assert_int_equal(identity_load(&e->paths, &(struct identity *){NULL}, NULL), -ENOENT);
}

static void an_answer_that_would_lock_the_host_out_is_refused(void **state)
{
	auto_endpoint struct endpoint *e = endpoint_start(*state, "127.0.0.1");
	assert_int_equal(enroll_with(e, "other-key", NULL), ERR_FORMAT);
	assert_int_equal(enroll_with(e, "other-ca", NULL), ERR_TRUST);
	assert_int_equal(enroll_with(e, "nonsense", NULL), ERR_FORMAT);
	assert_false(is_there(e, AGENT "identity.json"));
	assert_false(is_there(e, TRUST "ca.pem"));
	must_enroll(e);
}

static char *asked_key(struct endpoint *e)
{
	auto_free char *asked = tempdir_read(e->dir, "asked");
	auto_json json_t *doc = NULL;
	assert_int_equal(json_parse(asked, strlen(asked), WIRE_MESSAGE_MAX, &doc, NULL), 0);
	auto_pkey EVP_PKEY *key = NULL;
	assert_int_equal(pki_csr_key(json_string_value(json_object_get(doc, "Csr")), &key, NULL),
			 0);
	unsigned char *der = NULL;
	int len = i2d_PUBKEY(key, &der);
	char *hex = xcalloc(2 * (size_t)len + 1, 1);
	str_hex(der, (size_t)len, hex);
	OPENSSL_free(der);
	return hex;
}

static void after_a_lost_answer_the_same_key_asks_again(void **state)
{
	auto_endpoint struct endpoint *e = endpoint_start(*state, "127.0.0.1");
	assert_int_equal(enroll_with(e, "lost", NULL), ERR_NETWORK);
	auto_free char *first = asked_key(e);
	must_enroll(e);
	auto_free char *second = asked_key(e);
	assert_string_equal(first, second);
	assert_pair(e);
}

static void a_crash_before_the_end_is_repaired_by_joining_again(void **state)
{
	auto_endpoint struct endpoint *e = endpoint_start(*state, "127.0.0.1");
	must_enroll(e);
	/* as if the last write had not happened, and one pair had been in the making */
	assert_int_equal(unlinkat(e->dir->fd, AGENT "identity.json", 0), 0);
	assert_int_equal(mkdirat(e->dir->fd, AGENT "keys.new", 0700), 0);
	tempdir_write(e->dir, AGENT "keys.new/key.pem", "-----BEGIN PRIV");
	must_enroll(e);
	assert_pair(e);
	assert_true(is_there(e, AGENT "keys.2"));
	assert_false(is_there(e, AGENT "keys.1"));
	assert_false(is_there(e, AGENT "keys.new"));
}

/* The token is spent by then: asking again must not be needed. */
static void a_crash_after_the_answer_needs_no_other_token(void **state)
{
	auto_endpoint struct endpoint *e = endpoint_start(*state, "127.0.0.1");
	/* the worker's copy cannot be made: as a crash right after answer.json */
	tempdir_write(e->dir, "asked", "");
	assert_int_equal(mkdirat(e->dir->fd, "var", 0755), 0);
	assert_int_equal(mkdirat(e->dir->fd, "var/lib", 0755), 0);
	assert_int_equal(mkdirat(e->dir->fd, "var/lib/slipway", 0755), 0);
	assert_int_equal(mkdirat(e->dir->fd, HOST, 0755), 0);
	tempdir_write(e->dir, HOST "trust", "in the way");
	assert_int_equal(enroll_with(e, "good", NULL), -ENOTDIR);
	assert_int_equal(unlinkat(e->dir->fd, HOST "trust", 0), 0);
	assert_true(is_there(e, HOST "answer.json"));
	struct error err = {0};
	if (enroll_with(e, "refused", &err) < 0)
		fail_msg("%s", err.text);
	assert_pair(e);
	assert_false(is_there(e, HOST "answer.json"));

	/* and one between the switch of the keys and the end */
	auto_free char *before = tempdir_read(e->dir, AGENT "keys/cert.pem");
	auto_free char *ca = tempdir_read(e->dir, AGENT "ca.pem");
	const struct wire_enrolled answer = {.name = (char *)"web-1",
					     .host_identifier = (char *)"arn:x",
					     .certificate = before,
					     .ca = ca,
					     .region = (char *)"r"};
	auto_close int host = openat(e->dir->fd, HOST, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(identity_answer_save(host, e->url, e->fingerprint, &answer, NULL), 0);
	assert_int_equal(unlinkat(e->dir->fd, AGENT "identity.json", 0), 0);
	assert_int_equal(enroll_with(e, "refused", NULL), 0);
	auto_free char *after = tempdir_read(e->dir, AGENT "keys/cert.pem");
	assert_string_equal(before, after);
}

static void an_answer_for_another_name_or_endpoint_is_not_taken_up(void **state)
{
	auto_endpoint struct endpoint *e = endpoint_start(*state, "127.0.0.1");
	must_enroll(e);
	auto_close int host = openat(e->dir->fd, HOST, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_free char *cert = tempdir_read(e->dir, AGENT "keys/cert.pem");
	struct wire_enrolled answer = {.name = (char *)"web-2",
				       .host_identifier = (char *)"arn:x",
				       .certificate = cert,
				       .ca = cert,
				       .region = (char *)"r"};
	assert_int_equal(unlinkat(e->dir->fd, AGENT "identity.json", 0), 0);
	assert_int_equal(identity_answer_save(host, e->url, e->fingerprint, &answer, NULL), 0);
	assert_int_equal(enroll_with(e, "refused", NULL), ERR_DENIED);
	answer.name = (char *)"web-1";
	assert_int_equal(
		identity_answer_save(host, "https://other:1", e->fingerprint, &answer, NULL), 0);
	assert_int_equal(enroll_with(e, "refused", NULL), ERR_DENIED);
}

/* Whoever owns the daemon may have left one there, with a CA of his own. */
static void an_answer_in_the_daemons_directory_is_not_taken_up(void **state)
{
	auto_endpoint struct endpoint *e = endpoint_start(*state, "127.0.0.1");
	must_enroll(e);
	auto_close int agent = openat(e->dir->fd, AGENT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_free char *cert = tempdir_read(e->dir, AGENT "keys/cert.pem");
	const struct wire_enrolled answer = {.name = (char *)"web-1",
					     .host_identifier = (char *)"arn:x",
					     .certificate = cert,
					     .ca = cert,
					     .region = (char *)"r"};
	assert_int_equal(unlinkat(agent, "identity.json", 0), 0);
	assert_int_equal(identity_answer_save(agent, e->url, e->fingerprint, &answer, NULL), 0);
	assert_int_equal(enroll_with(e, "refused", NULL), ERR_DENIED);
	must_enroll(e);
	auto_free char *own = tempdir_read(e->dir, HOST "trust/ca.pem");
	assert_string_not_equal(own, cert);
}

static void a_renewal_changes_key_and_certificate_together(void **state)
{
	auto_endpoint struct endpoint *e = endpoint_start(*state, "127.0.0.1");
	must_enroll(e);
	auto_free char *before = tempdir_read(e->dir, AGENT "keys/key.pem");
	auto_identity struct identity *id = NULL;
	struct error err = {0};
	assert_int_equal(identity_load(&e->paths, &id, NULL), 0);
	if (identity_renew(&e->paths, id, &err) < 0)
		fail_msg("%s", err.text);
	auto_free char *after = tempdir_read(e->dir, AGENT "keys/key.pem");
	assert_string_not_equal(before, after);
	assert_pair(e);
	auto_free char *asked = tempdir_read(e->dir, "asked");
	assert_null(strstr(asked, "Token"));
	assert_true(is_there(e, AGENT "keys.2"));
	assert_false(is_there(e, AGENT "keys.1"));
}

static void leaving_removes_everything_secret(void **state)
{
	auto_endpoint struct endpoint *e = endpoint_start(*state, "127.0.0.1");
	must_enroll(e);
	struct error err = {0};
	if (identity_remove(&e->paths, &err) < 0)
		fail_msg("%s", err.text);
	static const char *const gone[] = {AGENT "identity.json", AGENT "keys", AGENT "keys.1",
					   AGENT "ca.pem", TRUST};
	for (size_t i = 0; i < ARRAY_LEN(gone); i++)
		if (is_there(e, gone[i]))
			fail_msg("'%s' is still there", gone[i]);
	assert_int_equal(identity_remove(&e->paths, &err), -ENOENT);
	must_enroll(e);
}

static void endpoints_and_names_are_checked_first(void **state)
{
	auto_endpoint struct endpoint *e = endpoint_start(*state, "127.0.0.1");
	static const char *const bad[] = {"http://127.0.0.1:1", "127.0.0.1:1",     "https://",
					  "https://x:0",        "https://x:70000", "https://x/path",
					  "https://[::1",       "https://a@b:1"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		snprintf(e->url, sizeof(e->url), "%s", bad[i]);
		if (enroll_with(e, "good", NULL) != ERR_INPUT)
			fail_msg("accepted: %s", bad[i]);
	}
	snprintf(e->url, sizeof(e->url), "https://127.0.0.1:%d/", e->port);
	strcpy(e->fingerprint, "abc");
	assert_int_equal(enroll_with(e, "good", NULL), ERR_INPUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		tempdir_test(a_host_joins_and_knows_who_it_is),
		tempdir_test(joining_twice_is_refused),
		tempdir_test(nothing_is_sent_to_an_endpoint_with_another_ca),
		tempdir_test(nothing_is_sent_to_another_host_of_the_ca),
		tempdir_test(the_fingerprint_of_the_servers_own_certificate_is_none_of_a_ca),
		tempdir_test(a_refused_token_says_so),
		tempdir_test(an_answer_that_would_lock_the_host_out_is_refused),
		tempdir_test(after_a_lost_answer_the_same_key_asks_again),
		tempdir_test(a_crash_before_the_end_is_repaired_by_joining_again),
		tempdir_test(a_crash_after_the_answer_needs_no_other_token),
		tempdir_test(an_answer_for_another_name_or_endpoint_is_not_taken_up),
		tempdir_test(an_answer_in_the_daemons_directory_is_not_taken_up),
		tempdir_test(a_renewal_changes_key_and_certificate_together),
		tempdir_test(leaving_removes_everything_secret),
		tempdir_test(endpoints_and_names_are_checked_first),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
