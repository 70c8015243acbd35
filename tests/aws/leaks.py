#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No secret is in anything that the agent writes, says, sends as a result or hands to a script."""
import base64
import os
import sys
import urllib.parse

sys.path.insert(0, os.environ["top_srcdir"] + "/tests/aws")
from agent import *

# What a script has of us.
SPY = """env
tr '\\0' '\\n' <"/proc/self/environ"
tr '\\0' ' ' <"/proc/$PPID/cmdline"
"""
MARK = "sk1mARKED"
# Where the id of an access key (not its secret) helps a person.
SHOWN = {"daemon.err", "slipway status", "slipway status --json", "slipway doctor"}
secrets = {}


def mark(name, value):
    """From now on nobody may find it."""
    secrets[name] = value
    return value


def mark_keys():
    for ident, key in fake.keys()["keys"].items():
        mark("access key %d" % len(secrets), ident)
        mark("secret key of " + ident, key["secret"])
        if key["token"]:
            mark("session token of " + ident, key["token"])


def forms(value):
    """How it may be written."""
    raw = value.encode()
    return {raw, urllib.parse.quote(value, safe="").encode(), base64.b64encode(raw), raw.hex().encode(),
            json.dumps(value)[1:-1].replace("/", "\\/").encode()}


def everything():
    """{name: bytes} of all that the agent wrote or said; what it was given to read is left out."""
    found = {}
    for folder, _, names in os.walk(agent.root):
        for name in names:
            path = os.path.join(folder, name)
            if path.startswith(agent.path("etc/")) or not os.path.isfile(path):
                continue
            with open(path, "rb") as f:
                found[os.path.relpath(path, agent.root)] = f.read()
            found["the name of " + path] = path.encode()
    for operation in ("PutHostCommandAcknowledgement", "PutHostCommandComplete", "PollHostCommand", "GetDeploymentSpecification"):
        found["what was sent as " + operation] = "\n".join(lines("%s/bodies.%s" % (fake.base, operation))).encode()
    return found


def search(what, found=None):
    found = found or everything()
    held = [(name, where) for name, value in secrets.items() for form in forms(value) for where, text in found.items()
            if form in text and not (name.startswith("access key") and where in SHOWN)]
    ok("%s: none of %d secrets is in any of %d places" % (what, len(secrets), len(found)), not held, held)


def deploy(name, tree, **doc):
    """A deployment to its end, whatever that is."""
    fake.deploy(name, tree, **doc)
    seen = fake.ended(name)
    ok(name + " ends", fake.is_ended(name), agent.said())
    return seen


def spying(name, **more):
    extra = {e: SPY for e in SEVEN}
    extra.update(more)
    return revision(name, extra=extra)


def say_everything():
    out = {}
    for words in (["status"], ["status", "--json"], ["history", "--json"], ["explain"], ["logs"], ["whoami"], ["doctor"],
                  ["verify"]):
        out["slipway " + " ".join(words)] = agent.cli(*words).stdout.encode()
    return out


fake = Fake(proxy_user="somebody", proxy_password=mark("proxy password", MARK + "PROXY"),
            github_token=mark("GitHub token", "ghp_" + MARK + "GITHUB"), github_private=["me/app"])
proxy = fake.url["proxy"].replace("http://", "http://somebody:%s@" % secrets["proxy password"])
given = {"AWS_SECRET_ACCESS_KEY": mark("a key in the daemon's environment", MARK + "ENVIRONMENT"),
         "AWS_SESSION_TOKEN": mark("a token in the daemon's environment", MARK + "TOKEN")}
agent = Agent(fake, environment=given, proxy_uri=proxy)
agent.start()
mark_keys()
os.makedirs(fake.base + "/github/me/app")
write(fake.base + "/github/me/app/main.tar.gz", bundle({"me-app-1/" + k: v for k, v in spying("github").items()}))
github = {"RevisionType": "GitHub", "GitHubRevision": {
    "Account": "me", "Repository": "app", "CommitId": "main", "BundleType": "tar"}}

equal("a deployment succeeds", ALL_WELL, deploy("d-S3", spying("s3")), agent.said())
ok("its scripts have shown what they see", "LIFECYCLE_EVENT=" in "".join(
    v.decode("utf-8", "replace") for k, v in everything().items() if "scripts.log" in k or "logs" in k))
