// SPDX-License-Identifier: Apache-2.0
/* Credentials that keep themselves fresh, against metadata that are a table in this test, served on
 * its own loop. Both clocks are ours. */
#include "agent/aws/credentials.h"
#include "agent/aws/imds.h"
#include "common/alloc.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"
#include "tests/unit/tempdir.h"
#include "tests/unit/unit.h"

#include <netinet/in.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <syslog.h>

#define NOW 1795298400 /* 2026-11-21T22:00:00Z */

static int64_t wall_s = NOW;
static uint64_t passed_us;

int64_t __wrap_clock_wall_s(void);
uint64_t __real_clock_mono_us(void);
uint64_t __wrap_clock_mono_us(void);

int64_t __wrap_clock_wall_s(void)
{
	return wall_s;
}

uint64_t __wrap_clock_mono_us(void)
{
	return __real_clock_mono_us() + passed_us;
}

static void pass(int64_t seconds)
{
	wall_s += seconds;
	passed_us += (uint64_t)seconds * 1000000;
}

/* ---- metadata ---- */

struct page {
	const char *request; /* "PUT /latest/api/token" */
	int status;
	const char *body, *headers;
};

static struct loop loop;
static struct page pages[8];
static const char *good_token; /* NULL: any, also none */
static struct buf seen;        /* "METHOD PATH TOKEN\n" */
static int listener = -1;

static const struct page *page_of(const char *request)
{
	for (size_t i = 0; i < ARRAY_LEN(pages) && pages[i].request; i++)
		if (str_eq(pages[i].request, request))
			return &pages[i];
	return NULL;
}

static int on_request(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	char text[4096], line[256], token[128] = "-";
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);
	if (n <= 0) {
		sd_event_source_disable_unref(source);
		close(fd);
		return 0;
	}
	text[n] = '\0';
	snprintf(line, sizeof(line), "%.*s", (int)(strstr(text, " HTTP/") - text), text);
	const char *header = strstr(text, "X-aws-ec2-metadata-token: ");
	if (header)
		snprintf(token, sizeof(token), "%.*s", (int)strcspn(header + 26, "\r"),
			 header + 26);
	buf_addf(&seen, "%s %s\n", line, token);
	const struct page none = {line, 404, "no", NULL}, denied = {line, 401, "", NULL};
	const struct page *page = page_of(line);
	if (!page)
		page = &none;
	if (good_token && strncmp(line, "PUT", 3) != 0 && !str_eq(token, good_token))
		page = &denied;
	auto_free char *answer =
		xasprintf("HTTP/1.1 %d x\r\nContent-Length: %zu\r\n%s\r\n%s", page->status,
			  strlen(page->body), page->headers ? page->headers : "", page->body);
	assert_int_equal(send(fd, answer, strlen(answer), MSG_NOSIGNAL), strlen(answer));
	return 0;
}

static int on_connection(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(conn >= 0);
	assert_true(sd_event_add_io(loop.event, NULL, conn, EPOLLIN, on_request, NULL) >= 0);
	return 0;
}

static void serve(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	struct error err = {0};
	assert_int_equal(loop_init(&loop, &err), 0);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(listener, 8), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
	assert_true(sd_event_add_io(loop.event, NULL, listener, EPOLLIN, on_connection, NULL) >= 0);
	auto_free char *url = xasprintf("http://127.0.0.1:%d/", ntohs(address.sin_port));
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url, 1);
}

#define DOCUMENT \
	"{\"region\":\"us-east-1\",\"accountId\":\"111122223333\",\"instanceId\":\"i-0abc\"}"
#define KEYS(id, expires)                                                               \
	"{\"Code\":\"Success\",\"AccessKeyId\":\"" id "\",\"SecretAccessKey\":\"sec\"," \
	"\"Token\":\"tok\",\"Expiration\":\"" expires "\"}\n"

static void set_pages(const char *keys)
{
	const struct page all[] = {
		{"PUT /latest/api/token", 200, "T1", NULL},
		{"GET /latest/dynamic/instance-identity/document", 200, DOCUMENT, NULL},
		{"GET /latest/meta-data/services/partition", 200, "aws\n", NULL},
		{"GET /latest/meta-data/iam/security-credentials/", 200, "web\nother", NULL},
		{"GET /latest/meta-data/iam/security-credentials/web", 200, keys, NULL},
	};
	memset(pages, 0, sizeof(pages));
	memcpy(pages, all, sizeof(all));
}

