#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""slipway import codedeploy and its --undo are killed at one system call after the other that changes something, the command itself
and its worker. At no instant both agents could poll; the same command then finishes, and so does the other direction; each object of
the host is as it was, and what either agent needs for its next deployment is there.

SLIPWAY_EXHAUST=1 tries every call, else one of each kind."""
import shutil

import worker
from worker import *

EXHAUST = bool(os.environ.get("SLIPWAY_EXHAUST"))
EVERY = ["renameat", "renameat2", "fsync", "unlinkat", "mkdirat", "clone", "clone3", "sendmsg", "recvmsg", "fchmod"]
SOME = {"command": [("renameat", 2), ("fsync", 3), ("clone", 3), ("recvmsg", 4)], "worker": [("renameat", 1), ("fsync", 3)],
        "systemctl": [("restart slipwayd.service", 1), ("start codedeploy-agent.service", 1)]}
GROUP = "0f5c1b1e-1111-2222-3333-444455556666"
SLIPWAY = os.path.join(os.environ["top_builddir"], "slipway")
ROOT, UNITS = os.path.join(T, "host"), os.path.join(T, "units")
INSTRUCTIONS = ROOT + "/opt/codedeploy-agent/deployment-root/deployment-instructions/"
ENV = dict(os.environ, FAKE_UNITS=UNITS, SLIPWAY_SYSTEMCTL=os.path.join(os.environ["top_srcdir"], "tests/e2e/systemctl.sh"),
           SLIPWAY_WORKER=WORKER, ASAN_OPTIONS="detect_leaks=0")


def slip(*arguments, before=(), env=ENV):
    return subprocess.run([*before, SLIPWAY, "--root", ROOT, *arguments], env=env, capture_output=True, text=True, timeout=120)


def play(*arguments):
    subprocess.run([sys.executable, os.path.join(os.environ["top_srcdir"], "tests/e2e/official.py"), ROOT, "1", *arguments], check=True)


def unit(name, what):
    return os.path.exists(os.path.join(UNITS, "%s.service.%s" % (name, what)))


def keep(name):
    for path in (ROOT, UNITS):
        subprocess.run(["cp", "-a", path, path + "-" + name], check=True)


def put_back(name):
    for path in (ROOT, UNITS):
        shutil.rmtree(path, ignore_errors=True)
        subprocess.run(["cp", "-a", path + "-" + name, path], check=True)


def tree():
    out = []
    for path, dirs, files in os.walk(ROOT + "/srv"):
        for name in dirs + files:
            one = os.path.join(path, name)
            st = os.lstat(one)
            out.append((one, st.st_mode, st.st_size if name in files else 0, st.st_mtime_ns))
    return sorted(out)


def settings_poll():
    try:
        return "aws: true" in open(ROOT + "/etc/slipway/agent.yml").read()
    except FileNotFoundError:
        return False


def revision_of(number):
    place = os.path.join(T, "r%d" % number)
    os.makedirs(place + "/app")
    for name in ("same", "only-%d" % number):
        with open(place + "/app/" + name, "w") as f:
            f.write(name)
    with open(place + "/appspec.yml", "w") as f:
        f.write("version: 0.0\nos: linux\nfiles:\n  - source: app\n    destination: %s/srv/shop\n" % ROOT)
    return place


def problems_of(imported, objects):
    """What is wrong with a host that has been imported, or is the official agent's."""
    out = []
    if tree() != objects:
        out.append("objects were touched")
    if os.path.exists(UNITS + "/both"):
        out.append("both were active")
    if imported:
        if not settings_poll() or not unit("codedeploy-agent", "masked") or not unit("slipwayd", "active"):
            out.append("it is not ours: %s" % os.listdir(UNITS))
        run = slip("verify")
        if run.returncode:
            out.append("verify: " + run.stdout + run.stderr)
        return out
    if settings_poll() or unit("codedeploy-agent", "masked") or not unit("codedeploy-agent", "active"):
        out.append("it is not theirs: %s" % os.listdir(UNITS))
    listed = open(INSTRUCTIONS + GROUP + "-cleanup").read().splitlines()
    if sorted(listed) != sorted(one[0] for one in objects):
        out.append("clean-up file: %s" % listed)
    if not os.path.isfile(open(INSTRUCTIONS + GROUP + "_last_successful_install").read() + "/deployment-archive/appspec.yml"):
        out.append("no revision")
    groups = ROOT + "/var/lib/slipway/host/groups"
    if os.path.isdir(groups) and os.listdir(groups):
        out.append("groups stay: %s" % os.listdir(groups))
    if os.path.exists(ROOT + "/var/lib/slipway/host/import.json"):
        out.append("the record stays")
    return out


