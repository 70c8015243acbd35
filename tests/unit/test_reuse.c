// SPDX-License-Identifier: Apache-2.0
/* A revision that is used again instead of a download: which one may be, and what is left when it
 * may not. */
#include "agent/worker/reuse.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/str.h"
#include "tests/unit/tempdir.h"

#include <sys/stat.h>

/* A group in a temporary directory whose open deployment is d-NEW. */
struct fixture {
	struct run run;
	struct group g;
};

static struct wire_spec *spec_of(const char *id)
{
	struct wire_spec *spec = xcalloc(1, sizeof(*spec));
	spec->deployment_id = xstrdup(id);
	spec->group_id = xstrdup("group");
	spec->group_name = xstrdup("Group");
	spec->application = xstrdup("App");
	spec->bucket = xstrdup("bucket");
	spec->key = xstrdup("key");
	spec->bundle_type = xstrdup("tgz");
	spec->revision_type = WIRE_REVISION_S3;
	spec->size_bytes = -1;
	return spec;
}

static void begin(struct fixture *f, struct tempdir *dir, const char *from)
{
	log_init("test", LOG_EMERG);
	*f = (struct fixture){
		.run = {.settings = {.enable_archive_reuse = true, .archive_max_entries = 100}},
		.g = {.run = &f->run, .lock_fd = -1, .fd = -1, .dir_fd = dir->fd},
	};
	f->g.id = xstrdup("group");
	f->g.state = state_new("group");
	struct job *job = xcalloc(1, sizeof(*job));
	job->spec = spec_of("d-NEW");
	job->spec->reuse_from = xstrdup_null(from);
	f->g.state->open = state_deployment_new(job);
}

static void end(struct fixture *f)
{
	state_free(f->g.state);
	free(f->g.id);
}

static void make(struct tempdir *dir, const char *path)
{
	struct error err = {0};
	int fd = fs_mkdirs(dir->fd, path, 0755, &err);
	if (fd < 0)
		fail_msg("%s", err.text);
	close(fd);
}

/* A kept revision, with an AppSpec of that name (NULL: none). */
static void keep(struct fixture *f, struct tempdir *dir, const char *id, const char *archive,
		 const char *appspec, const char *etag)
{
	struct job *job = xcalloc(1, sizeof(*job));
	job->spec = spec_of(id);
	job->spec->etag = xstrdup_null(etag);
	struct state_deployment *d = state_deployment_new(job);
	d->archive = xstrdup(archive);
	auto_free char *path = xasprintf("%s/" GROUP_ARCHIVE "/sub", id);
	if (strcmp(id, archive) == 0)
		make(dir, path);
	auto_free char *name = xasprintf("%s/" GROUP_ARCHIVE "/%s", id, appspec ? appspec : "");
	if (appspec)
		tempdir_write(dir, name, "version: 0.0\n");
	state_revision_add(f->g.state, d, true);
	state_deployment_free(d);
}

