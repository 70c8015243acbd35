// SPDX-License-Identifier: Apache-2.0
#include "agent/fetch/source.h"

#include "common/alloc.h"
#include "common/json.h"
#include "common/str.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define SHA256_HEX_LEN 64
#define GITHUB_WEB "https://github.com/"

static const struct {
	const char *suffix, *type;
} types[] = {
	{".tar", "tar"},         {".tgz", "tgz"}, {".tar.gz", "tgz"},
	{".tar.zst", "tar.zst"}, {".zip", "zip"},
};

void fetch_source_clear(struct fetch_source *source)
{
	char *const texts[] = {source->name,    source->type,       source->bucket, source->key,
			       source->version, source->etag,       source->url,    source->sha256,
			       source->account, source->repository, source->commit};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		free(texts[i]);
	if (source->token)
		explicit_bzero(source->token, strlen(source->token));
	free(source->token);
	*source = (struct fetch_source){0};
}

static void take(struct fetch_source *source, struct fetch_source *ret)
{
	*ret = *source;
	*source = (struct fetch_source){0};
}

/* One that was said before stays. */
static int type_of_path(const char *path, size_t len, char **ret, struct error *err)
{
	if (*ret)
		return 0;
	auto_free char *end = xstrndup(path, len);
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (str_ends(end, types[i].suffix)) {
			*ret = xstrdup(types[i].type);
			return 0;
		}
	}
	return error_set(err, ERR_INPUT,
			 "'%.200s' does not end with .tar, .tgz, .tar.gz, .tar.zst or .zip: say "
			 "what it is with --type",
			 end);
}

/* Specifications */

static int from_s3(struct fetch_source *source, const json_t *revision, const char *token,
		   struct error *err)
{
	json_t *s3 = NULL;
	const char *bucket = NULL, *key = NULL, *type = NULL, *version = NULL, *etag = NULL;
	int r;
	if ((r = json_need_obj(revision, "S3Revision", &s3, err)) < 0 ||
	    (r = json_need_str(s3, "Bucket", &bucket, err)) < 0 ||
	    (r = json_need_str(s3, "Key", &key, err)) < 0 ||
	    (r = json_need_str(s3, "BundleType", &type, err)) < 0 ||
	    (r = json_opt_str(s3, "Version", &version, err)) < 0 ||
	    (r = json_opt_str(s3, "ETag", &etag, err)) < 0)
		return r;
	source->kind = FETCH_S3;
	source->name = xasprintf("s3://%s/%s", bucket, key);
	source->type = xstrdup(type);
	source->bucket = xstrdup(bucket);
	source->key = xstrdup(key);
	source->version = str_empty(version) ? NULL : xstrdup(version);
	source->etag = str_empty(etag) ? NULL : xstrdup(etag);
	return 0;
}

/* The official agent knows a tarball and a zipball, and takes no other type. */
static int from_github(struct fetch_source *source, const json_t *revision, const char *token,
		       struct error *err)
{
	json_t *place = NULL;
	const char *account = NULL, *repository = NULL, *commit = NULL, *type = "tar";
	int r;
	if ((r = json_need_obj(revision, "GitHubRevision", &place, err)) < 0 ||
	    (r = json_need_str(place, "Account", &account, err)) < 0 ||
	    (r = json_need_str(place, "Repository", &repository, err)) < 0 ||
	    (r = json_need_str(place, "CommitId", &commit, err)) < 0 ||
	    (r = json_opt_str(place, "BundleType", &type, err)) < 0)
		return r;
	if (!str_eq(type, "tar") && !str_eq(type, "zip"))
		return error_set(err, ERR_INPUT,
				 "GitHub gives archives of the types tar and zip, not '%.40s'",
				 type);
	source->kind = FETCH_GITHUB;
	source->name = xasprintf("github:%s/%s@%s", account, repository, commit);
	source->type = xstrdup(type);
	source->account = xstrdup(account);
	source->repository = xstrdup(repository);
	source->commit = xstrdup(commit);
	source->token = str_empty(token) ? NULL : xstrdup(token);
	return 0;
}

int fetch_source_from_revision(const json_t *revision, const char *token, struct fetch_source *ret,
			       struct error *err)
{
	static const struct {
		const char *type;
		int (*read)(struct fetch_source *source, const json_t *revision, const char *token,
			    struct error *err);
	} readers[] = {{"S3", from_s3}, {"GitHub", from_github}};
	auto_fetch_source struct fetch_source source = {0};
	const char *type = NULL;
	int r = json_need_str(revision, "RevisionType", &type, err);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(readers); i++) {
		if (!str_eq(readers[i].type, type))
			continue;
		r = readers[i].read(&source, revision, token, err);
		if (r == 0)
			take(&source, ret);
		return r < 0 ? error_prefix(err, r, "revision") : 0;
	}
	if (r < 0)
		return error_prefix(err, r, "revision");
	return error_set(err, ERR_INPUT,
			 "revisions of the type '%.40s' cannot be fetched by this agent; push the "
			 "bundle to a store and deploy it from there (type 'S3')",
			 type);
}

