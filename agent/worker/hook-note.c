// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/hook-note.h"

#include "agent/worker/cause.h"
#include "agent/worker/hook-process.h"
#include "common/alloc.h"
#include "common/buf.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/log.h"
#include "common/proc.h"
#include "common/str.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOTE "hook"
#define MARKS "hook.copied"
#define LEFT "hook.left" /* lines "PID START-TIME BOOT-ID DEPLOYMENT[<tab>TOLD]" */
#define NOTE_MAX ((size_t)64 * 1024)
#define LEFT_MAX ((size_t)256 * 1024)
#define FILE_MODE 0640

void hook_note_clear(struct hook_note *note)
{
	char *const texts[] = {note->boot,   note->deployment, note->step, note->unit,
			       note->script, note->log_before, note->left, note->told};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		free(texts[i]);
	hook_result_clear(&note->result);
	*note = (struct hook_note){0};
}

void hook_note_init(struct hook_note *note, const char *deployment, const char *step)
{
	*note = (struct hook_note){
		.boot = proc_boot_id(), .deployment = xstrdup(deployment), .step = xstrdup(step)};
}

static json_t *result_to_json(const struct hook_result *r)
{
	json_t *obj = json_object();
	json_set_int(obj, "code", r->code);
	json_set_str(obj, "message", r->message);
	json_set_str(obj, "log", r->log_tail);
	json_set_str(obj, "output", r->output ? cause_last_lines(r->output) : NULL);
	json_set_int(obj, "exit_code", r->exit_code);
	json_set_int(obj, "signal", r->signal);
	json_set_str(obj, "out_of_memory", r->shortage);
	json_object_set_new(obj, "wall_s", json_real(r->wall_s));
	json_object_set_new(obj, "cpu_s", json_real(r->cpu_s));
	json_set_int(obj, "memory_peak", r->memory_peak_bytes);
	json_set_int(obj, "tasks", r->tasks_peak);
	json_set_str(obj, "out_of_tasks", r->refusal);
	json_set_str(obj, "left_running", r->left_running);
	return obj;
}

static json_t *to_json(const struct hook_note *note)
{
	json_t *obj = json_object();
	json_set_int(obj, "version", 1);
	json_set_str(obj, "boot", note->boot);
	json_set_str(obj, "deployment_id", note->deployment);
	json_set_str(obj, "step", note->step);
	json_set_str(obj, "unit", note->unit);
	json_set_str(obj, "script", note->script);
	json_set_str(obj, "log_before", note->log_before);
	json_set_str(obj, "left_running", note->left);
	json_set_str(obj, "told", note->told);
	json_set_int(obj, "index", note->index);
	json_set_int(obj, "number", note->number);
	json_set_int(obj, "pid", note->pid);
	json_set_int(obj, "start_time", (int64_t)note->start_time);
	json_set_bool(obj, "started", note->started);
	if (note->ended)
		json_object_set_new(obj, "result", result_to_json(&note->result));
	return obj;
}

static int take_text(const json_t *obj, const char *name, char **place)
{
	const char *text = NULL;
	int r = json_opt_str(obj, name, &text, NULL);
	*place = xstrdup_null(text);
	return r;
}

static int take_int(const json_t *obj, const char *name, int *place)
{
	int64_t value = 0;
	int r = json_opt_int(obj, name, &value, NULL);
	if (r < 0 || value < INT32_MIN || value > INT32_MAX)
		return -EINVAL;
	*place = (int)value;
	return 0;
}

static int result_from_json(const json_t *obj, struct hook_result *r)
{
	int code = 0;
	r->wall_s = r->cpu_s = -1;
	r->memory_peak_bytes = r->tasks_peak = -1;
	if (take_int(obj, "code", &code) < 0 || take_text(obj, "message", &r->message) < 0 ||
	    take_text(obj, "log", &r->log_tail) < 0 || take_text(obj, "output", &r->output) < 0 ||
	    take_text(obj, "out_of_memory", &r->shortage) < 0 ||
	    take_int(obj, "exit_code", &r->exit_code) < 0 ||
	    take_int(obj, "signal", &r->signal) < 0 ||
	    json_opt_number(obj, "wall_s", &r->wall_s, NULL) < 0 ||
	    json_opt_number(obj, "cpu_s", &r->cpu_s, NULL) < 0 ||
	    json_opt_int(obj, "memory_peak", &r->memory_peak_bytes, NULL) < 0 ||
	    json_opt_int(obj, "tasks", &r->tasks_peak, NULL) < 0 ||
	    take_text(obj, "out_of_tasks", &r->refusal) < 0 ||
	    take_text(obj, "left_running", &r->left_running) < 0)
		return -EINVAL;
	r->code = (enum wire_error_code)code;
	return 0;
}

static int from_json(const json_t *obj, struct hook_note *note)
{
	const struct {
		const char *name;
		char **place;
	} texts[] = {{"boot", &note->boot},         {"deployment_id", &note->deployment},
		     {"step", &note->step},         {"unit", &note->unit},
		     {"script", &note->script},     {"log_before", &note->log_before},
		     {"left_running", &note->left}, {"told", &note->told}};
	int version = 0, index = 0, number = 0, pid = 0;
	int64_t start_time = 0;
	json_t *result = NULL;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (take_text(obj, texts[i].name, texts[i].place) < 0)
			return -EINVAL;
	if (take_int(obj, "version", &version) < 0 || version != 1 ||
	    take_int(obj, "index", &index) < 0 || index < 0 ||
	    take_int(obj, "number", &number) < 0 || number < 0 || take_int(obj, "pid", &pid) < 0 ||
	    pid < 0 || json_opt_int(obj, "start_time", &start_time, NULL) < 0 ||
	    json_opt_bool(obj, "started", &note->started, NULL) < 0 ||
	    json_opt_obj(obj, "result", &result, NULL) < 0 || !note->boot || !note->deployment ||
	    !note->step)
		return -EINVAL;
	note->index = (unsigned)index;
	note->number = (unsigned)number;
	note->pid = pid;
	note->start_time = (uint64_t)start_time;
	note->ended = result != NULL;
	return result ? result_from_json(result, &note->result) : 0;
}

