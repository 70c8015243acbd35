// SPDX-License-Identifier: Apache-2.0
/* A script as a transient service of PID 1, over the system bus: a clean context, its own control
 * group, and a life that does not hang on ours.
 *
 *     StartTransientUnit -> activating -> active (running) -> active (exited)   its main process
 *                                                                              has ended
 *                                             | RuntimeMaxUSec
 *                                             v
 *                                         deactivating -> failed, Result=timeout
 *
 * How it is made to wait for us: RemainAfterExit and a SuccessExitStatus that holds every status
 * and signal keep a unit whose script has ended, well or not, as "exited": with its result, and
 * with what it started, until hook_unit_collect(). Nothing of it is killed behind our back, and PID
 * 1 enforces the timeout on the whole control group whether a worker lives or not. A unit that
 * failed stays loaded by itself (CollectMode=inactive); one that a person stops while we watch is
 * kept by our reference (AddRef).
 *
 * Exec that fails looks like an end with a status of systemd's own (200 to 243), which a script may
 * use as well. They differ in order: with Type=exec a unit becomes active when exec has succeeded,
 * before its process can end, or otherwise when its process has ended. */
#include "agent/worker/hook-process.h"
#include "agent/worker/hook-run.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define SYSTEMD "org.freedesktop.systemd1"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define UNIT_PATH MANAGER_PATH "/unit"
#define MANAGER SYSTEMD ".Manager"
#define UNIT SYSTEMD ".Unit"
#define SERVICE SYSTEMD ".Service"
#define SLICE "slipway-hooks.slice"
#define DESCRIPTION "Slipway hook of group "

#define CALL_US ((uint64_t)60 * 1000 * 1000)
#define RECONNECT_US ((uint64_t)5 * 60 * 1000 * 1000)
#define RECONNECT_STEP_US ((uint64_t)1000 * 1000)
#define LATE_US ((uint64_t)5 * 60 * 1000 * 1000) /* PID 1's own timeouts are far over by then */
#define STOP_WAIT_US ((uint64_t)30 * 1000 * 1000)
#define STATUS_FIRST 200 /* systemd.exec(5): statuses of what failed before exec */
#define STATUS_LAST 243
#define STATUS_EXEC 203

static void bus_close(sd_bus *bus)
{
	sd_bus_flush_close_unref(bus);
}
DEFINE_CLEANUP(sd_bus *, bus_close)
#define auto_bus CLEANUP(bus_close_at)
DEFINE_CLEANUP(sd_bus_message *, sd_bus_message_unref)
#define auto_message CLEANUP(sd_bus_message_unref_at)

struct bus_error {
	sd_bus_error e;
};
static void bus_error_clear(struct bus_error *error)
{
	sd_bus_error_free(&error->e);
}
#define auto_bus_error CLEANUP(bus_error_clear)

static int fail(struct error *err, int r, const struct bus_error *why, const char *what,
		const char *unit)
{
	return error_set(err, r, "%s '%s': %s", what, unit,
			 why && why->e.message ? why->e.message : strerror(-r));
}

/* The bus */

static int bus_open(sd_bus **ret, struct error *err)
{
	auto_bus sd_bus *bus = NULL;
	int r = sd_bus_open_system(&bus);
	if (r >= 0)
		r = sd_bus_set_method_call_timeout(bus, CALL_US);
	if (r >= 0) /* PID 1 tells nobody unless asked to */
		r = sd_bus_call_method(bus, SYSTEMD, MANAGER_PATH, MANAGER, "Subscribe", NULL, NULL,
				       NULL);
	if (r < 0)
		return error_set(err, r,
				 "the service manager cannot be reached over the system bus (is "
				 "dbus installed and running?): %s",
				 strerror(-r));
	*ret = TAKE(bus);
	return 0;
}

static char *unit_path(const char *unit)
{
	char *path = NULL;
	return sd_bus_path_encode(UNIT_PATH, unit, &path) < 0 ? NULL : path;
}

