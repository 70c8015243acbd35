// SPDX-License-Identifier: Apache-2.0
#include "control/store-deploy.h"
#include "control/store-sql.h"
#include "tests/unit/unit.h"

#include "common/alloc.h"
#include "common/fs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

struct fixture {
	char dir[64];
	struct store *store;
	struct error err;
};

#define OK(call) assert_int_equal((call), 0)

static struct store *open_store(struct fixture *f)
{
	struct store *store = NULL;
	if (store_open(f->dir, &store, &f->err) < 0)
		fail_msg("%s", f->err.text);
	return store;
}

static int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	snprintf(f->dir, sizeof(f->dir), "/tmp/slipway-store-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->store = open_store(f);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	store_close(f->store);
	auto_close int tmp = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	OK(fs_remove_tree(tmp, f->dir + strlen("/tmp/"), &f->err));
	free(f);
	return 0;
}

static void reopen(struct fixture *f)
{
	store_close(f->store);
	f->store = open_store(f);
}

/* ---- transactions ---- */

static void what_was_committed_is_there_after_reopening(void **state)
{
	struct fixture *f = *state;
	OK(store_meta_set(f->store, "region", "eu-north-1", &f->err));
	assert_true(store_dirty(f->store));
	OK(store_commit(f->store, &f->err));
	assert_false(store_dirty(f->store));
	OK(store_meta_set(f->store, "account", "lost", &f->err));
	reopen(f);
	auto_free char *region = NULL, *account = NULL;
	OK(store_meta_get(f->store, "region", &region, &f->err));
	assert_string_equal(region, "eu-north-1");
	assert_int_equal(store_meta_get(f->store, "account", &account, &f->err), ERR_NOT_FOUND);
}

static void a_rollback_takes_the_whole_turn_back(void **state)
{
	struct fixture *f = *state;
	OK(store_meta_set(f->store, "a", "1", &f->err));
	OK(store_meta_set(f->store, "b", "2", &f->err));
	store_rollback(f->store);
	assert_false(store_dirty(f->store));
	auto_free char *value = NULL;
	assert_int_equal(store_meta_get(f->store, "a", &value, &f->err), ERR_NOT_FOUND);
}

static void a_turn_that_failed_halfway_cannot_be_committed(void **state)
{
	struct fixture *f = *state;
	OK(store_meta_set(f->store, "a", "1", &f->err));
	struct error why = {.code = ERR_DATABASE, .text = "disk full"};
	store_fail(f->store, &why);
	assert_int_equal(store_commit(f->store, &f->err), ERR_DATABASE);
	assert_string_equal(f->err.text, "disk full");
	auto_free char *value = NULL;
	assert_int_equal(store_meta_get(f->store, "a", &value, &f->err), ERR_NOT_FOUND);
	OK(store_meta_set(f->store, "a", "2", &f->err));
	OK(store_commit(f->store, &f->err));
}

static void a_second_process_sees_what_the_first_committed(void **state)
{
	struct fixture *f = *state;
	auto_store struct store *other = open_store(f);
	OK(store_meta_set(f->store, "a", "1", &f->err));
	auto_free char *before = NULL, *after = NULL;
	assert_int_equal(store_meta_get(other, "a", &before, &f->err), ERR_NOT_FOUND);
	OK(store_commit(f->store, &f->err));
	OK(store_meta_get(other, "a", &after, &f->err));
}

static void a_newer_schema_is_refused(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(store_write(f->store, &f->err,
				     "INSERT INTO schema_migrations (version, applied_s) "
				     "VALUES (999, 0)",
				     ""),
			 1);
	OK(store_commit(f->store, &f->err));
	struct store *other = NULL;
	assert_int_equal(store_open(f->dir, &other, &f->err), ERR_FORMAT);
	assert_non_null(strstr(f->err.text, "999"));
	assert_null(other);
}

