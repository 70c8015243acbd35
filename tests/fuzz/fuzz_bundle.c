// SPDX-License-Identifier: Apache-2.0
/* An archive, unpacked in this process, without the containment: what holds it in its directory
 * here is the writer alone. The first byte chooses how the rest is read. */
#include "agent/worker/bundle-archive.h"
#include "agent/worker/bundle-stream.h"
#include "agent/worker/bundle-write.h"
#include "common/fs.h"
#include "tests/fuzz/folder.h"
#include "tests/fuzz/fuzz.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum how { HOW_TAR, HOW_GZIP, HOW_FILTER, HOW_ZIP, HOW_COUNT };

/* The folder holds only root/, before and after. */
static void assert_only_root(void)
{
	auto_closedir DIR *dir =
		fdopendir(openat(fuzz_folder(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	assert(dir);
	const struct dirent *entry;
	while ((entry = readdir(dir)))
		assert(entry->d_name[0] == '.' || strcmp(entry->d_name, "root") == 0);
}

static int read_zip(const uint8_t *data, size_t size, struct bundle_writer *w, struct error *err)
{
	auto_close int fd = memfd_create("zip", MFD_CLOEXEC);
	assert(fd >= 0);
	int r = fs_write_all(fd, data, size);
	assert(r == 0);
	off_t at = lseek(fd, 0, SEEK_SET);
	assert(at == 0);
	return bundle_read_zip(fd, w, err);
}

static int read_as(enum how how, const uint8_t *data, size_t size, struct bundle_writer *w,
		   struct error *err)
{
	if (how == HOW_ZIP)
		return read_zip(data, size, w, err);
	auto_bundle_stream struct bundle_stream *s = bundle_stream_memory(data, size);
	if (how == HOW_GZIP)
		s = bundle_stream_gzip(s);
	else if (how == HOW_FILTER)
		s = bundle_stream_filter(s, "stream");
	return bundle_read_tar(s, how != HOW_TAR, w, NULL, NULL, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct bundle_limits limits = {.max_bytes = 1 << 20, .max_entries = 100};
	if (size == 0)
		return 0;
	int r = mkdirat(fuzz_folder(), "root", 0755);
	assert(r == 0);
	auto_close int root = openat(fuzz_folder(), "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert(root >= 0);

	auto_bundle_writer struct bundle_writer w = {0};
	struct error err = {0};
	r = bundle_writer_init(&w, root, &limits, &err);
	assert(r == 0);
	r = read_as((enum how)(data[0] % HOW_COUNT), data + 1, size - 1, &w, &err);
	assert(r == 0 || (r < 0 && err.code == r && *err.text));
	assert(r < 0 || (w.bytes <= limits.max_bytes && w.entries <= limits.max_entries));

	assert_only_root();
	r = fs_remove_tree(fuzz_folder(), "root", &err);
	assert(r == 0);
	return 0;
}