static void set_page(const char *request, int status, const char *body, const char *headers)
{
	for (size_t i = 0; i < ARRAY_LEN(pages); i++)
		if (str_eq(pages[i].request, request))
			pages[i] = (struct page){request, status, body, headers};
}

/* ---- asking ---- */

struct fixture {
	struct tempdir *dir;
	struct paths paths;
	struct settings settings;
	struct aws_provider *provider;
	char key[64]; /* of the last answer; "" when there was none */
	struct error why;
	bool answered;
};

static void on_ready(const struct aws_credentials *keys, const struct error *why, void *arg)
{
	struct fixture *f = arg;
	f->answered = true;
	snprintf(f->key, sizeof(f->key), "%s", keys ? keys->access_key_id : "");
	f->why = why ? *why : (struct error){0};
}

static void turn_until(struct fixture *f)
{
	for (int i = 0; i < 10000 && !f->answered; i++)
		assert_true(sd_event_run(loop.event, 20000000) > 0);
	assert_true(f->answered);
}

/* All that is ready; nothing is waited for. */
static void turn(void)
{
	for (int quiet = 0; quiet < 20;)
		quiet = sd_event_run(loop.event, 2000) > 0 ? 0 : quiet + 1;
}

static const char *get(struct fixture *f)
{
	f->answered = false;
	assert_non_null(aws_provider_get(f->provider, on_ready, f));
	assert_false(f->answered);
	turn_until(f);
	return f->key;
}

static const char *at_hand(struct fixture *f)
{
	const struct aws_credentials *keys = aws_provider_at_hand(f->provider);
	return keys ? keys->access_key_id : "";
}

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	struct error err = {0};
	if (tempdir_setup((void **)&f->dir) < 0 || paths_init(&f->paths, f->dir->path, &err) < 0)
		return -1;
	log_set_level(LOG_CRIT);
	seen = BUF_INIT(65536);
	good_token = NULL;
	wall_s = NOW;
	set_pages(KEYS("ASIA1", "2026-11-22T04:00:00Z"));
	serve();
	*state = f;
	return aws_provider_new(&loop, &f->settings, &f->paths, &f->provider, &err);
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	aws_provider_free(f->provider);
	paths_clear(&f->paths);
	settings_clear(&f->settings);
	loop_clear(&loop);
	close(listener);
	buf_clear(&seen);
	int r = tempdir_teardown((void **)&f->dir);
	free(f);
	return r;
}

static const char *history(void)
{
	return buf_str(&seen);
}

/* ---- metadata ---- */

static void an_instance_is_asked_with_a_token_that_is_kept(void **state)
{
	struct fixture *f = *state;
	good_token = "T1";
	assert_string_equal(get(f), "ASIA1");
	const struct aws_identity *who = aws_provider_identity(f->provider);
	assert_string_equal(who->host_identifier,
			    "arn:aws:ec2:us-east-1:111122223333:instance/i-0abc");
	assert_string_equal(history(), "PUT /latest/api/token -\n"
				       "GET /latest/dynamic/instance-identity/document T1\n"
				       "GET /latest/meta-data/services/partition T1\n"
				       "GET /latest/meta-data/iam/security-credentials/ T1\n"
				       "GET /latest/meta-data/iam/security-credentials/web T1\n");
	assert_string_equal(at_hand(f), "ASIA1");
}

static void a_token_that_is_no_longer_good_is_exchanged(void **state)
{
	struct fixture *f = *state;
	good_token = "T1";
	get(f);
	set_pages(KEYS("ASIA2", "2026-11-22T04:00:00Z"));
	set_page("PUT /latest/api/token", 200, "T2", NULL);
	good_token = "T2";
	buf_reset(&seen);
	aws_provider_refused(f->provider, "ASIA1");
	pass(2);
	assert_string_equal(get(f), "ASIA2");
	assert_string_equal(history(), "GET /latest/meta-data/iam/security-credentials/ T1\n"
				       "PUT /latest/api/token -\n"
				       "GET /latest/meta-data/iam/security-credentials/ T2\n"
				       "GET /latest/meta-data/iam/security-credentials/web T2\n");
}

