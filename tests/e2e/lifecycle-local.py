#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a person on a host has a worker do: deploy, plan, redeploy, rollback, remove."""
from worker import *

GROUP = "default-local-deployment-group"
host = Host("max_revisions: 3\n")
root = host.path("var/lib/slipway/deployment-root/" + GROUP)


def kept():
    return sorted(name for name in os.listdir(root) if not name.startswith("."))


run = host.deploy(revision("one"))
equal("a first deployment succeeds", (0, "one"), (run.result["exit"], host.files()["srv/app/index.html"]), run.result)
one = run.result["deployment"]
ok("its id is a local one", one.startswith("d-") and one.endswith("-local"), one)
equal("all events are walked", [e + " one " + one for e in SEVEN[2:3] + SEVEN[4:]], host.ran())
equal("the summary counts", [2, 0], [run.result["summary"]["create"], run.result["summary"]["delete"]])

with open(os.path.join(root, one, "logs/scripts.log")) as f:
    holds("scripts.log has the official form", "LifecycleEvent - AfterInstall", f.read())

# plan touches nothing.
before = (host.files(), host.state(GROUP), kept())
with tempfile.TemporaryFile() as f:
    f.write(bundle(revision("two")))
    f.flush()
    run = host.local({"verb": "plan", "source": {"type": "tgz", "name": "two.tgz"}}, f.fileno())
equal("a plan lists operations", {"create": ["only-two"], "delete": ["only-one"], "replace": ["index.html"]},
      {op: [os.path.basename(e["path"]) for e in run.of("operation") if e["op"] == op]
       for op in ("create", "delete", "replace")})
equal("and touches nothing", before, (host.files(), host.state(GROUP), kept()))
equal("not even scratch files stay", [], os.listdir(host.path("var/lib/slipway/host/tmp")))

two = host.deploy(revision("two")).result["deployment"]
equal("a second one replaces it", {"srv/app/index.html": "two", "srv/app/only-two": "x"}, host.files())
host.ran()

# Refusals touch nothing.
os.makedirs(os.path.join(host.tree, "srv/app"), exist_ok=True)
with open(os.path.join(host.tree, "srv/app/only-three"), "w") as f:
    f.write("somebody's")
run = host.deploy(revision("three"))
equal("a conflict is refused by the plan", [3, "refused_by_plan"], [run.result["exit"], run.result["code"]])
equal("before any script", [], host.ran())
equal("with the path", True, any(p["where"].endswith("only-three") or "only-three" in p["text"] for p in run.of("problem")),
      run.events)
equal("the tree is as it was", {"srv/app/index.html": "two", "srv/app/only-two": "x", "srv/app/only-three": "somebody's"},
      host.files())
equal("nothing of it is kept", sorted([one, two]), kept())
equal("history knows", ["failed", "refused_by_plan"], [host.history()[-1]["result"], host.history()[-1]["failure"]["error"]])
run = host.deploy(revision("three"), file_exists_behavior="sometimes")
equal("a behaviour that nobody knows is bad input", 2, run.result["exit"], run.result)
run = host.deploy(revision("three"), file_exists_behavior="OVERWRITE")
equal("OVERWRITE takes the file", (0, "x"), (run.result["exit"], host.files()["srv/app/only-three"]), run.result)
three = run.result["deployment"]
host.ran()
tree = revision("bad")
tree["appspec.yml"] = ("version: 1.0\nos: windows\n", 0o644)
run = host.deploy(tree)
equal("a wrong AppSpec is bad input", 2, run.result["exit"])
equal("all its problems are told", 2, len([p for p in run.of("problem") if p["level"] == "error"]), run.events)
run = host.deploy({"readme": ("x", 0o644)})
equal("a bundle without AppSpec is bad input", 2, run.result["exit"], run.result)
for name, members in (("an event of the endpoint", {"events": ["AllowTraffic"]}), ("an event twice", {"events": ["A", "A"]}),
                      ("a group that climbs", {"group": "../x"}), ("a group without a name", {"group": ""})):
    run = host.deploy(revision("x"), **members)
    equal(name + " is bad input", 2, run.result["exit"], run.result)
run = host.local({"verb": "deploy", "source": {"type": "tgz", "name": "x"}})
equal("a source without its descriptor is bad input", 2, run.result["exit"])
equal("nothing ran for any of them", [], host.ran())

# Back, and once more.
run = host.local({"verb": "rollback", "group": GROUP})
equal("rollback installs the successful one before", (0, "two"), (run.result["exit"], host.files()["srv/app/index.html"]),
      run.result)
back = run.result["deployment"]
equal("with its scripts, under a new id", "ValidateService two " + back, host.ran()[-1])
ok("without a copy of the archive", os.path.islink(os.path.join(root, back, "deployment-archive")))
run = host.local({"verb": "redeploy", "group": GROUP})
equal("redeploy runs the installed one again", (0, "two"), (run.result["exit"], host.files()["srv/app/index.html"]), run.result)
equal("nothing is written for it", [0, 0, 0], [run.result["summary"][op] for op in ("create", "replace", "delete")])
again = run.result["deployment"]
host.ran()
for number in range(4):
    run = host.deploy(revision("n%d" % number))
equal("at most max_revisions deployments are kept", True, len(kept()) <= 3, kept())
equal("what is installed among them", True, run.result["deployment"] in kept())
for number in range(4):
    host.deploy(revision("bad%d" % number, fails="ValidateService"))
