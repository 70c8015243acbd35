#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the daemon or of a worker at each step of each command of a deployment, with the service up, down or gone while
they start again: each command has one result, the same bytes however often it is sent, and the next deployment works.

A few points in make check, all of them with SLIPWAY_EXHAUST=1."""
import os
import sys

sys.path.insert(0, os.environ["top_srcdir"] + "/tests/aws")
from agent import *

OPERATIONS = ["PollHostCommand", "GetDeploymentSpecification", "PutHostCommandAcknowledgement", "PutHostCommandComplete"]
HOOKS = [e for e in SEVEN if e not in ("DownloadBundle", "Install")]
# Stays while there is a file of that name.
GATE = 'if [ -e "$LOG.$LIFECYCLE_EVENT" ]; then echo $$ >"$LOG.pid"; fi\nwhile [ -e "$LOG.$LIFECYCLE_EVENT" ]; do sleep 0.02; done\n'


class Scenario:
    number = 0

    def __init__(self, victim, event, step, service):
        Scenario.number += 1
        self.victim, self.event, self.step, self.service = victim, event, step, service
        self.name = "%s killed at %s of %s, service %s" % (victim, step, event, service)
        self.id = "d-%05d" % Scenario.number
        self.gate = agent.log + "." + event

    # where it happens

    def prepare(self):
        """The deployment stops at the step."""
        fake.config(hold=True)
        fake.deploy(self.id, revision(self.id, extra={e: GATE for e in HOOKS}))
        if self.event != SEVEN[0]:
            fake.config(hold=False, stop_before=self.event)
            ok(self.name + ": the events before it run", within(lambda: fake.is_ended(self.id, SEVEN[:SEVEN.index(self.event)])),
               fake.statuses(self.id), agent.said())
        orders = {"poll": ("PollHostCommand", "lose"), "specification": ("GetDeploymentSpecification", "hold 60"),
                  "acknowledging": ("PutHostCommandAcknowledgement", "hold 60"),
                  "acknowledged": ("PutHostCommandAcknowledgement", "stall 0"), "fetch": ("GetObject", "stall 100"),
                  "waiting": ("PutHostCommandAcknowledgement", "hold 0.5"),
                  "reporting": ("PutHostCommandComplete", "hold 60"), "reported": ("PutHostCommandComplete", "stall 0")}
        if self.step == "running":
            open(self.gate, "w").close()
        elif self.step != "installing":
            fake.order(*orders[self.step])
        self.seen = len(fake.log())
        fake.config(hold=False, stop_before=None)

    def is_there(self):
        command = fake.command(self.id, self.event)
        operations = [line["operation"] for line in fake.log()[self.seen:] if line.get("body", "") != ""]
        gets = fake.log("GetObject")
        return {
            "poll": lambda: command,
            "specification": lambda: "GetDeploymentSpecification" in operations,
            "acknowledging": lambda: "PutHostCommandAcknowledgement" in operations,
            "waiting": lambda: "PutHostCommandAcknowledgement" in operations,
            "acknowledged": lambda: command and command["acked"],
            "installing": lambda: command and command["acked"],
            "fetch": lambda: any(self.id in line["path"] for line in gets),
            "running": lambda: os.path.exists(agent.log + ".pid"),
            "reporting": lambda: "PutHostCommandComplete" in operations,
            "reported": lambda: command and command["status"],
        }[self.step]()

    # what is done there

    def strike(self):
        if self.service == "gone":
            fake.kill()
        elif self.service == "down":
            for operation in OPERATIONS:
                fake.always(operation, "close")
        if self.victim != "worker":
            agent.kill()
        if self.victim != "daemon":
            self.workers = agent.kill_workers()
        for name in (self.gate, agent.log + ".pid"):
            if os.path.exists(name):
                os.unlink(name)

    def start_again(self):
        seen, said = len(fake.log()), len(agent.said())
        if self.victim != "worker":
            agent.start()
        if self.service == "down":
            within(lambda: len(fake.log()) > seen + 1)
            for operation in OPERATIONS:
                fake.always(operation)
        elif self.service == "gone":
            within(lambda: len(agent.said()) > said + 200, 3)
            fake.start()

    def expected(self):
        """What dies in the middle of a script has failed; everything else is done in the end."""
        if self.victim == "daemon" or self.step in ("waiting", "fetch", "reporting", "reported"):
            return ALL_WELL
        return ALL_WELL[:SEVEN.index(self.event)] + [(self.event, "Failed")]

    def run(self):
        agent.ran()
        self.prepare()
        ok(self.name + ": it gets there", within(self.is_there, 30), fake.statuses(self.id), agent.said())
        self.strike()
        self.start_again()
        if self.step == "installing" and self.victim != "daemon":
            within(lambda: fake.is_ended(self.id))  # done or undone, as far as it had come
            self.check(fake.statuses(self.id), fake.statuses(self.id))
        else:
            self.check(self.expected(), fake.ended(self.id))
        self.again()

    def check(self, expected, seen):
        equal(self.name + ": each command has its result", expected, seen, agent.said())
        if seen and seen[-1][1] == "Failed":
            holds(self.name + ": which says so", "Failed: ", fake.payload(self.id, self.event)[1]["message"])
            equal(self.name + ": code 7", 7, fake.payload(self.id, self.event)[1]["error_code"])
            events = SEVEN[:SEVEN.index(self.event) + 1]
        else:
            events = SEVEN
            equal(self.name + ": the revision is there", self.id, agent.files().get("srv/app/index.html"))
        ran = [line.split()[0] for line in agent.ran() if not line.endswith("rollback")]
        equal(self.name + ": each script ran once", [e for e in events if e in HOOKS], ran)

    def again(self):
        """The service asks once more: the same bytes. Asked while the first answer is on its way, the agent sends it once."""
        def answered():
            before = fake.command(self.id, self.event)["results"]
            fake.order("PollHostCommand", "redeliver %s %s" % (self.event, self.id))
            return within(lambda: fake.command(self.id, self.event)["results"] > before, 3)
        ok(self.name + ": a command that is handed out again is answered again", answered() or answered() or answered(),
           agent.said())
        equal(self.name + ": with the same bytes, and nothing else is wrong", [], fake.complaints())
        within(lambda: not os.listdir(agent.path("var/lib/slipway/agent/inflight")), 10)
        equal(self.name + ": nothing is left in work", [], os.listdir(agent.path("var/lib/slipway/agent/inflight")))


SAMPLE = [
    ("daemon", "ValidateService", "reporting", "gone"), ("daemon", "AfterInstall", "running", "down"),
    ("both", "ApplicationStop", "fetch", "gone"), ("worker", "ApplicationStart", "running", "up"),
]


def every():
    for service in ("up", "down", "gone"):
        for event in SEVEN:
            steps = ["poll", "specification", "acknowledging", "acknowledged", "reporting", "reported"]
            for victim in ("daemon", "worker", "both"):
                here = list(steps) if victim == "daemon" else ["waiting"] if victim == "worker" else []
                here += ["running"] if event in HOOKS else ["installing"] if event == "Install" else []
                here += ["fetch"] if event == SEVEN[0] else []
                for step in here:
                    yield victim, event, step, service


fake = Fake(lease=1)
agent = Agent(fake)
agent.start()
fake.deploy("d-00000", revision("d-00000", extra={e: GATE for e in HOOKS}))
equal("a deployment succeeds", ALL_WELL, fake.ended("d-00000"), agent.said())
points = list(every()) if EXHAUST else SAMPLE
for point in points:
    Scenario(*point).run()
agent.stop()
finish("kills against AWS", len(points), "kill points")
