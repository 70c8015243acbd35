#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A host in AWS, against the fake: what it answers to each kind of command, and what it does when no command comes."""
import os
import sys

sys.path.insert(0, os.environ["top_srcdir"] + "/tests/aws")
from agent import *

fake = Fake()
agent = Agent(fake, orphan_timeout="1s", wait_between_runs="1")
agent.start()


def state():
    found = glob.glob(agent.path("var/lib/slipway/host/groups/*/state.json"))
    with open(found[0]) as f:
        return json.load(f)


def reports():
    return len(fake.log("PutHostCommandComplete"))


# A service that closes a command as soon as it hears that there is nothing to run.
fake.config(noop="Succeeded")
fake.deploy("d-000001", revision("one", events=["ApplicationStop", "BeforeInstall", "AfterInstall"],
                                 extra={"AfterInstall": 'echo "etag $BUNDLE_ETAG" >>"$LOG"\n'}))
equal("a deployment succeeds", ALL_WELL, fake.ended("d-000001"), agent.said())
equal("what has nothing to run is said to be so", ["ApplicationStop", "ApplicationStart", "ValidateService"],
      [c["name"] for c in fake.commands("d-000001") if c["noop"]])
ok("the host counts it as complete, though its last event was not asked of it",
   within(lambda: "open" not in state() and state().get("last_successful") == "d-000001"), state())
equal("only the others are reported", 4, reports())
etag = [line for line in agent.ran() if line.startswith("etag ")]
ok("scripts are told the ETag of the download", len(etag) == 1 and len(etag[0]) > 30, etag)
fake.config(noop="Failed")
fake.deploy("d-000002", revision("two", events=["AfterInstall"]))
equal("a service that counts them as failed is put right", ALL_WELL, fake.ended("d-000002"), agent.said())
equal("by the words that it knows", ("Succeeded", "Succeeded: CompletedNoopCommand"),
      (lambda status, said: (status, said["message"]))(*fake.payload("d-000002", "ValidateService")))
ok("that one is complete as well", within(lambda: state().get("last_successful") == "d-000002"), state())
fake.config(noop=None)

# A deployment that only restarts.
fetched = len(fake.log("GetObject"))
agent.ran()
fake.deploy("d-000003", b"", spec={"ReuseArchiveFromDeploymentId": "d-000001"})
equal("a restart succeeds", ALL_WELL, fake.ended("d-000003"), agent.said())
equal("without a download", fetched, len(fake.log("GetObject")))
equal("which it says", "Succeeded: BundleSource=archive-reuse", fake.payload("d-000003", "DownloadBundle")[1]["message"])
equal("its scripts are told the ETag of the first download", etag, [line for line in agent.ran() if line.startswith("etag ")])
fake.deploy("d-000004", revision("four"), spec={"ReuseArchiveFromDeploymentId": "d-NOTHERE"})
equal("of a revision that is not there it downloads", ALL_WELL, fake.ended("d-000004"), agent.said())
equal("which it says, too", "Succeeded: BundleSource=downloaded", fake.payload("d-000004", "DownloadBundle")[1]["message"])

# Commands that it does not carry out.
for number, (name, words) in enumerate((("UpdateDeploymentAgent", "package manager"), ("BlockTraffic", "not a command"),
                                        ("ReticulateSplines", "not a command"))):
    one = "d-00001%d" % number
    fake.deploy(one, b"", commands=[name])
    equal(name + " fails", [(name, "Failed")], fake.ended(one, [name]), agent.said())
    holds(name + ": with the reason", words, fake.payload(one, name)[1]["message"])
equal("an update is no no-op", False, fake.commands("d-000010")[0]["noop"])
for number, (how, words) in enumerate((("altered", "altered after"), ("detached", "no content"), ("unsigned", "not a signed document"),
                                       ("text", "not signed"))):
    one = "d-00002%d" % number
    fake.deploy(one, b"", signed=how)
    equal(how + ": fails", [("ApplicationStop", "Failed")], fake.ended(one), agent.said())
    holds(how + ": with the reason", words, fake.payload(one, "ApplicationStop")[1]["message"])
fake.deploy("d-000030", b"")
fake.order("GetDeploymentSpecification", "fault 400 ClientException it is gone")
equal("a specification that is refused fails", [("ApplicationStop", "Failed")], fake.ended("d-000030"))
agent.ran()

# Blue and green: the old hosts see traffic only; on the way back the installed revision's scripts run.
GREEN = {"DeploymentType": "BLUE_GREEN"}
BACK = {**GREEN, "DeploymentCreator": "codeDeployRollback"}
TRAFFIC = ["BeforeBlockTraffic", "AfterBlockTraffic", "BeforeAllowTraffic", "AfterAllowTraffic"]
fake.deploy("d-000040", revision("green", events=SEVEN + TRAFFIC), spec=GREEN, commands=SEVEN + TRAFFIC[2:])
ended = fake.ended("d-000040", SEVEN + TRAFFIC[2:])
equal("a new host takes traffic", [(e, "Succeeded") for e in SEVEN + TRAFFIC[2:]], ended, agent.said())
agent.ran()
fake.config(poll=0.3)  # from the next poll on
for one, spec, events in (("d-000041", GREEN, TRAFFIC[:2]), ("d-000042", BACK, TRAFFIC[2:]), ("d-000043", BACK, TRAFFIC[:2])):
    fake.deploy(one, b"", spec=spec, commands=events)
    equal(one + ": two events", [(e, "Succeeded") for e in events], fake.ended(one, events), agent.said())
    equal(one + ": of what is installed, and nothing else runs", ["%s green %s" % (e, one) for e in events], agent.ran())
equal("what was installed is", "d-000040", state()["installed"])

# The service waits for somebody else in the middle of a deployment: as long as it answers, nobody goes back.
fake.config(stop_before="BeforeInstall")
fake.deploy("d-000050", revision("five"))
within(lambda: ("DownloadBundle", "Succeeded") in fake.statuses("d-000050"))
polls = len(fake.log("PollHostCommand"))
ok("it polls on", within(lambda: len(fake.log("PollHostCommand")) >= polls + 3), agent.said())
equal("and waits for longer than orphan_timeout", "d-000050", state().get("open", {}).get("job", {}).get("specification", {}).get("DeploymentId"),
      agent.said())
agent.ran()
fake.kill()
ok("a service that is silent makes the host act", within(lambda: "open" not in state()), agent.said())
equal("the old revision runs again", ["ApplicationStart green d-000040 rollback", "ValidateService green d-000040 rollback"], agent.ran())
holds("the reason is kept", "silent for longer than", agent.cli("explain").stdout)
holds("status says whose orders count", "AWS service", agent.cli("status").stdout)
agent.stop()
equal("there was nothing to complain about", [], fake.complaints())
done_testing()
