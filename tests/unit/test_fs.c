// SPDX-License-Identifier: Apache-2.0
#include "common/buf.h"
#include "common/fs.h"
#include "tests/unit/tempdir.h"

#include <sys/wait.h>

static void a_written_file_replaces_the_old_one_whole(void **state)
{
	struct tempdir *dir = *state;
	struct error err = {0};
	tempdir_write(dir, "state.json", "old and longer");
	assert_int_equal(fs_write_atomic(dir->fd, "state.json", "new", 3, 0640, &err), 0);
	auto_free char *text = tempdir_read(dir, "state.json");
	assert_string_equal(text, "new");
	struct stat st;
	assert_int_equal(fstatat(dir->fd, "state.json", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(faccessat(dir->fd, ".state.json.new", F_OK, 0), -1);
}

static void what_a_crash_left_beside_is_used_up(void **state)
{
	struct tempdir *dir = *state;
	struct error err = {0};
	tempdir_write(dir, ".f.new", "half of something much longer");
	assert_int_equal(fs_write_atomic(dir->fd, "f", "new", 3, 0600, &err), 0);
	auto_free char *text = tempdir_read(dir, "f");
	assert_string_equal(text, "new");
	assert_int_equal(faccessat(dir->fd, ".f.new", F_OK, 0), -1);
}

static void writing_beside_does_not_go_through_a_planted_symlink(void **state)
{
	struct tempdir *dir = *state;
	struct error err = {0};
	tempdir_write(dir, "victim", "mine");
	assert_int_equal(symlinkat("victim", dir->fd, ".f.new"), 0);
	assert_int_equal(fs_write_atomic(dir->fd, "f", "new", 3, 0600, &err), 0);
	auto_free char *text = tempdir_read(dir, "victim");
	assert_string_equal(text, "mine");
}

/* Many writers of one name at once: every reader finds the whole text of one of them. */
static void writers_of_one_name_never_mix(void **state)
{
	struct tempdir *dir = *state;
	pid_t pids[4];
	for (size_t i = 0; i < 4; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] > 0)
			continue;
		char text[5000];
		memset(text, 'a' + (int)i, sizeof(text));
		int r = 0;
		for (int n = 0; n < 20 && r == 0; n++)
			r = fs_write_atomic(dir->fd, "f", text, sizeof(text), 0600, NULL);
		_exit(r == 0 ? 0 : 1);
	}
	for (size_t i = 0; i < 4; i++) {
		int status = -1;
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	auto_free char *text = tempdir_read(dir, "f");
	assert_int_equal(strlen(text), 5000);
	for (size_t i = 1; i < 5000; i++)
		assert_int_equal(text[i], text[0]);
}

static void only_small_regular_files_are_read(void **state)
{
	struct tempdir *dir = *state;
	struct error err = {0};
	char *text = NULL;
	tempdir_write(dir, "f", "12345");
	assert_int_equal(symlinkat("f", dir->fd, "link"), 0);
	assert_int_equal(mkfifoat(dir->fd, "fifo", 0600), 0);
	assert_int_equal(fs_read_file(dir->fd, "f", 4, &text, NULL, &err), -EFBIG);
	assert_int_equal(fs_read_file(dir->fd, "link", 9, &text, NULL, &err), -ELOOP);
	assert_int_equal(fs_read_file(dir->fd, "fifo", 9, &text, NULL, &err), -EINVAL);
	assert_int_equal(fs_read_file(dir->fd, "none", 9, &text, NULL, &err), -ENOENT);
	assert_null(text);
}

static void opening_beneath_goes_through_no_symlink_and_not_up(void **state)
{
	struct tempdir *dir = *state;
	assert_int_equal(mkdirat(dir->fd, "a", 0755), 0);
	tempdir_write(dir, "a/f", "x");
	assert_int_equal(symlinkat("a", dir->fd, "link"), 0);
	assert_int_equal(symlinkat("/etc", dir->fd, "out"), 0);
	auto_close int fd = fs_open_beneath(dir->fd, "a/f", O_RDONLY, 0);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(fs_open_beneath(dir->fd, "link/f", O_RDONLY, 0), -ELOOP);
	assert_int_equal(fs_open_beneath(dir->fd, "../x", O_RDONLY, 0), -EXDEV);
	assert_int_equal(fs_open_beneath(dir->fd, "/etc", O_RDONLY, 0), -EXDEV);
	auto_close int inside = fs_open_inside(dir->fd, "link/f", O_RDONLY, 0);
	assert_true(inside >= 0);
	assert_int_equal(fs_open_inside(dir->fd, "out/passwd", O_RDONLY, 0), -EXDEV);
}

static void directories_are_made_with_the_exact_mode(void **state)
{
	struct tempdir *dir = *state;
	struct error err = {0};
	mode_t old = umask(0077);
	auto_close int fd = fs_mkdirs(dir->fd, "a//b/./c", 0775, &err);
	umask(old);
	assert_true(fd >= 0);
	struct stat st, own;
	assert_int_equal(fstatat(dir->fd, "a/b/c", &st, 0), 0);
	assert_int_equal(fstat(fd, &own), 0);
	assert_true(st.st_ino == own.st_ino);
	assert_int_equal(st.st_mode & 07777, 0775);
	auto_close int again = fs_mkdirs(dir->fd, "a/b/c", 0700, &err);
	assert_true(again >= 0);
	assert_int_equal(fstat(again, &own), 0);
	assert_int_equal(own.st_mode & 07777, 0775);
}

static void directories_inherit_the_group_for_what_is_made_in_them(void **state)
{
	struct tempdir *dir = *state;
	struct error err = {0};
	struct stat st;
	assert_int_equal(fchmod(dir->fd, 02750), 0);
	auto_close int fd = fs_mkdirs(dir->fd, "a/b", 0750, &err);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 02750);
	auto_free char *path = fs_join(dir->path, "c/d");
	assert_int_equal(fs_mkdirs_path(path, 0750, &err), 0);
	assert_int_equal(fstatat(dir->fd, "c/d", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 02750);
}

static void directories_are_not_made_through_symlinks_or_upwards(void **state)
{
	struct tempdir *dir = *state;
	struct error err = {0};
	assert_int_equal(symlinkat("/tmp", dir->fd, "link"), 0);
	tempdir_write(dir, "file", "");
	assert_int_equal(fs_mkdirs(dir->fd, "link/x", 0755, &err), -ELOOP);
	assert_int_equal(fs_mkdirs(dir->fd, "a/../../x", 0755, &err), -EXDEV);
	assert_int_equal(fs_mkdirs(dir->fd, "file/x", 0755, &err), -ENOTDIR);
}

static void a_path_of_directories_is_made(void **state)
{
	struct tempdir *dir = *state;
	struct error err = {0};
	auto_free char *path = fs_join(dir->path, "x/y//z/");
	assert_int_equal(fs_mkdirs_path(path, 0711, &err), 0);
	assert_int_equal(fs_mkdirs_path(path, 0711, &err), 0);
	struct stat st;
	assert_int_equal(fstatat(dir->fd, "x/y/z", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0711);
	tempdir_write(dir, "file", "");
	auto_free char *bad = fs_join(dir->path, "file/y");
	assert_int_equal(fs_mkdirs_path(bad, 0711, &err), -ENOTDIR);
}

/* A chain of directories far deeper than the descriptors of a process. */
static void make_deep(const struct tempdir *dir, int depth)
{
	int fd = dup(dir->fd);
	for (int i = 0; i < depth; i++) {
		assert_int_equal(mkdirat(fd, "d", 0755), 0);
		int next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		close(fd);
		fd = next;
	}
	int leaf = openat(fd, "leaf", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(leaf >= 0);
	close(leaf);
	close(fd);
}

static void a_tree_of_any_depth_is_removed(void **state)
{
	struct tempdir *dir = *state;
	struct error err = {0};
	make_deep(dir, 3000);
	assert_int_equal(fs_remove_tree(dir->fd, "d", &err), 0);
	assert_int_equal(faccessat(dir->fd, "d", F_OK, 0), -1);
}

static void removal_does_not_follow_symlinks(void **state)
{
	struct tempdir *dir = *state;
	struct error err = {0};
	assert_int_equal(mkdirat(dir->fd, "keep", 0755), 0);
	tempdir_write(dir, "keep/f", "x");
	assert_int_equal(mkdirat(dir->fd, "go", 0755), 0);
	assert_int_equal(symlinkat("../keep", dir->fd, "go/link"), 0);
	assert_int_equal(symlinkat("keep", dir->fd, "top"), 0);
	assert_int_equal(fs_remove_tree(dir->fd, "go", &err), 0);
	assert_int_equal(fs_remove_tree(dir->fd, "top", &err), 0);
	assert_int_equal(fs_remove_tree(dir->fd, "never there", &err), 0);
	auto_free char *text = tempdir_read(dir, "keep/f");
	assert_string_equal(text, "x");
}

static void directories_without_permissions_are_removed_by_their_owner(void **state)
{
	struct tempdir *dir = *state;
	struct error err = {0};
	assert_int_equal(mkdirat(dir->fd, "a", 0755), 0);
	assert_int_equal(mkdirat(dir->fd, "a/closed", 0755), 0);
	tempdir_write(dir, "a/closed/f", "x");
	assert_int_equal(fchmodat(dir->fd, "a/closed", 0, 0), 0);
	assert_int_equal(fchmodat(dir->fd, "a", 0500, 0), 0);
	assert_int_equal(fs_remove_tree(dir->fd, "a", &err), 0);
}

static int list(const struct fs_entry *entry, void *arg, struct error *err)
{
	buf_addf(arg, "%s%s%s ", entry->leaving ? "-" : "", entry->path,
		 S_ISDIR(entry->st.st_mode) ? "/" : "");
	return strcmp(entry->name, "skip") == 0 ? FS_WALK_SKIP : 0;
}

static void make_small_tree(const struct tempdir *dir)
{
	assert_int_equal(mkdirat(dir->fd, "b", 0755), 0);
	assert_int_equal(mkdirat(dir->fd, "b/skip", 0755), 0);
	tempdir_write(dir, "b/skip/f", "");
	tempdir_write(dir, "b/a", "");
	tempdir_write(dir, "a", "");
	assert_int_equal(symlinkat("/", dir->fd, "c"), 0);
}

static void a_walk_visits_parents_first_and_follows_no_symlink(void **state)
{
	make_small_tree(*state);
	const struct tempdir *dir = *state;
	auto_buf struct buf seen = BUF_INIT(1000);
	struct error err = {0};
	assert_int_equal(fs_walk(dir->fd, FS_WALK_SORTED, list, &seen, &err), 0);
	assert_string_equal(buf_str(&seen), "a b/ b/a b/skip/ c ");
}

static void a_walk_can_come_back_to_directories(void **state)
{
	make_small_tree(*state);
	const struct tempdir *dir = *state;
	auto_buf struct buf seen = BUF_INIT(1000);
	assert_int_equal(fs_walk(dir->fd, FS_WALK_SORTED | FS_WALK_POST, list, &seen, NULL), 0);
	assert_string_equal(buf_str(&seen), "a b/ b/a b/skip/ -b/ c ");
}

static int stop(const struct fs_entry *entry, void *arg, struct error *err)
{
	return error_set(err, ERR_REFUSED, "stop at '%s'", entry->path);
}

static void a_walk_stops_with_the_callers_code(void **state)
{
	make_small_tree(*state);
	const struct tempdir *dir = *state;
	struct error err = {0};
	assert_int_equal(fs_walk(dir->fd, FS_WALK_SORTED, stop, NULL, &err), ERR_REFUSED);
	assert_string_equal(err.text, "stop at 'a'");
}

static void a_walk_refuses_a_tree_that_is_too_deep(void **state)
{
	struct tempdir *dir = *state;
	make_deep(dir, 300);
	auto_buf struct buf seen = BUF_INIT(1 << 20);
	struct error err = {0};
	assert_int_equal(fs_walk(dir->fd, 0, list, &seen, &err), ERR_LIMIT);
}

static void a_copy_has_the_same_bytes_and_holes(void **state)
{
	struct tempdir *dir = *state;
	struct error err = {0};
	tempdir_write(dir, "in", "head");
	auto_close int in = openat(dir->fd, "in", O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(in, "tail", 4, 8 << 20), 4);
	assert_int_equal(ftruncate(in, 16 << 20), 0);
	auto_close int out = openat(dir->fd, "out", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(fs_copy_content(in, out, FS_COPY_LAST_READ, &err), 0);
	struct stat st;
	assert_int_equal(fstat(out, &st), 0);
	assert_int_equal(st.st_size, 16 << 20);
	assert_true(st.st_blocks * 512 < 4 << 20);
	char bytes[9] = "";
	assert_int_equal(pread(out, bytes, 4, 0), 4);
	assert_int_equal(pread(out, bytes + 4, 4, 8 << 20), 4);
	assert_string_equal(bytes, "headtail");
}

static void paths_join_with_one_slash(void **state)
{
	static const char *const cases[][3] = {
		{"a", "b", "a/b"},    {"a/", "/b", "a/b"}, {"", "/etc", "/etc"},
		{"/", "etc", "/etc"}, {"a//", "", "a"},    {"/", "", "/"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_free char *joined = fs_join(cases[i][0], cases[i][1]);
		assert_string_equal(joined, cases[i][2]);
	}
}

static void paths_are_normalised_by_text(void **state)
{
	static const char *const cases[][2] = {
		{"/", "/"},          {"//a/./b//", "/a/b"},    {"/a/../b", "/b"},
		{"/a/b/../..", "/"}, {"/..a/b..", "/..a/b.."},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_free char *path = NULL;
		assert_int_equal(fs_normalise(cases[i][0], &path), 0);
		assert_string_equal(path, cases[i][1]);
	}
	char *path = NULL;
	assert_int_equal(fs_normalise("a/b", &path), -EINVAL);
	assert_int_equal(fs_normalise("", &path), -EINVAL);
	assert_int_equal(fs_normalise("/a/../../b", &path), -EINVAL);
	assert_null(path);
}

static void a_lock_is_held_until_its_descriptor_is_closed(void **state)
{
	struct tempdir *dir = *state;
	struct error err = {0};
	int fd = fs_lock(dir->fd, "lock", 0, &err);
	assert_true(fd >= 0);
	assert_int_equal(fs_lock(dir->fd, "lock", 30, &err), ERR_BUSY);
	assert_string_equal(err.text, "'lock' is locked by another process");
	close(fd);
	fd = fs_lock(dir->fd, "lock", 0, &err);
	assert_true(fd >= 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		tempdir_test(a_written_file_replaces_the_old_one_whole),
		tempdir_test(what_a_crash_left_beside_is_used_up),
		tempdir_test(writing_beside_does_not_go_through_a_planted_symlink),
		tempdir_test(writers_of_one_name_never_mix),
		tempdir_test(only_small_regular_files_are_read),
		tempdir_test(opening_beneath_goes_through_no_symlink_and_not_up),
		tempdir_test(directories_are_made_with_the_exact_mode),
		tempdir_test(directories_inherit_the_group_for_what_is_made_in_them),
		tempdir_test(directories_are_not_made_through_symlinks_or_upwards),
		tempdir_test(a_path_of_directories_is_made),
		tempdir_test(a_tree_of_any_depth_is_removed),
		tempdir_test(removal_does_not_follow_symlinks),
		tempdir_test(directories_without_permissions_are_removed_by_their_owner),
		tempdir_test(a_walk_visits_parents_first_and_follows_no_symlink),
		tempdir_test(a_walk_can_come_back_to_directories),
		tempdir_test(a_walk_stops_with_the_callers_code),
		tempdir_test(a_walk_refuses_a_tree_that_is_too_deep),
		tempdir_test(a_copy_has_the_same_bytes_and_holes),
		cmocka_unit_test(paths_join_with_one_slash),
		cmocka_unit_test(paths_are_normalised_by_text),
		tempdir_test(a_lock_is_held_until_its_descriptor_is_closed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