static void renew(struct fixture *f, bool disable_v1)
{
	struct error err = {0};
	aws_provider_free(f->provider);
	f->settings.disable_imds_v1 = disable_v1;
	assert_int_equal(aws_provider_new(&loop, &f->settings, &f->paths, &f->provider, &err), 0);
}

static void without_a_token_only_where_that_is_allowed(void **state)
{
	struct fixture *f = *state;
	set_page("PUT /latest/api/token", 403, "", NULL);
	renew(f, true);
	assert_string_equal(get(f), "");
	assert_non_null(strstr(f->why.text, "without one they are not to be asked"));
	assert_string_equal(history(), "PUT /latest/api/token -\n");
	renew(f, false);
	assert_string_equal(get(f), "ASIA1");
}

/* A proxy's page, a redirect, or a thing that answers everything. */
static void what_is_no_metadata_gives_nothing(void **state)
{
	static const struct page bad[] = {
		{"GET /latest/dynamic/instance-identity/document", 200, "<html></html>", NULL},
		{"GET /latest/dynamic/instance-identity/document", 302, "",
		 "Location: http://127.0.0.1:1/\r\n"},
		{"GET /latest/dynamic/instance-identity/document", 500, "", NULL},
		{"GET /latest/meta-data/iam/security-credentials/", 200, "../x", NULL},
		{"GET /latest/meta-data/iam/security-credentials/", 404, "", NULL},
		{"GET /latest/meta-data/iam/security-credentials/web", 200, "{}", NULL},
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		set_pages(KEYS("ASIA1", "2026-11-22T04:00:00Z"));
		set_page(bad[i].request, bad[i].status, bad[i].body, bad[i].headers);
		pass(3600);
		assert_string_equal(get(f), "");
		assert_true(f->why.code < 0);
		assert_true(strlen(f->why.text) > 20);
	}
}

static void a_body_has_a_ceiling(void **state)
{
	struct fixture *f = *state;
	auto_free char *long_body = xcalloc(1, 65 * 1024 + 1);
	memset(long_body, 'x', 65 * 1024);
	set_page("GET /latest/dynamic/instance-identity/document", 200, long_body, NULL);
	assert_string_equal(get(f), "");
	assert_non_null(strstr(f->why.text, "larger than"));
}

static void a_proxy_of_the_environment_is_not_used(void **state)
{
	struct fixture *f = *state;
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("all_proxy", "http://127.0.0.1:1", 1);
	const char *key = get(f);
	unsetenv("http_proxy");
	unsetenv("all_proxy");
	assert_string_equal(key, "ASIA1");
}

static void the_environment_says_where_the_metadata_are(void **state)
{
	struct imds_options options;
	struct error err = {0};
	unsetenv("AWS_EC2_METADATA_SERVICE_ENDPOINT");
	assert_int_equal(imds_options(false, &options, &err), 0);
	assert_string_equal(options.endpoint, "http://169.254.169.254");
	assert_true(options.allow_v1);
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "ipv6", 1);
	setenv("AWS_EC2_METADATA_V1_DISABLED", "True", 1);
	assert_int_equal(imds_options(false, &options, &err), 0);
	assert_string_equal(options.endpoint, "http://[fd00:ec2::254]");
	assert_false(options.allow_v1);
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv5", 1);
	assert_int_equal(imds_options(false, &options, &err), ERR_INPUT);
	unsetenv("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
	unsetenv("AWS_EC2_METADATA_V1_DISABLED");
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "file:///etc/passwd", 1);
	assert_int_equal(imds_options(false, &options, &err), ERR_INPUT);
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	assert_int_equal(imds_options(false, &options, &err), -ENOENT);
	unsetenv("AWS_EC2_METADATA_DISABLED");
	assert_int_equal(imds_options(true, &options, &err), ERR_INPUT);
}

/* ---- keeping fresh ---- */

