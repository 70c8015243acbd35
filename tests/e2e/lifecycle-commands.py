#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Commands of the endpoint, one event at a time: what is acknowledged, what runs, what is reported."""
from worker import *

host = Host()

# A first deployment, then a second one on top of it.
one = Deployment(host, "d-ONE", bundle(revision("one")))
run = one.command("ApplicationStop")
equal("a first deployment's ApplicationStop is a no-op", [True], [e["noop"] for e in run.of("ready")])
equal("the bundle is fetched with the first command", 1, len(run.of("fetch")))
equal("the fetch names hash and size", [hashlib.sha256(one.content).hexdigest(), len(one.content)],
      [run.of("fetch")[0]["sha256"], run.of("fetch")[0]["size"]])
stored = one.host.stored(one.command_id("ApplicationStop"))
equal("its result says so", "Succeeded: CompletedNoopCommand", stored["diagnostics"]["message"])
equal("and that the deployment goes on", True, stored["open"])
run = one.command("DownloadBundle")
equal("DownloadBundle is never a no-op", [False], [e["noop"] for e in run.of("ready")])
equal("it fetches nothing again", 0, len(run.of("fetch")))
equal("it points at the most recent install", "d-ONE", host.pointer("most_recent_install"))
for event in SEVEN[2:-1]:
    one.command(event)
equal("nothing is last successful before the end", None, host.state().get("last_successful"))
run = one.command("ValidateService")
equal("the last event ends well", [0, "Succeeded"], [run.result["exit"], run.result["status"]])
stored = host.stored(one.command_id("ValidateService"))
equal("its result has the official form", {"error_code": 0, "script_name": "", "message": "Succeeded: ", "log": ""},
      stored["diagnostics"])
equal("and closes the deployment", False, stored["open"])
equal("each hook ran once", [e + " one d-ONE" for e in ("BeforeInstall", "AfterInstall", "ApplicationStart", "ValidateService")],
      host.ran())
equal("the files are in place", {"srv/app/index.html": "one", "srv/app/only-one": "x"}, host.files())
equal("the pointer file says what is installed", "d-ONE", host.pointer("last_successful_install"))

two = Deployment(host, "d-TWO", bundle(revision("two")))
run = two.command("ApplicationStop")
equal("ApplicationStop of the next one is real", [False], [e["noop"] for e in run.of("ready")])
equal("it runs the old revision's script for the new deployment", ["ApplicationStop one d-TWO"], host.ran())
two.all(SEVEN[1:])
equal("the second revision replaces the first", {"srv/app/index.html": "two", "srv/app/only-two": "x"}, host.files())
host.ran()

# Exactly once.
before = host.stored(two.command_id("ValidateService"))
run = two.command("ValidateService")
equal("a command that has its result is known", ["known", "result"], [e["event"] for e in run.events])
equal("the result is named again", [0, "Succeeded"], [run.result["exit"], run.result["status"]])
equal("nothing runs a second time", [], host.ran())
equal("the first result stands", before, host.stored(two.command_id("ValidateService")))
run = two.command("ValidateService", command_id="another")
holds("a complete deployment takes no other command", "complete", run.result["text"])

# Nothing happens before "go".
three = Deployment(host, "d-THREE", bundle(revision("three")))
run = three.command("ApplicationStop", answer="drop")
equal("a dropped command runs nothing", [], host.ran())
equal("has no result", [0, None], [run.result["exit"], run.result.get("file")])
equal("and leaves no trace", None, host.state().get("open"))
run = three.start("ApplicationStop")
run.until("ready")
run.sock.close()
equal("a caller that hangs up before 'go' is a drop", True, within(lambda: run.process.poll() is not None))
running.discard(run.pid)
equal("nothing ran", [], host.ran())
run = three.start("ApplicationStop")
run.until("ready")
run.send({"verb": "go"})
run.until("fetch")
run.sock.close()
equal("a caller that hangs up instead of fetching", True, within(lambda: run.process.poll() is not None))
running.discard(run.pid)
equal("leaves no trace either", [[], None, None],
      [host.ran(), host.state().get("open"), host.stored(three.command_id("ApplicationStop"))])
