#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A host that the official agent has served goes on with Slipway: imported, AWS's next deployment of the group replaces what that
agent has installed, one that fails is undone, and the official agent goes on from there."""
import os
import sys

sys.path.insert(0, os.environ["top_srcdir"] + "/tests/aws")
from agent import *

GROUP = "0f5c1b1e-1111-2222-3333-444455556666"
fake = Fake()
agent = Agent(fake)
root, units = agent.root, agent.path("units")
site = root + "/srv/shop"
agent.environment.update(AWS_SSL_CA_BUNDLE=fake.base + "/ca.pem", FAKE_UNITS=units,
                         SLIPWAY_SYSTEMCTL=os.path.join(os.environ["top_srcdir"], "tests/e2e/systemctl.sh"))


def play(*arguments):
    return subprocess.run([sys.executable, os.path.join(os.environ["top_srcdir"], "tests/e2e/official.py"), root, "2", *arguments])


def shop(number, last="true"):
    script = "#!/bin/sh\necho $LIFECYCLE_EVENT %d >>%s\n" % (number, agent.log)
    files = {"app/number": "%d" % number, "app/only-%d" % number: "", "log.sh": script, "last.sh": "#!/bin/sh\n%s\n" % last,
            "appspec.yml": "version: 0.0\nos: linux\nfiles:\n  - source: app\n    destination: %s\nhooks:\n"
                           "  ApplicationStop:\n    - location: log.sh\n  ApplicationStart:\n    - location: log.sh\n"
                            "  ValidateService:\n    - location: last.sh\n" % site}
    return {path: (text, 0o755) for path, text in files.items()}


def number():
    with open(site + "/number") as f:
        return f.read(), sorted(os.listdir(site))


os.makedirs(units)
os.makedirs(root + "/srv")
for name in ("codedeploy-agent.service.known", "slipwayd.service.known", "codedeploy-agent.service.active"):
    open(os.path.join(units, name), "w").close()
for path, (text, _) in shop(1).items():
    os.makedirs(os.path.dirname(root + "/theirs/" + path), exist_ok=True)
    write(root + "/theirs/" + path, text)
    os.chmod(root + "/theirs/" + path, 0o755)
os.unlink(root + "/etc/slipway/agent.yml")
play("config", "deploy_control_endpoint=" + fake.url["commands"], "s3_endpoint_override=" + fake.url["s3"], "s3_path_style=true",
     "log_dir=" + root + "/log")
play("install", GROUP, "d-AAAAAAAA1", root + "/theirs")
run = agent.cli("import", "codedeploy")
equal("it is imported", 0, run.returncode, run.stdout)
agent.start()

fake.deploy("d-AAAAAAAA2", shop(2), spec={"DeploymentGroupId": GROUP})
equal("AWS's next deployment succeeds", ALL_WELL, fake.ended("d-AAAAAAAA2"), agent.said())
equal("in the place of theirs", ("2", ["number", "only-2"]), number())
equal("whose own script has stopped it", ["ApplicationStop 1", "ApplicationStart 2"], agent.ran())
fake.deploy("d-AAAAAAAA3", shop(3, "exit 1"), spec={"DeploymentGroupId": GROUP})
equal("one that fails", ("ValidateService", "Failed"), fake.ended("d-AAAAAAAA3")[-1])
ok("is undone", within(lambda: number() == ("2", ["number", "only-2"]), 20), number())
agent.stop()

run = agent.cli("import", "codedeploy", "--undo")
equal("it is given back", 0, run.returncode, run.stdout)
equal("the official agent goes on", 0, play("install", GROUP, "d-AAAAAAAA4", root + "/theirs").returncode)
equal("and leaves only its own", ("1", ["number", "only-1"]), number())
equal("the fake has nothing to complain of", [], fake.complaints())
done_testing()