static int on_news(sd_bus_message *m, void *arg, sd_bus_error *ret)
{
	*(bool *)arg = true;
	return 0;
}

/* *news becomes true when a property of the unit changes; of any unit when path is NULL. */
static int watch(sd_bus *bus, const char *path, bool *news)
{
	if (!path)
		return sd_bus_match_signal(bus, NULL, SYSTEMD, MANAGER_PATH, MANAGER, "JobRemoved",
					   on_news, news);
	return sd_bus_match_signal(bus, NULL, SYSTEMD, path, "org.freedesktop.DBus.Properties",
				   "PropertiesChanged", on_news, news);
}

/* Below 0: the connection is gone. */
static int take_news(sd_bus *bus)
{
	int r;
	while ((r = sd_bus_process(bus, NULL)) > 0)
		;
	return r;
}

/* What the unit is like */

struct facts {
	char *load, *active, *sub, *result, *cgroup;
	uint64_t activated_us, started_us, ended_us; /* CLOCK_MONOTONIC, 0: not yet */
	uint64_t cpu_ns, memory_peak;                /* UINT64_MAX: not known */
	int32_t code, status;                        /* of the main process, as waitid() */
	uint32_t job;                                /* that is queued for it; 0: none */
};

static void facts_clear(struct facts *f)
{
	free(f->load);
	free(f->active);
	free(f->sub);
	free(f->result);
	free(f->cgroup);
	*f = (struct facts){0};
}
#define auto_facts CLEANUP(facts_clear)

static int read_job(sd_bus *bus, const char *path, uint32_t *ret)
{
	auto_message sd_bus_message *m = NULL;
	int r = sd_bus_get_property(bus, SYSTEMD, path, UNIT, "Job", NULL, &m, "(uo)");
	return r < 0 ? r : sd_bus_message_read(m, "(uo)", ret, NULL);
}

static int read_facts(sd_bus *bus, const char *path, struct facts *f)
{
	const struct {
		const char *interface, *name;
		char **place;
	} texts[] = {
		{UNIT, "LoadState", &f->load},         {UNIT, "ActiveState", &f->active},
		{UNIT, "SubState", &f->sub},           {SERVICE, "Result", &f->result},
		{SERVICE, "ControlGroup", &f->cgroup},
	};
	const struct {
		const char *interface, *name;
		char type;
		bool optional; /* newer than the oldest systemd */
		void *place;
	} numbers[] = {
		{UNIT, "ActiveEnterTimestampMonotonic", 't', false, &f->activated_us},
		{SERVICE, "ExecMainStartTimestampMonotonic", 't', false, &f->started_us},
		{SERVICE, "ExecMainExitTimestampMonotonic", 't', false, &f->ended_us},
		{SERVICE, "ExecMainCode", 'i', false, &f->code},
		{SERVICE, "ExecMainStatus", 'i', false, &f->status},
		{SERVICE, "CPUUsageNSec", 't', false, &f->cpu_ns},
		{SERVICE, "MemoryPeak", 't', true, &f->memory_peak},
	};
	facts_clear(f);
	f->memory_peak = UINT64_MAX;
	int r = read_job(bus, path, &f->job);
	for (size_t i = 0; r >= 0 && i < ARRAY_LEN(texts); i++)
		r = sd_bus_get_property_string(bus, SYSTEMD, path, texts[i].interface,
					       texts[i].name, NULL, texts[i].place);
	for (size_t i = 0; r >= 0 && i < ARRAY_LEN(numbers); i++) {
		r = sd_bus_get_property_trivial(bus, SYSTEMD, path, numbers[i].interface,
						numbers[i].name, NULL, numbers[i].type,
						numbers[i].place);
		if (r < 0 && numbers[i].optional && r != -ENOTCONN && r != -ECONNRESET)
			r = 0;
	}
	return r < 0 ? r : 0;
}

static bool is_missing(const struct facts *f)
{
	return !str_eq(f->load, "loaded");
}

static bool has_ended(const struct facts *f)
{
	if (str_eq(f->active, "active"))
		return str_eq(f->sub, "exited");
	if (str_eq(f->active, "inactive"))
		return f->job == 0;
	return str_eq(f->active, "failed");
}