/* A few bytes in one write: whole or not there, whenever the worker is killed. */
static int save_quickly(int group_fd, const json_t *doc, struct error *err)
{
	auto_free char *text = json_text(doc);
	auto_close int fd = openat(
		group_fd, NOTE, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
	int r = fd < 0 ? -errno : fs_write_all(fd, text, strlen(text));
	return r < 0 ? error_set(err, r, "write '" NOTE "': %s", strerror(-r)) : 0;
}

int hook_note_save(int group_fd, const struct hook_note *note, struct error *err)
{
	auto_json json_t *doc = to_json(note);
	if (!note->unit)
		return save_quickly(group_fd, doc, err);
	return json_write_file(group_fd, NOTE, doc, FILE_MODE, err);
}

bool hook_note_load(int group_fd, struct hook_note *ret)
{
	auto_json json_t *doc = NULL;
	auto_hook_note struct hook_note note = {0};
	auto_free char *here = proc_boot_id();
	if (json_read_file(group_fd, NOTE, NOTE_MAX, &doc, NULL) < 0 || from_json(doc, &note) < 0 ||
	    !proc_same_boot(note.boot, here))
		return false;
	*ret = note;
	note = (struct hook_note){0};
	return true;
}

void hook_note_remove(int group_fd)
{
	fs_unlink_quiet(group_fd, NOTE);
	fs_unlink_quiet(group_fd, MARKS);
}

int hook_note_open_marks(int group_fd, bool keep)
{
	int fd =
		openat(group_fd, MARKS,
		       O_RDWR | O_CREAT | (keep ? 0 : O_TRUNC) | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
	if (fd < 0)
		log_debug("'" MARKS "': %s", strerror(errno));
	return fd;
}

/* Sessions */

void hook_left_add(int group_fd, const struct hook_note *note)
{
	auto_close int fd = openat(
		group_fd, LEFT, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
	auto_free char *line = xasprintf("%ld %" PRIu64 " %s %s%s%s\n", (long)note->pid,
					 note->start_time, note->boot, note->deployment,
					 note->told ? "\t" : "", note->told ? note->told : "");
	if (fd < 0 || fs_write_all(fd, line, strlen(line)) < 0)
		log_warning("could not note what process %ld left running", (long)note->pid);
}

struct left {
	pid_t pid;
	uint64_t start_time;
	char *deployment;
	const char *told; /* in deployment, or behind it */
};

/* false: of an earlier boot, or not a line of ours. */
static bool parse_left(char *line, const char *boot, struct left *ret)
{
	char there[64];
	long pid;
	int used = 0;
	if (sscanf(line, "%ld %" SCNu64 " %63s %n", &pid, &ret->start_time, there, &used) != 3 ||
	    !used || pid <= 0 || !proc_same_boot(there, boot))
		return false;
	ret->pid = (pid_t)pid;
	ret->deployment = line + used;
	char *tab = strchr(ret->deployment, '\t');
	if (tab)
		*tab++ = '\0';
	ret->told = tab ? tab : ret->deployment;
	return true;
}

/* Calls fn for each; the lines for which it says true stay. */
static void filter_left(int group_fd,
			bool (*fn)(const struct left *left, const struct hook_whose *whose),
			const struct hook_whose *whose)
{
	auto_free char *text = NULL, *boot = proc_boot_id();
	size_t len;
	if (fs_read_file(group_fd, LEFT, LEFT_MAX, &text, &len, NULL) < 0)
		return;
	auto_buf struct buf kept = BUF_INIT(LEFT_MAX);
	char **lines = str_split(text, '\n');
	for (size_t i = 0; lines[i]; i++) {
		struct left left;
		auto_free char *line = xstrdup(lines[i]);
		if (parse_left(line, boot, &left) && fn(&left, whose))
			buf_addf(&kept, "%s\n", lines[i]);
	}
	str_list_free(lines);
	struct error err = {0};
	if (kept.len == 0)
		fs_unlink_quiet(group_fd, LEFT);
	else if (kept.len != len &&
		 fs_write_atomic(group_fd, LEFT, buf_str(&kept), kept.len, FILE_MODE, &err) < 0)
		log_debug("%s", err.text);
}

static bool stop_left(const struct left *left, const struct hook_whose *whose)
{
	if (whose->deployment_id && strcmp(whose->deployment_id, left->deployment) != 0)
		return true;
	const struct hook_whose told = {.deployment_id = left->told, .root = whose->root};
	hook_kill_leftover(left->pid, left->start_time, &told);
	return false;
}

void hook_left_stop(int group_fd, const struct hook_whose *whose)
{
	filter_left(group_fd, stop_left, whose);
}

static bool is_alive(const struct left *left, const struct hook_whose *whose)
{
	const struct hook_whose told = {.deployment_id = left->told, .root = whose->root};
	return hook_is_left(left->pid, left->start_time, &told);
}

void hook_left_tidy(int group_fd, const char *root)
{
	const struct hook_whose whose = {.root = root};
	filter_left(group_fd, is_alive, &whose);
}