static void the_database_is_for_its_owner_only(void **state)
{
	struct fixture *f = *state;
	auto_free char *path = fs_join(f->dir, "control.db");
	struct stat st;
	OK(stat(path, &st));
	assert_int_equal(st.st_mode & 07777, 0600);
}

/* ---- keys and tokens ---- */

static int count_key(const struct store_key *key, void *arg)
{
	*(int *)arg += (int)strlen(key->id);
	return 0;
}

static void keys_are_found_listed_and_deleted(void **state)
{
	struct fixture *f = *state;
	struct store_key key = {.id = "AK1", .secret = "s", .name = "ci", .created_s = 5};
	OK(store_key_add(f->store, &key, &f->err));
	assert_int_equal(store_key_add(f->store, &key, &f->err), ERR_EXISTS);
	struct store_key got = {0};
	OK(store_key_get(f->store, "AK1", &got, &f->err));
	assert_string_equal(got.secret, "s");
	assert_string_equal(got.name, "ci");
	assert_int_equal(got.created_s, 5);
	int seen = 0;
	OK(store_key_each(f->store, count_key, &seen, &f->err));
	assert_int_equal(seen, 3);
	OK(store_key_delete(f->store, "AK1", &f->err));
	assert_int_equal(store_key_delete(f->store, "AK1", &f->err), ERR_NOT_FOUND);
	assert_int_equal(store_key_get(f->store, "AK1", &got, &f->err), ERR_NOT_FOUND);
}

static void a_token_is_spent_as_often_as_it_says(void **state)
{
	struct fixture *f = *state;
	struct store_token token = {
		.sha256 = "aa", .uses_left = 2, .tags = (char *)"{\"a\":\"b\"}"};
	OK(store_token_add(f->store, &token, &f->err));
	OK(store_token_spend(f->store, "aa", &f->err));
	OK(store_token_spend(f->store, "aa", &f->err));
	assert_int_equal(store_token_spend(f->store, "aa", &f->err), ERR_LIMIT);
	assert_int_equal(store_token_spend(f->store, "bb", &f->err), ERR_NOT_FOUND);
	struct store_token any = {.sha256 = "cc", .uses_left = -1};
	OK(store_token_add(f->store, &any, &f->err));
	OK(store_token_spend(f->store, "cc", &f->err));
	auto_store_token struct store_token got = {0};
	OK(store_token_get(f->store, "cc", &got, &f->err));
	assert_int_equal(got.uses_left, -1);
	assert_null(got.tags);
}

/* ---- hosts ---- */

static struct store_tag web_tags[] = {{"role", "web"}, {"stage", "prod"}};

static int enroll(struct fixture *f, const char *name, const char *serial)
{
	struct store_enroll enroll = {.name = name,
				      .arn = "arn:x",
				      .serial = serial,
				      .not_after_s = 99,
				      .now_s = 10,
				      .tag_count = 2,
				      .tags = web_tags};
	return store_host_enroll(f->store, &enroll, &f->err);
}

static void an_enrolled_host_has_tags_and_a_certificate(void **state)
{
	struct fixture *f = *state;
	OK(enroll(f, "web1", "01"));
	assert_int_equal(enroll(f, "web1", "02"), ERR_EXISTS);
	auto_store_host struct store_host host = {0};
	OK(store_host_get(f->store, "web1", &host, &f->err));
	assert_int_equal(host.tag_count, 2);
	assert_string_equal(host.tags[1].key, "stage");
	assert_string_equal(host.tags[1].value, "prod");
	assert_int_equal(host.registered_s, 10);
	OK(store_cert_check(f->store, "web1", "01", &f->err));
	assert_int_equal(store_cert_check(f->store, "web1", "02", &f->err), ERR_DENIED);
	assert_int_equal(store_cert_check(f->store, "web2", "01", &f->err), ERR_DENIED);
}

