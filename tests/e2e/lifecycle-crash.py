#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the worker in the middle of hooks, and an endpoint that goes silent: who comes next puts it right."""
from worker import *

SLOW = 'echo $$ >"$LOG.pid"; while [ ! -e "$LOG.go" ]; do sleep 0.02; done\n'


def pid_of_script(host):
    path = host.log + ".pid"
    within(lambda: os.path.exists(path) and os.path.getsize(path) > 0)
    with open(path) as f:
        pid = int(f.read())
    os.unlink(path)
    return pid


def is_gone(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def old_host(settings=""):
    host = Host(settings)
    Deployment(host, "d-OLD", bundle(revision("old"))).all()
    host.ran()
    return host


def kill_in(host, d, event):
    """Kill the worker while the script of that event runs; the script's pid."""
    run = d.walk_into(event, lambda message: message["event"] == "step" and message["step"] == event)
    script_pid = pid_of_script(host)
    run.kill()
    return script_pid


for event in ("BeforeInstall", "AfterInstall", "ValidateService"):
    host = old_host()
    new = Deployment(host, "d-NEW", bundle(revision("new", extra={event: SLOW})))
    pid = kill_in(host, new, event)
    equal(event + ": no result before recovery", None, host.stored(new.command_id(event)))
    equal(event + ": the script outlives the worker", False, is_gone(pid))
    run = host.recover()
    equal(event + ": recovery rolls back", [(0, "rolled back")],
          [(run.result["exit"], e["what"]) for e in run.of("recovered")], run.result)
    equal(event + ": the script is killed", True, within(lambda: is_gone(pid)))
    stored = host.stored(new.command_id(event))
    equal(event + ": the command failed with code 7", ["Failed", 7], [stored["status"], stored["diagnostics"]["error_code"]])
    holds(event + ": and says so", "Failed: the worker ended while %s was running; rolled back to d-OLD" % event,
          stored["diagnostics"]["message"])
    equal(event + ": the old tree is back", {"srv/app/index.html": "old", "srv/app/only-old": "x"}, host.files())
    equal(event + ": the old application runs", ["ApplicationStart old d-OLD rollback", "ValidateService old d-OLD rollback"],
          host.ran()[-2:])
    run = new.command(event)
    equal(event + ": the command is known when it comes again", ["known", "result"], [e["event"] for e in run.events])
    equal(event + ": recovery has nothing more to do", [], host.recover().of("recovered"))
    equal(event + ": the next deployment works", (0, "next"),
          (Deployment(host, "d-NEXT", bundle(revision("next"))).all().result["exit"], host.files()["srv/app/index.html"]))

# The same command, acknowledged and sent again, is what recovers.
host = old_host()
new = Deployment(host, "d-NEW", bundle(revision("new", extra={"AfterInstall": SLOW})))
kill_in(host, new, "AfterInstall")
run = new.command("AfterInstall", acked=True)
equal("an interrupted command that comes again is recovered first", "known", run.of("known")[0]["event"])
equal("and failed", [0, "Failed"], [run.result["exit"], run.result["status"]])
equal("not run twice", 1, [line.split()[0] for line in host.ran()].count("AfterInstall") - 1)

# Between two commands an open deployment stays open, and a busy group says who has it.
host = old_host()
new = Deployment(host, "d-NEW", bundle(revision("new", extra={"AfterInstall": SLOW})))
new.all(SEVEN[:4])
equal("between two commands recovery leaves a deployment open", [], host.recover().of("recovered"))
equal("with its tree", "new", host.files()["srv/app/index.html"])
run = host.deploy(revision("local"), group="group-1")
equal("a local deployment does not interfere", [6, "busy"], [run.result["exit"], run.result["code"]])
holds("and names the endpoint's", "d-NEW", run.result["text"])
working = new.start("AfterInstall")
working.until("ready")
working.send({"verb": "go"})
pid_of_script(host)
other = Deployment(host, "d-OTHER", bundle(revision("other"))).command("ApplicationStop")
equal("a second worker of the group is turned away", [6, "busy"], [other.result["exit"], other.result["code"]])
holds("with the name of the first", "process %d runs 'AfterInstall'" % working.pid, other.result["text"])
equal("recovery does not wait for it", [], host.recover().of("recovered"))
open(host.log + ".go", "w").close()
working.end()
equal("which ends well", "Succeeded", working.result["status"])
equal("and the deployment goes on", 0, new.all(SEVEN[5:]).result["exit"])

# A worker that was killed while it rolled back.
host = Host()
slow_back = {"ApplicationStart": '[ -z "$SLIPWAY_ROLLBACK" ] || { %s }\n' % SLOW.strip()}
Deployment(host, "d-OLD", bundle(revision("old", extra=slow_back))).all()
new = Deployment(host, "d-NEW", bundle(revision("new", fails="ValidateService")))
new.all(SEVEN[:-1])
run = new.start("ValidateService")
run.until("ready")
run.send({"verb": "go"})
pid = pid_of_script(host)
run.kill()
open(host.log + ".go", "w").close()
run = host.recover()
equal("an interrupted rollback goes on", "rolled back", run.of("recovered")[0]["what"])
stored = host.stored(new.command_id("ValidateService"))
equal("the report is that of the event that failed", [4, "scripts/ValidateService.sh"],
      [stored["diagnostics"]["error_code"], stored["diagnostics"]["script_name"]])
holds("with what the rollback did", "rolled back to d-OLD: AfterInstall ok, ApplicationStart ok, ValidateService ok",
      stored["diagnostics"]["message"])
equal("the old tree is in place", "old", host.files()["srv/app/index.html"])

# Local deployments.
host = old_host()
tree = revision("new", extra={"ValidateService": SLOW})
for rollback, text, code in ((True, "old", "rolled back"), (False, "new", "left")):
    with tempfile.TemporaryFile() as f:
        f.write(bundle(tree))
        f.flush()
        run = host.start({"verb": "deploy", "group": "group-1", "rollback": rollback,
                          "source": {"type": "tgz", "name": "new.tgz"}}, f.fileno())
    pid = pid_of_script(host)
    run.kill()
    equal("a killed local deployment, rollback %s: recovery" % rollback, [code],
          [e["what"] for e in host.recover().of("recovered")])
    equal("a killed local deployment, rollback %s: the tree" % rollback, text, host.files()["srv/app/index.html"])
    equal("a killed local deployment, rollback %s: its script" % rollback, True, within(lambda: is_gone(pid)))
    equal("a killed local deployment, rollback %s: the record" % rollback, ["failed", 7],
          [host.history()[-1]["result"], host.history()[-1]["failure"]["error_code"]])
    host.ran()

# Only the files: no script runs, and the rest follows.
for event, kill in (("AfterInstall", True), ("ValidateService", True), ("AfterInstall", False)):
    host = old_host()
    name = "only files, %s%s" % (event, "" if kill else ", twice")
    new = Deployment(host, "d-NEW", bundle(revision("new", extra={event: SLOW})))
    pid = kill_in(host, new, event)
    host.ran()
    settings = host.path("etc/slipway/agent.yml")
    os.rename(settings, settings + ".good")
    with open(settings, "w") as f:
        f.write("verbose: [\n")
    equal(name + ": scripts wait for settings that can be read", 2, host.recover().result["exit"])
    run = host.local({"verb": "recover", "files": True})
    os.rename(settings + ".good", settings)
    equal(name + ": says so", [(0, "files put back")], [(run.result["exit"], e["what"]) for e in run.of("recovered")], run.events)
    equal(name + ": the old tree is back", {"srv/app/index.html": "old", "srv/app/only-old": "x"}, host.files())
    equal(name + ": no script ran, and none is left", [[], True], [host.ran(), within(lambda: is_gone(pid))])
    equal(name + ": no result yet", None, host.stored(new.command_id(event)))
    if not kill:
        equal(name + ": nothing more to do", [], host.local({"verb": "recover", "files": True}).of("recovered"))
    run = host.recover()
    equal(name + ": the rest follows", [(0, "rolled back")],
          [(run.result["exit"], e["what"]) for e in run.of("recovered")], run.events)
    holds(name + ": with the scripts of the old revision",
          "rolled back to d-OLD: AfterInstall ok, ApplicationStart ok, ValidateService ok",
          host.stored(new.command_id(event))["diagnostics"]["message"])
    equal(name + ": the old tree stays", "old", host.files()["srv/app/index.html"])
    equal(name + ": once only", 1, [s["event"] for s in host.state()["last"]["steps"]].count("Rollback: Install"))

# A rollback that could not be recorded (the disk was full): the state is that of before it.
host = old_host()
new = Deployment(host, "d-NEW", bundle(revision("new", fails="AfterInstall")))
new.all(SEVEN[:4])
path = host.path("var/lib/slipway/host/groups/group-1/state.json")
shutil.copy(path, host.path("state.before"))
new.command("AfterInstall")
shutil.copy(host.path("state.before"), path)
host.ran()
run = new.command("ValidateService")
equal("a tree that was put back is not taken for the new one", ("Failed", "d-OLD", "old"),
      (run.result["status"], host.state()["installed"], host.files()["srv/app/index.html"]), run.events)
equal("and the old application runs", ["ApplicationStart old d-OLD rollback", "ValidateService old d-OLD rollback"], host.ran()[-2:])

# The endpoint goes silent.
host = old_host("orphan_timeout: 1h\n")
new = Deployment(host, "d-NEW", bundle(revision("new")))
new.all(SEVEN[:4])
run = host.local({"verb": "orphan", "group_id": "group-1"})
equal("before orphan_timeout an open deployment is left alone", [6, "busy"], [run.result["exit"], run.result["code"]])
with open(host.path("etc/slipway/agent.yml"), "r+") as f:
    settings = f.read()
    f.seek(0)
    f.write(settings.replace("1h", "1s"))


def orphan_acts():
    global run
    run = host.local({"verb": "orphan", "group_id": "group-1"})
    return run.result["exit"] != 6


within(orphan_acts)
equal("after it the old revision is put back", (0, "d-OLD", "old"),
      (run.result["exit"], run.result["rolled_back"], host.files()["srv/app/index.html"]), run.result)
equal("and runs", "ValidateService old d-OLD rollback", host.ran()[-1])
run = new.command("AfterInstall")
equal("later commands of it fail", [1, "Failed"], [run.result["exit"], run.result["status"]])
holds("with the reason", "silent", run.result["text"])
run = host.local({"verb": "orphan", "group_id": "group-1"})
equal("asked again there is nothing to do", [0, None], [run.result["exit"], run.result.get("rolled_back")])

# Where nothing is rolled back, nobody gives up before the endpoint does.
host = old_host("orphan_timeout: 1s\nlocal_rollback: false\n")
new = Deployment(host, "d-NEW", bundle(revision("new")))
new.all(SEVEN[:4])
state = host.state()
state["open"]["last_command"] = time.time() - 86400
with open(host.path("var/lib/slipway/host/groups/group-1/state.json"), "w") as f:
    json.dump(state, f)
run = host.local({"verb": "orphan", "group_id": "group-1"})
equal("local_rollback: false waits for the endpoint", [0, "d-NEW"],
      [run.result["exit"], host.state()["open"]["job"]["specification"]["DeploymentId"]], run.result)
equal("which may go on", 0, new.all(SEVEN[4:]).result["exit"])

# The clock is set back in the middle.
host = old_host("orphan_timeout: 1h\n")
Deployment(host, "d-NEW", bundle(revision("new"))).all(SEVEN[:4])
path = host.path("var/lib/slipway/host/groups/group-1/state.json")
for ahead, want in ((1800, [6, None]), (86400, [0, "d-OLD"])):
    state = host.state()
    state["open"]["last_command"] = time.time() + ahead
    with open(path, "w") as f:
        json.dump(state, f)
    run = host.local({"verb": "orphan", "group_id": "group-1"})
    equal("the last command seems to come in %d s" % ahead, want, [run.result["exit"], run.result.get("rolled_back")], run.result)
done_testing()
