// SPDX-License-Identifier: Apache-2.0
/* The client and its blocking form. One request is in http-transfer.c, the form on the loop in
 * http-loop.c. */
#include "common/http.h"

#include "common/alloc.h"
#include "common/fs.h"
#include "common/http-loop.h"
#include "common/http-transfer.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct http_pool *http_pool_new(struct http_client *client, struct error *err)
{
	struct http_pool *pool = xcalloc(1, sizeof(*pool));
	pool->client = client;
	pool->share = curl_share_init();
	if (!pool->share) {
		free(pool);
		error_set(err, -ENOMEM, "no memory for HTTP");
		return NULL;
	}
	curl_share_setopt(pool->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
	curl_share_setopt(pool->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
	return pool;
}

void http_pool_free(struct http_pool *pool)
{
	if (!pool)
		return;
	if (pool->easy)
		curl_easy_cleanup(pool->easy);
	if (pool->multi)
		curl_multi_cleanup(pool->multi); /* calls the socket callback for each connection */
	loop_source_unref_at(&pool->timer);
	curl_share_cleanup(pool->share);
	free(pool);
}

/* libcurl takes a CA as text only from 7.77 on. */
static int hold_ca(struct http_client *client, const char *pem, struct error *err)
{
	client->ca_fd = memfd_create("slipway-ca", MFD_CLOEXEC);
	if (client->ca_fd < 0)
		return error_errno(err, "hold the CA in memory");
	int r = fs_write_all(client->ca_fd, pem, strlen(pem));
	if (r < 0)
		return error_set(err, r, "hold the CA in memory: %s", strerror(-r));
	client->options.ca_file = xasprintf("/proc/self/fd/%d", client->ca_fd);
	return 0;
}

/* libcurl opens them for each connection, and would wait for ever where one is a FIFO. */
static int check_files(const struct http_options *options, struct error *err)
{
	const char *const files[] = {options->ca_pem ? NULL : options->ca_file, options->cert_file,
				     options->key_file};
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		struct stat st;
		if (!files[i] || stat(files[i], &st) < 0)
			continue; /* what is missing is told by the request */
		if (!S_ISREG(st.st_mode))
			return error_set(err, -EINVAL, "'%s' is not a regular file", files[i]);
	}
	return 0;
}

int http_client_new(struct loop *loop, const struct http_options *options, struct http_client **ret,
		    struct error *err)
{
	int r = check_files(options, err);
	if (r < 0)
		return r;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return error_set(err, -ENOMEM, "libcurl does not start");
	struct http_client *client = xcalloc(1, sizeof(*client));
	client->loop = loop;
	client->ca_fd = -1;
	client->options = (struct http_options){
		.ca_file = options->ca_pem ? NULL : xstrdup_null(options->ca_file),
		.cert_file = xstrdup_null(options->cert_file),
		.key_file = xstrdup_null(options->key_file),
		.proxy = xstrdup_null(options->proxy),
		.no_proxy = xstrdup_null(options->no_proxy),
		.user_agent = xstrdup_null(options->user_agent),
		.allow_http = options->allow_http,
		.connect_timeout_ms = options->connect_timeout_ms,
	};
	r = options->ca_pem ? hold_ca(client, options->ca_pem, err) : 0;
	client->pool = r < 0 ? NULL : http_pool_new(client, err);
	if (!client->pool) {
		http_client_free(client);
		return r < 0 ? r : -ENOMEM;
	}
	*ret = client;
	return 0;
}

void http_client_free(struct http_client *client)
{
	if (!client)
		return;
	http_loop_clear(client);
	http_pool_free(client->pool);
	fs_close_quiet(client->ca_fd);
	free((char *)client->options.ca_file);
	free((char *)client->options.cert_file);
	free((char *)client->options.key_file);
	free((char *)client->options.proxy);
	free((char *)client->options.no_proxy);
	free((char *)client->options.user_agent);
	free(client);
	curl_global_cleanup();
}

void http_client_reload(struct http_client *client)
{
	struct http_pool *fresh = http_pool_new(client, NULL);
	if (!fresh)
		return;
	struct http_pool *old = client->pool;
	client->pool = fresh;
	old->retired = true;
	if (old->calls == 0)
		http_pool_free(old);
}

int http_perform(struct http_client *client, const struct http_request *request,
		 struct http_response *response, struct error *err)
{
	struct http_pool *pool = client->pool;
	*response = (struct http_response){0};
	if (!pool->easy)
		pool->easy = curl_easy_init();
	if (!pool->easy)
		return response->code = error_set(err, -ENOMEM, "no memory for HTTP");
	struct http_transfer t;
	int r = http_transfer_setup(&t, pool, pool->easy, request, response, err);
	if (r < 0)
		return response->code = r;
	http_transfer_finish(&t, curl_easy_perform(pool->easy));
	curl_easy_reset(pool->easy); /* keeps its connections, forgets our pointers */
	http_transfer_clear(&t);
	if (response->code < 0 && err)
		*err = response->error;
	return response->code;
}
