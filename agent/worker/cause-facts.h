/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the cause module: what lines say, and what the host is like. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* A line of output without its stream. */
struct cause_line {
	const char *text;
	size_t len;
	const char *output; /* all of it */
};

/* The last line that holds one of these words (case does not count; NULL-terminated). */
bool cause_line_find(const char *output, const char *const *words, struct cause_line *ret);
/* Does the line hold it (case does not count)? Returns where, or NULL. */
const char *cause_line_has(const struct cause_line *line, const char *word);

/* The port that the line names, else one that a line near it calls a port; 0: none. */
unsigned cause_port(const struct cause_line *line);
/* The ports that any line names, in their order, at most max of them; returns how many. */
size_t cause_ports(const char *output, unsigned *ports, size_t max);
/* What stands before (or, with after, behind) that mark, with its quotes taken away: a name that is
 * safe to be shown anywhere, else NULL. Caller frees. */
char *cause_word_before(const struct cause_line *line, const char *mark);
char *cause_word_after(const struct cause_line *line, const char *mark);
/* The absolute path that the line names; NULL. Caller frees. */
char *cause_path(const struct cause_line *line);
/* The number behind that mark; 0: none. */
long cause_number_after(const struct cause_line *line, const char *mark);

/* As listener_find(), for the first port that the output names and that somebody listens on. */
char *cause_listener_any(const char *proc_net, const char *output, unsigned *ret_port,
			 bool *ret_ours);
/* "the file system /srv has 0 B of 20 GB free"; all: of every file system, else only of those that
 * about every script needs. NULL: none is full. Caller frees. */
char *cause_full(bool all, bool *ret_inodes);
/* The read-only mount that the path is on; NULL: it is not. Caller frees. */
char *cause_read_only(const char *path);
/* "it is a file of root:adm with mode 0640"; NULL: that cannot be said. Caller frees. */
char *cause_owner(const char *path);
/* Is nothing there? False as well where one cannot look. */
bool cause_is_absent(const char *path);
/* "aarch64", when the program (fd, or an absolute path) is not for this machine; NULL. Caller
 * frees. */
char *cause_foreign_fd(int fd);
char *cause_foreign(const char *path);
