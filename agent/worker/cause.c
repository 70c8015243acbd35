// SPDX-License-Identifier: Apache-2.0
/* In this order: how it ended; the script's own file, when it did not get as far as running, or
 * ended as a shell does that cannot run something; then the table of rules, each a look for words
 * in what it printed, with facts of the host beside them; and only if nothing else was found, what
 * its exit code alone says. The order of the table is from what explains other lines to what is
 * often only a consequence. */
#include "agent/worker/cause.h"

#include "agent/listener.h"
#include "agent/worker/cause-facts.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/str.h"

#include <ctype.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define WORDS_MAX 12
#define HEAD_MAX 256 /* of a script, as the kernel looks at it */
#define LAST_LINES_MAX ((size_t)8 * 1024)
#define EXIT_NOT_EXECUTED 126 /* of a shell */
#define EXIT_NOT_FOUND 127
#define EXIT_SIGNAL 128

struct look {
	const struct cause_request *request;
	struct state_causes *out;
};

/* Shells begin what they say with the whole path of the script: its end is what counts. */
static void shorten(char *line)
{
	static const char directory[] = "/deployment-archive/";
	char *end = strstr(line, directory), *start = end;
	if (!end)
		return;
	while (start > line && start[-1] != ' ')
		start--;
	end += strlen(directory);
	if (*start != '/' || end - start < (ptrdiff_t)strlen(".../"))
		return;
	memcpy(start, ".../", strlen(".../"));
	memmove(start + strlen(".../"), end, strlen(end) + 1);
}

/* Evidence is quoted as it stands; text and next hold nothing of it but numbers and safe words. */
static void add(struct look *look, const char *name, char *text, const struct cause_line *line,
		const char *next)
{
	auto_free char *owned = text;
	auto_free char *evidence = line ? str_to_line(line->text, line->len) : NULL;
	if (evidence)
		shorten(evidence);
	const struct state_cause cause = {(char *)name, owned, evidence, (char *)next};
	state_cause_add(look->out, &cause);
}

/* How it ended */

static void tell_timeout(struct look *look)
{
	add(look, "timeout",
	    xasprintf(
		    "it ran into its time limit of %lld s, which is the 'timeout' of its entry in "
		    "the AppSpec (3600 where there is none)",
		    (long long)look->request->timeout_s),
	    NULL,
	    "the last lines say what it waited for; if it only needs longer, raise 'timeout'");
}

static void tell_shortage(struct look *look)
{
	const char *whose = look->request->shortage;
	bool host = strstr(whose, "the host") != NULL;
	add(look, "out_of_memory",
	    xasprintf("it ran out of memory, and the kernel killed a process of it: %s", whose),
	    NULL,
	    host ? "free memory on this host, or give it more; 'journalctl -k' has the kernel's "
		   "report"
		 : "raise that limit ('limits' of the script in the AppSpec, script_memory_max in "
		   "agent.yml), or let the script need less");
}

static void tell_refusal(struct look *look)
{
	add(look, "out_of_tasks",
	    xasprintf("it had as many processes and threads as it may have, and the kernel refused "
		      "it another: %s",
		      look->request->refusal),
	    NULL, "raise that limit, or let the script start fewer at a time");
}

/* A shell passes the end of what it ran on as 128 and the signal. */
static int signal_of(const struct cause_request *request)
{
	int code = request->exit_code - EXIT_SIGNAL;
	if (request->signal)
		return request->signal;
	return code == SIGKILL || code == SIGSEGV || code == SIGABRT || code == SIGBUS ||
			       code == SIGILL || code == SIGFPE || code == SIGTERM ||
			       code == SIGSYS || code == SIGXFSZ
		       ? code
		       : 0;
}

static void tell_oom(struct look *look)
{
	const struct cause_request *request = look->request;
	if (signal_of(request) != SIGKILL || request->oom_kills == 0)
		return;
	add(look, "out_of_memory",
	    xstrdup("it was killed, and while it ran the kernel killed a process of this host for "
		    "want "
		    "of memory"),
	    NULL,
	    "'journalctl -k' says which one, and whose memory it was; free memory, or raise the "
	    "limit");
}