static void renewal_keeps_the_older_certificate_good(void **state)
{
	struct fixture *f = *state;
	OK(enroll(f, "web1", "01"));
	OK(store_cert_add(f->store, "web1", "02", 200, &f->err));
	OK(store_cert_check(f->store, "web1", "01", &f->err));
	OK(store_cert_check(f->store, "web1", "02", &f->err));
	assert_int_equal(store_cert_add(f->store, "ghost", "03", 200, &f->err), ERR_NOT_FOUND);
}

static void a_revoked_host_is_refused_and_its_name_free(void **state)
{
	struct fixture *f = *state;
	OK(enroll(f, "web1", "01"));
	OK(store_host_revoke(f->store, "web1", 20, &f->err));
	assert_int_equal(store_cert_check(f->store, "web1", "01", &f->err), ERR_DENIED);
	assert_non_null(strstr(f->err.text, "revoked"));
	assert_int_equal(store_host_revoke(f->store, "web1", 21, &f->err), ERR_NOT_FOUND);
	assert_int_equal(store_cert_add(f->store, "web1", "09", 200, &f->err), ERR_NOT_FOUND);
	OK(enroll(f, "web1", "02"));
	OK(store_cert_check(f->store, "web1", "02", &f->err));
	assert_int_equal(store_cert_check(f->store, "web1", "01", &f->err), ERR_DENIED);
}

static void deregistering_takes_tags_and_certificates(void **state)
{
	struct fixture *f = *state;
	OK(enroll(f, "web1", "01"));
	OK(store_host_deregister(f->store, "web1", 20, &f->err));
	auto_store_host struct store_host host = {0};
	OK(store_host_get(f->store, "web1", &host, &f->err));
	assert_int_equal(host.deregistered_s, 20);
	assert_int_equal(host.revoked_s, 0);
	assert_int_equal(host.tag_count, 0);
	assert_int_equal(store_cert_check(f->store, "web1", "01", &f->err), ERR_DENIED);
}

static void a_host_has_ten_tags_at_most(void **state)
{
	struct fixture *f = *state;
	OK(enroll(f, "web1", "01"));
	for (int i = 2; i < STORE_HOST_TAGS_MAX; i++) {
		char key[16];
		snprintf(key, sizeof(key), "k%d", i);
		OK(store_host_tag_set(f->store, "web1", key, "v", &f->err));
	}
	assert_int_equal(store_host_tag_set(f->store, "web1", "k10", "v", &f->err), ERR_LIMIT);
	OK(store_host_tag_set(f->store, "web1", "role", "db", &f->err));
	OK(store_host_tag_remove(f->store, "web1", "stage", &f->err));
	OK(store_host_tag_remove(f->store, "web1", "stage", &f->err));
	OK(store_host_tag_set(f->store, "web1", "k10", "v", &f->err));
}

static int add_name(const struct store_host *host, void *arg)
{
	char *names = arg;
	strcat(names, host->name);
	sprintf(names + strlen(names), "%zu ", host->tag_count);
	return 0;
}

static void hosts_are_listed_by_name_and_state(void **state)
{
	struct fixture *f = *state;
	OK(enroll(f, "c", "03"));
	OK(enroll(f, "a", "01"));
	OK(enroll(f, "b", "02"));
	OK(store_host_deregister(f->store, "b", 20, &f->err));
	char all[64] = "", in[64] = "", out[64] = "", page[64] = "";
	OK(store_host_each(f->store, STORE_HOSTS_ALL, "", 0, add_name, all, &f->err));
	OK(store_host_each(f->store, STORE_HOSTS_REGISTERED, "", 0, add_name, in, &f->err));
	OK(store_host_each(f->store, STORE_HOSTS_DEREGISTERED, "", 0, add_name, out, &f->err));
	OK(store_host_each(f->store, STORE_HOSTS_ALL, "a", 1, add_name, page, &f->err));
	assert_string_equal(all, "a2 b0 c2 ");
	assert_string_equal(in, "a2 c2 ");
	assert_string_equal(out, "b0 ");
	assert_string_equal(page, "b0 ");
}

/* ---- objects ---- */

