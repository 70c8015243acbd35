// SPDX-License-Identifier: Apache-2.0
/* A fuzz target without a fuzzer: runs every seed, which includes every crash that was ever found,
 * and a few alterations of each, always the same ones; then the corpus that fuzzers have found, as
 * it is. "fuzz_x [FILE...]"; without arguments the seeds in tests/data/fuzz/x, and the corpus
 * tests/data/fuzz/x.tar.gz. Speaks TAP; a defect ends the program. */
#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"
#include "tests/fuzz/fuzz.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define INPUT_MAX ((size_t)1 << 20)
#define ALTERATIONS 32

static uint64_t random_state = 88172645463325252ULL;

/* xorshift64: the same numbers everywhere and for ever */
static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* A copy of exactly that size, so that the sanitizers see a step beyond it. */
static void run_copy(const char *data, size_t len)
{
	auto_free uint8_t *copy = xcalloc(len, 1);
	memcpy(copy, data, len);
	LLVMFuzzerTestOneInput(copy, len);
}

static void run_altered(char *data, size_t len)
{
	for (int i = 0; i < ALTERATIONS && len > 0; i++) {
		size_t at = next_random() % len;
		char before = data[at];
		run_copy(data, at);
		data[at] = (char)next_random();
		run_copy(data, len);
		data[at] = before;
	}
}

static int run_file(int dirfd, const char *name, unsigned number)
{
	auto_free char *data = NULL;
	size_t len = 0;
	struct error err = {0};
	if (fs_read_file(dirfd, name, INPUT_MAX, &data, &len, &err) < 0) {
		printf("not ok %u - %s: %s\n", number, name, err.text);
		return 1;
	}
	run_copy(data, len);
	run_altered(data, len);
	printf("ok %u - %s\n", number, name);
	fflush(stdout);
	return 0;
}

struct count {
	unsigned run;
	int failed;
};

/* fs_walk_fn */
static int visit(const struct fs_entry *entry, void *arg, struct error *err)
{
	struct count *count = arg;
	if (S_ISREG(entry->st.st_mode))
		count->failed |= run_file(entry->dirfd, entry->name, ++count->run);
	return 0;
}

static int run_seeds(const char *path, struct count *count)
{
	auto_close int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct error err = {0};
	if (dir < 0 || fs_walk(dir, FS_WALK_SORTED, visit, count, &err) < 0 || count->run == 0) {
		printf("Bail out! no seeds in %s %s\n", path, err.text);
		return 1;
	}
	return 0;
}

/* What is in the archive; below 0 when it cannot be read. */
static int run_members(struct archive *a, const char *path)
{
	struct archive_entry *entry;
	int r, members = 0;
	if (archive_read_open_filename(a, path, 64 * 1024) != ARCHIVE_OK)
		return -1;
	while ((r = archive_read_next_header(a, &entry)) == ARCHIVE_OK) {
		int64_t size = archive_entry_size(entry);
		if (archive_entry_filetype(entry) != AE_IFREG || size > (int64_t)INPUT_MAX)
			continue;
		auto_free char *data = xcalloc((size_t)size, 1);
		if (archive_read_data(a, data, (size_t)size) != size)
			return -1;
		run_copy(data, (size_t)size);
		members++;
	}
	return r == ARCHIVE_EOF ? members : -1;
}

static void run_corpus(const char *path, struct count *count)
{
	struct archive *a = archive_read_new();
	archive_read_support_filter_gzip(a);
	archive_read_support_format_tar(a);
	int members = run_members(a, path);
	count->run++;
	if (members <= 0) {
		printf("not ok %u - %s: %s\n", count->run, path, archive_error_string(a));
		count->failed = 1;
	} else {
		printf("ok %u - %d inputs that fuzzers found\n", count->run, members);
	}
	archive_read_free(a);
}

static int run_known(const char *program, struct count *count)
{
	const char *slash = strrchr(program, '/'), *top = getenv("top_srcdir");
	const char *name = slash ? slash + 1 : program;
	auto_free char *seeds =
		xasprintf("%s/tests/data/fuzz/%s", top ? top : ".",
			  str_starts(name, "fuzz_") ? name + strlen("fuzz_") : name);
	auto_free char *corpus = xasprintf("%s.tar.gz", seeds);
	if (run_seeds(seeds, count) != 0)
		return 1;
	run_corpus(corpus, count);
	return 0;
}

int main(int argc, char **argv)
{
	struct count count = {0};
	for (int i = 1; i < argc; i++)
		count.failed |= run_file(AT_FDCWD, argv[i], ++count.run);
	if (argc == 1 && run_known(argv[0], &count) != 0)
		return 1;
	printf("1..%u\n", count.run);
	return count.failed;
}
