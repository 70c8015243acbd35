# SPDX-License-Identifier: Apache-2.0
"""A host and its workers, for tests: plays the daemon and the CLI against the real slipway-worker.

    host = Host()                      a root of its own, enrolled at a CA made for the test
    d = Deployment(host, "d-AAA", bundle(...))
    run = d.command("ApplicationStop") one command, answered as a daemon would; run.result, run.events
    host.local({"verb": "deploy", ...}, fd)
"""
import atexit
import contextlib
import hashlib
import io
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time

BUILD = os.environ["top_builddir"]
WORKER = os.environ.get("SLIPWAY_WORKER", os.path.join(BUILD, "slipway-worker"))
MKSPEC = os.path.join(BUILD, "tests/tools/mkspec")
HOST_ID = "arn:aws:codedeploy:local:000000000000:instance/test"
DEADLINE_S = 60
SEVEN = ["ApplicationStop", "DownloadBundle", "BeforeInstall", "Install", "AfterInstall", "ApplicationStart",
         "ValidateService"]

T = tempfile.mkdtemp(prefix="slipway-test.", dir=os.environ.get("TMPDIR", "/tmp"))
tests_run = tests_failed = 0
running = set()


def clean_up():
    for pid in list(running):
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except OSError:
            pass
    if os.environ.get("KEEP"):
        print("# kept: " + T)
    else:
        shutil.rmtree(T, ignore_errors=True)


atexit.register(clean_up)


def ok(name, good, *seen):
    global tests_run, tests_failed
    tests_run += 1
    print("%sok %d - %s" % ("" if good else "not ", tests_run, name), flush=True)
    if not good:
        tests_failed += 1
        for one in seen:
            text = one if isinstance(one, str) else json.dumps(one, indent=1, default=str)
            print("".join("# %s\n" % line for line in text[-4000:].splitlines()), end="")


def equal(name, want, seen, *more):
    ok(name, want == seen, "expected: %r" % (want,), "seen:     %r" % (seen,), *more)


def holds(name, text, seen, *more):
    ok(name, text in (seen or ""), "looked for: " + text, "in: %s" % seen, *more)


def done_testing():
    print("1..%d" % tests_run)
    sys.exit(1 if tests_failed else 0)


def sanitizers():
    """Whether this build has them."""
    with open(os.path.join(BUILD, "config.h")) as f:
        return "define SANITIZERS 1" in f.read()


def within(check, seconds=DEADLINE_S):
    end = time.monotonic() + seconds
    while not check():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def script(text):
    return ("#!/bin/sh\n" + text, 0o755)


# Every hook appends "EVENT REVISION" and what matters of its environment to $LOG.
NOTE = 'echo "$LIFECYCLE_EVENT %s $DEPLOYMENT_ID${SLIPWAY_ROLLBACK:+ rollback}" >>"$LOG"\n'


def revision(name, events=SEVEN, fails=None, extra=None, files=None, destination="/srv/app"):
    """Files of a revision: its AppSpec, a script per hook event, and what is installed."""
    hooks = [e for e in events if e not in ("DownloadBundle", "Install")]
    appspec = "version: 0.0\nos: linux\nfiles:\n  - source: web\n    destination: %s\n" % destination
    if hooks:
        appspec += "hooks:\n" + "".join("  %s:\n    - location: scripts/%s.sh\n" % (e, e) for e in hooks)
    tree = {"appspec.yml": (appspec, 0o644)}
    for event in hooks:
        body = NOTE % name + (extra or {}).get(event, "")
        tree["scripts/%s.sh" % event] = script(body + ("exit 3\n" if event == fails else ""))
    for path, text in (files or {"index.html": name, "only-" + name: "x"}).items():
        tree["web/" + path] = (text, 0o644)
    return tree


def bundle(tree):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for path, (text, mode) in sorted(tree.items()):
            info = tarfile.TarInfo(path)
            info.size, info.mode, info.mtime = len(text), mode, 1700000000
            tar.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