static void the_newest_version_of_an_object_is_found_without_naming_it(void **state)
{
	struct fixture *f = *state;
	struct store_object object = {.bucket = "b",
				      .key = (char *)"app.zip",
				      .version = "v2",
				      .sha256 = "aa",
				      .etag = "m1",
				      .size = 3000000000u,
				      .created_s = 7};
	OK(store_object_put(f->store, &object, &f->err));
	assert_int_equal(store_object_put(f->store, &object, &f->err), ERR_EXISTS);
	strcpy(object.version, "v1");
	strcpy(object.sha256, "bb");
	OK(store_object_put(f->store, &object, &f->err));
	auto_store_object struct store_object newest = {0}, old = {0}, none = {0};
	OK(store_object_get(f->store, "b", "app.zip", NULL, &newest, &f->err));
	assert_string_equal(newest.sha256, "bb");
	assert_int_equal(newest.size, 3000000000u);
	OK(store_object_get(f->store, "b", "app.zip", "v2", &old, &f->err));
	assert_string_equal(old.sha256, "aa");
	assert_int_equal(store_object_get(f->store, "b", "app", NULL, &none, &f->err),
			 ERR_NOT_FOUND);
}

/* ---- deployments ---- */

static void add_deployment(struct fixture *f, const char *id, const char *version)
{
	struct store_deployment d = {.id = (char *)id,
				     .app_id = (char *)"app-id",
				     .group_id = (char *)"group-id",
				     .application = (char *)"app",
				     .group = (char *)"group",
				     .config_name = (char *)"c",
				     .status = STORE_CREATED,
				     .halt = (char *)"",
				     .creator = (char *)"user",
				     .revision = (char *)"{}",
				     .options = (char *)"{}",
				     .bucket = (char *)"b",
				     .object_key = (char *)"k",
				     .object_version = (char *)version,
				     .size = -1,
				     .created_s = 100.25};
	OK(store_deployment_add(f->store, &d, &f->err));
}

static void add_group(struct fixture *f)
{
	struct store_app app = {(char *)"app-id", (char *)"app", (char *)"[]", 1.5};
	OK(store_app_add(f->store, &app, &f->err));
	struct store_group group = {.id = (char *)"group-id",
				    .app_id = (char *)"app-id",
				    .name = (char *)"group",
				    .config_name = (char *)"c",
				    .settings = (char *)"{\"onPremisesInstanceTagFilters\":"
							"[{\"Key\":\"role\",\"Value\":\"web\"}]}",
				    .created_s = 2.5};
	OK(store_group_add(f->store, &group, &f->err));
}

static void put_object(struct fixture *f, const char *key, const char *version, const char *sha256)
{
	struct store_object object = {
		.bucket = "b", .key = (char *)key, .etag = "e", .created_s = 1, .marker = !sha256};
	strcpy(object.version, version);
	strcpy(object.sha256, sha256 ? sha256 : "");
	OK(store_object_put(f->store, &object, &f->err));
}

static int collect_object(const struct store_object *object, void *arg)
{
	char *out = arg;
	size_t used = strlen(out);
	snprintf(out + used, 256 - used, "%s:%s%s%s ", object->key, object->version,
		 object->marker ? "!" : "", object->newest ? "*" : "");
	return 0;
}

static void check_objects(struct fixture *f, const char *from, bool past, bool versions,
			  const char *expected)
{
	char seen[256] = "";
	struct store_object_range range = {"b", from, past, versions};
	OK(store_object_each(f->store, &range, collect_object, seen, &f->err));
	assert_string_equal(seen, expected);
}

