// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/tool-files.h"

#include "common/alloc.h"
#include "common/fs.h"
#include "common/log-file.h"
#include "common/log.h"
#include "common/str.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct tool_files {
	struct log_file *log, *wire;
	char *pid_dir, *pid_name; /* NULL: there is none */
};

static void open_log(struct tool_files *f, const struct settings *s)
{
	struct error err = {0};
	if (!s->log_dir)
		return;
	mode_t dir = s->restrict_log_dir ? 0750 : 0755, file = s->restrict_log_dir ? 0640 : 0644;
	if (log_file_open(s->log_dir, s->program_name, dir, file, &f->log, &err) < 0)
		log_warning("no log file: %s", err.text);
	else
		log_to_sink(log_file_write, f->log);
}

/* It says who talks with whom about what, so it is never for others. */
static void open_wire(struct tool_files *f, const struct settings *s)
{
	struct error err = {0};
	if (!s->log_aws_wire)
		return;
	if (!s->log_dir) {
		log_warning("log_aws_wire needs log_dir");
		return;
	}
	auto_free char *name = xasprintf("%s.aws_wire", s->program_name);
	mode_t dir = s->restrict_log_dir ? 0750 : 0755;
	if (log_file_open(s->log_dir, name, dir, 0640, &f->wire, &err) < 0)
		log_warning("no wire log: %s", err.text);
}

static int write_pid(const char *dir, const char *name, bool restricted, struct error *err)
{
	int r = fs_mkdirs_path(dir, restricted ? 0700 : 0755, err);
	if (r < 0)
		return r;
	auto_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, "open '%s'", dir);
	char text[32];
	int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	r = fs_write_atomic(fd, name, text, (size_t)len, restricted ? 0600 : 0644, err);
	return r < 0 ? error_prefix(err, r, "'%s'", dir) : 0;
}

static void open_pid(struct tool_files *f, const struct settings *s)
{
	struct error err = {0};
	if (!s->pid_dir)
		return;
	auto_free char *name = xasprintf("%s.pid", s->program_name);
	if (write_pid(s->pid_dir, name, s->restrict_agent_dirs, &err) < 0) {
		log_warning("no file with the process id: %s", err.text);
		return;
	}
	f->pid_dir = xstrdup(s->pid_dir);
	f->pid_name = TAKE(name);
}

static void remove_pid(const struct tool_files *f)
{
	auto_close int fd = open(f->pid_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_free char *text = NULL;
	size_t len;
	if (fd >= 0 && fs_read_file(fd, f->pid_name, 64, &text, &len, NULL) >= 0 &&
	    strtol(text, NULL, 10) == (long)getpid())
		fs_unlink_quiet(fd, f->pid_name);
}

struct tool_files *tool_files_open(const struct settings *settings, struct tool_files *old)
{
	struct tool_files *f = xcalloc(1, sizeof(*f));
	if (old) {
		log_to_sink(NULL, NULL);
		log_file_free(TAKE(old->log));
	}
	open_log(f, settings);
	open_wire(f, settings);
	open_pid(f, settings);
	if (old && str_eq(f->pid_dir, old->pid_dir) && str_eq(f->pid_name, old->pid_name))
		free(TAKE(old->pid_name)); /* it is the same file */
	tool_files_free(old);
	if (f->log)
		log_to_sink(log_file_write, f->log);
	if (f->wire)
		log_wire_to_sink(log_file_write, f->wire);
	return f;
}

void tool_files_free(struct tool_files *f)
{
	if (!f)
		return;
	if (f->pid_name)
		remove_pid(f);
	log_to_sink(NULL, NULL);
	log_wire_to_sink(NULL, NULL);
	log_file_free(f->log);
	log_file_free(f->wire);
	free(f->pid_dir);
	free(f->pid_name);
	free(f);
}
