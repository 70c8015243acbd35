// SPDX-License-Identifier: Apache-2.0
/* What PID 1 is told about a script, in the order of systemd.unit(5), .service(5), .exec(5). */
#include "agent/worker/hook-unit.h"

#include "agent/worker/label.h"
#include "common/alloc.h"
#include "common/log.h"
#include "common/str.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* For what a script has started, when the host goes down: systemd's own default. A worker that ends
 * a unit itself gives it HOOK_GRACE_US. */
#define STOP_US ((uint64_t)90 * 1000 * 1000)
#define PERCENT_US ((uint64_t)10 * 1000) /* of a second of CPU time */

struct order {
	sd_bus_message *m;
	int r; /* the first failure */
};

static void add_text(struct order *o, const char *name, const char *value)
{
	if (o->r >= 0)
		o->r = sd_bus_message_append(o->m, "(sv)", name, "s", value);
}

static void add_bool(struct order *o, const char *name, bool value)
{
	if (o->r >= 0)
		o->r = sd_bus_message_append(o->m, "(sv)", name, "b", (int)value);
}

static void add_time(struct order *o, const char *name, uint64_t us)
{
	if (o->r >= 0)
		o->r = sd_bus_message_append(o->m, "(sv)", name, "t", us);
}

static void add_fd(struct order *o, const char *name, int fd)
{
	if (o->r >= 0)
		o->r = sd_bus_message_append(o->m, "(sv)", name, "h", fd);
}

/* A file that we have open for what the script prints. Under SELinux a descriptor reaches PID 1
 * only when the bus, too, may append to such a file, and it may not: then PID 1 opens it by its
 * name. */
static void add_output(struct order *o, const char *name, int fd)
{
	auto_free char *self = xasprintf("/proc/self/fd/%d", fd);
	auto_free char *by_fd = xasprintf("%sFileDescriptor", name);
	auto_free char *by_name = xasprintf("%sFileToAppend", name);
	char path[PATH_MAX];
	ssize_t n = label_is_enabled(NULL) ? readlink(self, path, sizeof(path) - 1) : -1;
	if (n <= 0) {
		add_fd(o, by_fd, fd);
		return;
	}
	path[n] = '\0';
	add_text(o, by_name, path);
}

static void open_property(struct order *o, const char *name, const char *type)
{
	if (o->r >= 0)
		o->r = sd_bus_message_open_container(o->m, 'r', "sv");
	if (o->r >= 0)
		o->r = sd_bus_message_append(o->m, "s", name);
	if (o->r >= 0)
		o->r = sd_bus_message_open_container(o->m, 'v', type);
}

static void close_property(struct order *o)
{
	for (int i = 0; i < 2; i++)
		if (o->r >= 0)
			o->r = sd_bus_message_close_container(o->m);
}

