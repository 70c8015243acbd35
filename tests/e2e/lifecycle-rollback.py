#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A deployment that fails: what runs, what is back, what exactly is reported. (At each of its events: rollback-matrix.py.)"""
from worker import *

HOOKS = ["BeforeInstall", "AfterInstall", "ApplicationStart", "ValidateService"]
# What runs when an event of "new" fails on top of "old": the new one's scripts so far, then the rollback.
STOP_NEW = ["ApplicationStop new d-NEW rollback"]
RESTART = ["ApplicationStart old d-OLD rollback", "ValidateService old d-OLD rollback"]
AFTER = ["AfterInstall old d-OLD rollback"]
ROLLBACK = {
    "BeforeInstall": RESTART,
    "AfterInstall": AFTER + RESTART,
    "ApplicationStart": STOP_NEW + AFTER + RESTART,
    "ValidateService": STOP_NEW + AFTER + RESTART,
}

for event in ("BeforeInstall", "ValidateService"):
    host = Host()
    Deployment(host, "d-OLD", bundle(revision("old"))).all()
    old_files, _ = host.files(), host.ran()
    new = Deployment(host, "d-NEW", bundle(revision("new", fails=event)))
    run = new.all()
    forward = ["ApplicationStop old d-NEW"] + [e + " new d-NEW" for e in HOOKS[:HOOKS.index(event) + 1]]
    equal(event + " fails: what runs", forward + ROLLBACK[event], host.ran())
    equal(event + " fails: the old tree is back", old_files, host.files())
    equal(event + " fails: exit 1", [1, "script_failed", "d-OLD"],
          [run.result["exit"], run.result["code"], run.result["rolled_back"]])
    report = host.stored(new.command_id(event))["diagnostics"]
    equal(event + " fails: the report is the script's", [4, "scripts/%s.sh" % event],
          [report["error_code"], report["script_name"]])
    did = "ApplicationStart ok, ValidateService ok"
    did = "AfterInstall ok, " + did if event != "BeforeInstall" else did
    if event == "BeforeInstall":
        # nothing was installed, so only what was stopped is started again
        did = "ApplicationStart ok, ValidateService ok"
    equal(event + " fails: and says what the rollback did",
          "Script at specified location: scripts/%s.sh failed with exit code 3; rolled back to d-OLD: %s" % (event, did),
          report["message"])
    holds(event + " fails: with the script's output", "LifecycleEvent - " + event, report["log"])
    equal(event + " fails: the old one is what is installed", ["d-OLD"] * 2,
          [host.state()["installed"], host.pointer("last_successful_install")])
    again = Deployment(host, "d-NEXT", bundle(revision("next"))).all()
    equal(event + " fails: the next deployment works", (0, "next"), (again.result["exit"], host.files()["srv/app/index.html"]))

for event in ("BeforeInstall", "AfterInstall"):
    host = Host()
    run = Deployment(host, "d-NEW", bundle(revision("new", fails=event, extra={
        "AfterInstall": "echo made-by-script >%s/tree/srv/app/cache\n" % host.root}))).all()
    stop = STOP_NEW if event in ("ApplicationStart", "ValidateService") else []
    equal("first deployment, %s fails: what runs" % event,
          [e + " new d-NEW" for e in HOOKS[:HOOKS.index(event) + 1]] + stop, host.ran())
    left = {} if event == "BeforeInstall" else {"srv/app/cache": "made-by-script\n"}
    equal("first deployment, %s fails: no file of it is left" % event, left, host.files())
    equal("first deployment, %s fails: nothing is installed" % event, None, host.state().get("installed"))
    if left:
        equal("first deployment, %s fails: what its scripts made is listed" % event, True,
              any(path.endswith("/srv/app/cache") for path in run.result.get("left", [])), run.result)
        holds("first deployment, %s fails: the message" % event, "; rolled back: no file of this revision is left",
              run.result["text"])

# However much scripts leave behind, the caller gets its result.
host = Host()
long = "d" * 200
many = "cd %s/tree/srv/app/%s && seq 1100 | xargs touch\n" % (host.root, long)
run = Deployment(host, "d-NEW", bundle(revision("new", fails="ValidateService", extra={"AfterInstall": many},
                                                files={"index.html": "new", long + "/own": "x"}))).all()
equal("a long list of what is left: the result comes", 1, run.result and run.result["exit"])
equal("a long list of what is left: some of it is named", True, 10 < len((run.result or {}).get("left", [])) < 1100)

