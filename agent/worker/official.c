// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/official.h"

#include "agent/worker/live.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/str.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define POINTER_MAX 8192
#define GROUPS_MAX 1000
#define TRACKED_S (24 * 60 * 60)
#define LABEL_LINE "semanage"

void official_group_clear(struct official_group *g)
{
	for (size_t i = 0; i < g->n_objects; i++)
		free(g->objects[i].path);
	free(g->objects);
	str_list_free(g->labels);
	free(g->id);
	free(g->successful);
	free(g->recent);
	*g = (struct official_group){0};
}

/* ---- whom to believe ---- */

/* Whoever may write into it says what root removes. */
static int check_trusted(int fd, const char *name, struct error *err)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return error_errno(err, "look at '%s'", name);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return error_set(err, ERR_REFUSED,
				 "'%s' belongs to user %u: only root's is believed; chown it to "
				 "root if you know that nobody else has changed it",
				 name, (unsigned)st.st_uid);
	if (st.st_mode & 022)
		return error_set(err, ERR_REFUSED,
				 "'%s' may be written by others (mode %04o): chmod go-w it if you "
				 "know that nobody else has changed it",
				 name, (unsigned)(st.st_mode & 07777));
	return 0;
}

static int open_trusted(int dirfd, const char *name, struct error *err)
{
	auto_close int fd = fs_open_beneath(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd == -ENOENT)
		return -ENOENT;
	if (fd < 0)
		return error_set(err, ERR_REFUSED, "'%s' is no directory of the official agent: %s",
				 name, strerror(-fd));
	int r = check_trusted(fd, name, err);
	return r < 0 ? r : TAKE_FD(fd);
}

/* -ENOENT: there is none. */
static int read_trusted(int dirfd, const char *name, size_t max, char **ret, size_t *ret_len,
			struct error *err)
{
	auto_close int fd = fs_open_regular(dirfd, name, O_RDONLY, err);
	if (fd == -ENOENT)
		return fd;
	int r = fd < 0 ? fd : check_trusted(fd, name, err);
	if (r >= 0)
		r = fs_read_fd(fd, max, ret, ret_len, err);
	return r < 0 && r != ERR_REFUSED ? error_prefix(err, ERR_REFUSED, "'%s'", name) : r;
}

/* ---- is it at work? ---- */

int official_ongoing(int root_fd, const char *tracking, char **ret, struct error *err)
{
	auto_close int fd =
		fs_open_beneath(root_fd, tracking, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd == -ENOENT)
		return 0;
	auto_close int list_fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;
	auto_closedir DIR *dir = list_fd >= 0 ? fdopendir(list_fd) : NULL;
	if (!dir)
		return error_set(err, ERR_REFUSED,
				 "'%s' of the official agent cannot be read, so nobody knows "
				 "whether a deployment is going on",
				 tracking);
	TAKE_FD(list_fd);
	struct dirent *entry;
	time_t now = time(NULL);
	while ((entry = readdir(dir))) {
		struct stat st;
		if (entry->d_name[0] == '.' ||
		    fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    now - st.st_mtime >= TRACKED_S)
			continue;
		*ret = str_to_line(entry->d_name, strlen(entry->d_name));
		return 1;
	}
	return 0;
}

/* ---- which groups ---- */

static const char *const suffixes[] = {"_last_successful_install", "_most_recent_install",
				       "-cleanup", "-install.json"};

/* The group that a file of the instructions is about. NULL: none. Caller frees. */
static char *group_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++)
		if (str_ends(name, suffixes[i]))
			return xstrndup(name, strlen(name) - strlen(suffixes[i]));
	return NULL;
}

static bool is_listed(char *const *list, size_t n, const char *id)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(list[i], id))
			return true;
	return false;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int collect_groups(DIR *dir, char **list, size_t *n, struct error *err)
{
	struct dirent *entry;
	while ((entry = readdir(dir))) {
		auto_free char *id = entry->d_name[0] == '.' ? NULL : group_of(entry->d_name);
		if (!id || is_listed(list, *n, id))
			continue;
		int r = group_check_id(id, err);
		if (r < 0)
			return error_prefix(err, ERR_REFUSED, "'" OFFICIAL_INSTRUCTIONS "'");
		if (*n == GROUPS_MAX)
			return error_set(err, ERR_REFUSED, "more than %d groups", GROUPS_MAX);
		list[(*n)++] = TAKE(id);
	}
	return 0;
}

