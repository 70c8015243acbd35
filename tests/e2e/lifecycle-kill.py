#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The worker is killed at one system call that changes the disk after the other, through whole deployments. After recovery the
host has the old or the new revision, its records say which, and its application runs.

KILL_STRIDE=1 tries every call (default: every twelfth; twice as far apart for commands, and all further under the sanitizers)."""
import worker
from worker import *

CALLS = ["fsync", "syncfs", "renameat", "renameat2", "unlinkat", "linkat", "mkdirat"]
STRIDE = int(os.environ.get("KILL_STRIDE", "24" if worker.sanitizers() else "12"))

need_strace()
plain = worker.WORKER


def points(stride=STRIDE):
    """(name, call, N) of each place to be killed at; send(True) when the worker was not killed, so that there are no more."""
    for index, call in enumerate(CALLS):
        number = 1 + index % stride
        while not (yield "%s %d" % (call, number), call, number):
            number += stride


def check(host, group, name):
    """What must hold whenever no worker runs; the text of the installed revision."""
    files, state = host.files(), host.state(group)
    text = files.get("srv/app/index.html")
    problems = []
    if files != {"srv/app/index.html": text, "srv/app/only-" + str(text): "x"}:
        problems.append("a mixed tree: %r" % files)
    if "open" in state and state["open"]["job"]["verb"] != "endpoint":
        problems.append("still open: %r" % state["open"])
    if "open" not in state and text != texts[state["installed"]]:
        problems.append("installed is %s, the tree is %s" % (texts[state["installed"]], text))
    if state["installed"] != host.pointer("last_successful_install", group):
        problems.append("the pointer file says %s" % host.pointer("last_successful_install", group))
    notes = host.ran()
    running = [note.split()[:2] for note in notes if note.split()[0] in ("ApplicationStop", "ApplicationStart")]
    if running and "open" not in state and running[-1] != ["ApplicationStart", text]:
        problems.append("the application does not run: %r" % notes)
    ids = [line["deployment_id"] for line in host.history()]
    if "open" not in state and ids[-1] != state["last"]["deployment_id"]:
        problems.append("history ends with %s, not %s" % (ids[-1], state["last"]["deployment_id"]))
    if len(ids) != len(set(ids)):
        problems.append("history has a deployment twice")
    if problems:
        ok(name, False, "\n".join(problems))
    return text


texts = {}


def remember(host, group):
    state = host.state(group)
    for one in state.get("revisions", []):
        with open(host.path("var/lib/slipway/deployment-root/%s/%s/deployment-archive/web/index.html"
                            % (group, one["archive"]))) as f:
            texts[one["deployment_id"]] = f.read()


def local(name, fails, may_be_new):
    host, group, seen = Host(), "default-local-deployment-group", []
    host.deploy(revision("r0"))
    host.ran()
    text, places = "r0", points()
    where, call, number = next(places)
    while True:
        new = "r%d" % (len(seen) + 1)
        with killed(call, number):
            run = host.deploy(revision(new, fails=fails))
        host.recover()
        remember(host, group)
        now = check(host, group, "%s, killed at %s" % (name, where))
        if now not in ((text, new) if may_be_new else (text,)):
            ok("%s, killed at %s" % (name, where), False, "tree %s after %s" % (now, text))
        seen.append("new" if now == new else "old")
        text = now
        try:
            where, call, number = places.send(run.result is not None)
        except StopIteration:
            break
    ok("%s: killed at %d places, never a mixed host" % (name, len(seen) - len(CALLS)), len(seen) > 2 * len(CALLS))
    equal("%s: the outcomes" % name, ["new", "old"] if may_be_new else ["old"], sorted(set(seen)))
    equal("%s: the next deployment works" % name, 0, host.deploy(revision("last")).result["exit"])


def commands(event, fails=None):
    """Killed in one command; the daemon then sends it again."""
    host, group, seen = Host(), "group-1", []
    name = "command %s%s" % (event, ", which fails" if fails else "")
    Deployment(host, "d-0", bundle(revision("r0"))).all()
    host.ran()
    text, places = "r0", points(STRIDE * 2 if STRIDE > 1 else 1)
    where, call, number = next(places)
    while True:
        new = "r%d" % (len(seen) + 1)
        d = Deployment(host, "d-%d" % (len(seen) + 1), bundle(revision(new, fails=fails)))
        d.all(SEVEN[:SEVEN.index(event)])
        with killed(call, number):
            run = d.command(event)
        again = d.command(event, acked=True)
        if again.result["exit"] == 0 and again.result["status"] == "Succeeded":
            d.all(SEVEN[SEVEN.index(event) + 1:])
        host.recover()
        remember(host, group)
        now = check(host, group, "%s, killed at %s" % (name, where))
        status = host.stored(d.command_id(event))["status"]
        if now != (new if status == "Succeeded" else text):
            ok("%s, killed at %s" % (name, where), False, "reported %s, but the tree is %s" % (status, now))
        seen.append(status)
        text = now
        try:
            where, call, number = places.send(run.result is not None)
        except StopIteration:
            break
    ok("%s: killed at %d places, the report is the truth" % (name, len(seen) - len(CALLS)), len(seen) > len(CALLS))
    return set(seen)


# While it unpacks: nothing was begun, and half a bundle must not stay, nor count as a revision that is kept.
def kill_in_unpacking(host, number):
    with tempfile.TemporaryFile() as f:
        f.write(bundle(revision("half%d" % number, files={"f%d" % i: "x" for i in range(5000)})))
        f.flush()
        run = host.start({"verb": "deploy", "group": "group-1", "source": {"type": "tgz", "name": "half.tgz"}}, f.fileno())
        while True:
            event = run.next()
            if event["event"] == "progress" and event["what"] == "unpack":
                return run.kill()


host = Host("max_revisions: 3\n")
root = host.path("var/lib/slipway/deployment-root/group-1")
kept = [Deployment(host, "d-" + name, bundle(revision(name))).all().result["deployment"] for name in ("one", "two")]
for after in ("recovery", "the next deployment"):
    for number in range(3):
        kill_in_unpacking(host, number)
    equal("killed while it unpacks: half a bundle stays", 5, len(os.listdir(root)), os.listdir(root))
    if after == "recovery":
        host.recover()
    else:
        kept.append(Deployment(host, "d-three", bundle(revision("three"))).all().result["deployment"])
    equal("until " + after, sorted(kept), sorted(os.listdir(root)))

local("a local deployment", None, True)
local("a local deployment that fails", "ValidateService", False)
both = commands("DownloadBundle") | commands("Install") | commands("ValidateService")
equal("commands: the outcomes", ["Failed", "Succeeded"], sorted(both))
equal("a failing command", {"Failed"}, commands("AfterInstall", fails="AfterInstall"))


# Not killed, but refused that call: the worker always has an answer.
refusing, log = os.path.join(T, "refused-worker"), os.path.join(T, "refused.log")
with open(refusing, "w") as f:
    f.write('#!/bin/sh\nexport ASAN_OPTIONS=detect_leaks=0\nexec strace -o %s -e trace=renameat -e "inject=renameat:error=ENOSPC:when=$REFUSE_AT" %s "$@"\n'
            % (log, plain))
os.chmod(refusing, 0o755)
silent, number, injected = [], 0, True
while injected:
    number += 1
    host = Host()
    worker.WORKER = refusing
    os.environ["REFUSE_AT"] = str(number)
    try:
        if host.deploy(revision("one")).result is None:
            silent.append(number)
    finally:
        worker.WORKER = plain
    with open(log) as f:
        injected = "(INJECTED)" in f.read()
equal("a rename that fails, each in turn, always has an answer", [], silent)
ok("and there were several", number > 4, "%d" % number)
done_testing()
