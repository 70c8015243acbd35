// SPDX-License-Identifier: Apache-2.0
#include "agent/proxies.h"
#include "common/http-proxy.h"
#include "common/http.h"
#include "common/tunnel.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

static const char *const variables[] = {"http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY",
					"all_proxy",  "ALL_PROXY",  "no_proxy",    "NO_PROXY"};

static int without_environment(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(variables); i++)
		unsetenv(variables[i]);
	return 0;
}

static struct proxy_choice choose(const char *uri, const char *no_proxy, const char *url)
{
	const struct proxy_rules rules = {uri, no_proxy};
	struct proxy_choice choice;
	proxy_choose(&rules, url, &choice);
	return choice;
}

static void exceptions_are_names_addresses_and_networks(void **state)
{
	static const struct {
		const char *list, *host;
		bool excepted;
	} rows[] = {
		{"example.com", "example.com", true},
		{"example.com", "EXAMPLE.com.", true},
		{"example.com", "s3.example.com", true},
		{".example.com", "s3.example.com", true},
		{".example.com", "example.com", true},
		{"example.com", "notexample.com", false},
		{"example.com", "example.com.evil.org", false},
		{"a.org, example.com", "example.com", true},
		{"a.org example.com", "example.com", true},
		{"*", "anything", true},
		{"", "example.com", false},
		{",,", "example.com", false},
		{".", "example.com", false},
		{"10.1.2.3", "10.1.2.3", true},
		{"10.1.2.3", "10.1.2.30", false},
		{"2.3", "10.1.2.3", false},
		{"10.0.0.0/8", "10.255.0.1", true},
		{"10.0.0.0/8", "11.0.0.1", false},
		{"10.0.0.0/12", "10.15.0.1", true},
		{"10.0.0.0/12", "10.16.0.1", false},
		{"0.0.0.0/0", "10.16.0.1", true},
		{"10.0.0.0/33", "10.0.0.0", false},
		{"10.0.0.0/x", "10.0.0.0", false},
		{"10.0.0.0/8", "10.example.com", false},
		{"::1", "[::1]", true},
		{"[::1]", "::1", true},
		{"fd00::/8", "[fd12::1]", true},
		{"fd00::/8", "[fe80::1]", false},
		{"10.0.0.0/8", "[::1]", false},
		{NULL, "example.com", false},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char except[64] = "";
		bool excepted = proxy_excepts(rows[i].list, rows[i].host, except, sizeof(except));
		if (excepted != rows[i].excepted)
			fail_msg("'%s' for '%s' is %d", rows[i].list ? rows[i].list : "NULL",
				 rows[i].host, excepted);
		assert_int_equal(excepted, *except != '\0');
	}
}

static void a_key_counts_and_the_environment_does_not(void **state)
{
	setenv("https_proxy", "http://env:1", 1);
	setenv("no_proxy", "a.example.com", 1);
	struct proxy_choice c = choose("http://key:2", NULL, "https://a.example.com/x");
	assert_string_equal(c.uri, "http://key:2");
	assert_null(c.variable);
	c = choose("http://key:2", "a.example.com", "https://a.example.com:444/x");
	assert_null(c.uri);
	assert_string_equal(c.except, "a.example.com");
}

static void without_a_key_the_environment_counts(void **state)
{
	setenv("HTTPS_PROXY", "http://env:1", 1);
	setenv("NO_PROXY", "a.example.com", 1);
	struct proxy_choice c = choose(NULL, NULL, "https://b.example.com/");
	assert_string_equal(c.uri, "http://env:1");
	assert_string_equal(c.variable, "HTTPS_PROXY");
	setenv("https_proxy", "http://lower:1", 1);
	assert_string_equal(choose(NULL, NULL, "https://b.example.com/").uri, "http://lower:1");
	c = choose(NULL, NULL, "https://a.example.com/");
	assert_null(c.uri);
	assert_string_equal(c.except, "a.example.com");
	assert_null(choose(NULL, "b.example.com", "https://b.example.com/").uri);
}

static void plain_http_has_its_own_variable_in_small_letters(void **state)
{
	setenv("HTTP_PROXY", "http://cgi:1", 1);
	setenv("https_proxy", "http://env:1", 1);
	assert_null(choose(NULL, NULL, "http://b.example.com/").uri);
	setenv("http_proxy", "http://plain:1", 1);
	assert_string_equal(choose(NULL, NULL, "http://b.example.com/").uri, "http://plain:1");
}

static void an_empty_proxy_is_none_whatever_the_environment_says(void **state)
{
	for (size_t i = 0; i < 6; i++)
		setenv(variables[i], "http://env:1", 1);
	assert_null(choose("", NULL, "http://169.254.169.254/latest").uri);
}

