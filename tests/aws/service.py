#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What AWS does to a host: commands that come again, throttling, nonsense, a clock that differs, specifications that are not right.
Each command is run once and has one result. The full size (minutes of throttling) with SLIPWAY_EXHAUST=1."""
import os
import sys

sys.path.insert(0, os.environ["top_srcdir"] + "/tests/aws")
from agent import *

OPERATIONS = ["PollHostCommand", "GetDeploymentSpecification", "PutHostCommandAcknowledgement", "PutHostCommandComplete"]
WAIT = 'while [ -e "$LOG.wait" ]; do sleep 0.02; done\n'
number = 0


def deploy(**doc):
    global number
    number += 1
    one = "d-%03d" % number
    fake.deploy(one, revision(one, extra={"AfterInstall": WAIT}), **doc)
    return one


def succeeds(name, one, seconds=60):
    equal(name + ": the deployment succeeds", ALL_WELL, fake.ended(one, seconds=seconds), agent.said())
    equal(name + ": the service has nothing to complain about", [], fake.complaints())
    ran = [line.split()[0] for line in agent.ran()]
    equal(name + ": each script ran once", sorted(set(ran)), sorted(ran))


def redelivered():
    open(agent.log + ".wait", "w").close()
    one = deploy()
    ok("a script runs", within(lambda: (fake.command(one, "AfterInstall") or {}).get("acked"), 20), agent.said())
    for _ in range(3 if EXHAUST else 1):
        polls = len(fake.log("PollHostCommand"))
        fake.order("PollHostCommand", "redeliver AfterInstall " + one)
        ok("a command that is in work comes again, and the agent asks for the next",
           within(lambda: len(fake.log("PollHostCommand")) > polls, 20), agent.said())
    os.unlink(agent.log + ".wait")
    succeeds("a command that came again", one)
    body = fake.command(one, "Install")["body"]
    fake.order("PollHostCommand", "redeliver Install " + one)
    ok("a finished one is answered again", within(lambda: fake.command(one, "Install")["results"] > 1, 20), agent.said())
    equal("with the same bytes", [body], sorted({b for b in lines(fake.base + "/bodies.PutHostCommandComplete")
                                                 if json.loads(b)["HostCommandIdentifier"] == fake.command(one, "Install")["id"]}))


def nonsense():
    for operation, order in (("PollHostCommand", "nonsense"), ("GetDeploymentSpecification", "cut 200"), ("GetObject", "cut 100"),
                             ("PutHostCommandComplete", "text 502 <html>"), ("PutHostCommandAcknowledgement", "json 200 [1]"),
                             ("GetDeploymentSpecification", "nonsense"), ("PutHostCommandComplete", "close")):
        fake.order(operation, order)
    succeeds("answers that make no sense", deploy())


def lost():
    """Done, but the answer does not come."""
    for operation in OPERATIONS[1:]:
        fake.order(operation, "lose")
    succeeds("answers that are lost", deploy())


def specifications():
    for how, why in {"altered": "altered after", "unsigned": "signed", "detached": "no content", "text": "not signed"}.items():
        if how in ("unsigned", "detached") and not EXHAUST:
            continue
        one = deploy(signed=how)
        equal("a specification that is %s: refused" % how, [("ApplicationStop", "Failed")], fake.ended(one), agent.said())
        status, payload = fake.payload(one, "ApplicationStop")
        ok("a specification that is %s: with the reason" % how, payload["error_code"] == 5 and why in payload["message"], payload)
    succeeds("after them", deploy())


def skewed():
    """20 minutes, either way: put right from the answers' Date."""
    for clock in (1200, -1200):
        fake.config(clock=clock)
        one = deploy()
        succeeds("a clock %d s off" % clock, one)
    refused = [line for line in fake.log() if line.get("fault") == "InvalidSignatureException"]
    ok("few requests are refused for that", 1 <= len(refused) <= 6, len(refused))
    fake.config(clock=0)


def slowed():
    """An answer of each operation is "slower"."""
    for operation in OPERATIONS:
        fake.order(operation, "throttle")
    begin = time.monotonic()
    succeeds("each operation is throttled once", deploy())
    ok("which is waited for", time.monotonic() - begin > 1)


def throttled(seconds, most):
    """Everything is throttled for so long: few requests, nothing is lost."""
    kinds = ["throttle", "throttle-429", "throttle-text", 'json 400 {"__type":"com.amazon#TooManyRequestsException"}']
    for operation, order in zip(OPERATIONS, kinds):
        fake.order(operation, "times 2 " + order)
    succeeds("each operation is throttled", deploy())
    for operation, order in zip(OPERATIONS, kinds):
        fake.always(operation, order)
    begin = len(fake.log())
    one = deploy()
    end = time.monotonic() + seconds
    within(lambda: time.monotonic() > end, seconds + 1)
    came = len(fake.log()) - begin
    ok("%d s of throttling: at most %d requests" % (seconds, most), 1 <= came <= most, came)
    for operation in OPERATIONS:
        fake.always(operation)
    succeeds("throttling", one, 120)


def all_at_once():
    """Of each something, for make check."""
    fake.config(clock=1200)
    for operation, order in (("PollHostCommand", "nonsense"), ("GetDeploymentSpecification", "cut 200"), ("GetObject", "cut 100"),
                             ("PutHostCommandAcknowledgement", "lose"), ("PutHostCommandComplete", "lose"),
                             ("PutHostCommandComplete", "throttle")):
        fake.order(operation, order)
    succeeds("a bad day", deploy())
    equal("a bad day: every order was obeyed", [], [n for o in OPERATIONS for n in os.listdir(fake.base + "/queue/" + o)])
    fake.config(clock=0)


fake = Fake(lease=2)
agent = Agent(fake)
agent.start()
parts = [redelivered, specifications, nonsense, lost, skewed, slowed] if EXHAUST else [redelivered, specifications, all_at_once]
for part in parts:
    if not sys.argv[1:] or part.__name__ in sys.argv[1:]:
        part()
if EXHAUST:
    throttled(60, 10)
agent.stop()
finish("AWS misbehaves", len(parts) + EXHAUST, "scenarios")