class Run:
    """One worker: its events, and its last word."""

    def __init__(self, host, message, fd=None, env=None):
        self.host, self.events, self.result = host, [], None
        self.sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.process = subprocess.Popen(
            # bash: other shells redirect no descriptor above 9
            ["bash", "-c", 'exec "$0" "$@" 3<&%d %d<&-' % (theirs.fileno(), theirs.fileno()), WORKER] + host.arguments,
            pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=open(os.path.join(T, "worker.err"), "a"), start_new_session=True,
            env={**os.environ, "AWS_SECRET_KEY": "must not leak", **(env or {})})
        theirs.close()
        self.pid = self.process.pid
        running.add(self.pid)
        self.send(message, fd)

    def send(self, message, fd=None):
        """A worker that was killed before it could listen is found to be gone by next()."""
        with contextlib.suppress(BrokenPipeError):
            socket.send_fds(self.sock, [json.dumps(message).encode()], [] if fd is None else [fd])

    def next(self):
        """The next event; None when the worker is gone."""
        if not select.select([self.sock], [], [], DEADLINE_S)[0]:
            raise TimeoutError("the worker says nothing; it said %r" % self.events)
        try:
            packet = self.sock.recv(256 * 1024)
        except ConnectionResetError:
            packet = b""
        if not packet:
            return None
        event = json.loads(packet)
        self.events.append(event)
        if event["event"] == "result":
            self.result = event
        return event

    def until(self, name):
        while True:
            event = self.next()
            if event is None or event["event"] == name:
                return event

    def end(self):
        """Read to the end, wait for the process."""
        while self.next():
            pass
        self.sock.close()
        self.status = self.process.wait(DEADLINE_S)
        running.discard(self.pid)
        if self.status not in (0, -signal.SIGKILL):  # a sanitizer's complaint, or a crash
            with open(os.path.join(T, "worker.err")) as f:
                ok("the worker ends with status 0", False, "status %d" % self.status, f.read())
        return self

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        return self.end()

    def of(self, name):
        return [e for e in self.events if e["event"] == name]

    def steps(self):
        """"EVENT state" of all that ended."""
        return [e["step"] + " " + e["state"] for e in self.of("step") if e["state"] != "started"]