# Where nothing can be recorded any more (a full disk), the application is started again all the same.
host = Host()
Deployment(host, "d-OLD", bundle(revision("old"))).all()
host.ran()
block = "mkdir %s\n" % host.path("var/lib/slipway/host/groups/group-1/.state.json.new")
block += "rm -r %s; : >%s\n" % ((host.path("var/lib/slipway/deployment-root/group-1/d-NEW/logs"),) * 2)
run = Deployment(host, "d-NEW", bundle(revision("new", fails="AfterInstall", extra={"AfterInstall": block}))).all()
equal("no record: what runs", AFTER + RESTART, host.ran()[-3:])
equal("no record: the old tree is back", "old", host.files()["srv/app/index.html"])
os.rmdir(host.path("var/lib/slipway/host/groups/group-1/.state.json.new"))
host.recover()
equal("no record: recovery repeats the way back", RESTART, host.ran()[-2:])
equal("no record: and ends it", ["d-OLD", None], [host.state()["installed"], host.state().get("open")])

# A rollback whose own scripts fail needs a person.
host = Host()
Deployment(host, "d-OLD", bundle(revision("old", extra={"ApplicationStart": '[ -z "$SLIPWAY_ROLLBACK" ] || exit 7\n'}))).all()
run = Deployment(host, "d-NEW", bundle(revision("new", fails="AfterInstall"))).all()
equal("a rollback whose ApplicationStart fails: exit 4", [4, "d-OLD"], [run.result["exit"], run.result["rolled_back"]])
holds("it says what failed and that a person is needed",
      "rolled back to d-OLD: AfterInstall ok, ApplicationStart failed (Script at specified location: "
      "scripts/ApplicationStart.sh failed with exit code 7): a person is needed", run.result["text"])
equal("its tree is back all the same", "old", host.files()["srv/app/index.html"])
equal("the next deployment works", 0, Deployment(host, "d-NEXT", bundle(revision("next"))).all().result["exit"])

# The new one's own ApplicationStop is best effort.
host = Host()
Deployment(host, "d-OLD", bundle(revision("old"))).all()
host.ran()
run = Deployment(host, "d-NEW", bundle(revision("new", fails="ValidateService", extra={"ApplicationStop": "exit 9\n"}))).all()
equal("a failing ApplicationStop of the failed revision does not stop the rollback", [1, "d-OLD"],
      [run.result["exit"], run.result["rolled_back"]])
equal("the old one runs again", RESTART, host.ran()[-2:])

# local_rollback: false is the official behaviour.
host = Host("local_rollback: false\n")
Deployment(host, "d-OLD", bundle(revision("old"))).all()
host.ran()
run = Deployment(host, "d-NEW", bundle(revision("new", fails="ApplicationStart"))).all()
equal("local_rollback: false leaves the failed revision", (5, "new"), (run.result["exit"], host.files()["srv/app/index.html"]))
equal("runs nothing after the failure", "ApplicationStart new d-NEW", host.ran()[-1])
equal("and remembers it as installed, not as successful", ["d-NEW", "d-OLD"],
      [host.state()["installed"], host.state()["last_successful"]])
Deployment(host, "d-NEXT", bundle(revision("next"))).command("ApplicationStop")
equal("the next ApplicationStop is that of what is installed", ["ApplicationStop new d-NEXT"], host.ran())
# A tree that cannot be put back needs a person, and then heals.
host = Host()
Deployment(host, "d-OLD", bundle(revision("old"))).all()
folder = os.path.join(host.tree, "srv/app")
new = Deployment(host, "d-NEW", bundle(revision("new", fails="AfterInstall")))
new.all(SEVEN[:4])


def lock(flag):
    return subprocess.run(["chattr", flag + "i", folder], stderr=subprocess.DEVNULL).returncode == 0


if shutil.which("chattr") and lock("+"):
    atexit.register(lock, "-")
    host.ran()
    run = new.command("AfterInstall")
    equal("an undo that fails: exit 4", [4, "undo_failed"], [run.result["exit"], run.result["code"]], run.result)
    equal("an undo that fails: no script of the old revision runs in a mixed tree", ["AfterInstall new d-NEW"], host.ran())
    message = host.stored(new.command_id("AfterInstall"))["diagnostics"]["message"]
    holds("an undo that fails: the endpoint hears it", "NOT rolled back, a person is needed", message)
    equal("an undo that fails: recovery says so", [4, "undo failed"],
          [(r := host.recover()).result["exit"], r.of("recovered")[0]["what"]], r.events)
    run = host.deploy(revision("x"), group="group-1")
    equal("an undo that fails: nothing is deployed on top", 4, run.result["exit"], run.result)
    lock("-")
    equal("once the cause is gone, recovery finishes it", [0, "rolled back"],
          [(r := host.recover()).result["exit"], r.of("recovered")[0]["what"]], r.events)
    equal("the old tree is back", {"srv/app/index.html": "old", "srv/app/only-old": "x"}, host.files())
    equal("and runs", ["AfterInstall old d-OLD rollback"] + RESTART, host.ran())
else:
    print("# immutable files cannot be made here: the failing undo is not tested")
done_testing()