/* The processes that are in it, by number. Returns how many; 0 also when it is gone. */
static size_t processes(sd_bus *bus, const char *unit, pid_t **ret)
{
	auto_message sd_bus_message *m = NULL;
	size_t n = 0;
	uint32_t pid;
	*ret = NULL;
	if (sd_bus_call_method(bus, SYSTEMD, MANAGER_PATH, MANAGER, "GetUnitProcesses", NULL, &m,
			       "s", unit) < 0 ||
	    sd_bus_message_enter_container(m, 'a', "(sus)") < 0)
		return 0;
	while (sd_bus_message_read(m, "(sus)", NULL, &pid, NULL) > 0) {
		*ret = xrealloc_array(*ret, n + 1, sizeof(**ret));
		(*ret)[n++] = (pid_t)pid;
	}
	return n;
}

/* The order for PID 1 */

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

/* Not ExecStartEx, which could say "no-env-expand": systemd 252 cannot read again what it writes
 * down for it, and a script that says 'systemctl daemon-reload' would break its own unit. */
static void add_command(struct order *o, const struct hook *h, bool shell)
{
	auto_free char *argument = quote_dollars(h->path);
	open_property(o, "ExecStart", "a(sasb)");
	if (o->r >= 0 && shell)
		o->r = sd_bus_message_append(o->m, "a(sasb)", 1, "/bin/sh", 2, "/bin/sh", argument,
					     false);
	else if (o->r >= 0)
		o->r = sd_bus_message_append(o->m, "a(sasb)", 1, h->path, 1, argument, false);
	close_property(o);
}

static void add_properties(struct order *o, const struct hook *h, bool shell)
{
	const struct hook_request *request = h->request;
	auto_free char *about =
		xasprintf(DESCRIPTION "%s: %s of %s (%s)", request->group_id, request->event,
			  request->deployment_id, request->location_text);
	auto_free char *description = str_to_utf8(about, strlen(about));
	add_text(o, "Description", description);
	add_text(o, "Type", "exec");
	add_bool(o, "RemainAfterExit", true);
	accept_every_end(o);
	add_text(o, "OOMPolicy", "continue");
	add_text(o, "KillMode", "control-group");
	add_bool(o, "SendSIGKILL", true);
	add_time(o, "RuntimeMaxUSec", (uint64_t)request->timeout_s * 1000 * 1000);
	add_time(o, "TimeoutStopUSec", HOOK_GRACE_US);
	add_text(o, "Slice", SLICE);
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
	add_text(o, "WorkingDirectory", "/");
	if (o->r >= 0)
		o->r = sd_bus_message_append(o->m, "(sv)", "UMask", "u", (uint32_t)0022);
	add_bool(o, "IgnoreSIGPIPE", false);
	add_text(o, "StandardInput", "null");
	add_fd(o, "StandardOutputFileDescriptor", h->output.streams[0].write_fd);
	add_fd(o, "StandardErrorFileDescriptor", h->output.streams[1].write_fd);
	unset_environment(o);
	add_environment(o, h->env);
	add_command(o, h, shell);
}

static int order_start(sd_bus *bus, const struct hook *h, bool shell, struct error *err)
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
	if (o.r >= 0)
		o.r = sd_bus_message_append(m, "a(sa(sv))", 0);
	if (o.r >= 0)
		o.r = sd_bus_call(bus, m, CALL_US, &why.e, NULL);
	return o.r < 0 ? fail(err, o.r, &why, "start", unit) : 0;
}

/* Following it */

struct service {
	struct hook *hook;
	sd_bus *bus;
	char *path;
	bool news;
	struct facts facts;
};

static void service_clear(struct service *s)
{
	facts_clear(&s->facts);
	free(s->path);
	if (s->bus)
		bus_close(s->bus);
}

