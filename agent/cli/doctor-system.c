// SPDX-License-Identifier: Apache-2.0
/* What the machine gives: units, control groups, the kernel. */
#include "agent/cli/doctor.h"

#include "common/alloc.h"
#include "common/buf.h"
#include "common/fs.h"
#include "common/str.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#endif
#define LANDLOCK_VERSION 1U /* LANDLOCK_CREATE_RULESET_VERSION */

#define BUS_MS 4000
#define FILE_MAX ((size_t)64 * 1024)
#define UNITS_SHOWN 5

/* The floor: older ones lack what Install is made of. */
#define KERNEL_MAJOR 5
#define KERNEL_MINOR 14

/* Units */

struct unit {
	const char *name;
	const char *load, *active, *sub;
};

static void advise_unit(char *out, size_t room, const char *name)
{
	snprintf(out, room, "'systemctl status %s' and 'journalctl -u %s' say why", name, name);
}

/* Also one that nobody has asked for yet. */
static bool is_masked(const struct unit *unit)
{
	static const char *const places[] = {"/etc/systemd/system", "/run/systemd/system"};
	char to[16];
	if (str_eq(unit->load, "masked"))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		auto_free char *path = fs_join(places[i], unit->name);
		ssize_t n = readlink(path, to, sizeof(to));
		if (n == (ssize_t)strlen("/dev/null") && memcmp(to, "/dev/null", (size_t)n) == 0)
			return true;
	}
	return false;
}

/* The ones that have to be there. wanted: an endpoint's deployments hang on it. */
static void judge_unit(struct doctor *doctor, const struct unit *unit, bool wanted)
{
	char next[256];
	bool is_recover = str_starts(unit->name, "slipway-recover");
	advise_unit(next, sizeof(next), unit->name);
	if (str_eq(unit->load, "not-found")) {
		doctor_say(doctor, wanted ? DOCTOR_FAILED : DOCTOR_WARNING,
			   "install the package slipway-agent", "%s is not installed", unit->name);
	} else if (str_eq(unit->active, "failed")) {
		doctor_say(doctor, DOCTOR_FAILED, next, "%s has failed", unit->name);
	} else if (!is_recover && !str_eq(unit->active, "active")) {
		auto_free char *start = xasprintf("systemctl enable --now %s", unit->name);
		auto_free char *unmask = xasprintf("systemctl unmask %s && %s", unit->name, start);
		doctor_say(doctor, wanted ? DOCTOR_FAILED : DOCTOR_WARNING,
			   is_masked(unit) ? unmask : start, "%s is %s (%s)", unit->name,
			   unit->active, unit->sub);
	} else {
		doctor_say(doctor, DOCTOR_OK, NULL, "%s is %s (%s)", unit->name, unit->active,
			   unit->sub);
	}
}

static int list_units(sd_bus *bus, const char *const *patterns, sd_bus_message **ret)
{
	sd_bus_message *call = NULL;
	int r = sd_bus_message_new_method_call(
		bus, &call, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
		"org.freedesktop.systemd1.Manager", "ListUnitsByPatterns");
	if (r >= 0)
		r = sd_bus_message_append(call, "as", 0);
	if (r >= 0)
		r = sd_bus_message_append_strv(call, (char **)patterns);
	if (r >= 0)
		r = sd_bus_call(bus, call, (uint64_t)BUS_MS * 1000, NULL, ret);
	if (r >= 0)
		r = sd_bus_message_enter_container(*ret, 'a', "(ssssssouso)");
	sd_bus_message_unref(call);
	return r;
}

static bool next_unit(sd_bus_message *answer, struct unit *ret)
{
	const char *following, *path, *job, *job_path, *about;
	uint32_t id;
	return sd_bus_message_read(answer, "(ssssssouso)", &ret->name, &about, &ret->load,
				   &ret->active, &ret->sub, &following, &path, &id, &job,
				   &job_path) > 0;
}