static void credentials_are_exchanged_before_they_expire(void **state)
{
	struct fixture *f = *state;
	get(f);
	set_pages(KEYS("ASIA2", "2026-11-22T10:00:00Z"));
	pass(6 * 3600 - 301);
	assert_string_equal(at_hand(f), "ASIA1");
	turn();
	assert_string_equal(at_hand(f), "ASIA1");
	pass(2);
	assert_string_equal(at_hand(f), "ASIA1"); /* nobody waits */
	turn();
	assert_string_equal(at_hand(f), "ASIA2");
}

static void a_refresh_that_fails_is_tolerated_while_the_old_set_is_good(void **state)
{
	struct fixture *f = *state;
	get(f);
	set_page("GET /latest/meta-data/iam/security-credentials/web", 500, "", NULL);
	pass(6 * 3600 - 200);
	assert_string_equal(get(f), "ASIA1");
	turn();
	struct aws_seen looked;
	aws_provider_look(f->provider, &looked);
	assert_non_null(strstr(looked.problem, "HTTP 500"));
	assert_string_equal(looked.access_key_id, "ASIA1");
	pass(100);
	assert_string_equal(get(f), "ASIA1");
	pass(101);
	assert_string_equal(get(f), "");
	assert_non_null(strstr(f->why.text, "HTTP 500"));
	set_pages(KEYS("ASIA2", "2026-11-22T10:00:00Z"));
	pass(61);
	assert_string_equal(get(f), "ASIA2");
}

static void count_warnings(int level, const char *text, void *arg)
{
	unsigned *count = arg;
	*count += level == LOG_WARNING && strstr(text, "no new credentials");
}

static void a_failure_that_goes_on_is_said_once(void **state)
{
	struct fixture *f = *state;
	unsigned warnings = 0;
	log_to_sink(count_warnings, &warnings);
	log_set_level(LOG_WARNING);
	get(f);
	pass(6 * 3600 - 280);
	for (int status = 500; status < 504; status++, pass(31)) {
		set_page("GET /latest/meta-data/iam/security-credentials/web", status, "", NULL);
		assert_string_equal(get(f), "ASIA1");
		turn();
	}
	assert_int_equal(warnings, 1);
	set_page("GET /latest/meta-data/iam/security-credentials/", 404, "", NULL);
	get(f);
	turn();
	log_to_sink(NULL, NULL);
	assert_int_equal(warnings, 2);
}

static void who_fails_is_not_asked_at_once_again(void **state)
{
	struct fixture *f = *state;
	set_page("GET /latest/dynamic/instance-identity/document", 500, "", NULL);
	get(f);
	size_t asked = seen.len;
	get(f);
	assert_int_equal(seen.len, asked);
	pass(1);
	get(f);
	assert_true(seen.len > asked);
	asked = seen.len;
	pass(1);
	get(f);
	assert_int_equal(seen.len, asked);
}

/* It may be our clock: the service has to say. */
static void a_set_that_seems_to_have_expired_is_tried(void **state)
{
	struct fixture *f = *state;
	set_pages(KEYS("ASIA1", "2026-11-21T12:00:00Z"));
	assert_string_equal(get(f), "ASIA1");
	assert_string_equal(at_hand(f), "ASIA1");
}

static void a_refused_set_is_exchanged_but_not_again_and_again(void **state)
{
	struct fixture *f = *state;
	get(f);
	pass(2);
	aws_provider_refused(f->provider, "ASIA0"); /* an older one */
	assert_string_equal(at_hand(f), "ASIA1");
	aws_provider_refused(f->provider, "ASIA1");
	assert_string_equal(at_hand(f), "");
	assert_string_equal(get(f), "ASIA1"); /* there is no other */
	size_t asked = seen.len;
	aws_provider_refused(f->provider, "ASIA1");
	assert_string_equal(get(f), "");
	assert_int_equal(f->why.code, ERR_DENIED);
	assert_int_equal(seen.len, asked);
	set_pages(KEYS("ASIA2", "2026-11-22T04:00:00Z"));
	pass(60);
	assert_string_equal(get(f), "ASIA2");
}