static void a_delete_marker_hides_a_key_and_keeps_its_versions(void **state)
{
	struct fixture *f = *state;
	put_object(f, "a", "a1", "aa");
	put_object(f, "a", "a2", "bb");
	put_object(f, "b", "b1", "aa");
	put_object(f, "a", "a3", NULL);
	auto_store_object struct store_object object = {0}, kept = {0}, head = {0};
	assert_int_equal(store_object_get(f->store, "b", "a", NULL, &object, &f->err),
			 ERR_NOT_FOUND);
	assert_int_equal(store_object_get(f->store, "b", "a", "a3", &object, &f->err),
			 ERR_NOT_FOUND);
	OK(store_object_get_kept(f->store, "b", "a", &kept, &f->err));
	assert_string_equal(kept.version, "a2");
	OK(store_object_head(f->store, "b", "a", &head, &f->err));
	assert_true(head.marker);
	check_objects(f, "", false, false, "b:b1* ");
	check_objects(f, "", false, true, "a:a3!* a:a2 a:a1 b:b1* ");
	check_objects(f, "a", true, true, "b:b1* ");
	check_objects(f, "a", false, false, "b:b1* ");
}

static void a_content_is_used_until_its_last_version_is_deleted(void **state)
{
	struct fixture *f = *state;
	bool marker = true, used = false;
	put_object(f, "a", "a1", "aa");
	put_object(f, "b", "b1", "aa");
	OK(store_object_delete(f->store, "b", "a", "a1", &marker, &f->err));
	assert_false(marker);
	OK(store_file_is_used(f->store, "aa", &used, &f->err));
	assert_true(used);
	OK(store_object_delete(f->store, "b", "b", "b1", &marker, &f->err));
	OK(store_file_is_used(f->store, "aa", &used, &f->err));
	assert_false(used);
	auto_names struct store_names garbage = {0};
	OK(store_garbage_list(f->store, "", 10, &garbage, &f->err));
	assert_int_equal(garbage.count, 1);
	assert_string_equal(garbage.names[0], "aa");
	OK(store_garbage_remove(f->store, "aa", &f->err));
	assert_int_equal(store_object_delete(f->store, "b", "b", "b1", &marker, &f->err),
			 ERR_NOT_FOUND);
}

static void a_bucket_goes_only_when_it_is_empty(void **state)
{
	struct fixture *f = *state;
	bool marker;
	struct store_bucket bucket;
	put_object(f, "a", "a1", "aa");
	OK(store_bucket_make(f->store, "b", 99, &f->err));
	OK(store_bucket_get(f->store, "b", &bucket, &f->err));
	assert_int_equal(bucket.created_s, 1);
	assert_int_equal(store_bucket_delete(f->store, "b", &f->err), ERR_BUSY);
	OK(store_object_delete(f->store, "b", "a", "a1", &marker, &f->err));
	OK(store_bucket_delete(f->store, "b", &f->err));
	assert_int_equal(store_bucket_delete(f->store, "b", &f->err), ERR_NOT_FOUND);
}

static int count_part(const struct store_part *part, void *arg)
{
	(*(int64_t *)arg) += part->number * 100 + (int64_t)part->size;
	return 0;
}

static void parts_of_an_upload_are_garbage_once_it_is_complete(void **state)
{
	struct fixture *f = *state;
	struct store_upload upload = {.id = "U", .bucket = "b", .key = (char *)"k", .created_s = 5};
	struct store_part part = {.number = 2, .file = "f1", .md5 = "m", .size = 7};
	OK(store_upload_add(f->store, &upload, &f->err));
	OK(store_part_put(f->store, "U", &part, &f->err));
	strcpy(part.file, "f2");
	part.size = 8;
	OK(store_part_put(f->store, "U", &part, &f->err));
	part.number = 3;
	strcpy(part.file, "f3");
	OK(store_part_put(f->store, "U", &part, &f->err));
	int64_t sum = 0;
	OK(store_part_each(f->store, "U", 0, count_part, &sum, &f->err));
	assert_int_equal(sum, 208 + 308);
	auto_names struct store_names garbage = {0}, all = {0}, old = {0};
	OK(store_garbage_list(f->store, "", 10, &garbage, &f->err));
	assert_int_equal(garbage.count, 1); /* the part that was replaced */
	OK(store_upload_complete(f->store, "U", "v", &f->err));
	OK(store_garbage_list(f->store, "", 10, &all, &f->err));
	assert_int_equal(all.count, 3);
	auto_store_upload struct store_upload seen = {0};
	OK(store_upload_get(f->store, "U", &seen, &f->err));
	assert_string_equal(seen.version, "v");
	OK(store_upload_old(f->store, 6, 10, &old, &f->err));
	assert_int_equal(old.count, 1);
	OK(store_upload_delete(f->store, "U", &f->err));
	assert_int_equal(store_upload_delete(f->store, "U", &f->err), ERR_NOT_FOUND);
}