run = host.local({"verb": "rollback", "group": GROUP})
equal("failed deployments do not push out what rollback goes back to", (0, "n2"),
      (run.result["exit"], host.files()["srv/app/index.html"]), run.result)
host.local({"verb": "redeploy", "group": GROUP})
run = host.local({"verb": "rollback", "group": GROUP})
equal("what was deployed once more is not what it goes back to", (0, "n3"),
      (run.result["exit"], host.files()["srv/app/index.html"]), run.result)
run = host.local({"verb": "rollback", "group": GROUP, "to": one})
equal("what is not kept cannot come back", [2, "not_found"], [run.result["exit"], run.result["code"]])
run = host.local({"verb": "redeploy", "group": "no-such-group"})
equal("a group that never was is bad input", [2, "not_found"], [run.result["exit"], run.result["code"]])
ok("and is not made", not os.path.exists(host.path("var/lib/slipway/host/groups/no-such-group")))
host.ran()

# Failures.
installed = host.state(GROUP)["installed"]
run = host.deploy(revision("bad", fails="AfterInstall"))
equal("a failing script rolls back", (1, installed, "n3"),
      (run.result["exit"], run.result["rolled_back"], host.files()["srv/app/index.html"]))
run = host.deploy(revision("bad", fails="AfterInstall"), rollback=False)
equal("unless it is not wanted", (5, None, "bad"),
      (run.result["exit"], run.result.get("rolled_back"), host.files()["srv/app/index.html"]), run.result)
run = host.deploy(revision("bad", fails="BeforeInstall"), rollback=False)
equal("nor when nothing of it was installed, but its scripts have run", 5, run.result["exit"])
run = host.local({"verb": "rollback", "group": GROUP})
equal("rollback then goes to the last successful one", "n3", host.files()["srv/app/index.html"], run.result)

# Events of a person's choice.
host.ran()
tree = revision("events", events=SEVEN + ["Migrate"])
run = host.deploy(tree, events=["AfterInstall", "Migrate"])
equal("chosen events run after DownloadBundle and Install", ["AfterInstall", "Migrate"], [l.split()[0] for l in host.ran()])
run = host.deploy(tree)
equal("a hook that is no event of the deployment is bad input", 2, run.result["exit"], run.result)

# The environment of a script.
tree = revision("env", extra={"AfterInstall": 'env >"$LOG.env"\n'})
host.deploy(tree, application="shop", group_name="Fleet")
names = dict(line.split("=", 1) for line in open(host.log + ".env").read().splitlines() if "=" in line)
equal("scripts see what is documented",
      ["AfterInstall", "shop", "Fleet", GROUP, host.tree],
      [names.get(n) for n in ("LIFECYCLE_EVENT", "APPLICATION_NAME", "DEPLOYMENT_GROUP_NAME", "DEPLOYMENT_GROUP_ID",
                              "SLIPWAY_DESTINATION_ROOT")])
equal("and nothing of the agent's environment", [], [n for n in names if n.startswith("AWS") or n.startswith("top_")])

run = host.local({"verb": "remove", "group": GROUP})
equal("remove stops the application", "ApplicationStop", host.ran()[-1].split()[0])
equal("takes the files away", (0, {}), (run.result["exit"], host.files()))
equal("and forgets what was installed", [None, None], [host.state(GROUP).get("installed"), host.pointer("last_successful_install", GROUP)])
run = host.local({"verb": "remove", "group": GROUP})
equal("removing nothing is bad input", [2, "not_found"], [run.result["exit"], run.result["code"]])
run = host.deploy(revision("after"))
equal("and the group can be used again", (0, "after"), (run.result["exit"], host.files()["srv/app/index.html"]))

# What is not installed is told.
host = Host()
out = io.BytesIO()
with tarfile.open(fileobj=out, mode="w:gz", format=tarfile.PAX_FORMAT) as tar:
    for path, text in (("appspec.yml", "version: 0.0\nos: linux\nfiles:\n  - source: ping\n    destination: /srv\n"), ("ping", "x")):
        info = tarfile.TarInfo(path)
        info.size = len(text)
        if path == "ping":
            info.pax_headers = {"SCHILY.xattr.security.capability": "\x01\x00\x00\x02\x00 " + 14 * "\x00"}
        tar.addfile(info, io.BytesIO(text.encode()))
with tempfile.TemporaryFile() as f:
    f.write(out.getvalue())
    f.flush()
    run = host.local({"verb": "deploy", "source": {"type": "tgz", "name": "caps.tgz"}}, f.fileno())
equal("file capabilities are left out", 0, run.result["exit"], run.events)
holds("with a warning", "file capabilities are not installed, of 1 in the bundle", run.of("problem")[0]["text"])

# The groups of an endpoint have ids that nobody can remember: people are told the names.
host = Host()
ID = "8a7dcb2e-0fd4-4a5c-9d4e-2f3b1c0a7e55"
Deployment(host, "d-NAMED", bundle(revision("named")), group=ID).all()
run = host.deploy(revision("other"), file_exists_behavior="OVERWRITE")
equal("another group's file is refused", 3, run.result["exit"], run.events)
holds("with the group's names", "it belongs to the deployment group 'App/Group'", run.of("problem")[0]["text"])
run = host.local({"verb": "rollback", "group": ID, "to": "d-NONE"})
holds("what is not kept, too", "deployment 'd-NONE' is not kept in group 'App/Group'", run.result["text"])
run = host.local({"verb": "rollback", "group": ID})
holds("and what is not there", "group 'App/Group' has no earlier successful deployment", run.result["text"])
done_testing()