static int connect_service(struct service *s, struct error *err)
{
	int r = bus_open(&s->bus, err);
	if (r < 0)
		return r;
	r = watch(s->bus, s->path, &s->news);
	if (r < 0)
		return fail(err, r, NULL, "watch", s->hook->request->unit);
	s->news = true;
	return 0;
}

/* It is to stay as long as we look at it. */
static void hold(struct service *s)
{
	if (sd_bus_call_method(s->bus, SYSTEMD, s->path, UNIT, "Ref", NULL, NULL, NULL) < 0)
		log_debug("'%s' has no reference of ours", s->hook->request->unit);
}

/* The bus was restarted: the service does not care, and neither does its output. */
static int reconnect(struct service *s, struct error *err)
{
	uint64_t deadline_us = clock_mono_us() + RECONNECT_US;
	log_warning("the system bus is gone, '%s' goes on", s->hook->request->unit);
	for (;;) {
		if (s->bus)
			bus_close(TAKE(s->bus));
		if (connect_service(s, err) >= 0) {
			hold(s);
			return 0;
		}
		if (clock_mono_us() >= deadline_us)
			return err->code;
		int r = hook_wait(s->hook, -1, clock_mono_us() + RECONNECT_STEP_US);
		if (r < 0)
			return error_set(err, r, "wait for '%s': %s", s->hook->request->unit,
					 strerror(-r));
	}
}

static bool is_disconnected(int r)
{
	return r == -ENOTCONN || r == -ECONNRESET || r == -EPIPE || r == -ESTALE;
}

/* Returns 1 when it has ended, 0 when it goes on, below 0 when it cannot be asked. */
static int look(struct service *s, struct error *err)
{
	if (!s->news)
		return 0;
	s->news = false;
	int r = read_facts(s->bus, s->path, &s->facts);
	if (is_disconnected(r)) {
		r = reconnect(s, err);
		return r < 0 ? r : 0;
	}
	if (r < 0)
		return fail(err, r, NULL, "ask about", s->hook->request->unit);
	return is_missing(&s->facts) || has_ended(&s->facts);
}

static int follow(struct service *s, struct error *err)
{
	const struct hook_request *request = s->hook->request;
	uint64_t deadline_us =
		clock_mono_us() + (uint64_t)request->timeout_s * 1000 * 1000 + LATE_US;
	for (;;) {
		int r = look(s, err);
		if (r != 0)
			return r < 0 ? r : 0;
		if (clock_mono_us() >= deadline_us)
			return error_set(err, -ETIMEDOUT,
					 "the service manager does not end '%s' in time",
					 request->unit);
		if (!s->news) {
			r = hook_wait(s->hook, sd_bus_get_fd(s->bus), deadline_us);
			if (r < 0)
				return error_set(err, r, "wait for '%s': %s", request->unit,
						 strerror(-r));
		}
		if (take_news(s->bus) < 0)
			r = reconnect(s, err);
		if (r < 0)
			return r;
	}
}

/* The end */

static bool exec_failed(const struct facts *f)
{
	return f->code == CLD_EXITED && f->status >= STATUS_FIRST && f->status <= STATUS_LAST &&
	       (f->activated_us == 0 || f->activated_us >= f->ended_us);
}

/* A figure in the control group, which is there as long as something runs in it. */
static int64_t read_cgroup(const struct facts *f, const char *name)
{
	if (str_empty(f->cgroup))
		return -1;
	auto_free char *path = xasprintf("/sys/fs/cgroup%s/%s", f->cgroup, name);
	auto_fclose FILE *file = fopen(path, "re");
	long long value = -1;
	if (!file || fscanf(file, "%lld", &value) != 1)
		return -1;
	return value;
}

static void take_figures(struct service *s)
{
	struct hook_result *result = &s->hook->result;
	const struct facts *f = &s->facts;
	if (f->ended_us > f->started_us)
		result->wall_s = (double)(f->ended_us - f->started_us) / 1e6;
	if (f->cpu_ns != UINT64_MAX)
		result->cpu_s = (double)f->cpu_ns / 1e9;
	result->memory_peak_bytes = f->memory_peak != UINT64_MAX ? (int64_t)f->memory_peak
								 : read_cgroup(f, "memory.peak");
	auto_free pid_t *pids = NULL;
	size_t n = processes(s->bus, s->hook->request->unit, &pids);
	result->left_running = hook_process_names(pids, n);
}

