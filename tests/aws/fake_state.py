# SPDX-License-Identifier: Apache-2.0
"""What fake-aws.py knows: configuration, credentials, deployments, orders. All of it is files below its folder, read again at each
request, so that a test may change them at any time and the fake may be killed and started again."""
import base64
import fcntl
import hashlib
import json
import os
import secrets
import subprocess
import threading
import time

SEVEN = ["ApplicationStop", "DownloadBundle", "BeforeInstall", "Install", "AfterInstall", "ApplicationStart", "ValidateService"]
DEFAULTS = {
    "region": "us-east-1", "account": "111122223333", "instance": "i-0abc1234def567890", "partition": "aws",
    "domain": "amazonaws.com", "role": "web-role", "imds_v1": True, "imds_v2": True, "token_ttl_max": 21600,
    "clock": 0, "skew": 300, "poll": 60, "lease": 30, "hold": False, "stop_before": None,
    "noop": None, "github_token": None, "github_private": [], "codeload": None, "proxy_user": None, "proxy_password": None,
}


class State:
    def __init__(self, base):
        self.base = base
        self.lock = threading.RLock()
        for folder in ("queue", "always", "deployments", "commands", "s3", "github"):
            os.makedirs(f"{base}/{folder}", exist_ok=True)

    # files

    def read(self, name, default):
        try:
            with open(f"{self.base}/{name}") as f:
                return json.load(f)
        except FileNotFoundError:
            return default

    def write(self, name, value):
        fresh = f"{self.base}/{os.path.dirname(name) or '.'}/.new.{os.getpid()}.{threading.get_ident()}"
        with open(fresh, "w") as f:
            json.dump(value, f, indent=1)
        os.rename(fresh, f"{self.base}/{name}")

    def append(self, name, line):
        with self.lock, open(f"{self.base}/{name}", "a") as f:
            f.write(line + "\n")

    def log(self, **what):
        self.append("log", json.dumps({"time": time.monotonic(), **what}))

    def complain(self, text):
        """What an agent must never do."""
        self.append("complaints", text)

    def config(self, name):
        return self.read("config.json", {}).get(name, DEFAULTS[name])

    def now(self):
        return time.time() + self.config("clock")

    # orders

    def order(self, operation):
        """The next order for this operation, or None."""
        with self.lock:
            folder = f"{self.base}/queue/{operation}"
            try:
                names = sorted(n for n in os.listdir(folder) if not n.startswith("."))
            except FileNotFoundError:
                names = []
            if names:
                return self.take(f"{folder}/{names[0]}")
            try:
                with open(f"{self.base}/always/{operation}") as f:
                    return f.read().strip() or None
            except FileNotFoundError:
                return None

    def take(self, path):
        with open(path) as f:
            order = f.read().strip()
        word, _, rest = order.partition(" ")
        if word == "times":
            count, _, order = rest.partition(" ")
            if int(count) > 1:
                with open(f"{os.path.dirname(path)}/.times", "w") as f:
                    f.write(f"times {int(count) - 1} {order}")
                os.rename(f.name, path)
                return order
        os.unlink(path)
        return order

    # credentials

    def keys(self):
        return self.read("credentials.json", {"current": None, "keys": {}})

    def change_keys(self, change):
        """change(doc) edits the document; one at a time, also between processes."""
        with self.lock, open(f"{self.base}/.credentials.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            doc = self.keys()
            answer = change(doc)
            self.write("credentials.json", doc)
            return answer

    def new_key(self, kind, seconds=21600, arn=None):
        """kind: role (what IMDS hands out from now on), user, session."""
        ident = ("AKIA" if kind == "user" else "ASIA") + base64.b32encode(secrets.token_bytes(10)).decode()
        key = {"kind": kind, "arn": arn, "state": "good", "secret": "sk" + secrets.token_urlsafe(28),
               "token": None if kind == "user" else "tok" + secrets.token_urlsafe(180) + "==",
               "expires": None if kind == "user" else self.now() + seconds, "issued": self.now()}

        def add(doc):
            doc["keys"][ident] = key
            if kind == "role":
                doc["current"] = ident
        self.change_keys(add)
        return ident, key

    def mark_key(self, ident, state):
        def mark(doc):
            doc["keys"][doc["current"] if ident == "current" else ident]["state"] = state
        self.change_keys(mark)

    def host(self, key=None):
        """The identifier of the host that owns this key (None: the instance's)."""
        if key and key["arn"]:
            return key["arn"]
        return (f"arn:{self.config('partition')}:ec2:{self.config('region')}:{self.config('account')}"
                f":instance/{self.config('instance')}")

    # deployments and their commands

    def execution(self, deployment):
        region, account = self.config("region"), self.config("account")
        return f"CodeDeploy/{region}/Prod/arn:aws:sds:{region}:{account}:deployment/{deployment}"

    def specification(self, deployment):
        doc = self.read(f"deployments/{deployment}.json", {})
        return doc, {
            "DeploymentId": deployment, "DeploymentGroupId": "11111111-2222-3333-4444-555555555555",
            "DeploymentGroupName": "group", "ApplicationName": "app", "DeploymentCreator": "user",
            "DeploymentType": "IN_PLACE", "AppSpecFilename": "appspec.yml",
            "AgentActionOverrides": {"AgentOverrides": {"FileExistsBehavior": "DISALLOW"}},
            "Revision": {"RevisionType": "S3", "S3Revision": {
                "Bucket": "bucket", "Key": "app.tgz", "BundleType": "tgz", "Version": None, "ETag": None}},
            **doc.get("spec", {}),
        }

    @staticmethod
    def file_of(command_id):
        return f"commands/{hashlib.sha256(command_id.encode()).hexdigest()[:32]}.json"

    def command(self, command_id):
        return self.read(self.file_of(command_id), None)

    def save(self, command):
        self.write(self.file_of(command["id"]), command)

    def register(self, command_id, execution, name, host):
        with self.lock:
            command = self.command(command_id) or {"id": command_id, "execution": execution, "name": name, "host": host,
                                                   "offered": 0, "at": 0, "first": time.monotonic(), "acked": False, "status": None, "body": None}
            command.update(offered=command["offered"] + 1, at=time.monotonic())
            self.save(command)
            return command

    def next_command(self, host):
        """The next command of a deployment that is due for this host."""
        with self.lock:
            if self.config("hold"):
                return None
            for file in sorted(os.listdir(f"{self.base}/deployments")):
                if file.endswith(".json") and not file.startswith("."):
                    due = self.due(file[:-5], host)
                    if due:
                        return due
        return None

    def due(self, deployment, host):
        doc, _ = self.specification(deployment)
        if doc.get("host", host) != host:
            return None
        execution = self.execution(deployment)
        for position, name in enumerate(doc.get("commands", SEVEN)):
            ident = base64.b64encode(json.dumps([execution, host, name, position, 1]).encode()).decode()
            command = self.command(ident)
            if not command and name == self.config("stop_before"):
                return None
            if not command:
                return self.register(ident, execution, name, host)
            if command["status"] == "Failed" and not doc.get("go_on"):
                return None
            if not command["status"]:
                waits = command["acked"] or time.monotonic() - command["at"] < self.config("lease")
                return None if waits else self.register(ident, execution, name, host)
        return None

    def complete(self, command_id, status, raw):
        with self.lock:
            command = self.command(command_id)
            if not command:
                return self.complain(f"a completion of a command that was never handed out: {command_id}")
            if not command["status"]:
                command.update(status=status, body=raw, results=1)
                if status == "Succeeded" and not command["acked"]:
                    self.complain(f"completed without an acknowledgement: {command['name']} of {command['execution']}")
            else:
                command["results"] += 1
                if command["body"] != raw:
                    self.complain(f"two results of {command['name']} of {command['execution']}: {command['body']} and {raw}")
            self.save(command)

    # signatures of specifications

    def signer(self, name):
        """A throw-away certificate that signs specifications; its files."""
        with self.lock:
            stem = f"{self.base}/signer-{name}"
            if not os.path.exists(f"{stem}.pem"):
                common = f"codedeploy-signer-{self.config('region')}.amazonaws.com"
                subject = "/C=US/ST=Washington/L=Seattle/O=" + ("Amazon.com, Inc." if name == "aws" else name) + f"/CN={common}"
                openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", subject,
                        "-keyout", f"{stem}.key", "-out", f"{stem}.new")
                os.rename(f"{stem}.new", f"{stem}.pem")
            return f"{stem}.pem", f"{stem}.key"

    def sign(self, text, how):
        """PKCS7 in PEM. how: None, "altered" (after signing), "unsigned" (no signer), "detached", "signer NAME"."""
        word, _, rest = (how or "").partition(" ")
        pem, key = self.signer(rest if word == "signer" else "aws")
        command = ["smime", "-sign", "-binary", "-outform", "PEM", "-signer", pem, "-inkey", key, "-md", "sha256"]
        if word != "detached":
            command.append("-nodetach")
        signed = openssl(*command, data=text.encode())
        if word == "altered":
            lines = signed.decode().split("\n")
            raw = base64.b64decode("".join(line for line in lines if line and not line.startswith("-----")))
            place = raw.index(b'"DeploymentGroupName": "') + 24
            raw = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1:]
            signed = b"-----BEGIN PKCS7-----\n" + base64.encodebytes(raw) + b"-----END PKCS7-----\n"
        if word == "unsigned":
            raw = openssl("cms", "-data_create", "-binary", "-outform", "PEM", data=text.encode())
            signed = raw.replace(b"CMS-----", b"PKCS7-----")
        return signed.decode()


def openssl(*arguments, data=b""):
    return subprocess.run(["openssl", *arguments], input=data, check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL).stdout
