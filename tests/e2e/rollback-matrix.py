#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every event that can fail, with and without an earlier revision, ordered by an endpoint and by a person: what runs, what is
back, what is said. Then rollbacks whose own scripts fail, and rollbacks that are killed at each of their scripts.

SLIPWAY_EXHAUST=1: all of it; else not everything by both ways."""
import itertools

import worker
from worker import *

BEFORE = ["BeforeBlockTraffic", "AfterBlockTraffic", "ApplicationStop"]  # scripts of the earlier revision
AFTER = ["BeforeInstall", "AfterInstall", "ApplicationStart", "ValidateService", "BeforeAllowTraffic", "AfterAllowTraffic"]
HOOKS = BEFORE + AFTER
COMMANDS = BEFORE + ["DownloadBundle", "BeforeInstall", "Install"] + AFTER[1:]
TRAFFIC = BEFORE[:1] + ["BlockTraffic"] + COMMANDS[1:-1] + ["AllowTraffic", "AfterAllowTraffic"]
OLD, NEW = {"srv/app/index.html": "old", "srv/app/only-old": "x"}, {"srv/app/index.html": "new", "srv/app/only-new": "x"}
EXHAUST = bool(os.environ.get("SLIPWAY_EXHAUST"))
cells = 0


def endpoint(host, deployment_id, tree):
    return Deployment(host, deployment_id, bundle(tree), AllPossibleLifecycleEvents=TRAFFIC).all(COMMANDS)


def person(host, deployment_id, tree):
    return host.deploy(tree, group="group-1")


WAYS = {"endpoint": endpoint, "person": person}


def failing(event):
    """The new revision; what is not a script fails by what the bundle or a script before it does."""
    if event == "DownloadBundle":
        tree = revision("new", events=COMMANDS)
        del tree["web/index.html"], tree["web/only-new"]  # what `files` names is missing
        return tree
    if event == "Install":  # somebody else's file appears where one of ours is to be created
        return revision("new", events=COMMANDS, extra={
            "BeforeInstall": 'mkdir -p "$SLIPWAY_DESTINATION_ROOT/srv/app"\necho x >"$SLIPWAY_DESTINATION_ROOT/srv/app/only-new"\n'})
    return revision("new", events=COMMANDS, fails=event)


def ways_back(event, earlier, way="endpoint"):
    """The scripts of the rollback: (event, revision)."""
    back = []
    if event in AFTER[4:] and not earlier and way == "endpoint":
        return []  # it was complete, and there is nothing to go back to: it stays
    if event in AFTER[2:]:
        back.append(("ApplicationStop", "new"))  # what the new one started
    if not earlier or event in ("BeforeBlockTraffic", "AfterBlockTraffic", "DownloadBundle"):
        return back
    if event in AFTER[1:]:
        back.append(("AfterInstall", "old"))
    return back + [("ApplicationStart", "old"), ("ValidateService", "old")]


def forward(event, earlier):
    if event == "DownloadBundle":  # found first: the application goes on
        return []
    return [(e, "old" if e in BEFORE else "new") for e in COMMANDS[:COMMANDS.index(event) + 1]
            if e in HOOKS and (earlier or e not in BEFORE)]


def notes(host):
    return [tuple(line.split()[:2]) for line in host.ran()]


def said(back):
    """How the report tells it; the new revision's own end is not part of it."""
    return ", ".join("%s ok" % e for e, which in back if which == "old")


def one(way, earlier, event):
    global cells
    cells += 1
    name = "%s, %s, %s fails" % (way, "an earlier revision" if earlier else "the first", event)
    host = Host()
    if earlier:
        # In what runs before the new revision is there, it is the old one's scripts that fail.
        tree = revision("old", events=COMMANDS, fails=None, extra={
            event: '[ "$DEPLOYMENT_ID" = d-OLD ] || [ ! -e "$LOG.fail" ] || exit 3\n'} if event in BEFORE else None)
        WAYS[way](host, "d-OLD", tree)
        notes(host)
        open(host.log + ".fail", "w").close()
    run = WAYS[way](host, "d-NEW", failing(event))
    foreign = {"srv/app/only-new": "x\n"} if event == "Install" else {}
    back = ways_back(event, earlier, way)
    equal(name + ": what runs", forward(event, earlier) + back, notes(host))
    complete = way == "endpoint" and not earlier and event in AFTER[4:]
    equal(name + ": the tree", NEW if complete else {**(OLD if earlier else {}), **foreign}, host.files())
    want = 5 if complete else 2 if way == "person" and event == "DownloadBundle" else 1
    equal(name + ": exit", want, run.result["exit"], run.result)
    if said(back):
        holds(name + ": and tells it", "; rolled back to d-", run.result["text"])
        holds(name + ": each script of it", said(back), run.result["text"])
    state = host.state() if os.path.exists(host.path("var/lib/slipway/host/groups/group-1/state.json")) else {}
    ids = {line["deployment_id"] for line in host.history() if line["result"] == "succeeded"}
    if complete:
        ids.add("d-NEW")
    equal(name + ": the records", [earlier or complete, earlier or complete, False],
          [state.get("installed") in ids, state.get("last_successful") in ids, "open" in state], state)
    if os.path.exists(host.log + ".fail"):
        os.unlink(host.log + ".fail")
    again = WAYS[way](host, "d-NEXT", revision("next", events=COMMANDS, extra={
        "BeforeInstall": 'rm -f "$SLIPWAY_DESTINATION_ROOT/srv/app/only-new"\n'} if foreign else None))
    equal(name + ": the next deployment works", (0, "next"), (again.result["exit"], host.files().get("srv/app/index.html")), again.result)


