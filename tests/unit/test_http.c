// SPDX-License-Identifier: Apache-2.0
/* Against a few lines of Python (http_peer.py) on a port of the kernel's choice. */
#include "common/alloc.h"
#include "common/clock.h"
#include "common/http.h"
#include "common/pki.h"
#include "common/proc.h"
#include "common/str.h"
#include "tests/unit/tempdir.h"
#include "tests/unit/unit.h"

#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define CONTENT_LEN (256 * 40)

struct peer {
	pid_t pid;
	int input; /* closing it ends the peer */
	int port;
	struct tempdir *dir;
};

static char *in_dir(const struct peer *peer, const char *name)
{
	return xasprintf("%s/%s", peer->dir->path, name);
}

static void save_pem(const struct peer *peer, const char *name, char *pem)
{
	tempdir_write(peer->dir, name, pem);
	free(pem);
}

/* NAME.pem and NAME.key in the test's directory; ca NULL: self-signed. */
static void make_cert(const struct peer *peer, const char *name, enum pki_role role,
		      const char *const *names, int64_t not_after_s, X509 *ca, EVP_PKEY *ca_key,
		      X509 **ret_cert, EVP_PKEY **ret_key)
{
	EVP_PKEY *key = NULL;
	X509 *cert = NULL;
	assert_int_equal(pki_key_new(&key, NULL), 0);
	struct pki_issue order = {.role = role,
				  .cn = name,
				  .names = names,
				  .not_before_s = clock_wall_s() - 10 * 86400,
				  .not_after_s = not_after_s,
				  .subject_key = key,
				  .issuer = ca,
				  .issuer_key = ca ? ca_key : key};
	assert_int_equal(pki_issue(&order, &cert, NULL), 0);
	char *pem = NULL;
	assert_int_equal(pki_cert_to_pem(cert, &pem, NULL), 0);
	auto_free char *cert_name = xasprintf("%s.pem", name);
	save_pem(peer, cert_name, pem);
	assert_int_equal(pki_key_to_pem(key, &pem, NULL), 0);
	auto_free char *key_name = xasprintf("%s.key", name);
	save_pem(peer, key_name, pem);
	if (ret_cert) {
		*ret_cert = cert;
		*ret_key = key;
		return;
	}
	X509_free(cert);
	EVP_PKEY_free(key);
}

static void make_certs(const struct peer *peer)
{
	static const char *const here[] = {"127.0.0.1", "localhost", NULL};
	static const char *const there[] = {"elsewhere.example", NULL};
	int64_t later = clock_wall_s() + 86400, earlier = clock_wall_s() - 86400;
	auto_x509 X509 *ca = NULL;
	auto_pkey EVP_PKEY *key = NULL;
	make_cert(peer, "ca", PKI_CA, NULL, later, NULL, NULL, &ca, &key);
	make_cert(peer, "other-ca", PKI_CA, NULL, later, NULL, NULL, NULL, NULL);
	make_cert(peer, "good", PKI_SERVER, here, later, ca, key, NULL, NULL);
	make_cert(peer, "expired", PKI_SERVER, here, earlier, ca, key, NULL, NULL);
	make_cert(peer, "elsewhere", PKI_SERVER, there, later, ca, key, NULL, NULL);
	make_cert(peer, "host-1", PKI_HOST, NULL, later, ca, key, NULL, NULL);
}

