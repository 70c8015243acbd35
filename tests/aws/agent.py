# SPDX-License-Identifier: Apache-2.0
"""A host in AWS for tests: the real slipwayd, with the workers that it starts, and the fake of what it talks to.

    fake = Fake()
    agent = Agent(fake)
    agent.start()
    fake.deploy("d-A1", revision("one"))
    fake.ended("d-A1")
"""
import atexit
import glob
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.environ["top_srcdir"], "tests/e2e"))
import worker  # noqa: E402
from worker import *  # noqa: E402,F403
from worker import BUILD, SEVEN, T, bundle, equal, ok, within  # noqa: E402

FAKE = os.path.join(os.environ["top_srcdir"], "tests/aws/fake-aws.py")
EXHAUST = bool(os.environ.get("SLIPWAY_EXHAUST"))
for name in [n for n in os.environ if re.match(r"AWS_|SSL_CERT|CURL_CA|(https?|no|all)_proxy$", n, re.I)]:
    del os.environ[name]
processes = []


def end_all():
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait()


atexit.register(end_all)  # after worker.py's, so before it: the folder is removed last


def lines(path):
    try:
        with open(path) as f:
            return f.read().splitlines()
    except FileNotFoundError:
        return []


def write(path, text):
    """Whoever reads it sees the whole of it or nothing; hidden from the fake until then."""
    folder, name = os.path.split(path)
    os.makedirs(folder, exist_ok=True)
    with open(folder + "/." + name, "wb" if isinstance(text, bytes) else "w") as f:
        f.write(text)
    os.rename(f.name, path)


class Fake:
    def __init__(self, **config):
        self.base = tempfile.mkdtemp(prefix="aws.", dir=T)
        self.orders = 0
        self.settings = {}
        self.read, self.seen = 0, []  # of the log
        self.config(**config)
        open(self.base + "/log", "w").close()
        self.start()

    def start(self):
        self.process = subprocess.Popen([sys.executable, FAKE, self.base], stdout=subprocess.PIPE,
                                        stderr=open(self.base + ".err", "a"), text=True)
        processes.append(self.process)
        self.url = {}
        for line in iter(self.process.stdout.readline, "ready\n"):
            name, url = line.split()
            self.url[name] = url

    def kill(self):
        self.process.kill()
        self.process.wait()

    def call(self, *arguments):
        return subprocess.run([sys.executable, FAKE, self.base, *map(str, arguments)], check=True, stdout=subprocess.PIPE,
                              text=True).stdout.split()

    def config(self, **members):
        self.settings.update(members)
        write(self.base + "/config.json", json.dumps(self.settings))

    def order(self, operation, text):
        self.orders += 1
        write("%s/queue/%s/%06d" % (self.base, operation, self.orders), text)

    def always(self, operation, text=None):
        path = "%s/always/%s" % (self.base, operation)
        if text:
            write(path, text)
        else:
            os.unlink(path)

    def keys(self):
        with open(self.base + "/credentials.json") as f:
            return json.load(f)

    def log(self, operation=None):
        """All requests so far."""
        with open(self.base + "/log", "rb") as f:
            f.seek(self.read)
            for line in f:
                if line.endswith(b"\n"):
                    self.read += len(line)
                    self.seen.append(json.loads(line))
        return [line for line in self.seen if operation in (None, line["operation"])]

    def bodies(self, operation):
        return [json.loads(line) for line in lines("%s/bodies.%s" % (self.base, operation))]

    def complaints(self):
        return lines(self.base + "/complaints")

    def deploy(self, deployment, tree, **doc):
        """tree: files of the revision, or a bundle's bytes."""
        content = tree if isinstance(tree, bytes) else bundle(tree)
        write("%s/s3/bucket/%s.tgz" % (self.base, deployment), content)
        spec = {"Revision": {"RevisionType": "S3", "S3Revision": {
            "Bucket": "bucket", "Key": deployment + ".tgz", "BundleType": "tgz", "ETag": None}}, **doc.pop("spec", {})}
        write("%s/deployments/%s.json" % (self.base, deployment), json.dumps({"spec": spec, **doc}))

    def commands(self, deployment):
        found = []
        for path in glob.glob(self.base + "/commands/*.json"):
            with open(path) as f:
                command = json.load(f)
            if command["execution"].endswith("/" + deployment):
                found.append(command)
        return sorted(found, key=lambda c: c["first"])

    def command(self, deployment, name):
        return next((c for c in self.commands(deployment) if c["name"] == name), None)

    def statuses(self, deployment):
        return [(c["name"], c["status"]) for c in self.commands(deployment)]

    def is_ended(self, deployment, events=SEVEN):
        seen = self.statuses(deployment)
        return any(s == "Failed" for _, s in seen) or [n for n, s in seen if s] == events

    def ended(self, deployment, events=SEVEN, seconds=60):
        """Wait; its last statuses."""
        within(lambda: self.is_ended(deployment, events), seconds)
        return self.statuses(deployment)

    def payload(self, deployment, name):
        """What the completion of that command said: (status, diagnostics)."""
        command = self.command(deployment, name)
        body = json.loads((command or {}).get("body") or "{\"CommandStatus\":null,\"Diagnostics\":{\"Payload\":\"{}\"}}")
        return body["CommandStatus"], json.loads(body["Diagnostics"]["Payload"])