static void a_deleted_application_frees_its_name_and_keeps_its_deployments(void **state)
{
	struct fixture *f = *state;
	add_group(f);
	add_deployment(f, "d-1", NULL);
	struct store_app again = {(char *)"app-2", (char *)"app", (char *)"[]", 1.5};
	assert_int_equal(store_app_add(f->store, &again, &f->err), ERR_EXISTS);
	OK(store_app_delete(f->store, "app-id", 9, &f->err));
	OK(store_app_add(f->store, &again, &f->err));
	auto_store_group struct store_group group = {0};
	assert_int_equal(store_group_get(f->store, "app-id", "group", &group, &f->err),
			 ERR_NOT_FOUND);
	OK(store_group_get_id(f->store, "group-id", &group, &f->err));
	bool hidden = false;
	OK(store_deployment_hidden(f->store, "d-1", &hidden, &f->err));
	assert_true(hidden);
	auto_store_deployment struct store_deployment d = {0};
	OK(store_deployment_get(f->store, "d-1", &d, &f->err));
}

static void a_deployment_keeps_what_is_saved(void **state)
{
	struct fixture *f = *state;
	add_group(f);
	add_deployment(f, "d-1", NULL);
	auto_store_deployment struct store_deployment d = {0}, again = {0};
	OK(store_deployment_get(f->store, "d-1", &d, &f->err));
	assert_true(d.created_s == 100.25);
	assert_null(d.error_code);
	assert_null(d.object_version);
	d.status = STORE_FAILED;
	d.error_code = xstrdup("HEALTH_CONSTRAINTS");
	d.total = 3;
	d.failed = 2;
	d.completed_s = 101.5;
	OK(store_deployment_save(f->store, &d, &f->err));
	OK(store_deployment_get(f->store, "d-1", &again, &f->err));
	assert_int_equal(again.status, STORE_FAILED);
	assert_string_equal(again.error_code, "HEALTH_CONSTRAINTS");
	assert_int_equal(again.total, 3);
	assert_int_equal(again.failed, 2);
	assert_true(again.completed_s == 101.5);
}

static void deployments_are_listed_newest_first_in_pages(void **state)
{
	struct fixture *f = *state;
	add_group(f);
	add_deployment(f, "d-1", NULL);
	add_deployment(f, "d-2", NULL);
	add_deployment(f, "d-3", NULL);
	struct store_deployment_filter filter = {.statuses = STORE_STATUS_ANY, .limit = 2};
	auto_names struct store_names first = {0}, second = {0}, none = {0};
	int64_t seq = 0;
	OK(store_deployment_list(f->store, &filter, &first, &seq, &f->err));
	assert_int_equal(first.count, 2);
	assert_string_equal(first.names[0], "d-3");
	filter.seq = seq;
	filter.group_id = "group-id";
	OK(store_deployment_list(f->store, &filter, &second, &seq, &f->err));
	assert_int_equal(second.count, 1);
	assert_string_equal(second.names[0], "d-1");
	filter = (struct store_deployment_filter){.statuses = STORE_STATUS_BIT(STORE_FAILED),
						  .limit = 2};
	OK(store_deployment_list(f->store, &filter, &none, &seq, &f->err));
	assert_int_equal(none.count, 0);
}