static void read_port(struct peer *peer, int fd)
{
	char line[32] = "";
	size_t len = 0;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	while (!strchr(line, '\n') && len < sizeof(line) - 1) {
		if (poll(&p, 1, 20000) != 1)
			fail_msg("the peer does not start");
		ssize_t n = read(fd, line + len, sizeof(line) - 1 - len);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	peer->port = atoi(line);
	if (peer->port == 0)
		fail_msg("the peer says '%s'", line);
}

/* cert: the peer's certificate, NULL for plain HTTP; client_ca: it asks for certificates. */
static struct peer peer_start(struct tempdir *dir, const char *cert, const char *client_ca)
{
	struct peer peer = {.dir = dir, .input = -1};
	if (access("/usr/bin/python3", X_OK) < 0)
		skip();
	make_certs(&peer);
	const char *top = getenv("top_srcdir");
	auto_free char *script = xasprintf("%s/tests/unit/http_peer.py", top ? top : ".");
	auto_free char *pem = xasprintf("%s/%s.pem", dir->path, cert ? cert : "");
	auto_free char *key = xasprintf("%s/%s.key", dir->path, cert ? cert : "");
	auto_free char *ca = client_ca ? in_dir(&peer, client_ca) : NULL;
	const char *const argv[] = {"python3", script, cert ? pem : NULL, key, ca, NULL};
	int in[2], out[2];
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	struct proc_spec spec = {.path = "/usr/bin/python3",
				 .argv = argv,
				 .stdin_fd = in[0],
				 .stdout_fd = out[1],
				 .stderr_fd = -1};
	struct error err = {0};
	peer.pid = proc_start(&spec, &err);
	close(in[0]);
	close(out[1]);
	if (peer.pid < 0)
		fail_msg("%s", err.text);
	peer.input = in[1];
	read_port(&peer, out[0]);
	close(out[0]);
	return peer;
}

static void peer_stop(struct peer *peer)
{
	struct proc_end end;
	if (peer->input >= 0)
		close(peer->input);
	if (peer->pid > 0 && proc_wait(peer->pid, 10000, false, &end, NULL) < 0)
		print_error("the peer does not end\n");
}
#define auto_peer CLEANUP(peer_stop)

static struct http_client *client_with(const struct peer *peer, struct loop *loop, const char *ca,
				       const char *cert)
{
	auto_free char *ca_file = ca ? in_dir(peer, ca) : NULL;
	auto_free char *cert_file = cert ? xasprintf("%s/%s.pem", peer->dir->path, cert) : NULL;
	auto_free char *key_file = cert ? xasprintf("%s/%s.key", peer->dir->path, cert) : NULL;
	struct http_options options = {.ca_file = ca_file,
				       .cert_file = cert_file,
				       .key_file = key_file,
				       .allow_http = !ca,
				       .connect_timeout_ms = 10000};
	struct http_client *client = NULL;
	assert_int_equal(http_client_new(loop, &options, &client, NULL), 0);
	return client;
}

static char *url_of(const struct peer *peer, const char *path)
{
	return xasprintf("https://127.0.0.1:%d%s", peer->port, path);
}

static struct http_response get(struct http_client *client, const struct peer *peer,
				const char *path, struct http_request more)
{
	auto_free char *url = url_of(peer, path);
	struct http_response response;
	more.method = more.method ? more.method : "GET";
	more.url = url;
	struct error err = {0};
	int r = http_perform(client, &more, &response, &err);
	assert_int_equal(r, response.code);
	if (r < 0)
		assert_string_equal(err.text, response.error.text);
	return response;
}

#define GET(path, ...) get(client, &peer, path, (struct http_request){__VA_ARGS__})

static void a_peer_of_our_ca_is_asked_and_answers(void **state)
{
	auto_peer struct peer peer = peer_start(*state, "good", NULL);
	auto_http_client struct http_client *client = client_with(&peer, NULL, "ca.pem", NULL);
	auto_http_response struct http_response r = GET("/hello");
	assert_int_equal(r.status, 200);
	assert_string_equal(buf_str(&r.body), "hello");
	assert_string_equal(http_header_get(&r, "content-length"), "5");
	assert_null(http_header_get(&r, "x-none"));
	assert_string_equal(r.local_ip, "127.0.0.1");
	auto_http_response struct http_response missing = GET("/missing");
	assert_int_equal(missing.code, 0);
	assert_int_equal(missing.status, 404);
	assert_string_equal(buf_str(&missing.body), "{\"__type\":\"NoSuchKey\"}");
	auto_http_response struct http_response moved = GET("/moved");
	assert_int_equal(moved.status, 302);
}

static void refused_with(struct peer *peer, const char *ca, const char *const expected[])
{
	auto_http_client struct http_client *client = client_with(peer, NULL, ca, NULL);
	auto_http_response struct http_response r =
		get(client, peer, "/hello", (struct http_request){0});
	assert_int_equal(r.code, ERR_TRUST);
	assert_int_equal(r.status, 0);
	for (size_t i = 0; expected[i]; i++)
		if (!strstr(r.error.text, expected[i]))
			fail_msg("'%s' is not in '%s'", expected[i], r.error.text);
}

static void a_wrong_ca_is_refused_with_subject_and_dates(void **state)
{
	auto_peer struct peer peer = peer_start(*state, "good", NULL);
	char until[CLOCK_ISO_LEN];
	clock_format_iso(clock_wall_s() + 86400, until);
	until[10] = '\0';
	const char *const expected[] = {"https://127.0.0.1:", "CN=good, valid ", until, NULL};
	refused_with(&peer, "other-ca.pem", expected);
}

static void an_expired_certificate_is_refused_with_its_dates(void **state)
{
	auto_peer struct peer peer = peer_start(*state, "expired", NULL);
	char until[CLOCK_ISO_LEN];
	clock_format_iso(clock_wall_s() - 86400, until);
	until[10] = '\0';
	const char *const expected[] = {"CN=expired, valid ", until, "certificate has expired",
					NULL};
	refused_with(&peer, "ca.pem", expected);
}

static void a_certificate_for_another_host_is_refused(void **state)
{
	auto_peer struct peer peer = peer_start(*state, "elsewhere", NULL);
	const char *const expected[] = {"CN=elsewhere, valid ",
					"not for '127.0.0.1' but for elsewhere.example", NULL};
	refused_with(&peer, "ca.pem", expected);
}

static void the_systems_cas_are_not_asked_beside_ours(void **state)
{
	auto_peer struct peer peer = peer_start(*state, "good", NULL);
	/* trusted only by what OpenSSL takes for the system's store */
	auto_free char *ca = in_dir(&peer, "ca.pem");
	setenv("SSL_CERT_FILE", ca, 1);
	const char *const expected[] = {"CN=good", NULL};
	refused_with(&peer, "other-ca.pem", expected);
	unsetenv("SSL_CERT_FILE");
}

static void a_ca_file_that_is_missing_is_an_error(void **state)
{
	auto_peer struct peer peer = peer_start(*state, "good", NULL);
	auto_http_client struct http_client *client = client_with(&peer, NULL, "no.pem", NULL);
	auto_http_response struct http_response r = GET("/hello");
	assert_int_equal(r.code, ERR_TRUST);
	assert_non_null(strstr(r.error.text, "no.pem"));
}

static void a_peer_that_wants_a_certificate_gets_ours(void **state)
{
	auto_peer struct peer peer = peer_start(*state, "good", "ca.pem");
	auto_http_client struct http_client *client = client_with(&peer, NULL, "ca.pem", "host-1");
	auto_http_response struct http_response r = GET("/hello");
	assert_int_equal(r.status, 200);
	auto_http_client struct http_client *foreign =
		client_with(&peer, NULL, "ca.pem", "other-ca");
	auto_http_response struct http_response refused =
		get(foreign, &peer, "/hello", (struct http_request){0});
	assert_int_equal(refused.code, ERR_DENIED);
}

static void plain_http_is_refused_unless_allowed(void **state)
{
	auto_peer struct peer peer = peer_start(*state, NULL, NULL);
	auto_free char *url = xasprintf("http://127.0.0.1:%d/hello", peer.port);
	struct http_request request = {.method = "GET", .url = url};
	auto_http_response struct http_response r = {0}, allowed = {0};
	struct error err = {0};
	auto_http_client struct http_client *strict = client_with(&peer, NULL, "ca.pem", NULL);
	assert_int_equal(http_perform(strict, &request, &r, &err), ERR_INPUT);
	assert_string_equal(err.text, "http:// is refused, use https://");
	auto_http_client struct http_client *lax = client_with(&peer, NULL, NULL, NULL);
	assert_int_equal(http_perform(lax, &request, &allowed, &err), 0);
	assert_int_equal(allowed.status, 200);
}

static void other_schemes_and_broken_headers_are_refused(void **state)
{
	struct http_client *client = NULL;
	struct http_options options = {.allow_http = true};
	assert_int_equal(http_client_new(NULL, &options, &client, NULL), 0);
	static const char *const urls[] = {"file:///etc/passwd", "ftp://x/",  "HTTPS//x", "x",
					   "https://",           "https:///x"};
	for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
		struct http_request request = {.method = "GET", .url = urls[i]};
		auto_http_response struct http_response r = {0};
		assert_int_equal(http_perform(client, &request, &r, NULL), ERR_INPUT);
	}
	struct http_header header = {"X-A", "1\r\nX-B: 2"};
	struct http_request request = {
		.method = "GET", .url = "https://127.0.0.1/", .headers = &header, .n_headers = 1};
	auto_http_response struct http_response r = {0};
	assert_int_equal(http_perform(client, &request, &r, NULL), ERR_INPUT);
	http_client_free(client);
}

