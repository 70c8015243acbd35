// SPDX-License-Identifier: Apache-2.0
/* Two processes unpack an archive:
 *
 *      worker                          slipway-unpack, contained (bundle-child.c)
 *   pread the descriptor
 *   hash the bytes
 *   write them ------- data pipe ----> decompress, read entries, make files
 *   name -> id    <--- control  -----> "who is 'www-data'?"
 *   verdict       <--- control  ------ "done: entries, bytes" or an error
 *
 * So each byte is read once, what is hashed is what is unpacked, and the process that trusts the
 * hash is not the one that parses hostile bytes. It also keeps two processors busy. A zip cannot be
 * read from a pipe: it is copied into an unlinked file while it is hashed, checked, and the child
 * gets that. Whatever the child says is taken for hostile. */
#include "agent/worker/bundle-unpack.h"

#include "agent/launch.h"
#include "agent/worker/bundle-calls.h"
#include "agent/worker/bundle-child.h"
#include "agent/worker/bundle-size.h"
#include "common/alloc.h"
#include "common/digest.h"
#include "common/fs.h"
#include "common/proc.h"
#include "common/str.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#define STEP ((size_t)1024 * 1024)
#define HEAD_LEN 512 /* tells what a stream is */
#define TICK_MS 200
#define MD5_HEX_LEN 32

/* What a bundle's first bytes say */

static const struct magic {
	const char *bytes;
	size_t len;
	enum bundle_packing packing;
	const char *name;
} magics[] = {
	{"\x1f\x8b", 2, PACKED_GZIP, "gzip stream"},
	{"PK\x03\x04", 4, PACKED_ZIP, "zip archive"},
	{"PK\x05\x06", 4, PACKED_ZIP, "zip archive"},
	{"PK\x07\x08", 4, PACKED_ZIP, "zip archive"},
	{"\x28\xb5\x2f\xfd", 4, PACKED_OTHER, "zstd stream"},
	{"BZh", 3, PACKED_OTHER, "bzip2 stream"},
	{"\xfd"
	 "7zXZ",
	 5, PACKED_OTHER, "xz stream"},
	{"LZIP", 4, PACKED_OTHER, "lzip stream"},
	{"\x5d\x00\x00", 3, PACKED_OTHER, "lzma stream"},
	{"\x04\x22\x4d\x18", 4, PACKED_OTHER, "lz4 stream"},
	{"\x1f\x9d", 2, PACKED_OTHER, "compress stream"},
};

static const struct magic plain = {"", 0, PACKED_PLAIN, "plain file"};

static const struct magic *sniff(const char *head, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(magics); i++)
		if (len >= magics[i].len && memcmp(head, magics[i].bytes, magics[i].len) == 0)
			return &magics[i];
	return &plain;
}

/* Does the content go with the type? A tar may be compressed by anything, as with GNU tar. */
static int check_packing(enum bundle_type type, const struct magic *is, struct error *err)
{
	bool zip = is->packing == PACKED_ZIP;
	bool fits = true;
	if (type == BUNDLE_TGZ)
		fits = is->packing == PACKED_GZIP;
	else if (type == BUNDLE_TAR_ZST)
		fits = str_starts(is->name, "zstd");
	else if (type == BUNDLE_TAR)
		fits = !zip;
	else if (type == BUNDLE_ZIP)
		fits = zip || is->packing == PACKED_PLAIN; /* a zip may begin with a program */
	if (fits)
		return 0;
	return error_set(err, ERR_INPUT, "it is a %s, not of type %s", is->name,
			 bundle_type_to_string(type));
}

/* The worker's side: reading */

struct reader {
	const struct bundle_job *job;
	const char *etag;
	struct digest *sha256, *md5; /* md5: only where it is all there is */
	char *chunk;
	size_t have, sent;
	uint64_t offset, total;
	bool ended, verified;
};

static void reader_clear(struct reader *in)
{
	digest_free(in->sha256);
	digest_free(in->md5);
	free(in->chunk);
}

/* An ETag is the MD5 of the object, unless it was uploaded in parts or encrypted by a key. */
static bool etag_md5(const char *etag, char out[MD5_HEX_LEN + 1])
{
	size_t skip = etag && *etag == '"';
	if (!etag || strspn(etag + skip, "0123456789abcdef") != MD5_HEX_LEN)
		return false;
	memcpy(out, etag + skip, MD5_HEX_LEN);
	out[MD5_HEX_LEN] = '\0';
	return str_eq(etag + skip + MD5_HEX_LEN, skip ? "\"" : "");
}