static bool is_there(struct tempdir *dir, const char *name)
{
	return faccessat(dir->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void only_ids_of_the_service_are_ids(void **state)
{
	static const char *const good[] = {"d-1", "d-ABCDEF123", "d-U3S1WLM0I", "d-000000000"};
	static const char *const bad[] = {
		"",      "d-",    "d",      "ABC",   "d-../x", "d-A/B",     "d-A.B",  "d-abc",
		"D-ABC", "d-A B", "d-A\\B", "d-A\n", " d-A",   "d-A-local", "../d-A", "d-\xc3\x84"};
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		if (!reuse_is_id(good[i]))
			fail_msg("'%s'", good[i]);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (reuse_is_id(bad[i]))
			fail_msg("'%s'", bad[i]);
	char longest[REUSE_ID_MAX + 2];
	memset(longest, 'A', sizeof(longest));
	memcpy(longest, "d-", 2);
	longest[REUSE_ID_MAX + 1] = '\0';
	assert_false(reuse_is_id(longest));
	longest[REUSE_ID_MAX] = '\0';
	assert_true(reuse_is_id(longest));
}

static void the_notes_are_spelt_as_the_service_counts_them(void **state)
{
	assert_string_equal(REUSE_NOTE_REUSED, "Succeeded: BundleSource=archive-reuse");
	assert_string_equal(REUSE_NOTE_DOWNLOADED, "Succeeded: BundleSource=downloaded");
}

static void a_kept_revision_is_used_without_a_copy(void **state)
{
	struct fixture f;
	begin(&f, *state, "d-OLD");
	keep(&f, *state, "d-OLD", "d-OLD", "appspec.yml", "tag-1");
	tempdir_write(*state, "d-OLD/" GROUP_ARCHIVE "/sub/file", "deep");
	assert_int_equal(reuse_archive(&f.g), 1);
	assert_true(reuse_is_reused(&f.g));
	assert_string_equal(f.g.state->open->archive, "d-OLD");
	auto_free char *text = tempdir_read(*state, "d-NEW/" GROUP_ARCHIVE "/sub/file");
	assert_string_equal(text, "deep");
	assert_string_equal(f.g.state->open->job->spec->etag, "tag-1");
	reuse_write_marks(&f.g);
	auto_free char *source = tempdir_read(*state, "d-NEW/.bundle-source");
	auto_free char *etag = tempdir_read(*state, "d-NEW/.bundle-etag");
	assert_string_equal(source, "archive-reuse");
	assert_string_equal(etag, "tag-1");
	end(&f);
}

/* d-OLD was itself a restart of d-FIRST: the archive and the ETag are the first one's. */
static void a_chain_leads_to_the_first_one(void **state)
{
	struct fixture f;
	begin(&f, *state, "d-OLD");
	keep(&f, *state, "d-FIRST", "d-FIRST", "appspec.yaml", "tag-1");
	keep(&f, *state, "d-OLD", "d-FIRST", NULL, "tag-1");
	assert_int_equal(reuse_archive(&f.g), 1);
	assert_string_equal(f.g.state->open->archive, "d-FIRST");
	assert_string_equal(f.g.state->open->job->spec->etag, "tag-1");
	assert_true(is_there(*state, "d-NEW/" GROUP_ARCHIVE "/appspec.yaml"));
	end(&f);
}

static void the_etag_of_the_specification_counts(void **state)
{
	struct fixture f;
	begin(&f, *state, "d-OLD");
	keep(&f, *state, "d-OLD", "d-OLD", "appspec.yml", "tag-1");
	f.g.state->open->job->spec->etag = xstrdup("tag-2");
	assert_int_equal(reuse_archive(&f.g), 1);
	assert_string_equal(f.g.state->open->job->spec->etag, "tag-2");
	end(&f);
}

static void what_an_earlier_try_left_is_replaced(void **state)
{
	struct fixture f;
	begin(&f, *state, "d-OLD");
	keep(&f, *state, "d-OLD", "d-OLD", "appspec.yml", NULL);
	make(*state, "d-NEW/" GROUP_ARCHIVE "/stale");
	tempdir_write(*state, "d-NEW/bundle.tar", "stale");
	assert_int_equal(reuse_archive(&f.g), 1);
	assert_false(is_there(*state, "d-NEW/bundle.tar"));
	assert_false(is_there(*state, "d-OLD/" GROUP_ARCHIVE "/stale"));
	assert_true(is_there(*state, "d-NEW/" GROUP_ARCHIVE "/appspec.yml"));
	end(&f);
}

/* Is the download's turn, with nothing made and nothing lost? */
static void assert_downloads(struct fixture *f, struct tempdir *dir)
{
	assert_int_equal(reuse_archive(&f->g), 0);
	assert_false(is_there(dir, "d-NEW"));
	assert_null(f->g.state->open->archive);
	assert_null(f->g.state->open->job->spec->etag);
}

static void what_cannot_be_an_id_makes_nothing(void **state)
{
	static const char *const bad[] = {NULL, "d-../d-OLD", "../d-OLD", "d-old", "d-OLD/", "d-"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct fixture f;
		begin(&f, *state, bad[i]);
		keep(&f, *state, "d-OLD", "d-OLD", "appspec.yml", "t");
		assert_downloads(&f, *state);
		end(&f);
	}
	assert_true(is_there(*state, "d-OLD/" GROUP_ARCHIVE "/appspec.yml"));
}

static void a_deployment_is_not_made_of_itself(void **state)
{
	struct fixture f;
	begin(&f, *state, "d-NEW");
	keep(&f, *state, "d-NEW", "d-NEW", "appspec.yml", "t");
	assert_int_equal(reuse_archive(&f.g), 0);
	assert_null(f.g.state->open->archive);
	end(&f);
}

static void the_option_switches_it_off(void **state)
{
	struct fixture f;
	begin(&f, *state, "d-OLD");
	keep(&f, *state, "d-OLD", "d-OLD", "appspec.yml", "t");
	f.run.settings.enable_archive_reuse = false;
	assert_downloads(&f, *state);
	end(&f);
}

static void what_is_gone_empty_or_without_an_appspec_is_downloaded(void **state)
{
	struct fixture f;
	begin(&f, *state, "d-OLD");
	assert_downloads(&f, *state); /* never kept */
	keep(&f, *state, "d-OLD", "d-OLD", NULL, "t");
	assert_downloads(&f, *state);
	struct tempdir *dir = *state;
	assert_int_equal(fs_remove_tree(dir->fd, "d-OLD/" GROUP_ARCHIVE, NULL), 0);
	assert_downloads(&f, *state);
	tempdir_write(*state, "d-OLD/" GROUP_ARCHIVE, "a file");
	assert_downloads(&f, *state);
	end(&f);
}

static void the_appspec_that_is_asked_for_must_be_there(void **state)
{
	struct fixture f;
	begin(&f, *state, "d-OLD");
	keep(&f, *state, "d-OLD", "d-OLD", "appspec.yml", "t");
	f.g.state->open->job->spec->appspec_name = xstrdup("sub/other.yml");
	assert_downloads(&f, *state);
	tempdir_write(*state, "d-OLD/" GROUP_ARCHIVE "/sub/other.yml", "version: 0.0\n");
	assert_int_equal(reuse_archive(&f.g), 1);
	end(&f);
}

static void an_archive_outside_of_the_group_is_none(void **state)
{
	struct fixture f;
	struct tempdir *dir = *state;
	begin(&f, dir, "d-OLD");
	keep(&f, dir, "d-OLD", "d-OLD", NULL, "t");
	assert_int_equal(fs_remove_tree(dir->fd, "d-OLD/" GROUP_ARCHIVE, NULL), 0);
	char outside[] = "/tmp/slipway-outside-XXXXXX";
	assert_non_null(mkdtemp(outside));
	auto_free char *appspec = xasprintf("%s/appspec.yml", outside);
	int fd = open(appspec, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(symlinkat(outside, dir->fd, "d-OLD/" GROUP_ARCHIVE), 0);
	assert_downloads(&f, dir);
	assert_int_equal(unlink(appspec), 0);
	assert_int_equal(rmdir(outside), 0);
	end(&f);
}

/* The options of today hold for what came yesterday. */
static void what_would_be_refused_now_is_downloaded(void **state)
{
	struct fixture f;
	struct tempdir *dir = *state;
	begin(&f, dir, "d-OLD");
	keep(&f, dir, "d-OLD", "d-OLD", "appspec.yml", "t");
	tempdir_write(dir, "d-OLD/" GROUP_ARCHIVE "/tool", "12345678");
	assert_int_equal(fchmodat(dir->fd, "d-OLD/" GROUP_ARCHIVE "/tool", 04755, 0), 0);
	assert_downloads(&f, dir);
	f.run.settings.allow_setid = true;
	f.run.settings.archive_max_bytes = 7;
	assert_downloads(&f, dir);
	f.run.settings.archive_max_bytes = 0;
	f.run.settings.archive_max_entries = 1;
	assert_downloads(&f, dir);
	f.run.settings.archive_max_entries = 100;
	f.run.settings.archive_max_extraction_size = 7;
	assert_downloads(&f, dir);
	f.run.settings.archive_max_extraction_size = 0;
	f.run.settings.reject_symlinks_in_bundle = true;
	assert_int_equal(symlinkat("tool", dir->fd, "d-OLD/" GROUP_ARCHIVE "/link"), 0);
	assert_downloads(&f, dir);
	f.run.settings.reject_symlinks_in_bundle = false;
	assert_int_equal(reuse_archive(&f.g), 1);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_ids_of_the_service_are_ids),
		cmocka_unit_test(the_notes_are_spelt_as_the_service_counts_them),
		tempdir_test(a_kept_revision_is_used_without_a_copy),
		tempdir_test(a_chain_leads_to_the_first_one),
		tempdir_test(the_etag_of_the_specification_counts),
		tempdir_test(what_an_earlier_try_left_is_replaced),
		tempdir_test(what_cannot_be_an_id_makes_nothing),
		tempdir_test(a_deployment_is_not_made_of_itself),
		tempdir_test(the_option_switches_it_off),
		tempdir_test(what_is_gone_empty_or_without_an_appspec_is_downloaded),
		tempdir_test(the_appspec_that_is_asked_for_must_be_there),
		tempdir_test(an_archive_outside_of_the_group_is_none),
		tempdir_test(what_would_be_refused_now_is_downloaded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