static void nobody_there_is_unreachable_and_names_the_place(void **state)
{
	auto_peer struct peer peer = peer_start(*state, "good", NULL);
	auto_http_client struct http_client *client = client_with(&peer, NULL, "ca.pem", NULL);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* bound, not listening */
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t len = sizeof(address);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	auto_free char *url =
		xasprintf("https://127.0.0.1:%d/secret-path?token=1", ntohs(address.sin_port));
	struct http_request request = {.method = "GET", .url = url};
	auto_http_response struct http_response r = {0};
	assert_int_equal(http_perform(client, &request, &r, NULL), ERR_NETWORK);
	assert_true(str_starts(r.error.text, "https://127.0.0.1:"));
	assert_null(strstr(r.error.text, "secret-path"));
	close(fd);
}

static void a_body_over_its_ceiling_is_refused(void **state)
{
	auto_peer struct peer peer = peer_start(*state, "good", NULL);
	auto_http_client struct http_client *client = client_with(&peer, NULL, "ca.pem", NULL);
	auto_http_response struct http_response r = GET("/chunks", .max_body = 100 * 1024);
	assert_int_equal(r.code, 0);
	assert_int_equal(r.body.len, 100 * 1024);
	auto_http_response struct http_response over = GET("/chunks", .max_body = 100 * 1024 - 1);
	assert_int_equal(over.code, ERR_LIMIT);
	assert_non_null(strstr(over.error.text, "larger than 102399 bytes"));
	auto_http_response struct http_response many = GET("/headers");
	assert_int_equal(many.code, ERR_LIMIT);
}