equal("one from GitHub succeeds", ALL_WELL,
      deploy("d-GITHUB", b"", spec={"Revision": github, "GitHubAccessToken": secrets["GitHub token"]}), agent.said())
search("after what succeeds")

# Everything fails that can, in words that repeat what was sent.
token = fake.keys()["keys"][fake.keys()["current"]]
echo = "x-amz-security-token:%s AWSAccessKeyId %s" % (token["token"], fake.keys()["current"])
fake.order("GetObject", "s3 403 <Error><Code>SignatureDoesNotMatch</Code><Message>The signature does not match</Message>"
           "<CanonicalRequest>%s</CanonicalRequest></Error>" % echo)
deploy("d-S3-REFUSED", spying("refused"))
fake.order("GetDeploymentSpecification", "text 502 <html><pre>You sent: %s</pre></html>" % echo)
deploy("d-SERVICE-ECHO", spying("echo"))
fake.config(github_token="another")
deploy("d-GITHUB-REFUSED", b"", spec={"Revision": github, "GitHubAccessToken": secrets["GitHub token"]})
fake.order("archive", "text 500 <html>Authorization: token %s</html>" % secrets["GitHub token"])
deploy("d-GITHUB-BROKEN", b"", spec={"Revision": github, "GitHubAccessToken": secrets["GitHub token"]})
deploy("d-ALTERED", spying("altered"), signed="altered", spec={"GitHubAccessToken": secrets["GitHub token"]})
deploy("d-SCRIPT", spying("script", AfterInstall=SPY + "exit 3\n"))
search("after what fails")
search("what the commands say", say_everything())

# Credentials that end, a proxy that wants another password.
fake.call("mark", "current", "expired")
fake.call("role")
mark_keys()
equal("a deployment with new credentials succeeds", ALL_WELL, deploy("d-ROTATED", spying("rotated")), agent.said())
fake.order("credentials", "json 200 {\"Code\":\"Success\",\"AccessKeyId\":\"%s\",\"SecretAccessKey\":\"%s\",\"Token\":5}"
           % (fake.keys()["current"], token["secret"]))
fake.call("mark", "current", "expired")
within(lambda: "xpired" in agent.said(), 5)
fake.config(proxy_password="another")
agent.stop()
agent.start()
within(lambda: "407" in agent.said() or "proxy" in agent.said(), 10)
search("after credentials that make no sense and a proxy that refuses")
agent.stop()


def enrolled():
    """A host with a key of its own, at an endpoint that does not know it; the key is in its file and nowhere else."""
    keys = agent.path("var/lib/slipway/agent/keys.0")
    os.makedirs(keys)
    os.symlink("keys.0", agent.path("var/lib/slipway/agent/keys"))
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj",
            "/CN=web1", "-CA", fake.base + "/ca.pem", "-CAkey", fake.base + "/ca.key", "-addext", "extendedKeyUsage=clientAuth"]
    subprocess.run([*make, "-keyout", keys + "/key.pem", "-out", keys + "/cert.pem"], check=True, stderr=subprocess.DEVNULL)
    ca = subprocess.run(["openssl", "x509", "-in", fake.base + "/ca.pem", "-outform", "DER"], check=True, stdout=subprocess.PIPE).stdout
    with open(fake.base + "/ca.pem", "rb") as f:
        write(agent.path("var/lib/slipway/agent/ca.pem"), f.read())
    write(agent.path("var/lib/slipway/agent/identity.json"), json.dumps({
        "version": 1, "endpoint": fake.url["commands"], "name": "web1", "region": "local", "enrolled": 1,
        "host_identifier": "arn:aws:codedeploy:local:1:instance/web1",
        "ca_fingerprint": ":".join("%02X" % b for b in hashlib.sha256(ca).digest())}))
    for number, line in enumerate(lines(keys + "/key.pem")[1:-1]):
        mark("line %d of the host's key" % number, line)


equal("the service has nothing to complain about", [], fake.complaints())
fake.config(proxy_user=None)
agent.options["proxy_uri"] = None
agent.configure()
enrolled()
polls = len(fake.log("PollHostCommand"))
agent.start()
ok("an enrolled host asks its endpoint", within(lambda: len(fake.log("PollHostCommand")) > polls, 20), agent.said())
out = say_everything()
agent.stop()
search("of an enrolled host", {k: v for k, v in everything().items() if not k.endswith("/key.pem")})
search("what the commands say there", out)
done_testing()
