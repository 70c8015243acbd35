// SPDX-License-Identifier: Apache-2.0
/* What an AppSpec says against what its bundle holds, and what is legal but hardly meant. */
#include "agent/worker/spec.h"

#include "common/alloc.h"
#include "common/fs.h"
#include "common/str.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define EVENT_SECONDS_MAX 3600 /* the service ends an event after that */
#define HEAD_MAX 256           /* bytes of a script that are looked at */
/* comparisons of entries with each other; beyond: not looked at */
#define PAIRS_MAX ((size_t)1000 * 1000)

struct check {
	const struct spec *spec;
	const char *name;
	int archive_fd;
	struct problems *problems;
};

static void PRINTF_LIKE(5, 6) add(struct check *c, enum problem_level level, unsigned line,
				  unsigned column, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	auto_free char *text = xvasprintf(fmt, ap);
	va_end(ap);
	auto_free char *where = xasprintf("%s:%u:%u", c->name, line, column);
	auto_free char *clean = str_to_utf8(text, strlen(text));
	problems_add(c->problems, level, where, "%s", clean);
}

#define add_error(c, at, ...) add(c, PROBLEM_ERROR, (at)->line, (at)->column, __VA_ARGS__)
#define add_warning(c, at, ...) add(c, PROBLEM_WARNING, (at)->line, (at)->column, __VA_ARGS__)

/* What is at path? With follow also behind a final symlink, as long as it stays in the revision. */
static int look(const struct check *c, const char *path, bool follow, struct stat *ret)
{
	int flags = O_PATH | (follow ? 0 : O_NOFOLLOW);
	auto_close int fd = fs_open_inside(c->archive_fd, *path ? path : ".", flags, 0);
	if (fd < 0)
		return fd;
	return fstat(fd, ret) < 0 ? -errno : 0;
}

static const char *why_missing(int r)
{
	switch (r) {
	case -ENOENT:
	case -ENOTDIR:
		return "is not in the bundle";
	case -EXDEV:
		return "leads out of the bundle";
	case -ELOOP:
		return "goes round in symlinks";
	default:
		return strerror(-r);
	}
}