static int reader_init(struct reader *in, const struct bundle_job *job, struct error *err)
{
	char md5[MD5_HEX_LEN + 1];
	struct stat st;
	*in = (struct reader){.job = job, .etag = job->source->etag, .chunk = xcalloc(1, STEP)};
	if (fstat(job->source->fd, &st) < 0)
		return error_errno(err, "look at it");
	/* into one that can be written, vmsplice() would write */
	if (job->source->feed &&
	    (!S_ISFIFO(st.st_mode) || (fcntl(job->source->fd, F_GETFL) & O_ACCMODE) != O_RDONLY))
		return error_set(err, ERR_INPUT, "it is not a pipe to read from");
	if (!job->source->feed && !S_ISREG(st.st_mode)) /* a device has no end */
		return error_set(err, ERR_INPUT, "it is not a regular file");
	in->total = (uint64_t)(job->source->size_bytes >= 0 ? job->source->size_bytes : st.st_size);
	int r = digest_new_sha256(&in->sha256, err);
	/* what the ETag of a stream is, is known at its end */
	if (r == 0 && !job->source->sha256 && (job->source->feed || etag_md5(in->etag, md5)))
		r = digest_new_md5(&in->md5, err);
	return r;
}

/* A file may be as long as one likes at no cost: what is too long is not read to its end. */
static int check_length(const struct reader *in, struct error *err)
{
	int64_t size = in->job->source->size_bytes;
	if (size < 0 || in->offset <= (uint64_t)size)
		return 0;
	return error_set(err, ERR_SIGNATURE, "it has at least %llu bytes instead of %lld",
			 (unsigned long long)in->offset, (long long)size);
}

/* Is there something to read, or the end? Whoever has the other end of a pipe may make it wait. */
static bool can_read(const struct reader *in, int wait_ms)
{
	struct pollfd fd = {.fd = in->job->source->fd, .events = POLLIN};
	return !in->job->source->feed || poll(&fd, 1, wait_ms) > 0;
}

static ssize_t read_file(struct reader *in, struct error *err)
{
	ssize_t n;
	do
		n = pread(in->job->source->fd, in->chunk, STEP, (off_t)in->offset);
	while (n < 0 && errno == EINTR);
	return n < 0 ? error_errno(err, "read it") : n;
}

/* What is there, and of the first bytes as many as tell what it is. It never waits in read(),
 * whatever somebody else does with the pipe. */
