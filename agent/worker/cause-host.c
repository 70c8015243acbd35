// SPDX-License-Identifier: Apache-2.0
/* What the host is like at this moment. Nothing here may wait for another host: a file system that
 * comes over a network is not looked at, however much a script may have named a path on it. */
#include "agent/worker/cause-facts.h"

#include "agent/listener.h"
#include "common/alloc.h"
#include "common/buf.h"
#include "common/str.h"

#include <elf.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define PORTS_MAX 8      /* of an output that are looked up */
#define FULL_NAMES_MAX 3 /* full file systems that are told */
#define LITTLE ((uint64_t)16 * 1024 * 1024)
#define NOTHING ((uint64_t)64 * 1024)
#define FEW_INODES 16

/* Ports */

char *cause_listener_any(const char *proc_net, const char *output, unsigned *ret_port,
			 bool *ret_ours)
{
	unsigned ports[PORTS_MAX];
	size_t n = cause_ports(output, ports, PORTS_MAX);
	for (size_t i = 0; i < n; i++) {
		char *who = listener_find(proc_net, ports[i], ret_ours);
		if (!who)
			continue;
		*ret_port = ports[i];
		return who;
	}
	return NULL;
}

/* Mounts */

struct mount {
	char *at;
	bool local, read_only;
};

static void mount_clear(struct mount *m)
{
	free(m->at);
	*m = (struct mount){0};
}
#define auto_mount CLEANUP(mount_clear)

static bool is_local(const char *type)
{
	static const char *const types[] = {"ext2",  "ext3",    "ext4",    "xfs",  "btrfs",
					    "tmpfs", "overlay", "f2fs",    "vfat", "zfs",
					    "jfs",   "nilfs2",  "bcachefs"};
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (strcmp(types[i], type) == 0)
			return true;
	return false;
}

/* "\040" is a blank, in mountinfo. */
static void unescape(char *text)
{
	char *out = text;
	for (const char *p = text; *p; out++) {
		unsigned code;
		if (*p == '\\' && sscanf(p, "\\%3o", &code) == 1) {
			*out = (char)code;
			p += 4;
		} else {
			*out = *p++;
		}
	}
	*out = '\0';
}

static bool has_option(const char *options, const char *name)
{
	char **list = str_split(options, ',');
	bool found = false;
	for (char **option = list; *option; option++)
		found = found || strcmp(*option, name) == 0;
	str_list_free(list);
	return found;
}

/* Calls fn with each mount, in their order; it may take m->at. */
static void each_mount(void (*fn)(struct mount *m, void *arg), void *arg)
{
	auto_fclose FILE *file = fopen("/proc/self/mountinfo", "re");
	auto_free char *line = NULL;
	size_t room = 0;
	while (file && getline(&line, &room, file) > 0) {
		auto_free char *at = NULL, *options = NULL, *type = NULL, *super = NULL;
		const char *rest = strstr(line, " - ");
		if (sscanf(line, "%*s %*s %*s %*s %ms %ms", &at, &options) != 2 || !rest ||
		    sscanf(rest, " - %ms %*s %ms", &type, &super) != 2)
			continue;
		unescape(at);
		auto_mount struct mount m = {.at = TAKE(at),
					     .local = is_local(type),
					     .read_only = has_option(options, "ro") ||
							  has_option(super, "ro")};
		fn(&m, arg);
	}
}

struct search {
	const char *path;
	struct mount best;
};

/* Of mounts with the same place the last one counts. */
static void note_mount(struct mount *m, void *arg)
{
	struct search *search = arg;
	size_t len = strcmp(m->at, "/") == 0 ? 0 : strlen(m->at);
	if (strncmp(search->path, m->at, len) != 0 ||
	    (search->path[len] != '/' && search->path[len] != '\0'))
		return;
	if (search->best.at && strlen(search->best.at) > strlen(m->at))
		return;
	mount_clear(&search->best);
	search->best = *m;
	m->at = NULL;
}

/* By its text alone: nothing is opened. */
static struct mount mount_of(const char *path)
{
	struct search search = {.path = path};
	each_mount(note_mount, &search);
	return search.best;
}

static bool may_look(const char *path)
{
	auto_mount struct mount m = mount_of(path);
	return m.at && m.local;
}

char *cause_read_only(const char *path)
{
	auto_mount struct mount m = mount_of(path);
	return m.at && m.read_only ? xstrdup(m.at) : NULL;
}

/* Full ones */

struct full {
	bool all;
	unsigned count;
	bool inodes;
	dev_t seen[FULL_NAMES_MAX];
	struct buf text;
};

/* Of no use to about every script. */
static bool is_aside(const char *at)
{
	static const char *const places[] = {"/boot", "/run/user", "/sys", "/proc", "/media"};
	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		if (str_starts(at, places[i]))
			return true;
	return false;
}