static void add_target(struct fixture *f, const char *id, const char *host, int64_t position,
		       enum store_status status)
{
	struct store_target t = {.deployment_id = (char *)id,
				 .host = (char *)host,
				 .position = position,
				 .status = status,
				 .event = status == STORE_IN_PROGRESS ? 3 : -1,
				 .updated_s = 1,
				 .deadline_s =
					 status == STORE_IN_PROGRESS ? 50 + (double)position : 0};
	OK(store_target_add(f->store, &t, &f->err));
}

static void a_host_reads_only_what_it_is_a_target_of(void **state)
{
	struct fixture *f = *state;
	add_group(f);
	OK(enroll(f, "a", "01"));
	OK(enroll(f, "b", "02"));
	add_deployment(f, "d-1", "v1");
	add_target(f, "d-1", "a", 0, STORE_PENDING);
	OK(store_host_may_read(f->store, "a", "b", "k", "v1", &f->err));
	put_object(f, "k", "v1", "aa");
	OK(store_host_may_read(f->store, "a", "b", "k", NULL, &f->err));
	assert_int_equal(store_host_may_read(f->store, "a", "b", "k", "v2", &f->err), ERR_DENIED);
	put_object(f, "k", "v2", "bb"); /* a newer one, of which nobody told the host */
	assert_int_equal(store_host_may_read(f->store, "a", "b", "k", NULL, &f->err), ERR_DENIED);
	OK(store_host_may_read(f->store, "a", "b", "k", "v1", &f->err));
	assert_int_equal(store_host_may_read(f->store, "b", "b", "k", "v1", &f->err), ERR_DENIED);
	assert_int_equal(store_host_may_read(f->store, "a", "b", "other", "v1", &f->err),
			 ERR_DENIED);
}

static void the_next_event_of_a_host_is_the_oldest_that_is_free(void **state)
{
	struct fixture *f = *state;
	add_group(f);
	OK(enroll(f, "a", "01"));
	add_deployment(f, "d-1", NULL);
	add_target(f, "d-1", "a", 0, STORE_IN_PROGRESS);
	auto_store_event struct store_event got = {0}, again = {0};
	assert_int_equal(store_event_next(f->store, "a", 100, &got, &f->err), ERR_NOT_FOUND);
	struct store_event event = {.deployment_id = (char *)"d-1",
				    .host = (char *)"a",
				    .event = 3,
				    .attempt = 1,
				    .status = STORE_PENDING,
				    .ready_s = 10};
	OK(store_event_add(f->store, &event, &f->err));
	OK(store_event_next(f->store, "a", 100, &got, &f->err));
	got.offered_s = 120;
	OK(store_event_save(f->store, &got, &f->err));
	assert_int_equal(store_event_next(f->store, "a", 119, &again, &f->err), ERR_NOT_FOUND);
	OK(store_event_next(f->store, "a", 120, &again, &f->err));
	bool busy = true;
	OK(store_host_busy(f->store, "a", &busy, &f->err));
	assert_false(busy);
	again.status = STORE_IN_PROGRESS;
	OK(store_event_save(f->store, &again, &f->err));
	OK(store_host_busy(f->store, "a", &busy, &f->err));
	assert_true(busy);
}

static void targets_are_found_by_status_deadline_and_page(void **state)
{
	struct fixture *f = *state;
	add_group(f);
	add_deployment(f, "d-1", NULL);
	const char *const names[] = {"z", "y", "x", "w"};
	for (int i = 0; i < 4; i++) {
		char serial[16];
		snprintf(serial, sizeof(serial), "%d", i);
		OK(enroll(f, names[i], serial));
		add_target(f, "d-1", names[i], i, i < 2 ? STORE_IN_PROGRESS : STORE_PENDING);
	}
	double deadline = 0;
	OK(store_next_deadline(f->store, &deadline, &f->err));
	assert_true(deadline == 50);
	auto_store_targets struct store_targets due = {0}, pending = {0};
	OK(store_target_due(f->store, 50.5, 10, &due, &f->err));
	assert_int_equal(due.count, 1);
	OK(store_target_by_status(f->store, "d-1", STORE_PENDING, -1, 1, &pending, &f->err));
	assert_int_equal(pending.count, 1);
	assert_string_equal(pending.targets[0].host, "x");
	auto_names struct store_names page = {0};
	int64_t position = -1;
	OK(store_target_list(f->store, "d-1", STORE_STATUS_ANY, 0, 2, &page, &position, &f->err));
	assert_int_equal(page.count, 2);
	assert_string_equal(page.names[0], "y");
	assert_int_equal(position, 2);
	assert_int_equal(store_target_skip(f->store, "d-1", 60, &f->err), 2);
}