/* Why it did not start, as far as that is to be found out afterwards. */
static void describe_exec(struct hook *h, int status)
{
	auto_free char *why = NULL;
	if (status != STATUS_EXEC)
		hook_fail(h, WIRE_SCRIPT_FAILED,
			  "failed: the service manager could not start it (status %d of "
			  "systemd.exec(5); see 'journalctl -u %s')",
			  status, h->request->unit);
	else if (hook_format(h, &why) == HOOK_FORMAT_BROKEN)
		hook_fail_errno(h, -ENOENT, why);
	else
		hook_fail_errno(h, -EACCES, "it may not be executed there, or not by that user");
}

static int describe_end(struct service *s, struct error *err)
{
	struct hook *h = s->hook;
	const struct facts *f = &s->facts;
	struct hook_result *result = &h->result;
	if (is_missing(f) || f->started_us == 0)
		return error_set(err, -ECANCELED,
				 "'%s' was stopped before its result was known (%s)",
				 h->request->unit, f->result ? f->result : "gone");
	take_figures(s);
	if (exec_failed(f)) {
		describe_exec(h, f->status);
		return 0;
	}
	uint64_t limit_us = (uint64_t)h->request->timeout_s * 1000 * 1000;
	result->exit_code = f->code == CLD_EXITED ? f->status : -1;
	result->signal = f->code == CLD_EXITED ? 0 : f->status;
	result->timed_out = str_eq(f->result, "timeout") && f->ended_us - f->started_us >= limit_us;
	result->out_of_memory = str_eq(f->result, "oom-kill");
	return 0;
}

static void remove_unit(sd_bus *bus, const char *unit)
{
	auto_bus_error struct bus_error why = {0};
	int r = sd_bus_call_method(bus, SYSTEMD, MANAGER_PATH, MANAGER, "StopUnit", &why.e, NULL,
				   "ss", unit, "replace");
	/* one that has failed needs more; of one that is gone there is nothing to say */
	sd_bus_call_method(bus, SYSTEMD, MANAGER_PATH, MANAGER, "ResetFailedUnit", NULL, NULL, "s",
			   unit);
	if (r < 0 && !sd_bus_error_has_name(&why.e, SYSTEMD ".NoSuchUnit"))
		log_warning("'%s' stays: %s", unit, why.e.message ? why.e.message : strerror(-r));
}

static int start(struct service *s, bool shell, struct error *err)
{
	int r = order_start(s->bus, s->hook, shell, err);
	if (r < 0)
		return r;
	s->news = true;
	return follow(s, err);
}

/* Is it there already, by a worker that is gone? */
static int find(struct service *s, bool *ret_found, struct error *err)
{
	*ret_found = false;
	int r = read_facts(s->bus, s->path, &s->facts);
	if (r < 0)
		return fail(err, r, NULL, "ask about", s->hook->request->unit);
	*ret_found = !is_missing(&s->facts);
	return 0;
}

static int run(struct service *s, struct error *err)
{
	struct hook *h = s->hook;
	auto_free char *why = NULL;
	bool shell = hook_format(h, &why) == HOOK_FORMAT_SHELL, found = false;
	int r = connect_service(s, err);
	if (r >= 0 && h->request->attach)
		r = find(s, &found, err);
	if (r < 0)
		return r;
	if (found)
		hold(s);
	r = found ? follow(s, err) : start(s, shell, err);
	return r < 0 ? r : describe_end(s, err);
}

int hook_unit_run(struct hook *h, struct error *err)
{
	CLEANUP(service_clear)
	struct service s = {.hook = h, .path = unit_path(h->request->unit)};
	if (!s.path)
		return error_set(err, -EINVAL, "'%s' cannot be the name of a unit",
				 h->request->unit);
	return run(&s, err);
}

/* Units without a script of ours */