/* What systemd would refuse, and with it the whole script. */
static bool is_variable(const char *text)
{
	const char *p = text;
	while ((*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') || *p == '_' ||
	       (p > text && *p >= '0' && *p <= '9'))
		p++;
	bool good = p > text && *p == '=' && str_is_utf8(text, strlen(text));
	for (p++; good && *p; p++)
		good = (unsigned char)*p >= ' ' ? *p != 0x7f : *p == '\n' || *p == '\t';
	return good;
}

static void add_environment(struct order *o, char *const *env)
{
	open_property(o, "Environment", "as");
	if (o->r >= 0)
		o->r = sd_bus_message_open_container(o->m, 'a', "s");
	for (; *env; env++) {
		if (!is_variable(*env))
			log_warning("variable '%.*s' cannot be given to a service: left out",
				    (int)strcspn(*env, "="), *env);
		else if (o->r >= 0)
			o->r = sd_bus_message_append(o->m, "s", *env);
	}
	if (o->r >= 0)
		o->r = sd_bus_message_close_container(o->m);
	close_property(o);
}

/* What belongs to the unit and not to what its script starts. */
static void unset_environment(struct order *o)
{
	open_property(o, "UnsetEnvironment", "as");
	if (o->r >= 0)
		o->r = sd_bus_message_append(o->m, "as", 5, "INVOCATION_ID", "JOURNAL_STREAM",
					     "SYSTEMD_EXEC_PID", "MEMORY_PRESSURE_WATCH",
					     "MEMORY_PRESSURE_WRITE");
	close_property(o);
}

/* Every exit status and signal: a script that fails is our business alone. */
static void accept_every_end(struct order *o)
{
	int32_t statuses[255], signals[NSIG];
	size_t n = 0;
	for (int i = 0; i < (int)ARRAY_LEN(statuses); i++)
		statuses[i] = i + 1;
	for (int i = 1; i < NSIG; i++)
		if (i <= SIGSYS || i >= SIGRTMIN) /* those between are the C library's */
			signals[n++] = i;
	open_property(o, "SuccessExitStatus", "(aiai)");
	if (o->r >= 0)
		o->r = sd_bus_message_open_container(o->m, 'r', "aiai");
	if (o->r >= 0)
		o->r = sd_bus_message_append_array(o->m, 'i', statuses, sizeof(statuses));
	if (o->r >= 0)
		o->r = sd_bus_message_append_array(o->m, 'i', signals, n * sizeof(*signals));
	if (o->r >= 0)
		o->r = sd_bus_message_close_container(o->m);
	close_property(o);
}

/* A "$" in an argument is a variable to the service manager, in a path it is none. */
static char *quote_dollars(const char *text)
{
	char *quoted = xcalloc(2 * strlen(text) + 1, 1), *out = quoted;
	for (; *text; *out++ = *text++)
		if (*text == '$')
			*out++ = '$';
	return quoted;
}

/* systemd reads a unit again at each reload, whoever asks for it, and one with any of these in the
 * path of its program it does not understand: such a path is an argument of the shell's. */
static bool is_plain(const char *path)
{
	for (; *path; path++)
		if ((unsigned char)*path < ' ' || strchr("\"'\\$;\x7f", *path))
			return false;
	return true;
}

/* Not ExecStartEx, which could say "no-env-expand": systemd 252 cannot read again what it writes
 * down for it, and a script that says 'systemctl daemon-reload' would break its own unit. */
static void add_command(struct order *o, const struct hook *h, bool shell)
{
	auto_free char *argument = quote_dollars(h->path);
	open_property(o, "ExecStart", "a(sasb)");
	if (o->r >= 0 && shell)
		o->r = sd_bus_message_append(o->m, "a(sasb)", 1, "/bin/sh", 2, "/bin/sh", argument,
					     false);
	else if (o->r >= 0 && is_plain(h->path))
		o->r = sd_bus_message_append(o->m, "a(sasb)", 1, h->path, 1, argument, false);
	else if (o->r >= 0)
		o->r = sd_bus_message_append(o->m, "a(sasb)", 1, "/bin/sh", 4, "/bin/sh", "-c",
					     "exec \"$$0\"", argument, false);
	close_property(o);
}

/* In one line: what follows another would be read as settings of the unit. */
static void add_description(struct order *o, const struct hook_request *request)
{
	const char *label = request->group_label;
	bool named = label && strcmp(label, request->group_id) != 0;
	auto_free char *about =
		xasprintf(UNIT_DESCRIPTION "%s: %s of %s%s%s (%s)", request->group_id,
			  request->event, request->deployment_id, named ? " for " : "",
			  named ? label : "", request->location_text);
	auto_free char *text = str_to_utf8(about, strlen(about));
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = ' ';
	add_text(o, "Description", text);
}

/* They hold for what the script leaves running, too: that is in its unit. */
static void add_limits(struct order *o, const struct spec_limits *limits)
{
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
		{"MemoryMax", limits->memory_bytes},
		{"TasksMax", limits->tasks},
		{"CPUQuotaPerSecUSec", limits->cpu_percent * PERCENT_US},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (o->r >= 0 && rows[i].value)
			o->r = sd_bus_message_append(o->m, "(sv)", rows[i].name, "t",
						     rows[i].value);
	if (o->r >= 0 && limits->nice)
		o->r = sd_bus_message_append(o->m, "(sv)", "Nice", "i", (int32_t)limits->nice);
}

static void add_properties(struct order *o, const struct hook *h, bool shell)
{
	const struct hook_request *request = h->request;
	add_description(o, request);
	add_text(o, "Type", "exec");
	add_bool(o, "RemainAfterExit", true);
	accept_every_end(o);
	add_text(o, "OOMPolicy", "continue");
	add_text(o, "KillMode", "control-group");
	add_bool(o, "SendSIGKILL", true);
	add_time(o, "RuntimeMaxUSec", (uint64_t)request->timeout_s * 1000 * 1000);
	add_time(o, "TimeoutStopUSec", STOP_US);
	auto_free char *slice = unit_slice_name(request->unit);
	add_text(o, "Slice", slice);
	add_bool(o, "AddRef", true);
	/* at shutdown it ends before the network does */
	if (o->r >= 0)
		o->r = sd_bus_message_append(o->m, "(sv)", "After", "as", 1, "network.target");
	static const char *const accounted[] = {"CPUAccounting", "MemoryAccounting",
						"TasksAccounting"};
	for (size_t i = 0; i < ARRAY_LEN(accounted); i++)
		add_bool(o, accounted[i], true);
	if (request->runas)
		add_text(o, "User", request->runas);
	add_limits(o, &request->limits);
	add_text(o, "WorkingDirectory", "/");
	if (o->r >= 0)
		o->r = sd_bus_message_append(o->m, "(sv)", "UMask", "u", (uint32_t)0022);
	add_bool(o, "IgnoreSIGPIPE", false);
	add_text(o, "StandardInput", "null");
	add_output(o, "StandardOutput", h->output.streams[0].write_fd);
	add_output(o, "StandardError", h->output.streams[1].write_fd);
	unset_environment(o);
	add_environment(o, h->env);
	add_command(o, h, shell);
}

/* It goes with its service. */
static void add_slice(struct order *o, const struct hook_request *request)
{
	auto_free char *slice = unit_slice_name(request->unit);
	auto_free char *description = xasprintf("Slice of %s", request->unit);
	if (o->r >= 0)
		o->r = sd_bus_message_open_container(o->m, 'a', "(sa(sv))");
	if (o->r >= 0)
		o->r = sd_bus_message_append(o->m, "(sa(sv))", slice, 4, "Description", "s",
					     description, "StopWhenUnneeded", "b", true,
					     "MemoryAccounting", "b", true, "TasksAccounting", "b",
					     true);
	if (o->r >= 0)
		o->r = sd_bus_message_close_container(o->m);
}

int unit_order(sd_bus *bus, const struct hook *h, bool shell, struct error *err)
{
	const char *unit = h->request->unit;
	auto_message sd_bus_message *m = NULL;
	auto_bus_error struct bus_error why = {0};
	struct order o = {0};
	o.r = sd_bus_message_new_method_call(bus, &m, SYSTEMD, MANAGER_PATH, MANAGER,
					     "StartTransientUnit");
	o.m = m;
	if (o.r >= 0)
		o.r = sd_bus_message_append(m, "ss", unit, "fail");
	if (o.r >= 0)
		o.r = sd_bus_message_open_container(m, 'a', "(sv)");
	add_properties(&o, h, shell);
	if (o.r >= 0)
		o.r = sd_bus_message_close_container(m);
	add_slice(&o, h->request);
	if (o.r >= 0)
		o.r = sd_bus_call(bus, m, 0, &why.e, NULL);
	return o.r < 0 ? unit_fail(err, o.r, &why, "start", unit) : 0;
}