run = three.command("ApplicationStop", acked=True)
equal("an acknowledged command does not wait again", [], run.of("ready"))
equal("and runs", ["ApplicationStop two d-THREE"], host.ran())
name = hashlib.sha256(one.command_id("ApplicationStop").encode()).hexdigest()[:32] + ".json"
month_ago = time.time() - 31 * 86400
os.utime(host.path("var/lib/slipway/host/results/" + name), (month_ago, month_ago))
three.all(SEVEN[1:])
ok("a deployment makes room, but a result of long ago that was not reported stays", host.stored(one.command_id("ApplicationStop")))
os.makedirs(host.path("var/lib/slipway/agent/reported"))
open(host.path("var/lib/slipway/agent/reported/" + name), "w").close()
host.recover()
equal("one that was reported goes", None, host.stored(one.command_id("ApplicationStop")))
host.ran()

# A caller that goes away after "go" and the bundle loses nothing.
four = Deployment(host, "d-FOUR", bundle(revision("four", extra={"AfterInstall": 'sleep 0.2\n'})))
four.all(SEVEN[:4])
run = four.start("AfterInstall")
run.until("ready")
run.send({"verb": "go"})
run.until("step")
run.sock.close()
equal("the worker finishes without its caller", True, within(lambda: run.process.poll() is not None))
running.discard(run.pid)
equal("its result is on disk", "Succeeded", (host.stored(four.command_id("AfterInstall")) or {}).get("status"))
four.all(SEVEN[5:])
host.ran()

# Prepare first: what cannot work is found while the application runs.
tree = revision("five")
tree["appspec.yml"] = ("version: 0.0\nos: linux\nfiles:\n  - source: missing\n    destination: /srv/app\n", 0o644)
five = Deployment(host, "d-FIVE", bundle(tree))
run = five.command("ApplicationStop")
equal("ApplicationStop does not run for a revision that cannot be installed", [], host.ran())
equal("it succeeds", [0, "Succeeded"], [run.result["exit"], run.result["status"]])
holds("and says why nothing ran", "the new revision cannot be installed",
      host.stored(five.command_id("ApplicationStop"))["diagnostics"]["message"])
run = five.command("DownloadBundle")
stored = host.stored(five.command_id("DownloadBundle"))
equal("DownloadBundle fails", [1, "Failed", 5], [run.result["exit"], stored["status"], stored["diagnostics"]["error_code"]])
holds("with the true reason", "missing", stored["diagnostics"]["message"])
equal("the old revision is untouched", {"srv/app/index.html": "four", "srv/app/only-four": "x"}, host.files())
run = five.command("BeforeInstall")
holds("later commands of it fail", "failed on this host already", run.result["text"])
equal("and no script ran", [], host.ran())

for name, answer, text in (
        ("a bundle that cannot be fetched", {"verb": "bundle-failed", "code": "unreachable", "text": "no route"}, "no route"),
        ("a bundle with another hash", b"x" * 100, ""),
        ("a truncated bundle", one.content[:200], "")):
    d = Deployment(host, "d-BAD" + str(len(name)), bundle(revision("bad")))
    d.command("ApplicationStop", fetched=answer)
    run = d.command("DownloadBundle")
    equal(name + " fails at DownloadBundle", 1, run.result["exit"])
    holds("with its reason", text, run.result["text"])
    equal("while the application runs on", ([], "four"), (host.ran(), host.files()["srv/app/index.html"]))

# Order, and deployments that are not the open one.
six = Deployment(host, "d-SIX", bundle(revision("six")))
six.all(SEVEN[:2])
six.command("Install")
run = six.command("BeforeInstall")
holds("an event that is past is refused", "cannot come after", run.result["text"])
equal("and ends the deployment on the old revision", ("d-FOUR", "four"),
      (run.result["rolled_back"], host.files()["srv/app/index.html"]))
host.ran()
run = six.command("ApplicationStop", command_id="again")
holds("a deployment that has ended is never begun again", "failed on this host already", run.result["text"])
run = one.command("ApplicationStop", command_id="replayed")
holds("nor one before it", "has ended on this host", run.result["text"])