static void credentials_and_brackets_are_not_the_host(void **state)
{
	assert_null(choose("http://key:2", "b.org", "https://a.org:x@b.org:8443/?q").uri);
	assert_null(choose("http://key:2", "::1", "https://[::1]:8443").uri);
	assert_non_null(choose("http://key:2", "a.org", "https://a.org@b.org/").uri);
}

static void each_use_has_its_own_key_before_the_common_one(void **state)
{
	struct settings settings = {.proxy_uri = "http://all:1", .proxy_uri_s3 = "http://s3:1"};
	struct http_options options = {0};
	assert_string_equal(proxies_key(&settings, PROXIES_COMMANDS), "proxy_uri");
	assert_string_equal(proxies_key(&settings, PROXIES_S3), "proxy_uri_s3");
	proxies_set(&settings, PROXIES_S3, &options);
	assert_string_equal(options.proxy, "http://s3:1");
	proxies_set(&settings, PROXIES_GITHUB, &options);
	assert_string_equal(options.proxy, "http://all:1");
	assert_false(proxies_have_password(&settings));
	settings.proxy_uri_github = "http://u:p@gh:1";
	assert_true(proxies_have_password(&settings));
	settings.proxy_uri_github = "http://u:p/w@gh:1";
	assert_true(proxies_have_password(&settings));
	settings = (struct settings){0};
	assert_null(proxies_key(&settings, PROXIES_COMMANDS));
}

/* libcurl's own words quote the whole address. */
static void an_address_that_is_none_is_refused_without_its_password(void **state)
{
	static const char *const good[] = {
		"proxy.example:3128", "http://proxy.example:3128/",
		"http://u:p%2Fw@p:1", "socks5h://u:p@[fd00::1]:1080",
		"HTTP://u@p",
	};
	static const char *const bad[] = {
		"http://deploy:s3cr3t/pw@proxy.example:3128",
		"http://deploy:3128/s3cr3t@proxy.example:3128",
		"http://deploy:s3@cr3t@proxy.example:3128",
		"http://deploy:s3cr3t#1@proxy.example:3128",
		"deploy:s3cr3t/@proxy.example",
		"http://deploy:s3cr3t @proxy.example:3128",
		"http://deploy:s3cr3t%0a@proxy.example:3128",
		"ftp://deploy:s3cr3t@proxy.example:3128",
	};
	struct proxy_choice choice = {0};
	struct error err = {0};
	assert_int_equal(http_proxy_check(&choice, &err), 0);
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		choice.uri = good[i];
		if (http_proxy_check(&choice, &err) < 0)
			fail_msg("%s: %s", good[i], err.text);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		choice.uri = bad[i];
		if (http_proxy_check(&choice, &err) != ERR_INPUT)
			fail_msg("%s is taken", bad[i]);
		assert_null(strstr(err.text, "cr3t"));
		assert_null(strstr(err.text, "example"));
	}
	choice.variable = "https_proxy";
	assert_int_equal(http_proxy_check(&choice, &err), ERR_INPUT);
	assert_non_null(strstr(err.text, "'https_proxy'"));
}

static void no_request_quotes_a_proxys_password(void **state)
{
	const char *const uri = "http://deploy:s3cr3t/pw@proxy.example:3128";
	const struct http_options options = {.proxy = uri};
	const struct http_request request = {.method = "GET", .url = "https://127.0.0.1:9/"};
	const struct proxy_rules rules = {.uri = uri};
	auto_http_client struct http_client *client = NULL;
	auto_http_response struct http_response response = {0};
	struct error err = {0}, of_tunnel = {0};
	int status;
	assert_int_equal(http_client_new(NULL, &options, &client, &err), 0);
	assert_int_equal(http_perform(client, &request, &response, &err), ERR_INPUT);
	assert_null(strstr(err.text, "s3cr3t"));
	assert_int_equal(tunnel_open("127.0.0.1", "9", &rules, 1000, &status, &of_tunnel),
			 ERR_INPUT);
	assert_string_equal(of_tunnel.text, err.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exceptions_are_names_addresses_and_networks),
		cmocka_unit_test_setup(a_key_counts_and_the_environment_does_not,
				       without_environment),
		cmocka_unit_test_setup(without_a_key_the_environment_counts, without_environment),
		cmocka_unit_test_setup(plain_http_has_its_own_variable_in_small_letters,
				       without_environment),
		cmocka_unit_test_setup(an_empty_proxy_is_none_whatever_the_environment_says,
				       without_environment),
		cmocka_unit_test_setup(credentials_and_brackets_are_not_the_host,
				       without_environment),
		cmocka_unit_test(an_address_that_is_none_is_refused_without_its_password),
		cmocka_unit_test(no_request_quotes_a_proxys_password),
		cmocka_unit_test_setup(each_use_has_its_own_key_before_the_common_one,
				       without_environment),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