static void no_answer_in_time_ends_the_wait(void **state)
{
	auto_peer struct peer peer = peer_start(*state, "good", NULL);
	auto_http_client struct http_client *client = client_with(&peer, NULL, "ca.pem", NULL);
	uint64_t start = clock_mono_us();
	auto_http_response struct http_response r = GET("/forever", .timeout_ms = 300);
	assert_int_equal(r.code, ERR_NETWORK);
	assert_non_null(strstr(r.error.text, "no answer in time"));
	assert_in_range(clock_mono_us() - start, 290000, 10000000);
}

static void nonsense_and_half_answers_are_unreachable(void **state)
{
	auto_peer struct peer peer = peer_start(*state, "good", NULL);
	auto_http_client struct http_client *client = client_with(&peer, NULL, "ca.pem", NULL);
	auto_http_response struct http_response r = GET("/nonsense");
	assert_int_equal(r.code, ERR_NETWORK);
	auto_http_response struct http_response half = GET("/half");
	assert_int_equal(half.code, ERR_NETWORK);
	assert_int_equal(half.status, 0);
}

static void requests_share_a_connection(void **state)
{
	auto_peer struct peer peer = peer_start(*state, "good", NULL);
	auto_http_client struct http_client *client = client_with(&peer, NULL, "ca.pem", NULL);
	for (int i = 0; i < 3; i++) {
		auto_http_response struct http_response r = GET("/who");
		assert_string_equal(buf_str(&r.body), "1");
	}
	http_client_reload(client);
	auto_http_response struct http_response r = GET("/who");
	assert_string_equal(buf_str(&r.body), "2");
}