static bool is_seen(const struct full *full, dev_t device)
{
	for (unsigned i = 0; i < full->count; i++)
		if (full->seen[i] == device)
			return true;
	return false;
}

static void add_full(struct full *full, const char *at, dev_t device, const struct statvfs *fs,
		     bool inodes)
{
	char free_text[32], all_text[32];
	full->seen[full->count++] = device;
	full->inodes = full->inodes || inodes;
	buf_addf(&full->text, "%sthe file system %s ", full->text.len ? "; " : "", at);
	if (inodes)
		buf_addf(&full->text, "has %llu of %llu inodes free",
			 (unsigned long long)fs->f_favail, (unsigned long long)fs->f_files);
	else
		buf_addf(&full->text, "has %s of %s free",
			 str_human_bytes((uint64_t)fs->f_bavail * fs->f_frsize, free_text,
					 sizeof(free_text)),
			 str_human_bytes((uint64_t)fs->f_blocks * fs->f_frsize, all_text,
					 sizeof(all_text)));
}

static void look_full(struct mount *m, void *arg)
{
	struct full *full = arg;
	struct statvfs fs;
	struct stat st;
	if (!m->local || m->read_only || full->count == FULL_NAMES_MAX ||
	    (!full->all && is_aside(m->at)) || statvfs(m->at, &fs) < 0 || stat(m->at, &st) < 0 ||
	    is_seen(full, st.st_dev))
		return;
	uint64_t left = (uint64_t)fs.f_bavail * fs.f_frsize;
	bool hundredth = fs.f_bavail < fs.f_blocks / 100;
	bool bytes =
		fs.f_blocks > 0 && (left < NOTHING || (full->all && hundredth && left < LITTLE));
	bool inodes = fs.f_files > 0 && fs.f_favail < (full->all ? FEW_INODES : 1);
	if (bytes || inodes)
		add_full(full, m->at, st.st_dev, &fs, !bytes);
}

char *cause_full(bool all, bool *ret_inodes)
{
	struct full full = {.all = all, .text = BUF_INIT(4096)};
	each_mount(look_full, &full);
	*ret_inodes = full.inodes;
	if (full.text.len)
		return buf_take(&full.text);
	buf_clear(&full.text);
	return NULL;
}

/* Files */

char *cause_owner(const char *path)
{
	struct stat st;
	if (!may_look(path) || lstat(path, &st) < 0)
		return NULL;
	const struct passwd *user = getpwuid(st.st_uid);
	auto_free char *owner = user ? xstrdup(user->pw_name) : xasprintf("%u", st.st_uid);
	const struct group *group = getgrgid(st.st_gid);
	auto_free char *of_group = group ? xstrdup(group->gr_name) : xasprintf("%u", st.st_gid);
	const char *what = S_ISDIR(st.st_mode)   ? "a directory"
			   : S_ISREG(st.st_mode) ? "a file"
						 : "an object";
	return xasprintf("%s of %s:%s with mode %04o", what, owner, of_group, st.st_mode & 07777);
}

bool cause_is_absent(const char *path)
{
	struct stat st;
	return may_look(path) && lstat(path, &st) < 0 && (errno == ENOENT || errno == ENOTDIR);
}

/* -1: it is no program of this kind. */
static int machine_of(int fd)
{
	unsigned char head[20];
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    pread(fd, head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
	    memcmp(head, ELFMAG, SELFMAG) != 0)
		return -1;
	return head[EI_DATA] == ELFDATA2MSB ? head[18] << 8 | head[19] : head[19] << 8 | head[18];
}

static char *machine_name(int machine)
{
	static const struct {
		int machine;
		const char *name;
	} names[] = {{EM_X86_64, "x86_64"}, {EM_AARCH64, "aarch64"}, {EM_386, "i386"},
		     {EM_ARM, "arm"},       {EM_RISCV, "riscv"},     {EM_PPC64, "ppc64"},
		     {EM_S390, "s390x"},    {EM_MIPS, "mips"}};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (names[i].machine == machine)
			return xstrdup(names[i].name);
	return xasprintf("machine %d", machine);
}

char *cause_foreign_fd(int fd)
{
	auto_close int own_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int machine = machine_of(fd), own = machine_of(own_fd);
	return machine >= 0 && machine != own ? machine_name(machine) : NULL;
}

char *cause_foreign(const char *path)
{
	struct stat st;
	char link[32];
	/* A script may name what does something when it is opened: a device, behind a link. */
	auto_close int seen = may_look(path) ? open(path, O_PATH | O_CLOEXEC) : -1;
	if (seen < 0 || fstat(seen, &st) < 0 || !S_ISREG(st.st_mode))
		return NULL;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", seen);
	auto_close int fd = open(link, O_RDONLY | O_CLOEXEC);
	return cause_foreign_fd(fd);
}