/* A unit that nobody has asked for yet is not in the list of those that are loaded. */
static void look_at_unit(struct doctor *doctor, sd_bus *bus, const char *name, bool wanted)
{
	sd_bus_message *answer = NULL;
	const char *const patterns[] = {name, NULL};
	struct unit unit;
	bool found = list_units(bus, patterns, &answer) >= 0 && next_unit(answer, &unit);
	const char *path = NULL;
	if (!found) {
		auto_free char *file = xasprintf("/lib/systemd/system/%s", name);
		path = access(file, F_OK) == 0 ? "loaded" : "not-found";
		unit = (struct unit){name, path, "inactive", "dead"};
	}
	judge_unit(doctor, &unit, wanted);
	sd_bus_message_unref(answer);
}

/* Scripts and workers that failed: whatever they were, somebody may want to know. */
static void look_at_failed(struct doctor *doctor, sd_bus *bus)
{
	sd_bus_message *answer = NULL;
	static const char *const patterns[] = {"slipway-hook-*", "slipway-worker@*", NULL};
	struct unit unit;
	size_t failed = 0, running = 0;
	for (int r = list_units(bus, patterns, &answer); r >= 0 && next_unit(answer, &unit);) {
		running += str_eq(unit.active, "active") || str_eq(unit.active, "activating");
		if (!str_eq(unit.active, "failed") || ++failed > UNITS_SHOWN)
			continue;
		char next[512];
		advise_unit(next, sizeof(next), unit.name);
		doctor_say(doctor, DOCTOR_WARNING, next, "%s has failed", unit.name);
	}
	if (failed > UNITS_SHOWN)
		doctor_say(doctor, DOCTOR_WARNING, "systemctl list-units --failed 'slipway*'",
			   "%zu more units have failed", failed - UNITS_SHOWN);
	doctor_detail(doctor, "%zu units of scripts and workers are active", running);
	sd_bus_message_unref(answer);
}

static void look_at_units(struct doctor *doctor, bool wanted)
{
	sd_bus *bus = NULL;
	int r = sd_bus_open_system(&bus);
	if (r < 0) {
		doctor_say(doctor, DOCTOR_SKIPPED, "'systemctl list-units slipway*' shows them",
			   "the system bus does not answer: %s", strerror(-r));
		return;
	}
	look_at_unit(doctor, bus, "slipwayd.service", wanted);
	look_at_unit(doctor, bus, "slipway-worker.socket", wanted);
	look_at_unit(doctor, bus, "slipway-recover.service", false);
	look_at_failed(doctor, bus);
	sd_bus_flush_close_unref(bus);
}

void doctor_units(struct doctor *doctor)
{
	bool wanted = doctor->identity || doctor->hidden || doctor->aws;
	bool booted = !*doctor->cli->paths.root && sd_booted() > 0;
	if (booted)
		look_at_units(doctor, wanted);
	if (doctor->daemon)
		doctor_say(doctor, DOCTOR_OK, NULL, "slipwayd %s answers on its socket (%s)",
			   doctor_daemon_text(doctor, "version"),
			   doctor_daemon_text(doctor, "phase"));
	else if (wanted || !booted)
		doctor_say(doctor, DOCTOR_WARNING,
			   booted ? "systemctl restart slipwayd"
				  : "start slipwayd, if it is wanted",
			   "no slipwayd answers at %s/agent.sock", doctor->cli->paths.agent_run);
	const char *recovery = doctor_daemon_text(doctor, "recovery");
	if (*recovery)
		doctor_say(doctor, DOCTOR_WARNING, "'slipway recover' as root tries it at once",
			   "what a crash left has to be tried again: %s", recovery);
	int64_t waiting = doctor_daemon_time(doctor, "results_waiting");
	if (waiting > 0)
		doctor_say(doctor, DOCTOR_WARNING, "they are sent as soon as the endpoint answers",
			   "%" PRId64 " results wait to be reported", waiting);
}

/* Control groups */

static bool has_word(const char *text, const char *word)
{
	size_t len = strlen(word);
	for (const char *p = text; (p = strstr(p, word)); p += len)
		if ((p == text || p[-1] == ' ') && strchr(" \n", p[len]))
			return true;
	return false;
}