def own_scripts(event, broken):
    """A script of the rollback itself fails: the tree is back, and the report says what is not."""
    name = "%s fails, then the rollback's %s" % (event, broken)
    host = Host()
    endpoint(host, "d-OLD", revision("old", events=COMMANDS, extra={broken: '[ -z "$SLIPWAY_ROLLBACK" ] || exit 7\n'}))
    notes(host)
    run = endpoint(host, "d-NEW", revision("new", events=COMMANDS, fails=event))
    done = [e for e, which in ways_back(event, True) if which == "old"]
    equal(name + ": exit 4", [4, "d-OLD"], [run.result["exit"], run.result["rolled_back"]], run.result)
    told = "; rolled back to d-OLD: " + "".join("%s ok, " % e for e in done[:done.index(broken)]) + \
        "%s failed (Script at specified location: scripts/%s.sh failed with exit code 7): a person is needed" % (broken, broken)
    holds(name + ": says exactly what state the host is in", told, run.result["text"])
    equal(name + ": no script after it", (broken, "old"), notes(host)[-1])
    equal(name + ": the tree is back", OLD, host.files())
    equal(name + ": and recorded", "d-OLD", host.state()["installed"])


PAUSE = 'if [ -n "$SLIPWAY_ROLLBACK" ] && [ ! -e "$LOG.go" ]; then : >"$LOG.here"; while [ ! -e "$LOG.go" ]; do sleep 0.02; done; fi\n'


def killed_in(event, where, which):
    """kill -9 of the worker while that script of the rollback runs."""
    name = "%s fails, killed in the rollback's %s (%s)" % (event, where, which)
    host = Host()
    pause = {where: PAUSE}
    endpoint(host, "d-OLD", revision("old", events=COMMANDS, extra=pause if which == "old" else None))
    d = Deployment(host, "d-NEW", bundle(revision("new", events=COMMANDS, fails=event, extra=pause if which == "new" else None)),
                   AllPossibleLifecycleEvents=TRAFFIC)
    d.all(COMMANDS[:COMMANDS.index(event)])
    run = d.start(event)
    run.until("ready")
    run.send({"verb": "go"})
    ok(name + ": it is there", within(lambda: os.path.exists(host.log + ".here")))
    run.kill()
    notes(host)
    open(host.log + ".go", "w").close()
    run = host.recover()
    equal(name + ": recovery goes on", [(0, "rolled back")], [(run.result["exit"], e["what"]) for e in run.of("recovered")])
    equal(name + ": the tree is back", OLD, host.files())
    equal(name + ": the application runs", [("ApplicationStart", "old"), ("ValidateService", "old")], notes(host)[-2:])
    stored = host.stored(d.command_id(event))
    equal(name + ": one result, of the event that failed", ["Failed", 4, "scripts/%s.sh" % event],
          [stored["status"], stored["diagnostics"]["error_code"], stored["diagnostics"]["script_name"]])
    holds(name + ": with what was done", said(ways_back(event, True)), stored["diagnostics"]["message"])


def chosen(way, earlier, event):
    if not earlier and event in BEFORE:
        return False  # these have no script then
    few = ("DownloadBundle", "Install", "ValidateService", "AfterAllowTraffic")
    if way == "person" or not earlier or worker.sanitizers():
        return EXHAUST or event in few
    return True


def cannot_go_back():
    """A complete deployment whose predecessor cannot be installed again stays, and runs."""
    name = "AfterAllowTraffic fails, the earlier revision cannot be installed"
    host = Host()
    endpoint(host, "d-OLD", revision("old", events=COMMANDS))
    block = 'mkdir -p "$SLIPWAY_DESTINATION_ROOT/srv/app/only-old" && : >"$SLIPWAY_DESTINATION_ROOT/srv/app/only-old/x"\n'
    notes(host)
    run = endpoint(host, "d-NEW", revision("new", events=COMMANDS, fails="AfterAllowTraffic", extra={"AfterAllowTraffic": block}))
    equal(name + ": it stays", [5, "new"], [run.result["exit"], host.files()["srv/app/index.html"]], run.result)
    equal(name + ": it runs again", [("ApplicationStop", "new"), ("ApplicationStart", "new"), ("ValidateService", "new")], notes(host)[-3:])
    holds(name + ": and says so", "started again: ApplicationStart ok, ValidateService ok", run.result["text"])
    holds(name + ": with the reason", "only-old", run.result["text"])
    equal(name + ": the records", ["d-NEW", "d-NEW"], [host.state()["installed"], host.state()["last_successful"]])


cannot_go_back()
for cell in itertools.product(WAYS, (True, False), COMMANDS):
    if chosen(*cell):
        one(*cell)
for event in ("AfterInstall", "ValidateService", "AfterAllowTraffic") if EXHAUST else ("ValidateService",):
    for broken in ("AfterInstall", "ApplicationStart", "ValidateService"):
        own_scripts(event, broken)
for event in ("ValidateService", "AfterAllowTraffic") if EXHAUST else ("ValidateService",):
    for where, which in ways_back(event, True):
        killed_in(event, where, which)
print("# exhaust: rollbacks: %d failing events, %d violations" % (cells, worker.tests_failed))
done_testing()