static void a_body_from_memory_arrives_with_nothing_added(void **state)
{
	auto_peer struct peer peer = peer_start(*state, "good", NULL);
	auto_http_client struct http_client *client = client_with(&peer, NULL, "ca.pem", NULL);
	const struct http_header headers[] = {{"X-Amz-Target", "A.B"}, {"X-Empty", ""}};
	auto_http_response struct http_response r =
		GET("/echo", .method = "POST", .body = "{}", .body_len = 2, .headers = headers,
		    .n_headers = 2);
	assert_string_equal(buf_str(&r.body), "{}");
	assert_string_equal(http_header_get(&r, "x-method"), "POST");
	const char *seen = http_header_get(&r, "x-seen");
	assert_non_null(strstr(seen, "x-amz-target=A.B"));
	assert_non_null(strstr(seen, "x-empty="));
	assert_non_null(strstr(seen, "user-agent=slipway/"));
	assert_null(strstr(seen, "content-type"));
	assert_null(strstr(seen, "expect"));
	assert_null(strstr(seen, "accept="));
	auto_http_response struct http_response empty = GET("/echo", .method = "POST");
	assert_int_equal(empty.status, 200);
	assert_non_null(strstr(http_header_get(&empty, "x-seen"), "content-length=0"));
	auto_http_response struct http_response deleted = GET("/echo", .method = "DELETE");
	assert_string_equal(http_header_get(&deleted, "x-method"), "DELETE");
	auto_http_response struct http_response head = GET("/hello", .method = "HEAD");
	assert_int_equal(head.status, 200);
	assert_int_equal(head.body.len, 0);
}

static int memory_file(const char *text, size_t len)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	assert_true(fd > 0);
	assert_int_equal(fs_write_all(fd, text, len), 0);
	return fd;
}

static void last_progress(uint64_t done, uint64_t total, void *arg)
{
	uint64_t *seen = arg;
	assert_true(done >= seen[0]);
	seen[0] = done;
	seen[1] = total;
}

static void a_body_is_streamed_from_a_descriptor(void **state)
{
	auto_peer struct peer peer = peer_start(*state, "good", NULL);
	auto_http_client struct http_client *client = client_with(&peer, NULL, "ca.pem", NULL);
	auto_free char *content = xcalloc(300000, 1);
	memset(content, 'z', 300000);
	auto_close int fd = memory_file(content, 300000);
	uint64_t seen[2] = {0};
	auto_http_response struct http_response r =
		GET("/echo", .method = "PUT", .body_fd = fd, .body_size = 300000,
		    .on_progress = last_progress, .arg = seen);
	assert_int_equal(r.status, 200);
	assert_int_equal(r.body.len, 300000);
	assert_memory_equal(r.body.data, content, 300000);
	assert_string_equal(http_header_get(&r, "x-method"), "PUT");
	assert_int_equal(seen[0], 300000);
	assert_int_equal(seen[1], 300000);
	auto_http_response struct http_response shorter =
		GET("/echo", .method = "PUT", .body_fd = fd, .body_size = 300001);
	assert_int_equal(shorter.code, -EIO);
}

/* What on_body saw. */
struct taken {
	unsigned char data[CONTENT_LEN + 1];
	size_t len, refuse_at;
	int status;
	bool has_length;
};

static int take_body(const struct http_response *head, const void *data, size_t len, void *arg,
		     struct error *err)
{
	struct taken *taken = arg;
	assert_in_range(taken->len + len, 0, sizeof(taken->data));
	memcpy(taken->data + taken->len, data, len);
	taken->len += len;
	taken->status = head->status;
	taken->has_length = http_header_get(head, "content-length");
	if (taken->refuse_at && taken->len >= taken->refuse_at)
		return error_set(err, ERR_LIMIT, "too much");
	return 0;
}

static void check_content(const struct taken *taken)
{
	assert_int_equal(taken->len, CONTENT_LEN);
	for (size_t i = 0; i < CONTENT_LEN; i++)
		assert_int_equal(taken->data[i], i % 256);
}

static void a_body_is_given_away_with_its_head(void **state)
{
	auto_peer struct peer peer = peer_start(*state, "good", NULL);
	auto_http_client struct http_client *client = client_with(&peer, NULL, "ca.pem", NULL);
	struct taken taken = {0};
	auto_http_response struct http_response r =
		GET("/file", .on_body = take_body, .arg = &taken);
	assert_int_equal(r.status, 200);
	assert_int_equal(r.body.len, 0);
	assert_int_equal(taken.status, 200);
	assert_true(taken.has_length);
	check_content(&taken);
	struct taken nothing = {0};
	auto_http_response struct http_response missing =
		GET("/missing", .on_body = take_body, .arg = &nothing);
	assert_int_equal(missing.status, 404);
	assert_string_equal(buf_str(&missing.body), "{\"__type\":\"NoSuchKey\"}");
	auto_http_response struct http_response empty =
		GET("/empty", .on_body = take_body, .arg = &nothing);
	assert_int_equal(empty.status, 200);
	assert_int_equal(nothing.len, 0);
}