static void the_clock_is_put_right(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(aws_provider_now_s(f->provider), NOW);
	assert_false(aws_provider_set_clock(f->provider, NULL, NOW));
	assert_false(aws_provider_set_clock(f->provider, "yesterday", NOW));
	assert_false(aws_provider_set_clock(f->provider, "Sat, 21 Nov 2026 22:00:29 GMT", NOW));
	assert_true(aws_provider_set_clock(f->provider, "Sun, 22 Nov 2026 00:00:00 GMT", NOW));
	assert_int_equal(aws_provider_now_s(f->provider), NOW + 7200);
	/* A request that was under way meanwhile, and one that came after. */
	assert_true(aws_provider_set_clock(f->provider, "Sun, 22 Nov 2026 00:00:03 GMT", NOW));
	assert_false(
		aws_provider_set_clock(f->provider, "Sun, 22 Nov 2026 00:00:03 GMT", NOW + 7200));
	int64_t signed_s = aws_provider_now_s(f->provider) + 7200;
	wall_s += 7200; /* somebody set the machine's */
	assert_true(aws_provider_set_clock(f->provider, "Sun, 22 Nov 2026 00:00:00 GMT", signed_s));
	assert_int_equal(aws_provider_now_s(f->provider), NOW + 7200);
}

/* ---- who waits ---- */

static void several_wait_for_one_refresh(void **state)
{
	struct fixture *f = *state, other = {0}, gone = {0};
	aws_provider_get(f->provider, on_ready, &other);
	aws_wait_cancel(aws_provider_get(f->provider, on_ready, &gone));
	assert_string_equal(get(f), "ASIA1");
	turn_until(&other);
	assert_string_equal(other.key, "ASIA1");
	assert_false(gone.answered);
	assert_null(strstr(strstr(history(), "PUT") + 1, "PUT"));
}

static void a_provider_may_go_while_somebody_waits(void **state)
{
	struct fixture *f = *state;
	struct error err = {0};
	aws_provider_get(f->provider, on_ready, f);
	assert_true(sd_event_run(loop.event, 1000000) > 0);
	aws_provider_free(f->provider);
	assert_int_equal(aws_provider_new(&loop, &f->settings, &f->paths, &f->provider, &err), 0);
	turn();
	assert_false(f->answered);
}

/* ---- files ---- */

#define USER_FILE(key)                                                           \
	"region: eu-west-1\niam_user_arn: arn:aws:iam::111122223333:user/web1\n" \
	"aws_access_key_id: " key "\naws_secret_access_key: secret\n"

/* A clock tick may be all that two writes are apart, so a file is always a new one. */
static void write_file(const struct fixture *f, const char *name, const char *text)
{
	tempdir_write(f->dir, "new", text);
	assert_int_equal(renameat(f->dir->fd, "new", f->dir->fd, name), 0);
}

static void a_users_keys_follow_their_file(void **state)
{
	struct fixture *f = *state;
	f->settings.on_premises_config_file = NULL;
	auto_free char *conf = xasprintf("%s/etc/codedeploy-agent/conf", f->dir->path);
	assert_int_equal(close(fs_mkdirs(f->dir->fd, "etc/codedeploy-agent/conf", 0755, NULL)), 0);
	write_file(f, "etc/codedeploy-agent/conf/codedeploy.onpremises.yml", USER_FILE("AKIA1"));
	assert_string_equal(get(f), "AKIA1");
	assert_string_equal(history(), "");
	assert_string_equal(aws_provider_identity(f->provider)->region, "eu-west-1");
	write_file(f, "etc/codedeploy-agent/conf/codedeploy.onpremises.yml", USER_FILE("AKIA2"));
	pass(2);
	assert_string_equal(at_hand(f), "");
	assert_string_equal(get(f), "AKIA2");
	assert_false(aws_provider_is_outdated(f->provider));
	write_file(f, "etc/codedeploy-agent/conf/codedeploy.onpremises.yml", "iam_user_arn: [");
	pass(2);
	assert_string_equal(get(f), "AKIA2");
	assert_false(aws_provider_is_outdated(f->provider));
	write_file(f, "etc/codedeploy-agent/conf/codedeploy.onpremises.yml",
		   "region: us-east-1\niam_user_arn: arn:aws:iam::111122223333:user/web1\n"
		   "aws_access_key_id: AKIA3\naws_secret_access_key: secret\n");
	pass(62);
	assert_string_equal(get(f), "AKIA2");
	assert_true(aws_provider_is_outdated(f->provider));
}

