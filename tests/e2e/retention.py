#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which deployments a host keeps: by number, age and bytes; what a rollback needs; killed while it deletes."""
from worker import *

GROUP = "default-local-deployment-group"
MIB = 1024 * 1024


def root_of(host, group=GROUP):
    return host.path("var/lib/slipway/deployment-root/" + group)


def kept(host, group=GROUP):
    return sorted(name for name in os.listdir(root_of(host, group)))


def set_options(host, text):
    path = host.path("etc/slipway/agent.yml")
    with open(path) as f:
        lines = [line for line in f if not line.startswith("max_")]
    with open(path, "w") as f:
        f.writelines(lines + [text])


def deploy(host, name, **options):
    run = host.deploy(revision(name, **options))
    return run.result["deployment"]


def rollback(host):
    return host.local({"verb": "rollback", "group": GROUP})


# --- by number --------------------------------------------------------------------------------------------------------
host = Host("max_revisions: 0\n")
ids = [deploy(host, name) for name in ("one", "two")]
equal("max_revisions 0: what runs is kept, nothing else", ids[1:], kept(host))
failed = deploy(host, "bad", fails="ValidateService")
equal("a failed deployment is rolled back all the same", "two", host.files()["srv/app/index.html"])
equal("and stays for its output", sorted([ids[1], failed]), kept(host))
equal("there is nothing to go back to", [2, "not_found"], [rollback(host).result[k] for k in ("exit", "code")])
for time_ in ("redeploy works", "once more"):
    equal(time_, 0, host.local({"verb": "redeploy", "group": GROUP}).result["exit"])
    equal("its archive stays with the deployment that has it", sorted([ids[1], host.state(GROUP)["installed"]]), kept(host))
set_options(host, "max_revisions: 1\n")
equal("max_revisions 1: a new revision needs none of them", [deploy(host, "three")], kept(host))
equal("what is removed can go", 0, host.local({"verb": "remove", "group": GROUP}).result["exit"])
equal("and no file of it is installed", {}, host.files())

host = Host("max_revisions: 2\n")
ids = [deploy(host, name) for name in ("one", "two", "three")]
equal("max_revisions 2: there is one to go back to", sorted(ids[1:]), kept(host))
for number in range(2):
    failed = deploy(host, "bad%d" % number, fails="ValidateService")
equal("however many have failed", sorted(ids[1:] + [failed]), kept(host))
equal("rollback goes there", (0, "two"), (rollback(host).result["exit"], host.files()["srv/app/index.html"]))

# What the endpoint has in its hands: events of a load balancer follow a complete deployment, and may fail.
host = Host("max_revisions: 0\n")
events = SEVEN + ["AllowTraffic", "AfterAllowTraffic"]
one = Deployment(host, "d-ONE", bundle(revision("one")), AllPossibleLifecycleEvents=events).all(events)
tree = revision("two", events=SEVEN + ["AfterAllowTraffic"], fails="AfterAllowTraffic")
two = Deployment(host, "d-TWO", bundle(tree), AllPossibleLifecycleEvents=events)
two.all(SEVEN)
equal("a complete deployment keeps what it may go back to", ["d-ONE", "d-TWO"], kept(host, "group-1"))
two.command("AllowTraffic")
host.recover()
equal("through a restart, too", ["d-ONE", "d-TWO"], kept(host, "group-1"))
two.command("AfterAllowTraffic")
equal("a later event brings it back", "one", host.files()["srv/app/index.html"])

# --- by age -----------------------------------------------------------------------------------------------------------
host = Host("max_revision_age: 30d\n")
ids = [deploy(host, name) for name in ("one", "two", "three", "four")]
for number, days in enumerate((40, 29, 50, 60)):
    made = time.time() - days * 86400
    os.utime(os.path.join(root_of(host), ids[number]), (made, made))
equal("recovery takes away what is too old", (0, sorted(ids[1:])), (host.recover().result["exit"], kept(host)))
equal("but not what a rollback goes back to", (0, "three"), (rollback(host).result["exit"], host.files()["srv/app/index.html"]))
equal("the state knows what is kept", sorted(kept(host)), sorted(r["deployment_id"] for r in host.state(GROUP)["revisions"]))

# --- by bytes ---------------------------------------------------------------------------------------------------------
host = Host("max_revisions: 50\n")
large = {"index.html": "i", "large": "x" * (2 * MIB)}
ids = [deploy(host, name, files=large) for name in ("one", "two", "three", "four")]
equal("without a ceiling all are kept", sorted(ids), kept(host))
set_options(host, "max_revisions: 50\nmax_revision_bytes: 5M\n")
host.recover()
equal("with one the oldest go until it is met", sorted(ids[2:]), kept(host))
set_options(host, "max_revisions: 50\nmax_revision_bytes: 1M\n")
ids.append(deploy(host, "five", files=large))
equal("what is needed stays, however large", sorted(ids[3:]), kept(host))

# --- killed while it deletes ------------------------------------------------------------------------------------------
host = Host("max_revisions: 1\n")
many = {"index.html": "i", **{"d%d/f%d" % (i % 50, i): "" for i in range(4000)}}
doomed = deploy(host, "many", files=many)


def deleting():
    return ".old-" + doomed in os.listdir(root_of(host))


with tempfile.TemporaryFile() as f:
    f.write(bundle(revision("two")))
    f.flush()
    run = host.start({"verb": "deploy", "source": {"type": "tgz", "name": "two.tgz"}}, f.fileno())
    end = time.monotonic() + DEADLINE_S
    while not deleting() and time.monotonic() < end:
        pass
    run.kill()
ok("killed while it deletes: half of the old one is left", deleting(), kept(host))
revisions = [r["deployment_id"] for r in host.state(GROUP)["revisions"]]
ok("which the state has forgotten", doomed not in revisions, revisions)
equal("the new one is whole", {"srv/app/index.html": "two", "srv/app/only-two": "x"}, host.files())
host.recover()
equal("recovery deletes the rest", [host.state(GROUP)["installed"]], kept(host))
os.makedirs(os.path.join(root_of(host), ".old-d-GONE/deployment-archive"))
equal("so does the next deployment", [deploy(host, "three")], kept(host))
done_testing()