seven = Deployment(host, "d-SEVEN", bundle(revision("seven")))
seven.all(SEVEN[:5])
host.ran()
one.command("Install", command_id="stale")
equal("a refused command does not hide that another deployment is open", ["Failed", True],
      [host.stored("stale")["status"], host.stored("stale")["open"]])
eight = Deployment(host, "d-EIGHT", bundle(revision("eight")))
run = eight.command("ApplicationStop")
equal("a new deployment first takes an abandoned one back", [
    "AfterInstall four d-FOUR rollback", "ApplicationStart four d-FOUR rollback", "ValidateService four d-FOUR rollback",
    "ApplicationStop four d-EIGHT"], host.ran())
equal("its tree too", "four", host.files()["srv/app/index.html"])
eight.all(SEVEN[1:])
equal("and then goes its own way", "eight", host.files()["srv/app/index.html"])
host.ran()
other = Deployment(host, "d-EIGHT2", bundle(revision("eight")))
other.command("ApplicationStop")
run = other.command("DownloadBundle", BundleSha256="0" * 64)
holds("a deployment keeps its bundle", "another bundle", run.result["text"])
run = other.command("DownloadBundle", command_id="right again")
equal("which does not stop it", 0, run.result["exit"])
run = other.command("UpdateDeploymentAgent")
holds("what is no event is refused", "not a command that this agent carries out", run.result["text"])
other.all(SEVEN[2:])
host.ran()

# ignoreApplicationStopFailures is the endpoint's decision.
nine = Deployment(host, "d-NINE", bundle(revision("nine", fails="ApplicationStop")))
nine.all()
host.ran()
ten = Deployment(host, "d-TEN", bundle(revision("ten")))
run = ten.command("ApplicationStop")
equal("a failing ApplicationStop fails its command", [1, "Failed"], [run.result["exit"], run.result["status"]])
equal("and the application is started again", [
    "ApplicationStop nine d-TEN", "ApplicationStart nine d-NINE rollback", "ValidateService nine d-NINE rollback"], host.ran())
run = ten.all(SEVEN[1:])
equal("an endpoint that ignores it may go on", [0, "ten"], [run.result["exit"], host.files()["srv/app/index.html"]])
host.ran()

# Traffic events come after the deployment is complete.
WITH_TRAFFIC = ["BeforeBlockTraffic", "BlockTraffic", "AfterBlockTraffic"] + SEVEN + ["BeforeAllowTraffic", "AllowTraffic",
                                                                                     "AfterAllowTraffic"]
COMMANDS = [e for e in WITH_TRAFFIC if e not in ("BlockTraffic", "AllowTraffic")]
balanced = Deployment(host, "d-LB", bundle(revision("lb", events=COMMANDS)), AllPossibleLifecycleEvents=WITH_TRAFFIC)
run = balanced.all(COMMANDS)
equal("traffic events are walked too", 0, run.result["exit"])
equal("in their order", "AfterAllowTraffic lb d-LB", host.ran()[-1])
equal("the deployment is the last successful one", "d-LB", host.state()["last_successful"])
failing = Deployment(host, "d-LB2", bundle(revision("lb2", events=COMMANDS, fails="AfterAllowTraffic")),
                     AllPossibleLifecycleEvents=WITH_TRAFFIC)
run = failing.all(COMMANDS)
equal("a traffic event that fails after completion", [1, "d-LB"], [run.result["exit"], run.result.get("rolled_back")], run.result)
equal("reinstalls the kept revision", "lb", host.files()["srv/app/index.html"])
equal("and runs it", ["ApplicationStop lb2 d-LB2 rollback", "AfterInstall lb d-LB rollback", "ApplicationStart lb d-LB rollback",
                      "ValidateService lb d-LB rollback"], host.ran()[-4:])
equal("which is the last successful one again", ["d-LB", "d-LB"], [host.state()["installed"], host.state()["last_successful"]])

lines = host.history()
last = {line["deployment_id"]: line for line in lines}
equal("history has every deployment that ended", "failed", last["d-LB2"]["result"])
equal("with its failure", ["AfterAllowTraffic", 3], [last["d-LB2"]["failure"]["event"], last["d-LB2"]["failure"]["exit_code"]])
equal("and what was rolled back", "d-LB", last["d-LB2"]["rolled_back"])
done_testing()