void doctor_cgroups(struct doctor *doctor)
{
	const struct settings *s = &doctor->settings;
	const struct {
		const char *controller;
		bool needed;
	} rows[] = {
		{"memory", s->script_memory_max > 0},
		{"pids", s->script_tasks_max > 0},
		{"cpu", s->script_cpu_max > 0},
	};
	struct statfs fs;
	auto_free char *text = NULL;
	if (statfs("/sys/fs/cgroup", &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC ||
	    fs_read_file(AT_FDCWD, "/sys/fs/cgroup/cgroup.controllers", FILE_MAX, &text, NULL,
			 NULL) < 0) {
		bool needed = rows[0].needed || rows[1].needed || rows[2].needed;
		doctor_say(
			doctor, needed ? DOCTOR_FAILED : DOCTOR_WARNING,
			"boot with systemd.unified_cgroup_hierarchy=1",
			"there are no control groups of version 2 at /sys/fs/cgroup: scripts have "
			"no figures%s",
			needed ? ", and the limits of agent.yml do not hold" : "");
		return;
	}
	text[strcspn(text, "\n")] = '\0';
	auto_buf struct buf missing = BUF_INIT(64);
	bool hurts = false;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (has_word(text, rows[i].controller))
			continue;
		buf_addf(&missing, "%s%s", missing.len ? ", " : "", rows[i].controller);
		hurts |= rows[i].needed;
	}
	if (missing.len)
		doctor_say(doctor, hurts ? DOCTOR_FAILED : DOCTOR_WARNING,
			   "the kernel's command line may switch them off (cgroup_disable=); in a "
			   "container they have to be delegated to it",
			   "controllers are missing: %s; %s", buf_str(&missing),
			   hurts ? "limits of agent.yml do not hold"
				 : "limits of scripts would not hold");
	else
		doctor_say(doctor, DOCTOR_OK, NULL, "version 2, controllers: %s", text);
}

/* Kernel */

static void look_at_landlock(struct doctor *doctor)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_VERSION);
	if (version > 0)
		doctor_detail(doctor, "Landlock version %ld confines the unpacker", version);
	else
		doctor_say(doctor, DOCTOR_WARNING,
			   errno == EPERM ? "a container around this host forbids it (seccomp)"
					  : "'lsm=' on the kernel's command line must name "
					    "landlock",
			   "Landlock is off (%s): one wall less around the unpacker",
			   strerror(errno));
}

static void look_at_openat2(struct doctor *doctor)
{
	const struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS};
	auto_close int fd = (int)syscall(SYS_openat2, AT_FDCWD, "/", &how, sizeof(how));
	if (fd < 0)
		doctor_say(
			doctor, DOCTOR_FAILED,
			"a sandbox (seccomp of an old container runtime) forbids it: update that",
			"openat2 does not work: %s; nothing can be installed", strerror(errno));
	else
		doctor_detail(doctor, "openat2 works");
}

static void look_at_selinux(struct doctor *doctor)
{
	auto_free char *mode = NULL;
	if (fs_read_file(AT_FDCWD, "/sys/fs/selinux/enforce", 16, &mode, NULL, NULL) < 0)
		doctor_say(doctor, DOCTOR_OK, NULL, "SELinux is off");
	else
		doctor_say(doctor, DOCTOR_OK, NULL, "SELinux is %s",
			   *mode == '1' ? "enforcing: 'ausearch -m avc -ts recent' shows what it "
					  "refused"
					: "permissive");
}

void doctor_kernel(struct doctor *doctor)
{
	struct utsname name;
	int major = 0, minor = 0;
	if (uname(&name) < 0 || sscanf(name.release, "%d.%d", &major, &minor) != 2)
		doctor_say(doctor, DOCTOR_SKIPPED, NULL, "the kernel does not say what it is");
	else if (major < KERNEL_MAJOR || (major == KERNEL_MAJOR && minor < KERNEL_MINOR))
		doctor_say(doctor, DOCTOR_FAILED, "Slipway needs Linux 5.14 or newer",
			   "this is Linux %s", name.release);
	else
		doctor_say(doctor, DOCTOR_OK, NULL, "Linux %s, %s", name.release, name.machine);
	look_at_openat2(doctor);
	look_at_landlock(doctor);
	look_at_selinux(doctor);
}