static const char *extension(const char *path)
{
	const char *base = strrchr(path, '/');
	base = base ? base + 1 : path;
	const char *dot = strrchr(base, '.');
	return dot && dot != base ? dot : "";
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

/* Directories with one name are merged, two files are not. */
static void check_rival(struct check *c, size_t i)
{
	const struct spec_file *one = &c->spec->files[i];
	for (size_t k = 0; k < i; k++) {
		const struct spec_file *other = &c->spec->files[k];
		struct stat st;
		if (!str_eq(base_name(other->source), base_name(one->source)) ||
		    !str_eq(other->destination, one->destination) ||
		    look(c, other->source, false, &st) < 0 || S_ISDIR(st.st_mode))
			continue;
		add_error(c, one, "'source' %s comes to the same path as the one in line %u",
			  one->source, other->line);
		return;
	}
}

static void check_file(struct check *c, size_t i)
{
	const struct spec_file *file = &c->spec->files[i];
	struct stat st;
	int r = look(c, file->source, false, &st);
	if (r < 0 && strpbrk(file->source, "*?[")) {
		add_error(c, file, "'source' %s %s; wildcards are not expanded", file->source,
			  why_missing(r));
		return;
	}
	if (r < 0) {
		add_error(c, file, "'source' %s %s", file->source, why_missing(r));
		return;
	}
	if (S_ISDIR(st.st_mode))
		return;
	if (c->spec->n_files <= PAIRS_MAX / c->spec->n_files)
		check_rival(c, i);
	const char *ext = extension(file->source);
	if (str_eq(base_name(file->source), base_name(file->destination)) ||
	    (*ext && str_eq(ext, extension(file->destination))))
		add_warning(c, file, "'destination' is always a directory: the file will be %s/%s",
			    str_eq(file->destination, "/") ? "" : file->destination,
			    base_name(file->source));
}

/* Is below strictly inside the directory above? */
static bool is_below(const char *below, const char *above)
{
	if (str_eq(above, "/"))
		return below[1] != '\0';
	size_t len = strlen(above);
	return strncmp(below, above, len) == 0 && below[len] == '/';
}

static bool is_installed(const struct spec *spec, const char *object)
{
	for (size_t i = 0; i < spec->n_files; i++) {
		const char *destination = spec->files[i].destination;
		if (str_eq(object, destination) || is_below(object, destination) ||
		    is_below(destination, object))
			return true;
	}
	return false;
}

static bool overlap(const struct spec_permission *a, const struct spec_permission *b)
{
	bool types = (a->files && b->files) || (a->directories && b->directories);
	return types && str_eq(a->object, b->object) && str_eq(a->pattern, b->pattern);
}

/* Of the entries for an object or for what it bequeaths: is there a mask, and which permissions do
 * the named ones want? */
static bool has_mask(const struct spec_permission *p, bool is_default, unsigned *ret_wanted)
{
	bool mask = false;
	*ret_wanted = 0;
	for (size_t i = 0; i < p->n_acls; i++) {
		const struct spec_acl *acl = &p->acls[i];
		if (acl->is_default != is_default)
			continue;
		mask = mask || acl->tag == SPEC_ACL_MASK;
		*ret_wanted |= acl->name[0] ? acl->perm : 0;
	}
	return mask;
}

static void check_acls(struct check *c, const struct spec_permission *p)
{
	unsigned wanted, group = p->mode >> 3 & 7;
	bool defaults = false;
	for (size_t i = 0; i < p->n_acls; i++)
		defaults = defaults || p->acls[i].is_default;
	if (defaults && p->files)
		add_warning(c, p,
			    "default ACL entries are refused for a file: give the entry for %s "
			    "'type: [directory]'",
			    p->object);
	if (p->has_mode && !has_mask(p, false, &wanted) && (wanted & ~group))
		add_warning(c, p,
			    "without a 'mask:' entry the named ACL entries get no more than the "
			    "group's permissions of mode %04o",
			    (unsigned)p->mode);
}

static void check_permission(struct check *c, size_t i)
{
	const struct spec_permission *list = c->spec->permissions;
	const struct spec_permission *one = &list[i];
	if (!is_installed(c->spec, one->object))
		add_warning(c, one, "'object' %s: no entry of 'files' puts anything there",
			    one->object);
	for (size_t k = 0; k < i; k++) {
		if (!overlap(&list[k], one))
			continue;
		add_warning(c, one,
			    "the entry for %s overlaps the one in line %u: a file may be matched "
			    "only once",
			    one->object, list[k].line);
		break;
	}
	check_acls(c, one);
	if (one->has_mode && (one->mode & 06000) && (one->owner || one->group))
		add_warning(c, one,
			    "mode %04o with an owner: the official agent loses the set-id bits, "
			    "this one keeps them",
			    (unsigned)one->mode);
}

static void check_permissions(struct check *c)
{
	size_t n = c->spec->n_permissions;
	if (n > 0 && (n > PAIRS_MAX / n || c->spec->n_files > PAIRS_MAX / n))
		return;
	for (size_t i = 0; i < n; i++)
		check_permission(c, i);
}

/* The first bytes decide how the kernel starts it. */
static void check_head(struct check *c, const struct spec_hook *hook)
{
	auto_close int fd =
		fs_open_inside(c->archive_fd, hook->location, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	char head[HEAD_MAX + 1];
	ssize_t n = fd < 0 ? -1 : pread(fd, head, HEAD_MAX, 0);
	if (n < 0)
		return;
	head[n] = '\0';
	if (n >= 4 && memcmp(head, "\177ELF", 4) == 0)
		return;
	if (strncmp(head, "#!", 2) != 0) {
		add_warning(c, hook, "script %s has no '#!' line, /bin/sh will run it",
			    hook->location);
		return;
	}
	size_t line = strcspn(head, "\n");
	if (head[line] == '\n' && head[line - 1] == '\r')
		add_warning(c, hook,
			    "script %s has Windows line ends, so its interpreter will not be found",
			    hook->location);
}

static void check_hook(struct check *c, const struct spec_hook *hook)
{
	struct stat st;
	int r = look(c, hook->location, true, &st);
	if (r < 0) {
		add_error(c, hook, "script %s %s", hook->location, why_missing(r));
		return;
	}
	if (!S_ISREG(st.st_mode)) {
		add_error(c, hook, "script %s is not a regular file", hook->location);
		return;
	}
	if (strpbrk(hook->location, " \t&();<>|'\"$`\\*?[]#~"))
		add_warning(c, hook,
			    "script %s: the official agent fails on blanks and shell characters "
			    "in a path",
			    hook->location);
	check_head(c, hook);
}

static void check_timeouts(struct check *c, const struct spec_event *event)
{
	int64_t sum = 0;
	for (size_t i = 0; i < event->n_hooks; i++) {
		int64_t s = event->hooks[i].timeout_s;
		sum += s == SPEC_TIMEOUT_DEFAULT_S ? 0 : s; /* nobody chose the default */
	}
	if (sum > EVENT_SECONDS_MAX)
		add_warning(c, event,
			    "the timeouts of %s sum up to %lld seconds, but a deployment gives an "
			    "event %d",
			    event->name, (long long)sum, EVENT_SECONDS_MAX);
}

static void check_alone(struct check *c)
{
	check_permissions(c);
	for (size_t i = 0; i < c->spec->n_events; i++)
		check_timeouts(c, &c->spec->events[i]);
}

void spec_check(const struct spec *spec, const char *name, struct problems *problems)
{
	struct check c = {.spec = spec, .name = name, .archive_fd = -1, .problems = problems};
	check_alone(&c);
}

static void check_hooks(struct check *c, const struct spec_event *event)
{
	for (size_t i = 0; i < event->n_hooks; i++)
		check_hook(c, &event->hooks[i]);
}

void spec_check_archive(const struct spec *spec, const char *name, int archive_fd,
			struct problems *problems)
{
	struct check c = {
		.spec = spec, .name = name, .archive_fd = archive_fd, .problems = problems};
	if (str_ends(name, ".yaml"))
		problems_add(problems, PROBLEM_WARNING, name,
			     "the official agent finds the scripts of an AppSpec only under the "
			     "name appspec.yml");
	for (size_t i = 0; i < spec->n_files; i++)
		check_file(&c, i);
	check_alone(&c);
	for (size_t i = 0; i < spec->n_events; i++)
		check_hooks(&c, &spec->events[i]);
}
