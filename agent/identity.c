// SPDX-License-Identifier: Apache-2.0
/* What is on disk; how it gets there is in identity-enroll.c. */
#include "agent/identity.h"

#include "agent/identity-answer.h"
#include "agent/identity-keys.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/json.h"

#include <fcntl.h>

#define IDENTITY_MAX (64 * 1024)

static char *take_str(const json_t *doc, const char *name, int *r, struct error *err)
{
	const char *text = NULL;
	if (*r >= 0)
		*r = json_need_str(doc, name, &text, err);
	return xstrdup_null(text);
}

static int from_json(const json_t *doc, struct identity **ret, struct error *err)
{
	int r = 0;
	auto_identity struct identity *id = xcalloc(1, sizeof(*id));
	id->endpoint = take_str(doc, "endpoint", &r, err);
	id->name = take_str(doc, "name", &r, err);
	id->host_identifier = take_str(doc, "host_identifier", &r, err);
	id->region = take_str(doc, "region", &r, err);
	id->ca_fingerprint = take_str(doc, "ca_fingerprint", &r, err);
	if (r >= 0)
		r = json_opt_int(doc, "enrolled", &id->enrolled_s, err);
	if (r < 0)
		return r;
	*ret = TAKE(id);
	return 0;
}

int identity_load(const struct paths *paths, struct identity **ret, struct error *err)
{
	auto_close int dirfd = open(paths->agent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_json json_t *doc = NULL;
	int r = dirfd < 0 ? -errno
			  : json_read_file(dirfd, "identity.json", IDENTITY_MAX, &doc, err);
	if (r == -ENOENT)
		return error_set(err, r,
				 "this host is not enrolled; join an endpoint by 'slipway enroll'");
	if (dirfd < 0)
		return error_set(err, r, "open '%s': %s", paths->agent, strerror(-r));
	auto_identity struct identity *id = NULL;
	if (r >= 0)
		r = from_json(doc, &id, err);
	if (r < 0)
		return error_prefix(err, r, "%s/identity.json", paths->agent);
	id->key_file = fs_join(paths->agent, "keys/key.pem");
	id->cert_file = fs_join(paths->agent, "keys/cert.pem");
	id->ca_file = fs_join(paths->agent, "ca.pem");
	*ret = TAKE(id);
	return 0;
}

void identity_free(struct identity *id)
{
	if (!id)
		return;
	free(id->endpoint);
	free(id->name);
	free(id->host_identifier);
	free(id->region);
	free(id->ca_fingerprint);
	free(id->key_file);
	free(id->cert_file);
	free(id->ca_file);
	free(id);
}

/* Removing identity.json is what ends the enrolment: it goes first. */
static int remove_agent_part(int dirfd, bool *ret_was_there, struct error *err)
{
	auto_owner struct identity_owner owner = {0};
	int r = identity_become_owner(dirfd, &owner, err);
	if (r < 0)
		return r;
	*ret_was_there = unlinkat(dirfd, "identity.json", 0) == 0;
	if (!*ret_was_there && errno != ENOENT)
		return error_errno(err, "remove identity.json");
	r = fs_sync_dir(dirfd, err);
	if (r < 0)
		return r;
	fs_unlink_quiet(dirfd, "ca.pem");
	return identity_keys_remove(dirfd, err);
}

static int remove_trust(const struct paths *paths, struct error *err)
{
	auto_close int dirfd = open(paths->host, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return errno == ENOENT ? 0 : error_errno(err, "open '%s'", paths->host);
	identity_answer_drop(dirfd);
	return fs_remove_tree(dirfd, "trust", err);
}

int identity_remove(const struct paths *paths, struct error *err)
{
	bool was_there = false;
	auto_close int dirfd = open(paths->agent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0 && errno != ENOENT)
		return error_errno(err, "open '%s'", paths->agent);
	int r = dirfd < 0 ? 0 : remove_agent_part(dirfd, &was_there, err);
	if (r >= 0)
		r = remove_trust(paths, err);
	if (r < 0)
		return r;
	return was_there ? 0 : error_set(err, -ENOENT, "this host is not enrolled");
}