/* Command lines */

/* Of "?versionId=V&etag=E" at the end of an s3:// address. Anything else belongs to the key. */
static bool take_s3_query(struct fetch_source *source, const char *query)
{
	char **parts = str_split(query, '&');
	auto_free char *version = NULL, *etag = NULL;
	bool known = true;
	for (char **part = parts; *part; part++) {
		if (str_starts(*part, "versionId=") && !version)
			version = xstrdup(*part + strlen("versionId="));
		else if (str_starts(*part, "etag=") && !etag)
			etag = xstrdup(*part + strlen("etag="));
		else
			known = false;
	}
	str_list_free(parts);
	if (!known)
		return false;
	source->version = str_empty(version) ? NULL : TAKE(version);
	source->etag = str_empty(etag) ? NULL : TAKE(etag);
	return true;
}

static int parse_s3(const char *text, struct fetch_source *source, struct error *err)
{
	const char *bucket = text + strlen("s3://");
	size_t bucket_len = strcspn(bucket, "/");
	const char *key = bucket + bucket_len + (bucket[bucket_len] == '/');
	if (bucket_len == 0 || !*key)
		return error_set(err, ERR_INPUT, "'%.200s': an S3 object is s3://BUCKET/KEY", text);
	const char *query = strrchr(key, '?');
	size_t key_len =
		query && take_s3_query(source, query + 1) ? (size_t)(query - key) : strlen(key);
	source->kind = FETCH_S3;
	source->bucket = xstrndup(bucket, bucket_len);
	source->key = xstrndup(key, key_len);
	source->name = xasprintf("s3://%s/%s", source->bucket, source->key);
	return type_of_path(source->key, key_len, &source->type, err);
}

/* "owner/repo" with what follows it, for either form. */
static int set_github(struct fetch_source *source, const char *text, const char *path, size_t len,
		      const char *ref, struct error *err)
{
	const char *slash = memchr(path, '/', len);
	size_t account = slash ? (size_t)(slash - path) : 0;
	size_t repository = slash ? len - account - 1 : 0;
	if (repository > 4 && strncmp(path + len - 4, ".git", 4) == 0)
		repository -= 4;
	if (account == 0 || repository == 0 || memchr(slash + 1, '/', repository) || !*ref)
		return error_set(err, ERR_INPUT,
				 "'%.200s': a revision on GitHub is github:OWNER/REPOSITORY@REF",
				 text);
	source->kind = FETCH_GITHUB;
	source->account = xstrndup(path, account);
	source->repository = xstrndup(slash + 1, repository);
	source->commit = xstrdup(ref);
	if (source->type && !str_eq(source->type, "tar") && !str_eq(source->type, "zip"))
		return error_set(err, ERR_INPUT, "GitHub gives archives of the types tar and zip");
	if (!source->type)
		source->type = xstrdup("tar");
	source->name = xasprintf("github:%s/%s@%s", source->account, source->repository, ref);
	return 0;
}

static int parse_github(const char *text, struct fetch_source *source, struct error *err)
{
	const char *path = text + strlen("github:");
	const char *at = strchr(path, '@');
	size_t len = at ? (size_t)(at - path) : strlen(path);
	return set_github(source, text, path, len, at ? at + 1 : "HEAD", err);
}

/* What a person copies from the browser. Returns false for what is a file there (a release's). */
static bool github_ref(const char *rest, char **ret)
{
	static const char *const pages[] = {"tree/", "commit/", "archive/"};
	static const char *const suffixes[] = {".tar.gz", ".zip"};
	if (!*rest) {
		*ret = xstrdup("HEAD");
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
		if (!str_starts(rest, pages[i]))
			continue;
		auto_free char *ref = xstrdup(rest + strlen(pages[i]));
		for (size_t s = 0; s < ARRAY_LEN(suffixes); s++)
			if (str_eq(pages[i], "archive/") && str_ends(ref, suffixes[s]))
				ref[strlen(ref) - strlen(suffixes[s])] = '\0';
		*ret = TAKE(ref);
		return true;
	}
	return false;
}

static int parse_https(const char *text, struct fetch_source *source, struct error *err)
{
	const char *fragment = strchr(text, '#');
	size_t len = fragment ? (size_t)(fragment - text) : strlen(text);
	if (str_starts(text, GITHUB_WEB) && !fragment) {
		const char *path = text + strlen(GITHUB_WEB);
		size_t account = strcspn(path, "/");
		size_t both = account + (path[account] == '/');
		both += strcspn(path + both, "/?");
		auto_free char *ref = NULL;
		if (github_ref(path + both + (path[both] == '/'), &ref))
			return set_github(source, text, path, both, ref, err);
	}
	if (strcspn(text + strlen("https://"), "/?#") == 0 || memchr(text, '@', len))
		return error_set(err, ERR_INPUT,
				 "'%.200s' has no host name, or a user in it: neither can be used",
				 text);
	if (fragment) {
		if (!str_starts(fragment, "#sha256="))
			return error_set(err, ERR_INPUT,
					 "'%.200s': all that may follow '#' is sha256=HEX", text);
		source->sha256 = xstrdup(fragment + strlen("#sha256="));
	}
	source->kind = FETCH_HTTPS;
	source->url = xstrndup(text, len);
	size_t path_len = strcspn(source->url, "?");
	/* what follows '?' may be a signature */
	source->name = xstrndup(source->url, path_len);
	return type_of_path(source->url, path_len, &source->type, err);
}

