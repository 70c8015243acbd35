#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A host in AWS, against the fake: identities, both stacks, the names of AWS by way of a proxy, credentials that change, and what
is asked of IMDS."""
import os
import sys

sys.path.insert(0, os.environ["top_srcdir"] + "/tests/aws")
from agent import *

WAIT = 'while [ -e "$LOG.wait" ]; do sleep 0.02; done\n'
number = 0


def deployment():
    global number
    number += 1
    return "d-%03d" % number


def succeeds(name, agent, **doc):
    """A deployment of seven events does."""
    one = deployment()
    fake.deploy(one, revision(one), **doc)
    equal(name + ": a deployment succeeds", ALL_WELL, fake.ended(one), agent.said())
    equal(name + ": and the service has nothing to complain about", [], fake.complaints())
    return one


def test_role():
    agent = Agent(fake)
    agent.start()
    one = succeeds("role", agent)
    equal("the scripts have run", [e for e in SEVEN if e not in ("ApplicationStop", "DownloadBundle", "Install")],
          [line.split()[0] for line in agent.ran()])
    equal("the bundle was fetched once", 1, len([g for g in fake.log("GetObject") if one in g["path"]]))
    equal("a script that fails is reported", [("AfterInstall", "Failed")], fails(agent)[-1:])
    rotated(agent)
    agent.stop()


def fails(agent):
    one = deployment()
    fake.deploy(one, revision(one, fails="AfterInstall"))
    seen = fake.ended(one)
    status, payload = fake.payload(one, "AfterInstall")
    equal("with its code", ("Failed", 4, "scripts/AfterInstall.sh"), (status, payload["error_code"], payload["script_name"]))
    equal("and the tree is the old one", "d-%03d" % (number - 1), agent.files()["srv/app/index.html"])
    return seen


def rotated(agent):
    """New credentials while a script runs."""
    one = deployment()
    open(agent.log + ".wait", "w").close()
    fake.deploy(one, revision(one, extra={"AfterInstall": WAIT}))
    ok("a script runs", within(lambda: (fake.command(one, "AfterInstall") or {}).get("acked"), 20), agent.said())
    old, pid = fake.keys()["current"], agent.process.pid
    fake.call("role")
    fake.call("mark", old, "expired")
    os.unlink(agent.log + ".wait")
    equal("rotated credentials stop nothing", ALL_WELL, fake.ended(one), agent.said())
    equal("nor the daemon", (None, pid), (agent.process.poll(), agent.process.pid))
    equal("the result was signed with the new ones", fake.keys()["current"], fake.log("PutHostCommandComplete")[-1]["key"])
    refused = [line for line in fake.log() if line.get("fault") == "ExpiredTokenException"]
    ok("few requests were made with the old ones", len(refused) <= 3, refused)


def test_secure():
    agent = Agent(fake, enable_auth_policy="true", deploy_control_endpoint=fake.url["secure"])
    agent.start()
    succeeds("enable_auth_policy", agent)
    agent.stop()


def test_user():
    arn = "arn:aws:iam::111122223333:user/web-1"
    key, secret = fake.call("user", arn)
    agent = Agent(fake)
    write(agent.path("etc/onpremises.yml"), "---\nregion: us-east-1\niam_user_arn: %s\naws_access_key_id: %s\n"
          "aws_secret_access_key: %s\n" % (arn, key, secret))
    asked = len(fake.log("credentials"))
    agent.start()
    succeeds("on-premises user", agent)
    equal("on-premises user: signed with its key", key, fake.log("PutHostCommandComplete")[-1]["key"])
    equal("on-premises user: IMDS is not asked for credentials", asked, len(fake.log("credentials")))
    agent.stop()


def session(agent, arn):
    key, secret, token = fake.call("session", arn)
    write(agent.path("etc/credentials"), "[default]\naws_access_key_id = %s\naws_secret_access_key = %s\naws_session_token = %s\n"
          % (key, secret, token))
    return key


def test_session():
    arn = "arn:aws:sts::111122223333:assumed-role/deploy/web-1"
    agent = Agent(fake)
    write(agent.path("etc/onpremises.yml"), ":region: us-east-1\n:iam_session_arn: %s\n:aws_credentials_file: %s\n"
          % (arn, agent.path("etc/credentials")))
    old = session(agent, arn)
    agent.start()
    succeeds("session file", agent)
    new = session(agent, arn)
    fake.call("mark", old, "expired")
    succeeds("session file that is written anew", agent)
    equal("session file that is written anew: it is read", new, fake.log("PutHostCommandComplete")[-1]["key"])
    agent.stop()


def test_names():
    """Without any URL of ours: the names of AWS, which the proxy leads to the fake."""
    fake.config(proxy_user="user", proxy_password="pass word")
    agent = Agent(fake, deploy_control_endpoint=None, s3_endpoint_override=None, s3_path_style=None, github_api_url=None,
                  proxy_uri=fake.url["proxy"].replace("//", "//user:pass%20word@"))
    agent.start()
    succeeds("names of AWS", agent)
    asked = {line["path"] for line in fake.log("CONNECT")}
    equal("names of AWS: they are these", {"codedeploy-commands.us-east-1.amazonaws.com:443",
                                           "bucket.s3.us-east-1.amazonaws.com:443"}, asked)
    agent.stop()
    fake.config(proxy_user=None, proxy_password=None)


def test_imds():
    """disable_imds_v1: nothing is ever asked without a token, whatever IMDS does."""
    fake.config(imds_v2=False)
    agent = Agent(fake, disable_imds_v1="true")
    seen = len(fake.log())
    agent.start()
    ok("a token is asked for, in vain", within(lambda: any(x["operation"] == "token" for x in fake.log()[seen:]), 20), agent.said())
    within(lambda: "token" in agent.said(), 10)
    fake.config(imds_v2=True, imds_v1=False)
    succeeds("disable_imds_v1", agent)
    asked = [x for x in fake.log()[seen:] if x["server"] == "imds" and x["operation"] != "token"]
    ok("disable_imds_v1: IMDS was asked", asked)
    equal("disable_imds_v1: never without a token", [], [x for x in asked if x["token"] != "good"])
    agent.stop()


def test_imds_v1():
    fake.config(imds_v2=False, imds_v1=True)
    agent = Agent(fake)
    seen = len(fake.log())
    agent.start()
    succeeds("an IMDS of version 1", agent)
    ok("an IMDS of version 1: it was asked without a token", [x for x in fake.log()[seen:] if x.get("token") == "none"])
    agent.stop()
    fake.config(imds_v2=True)


fake = Fake()
tests = [test_role, test_names, test_imds]
if EXHAUST:  # make check has them in identity.sh, without deployments
    tests += [test_secure, test_user, test_session, test_imds_v1]
for test in tests:
    test()
finish("AWS identities", len(tests), "scenarios")