static void whoever_takes_a_body_may_end_it(void **state)
{
	auto_peer struct peer peer = peer_start(*state, "good", NULL);
	auto_http_client struct http_client *client = client_with(&peer, NULL, "ca.pem", NULL);
	struct taken taken = {.refuse_at = 1};
	auto_http_response struct http_response r =
		GET("/file", .on_body = take_body, .arg = &taken);
	assert_int_equal(r.code, ERR_LIMIT);
	assert_int_equal(r.status, 0);
	assert_non_null(strstr(r.error.text, "too much"));
	struct taken half = {0};
	auto_http_response struct http_response cut =
		GET("/half", .on_body = take_body, .arg = &half);
	assert_int_equal(cut.code, ERR_NETWORK);
	assert_int_equal(cut.status, 0);
	assert_int_equal(half.len, 1000);
}

/* The form on the loop */

struct run {
	struct loop loop;
	struct http_client *client;
	struct peer *peer;
	unsigned want, done;
	int codes[8], statuses[8];
	char bodies[8][32];
	struct http_call *calls[8];
	void (*then)(struct run *run, struct http_call *call);
};

static void on_done(struct http_call *call, struct http_response *response, void *arg)
{
	struct run *run = arg;
	unsigned i = run->done++;
	run->codes[i] = response->code;
	run->statuses[i] = response->status;
	snprintf(run->bodies[i], sizeof(run->bodies[i]), "%s", buf_str(&response->body));
	if (run->done == run->want)
		loop_stop(&run->loop, 0);
	if (run->then)
		run->then(run, call);
}

static void run_start(struct run *run, const char *path, unsigned at, uint64_t timeout_ms)
{
	auto_free char *url = url_of(run->peer, path);
	struct http_request request = {.method = "GET", .url = url, .timeout_ms = timeout_ms};
	struct error err = {0};
	if (http_start(run->client, &request, on_done, run, &run->calls[at], &err) < 0)
		fail_msg("%s", err.text);
}

static int on_deadline(sd_event_source *source, uint64_t now_us, void *arg)
{
	fail_msg("the loop does not end");
	return 0;
}

static void run_loop(struct run *run, unsigned want)
{
	auto_source sd_event_source *deadline = NULL;
	struct error err = {0};
	run->want = want;
	assert_int_equal(loop_timer(&run->loop, &deadline, 20000, 0, on_deadline, NULL, &err), 0);
	assert_int_equal(loop_run(&run->loop, &err), 0);
}

static void run_init(struct run *run, struct peer *peer)
{
	struct error err = {0};
	*run = (struct run){.peer = peer};
	if (loop_init(&run->loop, &err) < 0)
		fail_msg("%s", err.text);
	run->client = client_with(peer, &run->loop, "ca.pem", NULL);
}

static void run_clear(struct run *run)
{
	http_client_free(run->client);
	loop_clear(&run->loop);
}

static void many_run_at_once_on_the_loop(void **state)
{
	auto_peer struct peer peer = peer_start(*state, "good", NULL);
	struct run run;
	run_init(&run, &peer);
	run_start(&run, "/forever", 0, 400); /* does not hold the others up */
	for (unsigned i = 1; i < 5; i++)
		run_start(&run, "/hello", i, 0);
	run_loop(&run, 5);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(run.statuses[i], 200);
		assert_string_equal(run.bodies[i], "hello");
	}
	assert_int_equal(run.codes[4], ERR_NETWORK);
	run_clear(&run);
}

static void ask_again(struct run *run, struct http_call *call)
{
	if (run->done < run->want)
		run_start(run, "/who", run->done, 0);
}

static void a_callback_may_start_the_next_on_the_same_connection(void **state)
{
	auto_peer struct peer peer = peer_start(*state, "good", NULL);
	struct run run;
	run_init(&run, &peer);
	run.then = ask_again;
	run_start(&run, "/who", 0, 0);
	run_loop(&run, 4);
	for (unsigned i = 0; i < 4; i++)
		assert_string_equal(run.bodies[i], "1");
	run_clear(&run);
}

