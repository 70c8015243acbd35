/* SPDX-License-Identifier: Apache-2.0 */
/* What the endpoint remembers, behind one interface that two databases can carry.
 *
 * Calls are short and synchronous. The first write of a turn of the loop begins a transaction;
 * server.c calls store_commit() once per turn, before the answers of that turn leave. Reads see the
 * turn's own writes.
 *
 * Every fallible call returns 0 or more on success, ERR_NOT_FOUND, ERR_EXISTS or another code where
 * its comment says so, else ERR_DATABASE with the reason. Times are Unix seconds, 0 means "never".
 * Structs that are filled own their strings, x_clear() releases them; on input they are borrowed.
 * What belongs to deployments is in store-deploy.h. */
#pragma once

#include "common/cleanup.h"
#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;

/* Open DIR/control.db (made when missing, mode 0600) and bring its schema up to date. Refuses a
 * schema that is newer than this program (ERR_FORMAT). Another process may have it open too. */
int store_open(const char *dir, struct store **ret, struct error *err) MUST_CHECK;
void store_close(struct store *store); /* drops what was not committed; accepts NULL */
DEFINE_CLEANUP(struct store *, store_close)
#define auto_store CLEANUP(store_close_at)

/* Has this turn uncommitted writes? */
bool store_dirty(const struct store *store);
/* Make the turn's writes durable; nothing to do is success. After a failure nothing of the turn is
 * kept: it was rolled back. */
int store_commit(struct store *store, struct error *err) MUST_CHECK;
void store_rollback(struct store *store);
/* A call failed in the middle of what belongs together: this turn can only be rolled back, the
 * commit will fail with this error. A failed write does so by itself. */
void store_fail(struct store *store, const struct error *err);
/* Another process wrote: drop caches. */
void store_changed(struct store *store);

/* A list of names in the order that the call defines. */
struct store_names {
	size_t count;
	char **names;
};
void store_names_clear(struct store_names *list);
#define auto_names CLEANUP(store_names_clear)

/* ---- small strings that must survive: "region", "account", ... ---- */

int store_meta_get(struct store *store, const char *name, char **ret,
		   struct error *err) MUST_CHECK; /* ERR_NOT_FOUND; caller frees */
int store_meta_set(struct store *store, const char *name, const char *value,
		   struct error *err) MUST_CHECK;

/* ---- access keys of people and pipelines ---- */

struct store_key {
	char id[129];
	char secret[129]; /* in clear: SigV4 needs it */
	char name[101];
	int64_t created_s;
};
typedef int store_key_fn(const struct store_key *key, void *arg);
int store_key_add(struct store *store, const struct store_key *key,
		  struct error *err) MUST_CHECK; /* ERR_EXISTS */
int store_key_get(struct store *store, const char *id, struct store_key *ret,
		  struct error *err) MUST_CHECK; /* ERR_NOT_FOUND */
int store_key_delete(struct store *store, const char *id,
		     struct error *err) MUST_CHECK; /* ERR_NOT_FOUND */
/* By id. The callback returns 0 to go on; below 0 stops with that code. */
int store_key_each(struct store *store, store_key_fn *fn, void *arg, struct error *err) MUST_CHECK;

/* ---- enrolment tokens: only their SHA-256 is kept ---- */

struct store_token {
	char sha256[65];
	int64_t created_s, expires_s; /* expires_s 0: never */
	int64_t uses_left;            /* -1: any number */
	char name_glob[129];          /* of the hosts it may enrol; "": any */
	bool tags_fixed;              /* the host may ask for no further tags */
	char *tags;                   /* JSON object text K -> V, or NULL */
};
void store_token_clear(struct store_token *token);
#define auto_store_token CLEANUP(store_token_clear)
typedef int store_token_fn(const struct store_token *token, void *arg);
int store_token_add(struct store *store, const struct store_token *token,
		    struct error *err) MUST_CHECK; /* ERR_EXISTS */
int store_token_get(struct store *store, const char *sha256, struct store_token *ret,
		    struct error *err) MUST_CHECK; /* ERR_NOT_FOUND */
/* uses_left - 1: ERR_NOT_FOUND, ERR_LIMIT when none is left. */
int store_token_spend(struct store *store, const char *sha256, struct error *err) MUST_CHECK;
int store_token_delete(struct store *store, const char *sha256,
		       struct error *err) MUST_CHECK; /* ERR_NOT_FOUND */
int store_token_each(struct store *store, store_token_fn *fn, void *arg,
		     struct error *err) MUST_CHECK; /* oldest first */

/* ---- hosts: one inventory; an enrolled host is an on-premises instance with certificates ---- */

#define STORE_HOST_TAGS_MAX 10