bool hook_unit_used(const char *root)
{
	return !*root && sd_booted() > 0;
}

void hook_unit_collect(const char *unit)
{
	struct error err = {0};
	auto_bus sd_bus *bus = NULL;
	auto_free pid_t *pids = NULL;
	if (bus_open(&bus, &err) < 0)
		log_warning("'%s' stays: %s", unit, err.text);
	else if (processes(bus, unit, &pids) == 0)
		remove_unit(bus, unit);
}

struct sweep {
	sd_bus *bus;
	const char *deployment_id; /* NULL: all of the group */
	char *description;         /* begins so */
	bool stop;
	char **stopped; /* units that were told to stop, NULL-terminated */
	unsigned n_stopped;
};

static void sweep_clear(struct sweep *s)
{
	free(s->description);
	str_list_free(s->stopped);
}

static void sweep_one(struct sweep *s, const char *unit)
{
	auto_free pid_t *pids = NULL;
	size_t n = processes(s->bus, unit, &pids);
	if (n > 0 && !s->stop)
		return;
	remove_unit(s->bus, unit);
	if (n == 0)
		return;
	auto_free char *names = hook_process_names(pids, n);
	log_notice("'%s' is stopped, in it: %s", unit, names ? names : "");
	s->stopped = xrealloc_array(s->stopped, s->n_stopped + 2, sizeof(*s->stopped));
	s->stopped[s->n_stopped++] = xstrdup(unit);
	s->stopped[s->n_stopped] = NULL;
}

static int list_units(struct sweep *s, struct error *err)
{
	auto_bus_error struct bus_error why = {0};
	auto_message sd_bus_message *m = NULL;
	int r = sd_bus_call_method(s->bus, SYSTEMD, MANAGER_PATH, MANAGER, "ListUnitsByPatterns",
				   &why.e, &m, "asas", 0, 1, "slipway-hook-*.service");
	if (r >= 0)
		r = sd_bus_message_enter_container(m, 'a', "(ssssssouso)");
	const char *unit, *description;
	while (r >= 0 && (r = sd_bus_message_read(m, "(ssssssouso)", &unit, &description, NULL,
						  NULL, NULL, NULL, NULL, NULL, NULL, NULL)) > 0)
		if (str_starts(description, s->description) &&
		    (!s->deployment_id || hook_unit_is_of(unit, s->deployment_id)))
			sweep_one(s, unit);
	return r < 0 ? fail(err, r, &why, "list units of", s->description) : 0;
}

/* PID 1 says SIGTERM, waits 5 s, says SIGKILL: wait until they are empty. */
static void await_stopped(struct sweep *s)
{
	bool news = true;
	uint64_t deadline_us = clock_mono_us() + STOP_WAIT_US;
	for (unsigned i = 0; i < s->n_stopped;) {
		auto_free pid_t *pids = NULL;
		if (news && processes(s->bus, s->stopped[i], &pids) == 0) {
			i++;
			continue;
		}
		news = false;
		if (hook_process_await(sd_bus_get_fd(s->bus), -1, deadline_us) < 0 ||
		    take_news(s->bus) < 0 || clock_mono_us() >= deadline_us) {
			log_warning("'%s' does not stop", s->stopped[i]);
			return;
		}
		news = true;
	}
}

unsigned hook_unit_sweep(const char *group_id, const char *deployment_id, bool stop)
{
	struct error err = {0};
	auto_bus sd_bus *bus = NULL;
	CLEANUP(sweep_clear)
	struct sweep s = {.deployment_id = deployment_id,
			  .description = xasprintf(DESCRIPTION "%s: ", group_id),
			  .stop = stop};
	bool news = false;
	int r = bus_open(&bus, &err);
	s.bus = bus;
	if (r >= 0)
		r = watch(bus, NULL, &news);
	if (r >= 0)
		r = list_units(&s, &err);
	if (r < 0)
		log_warning("services of hooks are not looked after: %s",
			    err.code ? err.text : strerror(-r));
	await_stopped(&s);
	return s.n_stopped;
}
