// SPDX-License-Identifier: Apache-2.0
/* For bundles.sh: the bundle module by hand, with every option of its contract.
 *
 *   bundle-tool unpack TYPE FILE DIR [sha256=HEX] [etag=E] [size=N] [max-bytes=N] [max-entries=N]
 *               [setid] [no-setid] [no-links] [no-outward] [no-owners]
 *   bundle-tool read gzip|plain|other FILE DIR CHUNK    the tar reader alone, given its bytes in
 * such pieces bundle-tool pack TYPE DIR FILE
 *
 * FILE "-": a pipe as standard input.
 *
 * Before either: without=landlock, without=seccomp, without=chroot, without=unshare (several): as
 * on a host that has none.
 *
 * Prints "ok ENTRIES BYTES SHA256", or the error's name and text and exits 1. */
#include "agent/worker/bundle.h"

#include "agent/worker/bundle-archive.h"
#include "common/alloc.h"
#include "common/attr.h"
#include "common/fs.h"
#include "common/str.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static int fail(int code, const struct error *err)
{
	printf("%s: %s\n", error_name(code), err->text);
	return 1;
}

static int show(const struct bundle_stats *stats)
{
	printf("ok %llu %llu %s\n", (unsigned long long)stats->entries,
	       (unsigned long long)stats->bytes, stats->sha256);
	return 0;
}

static uint64_t number(const char *text)
{
	uint64_t n = 0;
	if (str_to_u64(text, &n) < 0)
		exit(2);
	return n;
}

static void take_option(const char *option, struct bundle_source *source,
			struct bundle_limits *limits)
{
	const char *value = strchr(option, '=');
	value = value ? value + 1 : "";
	if (str_starts(option, "sha256="))
		source->sha256 = value;
	else if (str_starts(option, "etag="))
		source->etag = value;
	else if (str_starts(option, "size="))
		source->size_bytes = (int64_t)number(value);
	else if (str_starts(option, "max-bytes="))
		limits->max_bytes = number(value);
	else if (str_starts(option, "max-entries="))
		limits->max_entries = number(value);
	else if (str_eq(option, "setid"))
		limits->allow_setid = true;
	else if (str_eq(option, "no-setid"))
		limits->refuse_setid = true;
	else if (str_eq(option, "no-links"))
		limits->refuse_links = true;
	else if (str_eq(option, "no-outward"))
		limits->refuse_outward = true;
	else if (str_eq(option, "no-owners"))
		limits->ignore_owners = true;
	else
		exit(2);
}

static int go_on(void *arg UNUSED, struct error *err UNUSED)
{
	return 0;
}

static int is_all(void *arg UNUSED, uint64_t bytes UNUSED, const char **ret_etag UNUSED,
		  struct error *err UNUSED)
{
	return 0;
}

static const struct bundle_feed feed = {.tick = go_on, .ended = is_all};

static int unpack(enum bundle_type type, char **argv)
{
	bool piped = str_eq(argv[0], "-");
	struct bundle_source source = {.fd = piped ? dup(STDIN_FILENO)
						   : open(argv[0], O_RDONLY | O_CLOEXEC),
				       .type = type,
				       .size_bytes = -1,
				       .feed = piped ? &feed : NULL};
	struct bundle_limits limits = {0};
	auto_close int dir = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const char *slash = strrchr(argv[0], '/');
	source.name = slash ? slash + 1 : argv[0];
	if (source.fd < 0 || dir < 0)
		return 2;
	for (char **option = argv + 2; *option; option++)
		take_option(*option, &source, &limits);
	struct bundle_stats stats = {0};
	struct error err = {0};
	int r = bundle_unpack(&source, dir, "archive", &limits, NULL, NULL, &stats, &err);
	close(source.fd);
	return r < 0 ? fail(r, &err) : show(&stats);
}

/* A pipe whose reads end anywhere. */
struct pieces {
	struct bundle_stream base;
	int fd;
	size_t len;
	char piece[65536];
};

static ssize_t pieces_next(struct bundle_stream *base, const void **ret, struct error *err)
{
	struct pieces *p = (struct pieces *)base;
	ssize_t n = read(p->fd, p->piece, p->len);
	*ret = p->piece;
	return n < 0 ? error_errno(err, "read") : n;
}

static void pieces_free(struct bundle_stream *base)
{
	free(base);
}

static struct bundle_stream *pieces_of(int fd, size_t len)
{
	struct pieces *p = xcalloc(1, sizeof(*p));
	p->base = (struct bundle_stream){.next = pieces_next, .free = pieces_free};
	p->fd = fd;
	p->len = len < sizeof(p->piece) ? len : sizeof(p->piece);
	return &p->base;
}

static int read_pieces(const char *packing, char **argv)
{
	auto_close int fd = open(argv[0], O_RDONLY | O_CLOEXEC);
	auto_close int dir = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || dir < 0)
		return 2;
	struct bundle_limits limits = {0};
	struct error err = {0};
	auto_bundle_writer struct bundle_writer w = {0};
	auto_bundle_stream struct bundle_stream *s = pieces_of(fd, (size_t)number(argv[2]));
	if (str_eq(packing, "gzip"))
		s = bundle_stream_gzip(s);
	else if (str_eq(packing, "other"))
		s = bundle_stream_filter(s, "stream");
	umask(0);
	int r = bundle_writer_init(&w, dir, &limits, &err);
	if (r == 0)
		r = bundle_read_tar(s, !str_eq(packing, "plain"), &w, NULL, NULL, &err);
	const struct bundle_stats stats = {.entries = w.entries, .bytes = w.bytes};
	return r < 0 ? fail(r, &err) : show(&stats);
}

static int pack(enum bundle_type type, char **argv)
{
	auto_close int dir = open(argv[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_close int out = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (dir < 0 || out < 0)
		return 2;
	struct bundle_stats stats = {0};
	struct error err = {0};
	int r = bundle_pack(dir, type, out, &stats, &err);
	return r < 0 ? fail(r, &err) : show(&stats);
}

/* From now on this call fails, or only that option of it. */
static const struct lack {
	const char *name;
	unsigned call;
	unsigned short how; /* its first argument is that, or at least */
	unsigned first;
} lacks[] = {
	{"landlock", SYS_landlock_create_ruleset, BPF_JGE, 0},
	{"seccomp", SYS_prctl, BPF_JEQ, PR_SET_SECCOMP},
	{"chroot", SYS_chroot, BPF_JGE, 0},
	{"unshare", SYS_unshare, BPF_JGE, 0},
};

static void do_without(const char *name)
{
	const struct lack *lack = lacks;
	while (lack < lacks + ARRAY_LEN(lacks) && !str_eq(lack->name, name))
		lack++;
	if (lack == lacks + ARRAY_LEN(lacks))
		exit(2);
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, lack->call, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
		BPF_JUMP(BPF_JMP | lack->how | BPF_K, lack->first, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {.len = ARRAY_LEN(code), .filter = code};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0)
		exit(3);
}

int main(int argc, char **argv)
{
	while (argc > 1 && str_starts(argv[1], "without=")) {
		do_without(strchr(*++argv, '=') + 1);
		argc--;
	}
	enum bundle_type type = BUNDLE_AUTO;
	if (argc == 6 && str_eq(argv[1], "read"))
		return read_pieces(argv[2], argv + 3);
	if (argc < 5 || bundle_type_from_string(argv[2], &type) < 0)
		return 2;
	return str_eq(argv[1], "pack") ? pack(type, argv + 3) : unpack(type, argv + 3);
}