static int refuse_http(const char *text, struct fetch_source *source, struct error *err)
{
	return error_set(err, ERR_INPUT, "http:// is refused, use https://");
}

static int check_sha256(const struct fetch_source *source, struct error *err)
{
	const char *hex = source->sha256;
	if (!hex ||
	    (strlen(hex) == SHA256_HEX_LEN && strspn(hex, "0123456789abcdef") == SHA256_HEX_LEN))
		return 0;
	return error_set(err, ERR_INPUT, "a SHA-256 has 64 digits of 0-9a-f, not '%.80s'", hex);
}

int fetch_source_parse(const char *text, const char *type, struct fetch_source *ret,
		       struct error *err)
{
	static const struct {
		const char *scheme;
		int (*parse)(const char *text, struct fetch_source *source, struct error *err);
	} schemes[] = {{"s3://", parse_s3},
		       {"github:", parse_github},
		       {"https://", parse_https},
		       {"http://", refuse_http}};
	auto_fetch_source struct fetch_source source = {.type = xstrdup_null(type)};
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		if (!str_starts(text, schemes[i].scheme))
			continue;
		int r = schemes[i].parse(text, &source, err);
		if (r == 0)
			r = check_sha256(&source, err);
		if (r == 0)
			take(&source, ret);
		return r;
	}
	return error_set(err, ERR_INPUT, "'%.200s' is no address of a revision", text);
}

/* Addresses */

static char *with_version(char *url, const char *version)
{
	auto_free char *owned = url;
	if (!version)
		return TAKE(owned);
	auto_free char *v = str_uri_encode(version, strlen(version), false);
	return xasprintf("%s?versionId=%s", owned, v);
}

static char *path_style_url(const struct fetch_source *source, const char *base)
{
	auto_free char *b = str_uri_encode(source->bucket, strlen(source->bucket), false);
	auto_free char *k = str_uri_encode(source->key, strlen(source->key), true);
	size_t len = strlen(base);
	while (len > 0 && base[len - 1] == '/')
		len--;
	return with_version(xasprintf("%.*s/%s/%s", (int)len, base, b, k), source->version);
}

char *fetch_store_url(const struct fetch_source *source, const char *endpoint)
{
	return path_style_url(source, endpoint);
}

static bool is_ip(const char *url)
{
	auto_free char *host = NULL, *path = NULL, *query = NULL;
	unsigned char address[16];
	fetch_url_split(url, &host, &path, &query);
	if (*host == '[')
		return true;
	host[strcspn(host, ":")] = '\0';
	return inet_pton(AF_INET, host, address) == 1;
}

/* Only such a bucket can be part of a host name that a certificate for *.s3... covers. */
static bool fits_host_name(const char *bucket)
{
	size_t len = strlen(bucket);
	return len >= 3 && len <= 63 &&
	       strspn(bucket, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

char *fetch_s3_url(const struct fetch_source *source, const char *base, bool path_style)
{
	if (path_style || is_ip(base) || !fits_host_name(source->bucket))
		return path_style_url(source, base);
	size_t len = strlen(base);
	while (len > 0 && base[len - 1] == '/')
		len--;
	size_t scheme = (size_t)(strstr(base, "://") - base) + 3;
	auto_free char *k = str_uri_encode(source->key, strlen(source->key), true);
	return with_version(xasprintf("%.*s%s.%.*s/%s", (int)scheme, base, source->bucket,
				      (int)(len - scheme), base + scheme, k),
			    source->version);
}

char *fetch_github_url(const struct fetch_source *source, const char *api)
{
	auto_free char *account = str_uri_encode(source->account, strlen(source->account), false);
	auto_free char *repository =
		str_uri_encode(source->repository, strlen(source->repository), false);
	auto_free char *commit = str_uri_encode(source->commit, strlen(source->commit), true);
	size_t len = strlen(api);
	while (len > 0 && api[len - 1] == '/')
		len--;
	return xasprintf("%.*s/repos/%s/%s/%s/%s", (int)len, api, account, repository,
			 str_eq(source->type, "zip") ? "zipball" : "tarball", commit);
}

void fetch_url_split(const char *url, char **ret_host, char **ret_path, char **ret_query)
{
	const char *mark = strstr(url, "://");
	const char *host = mark ? mark + 3 : url;
	size_t host_len = strcspn(host, "/?#");
	const char *path = host + host_len;
	size_t path_len = strcspn(path, "?#");
	const char *query = path[path_len] == '?' ? path + path_len + 1 : NULL;
	*ret_host = xstrndup(host, host_len);
	*ret_path = path_len ? xstrndup(path, path_len) : xstrdup("/");
	*ret_query = query ? xstrndup(query, strcspn(query, "#")) : NULL;
}