/* The script's own file */

static void tell_directory(struct look *look, const struct stat *st)
{
	bool dir = S_ISDIR(st->st_mode);
	add(look, dir ? "is_a_directory" : "not_a_file",
	    xasprintf("what the AppSpec names as this script is a %s in the revision",
		      dir ? "directory" : "device, pipe or socket"),
	    NULL, "correct 'location' of this script in the AppSpec; 'slipway lint' finds it");
}

static char *first_line(int fd)
{
	char *head = xcalloc(1, HEAD_MAX + 1);
	if (pread(fd, head, HEAD_MAX, 0) < 0)
		*head = '\0';
	head[strcspn(head, "\n")] = '\0';
	return head;
}

/* "#!/usr/bin/env python3": returns the interpreter, *ret_by what env is to look for. */
static char *interpreter_of(const char *line, char **ret_by)
{
	*ret_by = NULL;
	if (!str_starts(line, "#!"))
		return NULL;
	line += 2 + strspn(line + 2, " \t");
	size_t len = strcspn(line, " \t\r");
	char *name = str_to_line(line, len);
	const char *rest = line + len + strspn(line + len, " \t");
	rest += str_starts(rest, "-S ") ? strlen("-S ") : 0;
	if (str_ends(name, "/env") && *rest)
		*ret_by = str_to_line(rest, strcspn(rest, " \t\r"));
	return name;
}

/* Returns true when the first line says why. */
static bool tell_first_line(struct look *look, const char *line)
{
	auto_free char *by = NULL, *name = interpreter_of(line, &by);
	if (!name)
		return false;
	if (str_ends(line, "\r")) {
		add(look, "windows_line_ends",
		    xasprintf("the script has Windows line ends (CRLF): the carriage return counts "
			      "as "
			      "part of its first line, which asks for '%s'",
			      by ? by : name),
		    NULL,
		    "save it with Unix line ends (dos2unix, or 'text eol=lf' in .gitattributes), "
		    "and deploy again");
		return true;
	}
	if (access(name, F_OK) < 0) {
		add(look, "interpreter_missing",
		    xasprintf("there is no interpreter '%s' on this host, for which the script's "
			      "first "
			      "line asks",
			      name),
		    NULL, "install it, or correct the first line of the script");
		return true;
	}
	return false;
}

static void tell_foreign(struct look *look, const char *what, const char *machine,
			 const struct cause_line *line)
{
	add(look, "wrong_architecture",
	    machine ? xasprintf("%s is a program for %s, and this host is of another architecture",
				what, machine)
		    : xasprintf("%s is no program that this host can run: of another architecture, "
				"or "
				"damaged",
				what),
	    line, "build the revision for this host's architecture ('uname -m' names it)");
}

static bool could_not_run(const struct cause_request *request)
{
	return !request->started || request->exit_code == EXIT_NOT_EXECUTED ||
	       request->exit_code == EXIT_NOT_FOUND;
}