class Agent:
    def __init__(self, fake, settings="", environment=None, **options):
        """options: of agent.yml, over what a host needs that knows only the fake."""
        self.fake = fake
        self.root = tempfile.mkdtemp(prefix="host.", dir=T)
        self.tree, self.log = self.path("tree"), self.path("hooks")
        self.environment = {**os.environ, "AWS_EC2_METADATA_SERVICE_ENDPOINT": fake.url["imds"], **(environment or {})}
        os.makedirs(self.tree)
        open(self.log, "w").close()
        self.options = {"aws": "true", "ca_file": fake.base + "/ca.pem", "deploy_control_endpoint": fake.url["commands"],
                        "s3_endpoint_override": fake.url["s3"],
                        "s3_path_style": "true", "github_api_url": fake.url["github"],
                        "on_premises_config_file": self.path("etc/onpremises.yml"), "destination_root": self.tree, **options}
        self.configure(settings)
        self.process = None

    def configure(self, settings=""):
        text = "".join("%s: %s\n" % pair for pair in self.options.items() if pair[1] is not None)
        write(self.path("etc/slipway/agent.yml"), text + "hook_environment:\n  LOG: %s\n%s" % (self.log, settings))

    def path(self, name):
        return os.path.join(self.root, name)

    def start(self):
        self.err = open(self.path("daemon.err"), "a")
        self.process = subprocess.Popen([BUILD + "/slipwayd", "--root", self.root, "--verbose"], stdin=subprocess.DEVNULL,
                                        stdout=self.err, stderr=self.err, env=self.environment)
        processes.append(self.process)

    def stop(self):
        self.process.terminate()
        if not within(lambda: self.process.poll() is not None, 20):
            self.process.kill()
        # anything else is a sanitizer's complaint, or a crash; SIGTERM: it had not got so far as to wait for it
        if self.process.wait() not in (0, -signal.SIGTERM):
            ok("slipwayd ends with status 0", False, self.process.returncode, self.said())

    def kill(self):
        self.process.kill()
        self.process.wait()

    def said(self):
        return "\n".join(lines(self.path("daemon.err")))

    def workers(self):
        """pids of the workers of this host."""
        found = []
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/cmdline" % entry, "rb") as f:
                    words = f.read().split(b"\0")
                if words[0].endswith(b"slipway-worker") and self.root.encode() in words:
                    with open("/proc/%s/stat" % entry) as f:
                        if f.read().rsplit(")", 1)[1].split()[0] != "Z":
                            found.append(int(entry))
            except OSError:
                pass
        return found

    def kill_workers(self):
        """How many there were."""
        found = self.workers()
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return len(found)

    def cli(self, *arguments):
        return subprocess.run([BUILD + "/slipway", "--root", self.root, *arguments], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, env=self.environment, timeout=120)

    def ran(self):
        """What the hooks noted since the last call."""
        found = lines(self.log)
        open(self.log, "w").close()
        return found

    def files(self):
        """{path: content} of the destinations."""
        out = {}
        for folder, _, names in os.walk(self.tree):
            for one in names:
                with open(os.path.join(folder, one)) as f:
                    out[os.path.relpath(os.path.join(folder, one), self.tree)] = f.read()
        return out


def finish(name, count, what):
    """The end of a test; tells `make exhaust` what was tried."""
    if EXHAUST:
        print("# exhaust: %s: %d %s, %d violations" % (name, count, what, worker.tests_failed))
    worker.done_testing()


ALL_WELL = [(event, "Succeeded") for event in SEVEN]
