// SPDX-License-Identifier: Apache-2.0
/* What real tar and zip programs make, and what attackers make, is in tests/e2e/bundles.sh. */
#include "agent/launch.h"
#include "agent/worker/bundle-archive.h"
#include "agent/worker/bundle-child.h"
#include "agent/worker/bundle-contain.h"
#include "agent/worker/bundle-size.h"
#include "agent/worker/bundle-write.h"
#include "agent/worker/bundle.h"
#include "common/alloc.h"
#include "common/buf.h"
#include "common/fs.h"
#include "tests/unit/tempdir.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

static int root = -1; /* of the running test */

static int make_root(void **state)
{
	int r = tempdir_setup(state);
	root = r < 0 ? -1 : ((struct tempdir *)*state)->fd;
	return r;
}

static int make_dir(const char *name)
{
	assert_int_equal(mkdirat(root, name, 0755), 0);
	int fd = openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void put(int dir, const char *name, const char *text)
{
	auto_close int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(fs_write_all(fd, text, strlen(text)), 0);
}

static void assert_holds(int dir, const char *name, const char *text)
{
	auto_free char *got = NULL;
	assert_int_equal(fs_read_file(dir, name, 1 << 20, &got, NULL, NULL), 0);
	assert_string_equal(got, text);
}

static bool exists(int dir, const char *name)
{
	return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void types_have_names_and_suffixes(void **state)
{
	static const struct {
		const char *path;
		enum bundle_type type;
	} rows[] = {
		{"a.tar", BUNDLE_TAR},           {"/x/a.tgz", BUNDLE_TGZ},
		{"a.b.tar.gz", BUNDLE_TGZ},      {"a.tar.zst", BUNDLE_TAR_ZST},
		{"https://h/a.zip", BUNDLE_ZIP},
	};
	enum bundle_type type = BUNDLE_AUTO;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(bundle_type_from_path(rows[i].path, &type), 0);
		assert_int_equal(type, rows[i].type);
		assert_int_equal(bundle_type_from_string(bundle_type_to_string(type), &type), 0);
		assert_int_equal(type, rows[i].type);
	}
	assert_int_equal(bundle_type_from_path("a.rar", &type), -EINVAL);
	assert_int_equal(bundle_type_from_path("tar", &type), -EINVAL);
	assert_int_equal(bundle_type_from_string("rar", &type), -EINVAL);
}

/* The header of a frame, RFC 8878: the size has 1, 2, 4 or 8 bytes, or is not there. */
static void a_zstd_stream_may_tell_its_size(void **state)
{
	static const struct {
		const char *head;
		size_t len;
		uint64_t size;
	} rows[] = {
		{"\x28\xb5\x2f\xfd\x20\x37", 6, 55},
		{"\x28\xb5\x2f\xfd\x60\x01\x01", 7, 257 + 256},
		{"\x28\xb5\x2f\xfd\xa0\x01\0\0\x80", 9, 0x80000001},
		{"\x28\xb5\x2f\xfd\xe0\x01\0\0\0\0\0\0\x01", 13, (UINT64_C(1) << 56) + 1},
		{"\x28\xb5\x2f\xfd\x83\x58"
		 "DICT\x05\0\0\0",
		 14, 5}, /* window, dictionary */
		{"\x28\xb5\x2f\xfd\x04\x58\x01\x02\x03\x04", 10, 0},
		{"\x28\xb5\x2f\xfd\xe0\x01\0\0\0\0\0\0", 12, 0}, /* cut off */
		{"\x28\xb5\x2f\xfd", 4, 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(bundle_size_zstd(rows[i].head, rows[i].len), rows[i].size);
}

/* Packed and unpacked */

static void make_tree(int dir)
{
	put(dir, "appspec.yml", "version: 0.0\nos: linux\n");
	assert_int_equal(mkdirat(dir, "sub", 0755), 0);
	put(dir, "sub/file", "hello");
	assert_int_equal(symlinkat("sub/file", dir, "link"), 0);
}

static int pack(int dir, enum bundle_type type, const char *name, struct bundle_stats *stats)
{
	int fd = openat(root, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(bundle_pack(dir, type, fd, stats, NULL), 0);
	return fd;
}

static void note_progress(uint64_t done, uint64_t total, void *arg)
{
	uint64_t *seen = arg;
	assert_true(done >= *seen);
	assert_true(done <= total);
	*seen = done;
}

static void what_was_packed_is_unpacked(void **state)
{
	static const enum bundle_type types[] = {BUNDLE_TGZ, BUNDLE_ZIP};
	auto_close int tree = make_dir("tree");
	auto_close int out = make_dir("out");
	make_tree(tree);
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct bundle_stats packed = {0}, unpacked = {0};
		struct bundle_limits limits = {0};
		uint64_t seen = 0;
		auto_close int fd = pack(tree, types[i], "packed", &packed);
		struct bundle_source source = {.fd = fd,
					       .type = types[i],
					       .name = "packed",
					       .sha256 = packed.sha256,
					       .size_bytes = lseek(fd, 0, SEEK_END)};
		assert_int_equal(bundle_unpack(&source, out, "archive", &limits, note_progress,
					       &seen, &unpacked, NULL),
				 0);
		assert_int_equal(seen, source.size_bytes);
		assert_string_equal(packed.sha256, unpacked.sha256);
		assert_int_equal(packed.entries, 4);
		assert_int_equal(unpacked.entries, 4);
		assert_int_equal(unpacked.bytes, packed.bytes);
		assert_holds(out, "archive/sub/file", "hello");
		assert_false(exists(out, ".archive.new"));
	}
}

static void a_failed_bundle_leaves_the_old_archive(void **state)
{
	auto_close int tree = make_dir("tree");
	auto_close int out = make_dir("out");
	make_tree(tree);
	auto_close int old = make_dir("out/archive");
	put(old, "old", "old");
	struct bundle_stats stats = {0};
	auto_close int fd = pack(tree, BUNDLE_TGZ, "packed", &stats);
	struct bundle_limits limits = {.max_entries = 2};
	struct bundle_source source = {
		.fd = fd, .type = BUNDLE_TGZ, .name = "p\033.tgz", .size_bytes = -1};
	struct error err = {0};
	assert_int_equal(bundle_unpack(&source, out, "archive", &limits, NULL, NULL, NULL, &err),
			 ERR_LIMIT);
	assert_non_null(strstr(err.text, "more than 2 entries"));
	assert_holds(out, "archive/old", "old");
	assert_false(exists(out, ".archive.new"));
}

/* Streams */

static int drain(struct bundle_stream *s, struct buf *out, struct error *err)
{
	for (;;) {
		const void *data = NULL;
		ssize_t n = s->next(s, &data, err);
		if (n <= 0)
			return (int)n;
		assert_int_equal(buf_add(out, data, (size_t)n), 0);
	}
}

/* gzip of "hello\n" */
static const unsigned char hello_gz[] = {0x1f, 0x8b, 8,    0,    0,    0,    0,    0, 0,
					 3,    0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0xe7, 2, 0,
					 0x20, 0x30, 0x3a, 0x36, 6,    0,    0,    0};

static int gunzip(const void *data, size_t len, struct buf *out, struct error *err)
{
	auto_bundle_stream struct bundle_stream *s =
		bundle_stream_gzip(bundle_stream_memory(data, len));
	return drain(s, out, err);
}

static void a_gzip_stream_is_read_to_its_checked_end(void **state)
{
	auto_buf struct buf out = BUF_INIT(1000);
	assert_int_equal(gunzip(hello_gz, sizeof(hello_gz), &out, NULL), 0);
	assert_string_equal(buf_str(&out), "hello\n");

	auto_buf struct buf twice = BUF_INIT(1000);
	buf_add(&twice, hello_gz, sizeof(hello_gz));
	buf_add(&twice, hello_gz, sizeof(hello_gz));
	buf_add(&twice, "\0\0\0", 3);
	buf_reset(&out);
	assert_int_equal(gunzip(buf_str(&twice), twice.len, &out, NULL), 0);
	assert_string_equal(buf_str(&out), "hello\nhello\n");
}

static void a_gzip_stream_cut_anywhere_is_refused(void **state)
{
	for (size_t len = 0; len < sizeof(hello_gz); len++) {
		auto_buf struct buf out = BUF_INIT(1000);
		struct error err = {0};
		assert_int_equal(gunzip(hello_gz, len, &out, &err), ERR_INPUT);
		assert_non_null(strstr(err.text, "truncated"));
	}
}

static void a_gzip_stream_altered_anywhere_is_refused(void **state)
{
	for (size_t at = 0; at < sizeof(hello_gz); at++) {
		/* time, system and the last bits of the content say nothing */
		if ((at >= 3 && at < 10) || at == 17)
			continue;
		unsigned char bad[sizeof(hello_gz)];
		auto_buf struct buf out = BUF_INIT(100000);
		memcpy(bad, hello_gz, sizeof(bad));
		bad[at] ^= 0x10;
		assert_true(gunzip(bad, sizeof(bad), &out, NULL) < 0);
	}
}

static void zeros_before_another_gzip_member_are_garbage(void **state)
{
	auto_buf struct buf bytes = BUF_INIT(1000), out = BUF_INIT(1000);
	struct error err = {0};
	buf_add(&bytes, hello_gz, sizeof(hello_gz));
	buf_addc(&bytes, '\0');
	buf_add(&bytes, hello_gz, sizeof(hello_gz));
	assert_int_equal(gunzip(buf_str(&bytes), bytes.len, &out, &err), ERR_INPUT);
	assert_non_null(strstr(err.text, "garbage"));
}

static void an_endless_tail_behind_a_tar_is_not_read_for_ever(void **state)
{
	/* an empty tar, and far more zeros than any blocking factor explains */
	size_t len = 70u << 20;
	auto_free char *zeros = xcalloc(1, len);
	auto_bundle_writer struct bundle_writer w = {0};
	struct bundle_limits limits = {0};
	struct error err = {0};
	assert_int_equal(bundle_writer_init(&w, root, &limits, NULL), 0);
	auto_bundle_stream struct bundle_stream *s = bundle_stream_memory(zeros, len);
	assert_int_equal(bundle_read_tar(s, true, &w, NULL, NULL, &err), 0);
	/* in one piece it is in memory already; in pieces it is counted */
	auto_close int fd = memfd_create("zeros", MFD_CLOEXEC);
	assert_int_equal(ftruncate(fd, (off_t)len), 0);
	auto_bundle_stream struct bundle_stream *pieces = bundle_stream_fd(fd);
	assert_int_equal(bundle_read_tar(pieces, true, &w, NULL, NULL, &err), ERR_LIMIT);
}

/* The writer */

static struct bundle_entry file_entry(const char *path, mode_t mode)
{
	return (struct bundle_entry){.path = path,
				     .mode = S_IFREG | mode,
				     .uid = geteuid(),
				     .gid = getegid(),
				     .has_mtime = true,
				     .mtime = {.tv_sec = 1000}};
}

static void write_file(struct bundle_writer *w, const char *path, const char *text)
{
	struct bundle_entry entry = file_entry(path, 0640);
	assert_int_equal(bundle_write_entry(w, &entry, NULL), 0);
	assert_int_equal(bundle_write_data(w, text, strlen(text), 0, NULL), 0);
	assert_int_equal(bundle_write_end(w, strlen(text), NULL), 0);
}

static void a_writer_makes_directories_that_nobody_mentions(void **state)
{
	auto_bundle_writer struct bundle_writer w = {0};
	struct bundle_limits limits = {0};
	struct stat st;
	assert_int_equal(bundle_writer_init(&w, root, &limits, NULL), 0);
	write_file(&w, "/a//./b/c/", "text");
	assert_int_equal(bundle_write_finish(&w, NULL), 0);
	assert_holds(root, "a/b/c", "text");
	assert_int_equal(fstatat(root, "a/b", &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0755);
	assert_int_equal(fstatat(root, "a/b/c", &st, 0), 0);
	assert_int_equal(st.st_mtim.tv_sec, 1000);
	assert_int_equal(w.entries, 1);
	assert_int_equal(w.bytes, 4);
}

static void a_directory_gets_its_mode_and_time_at_the_end(void **state)
{
	auto_bundle_writer struct bundle_writer w = {0};
	struct bundle_limits limits = {0};
	struct stat st;
	struct bundle_entry dir = file_entry("d", 0);
	dir.mode = S_IFDIR | 02750;
	assert_int_equal(bundle_writer_init(&w, root, &limits, NULL), 0);
	assert_int_equal(bundle_write_entry(&w, &dir, NULL), 0);
	write_file(&w, "d/file", "x");
	dir.mode = S_IFDIR | 0700;
	dir.path = "d/gone";
	assert_int_equal(bundle_write_entry(&w, &dir, NULL), 0);
	write_file(&w, "d/gone", "a file after all");
	assert_int_equal(bundle_write_finish(&w, NULL), 0);
	assert_int_equal(fstatat(root, "d", &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 02750);
	assert_int_equal(st.st_mtim.tv_sec, 1000);
	assert_holds(root, "d/gone", "a file after all");
}

static void a_data_block_beyond_any_file_is_refused(void **state)
{
	auto_bundle_writer struct bundle_writer w = {0};
	struct bundle_limits limits = {0};
	struct bundle_entry entry = file_entry("f", 0644);
	assert_int_equal(bundle_writer_init(&w, root, &limits, NULL), 0);
	assert_int_equal(bundle_write_entry(&w, &entry, NULL), 0);
	assert_int_equal(bundle_write_data(&w, "x", 1, INT64_MAX, NULL), ERR_INPUT);
	assert_true(bundle_write_end(&w, UINT64_MAX, NULL) < 0);
}

/* Run fn in a process of its own, for it cannot be undone; its failed assertions end it with 1. */
static int in_child(int (*fn)(void))
{
	pid_t pid = fork();
	if (pid == 0)
		_exit(fn());
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

#define SKIPPED 77
#define CHECK(cond)                                                                \
	do {                                                                       \
		if (!(cond)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
			return 1;                                                  \
		}                                                                  \
	} while (0)

/* As on a kernel whose Landlock has no right to link between directories. */
static int link_without_right(void)
{
	struct landlock_ruleset_attr ruleset = {.handled_access_fs = LANDLOCK_ACCESS_FS_MAKE_BLOCK};
	long fd = syscall(SYS_landlock_create_ruleset, &ruleset, sizeof(ruleset.handled_access_fs),
			  0);
	if (fd < 0)
		return SKIPPED;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	CHECK(syscall(SYS_landlock_restrict_self, fd, 0) == 0);

	auto_bundle_writer struct bundle_writer w = {0};
	struct bundle_limits limits = {0};
	struct bundle_entry link = {.path = "two/link", .hardlink = "one/file"};
	struct stat st;
	CHECK(bundle_writer_init(&w, root, &limits, NULL) == 0);
	write_file(&w, "one/file", "text");
	CHECK(bundle_write_entry(&w, &link, NULL) == 0);
	CHECK(fstatat(root, "two/link", &st, 0) == 0);
	CHECK(st.st_size == 4 && st.st_mode == (S_IFREG | 0640) && st.st_mtim.tv_sec == 1000);
	return 0;
}

static void a_hard_link_that_is_forbidden_becomes_a_copy(void **state)
{
	int r = in_child(link_without_right);
	if (r == SKIPPED)
		skip();
	assert_int_equal(r, 0);
}

static int look_around(void)
{
	int outside = fcntl(root, F_DUPFD_CLOEXEC, 50);
	int control = open("/dev/null", O_RDONLY | O_CLOEXEC), dir = dup(root);
	int *fds[] = {&control, &dir};
	CHECK(bundle_contain_fds(fds, 2) == 0);
	CHECK(control == 3 && dir == 4);
	CHECK(fcntl(outside, F_GETFD) < 0 && errno == EBADF);
	struct error err = {0};
	CHECK(bundle_contain(dir, false, &err) == 0);

	int fd = openat(dir, "inside", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && fs_write_all(fd, "x", 1) == 0 && fchmod(fd, 0640) == 0);
	CHECK(mkdirat(dir, "d", 0755) == 0);
	CHECK(linkat(dir, "inside", dir, "d/link", 0) == 0 || errno == EXDEV);
	CHECK(geteuid() != 0 || fchown(fd, 12345, 12345) == 0);
	CHECK(open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0);
	CHECK(open("../../etc/passwd", O_RDONLY | O_CLOEXEC) < 0);
	return fcntl(2, F_GETFD) < 0 ? 1 : 0;
}

static void a_contained_process_sees_one_directory(void **state)
{
	assert_int_equal(in_child(look_around), 0);
}

/* One empty file, "f". */
static int make_tar(void)
{
	char tar[3 * 512] = "f";
	unsigned sum = 8 * ' ';
	strcpy(tar + 100, "0000644");
	strcpy(tar + 124, "00000000000");
	tar[156] = '0';
	memcpy(tar + 257, "ustar\00000", 8);
	for (size_t i = 0; i < 512; i++)
		sum += (unsigned char)tar[i];
	snprintf(tar + 148, 8, "%06o", sum);
	int fd = memfd_create("tar", MFD_CLOEXEC);
	CHECK(fd >= 0 && fs_write_all(fd, tar, sizeof(tar)) == 0 && lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}

/* Starts slipway-unpack, and dies (killed) before that program has begun. */
static int die_early(void)
{
	int control[2], alive[2];
	char byte;
	int data = make_tar(), dir = dup(root);
	struct bundle_order order = {.release = PACKAGE_VERSION, .worker = getpid()};
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) == 0);
	CHECK(pipe2(alive, O_CLOEXEC) == 0);
	CHECK(send(control[0], &order, sizeof(order), 0) == sizeof(order));
	auto_free char *program = launch_program(BUNDLE_CHILD);
	if (fork() > 0)
		_exit(0);
	close(alive[1]);
	close(control[0]);
	CHECK(read(alive[0], &byte, 1) == 0);
	int fds[] = {fcntl(control[1], F_DUPFD, 20), fcntl(data, F_DUPFD, 20),
		     fcntl(dir, F_DUPFD, 20)};
	for (int i = 0; i < 3; i++)
		CHECK(dup2(fds[i], 3 + i) == 3 + i);
	execl(program, BUNDLE_CHILD, (char *)NULL);
	return 3;
}

static void nothing_is_unpacked_for_a_worker_that_has_died(void **state)
{
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	assert_int_equal(in_child(die_early), 0);
	int status = 0;
	assert_true(waitpid(-1, &status, 0) > 0);
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
	assert_false(exists(root, "f"));
}

static void nothing_stays_when_there_is_no_room(void **state)
{
	auto_close int out = make_dir("out");
	auto_close int tree = make_dir("tree");
	struct bundle_limits limits = {.max_bytes = 4};
	struct bundle_source source = {
		.fd = tree, .type = BUNDLE_DIRECTORY, .name = "tree", .size_bytes = -1};
	struct error err = {0};
	make_tree(tree);
	assert_int_equal(bundle_unpack(&source, out, "archive", &limits, NULL, NULL, NULL, &err),
			 ERR_LIMIT);
	assert_non_null(strstr(err.text, "more than 4 bytes"));
	assert_false(exists(out, "archive"));
	assert_false(exists(out, ".archive.new"));
}

/* Both have an end that nobody lives to see. */
static void a_bundle_without_end_is_not_read_for_ever(void **state)
{
	auto_close int out = make_dir("out");
	auto_close int zeros = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	auto_close int sparse = openat(root, "sparse", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(sparse, (off_t)1 << 40), 0);
	const struct {
		int fd, code;
		const char *text;
	} rows[] = {
		{zeros, ERR_INPUT, "not a regular file"},
		{sparse, ERR_SIGNATURE, "bytes instead of 5"},
	};
	alarm(60);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct error err = {0};
		struct bundle_limits limits = {0};
		char sha256[65];
		memset(sha256, 'a', 64);
		sha256[64] = '\0';
		struct bundle_source source = {.fd = rows[i].fd,
					       .type = BUNDLE_TAR,
					       .name = "b",
					       .sha256 = sha256,
					       .size_bytes = 5};
		assert_int_equal(
			bundle_unpack(&source, out, "archive", &limits, NULL, NULL, NULL, &err),
			rows[i].code);
		assert_non_null(strstr(err.text, rows[i].text));
		assert_false(exists(out, "archive"));
	}
	alarm(0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_root, tempdir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(types_have_names_and_suffixes),
		cmocka_unit_test(a_zstd_stream_may_tell_its_size),
		TEST(what_was_packed_is_unpacked),
		TEST(a_failed_bundle_leaves_the_old_archive),
		TEST(nothing_stays_when_there_is_no_room),
		TEST(nothing_is_unpacked_for_a_worker_that_has_died),
		cmocka_unit_test(a_gzip_stream_is_read_to_its_checked_end),
		cmocka_unit_test(a_gzip_stream_cut_anywhere_is_refused),
		cmocka_unit_test(a_gzip_stream_altered_anywhere_is_refused),
		cmocka_unit_test(zeros_before_another_gzip_member_are_garbage),
		TEST(an_endless_tail_behind_a_tar_is_not_read_for_ever),
		TEST(a_bundle_without_end_is_not_read_for_ever),
		TEST(a_writer_makes_directories_that_nobody_mentions),
		TEST(a_directory_gets_its_mode_and_time_at_the_end),
		TEST(a_data_block_beyond_any_file_is_refused),
		TEST(a_hard_link_that_is_forbidden_becomes_a_copy),
		TEST(a_contained_process_sees_one_directory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