/* A program for another machine may have been taken for a shell's script. */
static void look_at_file(struct look *look)
{
	const struct cause_request *request = look->request;
	if (request->archive_fd < 0)
		return;
	auto_close int fd = fs_open_inside(request->archive_fd, request->location,
					   O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	struct stat st;
	struct statvfs fs;
	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	auto_free char *line = first_line(fd), *machine = cause_foreign_fd(fd);
	if (!S_ISREG(st.st_mode))
		tell_directory(look, &st);
	else if (machine)
		tell_foreign(look, "the script", machine, NULL);
	else if (!could_not_run(request) || tell_first_line(look, line) || request->started)
		return;
	else if (fstatvfs(fd, &fs) == 0 && (fs.f_flag & ST_NOEXEC))
		add(look, "noexec",
		    xstrdup("the file system that revisions are unpacked to is mounted noexec"),
		    NULL, "mount it with 'exec', or move root_dir of agent.yml");
}

static void look_at_start(struct look *look)
{
	const struct cause_request *request = look->request;
	const char *runas = request->runas;
	if (request->started || look->out->n)
		return;
	const char *message = request->message ? request->message : "";
	if (request->missing)
		add(look, "script_missing",
		    xstrdup("the script is not in the revision that is on this host"), NULL,
		    "correct 'location' in the AppSpec, or add the file to the bundle; 'slipway "
		    "lint' "
		    "finds it");
	else if (runas && strstr(message, "there is no user"))
		add(look, "user_unknown",
		    xasprintf("'runas' names the user '%s', whom this host does not have", runas),
		    NULL, "create the account first, or correct 'runas' in the AppSpec");
	else if (strstr(message, "EACCES") || strstr(message, "executable"))
		add(look, "not_executable",
		    xasprintf("%s%s%s may not execute the script where it is",
			      runas ? "user '" : "", runas ? runas : "its user", runas ? "'" : ""),
		    NULL,
		    "set its mode in the bundle (chmod 755); each directory above it must allow "
		    "that "
		    "user, too");
}

/* What it printed */

static void tell_port(struct look *look, const struct cause_line *line)
{
	static const char here[] =
		"stop or move what listens there ('ss -ltnp' lists it), or choose another port";
	const char *net = look->request->proc_net;
	unsigned port = cause_port(line);
	bool ours = false;
	auto_free char *who = port ? listener_find(net, port, &ours)
				   : cause_listener_any(net, line->output, &port, &ours);
	char *text;
	if (who)
		text = xasprintf("port %u is in use: %s listens on it", port, who);
	else if (port)
		text = xasprintf(
			"port %u was in use; when the script had ended nobody listened on it any "
			"more",
			port);
	else
		text = xstrdup(
			"an address that it wants to listen on is in use; it does not say which");
	add(look, "port_in_use", text, line,
	    port && !who ? "look what opens that port twice, or was just ending: "
			   "ApplicationStop has to wait for the end of what it stops"
	    : ours ? "what an earlier deployment started still runs: ApplicationStop has to end "
		     "it, "
		     "and "
		     "to wait for its end"
		   : here);
}

static void tell_space(struct look *look, const struct cause_line *line)
{
	bool inodes = false;
	auto_free char *full = cause_full(true, &inodes);
	add(look, inodes ? "no_inodes" : "no_space",
	    full ? xasprintf("no space was left on a file system: %s", full)
		 : xstrdup("no space was left on a file system; when the script had ended, none "
			   "was full "
			   "any more"),
	    line, "make room there, then deploy again; 'df -h' and 'df -i' show all file systems");
}

static void tell_read_only(struct look *look, const struct cause_line *line)
{
	auto_free char *path = cause_path(line);
	auto_free char *at = path ? cause_read_only(path) : NULL;
	add(look, "read_only",
	    at ? xasprintf("the file system %s is mounted read-only", at)
	       : xstrdup("it wanted to write to a file system that is mounted read-only"),
	    line,
	    "mount it writable; when that happened by itself, the kernel met errors on the disk "
	    "('journalctl -k')");
}

static void tell_library(struct look *look, const struct cause_line *line)
{
	auto_free char *name = cause_word_after(line, "loading shared libraries:");
	if (!name)
		name = cause_word_before(line, ": cannot open shared object file");
	bool version = cause_line_has(line, "' not found") ||
		       cause_line_has(line, "\xe2\x80\x99 not found");
	add(look, "library_missing",
	    name      ? xasprintf("the shared library '%s' is not on this host", name)
	    : version ? xstrdup("a shared library of this host is older than the program needs")
		      : xstrdup("a program does not find a shared library"),
	    line,
	    "install the package that has it, or build the program on a system as old as this "
	    "host");
}

static void tell_module(struct look *look, const struct cause_line *line)
{
	add(look, "module_missing", xstrdup("a program does not find a module that it needs"), line,
	    "the bundle has to hold its dependencies, or an earlier script has to install them, "
	    "for "
	    "the same interpreter and user");
}

static void tell_line_ends(struct look *look, const struct cause_line *line)
{
	add(look, "windows_line_ends",
	    xstrdup("a script has Windows line ends (CRLF): the carriage return counts as part of "
		    "the "
		    "line"),
	    line,
	    "save it with Unix line ends (dos2unix, or 'text eol=lf' in .gitattributes), and "
	    "deploy again");
}

static void tell_interpreter(struct look *look, const struct cause_line *line)
{
	auto_free char *name = cause_word_before(line, ": bad interpreter");
	add(look, "interpreter_missing",
	    name ? xasprintf("there is no interpreter '%s' on this host", name)
		 : xstrdup("a script that it runs asks for an interpreter that this host does not "
			   "have"),
	    line, "install the interpreter, or correct the first line of that script");
}

static void tell_lock(struct look *look, const struct cause_line *line)
{
	static const char *const marks[] = {"held by process", "with pid", "process using it: pid",
					    "as pid"};
	long pid = 0;
	for (size_t i = 0; !pid && i < ARRAY_LEN(marks); i++)
		pid = cause_number_after(line, marks[i]);
	auto_free char *name = pid ? listener_process(pid) : NULL;
	add(look, "package_lock",
	    name  ? xasprintf("another package manager runs: %s (%ld)", name, pid)
	    : pid ? xasprintf("another package manager ran, process %ld, which has ended since",
			      pid)
		  : xstrdup("another package manager ran at the same time"),
	    line,
	    "deploy again when it has ended; in the script, apt-get waits with -o "
	    "DPkg::Lock::Timeout=300");
}

static char *command_in(const struct cause_line *line)
{
	static const char *const before[] = {": command not found", ": not found",
					     ": No such file or directory"};
	char *name = cause_word_after(line, "command not found: ");
	for (size_t i = 0; !name && i < ARRAY_LEN(before); i++)
		name = cause_word_before(line, before[i]);
	return name;
}

static void tell_command(struct look *look, const struct cause_line *line)
{
	auto_free char *name = command_in(line);
	bool path = name && *name == '/';
	add(look, "command_not_found",
	    name ? xasprintf(path ? "there is no program '%s' on this host"
				  : "there is no command '%s' in the script's PATH",
			     name)
		 : xstrdup("a command is not on this host, or not in the script's PATH"),
	    line,
	    "install what provides it, or call it by its whole path: scripts do not see the PATH "
	    "of a login");
}

static void tell_user(struct look *look, const struct cause_line *line)
{
	static const char *const marks[] = {"invalid spec:", "invalid user:",  "invalid group:",
					    "invalid user ", "invalid group ", "unknown user:",
					    "unknown user ", "unknown group:", "unknown group "};
	char *name = NULL;
	for (size_t i = 0; !name && i < ARRAY_LEN(marks); i++)
		name = cause_word_after(line, marks[i]);
	add(look, "user_unknown",
	    name ? xasprintf("there is no user or group '%s' on this host", name)
		 : xstrdup("it asks for a user or group that this host does not have"),
	    line, "create the account first, in BeforeInstall or with the host's own means");
	free(name);
}

static bool is_local_address(const struct cause_line *line)
{
	static const char *const words[] = {"localhost", "127.0.0.", "::1", "0.0.0.0", " :::"};
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (cause_line_has(line, words[i]))
			return true;
	return false;
}

static void tell_refused(struct look *look, const struct cause_line *line)
{
	unsigned port = cause_port(line);
	bool ours = false, local = is_local_address(line);
	auto_free char *who =
		local && port ? listener_find(look->request->proc_net, port, &ours) : NULL;
	char *text;
	if (who)
		text = xasprintf(
			"port %u of this host refused a connection, and by now %s listens on it: "
			"it was asked too early",
			port, who);
	else if (local && port)
		text = xasprintf("nothing listens on port %u of this host", port);
	else
		text = xstrdup(
			"a service refused a connection: nothing listens where it was asked");
	bool validate = str_eq(look->request->event, "ValidateService");
	add(look, "connection_refused", text, line,
	    who ? "let the script try again for a while (curl --retry 10 --retry-connrefused)"
	    : local && validate ? "look why the application does not listen: it ended, listens "
				  "elsewhere, or takes "
				  "longer to start than the script waits"
				: "start the service that is asked, or correct the address");
}

static void tell_permission(struct look *look, const struct cause_line *line)
{
	auto_free char *path = cause_path(line);
	auto_free char *owner = path ? cause_owner(path) : NULL;
	const char *runas = look->request->runas;
	const char *as = runas ? runas : "its user";
	add(look, "permission_denied",
	    owner ? xasprintf("%s%s%s was refused %s, %s", runas ? "user '" : "", as,
			      runas ? "'" : "", path, owner)
		  : xasprintf("%s%s%s was refused something", runas ? "user '" : "", as,
			      runas ? "'" : ""),
	    line,
	    "set owner and mode by 'permissions' in the AppSpec, or run the script as another user "
	    "('runas')");
}

static void tell_format(struct look *look, const struct cause_line *line)
{
	auto_free char *path = cause_path(line);
	auto_free char *machine = path ? cause_foreign(path) : NULL;
	tell_foreign(look, machine ? path : "what it runs", machine, line);
}

static void tell_memory(struct look *look, const struct cause_line *line)
{
	add(look, "out_of_memory", xstrdup("a program got no more memory, and said so itself"),
	    line,
	    "raise the limit that it has (its own, the script's or the host's), or let it need "
	    "less");
}

static void tell_files(struct look *look, const struct cause_line *line)
{
	add(look, "too_many_files",
	    xstrdup("a program could not open more files, or start more processes"), line,
	    "raise that limit: of files by 'ulimit -n' or LimitNOFILE, of processes by 'limits' of "
	    "the script in the AppSpec or script_tasks_max in agent.yml");
}

static void tell_quota(struct look *look, const struct cause_line *line)
{
	add(look, "no_space", xstrdup("the disk quota of its user is used up"), line,
	    "make room, or raise the quota");
}

static void tell_watches(struct look *look, const struct cause_line *line)
{
	add(look, "too_many_watches", xstrdup("the host allows no more watches on files (inotify)"),
	    line, "raise fs.inotify.max_user_watches (sysctl)");
}

static void tell_absent(struct look *look, const struct cause_line *line)
{
	auto_free char *path = cause_path(line);
	if (path && cause_is_absent(path))
		add(look, "file_missing", xasprintf("%s is not on this host", path), line,
		    "let an earlier script or the AppSpec make it, or correct the path");
}

/* Only where its shell says so, too. */
static bool ended_not_found(const struct cause_request *request, const struct cause_line *line)
{
	return request->exit_code == EXIT_NOT_FOUND || cause_line_has(line, "command not found");
}

static const struct rule {
	const char *words[WORDS_MAX + 1];
	bool (*fits)(const struct cause_request *request, const struct cause_line *line);
	void (*tell)(struct look *look, const struct cause_line *line);
} rules[] = {
	{{"file watchers reached", "inotify watches", "inotify_add_watch"}, NULL, tell_watches},
	{{"No space left on device", "ENOSPC", "not enough free disk space", "disk is full"},
	 NULL,
	 tell_space},
	{{"Disk quota exceeded", "EDQUOT"}, NULL, tell_quota},
	{{"Read-only file system", "EROFS"}, NULL, tell_read_only},
	{{"address already in use", "EADDRINUSE", "port is already allocated", "is already in use",
	  "was already in use", "Connection in use:", "Address in use"},
	 NULL,
	 tell_port},
	{{"$'\\r'", "^M: bad interpreter", "\\r': No such file", "\\r\xe2\x80\x99: No such file"},
	 NULL,
	 tell_line_ends},
	{{": bad interpreter:", "cannot execute: required file not found"}, NULL, tell_interpreter},
	{{"error while loading shared libraries", "cannot open shared object file",
	  "Error loading shared library", "version `GLIBC", "version `GLIBCXX", "version `OPENSSL"},
	 NULL,
	 tell_library},
	{{"Exec format error", "cannot execute binary file"}, NULL, tell_format},
	{{"Could not get lock /var/lib/", "Could not get lock /var/cache/apt", "dpkg frontend lock",
	  "dpkg status database is locked", "Unable to lock directory /var/lib/apt",
	  "Unable to lock the administration directory", "holding the yum lock",
	  "lock /var/run/yum.pid", "/var/run/dnf.pid", "create transaction lock on", "rpmdb lock",
	  "Waiting for process with pid"},
	 NULL,
	 tell_lock},
	{{"No module named", "Cannot find module", "ClassNotFoundException", "NoClassDefFoundError",
	  "Could not find or load main class", "cannot load such file --", "in @INC",
	  "Unable to access jarfile"},
	 NULL,
	 tell_module},
	{{"command not found", ": not found", ": No such file or directory"},
	 ended_not_found,
	 tell_command},
	{{"invalid user", "invalid group", "invalid spec", "unknown user", "unknown group",
	  "no such user", "does not exist or the user entry", "illegal user name",
	  "illegal group name", "getpwnam(", "unknown username"},
	 NULL,
	 tell_user},
	{{"OutOfMemoryError", "heap out of memory", "Cannot allocate memory", "ENOMEM",
	  "MemoryError", "std::bad_alloc", "out of memory"},
	 NULL,
	 tell_memory},
	{{"Too many open files", "EMFILE", "fork: retry", "Resource temporarily unavailable"},
	 NULL,
	 tell_files},
	{{"Connection refused", "ECONNREFUSED", "Couldn't connect to server"}, NULL, tell_refused},
	{{"Permission denied", "EACCES", "Operation not permitted", "EPERM"},
	 NULL,
	 tell_permission},
	{{"No such file or directory", "ENOENT"}, NULL, tell_absent},
};

static void look_at_output(struct look *look)
{
	const char *output = look->request->output;
	for (size_t i = 0; output && i < ARRAY_LEN(rules); i++) {
		struct cause_line line;
		if (cause_line_find(output, rules[i].words, &line) &&
		    (!rules[i].fits || rules[i].fits(look->request, &line)))
			rules[i].tell(look, &line);
	}
}

/* When nothing else is known */

static void tell_signal(struct look *look, int sig)
{
	static const struct {
		int sig;
		const char *what, *next;
	} rows[] = {
		{SIGKILL, "somebody or something killed it (SIGKILL)",
		 "'journalctl -k' says whether the kernel did, for want of memory"},
		{SIGTERM, "somebody or something asked it to end (SIGTERM)",
		 "look who stops it: 'journalctl' around that time"},
		{SIGSEGV, "a program of it crashed (SIGSEGV)", "'coredumpctl list' has its crash"},
		{SIGBUS, "a program of it crashed (SIGBUS): also when its disk is full or fails",
		 "'coredumpctl list' has its crash, 'df -h' the file systems"},
		{SIGABRT, "a program of it gave up (SIGABRT)", "the last lines say why"},
		{SIGILL, "a program of it is built for a newer processor than this host's (SIGILL)",
		 "build it for this processor"},
		{SIGSYS, "a program of it used a system call that is forbidden to it (SIGSYS)",
		 "look at the limits of its unit (SystemCallFilter)"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].sig == sig)
			add(look, "signal",
			    look->request->signal
				    ? xstrdup(rows[i].what)
				    : xasprintf("%s; exit code %d is a shell's way to say so",
						rows[i].what, look->request->exit_code),
			    NULL, rows[i].next);
	if (!look->out->n && look->request->signal)
		add(look, "signal", xasprintf("signal %d ended it (%s)", sig, strsignal(sig)), NULL,
		    "the last lines say what it did");
}

static void look_at_rest(struct look *look)
{
	const struct cause_request *request = look->request;
	bool inodes = false;
	auto_free char *full = cause_full(false, &inodes);
	if (full)
		add(look, inodes ? "no_inodes" : "no_space", xasprintf("when it failed, %s", full),
		    NULL,
		    "make room there, then deploy again; 'df -h' and 'df -i' show all file "
		    "systems");
	int sig = signal_of(request);
	if (sig)
		tell_signal(look, sig);
	else if (request->exit_code == EXIT_NOT_FOUND)
		add(look, "command_not_found",
		    xstrdup("exit code 127 is a shell's way to say that there is no such command"),
		    NULL,
		    "look which command of the script this host lacks, or does not have in PATH");
	else if (request->exit_code == EXIT_NOT_EXECUTED)
		add(look, "permission_denied",
		    xstrdup("exit code 126 is a shell's way to say that it may not execute a file"),
		    NULL, "look at the modes of what the script runs");
}

void cause_find(const struct cause_request *request, struct state_causes *ret)
{
	struct look look = {request, ret};
	if (request->timed_out)
		tell_timeout(&look);
	if (request->shortage)
		tell_shortage(&look);
	else
		tell_oom(&look);
	if (request->refusal)
		tell_refusal(&look);
	look_at_file(&look);
	look_at_start(&look);
	if (request->started)
		look_at_output(&look);
	if (request->started && !ret->n)
		look_at_rest(&look);
}

/* Failures that are not a script's */

/* "3 problems: /srv/app/x: it exists already": the first of them. */
static char *first_problem(const char *text)
{
	const char *count = strstr(text, " problems: ");
	if (count && isdigit((unsigned char)*text))
		text = count + strlen(" problems: ");
	return str_to_line(text, strcspn(text, ";"));
}

void cause_find_error(int code, const char *text, struct state_causes *ret)
{
	static const struct {
		int code;
		const char *words, *name, *next;
	} rows[] = {
		{ERR_REFUSED, "it exists already", "file_conflict",
		 "move it away, or deploy with --file-exists-behavior OVERWRITE or RETAIN"},
		{ERR_REFUSED, "it belongs to the deployment group", "file_conflict",
		 "deploy to that group, take the path out of one of the two, or let this group "
		 "take it over ('slipway adopt')"},
		{ERR_REFUSED, "read-only", "read_only", "mount it writable"},
		{ERR_REFUSED, " inodes are needed, ", "no_inodes",
		 "make room there, then deploy again"},
		{ERR_REFUSED, " are needed, ", "no_space", "make room there, then deploy again"},
		{ERR_CONFLICT, "", "changed_underneath",
		 "somebody else writes where this is installed: find out who, then deploy again"},
		{-EROFS, "", "read_only", "mount it writable, then deploy again"},
		{-EDQUOT, "", "no_space", "make room, or raise the quota"},
		{-EIO, "", "disk_error",
		 "look at the disk: 'journalctl -k' has the kernel's report"},
		{-ENOSPC, " inodes are needed, ", "no_inodes",
		 "make room there, then deploy again"},
		{-ENOSPC, "", "no_space", "make room there, then deploy again"},
	};
	struct look look = {.out = ret};
	bool inodes = false;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].code != code || !strstr(text, rows[i].words))
			continue;
		auto_free char *full = code == -ENOSPC ? cause_full(true, &inodes) : NULL;
		auto_free char *problem = first_problem(text);
		add(&look, inodes ? "no_inodes" : rows[i].name,
		    full ? xasprintf("%s: %s", problem, full) : xstrdup(problem), NULL,
		    rows[i].next);
		return;
	}
}

uint64_t cause_oom_kills(void)
{
	auto_fclose FILE *file = fopen("/proc/vmstat", "re");
	char line[128];
	unsigned long long count;
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "oom_kill %llu", &count) == 1)
			return count;
	return 0;
}

const char *cause_last_lines(const char *output)
{
	size_t len = strlen(output), lines = 0;
	const char *from = output + len;
	while (from > output) {
		const char *start = from - 1;
		while (start > output && start[-1] != '\n')
			start--;
		if (++lines > CAUSE_LINES || (size_t)(output + len - start) > LAST_LINES_MAX)
			break;
		from = start;
	}
	return from;
}