struct store_tag {
	char *key, *value;
};
struct store_host {
	char *name;
	char *arn; /* HostIdentifier: arn:aws:codedeploy:REGION:ACCOUNT:instance/NAME */
	int64_t registered_s;
	int64_t deregistered_s; /* 0: registered. A revoked host is deregistered too */
	int64_t revoked_s;
	int64_t last_poll_s; /* as last written down: the exact time is deploy.c's */
	size_t tag_count;
	struct store_tag *tags; /* by key */
};
void store_host_clear(struct store_host *host);
#define auto_store_host CLEANUP(store_host_clear)
typedef int store_host_fn(const struct store_host *host, void *arg);

struct store_enroll {
	const char *name, *arn;
	const char *serial; /* of its first certificate, lower-case hex */
	int64_t not_after_s;
	int64_t now_s;
	const char *by; /* SHA-256, hex, of its token and key; NULL: it cannot ask again */
	size_t tag_count;
	const struct store_tag *tags;
};
/* Register a host with its first certificate, or a name again that is free: its tags are replaced,
 * its old certificates stay refused. ERR_EXISTS when the name is in use, ERR_LIMIT with more than
 * STORE_HOST_TAGS_MAX tags. */
int store_host_enroll(struct store *store, const struct store_enroll *enroll,
		      struct error *err) MUST_CHECK;
/* 1 when this registered host was enrolled by that and has not been settled since, else 0. */
int store_host_enrolled_by(struct store *store, const char *name, const char *by,
			   struct error *err) MUST_CHECK;
/* It has its certificate for sure: nothing enrols it again. */
int store_host_settle(struct store *store, const char *name, struct error *err) MUST_CHECK;
/* ERR_NOT_FOUND. Also finds deregistered ones. */
int store_host_get(struct store *store, const char *name, struct store_host *ret,
		   struct error *err) MUST_CHECK;
/* Hosts by name with their tags, beginning after the given name ("": all), at most limit (0: all).
 */
enum store_host_which { STORE_HOSTS_REGISTERED, STORE_HOSTS_DEREGISTERED, STORE_HOSTS_ALL };
int store_host_each(struct store *store, enum store_host_which which, const char *after,
		    size_t limit, store_host_fn *fn, void *arg, struct error *err) MUST_CHECK;
/* The name is free again, every certificate of the host is refused from now on, its tags are gone.
 * ERR_NOT_FOUND when no registered host has the name. Revoking also marks the host as revoked. */
int store_host_deregister(struct store *store, const char *name, int64_t now_s,
			  struct error *err) MUST_CHECK;
int store_host_revoke(struct store *store, const char *name, int64_t now_s,
		      struct error *err) MUST_CHECK;
int store_host_set_poll(struct store *store, const char *name, int64_t last_poll_s,
			struct error *err) MUST_CHECK;
/* ERR_LIMIT when it would be the eleventh tag. */
int store_host_tag_set(struct store *store, const char *name, const char *key, const char *value,
		       struct error *err) MUST_CHECK;
int store_host_tag_remove(struct store *store, const char *name, const char *key,
			  struct error *err) MUST_CHECK; /* missing is success */

/* One more certificate of a registered host (renewal): older ones stay good. ERR_NOT_FOUND. */
int store_cert_add(struct store *store, const char *host, const char *serial, int64_t not_after_s,
		   struct error *err) MUST_CHECK;
/* May this certificate speak for this host? 0, or ERR_DENIED with the reason in words: host
 * unknown, deregistered or revoked; serial not of this host, or revoked. */
int store_cert_check(struct store *store, const char *host, const char *serial,
		     struct error *err) MUST_CHECK;

/* One tag that puts a host into a deployment group. ERR_NOT_FOUND: no such group; ERR_REFUSED: no
 * single tag can do it. For a filter that takes any key or any value the other half is "slipway".
 * Caller frees both. */
int store_group_tag(struct store *store, const char *application, const char *group, char **ret_key,
		    char **ret_value, struct error *err) MUST_CHECK;

/* ---- objects of the bundle store: the bytes are files, named by their SHA-256 ---- */

struct store_object {
	char bucket[64];
	char *key;
	char version[33];
	char sha256[65]; /* "" for a delete marker */
	char etag[40];   /* without quotes: the MD5, or "MD5-N" when it came in N parts */
	uint64_t size;
	int64_t created_s;
	bool marker; /* a delete marker: with this version the key was deleted */
	bool newest; /* read only: no later version is there */
	int64_t seq; /* read only: later versions of a key have higher ones */
};
void store_object_clear(struct store_object *object);
#define auto_store_object CLEANUP(store_object_clear)
/* A new version, in a bucket that is made when it is missing; ERR_EXISTS when this version of the
 * key is there. */
int store_object_put(struct store *store, const struct store_object *object,
		     struct error *err) MUST_CHECK;
/* version NULL: the newest. ERR_NOT_FOUND, also for a delete marker. */
int store_object_get(struct store *store, const char *bucket, const char *key, const char *version,
		     struct store_object *ret, struct error *err) MUST_CHECK;
/* The newest that has content, also under a delete marker. ERR_NOT_FOUND. */
int store_object_get_kept(struct store *store, const char *bucket, const char *key,
			  struct store_object *ret, struct error *err) MUST_CHECK;