static void cancel_others(struct run *run, struct http_call *call)
{
	http_cancel(run->calls[1]);
	http_cancel(call);
}

static void a_callback_may_cancel_itself_and_others(void **state)
{
	auto_peer struct peer peer = peer_start(*state, "good", NULL);
	struct run run;
	run_init(&run, &peer);
	run.then = cancel_others;
	run_start(&run, "/forever", 1, 0);
	run_start(&run, "/hello", 0, 0);
	run_loop(&run, 1);
	assert_int_equal(run.done, 1);
	assert_string_equal(run.bodies[0], "hello");
	run_clear(&run);
}

static void free_client(struct run *run, struct http_call *call)
{
	http_client_free(TAKE(run->client));
}

static void a_callback_may_free_the_client(void **state)
{
	auto_peer struct peer peer = peer_start(*state, "good", NULL);
	struct run run;
	run_init(&run, &peer);
	run.then = free_client;
	run_start(&run, "/forever", 1, 0);
	run_start(&run, "/hello", 0, 0);
	run_loop(&run, 1);
	assert_int_equal(run.done, 1);
	run_clear(&run);
}

static void a_reload_lets_what_runs_finish_on_its_old_connection(void **state)
{
	auto_peer struct peer peer = peer_start(*state, "good", NULL);
	struct run run;
	run_init(&run, &peer);
	run_start(&run, "/forever", 0, 300);
	http_client_reload(run.client);
	run_start(&run, "/hello", 1, 0);
	run_loop(&run, 2);
	assert_string_equal(run.bodies[0], "hello");
	assert_int_equal(run.codes[1], ERR_NETWORK);
	run_clear(&run);
}

static void errors_come_through_the_loop_too(void **state)
{
	auto_peer struct peer peer = peer_start(*state, "expired", NULL);
	struct run run;
	run_init(&run, &peer);
	run_start(&run, "/hello", 0, 0);
	run_loop(&run, 1);
	assert_int_equal(run.codes[0], ERR_TRUST);
	run_clear(&run);
}

int main(void)
{
	static const char *const proxies[] = {"http_proxy", "https_proxy", "HTTPS_PROXY",
					      "all_proxy", "ALL_PROXY"};
	for (size_t i = 0; i < ARRAY_LEN(proxies); i++)
		unsetenv(proxies[i]);
	const struct CMUnitTest tests[] = {
		tempdir_test(a_peer_of_our_ca_is_asked_and_answers),
		tempdir_test(a_wrong_ca_is_refused_with_subject_and_dates),
		tempdir_test(an_expired_certificate_is_refused_with_its_dates),
		tempdir_test(a_certificate_for_another_host_is_refused),
		tempdir_test(the_systems_cas_are_not_asked_beside_ours),
		tempdir_test(a_ca_file_that_is_missing_is_an_error),
		tempdir_test(a_peer_that_wants_a_certificate_gets_ours),
		tempdir_test(plain_http_is_refused_unless_allowed),
		cmocka_unit_test(other_schemes_and_broken_headers_are_refused),
		tempdir_test(nobody_there_is_unreachable_and_names_the_place),
		tempdir_test(a_body_over_its_ceiling_is_refused),
		tempdir_test(no_answer_in_time_ends_the_wait),
		tempdir_test(nonsense_and_half_answers_are_unreachable),
		tempdir_test(requests_share_a_connection),
		tempdir_test(a_body_from_memory_arrives_with_nothing_added),
		tempdir_test(a_body_is_streamed_from_a_descriptor),
		tempdir_test(a_body_is_given_away_with_its_head),
		tempdir_test(whoever_takes_a_body_may_end_it),
		tempdir_test(many_run_at_once_on_the_loop),
		tempdir_test(a_callback_may_start_the_next_on_the_same_connection),
		tempdir_test(a_callback_may_cancel_itself_and_others),
		tempdir_test(a_callback_may_free_the_client),
		tempdir_test(a_reload_lets_what_runs_finish_on_its_old_connection),
		tempdir_test(errors_come_through_the_loop_too),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