def insist(*arguments):
    """A worker whose command was killed may still hold the group."""
    deadline = time.monotonic() + 60
    while True:
        run = slip("import", "codedeploy", *arguments)
        if run.returncode != 6 or time.monotonic() > deadline:
            return run
        time.sleep(0.02)


def kill_at(call, number, whom, arguments):
    """Returns True when it was killed there. systemctl: the command, when it has that done."""
    if whom == "systemctl":
        at = os.path.join(UNITS, "kill-at")
        with open(at, "w") as f:
            f.write(call)
        slip("import", "codedeploy", *arguments)
        reached = not os.path.exists(at)
        if not reached:
            os.unlink(at)
        return reached
    log = os.path.join(T, "strace")
    tracer = ["strace", "-qq", "-o", log, "-e", "trace=" + call, "-e", "inject=%s:signal=KILL:when=%d" % (call, number)]
    if whom == "command":
        slip("import", "codedeploy", *arguments, before=tracer, env=dict(ENV, SLIPWAY_LIBEXEC=os.environ["top_builddir"]))
    else:
        wrapper = os.path.join(T, "killed-worker")
        with open(wrapper, "w") as f:
            f.write("#!/bin/sh\nexec %s %s \"$@\"\n" % (" ".join(tracer), WORKER))
        os.chmod(wrapper, 0o755)
        slip("import", "codedeploy", *arguments, env=dict(ENV, SLIPWAY_WORKER=wrapper))
    return "killed by SIGKILL" in open(log).read()


def try_all(start, arguments, objects, back):
    """arguments: of the command that is killed. back: the arguments of the other direction."""
    tried = 0
    for whom in ("command", "worker", "systemctl"):
        for call, number in [(call, 1) for call in EVERY] if EXHAUST and whom != "systemctl" else SOME[whom]:
            while True:
                put_back(start)
                if not kill_at(call, number, whom, arguments):
                    break
                tried += 1
                name = "%s killed at %s %d" % (whom, call, number)
                if settings_poll() and unit("codedeploy-agent", "active"):
                    ok(name + ": both could poll", False)
                turn = tried % 2 and os.path.exists(ROOT + "/var/lib/slipway/host/import.json")
                follow = back if turn else arguments
                run = insist(*follow)
                # the one that was killed may have been through
                done = run.returncode == 0 or (run.returncode == 2 and ("already" in run.stderr or "nothing was" in run.stderr))
                wrong = problems_of("--undo" not in follow, objects)
                if not done and "an import is being undone" in run.stderr:
                    run = insist("--undo")
                    done, wrong = run.returncode == 0, problems_of(False, objects)
                if not done or wrong:
                    ok("%s, then %s" % (name, follow or "again"), False, "%r %s %s" % (wrong, run.returncode, run.stderr))
                if not EXHAUST or whom == "systemctl":
                    break
                number += 1
    return tried


need_strace()
os.makedirs(ROOT + "/srv")
os.makedirs(UNITS)
for name in ("codedeploy-agent.service.known", "slipwayd.service.known", "codedeploy-agent.service.active"):
    open(os.path.join(UNITS, name), "w").close()
first, second, third = (revision_of(number) for number in (1, 2, 3))
play("config")
play("install", GROUP, "d-AAAAAAAA1", first)
play("install", GROUP, "d-AAAAAAAA2", second)
theirs = tree()
keep("theirs")
equal("it is imported", 0, slip("import", "codedeploy").returncode)
equal("the next one is deployed", 0, slip("deploy", third, "--group", GROUP).returncode)
ours = tree()
keep("ours")

tried = try_all("theirs", [], theirs, ["--undo"])
ok("an import that was killed at %d places is finished, or taken back" % tried, tried >= 5)
undone = try_all("ours", ["--undo"], ours, [])
ok("so is one that is undone, at %d places" % undone, undone >= 5)
print("# exhaust: import: %d kill points, %d violations" % (tried + undone, worker.tests_failed))
done_testing()