/* The newest, a delete marker too. ERR_NOT_FOUND when the key never was. */
int store_object_head(struct store *store, const char *bucket, const char *key,
		      struct store_object *ret, struct error *err) MUST_CHECK;
/* Forget this version for good; its content becomes garbage. ERR_NOT_FOUND. ret_marker: it was a
 * delete marker. ERR_BUSY, with the deployment's name, while a deployment needs it: one that runs,
 * or the last or last successful one of a group. */
int store_object_delete(struct store *store, const char *bucket, const char *key,
			const char *version, bool *ret_marker, struct error *err) MUST_CHECK;
/* Objects of a bucket by key, from that key on (past: after it). The newest of each that is no
 * delete marker; or every version, newest first. fn returns 0 to go on, 1 to stop (the call
 * returns 0), below 0 to fail. */
struct store_object_range {
	const char *bucket, *from;
	bool past;
	bool versions;
};
typedef int store_object_fn(const struct store_object *object, void *arg);
int store_object_each(struct store *store, const struct store_object_range *range,
		      store_object_fn *fn, void *arg, struct error *err) MUST_CHECK;

struct store_bucket {
	char name[64];
	int64_t created_s;
};
typedef int store_bucket_fn(const struct store_bucket *bucket, void *arg);
/* Making one that is there is success. */
int store_bucket_make(struct store *store, const char *name, int64_t now_s,
		      struct error *err) MUST_CHECK;
int store_bucket_get(struct store *store, const char *name, struct store_bucket *ret,
		     struct error *err) MUST_CHECK; /* ERR_NOT_FOUND */
/* ERR_BUSY: it holds versions or uploads. ERR_NOT_FOUND. */
int store_bucket_delete(struct store *store, const char *name, struct error *err) MUST_CHECK;
int store_bucket_each(struct store *store, store_bucket_fn *fn, void *arg,
		      struct error *err) MUST_CHECK; /* by name */

/* ---- multipart uploads ---- */

#define STORE_FILE_LEN 64 /* of a file's name in the bundle store */

struct store_upload {
	char id[33];
	char bucket[64];
	char *key;
	int64_t created_s;
	char version[33]; /* of the object that it became, "" while it is open */
};
void store_upload_clear(struct store_upload *upload);
#define auto_store_upload CLEANUP(store_upload_clear)
struct store_part {
	int64_t number;
	char file[STORE_FILE_LEN + 1];
	char md5[33];
	uint64_t size;
	int64_t created_s;
};
int store_upload_add(struct store *store, const struct store_upload *upload,
		     struct error *err) MUST_CHECK;
int store_upload_get(struct store *store, const char *id, struct store_upload *ret,
		     struct error *err) MUST_CHECK; /* ERR_NOT_FOUND */
/* It became this version: its parts are garbage. The row stays, so that a client that did not hear
 * the answer gets it again. */
int store_upload_complete(struct store *store, const char *id, const char *version,
			  struct error *err) MUST_CHECK;
/* Forget it; its parts are garbage. ERR_NOT_FOUND. */
int store_upload_delete(struct store *store, const char *id, struct error *err) MUST_CHECK;
/* Open ones of a bucket by key and id, after that pair. fn as in store_object_each(). */
typedef int store_upload_fn(const struct store_upload *upload, void *arg);
int store_upload_each(struct store *store, const char *bucket, const char *key, const char *id,
		      store_upload_fn *fn, void *arg, struct error *err) MUST_CHECK;
/* Begun before then, open or not: at most limit ids. */
int store_upload_old(struct store *store, int64_t before_s, size_t limit, struct store_names *ret,
		     struct error *err) MUST_CHECK;
/* In place of one with the same number, whose file is garbage. */
int store_part_put(struct store *store, const char *upload_id, const struct store_part *part,
		   struct error *err) MUST_CHECK;
/* By number, after this one. fn as in store_object_each(). */
typedef int store_part_fn(const struct store_part *part, void *arg);
int store_part_each(struct store *store, const char *upload_id, int64_t after, store_part_fn *fn,
		    void *arg, struct error *err) MUST_CHECK;

/* ---- files of the bundle store that may be needed no longer ---- */

int store_garbage_add(struct store *store, const char *file, struct error *err) MUST_CHECK;
int store_garbage_list(struct store *store, const char *after, size_t limit,
		       struct store_names *ret, struct error *err) MUST_CHECK;
int store_garbage_remove(struct store *store, const char *file, struct error *err) MUST_CHECK;
/* Does an object or a part have this file? */
int store_file_is_used(struct store *store, const char *file, bool *ret,
		       struct error *err) MUST_CHECK;

/* Is the object the revision of a deployment that targets this host? 0 or ERR_DENIED. version NULL:
 * the newest, which may be read when the revision names no version, or this one. */
int store_host_may_read(struct store *store, const char *host, const char *bucket, const char *key,
			const char *version, struct error *err) MUST_CHECK;