static int only_health(const struct store_health *health, void *arg)
{
	char *text = arg;
	sprintf(text + strlen(text), "%s %d %s;", health->host, health->healthy,
		health->revision ? health->revision : "-");
	return 0;
}

static void health_keeps_the_revision_until_it_is_unknown(void **state)
{
	struct fixture *f = *state;
	add_group(f);
	OK(enroll(f, "a", "01"));
	add_deployment(f, "d-1", NULL);
	OK(store_health_set(f->store, "group-id", "a", true, "r1", 1, &f->err));
	OK(store_health_set(f->store, "group-id", "a", false, "r2", 2, &f->err));
	char text[128] = "";
	OK(store_health_each(f->store, "group-id", only_health, text, &f->err));
	assert_string_equal(text, "a 0 r1;");
	add_target(f, "d-1", "a", 0, STORE_FAILED);
	OK(store_health_unknown(f->store, "group-id", "d-1", "r1", &f->err));
	text[0] = '\0';
	OK(store_health_each(f->store, "group-id", only_health, text, &f->err));
	assert_string_equal(text, "a 0 -;");
}

static void one_tag_of_a_stored_group_is_found(void **state)
{
	struct fixture *f = *state;
	add_group(f);
	auto_free char *key = NULL, *value = NULL;
	OK(store_group_tag(f->store, "app", "group", &key, &value, &f->err));
	assert_string_equal(key, "role");
	assert_string_equal(value, "web");
	assert_int_equal(store_group_tag(f->store, "app", "x", &key, &value, &f->err),
			 ERR_NOT_FOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_committed_is_there_after_reopening),
		TEST(a_rollback_takes_the_whole_turn_back),
		TEST(a_turn_that_failed_halfway_cannot_be_committed),
		TEST(a_second_process_sees_what_the_first_committed),
		TEST(a_newer_schema_is_refused),
		TEST(the_database_is_for_its_owner_only),
		TEST(keys_are_found_listed_and_deleted),
		TEST(a_token_is_spent_as_often_as_it_says),
		TEST(an_enrolled_host_has_tags_and_a_certificate),
		TEST(renewal_keeps_the_older_certificate_good),
		TEST(a_revoked_host_is_refused_and_its_name_free),
		TEST(deregistering_takes_tags_and_certificates),
		TEST(a_host_has_ten_tags_at_most),
		TEST(hosts_are_listed_by_name_and_state),
		TEST(the_newest_version_of_an_object_is_found_without_naming_it),
		TEST(a_delete_marker_hides_a_key_and_keeps_its_versions),
		TEST(a_content_is_used_until_its_last_version_is_deleted),
		TEST(a_bucket_goes_only_when_it_is_empty),
		TEST(parts_of_an_upload_are_garbage_once_it_is_complete),
		TEST(a_deleted_application_frees_its_name_and_keeps_its_deployments),
		TEST(a_deployment_keeps_what_is_saved),
		TEST(deployments_are_listed_newest_first_in_pages),
		TEST(a_host_reads_only_what_it_is_a_target_of),
		TEST(the_next_event_of_a_host_is_the_oldest_that_is_free),
		TEST(targets_are_found_by_status_deadline_and_page),
		TEST(health_keeps_the_revision_until_it_is_unknown),
		TEST(one_tag_of_a_stored_group_is_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
