// SPDX-License-Identifier: Apache-2.0
/* What files and answers say of identity and credentials, and what no message may repeat. */
#include "agent/aws/fault.h"
#include "agent/aws/keys.h"
#include "agent/aws/sign.h"
#include "agent/aws/trust.h"
#include "common/alloc.h"
#include "common/log.h"
#include "common/sigv4.h"
#include "common/str.h"
#include "tests/unit/tempdir.h"
#include "tests/unit/unit.h"

#include <sys/stat.h>

#define USER "arn:aws:iam::111122223333:user/web1"
#define SESSION "arn:aws:sts::111122223333:assumed-role/web/host1"
#define MARK "SECRETMARK"

static int onpremises(const char *text, struct aws_onpremises **ret, struct error *err)
{
	return aws_onpremises_parse("f.yml", text, strlen(text), ret, err);
}

static void a_user_is_read_with_and_without_colons(void **state)
{
	static const char *const texts[] = {
		"iam_user_arn: " USER "\nregion: eu-west-1\naws_access_key_id: AKIA1\n"
		"aws_secret_access_key: s3cr/et+\n",
		"---\n:iam_user_arn: '" USER
		"'\n:region: \"eu-west-1\"\n:aws_access_key_id: AKIA1\n"
		":aws_secret_access_key: s3cr/et+\n:more: [1]\n",
	};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		auto_aws_onpremises struct aws_onpremises *file = NULL;
		struct error err = {0};
		if (onpremises(texts[i], &file, &err) < 0)
			fail_msg("%s", err.text);
		assert_int_equal(file->identity->source, AWS_USER);
		assert_string_equal(file->identity->host_identifier, USER);
		assert_string_equal(file->identity->region, "eu-west-1");
		assert_string_equal(file->identity->name, "web1");
		assert_string_equal(file->keys->access_key_id, "AKIA1");
		assert_string_equal(file->keys->secret, "s3cr/et+");
		assert_null(file->keys->session_token);
		assert_int_equal(file->keys->expires_s, 0);
		assert_null(file->credentials_file);
	}
}

static void a_session_names_its_file(void **state)
{
	auto_aws_onpremises struct aws_onpremises *file = NULL;
	struct error err = {0};
	assert_int_equal(onpremises("iam_session_arn: " SESSION
				    "\nregion: us-gov-west-1\naws_credentials_file: /etc/c\n",
				    &file, &err),
			 0);
	assert_int_equal(file->identity->source, AWS_SESSION);
	assert_string_equal(file->identity->name, "host1");
	assert_string_equal(file->credentials_file, "/etc/c");
	assert_null(file->keys);
}

static void a_file_without_an_identity_is_ignored(void **state)
{
	static const char *const texts[] = {"region: eu-west-1\n", "iam_user_arn:\nregion: x\n",
					    "{}\n", "aws_access_key_id: AKIA1\n"};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct aws_onpremises *file = (void *)1;
		struct error err = {0};
		assert_int_equal(onpremises(texts[i], &file, &err), 0);
		assert_null(file);
	}
}

/* Each holds MARK where a secret might stand. */
static void what_is_wrong_with_a_file_is_named_without_its_secrets(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"", "f.yml: it holds no 'key: value' lines"},
		{"- " MARK "\n", "no 'key: value' lines"},
		{MARK, "no 'key: value' lines"},
		{"iam_user_arn: [" MARK, "f.yml:"},
		{"iam_user_arn: " USER "\niam_session_arn: " SESSION "\n", "both there"},
		{"iam_user_arn: " USER "\naws_access_key_id: a\naws_secret_access_key: " MARK "\n",
		 "'region' is missing"},
		{"iam_user_arn: " USER "\nregion: r-1\naws_secret_access_key: " MARK "\n",
		 "'aws_access_key_id' is missing"},
		{"iam_user_arn: " USER "\nregion: r-1\naws_access_key_id: " MARK "\n",
		 "'aws_secret_access_key' is missing"},
		{"iam_user_arn: " USER "\nregion: r-1\naws_access_key_id: a\n"
		 "aws_secret_access_key: null\n",
		 "'aws_secret_access_key' is missing"},
		{"iam_session_arn: " SESSION "\nregion: r-1\n",
		 "'aws_credentials_file' is missing"},
		{"iam_session_arn: " SESSION "\nregion: r-1\naws_credentials_file: here\n",
		 "must be an absolute path"},
		{"iam_user_arn: " MARK "\nregion: r-1\naws_access_key_id: a\n"
		 "aws_secret_access_key: b\n",
		 "'iam_user_arn': it is no ARN"},
		{"iam_user_arn: " USER "\nregion: " MARK "\naws_access_key_id: a\n"
		 "aws_secret_access_key: b\n",
		 "'region' is no region"},
		{"iam_user_arn: " USER "\nregion: r-1\naws_access_key_id: a\n"
		 "aws_secret_access_key: \"" MARK "\\r\\nX: y\"\n",
		 "the secret access key holds a blank or control character"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct aws_onpremises *file = NULL;
		struct error err = {0};
		assert_true(onpremises(cases[i].text, &file, &err) < 0);
		assert_null(file);
		assert_non_null(strstr(err.text, "f.yml"));
		if (!strstr(err.text, cases[i].says))
			fail_msg("%s: %s", cases[i].says, err.text);
		assert_null(strstr(err.text, MARK));
	}
}

