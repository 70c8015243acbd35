// SPDX-License-Identifier: Apache-2.0
/* Journal, manifest and plan, as this release or the one before writes them. The first byte chooses
 * which; then records follow, each a length of two bytes (little-endian) and its payload, to which
 * the checksums are added here: without that, a fuzzer would never come further than to a checksum
 * that is wrong. */
#include "agent/worker/journal.h"
#include "agent/worker/manifest.h"
#include "agent/worker/plan.h"
#include "common/checksum.h"
#include "tests/fuzz/folder.h"
#include "tests/fuzz/fuzz.h"

#include <assert.h>
#include <endian.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

/* As the release before would have begun it. */
static void make_previous(int fd, enum record_kind kind)
{
	uint8_t header[16] = {'S', 'L', 'I', 'P', 'W', 'A', 'Y', (uint8_t)kind, RECORD_VERSION_MIN};
	uint32_t sum = htole32(checksum_crc32(0, header, 12));
	memcpy(header + 12, &sum, sizeof(sum));
	ssize_t n = pwrite(fd, header, sizeof(header), 0);
	assert(n == sizeof(header));
}

static void write_stream(const char *name, enum record_kind kind, bool previous,
			 const uint8_t *data, size_t len)
{
	static struct record_out out;
	struct error err;
	auto_record_file struct record_file f = RECORD_FILE_INIT;
	int fd = openat(fuzz_folder(), name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert(fd >= 0);
	int r = record_create(&f, fd, kind, &err);
	while (r >= 0 && len > 2) {
		size_t want = (size_t)data[0] | (size_t)data[1] << 8;
		size_t n = want < len - 2 ? want : len - 2;
		n = n < RECORD_MAX ? n : RECORD_MAX;
		memcpy(out.data, data + 2, n);
		out.len = n;
		out.overflow = false;
		r = record_append(&f, &out, NULL, &err);
		data += 2 + n;
		len -= 2 + n;
	}
	if (r >= 0)
		r = record_flush(&f, &err);
	assert(r >= 0);
	if (previous)
		make_previous(f.fd, kind);
}

static void read_journal(void)
{
	struct error err;
	auto_journal struct journal *j = NULL;
	if (journal_load(fuzz_folder(), &j, &err) < 0)
		return;
	for (uint32_t i = j->n_ops; i-- > 0;) {
		struct journal_op op;
		if (journal_op_at(j, i, &op, &err) == 0)
			assert(live_is_canonical(op.path) && op.dir < j->n_dirs);
	}
	assert(journal_state_to_string(j->state));
}

static void read_manifest(void)
{
	struct error err;
	auto_manifest struct manifest m = MANIFEST_INIT;
	if (manifest_load(&m, fuzz_folder(), MANIFEST, &err) < 0)
		return;
	for (size_t i = m.count; i-- > 0;) {
		struct manifest_entry e, found;
		int r = manifest_at(&m, i, &e, &err);
		assert(r == 0 && live_is_canonical(e.path));
		char path[PATH_MAX];
		strcpy(path, e.path);
		r = manifest_find(&m, path, &found, &err);
		assert(r == 1);
	}
}

static int see(enum plan_op op, const char *path, uint64_t bytes, void *arg)
{
	(void)bytes;
	(void)arg;
	assert(plan_op_to_string(op) && live_is_canonical(path));
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct error err;
	if (len == 0)
		return 0;
	bool previous = data[0] / 3 % 2 == 0;
	switch (data[0] % 3) {
	case 0:
		write_stream(JOURNAL, RECORD_JOURNAL, previous, data + 1, len - 1);
		read_journal();
		break;
	case 1:
		write_stream(MANIFEST, RECORD_MANIFEST, previous, data + 1, len - 1);
		read_manifest();
		break;
	default:
		write_stream(PLAN, RECORD_PLAN, previous, data + 1, len - 1);
		if (plan_each(fuzz_folder(), see, NULL, &err) < 0)
			return 0;
	}
	return 0;
}