static void other_settings_make_it_outdated(void **state)
{
	struct fixture *f = *state;
	get(f);
	assert_false(aws_provider_is_outdated(f->provider));
	f->settings.disable_imds_v1 = true;
	assert_true(aws_provider_is_outdated(f->provider));
	f->settings.disable_imds_v1 = false;
	f->settings.on_premises_config_file = xasprintf("%s/f.yml", f->dir->path);
	assert_true(aws_provider_is_outdated(f->provider));
	free(TAKE(f->settings.on_premises_config_file));
	assert_false(aws_provider_is_outdated(f->provider));
}

static void a_file_that_names_nobody_is_not_said_to_be_missing(void **state)
{
	struct fixture *f = *state;
	set_page("GET /latest/dynamic/instance-identity/document", 404, "", NULL);
	f->settings.on_premises_config_file = xasprintf("%s/f.yml", f->dir->path);
	renew(f, false);
	get(f);
	assert_non_null(strstr(f->why.text, "there is no '"));
	write_file(f, "f.yml", "region: eu-west-1\n");
	pass(62);
	get(f);
	assert_null(strstr(f->why.text, "there is no '"));
	assert_non_null(
		strstr(f->why.text, "/f.yml' has neither iam_user_arn nor iam_session_arn"));
	free(TAKE(f->settings.on_premises_config_file));
}

static void a_session_follows_its_file(void **state)
{
	struct fixture *f = *state;
	auto_free char *creds = xasprintf("%s/creds", f->dir->path);
	auto_free char *text = xasprintf(
		"region: eu-west-1\niam_session_arn: arn:aws:sts::111122223333:assumed-role/r/s\n"
		"aws_credentials_file: %s\n",
		creds);
	f->settings.on_premises_config_file = xasprintf("%s/f.yml", f->dir->path);
	aws_provider_free(f->provider);
	write_file(f, "f.yml", text);
	struct error err = {0};
	assert_int_equal(aws_provider_new(&loop, &f->settings, &f->paths, &f->provider, &err), 0);
	assert_string_equal(get(f), "");
	assert_non_null(strstr(f->why.text, creds));
	assert_non_null(aws_provider_identity(f->provider));
	write_file(f, "creds", "[default]\naws_access_key_id=ASIA1\naws_secret_access_key=s\n");
	pass(62);
	assert_string_equal(get(f), "ASIA1");
	write_file(f, "creds", "[default]\naws_access_key_id=ASIA2\naws_secret_access_key=s\n");
	pass(62);
	assert_string_equal(get(f), "ASIA2");
	assert_int_equal(unlinkat(f->dir->fd, "creds", 0), 0);
	pass(62);
	assert_string_equal(get(f), "ASIA2");
	free(TAKE(f->settings.on_premises_config_file));
}

#define fixture_test(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(an_instance_is_asked_with_a_token_that_is_kept),
		fixture_test(a_token_that_is_no_longer_good_is_exchanged),
		fixture_test(without_a_token_only_where_that_is_allowed),
		fixture_test(what_is_no_metadata_gives_nothing),
		fixture_test(a_body_has_a_ceiling),
		fixture_test(a_proxy_of_the_environment_is_not_used),
		cmocka_unit_test(the_environment_says_where_the_metadata_are),
		fixture_test(credentials_are_exchanged_before_they_expire),
		fixture_test(a_refresh_that_fails_is_tolerated_while_the_old_set_is_good),
		fixture_test(a_failure_that_goes_on_is_said_once),
		fixture_test(who_fails_is_not_asked_at_once_again),
		fixture_test(a_set_that_seems_to_have_expired_is_tried),
		fixture_test(a_refused_set_is_exchanged_but_not_again_and_again),
		fixture_test(the_clock_is_put_right),
		fixture_test(several_wait_for_one_refresh),
		fixture_test(a_provider_may_go_while_somebody_waits),
		fixture_test(a_users_keys_follow_their_file),
		fixture_test(a_file_that_names_nobody_is_not_said_to_be_missing),
		fixture_test(a_session_follows_its_file),
		fixture_test(other_settings_make_it_outdated),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
