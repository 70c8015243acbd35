# SPDX-License-Identifier: Apache-2.0
"""Run in a booted host, as root: scripts as services of PID 1, and what becomes of them when workers die."""
import os
import pwd
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../e2e"))
import worker
from worker import *

SLIPWAY = os.path.join(BUILD, "slipway")
GROUP = "default-local-deployment-group"
os.chmod(T, 0o755)
os.makedirs("/var/lib/slipway", exist_ok=True)
os.chmod("/var/lib/slipway", 0o755)


def systemctl(*words):
    return subprocess.run(["systemctl", *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout


def units():
    """{unit: SubState} of all hooks that PID 1 knows."""
    lines = systemctl("list-units", "--all", "--plain", "--no-legend", "slipway-hook-*").splitlines()
    return {line.split()[0]: line.split()[3] for line in lines}


def is_alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def number_in(path):
    within(lambda: os.path.exists(path) and os.path.getsize(path) > 0)
    with open(path) as f:
        return int(f.read())


def host(settings=""):
    """A machine on which nothing was ever deployed."""
    for unit in units():
        systemctl("kill", "-s", "KILL", unit)
        systemctl("stop", unit)
        systemctl("reset-failed", unit)
    shutil.rmtree("/var/lib/slipway/host", ignore_errors=True)
    shutil.rmtree("/var/lib/slipway/deployment-root", ignore_errors=True)
    for name in os.listdir(T):
        path = os.path.join(T, name)
        if not name.startswith(("ca.", "worker.err")):
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
    made = Host(settings, root="/")
    os.chmod(made.log, 0o666)
    return made


def one(text, event="AfterInstall", **hook):
    """A revision with one script."""
    lines = "".join("      %s: %s\n" % item for item in hook.items())
    return {"appspec.yml": ("version: 0.0\nos: linux\nfiles:\n  - source: web\n    destination: /srv/app\nhooks:\n  %s:\n"
                            "    - location: s.sh\n%s" % (event, lines), 0o644),
            "s.sh": (text, 0o755), "web/index.html": ("new", 0o644)}


def failure(h, group=GROUP):
    return h.state(group)["last"].get("failure", {})


def output(h, run, stream="stdout", event="AfterInstall", number=1, group=GROUP):
    with open("/var/lib/slipway/deployment-root/%s/%s/logs/%s-%d.%s"
              % (group, run.result["deployment"], event, number, stream), "rb") as f:
        return f.read()


# --- how a script ends -------------------------------------------------------------------------------------------------------

PLACE = "Script at specified location: s.sh"
for name, text, hook, code, message in (
        ("exit 3", "#!/bin/sh\nexit 3\n", {}, 4, PLACE + " failed with exit code 3"),
        ("a status that systemd uses itself", "#!/bin/sh\nexit 203\n", {}, 4, PLACE + " failed with exit code 203"),
        ("203 later", "#!/bin/sh\nsleep 0.1; exit 203\n", {}, 4, PLACE + " failed with exit code 203"),
        ("203 of another user", "#!/bin/sh\nexit 203\n", {"runas": "games"}, 4,
         PLACE + " run as user games failed with exit code 203"),
        ("a signal", "#!/bin/sh\nkill -9 $$\n", {}, 4, PLACE + " failed with signal 9 (Killed)"),
        ("SIGTERM by itself", "#!/bin/sh\nkill $$\n", {}, 4, PLACE + " failed with signal 15 (Terminated)"),
        ("no shebang", "echo $0\nexit 4\n", {}, 4, PLACE + " failed with exit code 4"),
        ("no interpreter", "#!/no/such\n", {}, 4,
         PLACE + " failed with error Errno::ENOENT with message there is no interpreter '/no/such'"),
        ("Windows line ends", "#!/bin/sh\r\nexit 0\r\n", {}, 4,
         PLACE + " failed with error Errno::ENOENT with message the interpreter '/bin/sh' is followed by a carriage return"),
        ("no user", "#!/bin/sh\n", {"runas": "nobody-here"}, 4,
         PLACE + " run as user nobody-here failed: there is no user 'nobody-here' on this host"),
        ("a directory", None, {}, 4, PLACE + " failed with error Errno::EACCES"),
        ("no script", "", {}, 1, "Script does not exist at specified location: ")):
    h = host()
    tree = one(text or "", **hook)
    if text is None:
        tree["s.sh/x"] = tree.pop("s.sh")
    if not text and text is not None:
        del tree["s.sh"]
    run = h.deploy(tree)
    if run.result["exit"] == 2:
        ok(name + ": the AppSpec's check finds it", True)
        continue
    equal(name + ": the code", code, failure(h).get("error_code"), run.result)
    holds(name + ": the words", message, failure(h).get("message"))
    equal(name + ": nothing of it stays", {}, units())

h = host()
run = h.deploy(one("#!/bin/sh\necho hello\n"))
equal("exit 0", 0, run.result["exit"], run.result)
equal("its output", b"hello\n", output(h, run))
equal("nothing of it stays", {}, units())

for name, text, mode in (("an empty file", "", 0o755), ("one that nobody may execute", "#!/bin/sh\nexit 0\n", 0o640)):
    h = host()
    tree = one("")
    tree["s.sh"] = (text, mode)
    run = h.deploy(tree)
    equal(name + " is a script that succeeds", 0, run.result["exit"], run.result)

h = host()
begin = time.monotonic()
child = '(setsid sh -c \'trap "" TERM; echo $$ >%s/child; while :; do sleep 1; done\' &)\n' % T
run = h.deploy(one("#!/bin/sh\nsystemd-run -q --unit=on-purpose sleep 1000\n" + child + "sleep 1000\n", timeout=1))
took = time.monotonic() - begin
equal("a timeout", [3, PLACE + " failed to complete in 1 seconds"],
      [failure(h)["error_code"], failure(h)["message"].split(";")[0]])
ok("after SIGTERM and 5 s", 5.5 < took < 20, took)
equal("what it had the service manager start lives", "active\n", systemctl("is-active", "on-purpose"))
systemctl("stop", "on-purpose")
equal("its child, in a session of its own and deaf to SIGTERM, is gone", False, is_alive(number_in(T + "/child")))
equal("nothing of it stays", {}, units())

for name, text in (("a busy loop", "while :; do :; done\n"), ("a blocked read", "mkfifo %s/fifo; read line <%s/fifo\n" % (T, T)),
                   ("tail -f", "tail -f /dev/null\n"), ("one that has stopped itself", "kill -STOP $$\n")):
    h = host()
    h.deploy(one("#!/bin/sh\n" + text, timeout=1))
    equal(name + ": ends at its timeout", [3, 15], [failure(h)["error_code"], failure(h).get("signal")])
    equal(name + ": nothing of it stays", {}, units())

for number in (1, 2, 6, 9, 11, 13, 15, 37):
    h = host()
    run = h.deploy(one("#!/bin/sh\nulimit -c 0\nkill -%d 0\n" % number))
    equal("signal %d to its own process group: the worker lives, the result names it" % number, [1, 4, number],
          [run.result and run.result["exit"], failure(h)["error_code"], failure(h).get("signal")])
    holds("signal %d: in words" % number, PLACE + " failed with signal %d (" % number, failure(h)["message"])

# --- its limits --------------------------------------------------------------------------------------------------------------

WHICH = 'unit=$(sed -n "s|.*/||p" /proc/self/cgroup | grep ^slipway-hook | head -n 1)\n'
NAMES = ("CPUQuotaPerSecUSec", "MemoryMax", "Nice", "TasksMax")


def limits(unit):
    seen = dict(line.split("=", 1) for line in systemctl("show", "-p", ",".join(NAMES), unit).splitlines())
    return [seen[name] for name in NAMES]


LEAVES = "#!/bin/sh\nnice >%s/nice\nsleep 1000 &\n" % T
for name, settings, entry, expected in (
        ("no limits", "", {}, ["infinity", "infinity", "0", limits("dbus.service")[3]]),
        ("those of the host", "script_memory_max: 1G\nscript_tasks_max: 200\nscript_cpu_max: 150%\nscript_nice: -5\n", {},
         ["1.500000s", str(1 << 30), "-5", "200"]),
        ("those of the AppSpec", "", {"limits": "{memory: 512M, tasks: 100, cpu: 50%, nice: 5}"},
         ["500ms", str(512 << 20), "5", "100"]),
        ("of both the stricter ones", "script_memory_max: 256M\nscript_tasks_max: 200\nscript_cpu_max: 20%\nscript_nice: 3\n",
         {"limits": "{memory: 512M, tasks: 100, cpu: 50%, nice: 0}"}, ["200ms", str(256 << 20), "3", "100"])):
    h = host(settings)
    run = h.deploy(one(LEAVES, event="ApplicationStart", **entry))
    unit = "slipway-hook-%s-ApplicationStart-1.service" % run.result["deployment"]
    equal(name + ": properties of its service, which hold for what it leaves running", expected, limits(unit))
    with open(T + "/nice") as f:
        equal(name + ": the nice value holds", expected[2], f.read().strip())
    equal(name + ": only what is cut is warned about", 3 if "both" in name else 0, len(run.of("problem")), run.events)
    h.local({"verb": "remove"})

# --- what it gets ------------------------------------------------------------------------------------------------------------

for command in ("groupadd extra", "useradd -m -G extra app"):
    subprocess.run(command.split(), stderr=subprocess.DEVNULL)
me = pwd.getpwnam("app")
h = host()
os.environ["SLIPWAY_TEST_LEAK"] = "1"
run = h.deploy(one("#!/bin/sh\nid -un; id -Gn\npwd\numask\ncat\nenv -0 | sort -z | tr '\\0' '\\n'\necho again >>/dev/stdout\n"
                   "ls /proc/self/fd | wc -l\n[ $(cut -d' ' -f6 /proc/$$/stat) = $$ ] && echo leader\n"
                   "grep SigIgn: /proc/self/status\ncat /proc/self/cgroup\necho '$HOME' \"%s\" >&2\n" % "%h", runas="app"))
equal("a script of another user", 0, run.result["exit"], run.result)
lines = output(h, run).decode().split("\n")
equal("has that user and all of its groups, / and umask 0022", ["app", "app extra", "/", "0022"], lines[:4])
seen = dict(line.split("=", 1) for line in lines[4:] if re.match("[A-Za-z_]+=", line))
for name in ("LOG", "DEPLOYMENT_GROUP_NAME"):
    ok("has the variable " + name, name in seen, seen)
equal("and no others", {"APPLICATION_NAME", "DEPLOYMENT_GROUP_ID", "DEPLOYMENT_GROUP_NAME", "DEPLOYMENT_ID", "HOME",
                        "LIFECYCLE_EVENT", "LOG", "LOGNAME", "PATH", "PWD", "SHELL", "SLIPWAY_DESTINATION_ROOT", "USER"},
      set(seen) - {"LANG", "_", "OLDPWD", "SHLVL"})
equal("the account's", [me.pw_dir, "app", "app", me.pw_shell], [seen.get(n) for n in ("HOME", "USER", "LOGNAME", "SHELL")])
holds("may open /dev/stdout again, has no descriptor too many, and leads its session", "\nagain\n4\nleader\n", "\n".join(lines))
ignored = int(next(line for line in lines if line.startswith("SigIgn:")).split()[1], 16)
# 32 and 33 are the C library's own: nobody can reset them, they come from whatever started the host
equal("ignores no signal", 0, ignored & ~(3 << 31), lines)
holds("is in the slice of hooks, in one of its own", "/slipway-hooks.slice/slipway-hooks-%s:AfterInstall:1.slice/slipway-hook-%s-"
      % (run.result["deployment"].replace("-", ":"), run.result["deployment"]), "\n".join(lines))
equal("which goes with it", "", systemctl("list-units", "--all", "--plain", "--no-legend", "slipway-hooks-*.slice"))
equal("nothing in it is expanded", b"$HOME %h\n", output(h, run, "stderr"))
run = h.deploy(one("#!/bin/sh\nulimit -a; ulimit -Ha\n", runas="app"))
plain = subprocess.run(["systemd-run", "-q", "--wait", "--pipe", "-p", "User=app", "sh", "-c", "ulimit -a; ulimit -Ha"],
                       stdout=subprocess.PIPE)
equal("has the resource limits that any service of that user has", plain.stdout, output(h, run))

# Whatever a script is called, its unit is read again whole.
for name in ("a b%h.sh", "$HOME.sh", "q\"'.sh", "back\\slash.sh", "semi;colon.sh", "two\nlines.sh"):
    h = host()
    tree = one("#!/bin/sh\nsystemctl daemon-reload\nprintf '%s' \"$0\"\nexit 7\n")
    tree[name] = tree.pop("s.sh")
    tree["appspec.yml"] = (tree["appspec.yml"][0].replace("s.sh", json.dumps(name)), 0o644)
    run = h.deploy(tree)
    holds("script %r survives a reload" % name, " failed with exit code 7", failure(h).get("message"))
    ok("and knows its name", output(h, run).decode().endswith("/" + name), output(h, run))
    equal("nothing of it stays", {}, units())

# When PID 1 does not say what runs in a unit, nothing of it is stopped.
POLICY = "/etc/dbus-1/system.d/deaf.conf"
h = host()
with open(POLICY, "w") as f:
    f.write('<busconfig><policy context="mandatory"><deny send_member="GetUnitProcesses"/></policy></busconfig>\n')
systemctl("reload", "dbus")
run = h.deploy(one("#!/bin/sh\nsleep 1000 &\necho $! >%s/kept\n" % T))
os.unlink(POLICY)
systemctl("reload", "dbus")
equal("a deployment whose processes are not told", 0, run.result["exit"], run.result)
ok("what it left running lives", is_alive(number_in(T + "/kept")))

h = host()
run = h.deploy(one("#!/bin/sh\nhead -c 10485760 /dev/urandom | tee %s/sent\n" % T))
equal("10 MB of any bytes", 0, run.result["exit"])
with open(T + "/sent", "rb") as f:
    ok("arrive as they were", f.read() == output(h, run))
ok("and nothing is left behind of them in the note", not os.path.exists("/var/lib/slipway/host/groups/%s/hook" % GROUP))

h = host()
run = h.deploy(one("#!/bin/sh\necho before; head -c 1048576 /dev/zero | tr '\\0' x; echo; echo after; exit 1\n"))
equal("a line of 1 MiB arrives whole", b"before\n" + b"x" * 1048576 + b"\nafter\n", output(h, run))
ok("and drives nothing out of what is told of the end", "[stdout]before\n[stdout]xxx" in failure(h)["log"] and
   failure(h)["log"].endswith("x...\n[stdout]after\n"), failure(h)["log"][-300:])

h = host()
plain = WORKER
worker.WORKER = T + "/logging-worker"
with open(worker.WORKER, "w") as f:
    f.write("#!/bin/sh\n# systemd 252 does not say so itself\n"
            "exec systemd-cat sh -c 'JOURNAL_STREAM=$(stat -L -c %%d:%%i /proc/self/fd/2) exec \"$@\"' sh %s \"$@\"\n" % plain)
os.chmod(worker.WORKER, 0o755)
run = h.deploy(one("#!/bin/sh\n", runas="app"))
worker.WORKER = plain
subprocess.run(["journalctl", "--sync"])
lines = subprocess.run(["journalctl", "-o", "json", "MESSAGE_ID=f395108f0f844126a719acd6a31a8b86", "DEPLOYMENT_ID=" + run.result["deployment"]],
                       stdout=subprocess.PIPE, text=True).stdout.splitlines()
equal("one record in the journal says which script is started as whom", [("root", "app", "no", "s.sh", "AfterInstall", GROUP)],
      [tuple(json.loads(line)[n] for n in ("SOURCE_USER", "TARGET_USER", "SUDO", "SCRIPT", "HOOK", "GROUP_ID")) for line in lines])

# --- what it leaves running --------------------------------------------------------------------------------------------------

SERVER = ("cat >%s/server.py <<'P'\nimport socket, sys, os, time\ns = socket.socket()\n"
          "s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\ns.bind(('127.0.0.1', 8099)); s.listen()\n"
          "open(sys.argv[1], 'w').write(str(os.getpid()))\nwhile True:\n    c, _ = s.accept()\n    print('hit', flush=True)\n"
          "    c.sendall(sys.argv[2].encode()); c.close()\nP\n"
          "python3 %s/server.py %s/server-%%s %%s &\n" % (T, T, T))
WAIT = "while [ ! -s %s/server-%%s ]; do sleep 0.02; done\n" % T


def serves():
    try:
        with socket.create_connection(("127.0.0.1", 8099), 5) as s:
            return s.recv(100).decode()
    except OSError:
        return None


h = host()
begin = time.monotonic()
run = h.deploy(one("#!/bin/sh\n" + SERVER % ("a", "a") + WAIT % "a", event="ApplicationStart"))
equal("a server that holds the script's output", 0, run.result["exit"], run.result)
ok("does not keep the hook", run.of("step")[-1] and time.monotonic() - begin < 10)
unit = "slipway-hook-%s-ApplicationStart-1.service" % run.result["deployment"]
equal("its unit stays", {unit: "exited"}, units())
equal("and when the host goes down it has 90 s", "TimeoutStopUSec=1min 30s\n", systemctl("show", "-p", "TimeoutStopUSec", unit))
step = [s for s in h.state(GROUP)["last"]["steps"] if s["event"] == "ApplicationStart"][0]
equal("what runs in it is told by name", "left running: python3 (%d)" % number_in(T + "/server-a"), step["message"])
holds("and 'slipway status' shows it", "python3", subprocess.run([SLIPWAY, "status"], stdout=subprocess.PIPE, text=True).stdout)
equal("it serves, and its output goes on", ["a", True],
      [serves(), within(lambda: b"hit" in output(h, run, event="ApplicationStart"), 5)])
again = h.deploy(one("#!/bin/sh\necho second\n"))
equal("another deployment of the group leaves it alone", {unit: "exited"}, units())
systemctl("stop", unit)
equal("'systemctl stop' stops it", [None, {}], [serves(), units()])
run = h.deploy(one("#!/bin/sh\n" + SERVER % ("b", "b") + WAIT % "b", event="ApplicationStart"))
os.kill(number_in(T + "/server-b"), signal.SIGKILL)
h.deploy(one("#!/bin/sh\necho last\n"))
equal("the unit of a server that has ended goes with the next deployment", {}, units())

h = host()
h.deploy(one("#!/bin/sh\n" + SERVER % ("c", "c") + WAIT % "c", event="ApplicationStart"))
equal("'remove'", 0, h.local({"verb": "remove"}).result["exit"])
equal("stops what still runs", [None, {}], [serves(), units()])

h = host()
h.deploy(one("#!/bin/sh\nsh -c 'trap \"\" TERM; echo $$ >%s/deaf; while :; do sleep 1; done' &\n" % T, event="ApplicationStart"))
pid = number_in(T + "/deaf")
begin = time.monotonic()
h.local({"verb": "remove"})
took = time.monotonic() - begin
equal("what is deaf to SIGTERM is killed", [False, {}], [is_alive(pid), units()])
ok("after 5 s", 4.5 < took < 20, took)

# A rollback: the old server gets its port back.
h = host()
start = {"ApplicationStart": "rm -f %s/server-old\n" % T + SERVER % ("old", "old") + WAIT % "old",
         "ApplicationStop": "kill $(cat %s/server-old); while kill -0 $(cat %s/server-old) 2>/dev/null; do sleep 0.02; done\n" % (T, T)}
d = Deployment(h, "d-OLD", bundle(revision("old", extra=start))).all()
equal("the old server serves", [0, "old"], [d.result["exit"], serves()])
holds("its unit says for whom", "of d-OLD for App/Group (scripts/ApplicationStart.sh)",
      systemctl("show", "-P", "Description", *units()))
new = {"ApplicationStart": SERVER % ("new", "new") + WAIT % "new"}  # its ApplicationStop stops nothing
d = Deployment(h, "d-NEW", bundle(revision("new", extra=new, fails="ValidateService"))).all()
equal("after a rollback, too", ["Failed", "old"], [d.result["status"], serves()])
equal("the new one is gone", False, is_alive(number_in(T + "/server-new")))
equal("its unit as well", ["exited"], list(units().values()))
holds("the previous scripts ran", "ApplicationStart ok, ValidateService ok",
      h.stored("command-d-NEW-ValidateService")["diagnostics"]["message"])

# --- a worker that is killed -------------------------------------------------------------------------------------------------

SLOW = 'echo before; echo $$ >%s/slow; while [ ! -e %s/go ]; do sleep 0.02; done; echo after\n' % (T, T)


def unlink(name):
    try:
        os.unlink(os.path.join(T, name))
    except FileNotFoundError:
        pass


def kill_in(h, d, event):
    """Kill the worker while the slow script of that event runs."""
    run = d.walk_into(event, lambda message: message["event"] == "output" and message["line"] == "before")
    pid = number_in(T + "/slow")
    run.kill()
    return pid


def two(name, first, second, event="AfterInstall"):
    """Two scripts of one event, the first one is slow."""
    tree = revision(name, extra={event: first})
    text = tree["appspec.yml"][0]
    at = "    - location: scripts/%s.sh\n" % event
    tree["appspec.yml"] = (text.replace(at, at + "    - location: second.sh\n"), 0o644)
    tree["second.sh"] = script(second)
    return tree


for who in ("recover", "command"):
    for first, second, status, words in (("", "echo second; echo second >>$LOG\n", "Succeeded", "Succeeded"),
                                         ("", "exit 7\n", "Failed", "second.sh failed with exit code 7"),
                                         ("exit 5\n", "", "Failed", "AfterInstall.sh failed with exit code 5")):
        name = "%s, %s" % (who, words)
        h = host()
        Deployment(h, "d-OLD", bundle(revision("old"))).all()
        h.ran()
        d = Deployment(h, "d-NEW", bundle(two("new", SLOW + first, second)))
        pid = kill_in(h, d, "AfterInstall")
        ok(name + ": the script lives", is_alive(pid))
        equal(name + ": there is no result", None, h.stored(d.command_id("AfterInstall")))
        run = h.start({"verb": "recover"}) if who == "recover" else d.start("AfterInstall", acked=True)
        run.until("step")
        other = h.local({"verb": "orphan", "group_id": "group-1"})
        equal(name + ": the group is busy meanwhile", [6, "busy"], [other.result["exit"], other.result.get("code")])
        open(T + "/go", "w").close()
        run.end()
        stored = h.stored(d.command_id("AfterInstall"))
        equal(name + ": the real result", status, stored["status"], stored, run.events)
        holds(name + ": in words", words, stored["diagnostics"]["message"])
        equal(name + ": the script ran once", 1, [n.split()[:2] for n in h.ran()].count(["AfterInstall", "new"]))
        with open("/var/lib/slipway/deployment-root/group-1/d-NEW/logs/scripts.log") as f:
            log = f.read()
        equal(name + ": its output is copied once", [1, 1], [log.count("[stdout]before"), log.count("[stdout]after")], log)
        equal(name + ": nothing stays", {}, units())
        if status == "Succeeded":
            equal(name + ": the second script ran as well", 1, log.count("[stdout]second"))
            equal(name + ": the deployment goes on", 0, d.all(SEVEN[5:]).result["exit"])
        else:
            equal(name + ": rolled back", {"srv/app/index.html": "old", "srv/app/only-old": "x"}, h.files())
        equal(name + ": once more there is nothing to do", [], h.recover().of("recovered"))
        known = [(r["script"], r["ok"]) for step in h.state("group-1")["last"]["steps"] if step["event"] == "AfterInstall"
                 for r in step["runs"] if r["wall_ms"] > 0]
        took = [("scripts/AfterInstall.sh", "exit" not in first), ("second.sh", "exit" not in second)]
        equal(name + ": what each script took is known", took[:1 if "exit" in first else 2], known)

# It has ended, well or not, while nobody was there.
for end, status in (("exit 0\n", "Succeeded"), ("exit 9\n", "Failed"), ("kill -9 $$\n", "Failed")):
    h = host()
    d = Deployment(h, "d-NEW", bundle(revision("new", extra={"AfterInstall": SLOW + end})))
    pid = kill_in(h, d, "AfterInstall")
    open(T + "/go", "w").close()
    within(lambda: not is_alive(pid))
    equal("ended alone with %s: it is waited for" % end.strip(), ["exited"], list(units().values()))
    h.recover()
    equal("ended alone with %s: the real result" % end.strip(), status, h.stored(d.command_id("AfterInstall"))["status"])
    equal("ended alone with %s: nothing stays" % end.strip(), {}, units())

# Stopped by a person, while nobody was there: nobody knows its result, and it is not run again.
h = host()
d = Deployment(h, "d-NEW", bundle(revision("new", extra={"AfterInstall": SLOW})))
kill_in(h, d, "AfterInstall")
systemctl("stop", *units())
h.recover()
stored = h.stored(d.command_id("AfterInstall"))
holds("stopped while nobody watched", "its result is not known", stored["diagnostics"]["message"])
equal("stopped while nobody watched: not run again", 1, [n.split()[0] for n in h.ran()].count("AfterInstall"))

# The timeout holds without a worker.
def times_out(text):
    """Without a worker. Returns the script's PID, when PID 1 has begun to end it."""
    made = revision("new", extra={"AfterInstall": text})
    lines = made["appspec.yml"][0].replace("scripts/AfterInstall.sh\n", "scripts/AfterInstall.sh\n      timeout: 1\n")
    made["appspec.yml"] = (lines, 0o644)
    d = Deployment(h, "d-NEW", bundle(made))
    pid = kill_in(h, d, "AfterInstall")
    ok("without a worker PID 1 ends it in time", within(lambda: list(units().values()) != ["running"], 15))
    return d, pid


h = host()
d, pid = times_out(SLOW)
ok("and it is gone, as it hears SIGTERM", within(lambda: not is_alive(pid), 15))
h.recover()
equal("without a worker: it timed out", 3, h.stored(d.command_id("AfterInstall"))["diagnostics"]["error_code"])

h = host()
d, pid = times_out("trap '' TERM\n" + SLOW)
equal("one that does not hear SIGTERM has longer", [["stop-sigterm"], True], [list(units().values()), is_alive(pid)])
begin = time.monotonic()
h.recover()
took = time.monotonic() - begin
equal("a worker that finds it so kills it", False, is_alive(pid))
ok("after 5 s", 4.5 < took < 20, took)
equal("and it timed out", 3, h.stored(d.command_id("AfterInstall"))["diagnostics"]["error_code"])
equal("nothing of it stays", {}, units())

# Its rollback is interrupted.
for event in ("ApplicationStop", "AfterInstall", "ApplicationStart", "ValidateService"):
    h = host()
    slow = '[ -z "$SLIPWAY_ROLLBACK" ] || { %s; }\n' % SLOW.strip()
    of = "new" if event == "ApplicationStop" else "old"
    Deployment(h, "d-OLD", bundle(revision("old", extra={event: slow} if of == "old" else {}))).all()
    d = Deployment(h, "d-NEW", bundle(revision("new", fails="ValidateService", extra={event: slow} if of == "new" else {})))
    d.all(SEVEN[:-1])
    h.ran()
    pid = kill_in(h, d, "ValidateService")
    run = h.start({"verb": "recover"})
    run.until("step")
    open(T + "/go", "w").close()
    run.end()
    stored = h.stored(d.command_id("ValidateService"))
    equal("rollback's %s: the report is that of the event" % event, [4, "scripts/ValidateService.sh"],
          [stored["diagnostics"]["error_code"], stored["diagnostics"]["script_name"]])
    holds("rollback's %s: and tells the whole rollback" % event,
          "rolled back to d-OLD: AfterInstall ok, ApplicationStart ok, ValidateService ok", stored["diagnostics"]["message"])
    equal("rollback's %s: each script ran once" % event,
          ["ValidateService new", "ApplicationStop new", "AfterInstall old", "ApplicationStart old", "ValidateService old"],
          [" ".join(n.split()[:2]) for n in h.ran()])
    equal("rollback's %s: nothing stays" % event, {}, units())

# Killed at each call that makes something durable: before and after the note, the start, the result.
h, seen, number = host(), [], 0
plain = worker_program = WORKER
killing = os.path.join(os.path.dirname(T), "killed-worker")
with open(killing, "w") as f:
    f.write('#!/bin/sh\nexec strace -o /dev/null -e trace=fsync,sendmsg,renameat -e "inject=$KILL_CALL:signal=KILL:when=$KILL_AT" %s "$@"\n' % plain)
os.chmod(killing, 0o755)
for call in ("fsync", "sendmsg"):
    number = 0
    while True:
        number += 1
        h = host()
        Deployment(h, "d-OLD", bundle(revision("old"))).all()
        h.ran()
        d = Deployment(h, "d-NEW", bundle(two("new", "", "echo SECOND >>$LOG\n")))
        d.all(SEVEN[:4])
        h.ran()
        worker.WORKER = killing
        os.environ.update(KILL_CALL=call, KILL_AT=str(number))
        run = d.command("AfterInstall")
        worker.WORKER = plain
        if run.result is not None:
            break
        again = d.command("AfterInstall", acked=True)
        stored = h.stored(d.command_id("AfterInstall"))
        notes = [n.split()[0] for n in h.ran()]
        h.recover()
        took = [r["script"] for r in h.state()["open"]["steps"][-1].get("runs", []) if "wall_ms" in r]
        if not stored or stored["status"] != "Succeeded" or notes != ["AfterInstall", "SECOND"] or units() or \
                took != ["scripts/AfterInstall.sh", "second.sh"]:
            ok("killed at %s %d" % (call, number), False, stored, notes, units(), took, again.events)
        seen.append(stored and stored["status"])
    ok("killed at each %s: the scripts run once, the result is the real one" % call, number > 2, number)

# A local deployment is given up.
h = host()
Deployment(h, "d-OLD", bundle(revision("old"))).all()
with tempfile.TemporaryFile() as f:
    f.write(bundle(revision("new", extra={"AfterInstall": SLOW})))
    f.flush()
    run = h.start({"verb": "deploy", "group": "group-1", "source": {"type": "tgz", "name": "new.tgz"}}, f.fileno())
pid = number_in(T + "/slow")
run.kill()
equal("a killed local deployment is rolled back", ["rolled back"], [e["what"] for e in h.recover().of("recovered")])
equal("its script is killed, its tree is gone", [False, "old"], [is_alive(pid), h.files()["srv/app/index.html"]])
equal("and nothing stays", {}, units())
done_testing()