static int session(const char *text, struct aws_credentials **ret, struct error *err)
{
	return aws_session_parse("creds", text, strlen(text), "default", ret, err);
}

static void a_session_is_read_from_its_section(void **state)
{
	auto_aws_keys struct aws_credentials *keys = NULL;
	struct error err = {0};
	static const char text[] = "aws_access_key_id = nobody\n"
				   "[other]\naws_access_key_id = other\n"
				   "  [ default ]\r\n# aws_access_key_id = no\n; neither\n"
				   "\taws_access_key_id=ASIA1\r\n"
				   "aws_secret_access_key =  a/b=c+d== \r\n"
				   "aws_session_token = to/ken==\r\nregion = x\n"
				   "[last]\naws_secret_access_key = other\n";
	if (session(text, &keys, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(keys->access_key_id, "ASIA1");
	assert_string_equal(keys->secret, "a/b=c+d==");
	assert_string_equal(keys->session_token, "to/ken==");
	assert_int_equal(keys->expires_s, 0);
}

static void a_session_that_is_not_whole_is_named(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"", "there is no section [default]"},
		{"aws_access_key_id = " MARK "\n", "there is no section [default]"},
		{"[default]\naws_secret_access_key = " MARK "\n", "'aws_access_key_id' is missing"},
		{"[default]\naws_access_key_id = " MARK "\n", "'aws_secret_access_key' is missing"},
		{"[default]\naws_access_key_id = " MARK "\naws_secret_access_key =\n",
		 "'aws_secret_access_key' is missing"},
		{"[default]\naws_access_key_id = a\naws_secret_access_key = b " MARK "\n",
		 "holds a blank"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct aws_credentials *keys = NULL;
		struct error err = {0};
		assert_true(session(cases[i].text, &keys, &err) < 0);
		if (!strstr(err.text, cases[i].says))
			fail_msg("%s: %s", cases[i].says, err.text);
		assert_null(strstr(err.text, MARK));
	}
	struct aws_credentials *keys = NULL;
	struct error err = {0};
	assert_int_equal(aws_session_parse("creds", "[default]\0x", 11, "default", &keys, &err),
			 ERR_FORMAT);
}

static void a_roles_credentials_have_an_end(void **state)
{
	static const char good[] =
		"{\"Code\":\"Success\",\"Type\":\"AWS-HMAC\",\"AccessKeyId\":\"ASIA2\","
		"\"SecretAccessKey\":\"sec\",\"Token\":\"tok\","
		"\"Expiration\":\"2026-11-21T22:00:00Z\"}";
	auto_aws_keys struct aws_credentials *keys = NULL;
	struct error err = {0};
	if (aws_role_parse(good, strlen(good), &keys, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(keys->access_key_id, "ASIA2");
	assert_string_equal(keys->session_token, "tok");
	assert_int_equal(keys->expires_s, 1795298400);

	static const char *const bad[] = {
		"",
		"<html>" MARK "</html>",
		"{\"SecretAccessKey\":\"" MARK "\"",
		"[\"" MARK "\"]",
		"{\"Code\":\"AssumeRoleUnauthorizedAccess\",\"SecretAccessKey\":\"" MARK "\"}",
		"{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"" MARK "\",\"Token\":\"t\"}",
		"{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"" MARK "\",\"Token\":\"t\","
		"\"Expiration\":\"" MARK "\"}",
		"{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"" MARK "\",\"Token\":7,"
		"\"Expiration\":\"2026-11-21T22:00:00Z\"}",
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct aws_credentials *none = NULL;
		assert_true(aws_role_parse(bad[i], strlen(bad[i]), &none, &err) < 0);
		assert_null(none);
		assert_null(strstr(err.text, MARK));
	}
}

#define DOCUMENT \
	"{\"region\":\"cn-north-1\",\"accountId\":\"111122223333\",\"instanceId\":\"i-0abc\"}"

static void an_instance_is_who_its_document_says(void **state)
{
	static const struct {
		struct aws_instance instance;
		const char *arn, *region, *suffix;
	} cases[] = {
		{{.document = DOCUMENT, .partition = "aws-cn"},
		 "arn:aws-cn:ec2:cn-north-1:111122223333:instance/i-0abc",
		 "cn-north-1",
		 NULL},
		{{.document = DOCUMENT},
		 "arn:aws-cn:ec2:cn-north-1:111122223333:instance/i-0abc",
		 "cn-north-1",
		 NULL},
		{{.document = DOCUMENT, .partition = "<html>", .domain = "evil.example"},
		 "arn:aws-cn:ec2:cn-north-1:111122223333:instance/i-0abc",
		 "cn-north-1",
		 NULL},
		{{.document = DOCUMENT, .partition = "aws-moon", .domain = "aws.moon"},
		 "arn:aws-moon:ec2:cn-north-1:111122223333:instance/i-0abc",
		 "cn-north-1",
		 "aws.moon"},
		{{.document = DOCUMENT, .partition = "aws-moon", .domain = "evil/x@y"},
		 "arn:aws-moon:ec2:cn-north-1:111122223333:instance/i-0abc",
		 "cn-north-1",
		 NULL},
		{{.document = DOCUMENT, .partition = "aws", .region = "us-east-1"},
		 "arn:aws:ec2:us-east-1:111122223333:instance/i-0abc",
		 "us-east-1",
		 NULL},
		{{.region = "us-east-1", .host_identifier = USER}, USER, "us-east-1", NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_aws_identity struct aws_identity *who = NULL;
		struct error err = {0};
		if (aws_instance_parse(&cases[i].instance, &who, &err) < 0)
			fail_msg("%s", err.text);
		assert_string_equal(who->host_identifier, cases[i].arn);
		assert_string_equal(who->region, cases[i].region);
		assert_true(str_eq(who->suffix, cases[i].suffix));
		assert_int_equal(who->source, AWS_ROLE);
	}
}

static void a_document_that_makes_no_sense_is_no_identity(void **state)
{
	static const char *const bad[] = {
		"",
		"[]",
		"{}",
		"{\"region\":\"us-east-1\",\"accountId\":\"x\",\"instanceId\":\"i-0abc\"}",
		"{\"region\":\"us-east-1\",\"accountId\":\"1\",\"instanceId\":\"i/../x\"}",
		"{\"region\":\"evil.example/\",\"accountId\":\"1\",\"instanceId\":\"i-0\"}",
		"{\"region\":7,\"accountId\":\"1\",\"instanceId\":\"i-0\"}",
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct aws_identity *who = NULL;
		struct error err = {0};
		const struct aws_instance instance = {.document = bad[i]};
		assert_true(aws_instance_parse(&instance, &who, &err) < 0);
		assert_null(who);
	}
}

static void a_file_tells_when_it_has_changed(void **state)
{
	struct tempdir *dir = *state;
	struct aws_keys_stamp stamp;
	struct error err = {0};
	auto_free char *path = xasprintf("%s/f", dir->path);
	auto_free char *link = xasprintf("%s/link", dir->path);
	auto_secret char *text = NULL, *other = NULL;
	size_t len = 0;
	assert_int_equal(aws_keys_read(path, &text, &len, &stamp, &err), -ENOENT);
	tempdir_write(dir, "f", "one");
	assert_int_equal(symlink("f", link), 0);
	assert_int_equal(aws_keys_read(link, &text, &len, &stamp, &err), 0);
	assert_string_equal(text, "one");
	assert_false(aws_keys_changed(path, &stamp));
	tempdir_write(dir, "new", "two");
	assert_int_equal(renameat(dir->fd, "new", dir->fd, "f"), 0);
	assert_true(aws_keys_changed(path, &stamp));
	assert_int_equal(mkfifoat(dir->fd, "fifo", 0600), 0);
	auto_free char *fifo = xasprintf("%s/fifo", dir->path);
	assert_int_equal(aws_keys_read(fifo, &other, &len, &stamp, &err), -EINVAL);
	assert_int_equal(unlinkat(dir->fd, "f", 0), 0);
	assert_false(aws_keys_changed(path, &stamp));
}

static void faults_are_told_apart_by_what_helps(void **state)
{
	assert_int_equal(aws_fault_of("ExpiredTokenException"), AWS_FAULT_EXPIRED);
	assert_int_equal(aws_fault_of("UnrecognizedClientException"), AWS_FAULT_EXPIRED);
	assert_int_equal(aws_fault_of("InvalidSignatureException"), AWS_FAULT_SKEW);
	assert_int_equal(aws_fault_of("RequestTimeTooSkewed"), AWS_FAULT_SKEW);
	assert_int_equal(aws_fault_of("AccessDeniedException"), AWS_FAULT_OTHER);
	assert_int_equal(aws_fault_of("HTTP 400"), AWS_FAULT_OTHER);
}

/* The same signature as the verifying side of common/sigv4 makes it: of a request as it is sent. */
static void a_signed_request_is_accepted(void **state)
{
	auto_aws_keys struct aws_credentials *keys = NULL;
	auto_aws_signed struct aws_signed ours = {0};
	struct error err = {0};
	assert_int_equal(aws_keys_new("AKIA1", "secret", "token", 0, &keys, &err), 0);
	const struct aws_order order = {
		.credentials = keys,
		.region = "eu-west-1",
		.service = "codedeploy-commands",
		.now_s = 1795298400,
		.url = "https://commands.example:8443",
		.target = "CodeDeployCommandService_v20141006.PollHostCommand",
		.version = "2.1.0",
		.body = "{}",
	};
	assert_int_equal(aws_sign(&order, &ours, &err), 0);
	struct sigv4_header headers[AWS_SIGNED_HEADERS];
	for (unsigned i = 0; i < ours.count; i++)
		headers[i] = (struct sigv4_header){ours.headers[i].name, ours.headers[i].value};
	const struct sigv4_request request = {
		.method = "POST",
		.path = "/",
		.headers = headers,
		.n_headers = ours.count,
		.payload_hash = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
	};
	struct sigv4_auth auth;
	assert_string_equal(ours.headers[ours.count - 1].name, "Authorization");
	assert_int_equal(sigv4_parse(ours.headers[ours.count - 1].value, &auth, &err), 0);
	assert_string_equal(auth.signed_headers,
			    "content-type;host;x-amz-codedeploy-agent-version;x-amz-content-sha256;"
			    "x-amz-date;x-amz-security-token;x-amz-target");
	assert_string_equal(auth.region, "eu-west-1");
	assert_int_equal(sigv4_verify(&request, &auth, "secret", &err), 0);
	assert_int_equal(sigv4_verify(&request, &auth, "other", &err), ERR_SIGNATURE);
	assert_string_equal(headers[1].value, "commands.example:8443");
}

static void count_warnings(int level, const char *text, void *arg)
{
	unsigned *count = arg;
	*count += level == LOG_WARNING && strstr(text, "2 of its files are passed over");
}

static unsigned count_of(const char *text, const char *what)
{
	unsigned n = 0;
	for (; (text = strstr(text, what)); text++)
		n++;
	return n;
}

static void a_directory_of_certificates_is_read_as_openssl_has_it(void **state)
{
	const struct tempdir *dir = *state;
	const struct settings settings = {0};
	struct http_options options = {0};
	auto_free char *text = NULL, *again = NULL;
	unsigned warnings = 0;
	struct error err = {0};
	tempdir_write(dir, "README", "-----BEGIN README");
	tempdir_write(dir, "crl.r0", "-----BEGIN CRL");
	setenv("AWS_SSL_CA_DIRECTORY", dir->path, 1);
	assert_int_equal(aws_trust(&settings, &options, &text, &err), -ENOENT);
	tempdir_write(dir, "a.pem", "-----BEGIN A");
	tempdir_write(dir, "b.crt", "-----BEGIN B");
	tempdir_write(dir, "c.cer", "-----BEGIN C");
	tempdir_write(dir, "0123abcd.0", "-----BEGIN D");
	tempdir_write(dir, "der.cer", "0\x82");
	assert_int_equal(symlinkat("a.pem", dir->fd, "4a6481c9.12"), 0);
	assert_int_equal(symlinkat("gone.pem", dir->fd, "dangling.pem"), 0);
	log_to_sink(count_warnings, &warnings);
	int r = aws_trust(&settings, &options, &again, &err);
	log_to_sink(NULL, NULL);
	unsetenv("AWS_SSL_CA_DIRECTORY");
	if (r < 0)
		fail_msg("%s", err.text);
	assert_ptr_equal(options.ca_pem, again);
	assert_int_equal(count_of(again, "-----BEGIN "), 4);
	assert_int_equal(count_of(again, "-----BEGIN A"), 1);
	assert_int_equal(count_of(again, "-----BEGIN README"), 0);
	assert_int_equal(warnings, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_user_is_read_with_and_without_colons),
		cmocka_unit_test(a_session_names_its_file),
		cmocka_unit_test(a_file_without_an_identity_is_ignored),
		cmocka_unit_test(what_is_wrong_with_a_file_is_named_without_its_secrets),
		cmocka_unit_test(a_session_is_read_from_its_section),
		cmocka_unit_test(a_session_that_is_not_whole_is_named),
		cmocka_unit_test(a_roles_credentials_have_an_end),
		cmocka_unit_test(an_instance_is_who_its_document_says),
		cmocka_unit_test(a_document_that_makes_no_sense_is_no_identity),
		tempdir_test(a_file_tells_when_it_has_changed),
		tempdir_test(a_directory_of_certificates_is_read_as_openssl_has_it),
		cmocka_unit_test(faults_are_told_apart_by_what_helps),
		cmocka_unit_test(a_signed_request_is_accepted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