class Host:
    """root "/": the machine that this runs on, which is a test's own."""

    def __init__(self, settings="", root=None):
        self.root = root or tempfile.mkdtemp(prefix="host.", dir=T)
        self.arguments = [] if root == "/" else ["--root", self.root]
        self.tree = os.path.join(T if root else self.root, "tree")
        self.log = os.path.join(T if root else self.root, "log")
        self.trust = tempfile.mkdtemp(prefix="ca.", dir=T)
        os.makedirs(self.tree, exist_ok=True)
        os.makedirs(self.path("etc/slipway"), exist_ok=True)
        open(self.log, "w").close()
        with open(self.path("etc/slipway/agent.yml"), "w") as f:
            f.write("destination_root: %s\nhook_environment:\n  LOG: %s\n%s" % (self.tree, self.log, settings))
        subprocess.run([MKSPEC, "init", self.trust], check=True)
        self.enrol()

    def enrol(self):
        trust = self.path("var/lib/slipway/host/trust")
        os.makedirs(trust, exist_ok=True)
        shutil.copy(os.path.join(self.trust, "ca.pem"), trust)
        with open(os.path.join(trust, "identity.json"), "w") as f:
            json.dump({"host_identifier": HOST_ID, "endpoint": "https://127.0.0.1:1"}, f)

    def path(self, name):
        return os.path.join(self.root, name)

    def sign(self, spec, signer="signer"):
        return subprocess.run([MKSPEC, "sign", self.trust, signer], input=json.dumps(spec), text=True,
                              stdout=subprocess.PIPE, check=True).stdout

    def start(self, message, fd=None, env=None):
        return Run(self, message, fd, env)

    def local(self, message, fd=None, env=None):
        return self.start(message, fd, env).end()

    def deploy(self, tree, env=None, **members):
        with tempfile.TemporaryFile() as f:
            f.write(bundle(tree))
            f.flush()
            return self.local({"verb": "deploy", "source": {"type": "tgz", "name": "app.tgz"}, **members}, f.fileno(), env)

    def recover(self):
        return self.local({"verb": "recover"})

    def ran(self):
        """What the hooks noted since the last call."""
        with open(self.log) as f:
            lines = f.read().splitlines()
        open(self.log, "w").close()
        return lines

    def files(self, below="srv"):
        """{path: content} of the destination."""
        out = {}
        for folder, _, names in os.walk(os.path.join(self.tree, below)):
            for name in names:
                path = os.path.join(folder, name)
                with open(path) as f:
                    out[os.path.relpath(path, self.tree)] = f.read()
        return out

    def state(self, group="group-1"):
        with open(self.path("var/lib/slipway/host/groups/%s/state.json" % group)) as f:
            return json.load(f)

    def history(self):
        with open(self.path("var/lib/slipway/host/history.jsonl")) as f:
            return [json.loads(line) for line in f]

    def stored(self, command_id):
        """The durable result of a command, with its payload parsed; None when there is none."""
        name = hashlib.sha256(command_id.encode()).hexdigest()[:32] + ".json"
        try:
            with open(self.path("var/lib/slipway/host/results/" + name)) as f:
                stored = json.load(f)
        except FileNotFoundError:
            return None
        stored["diagnostics"] = json.loads(stored["payload"])
        return stored

    def pointer(self, which, group="group-1"):
        try:
            with open(self.path("var/lib/slipway/deployment-root/deployment-instructions/%s_%s" % (group, which))) as f:
                return os.path.basename(f.read())
        except FileNotFoundError:
            return None


class Deployment:
    """One of the endpoint's, on one host."""

    def __init__(self, host, deployment_id, content, group="group-1", **members):
        self.host, self.id, self.content, self.group = host, deployment_id, content, group
        self.members = members

    def spec(self, **changes):
        spec = {
            "DeploymentId": self.id, "DeploymentGroupId": self.group, "DeploymentGroupName": "Group",
            "ApplicationName": "App", "AllPossibleLifecycleEvents": SEVEN,
            "Revision": {"RevisionType": "S3", "S3Revision": {"Bucket": "b", "Key": "app.tgz", "BundleType": "tgz"}},
            "Slipway": {"Host": HOST_ID, "NotAfter": int(time.time()) + 3600,
                        "BundleSha256": hashlib.sha256(self.content).hexdigest(), "BundleSize": len(self.content)},
        }
        spec.update(self.members)
        for name, value in changes.items():
            (spec["Slipway"] if name in spec["Slipway"] else spec)[name] = value
        return spec

    def command_id(self, event):
        return "command-%s-%s" % (self.id, event)

    def message(self, event, signer="signer", payload=None, host=HOST_ID, command_id=None, acked=False, **changes):
        return {
            "verb": "command", "acked": acked,
            "command": {"HostCommandIdentifier": command_id or self.command_id(event), "HostIdentifier": host,
                        "DeploymentExecutionId": "execution-" + self.id, "CommandName": event},
            "specification": {"Format": "PKCS7/JSON",
                              "Payload": payload or self.host.sign(self.spec(**changes), signer)},
        }

    def start(self, event, env=None, **options):
        return self.host.start(self.message(event, **options), env=env)

    def follow(self, run, answer="go", fetched=None, until=None):
        """Answer as the daemon does, to the end, or until that is true of an event."""
        while True:
            event = run.next()
            if event is None:
                return run.end()
            if until and until(event):
                return run
            if event["event"] == "ready":
                run.send({"verb": answer})
            if event["event"] == "fetch":
                self.fetch(run, fetched)

    def walk_into(self, event, until):
        """Walk to that event; its run, which goes on, once `until` is true of what it tells."""
        self.all(SEVEN[:SEVEN.index(event)])
        return self.follow(self.start(event), until=until)

    def fetch(self, run, fetched=None):
        """fetched: bytes, a message, or what answers by itself; None: the bundle. A message "bundle" comes with it."""
        if callable(fetched):
            fetched(run)
            return
        message = fetched if isinstance(fetched, dict) else {"verb": "bundle", "type": "tgz"}
        if message["verb"] != "bundle":
            run.send(message)
            return
        with tempfile.TemporaryFile() as f:
            f.write(fetched if isinstance(fetched, bytes) else self.content)
            f.flush()
            run.send(message, f.fileno())

    def command(self, event, answer="go", fetched=None, env=None, **options):
        return self.follow(self.start(event, env=env, **options), answer, fetched)

    def all(self, events=SEVEN, **options):
        """Walk until one fails; the last run."""
        run = None
        for event in events:
            run = self.command(event, **options)
            if run.result is None or run.result["exit"] != 0:
                break
        return run