static ssize_t read_pipe(struct reader *in, struct error *err)
{
	size_t have = 0;
	while (have == 0 || (in->offset == 0 && have < HEAD_LEN)) {
		struct iovec room = {in->chunk + have, STEP - have};
		/* preadv2() with RWF_NOWAIT knows pipes only since Linux 6.4 */
		ssize_t n = vmsplice(in->job->source->fd, &room, 1, SPLICE_F_NONBLOCK);
		if (n == 0)
			break;
		if (n > 0) {
			have += (size_t)n;
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			return error_errno(err, "read it");
		int r = in->job->source->feed->tick(in->job->source->feed->arg, err);
		if (r < 0)
			return r;
		can_read(in, TICK_MS);
	}
	return (ssize_t)have;
}

static int ask_whether_that_is_all(struct reader *in, struct error *err)
{
	const struct bundle_feed *feed = in->job->source->feed;
	int r = feed->ended(feed->arg, in->offset, &in->etag, err);
	if (r == 0 && !in->etag) {
		digest_free(in->md5);
		in->md5 = NULL;
	}
	return r;
}

/* The next chunk, hashed. */
static int read_chunk(struct reader *in, struct error *err)
{
	if (in->ended)
		return 0;
	ssize_t n = in->job->source->feed ? read_pipe(in, err) : read_file(in, err);
	if (n < 0)
		return (int)n;
	in->have = (size_t)n;
	in->sent = 0;
	in->ended = n == 0;
	in->offset += (uint64_t)n;
	if (in->ended && in->job->source->feed)
		return ask_whether_that_is_all(in, err);
	digest_update(in->sha256, in->chunk, in->have);
	if (in->md5)
		digest_update(in->md5, in->chunk, in->have);
	int r = check_length(in, err);
	if (r == 0 && in->job->progress)
		in->job->progress(in->offset, in->total, in->job->arg);
	return r;
}

static int read_rest(struct reader *in, struct error *err)
{
	int r = 0;
	while (r == 0 && !in->ended)
		r = read_chunk(in, err);
	return r;
}

/* After the last byte: is it what the source says? */
static int verify(struct reader *in, char sha256[DIGEST_SHA256_HEX], struct error *err)
{
	const struct bundle_source *source = in->job->source;
	char md5[DIGEST_SHA256_HEX], etag[MD5_HEX_LEN + 1];
	in->verified = true;
	digest_hex(in->sha256, sha256);
	if (source->size_bytes >= 0 && in->offset != (uint64_t)source->size_bytes)
		return error_set(err, ERR_SIGNATURE, "it has %llu bytes instead of %lld",
				 (unsigned long long)in->offset, (long long)source->size_bytes);
	if (source->sha256 && !str_eq(source->sha256, sha256))
		return error_set(err, ERR_SIGNATURE,
				 "its SHA-256 is %s, but the revision says %s: the bundle is "
				 "damaged or not the one that was meant",
				 sha256, source->sha256);
	if (!in->md5)
		return 0;
	digest_hex(in->md5, md5);
	if (etag_md5(in->etag, etag) && !str_eq(etag, md5))
		return error_set(err, ERR_SIGNATURE,
				 "its MD5 is %s, but the revision's ETag says %s: the bundle is "
				 "damaged or not the one that was meant",
				 md5, etag);
	return 0;
}

/* The worker's side: the child */

struct worker {
	struct reader *in;
	pid_t pid;
	int control_fd;
	int pipe_fd;   /* -1: nothing (more) to send */
	bool finished; /* verdict holds the child's last word */
	struct bundle_message verdict;
};

static void worker_clear(struct worker *w)
{
	fs_close_quiet(w->pipe_fd);
	fs_close_quiet(w->control_fd);
	if (w->pid <= 0)
		return;
	kill(w->pid, SIGKILL);
	while (waitpid(w->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static void make_order(const struct bundle_job *job, const struct magic *magic,
		       struct bundle_order *ret)
{
	bool zip = magic->packing == PACKED_ZIP || job->source->type == BUNDLE_ZIP;
	*ret = (struct bundle_order){
		.release = PACKAGE_VERSION,
		.worker = getpid(),
		.packing = zip ? PACKED_ZIP : magic->packing,
		.complete = magic->packing != PACKED_PLAIN || job->source->sha256,
		.limits = *job->limits,
	};
	snprintf(ret->packing_name, sizeof(ret->packing_name), "%s", magic->name);
}

static pid_t start_program(const int fds[3], struct error *err)
{
	auto_free char *program = launch_program(BUNDLE_CHILD);
	/* times in a zip are local; whatever else the worker was told is not for the child */
	const char *zone = getenv("TZ");
	auto_free char *zone_is = zone ? xasprintf("TZ=%s", zone) : NULL;
	const char *const env[] = {zone_is, NULL};
	const struct proc_spec spec = {.path = program,
				       .env = env,
				       .stdin_fd = -1,
				       .stdout_fd = -1,
				       .stderr_fd = -1,
				       .fds = fds,
				       .n_fds = 3};
	pid_t pid = proc_start(&spec, err);
	return pid < 0 ? error_prefix(err, pid, "start '%s'", program) : pid;
}

static pid_t fork_child(const int fds[3], struct error *err)
{
	pid_t pid = fork();
	if (pid == 0)
		bundle_child_main(fds[0], fds[1], fds[2]);
	return pid < 0 ? error_errno(err, "start a process") : pid;
}

/* data_fd is what the child reads; borrowed. */
static int start_child(struct worker *w, const struct magic *magic, int data_fd, struct error *err)
{
	int control[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) < 0)
		return error_errno(err, "make a socket");
	auto_close int theirs = control[1];
	w->control_fd = control[0];
	struct bundle_order order;
	make_order(w->in->job, magic, &order);
	if (send(w->control_fd, &order, sizeof(order), MSG_NOSIGNAL) < 0)
		return error_errno(err, "give an order");
	const int fds[3] = {theirs, data_fd, w->in->job->dir_fd};
	pid_t pid = bundle_child_main ? fork_child(fds, err) : start_program(fds, err);
	w->pid = pid < 0 ? 0 : pid;
	return pid < 0 ? pid : 0;
}

static int64_t look_up(enum bundle_message_kind kind, const char *name)
{
	if (kind == MESSAGE_USER) {
		const struct passwd *user = getpwnam(name);
		return user ? (int64_t)user->pw_uid : -1;
	}
	const struct group *group = getgrnam(name);
	return group ? (int64_t)group->gr_gid : -1;
}

/* How a child that said nothing came to its end. */
static void explain_death(struct worker *w)
{
	struct error *err = &w->verdict.err;
	int status = 0;
	w->verdict.kind = MESSAGE_ERROR;
	while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR)
		;
	w->pid = 0;
	const char *call = bundle_calls_caught(status);
	if (call || (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS))
		error_set(err, ERR_INPUT,
			  "the process that unpacks it tried %s%s, which it may not: the archive "
			  "is hostile, or libarchive makes a mistake with it",
			  call ? call : "a system call", call ? "()" : " of another kind");
	else if (!WIFSIGNALED(status))
		error_set(err, ERR_INPUT, "the process that unpacks it gave up without a reason");
	else if (WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGKILL)
		error_set(err, ERR_LIMIT,
			  "the process that unpacks it was killed (signal %d): it took too much "
			  "memory or time",
			  WTERMSIG(status));
	else
		error_set(err, ERR_INPUT,
			  "the process that unpacks it died of signal %d (%s): the archive is "
			  "damaged or hostile",
			  WTERMSIG(status), strsignal(WTERMSIG(status)));
}

static void answer(struct worker *w)
{
	w->verdict.name[BUNDLE_CHILD_NAME_MAX - 1] = '\0';
	int64_t id = look_up(w->verdict.kind, w->verdict.name);
	ssize_t n UNUSED = send(w->control_fd, &id, sizeof(id), MSG_NOSIGNAL);
}

static void take_message(struct worker *w)
{
	ssize_t n = recv(w->control_fd, &w->verdict, sizeof(w->verdict), MSG_DONTWAIT);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	w->verdict.err.text[sizeof(w->verdict.err.text) - 1] = '\0';
	if (n != (ssize_t)sizeof(w->verdict)) {
		explain_death(w);
	} else if (w->verdict.kind == MESSAGE_USER || w->verdict.kind == MESSAGE_GROUP) {
		answer(w);
		return;
	} else if (w->verdict.kind != MESSAGE_DONE && w->verdict.err.code >= 0) {
		error_set(&w->verdict.err, ERR_INPUT, "the process that unpacks it makes no sense");
	}
	w->finished = true;
}

static int write_chunk(struct worker *w, struct error *err)
{
	struct reader *in = w->in;
	ssize_t n = write(w->pipe_fd, in->chunk + in->sent, in->have - in->sent);
	if (n >= 0)
		in->sent += (size_t)n;
	else if (errno == EPIPE) /* it has its reasons, and will tell them */
		close(TAKE_FD(w->pipe_fd));
	else if (errno != EAGAIN && errno != EINTR)
		return error_errno(err, "write to a pipe");
	return 0;
}

/* Have something to send, or close the pipe. */
static int prepare_chunk(struct worker *w, struct error *err)
{
	struct reader *in = w->in;
	if (w->pipe_fd < 0 || in->sent < in->have || !can_read(in, 0))
		return 0;
	int r = read_chunk(in, err);
	if (r == 0 && in->ended)
		close(TAKE_FD(w->pipe_fd));
	return r;
}

/* Serve the child until it has spoken its last word. It cannot take for ever: its processor time is
 * limited, and its end closes the socket. */
static int serve(struct worker *w, struct error *err)
{
	const struct reader *in = w->in;
	const struct bundle_feed *feed = in->job->source->feed;
	while (!w->finished) {
		int r = feed && !in->ended ? feed->tick(feed->arg, err) : 0;
		if (r == 0)
			r = prepare_chunk(w, err);
		if (r < 0)
			return r;
		bool empty = in->sent == in->have && w->pipe_fd >= 0;
		struct pollfd fds[] = {{.fd = w->control_fd, .events = POLLIN},
				       {.fd = empty ? -1 : w->pipe_fd, .events = POLLOUT},
				       {.fd = empty ? in->job->source->fd : -1, .events = POLLIN}};
		if (poll(fds, ARRAY_LEN(fds), feed && !in->ended ? TICK_MS : -1) < 0 &&
		    errno != EINTR)
			return error_errno(err, "poll");
		if (fds[0].revents)
			take_message(w);
		else if (fds[1].revents)
			r = write_chunk(w, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* A closed pipe is to be an error, not a signal, whatever this process does about SIGPIPE. */
static int serve_without_sigpipe(struct worker *w, struct error *err)
{
	sigset_t pipe, before, pending;
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	sigpending(&pending);
	pthread_sigmask(SIG_BLOCK, &pipe, &before);
	int r = serve(w, err);
	if (!sigismember(&pending, SIGPIPE))
		while (sigtimedwait(&pipe, NULL, &(struct timespec){0}) < 0 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

/* The child's verdict. Where its reason may be that the bytes are not the right ones, that is the
 * better reason. */
static int judge(struct worker *w, struct bundle_stats *ret, struct error *err)
{
	const struct bundle_message *verdict = &w->verdict;
	if (verdict->kind == MESSAGE_DONE) {
		ret->entries = verdict->entries;
		ret->bytes = verdict->bytes;
		ret->capabilities = verdict->capabilities;
		return 0;
	}
	int code = verdict->err.code;
	bool may_be_damage = !w->in->verified && (code == ERR_INPUT || code == ERR_SIGNATURE);
	if (may_be_damage && (w->in->job->source->sha256 || w->in->md5)) {
		int r = read_rest(w->in, err);
		if (r == 0)
			r = verify(w->in, ret->sha256, err);
		if (r < 0)
			return r;
	}
	return error_set(err, code, "%s", verdict->err.text);
}

static int unpack_stream(struct reader *in, const struct magic *magic, struct bundle_stats *ret,
			 struct error *err)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_errno(err, "make a pipe");
	struct worker w = {.in = in, .pipe_fd = ends[1], .control_fd = -1};
	/* only the worker's end: the child waits for data */
	int r = fcntl(ends[1], F_SETFL, O_NONBLOCK);
	fcntl(ends[1], F_SETPIPE_SZ, (int)STEP); /* as much as this user may have */
	r = r < 0 ? error_errno(err, "set up a pipe") : start_child(&w, magic, ends[0], err);
	close(ends[0]);
	if (r == 0)
		r = serve_without_sigpipe(&w, err);
	if (r == 0)
		r = judge(&w, ret, err);
	worker_clear(&w);
	if (r == 0)
		r = read_rest(in, err);
	return r < 0 ? r : verify(in, ret->sha256, err);
}

static int open_spool(int dir_fd, struct error *err)
{
	int fd = openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
		return fd >= 0 ? fd : error_errno(err, "make a temporary file");
	fd = openat(dir_fd, ".spool", O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_errno(err, "make a temporary file");
	fs_unlink_quiet(dir_fd, ".spool");
	return fd;
}

/* Before anything is written, as far as it is known before everything is read. A zip is copied
 * first, and then says it all. */
static int check_room(const struct reader *in, const struct magic *magic, bool zip,
		      struct error *err)
{
	struct room need = {0};
	if (zip || magic->packing == PACKED_PLAIN)
		need.bytes = in->total;
	else if (in->job->source->feed)
		need.bytes = in->total;
	else if (magic->packing == PACKED_GZIP)
		need.bytes = bundle_size_gzip(in->job->source->fd, in->total);
	else if (str_starts(magic->name, "zstd"))
		need.bytes = bundle_size_zstd(in->chunk, in->have);
	return room_check(in->job->dir_fd, &need, err);
}

static int unpack_zip(struct reader *in, const struct magic *magic, struct bundle_stats *ret,
		      struct error *err)
{
	auto_close int spool = open_spool(in->job->dir_fd, err);
	if (spool < 0)
		return spool;
	int r = 0;
	while (r == 0 && !in->ended) {
		r = fs_write_all(spool, in->chunk, in->have);
		if (r < 0)
			return error_set(err, r, "copy it: %s", strerror(-r));
		r = read_chunk(in, err);
	}
	if (r == 0)
		r = verify(in, ret->sha256, err);
	if (r < 0)
		return r;
	if (lseek(spool, 0, SEEK_SET) < 0)
		return error_errno(err, "read it");
	struct worker w = {.in = in, .pipe_fd = -1, .control_fd = -1};
	r = start_child(&w, magic, spool, err);
	if (r == 0)
		r = serve(&w, err);
	if (r == 0)
		r = judge(&w, ret, err);
	worker_clear(&w);
	return r;
}

int bundle_unpack_archive(const struct bundle_job *job, struct bundle_stats *ret, struct error *err)
{
	struct reader in = {0};
	int r = reader_init(&in, job, err);
	if (r == 0)
		r = read_chunk(&in, err);
	if (r == 0 && in.ended)
		r = error_set(err, ERR_INPUT, "it is empty");
	const struct magic *magic = sniff(in.chunk, in.have);
	if (r == 0)
		r = check_packing(job->source->type, magic, err);
	bool zip = magic->packing == PACKED_ZIP || job->source->type == BUNDLE_ZIP;
	if (r == 0)
		r = check_room(&in, magic, zip, err);
	if (r == 0 && zip)
		r = unpack_zip(&in, magic, ret, err);
	else if (r == 0)
		r = unpack_stream(&in, magic, ret, err);
	reader_clear(&in);
	return r;
}