int official_groups(int root_fd, char ***ret, struct error *err)
{
	auto_close int fd = open_trusted(root_fd, OFFICIAL_INSTRUCTIONS, err);
	char **list = xcalloc(GROUPS_MAX + 1, sizeof(*list));
	size_t n = 0;
	int r = fd == -ENOENT ? 0 : fd;
	if (fd >= 0) {
		auto_close int list_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		auto_closedir DIR *dir = list_fd >= 0 ? fdopendir(list_fd) : NULL;
		r = dir ? 0 : error_errno(err, "read '" OFFICIAL_INSTRUCTIONS "'");
		if (dir) {
			TAKE_FD(list_fd);
			r = collect_groups(dir, list, &n, err);
		}
	}
	if (r < 0) {
		str_list_free(list);
		return r;
	}
	qsort(list, n, sizeof(*list), by_name);
	*ret = list;
	return 0;
}

/* ---- pointer files ---- */

/* ROOT/GROUP/DEPLOYMENT, and nothing else. */
static int read_pointer(int fd, const char *root_path, const char *id, const char *suffix,
			char **ret, struct error *err)
{
	auto_free char *name = xasprintf("%s%s", id, suffix);
	auto_free char *text = NULL;
	auto_free char *path = NULL;
	size_t len;
	int r = read_trusted(fd, name, POINTER_MAX, &text, &len, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (len && text[len - 1] == '\n')
		text[--len] = '\0';
	if (!len) /* what a crash has left of it: as if it were not there */
		return 0;
	if (strlen(text) != len || fs_normalise(text, &path) < 0 || strstr(text, "/../"))
		return error_set(err, ERR_REFUSED, "'%s' holds no path", name);
	auto_free char *parent = xasprintf("%s/%s/", root_path, id);
	const char *deployment = str_starts(path, parent) ? path + strlen(parent) : "";
	if (!str_is_filename(deployment) || deployment[0] == '.')
		return error_set(err, ERR_REFUSED,
				 "'%s' points to '%.200s', which is no deployment in '%s'", name,
				 path, parent);
	*ret = xstrdup(deployment);
	return 0;
}

/* ---- what it would remove ---- */

struct reading {
	struct official_group *group;
	const char *const *keep_out;
	const char *name; /* of the file */
	size_t line;
	size_t room, label_room;
	char parent[PATH_MAX], real[PATH_MAX]; /* the last one, and what it is */
};

static int refuse_line(struct reading *r, const char *path, const char *why, struct error *err)
{
	auto_free char *shown = str_to_line(path, strlen(path));
	return error_set(err, ERR_REFUSED, "'%s', line %zu: '%.200s' %s", r->name, r->line, shown,
			 why);
}

static bool climbs(const char *path)
{
	return strstr(path, "/../") || str_ends(path, "/..");
}

static bool is_below(const char *path, const char *prefix)
{
	size_t len = strlen(prefix);
	return len && strncmp(path, prefix, len) == 0 && (!path[len] || path[len] == '/');
}

/* Through no symbolic link on the way, as the plan has its paths. */
static char *canonical(struct reading *r, const char *path)
{
	char parent[PATH_MAX];
	const char *name = live_split(path, parent);
	if (strcmp(parent, r->parent) != 0) {
		strcpy(r->parent, parent);
		if (!realpath(*parent ? parent : "/", r->real))
			strcpy(r->real, parent);
	}
	return xasprintf("%s/%s", r->real[1] ? r->real : "", name);
}

static int check_path(struct reading *r, const char *path, char **ret, struct error *err)
{
	auto_free char *clean = NULL;
	if (strlen(path) >= PATH_MAX || climbs(path) || fs_normalise(path, &clean) < 0 || !clean[1])
		return refuse_line(r, path, "is no path that may be removed", err);
	char *real = canonical(r, clean);
	*ret = real;
	if (strlen(real) >= PATH_MAX)
		return refuse_line(r, path, "is too long", err);
	for (const char *const *p = r->keep_out; *p; p++)
		if (is_below(real, *p))
			return refuse_line(r, path, "belongs to an agent, not to an application",
					   err);
	return 0;
}

static int add_label(struct reading *r, const char *path, struct error *err)
{
	struct official_group *g = r->group;
	auto_free char *real = NULL;
	int code = check_path(r, path, &real, err);
	if (code < 0)
		return code;
	if (g->n_labels + 1 >= r->label_room) {
		r->label_room = r->label_room ? r->label_room * 2 : 16;
		g->labels = xrealloc_array(g->labels, r->label_room, sizeof(*g->labels));
	}
	g->labels[g->n_labels++] = xstrdup(path);
	g->labels[g->n_labels] = NULL;
	return 0;
}

static int add_object(struct reading *r, const char *path, struct error *err)
{
	struct official_group *g = r->group;
	struct stat st;
	auto_free char *real = NULL;
	int code = check_path(r, path, &real, err);
	if (code < 0)
		return code;
	char type = lstat(real, &st) < 0 ? 'o' : live_type(st.st_mode);
	if (type == 'o') {
		g->gone++;
		return 0;
	}
	if (g->n_objects == r->room) {
		r->room = r->room ? r->room * 2 : 64;
		struct official_object *grown = reallocarray(g->objects, r->room, sizeof(*grown));
		if (!grown)
			return error_set(err, -ENOMEM, "no memory for '%s'", r->name);
		g->objects = grown;
	}
	g->objects[g->n_objects++] = (struct official_object){TAKE(real), type};
	return 0;
}

/* As the official agent strips it: blanks at both ends are none of the name. */
static char *strip(char *line, size_t *len)
{
	while (*len && isspace((unsigned char)line[*len - 1]))
		line[--*len] = '\0';
	while (*len && isspace((unsigned char)*line)) {
		line++;
		--*len;
	}
	return line;
}

static int take_line(struct reading *r, char *line, size_t len, struct error *err)
{
	static const size_t prefix = sizeof(LABEL_LINE); /* with its NUL */
	line = strip(line, &len);
	if (!len)
		return 0;
	if (len > prefix && memcmp(line, LABEL_LINE, prefix) == 0 &&
	    strlen(line + prefix) == len - prefix)
		return add_label(r, line + prefix, err);
	if (strlen(line) != len)
		return refuse_line(r, line, "goes on behind a NUL", err);
	return add_object(r, line, err);
}

static int by_path(const void *a, const void *b)
{
	const struct official_object *x = a, *y = b;
	return strcmp(x->path, y->path);
}

static int parents_first(const void *a, const void *b)
{
	const struct official_object *x = a, *y = b;
	if ((x->type == 'd') != (y->type == 'd'))
		return x->type == 'd' ? -1 : 1;
	return strcmp(x->path, y->path);
}

/* An OVERWRITE into a directory, or a path through a link, may be there twice. */
static void sort_objects(struct official_group *g)
{
	if (!g->n_objects)
		return;
	qsort(g->objects, g->n_objects, sizeof(*g->objects), by_path);
	size_t n = 1;
	for (size_t i = 1; i < g->n_objects; i++) {
		if (str_eq(g->objects[n - 1].path, g->objects[i].path))
			free(g->objects[i].path);
		else
			g->objects[n++] = g->objects[i];
	}
	g->n_objects = n;
	qsort(g->objects, n, sizeof(*g->objects), parents_first);
}

static int read_cleanup(int fd, const char *const *keep_out, struct official_group *g,
			struct error *err)
{
	auto_free char *name = xasprintf("%s-cleanup", g->id);
	auto_free char *text = NULL;
	size_t len;
	int code = read_trusted(fd, name, OFFICIAL_FILE_MAX, &text, &len, err);
	if (code < 0)
		return code == -ENOENT ? 0 : code;
	struct reading r = {.group = g, .keep_out = keep_out, .name = name};
	char *end;
	for (char *at = text; (end = memchr(at, '\n', len - (size_t)(at - text))); at = end + 1) {
		r.line++;
		*end = '\0';
		code = take_line(&r, at, (size_t)(end - at), err);
		if (code < 0)
			return code;
	}
	g->partial = len && text[len - 1]; /* every other end of a line is a NUL now */
	sort_objects(g);
	return 0;
}

int official_group_read(int root_fd, const char *root_path, const char *id,
			const char *const *keep_out, struct official_group *ret, struct error *err)
{
	auto_official_group struct official_group g = {.id = xstrdup(id)};
	auto_close int fd = open_trusted(root_fd, OFFICIAL_INSTRUCTIONS, err);
	if (fd < 0)
		return fd;
	auto_close int dir_fd = open_trusted(root_fd, id, err);
	if (dir_fd < 0 && dir_fd != -ENOENT)
		return dir_fd;
	int r;
	if ((r = read_pointer(fd, root_path, id, "_last_successful_install", &g.successful, err)) <
		    0 ||
	    (r = read_pointer(fd, root_path, id, "_most_recent_install", &g.recent, err)) < 0 ||
	    (r = read_cleanup(fd, keep_out, &g, err)) < 0)
		return r;
	*ret = g;
	g = (struct official_group){0};
	return 0;
}