class AwsHost(Host):
    """A host of the AWS service: not enrolled, and what it is told is signed by somebody."""
    made = {}

    def __init__(self, settings=""):
        super().__init__(settings + "aws: true\n")

    def enrol(self):
        pass

    def sign(self, spec, signer="signer", options=("-nodetach",)):
        """signer: the CN of a certificate that signs itself; options: of openssl smime."""
        key, cert = self.pair(signer)
        return subprocess.run(["openssl", "smime", "-sign", "-binary", "-outform", "PEM", "-signer", cert, "-inkey", key, *options],
                              input=json.dumps(spec) if isinstance(spec, dict) else spec, text=True,
                              stdout=subprocess.PIPE, check=True).stdout

    @classmethod
    def pair(cls, name, *options):
        if name not in cls.made:
            key, cert = os.path.join(T, name + ".key"), os.path.join(T, name + ".pem")
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                            "-subj", "/C=US/O=Amazon.com, Inc./CN=" + name, *options], stderr=subprocess.DEVNULL, check=True)
            cls.made[name] = key, cert
        return cls.made[name]

    @classmethod
    def fingerprint(cls, name):
        """As openssl prints it."""
        text = subprocess.run(["openssl", "x509", "-in", cls.pair(name)[1], "-noout", "-fingerprint", "-sha256"], text=True,
                              stdout=subprocess.PIPE, check=True).stdout
        return text.strip().partition("=")[2]


class AwsDeployment(Deployment):
    """One of the AWS service's: its specification names neither a host nor an end nor the bundle's hash and size."""

    def spec(self, **changes):
        spec = {**super().spec(), **changes}
        del spec["Slipway"]
        return spec


def s3(**members):
    return {"RevisionType": "S3", "S3Revision": {"Bucket": "b", "Key": "app.tgz", "BundleType": "tgz", **members}}


def need_strace():
    """The whole test is skipped where calls cannot be traced."""
    if not shutil.which("strace"):
        print("1..0 # SKIP strace is not installed")
        sys.exit(0)
    if subprocess.run(["strace", "-o", "/dev/null", "-e", "trace=none", "true"], stderr=subprocess.DEVNULL).returncode:
        print("1..0 # SKIP strace cannot trace here")
        sys.exit(0)


class killed:
    """with killed(call, N): workers die at their Nth call of that name."""

    def __init__(self, call, number):
        self.inject = "inject=%s:signal=KILL:when=%d" % (call, number)
        self.call = call

    def __enter__(self):
        global WORKER
        self.plain, WORKER = WORKER, os.path.join(T, "killed-worker")
        with open(WORKER, "w") as f:
            # the leak checker does not work under a tracer
            f.write('#!/bin/sh\nexport ASAN_OPTIONS=detect_leaks=0\nexec strace -o /dev/null -e trace=%s -e "%s" %s "$@"\n'
                    % (self.call, self.inject, self.plain))
        os.chmod(WORKER, 0o755)

    def __exit__(self, *_):
        global WORKER
        WORKER = self.plain
