#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a host sees of AWS and GitHub, for tests: it verifies everything and misbehaves on order.

    fake-aws.py DIR                 serve; prints one line each, then "ready":
        commands https://127.0.0.1:PORT     the command service
        secure   https://127.0.0.1:PORT     its other stack (enable_auth_policy)
        s3       https://127.0.0.1:PORT     objects, path style: DIR/s3/BUCKET/KEY (a version: KEY@VERSION; an ETag: KEY.etag)
        github   https://127.0.0.1:PORT     DIR/github/ACCOUNT/REPOSITORY/REF.tar.gz or .zip; redirects to /codeload/...
        imds     http://127.0.0.1:PORT      also imds6 http://[::1]:PORT, where there is IPv6
        proxy    http://127.0.0.1:PORT      CONNECT only; the names of AWS and GitHub lead to the servers above
    Ports stay the same when it is started again in the same DIR (DIR/ports.json).
    fake-aws.py DIR role [SECONDS]          IMDS hands out new credentials from now on (the old ones stay good until they expire)
    fake-aws.py DIR user ARN                a user's keys; prints "KEY SECRET"
    fake-aws.py DIR session ARN [SECONDS]   a session's; prints "KEY SECRET TOKEN"
    fake-aws.py DIR mark KEY|current STATE  good, expired (ExpiredTokenException), refused (UnrecognizedClientException)

Files in DIR, all read again at each request:
    ca.pem              what to give as ca_file (made at the first start; also signer-aws.pem, who signs specifications)
    config.json         an object; members and defaults are DEFAULTS in fake_state.py: region, account, instance, partition, domain,
                        role, imds_v1, imds_v2, token_ttl_max, clock (seconds that it is ahead of the machine's), skew (tolerated),
                        poll (seconds a poll is parked), lease (seconds until a command without acknowledgement is offered again),
                        hold (true: no command of a deployment is handed out), stop_before (no command of that name), github_token, github_private (["a/r"]),
                        noop (Succeeded: an acknowledgement as no-op closes a command; Failed: it counts as failed until it is completed),
                        codeload (base URL of the redirect, default: itself by the name localhost), proxy_user, proxy_password
    deployments/D.json  {"spec": {...}, "commands": [...], "host": ..., "signed": ..., "go_on": true}: its commands (default: the seven
                        events) are handed out one after the other, the next after the completion of the one before; a Failed one ends
                        it (but for go_on). spec: members over the default specification (bundle: s3/bucket/app.tgz).
                        signed: altered (after signing), unsigned, detached, "signer NAME" (another certificate),
                        text (TEXT/JSON without a signature). Names sort.
    queue/OPERATION/*   orders, oldest name first, each used once; always/OPERATION: one that stays
    log                 one JSON object per request: time, server, operation, path, headers, key (access key), fault (why it was not
                        accepted), of IMDS also token (good, none, bad, expired); bodies.OPERATION: the bodies, a line each
    complaints          what no agent may ever do: a wrong signature, headers unsigned or missing, another host's name, two different
                        results of a command, IMDS through a proxy, a token for GitHub at the place it redirects to ...
    commands/*.json     what is known of each command: first, at (times), offered (how often), acked, status, body, results (how often)

Operations: PollHostCommand, GetDeploymentSpecification, PutHostCommandAcknowledgement, PutHostCommandComplete,
PostHostCommandUpdate; GetObject; archive, codeload; CONNECT; token, identity, partition, domain, roles, credentials, metadata.

Orders (a request whose signature is not accepted gets its fault before any order):
    times N ORDER       for N requests
    json STATUS BODY    that answer (s3: as XML, text: as text/html; BODY may be empty)
    fault STATUS TYPE [MESSAGE]     {"__type":TYPE,"message":MESSAGE}
    throttle            fault 400 ThrottlingException Rate exceeded; throttle-429: status 429 and no body;
    throttle-text       fault 400 ClientException Rate exceeded
    nonsense            200 and bytes that are no JSON
    cut N               what the answer would be, but the connection ends after N bytes of the body
    stall N             the same, but the connection stays open and silent (at most 120 s)
    part N              the first N bytes as a part (206), though everything is asked for
    unknown             what the answer would be, without telling its length
    close               the connection ends, nothing is done
    lose                it is done, but the connection ends without an answer
    hold SECONDS        nothing for so long, then as without an order; nothing at all when the other side is gone by then
    command ID EXECUTION NAME [HOST]    PollHostCommand: that command. EXECUTION may be a deployment's name
    redeliver NAME [D]  PollHostCommand: the command NAME (of deployment D) once more, whatever became of it
    empty               PollHostCommand: no command, at once
    signed HOW          GetDeploymentSpecification: as "signed" above
    header NAME VALUE   what the answer would be, with this header
"""
import base64
import datetime
import email.utils
import hashlib
import http.server
import json
import os
import re
import select
import socket
import ssl
import sys
import threading
import time
import urllib.parse

import fake_state
import sigv4

JSON = "application/x-amz-json-1.1"
STACKS = {  # server: (target prefix, signing name)
    "commands": ("CodeDeployCommandService_v20141006", "codedeploy-commands"),
    "secure": ("CodeDeployCommandService", "codedeploy-commands-secure"),
}
NEEDED = {  # members of each operation's input
    "PollHostCommand": ["HostIdentifier"],
    "GetDeploymentSpecification": ["DeploymentExecutionId", "HostIdentifier"],
    "PutHostCommandAcknowledgement": ["HostCommandIdentifier"],
    "PutHostCommandComplete": ["HostCommandIdentifier", "CommandStatus"],
    "PostHostCommandUpdate": ["HostCommandIdentifier"],
}
SIGNED = {"content-type", "host", "x-amz-codedeploy-agent-version", "x-amz-date", "x-amz-target"}


class Fault(Exception):
    def __init__(self, status, kind, message, wrong=False):
        """wrong: no agent may ever cause it."""
        super().__init__(message)
        self.status, self.kind, self.message, self.wrong = status, kind, message, wrong


def iso(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")


def check_time(state, date, scope):
    if not re.fullmatch(r"\d{8}T\d{6}Z", date) or date[:8] != scope[:8]:
        raise Fault(400, "IncompleteSignatureException", f"Date '{date}' does not fit the scope {scope}", True)
    then = datetime.datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc).timestamp()
    now, skew = state.now(), state.config("skew")
    if then < now - skew:
        raise Fault(400, "InvalidSignatureException", f"Signature expired: {date} is now earlier than {iso(now - skew)} "
                    f"({iso(now)} - {skew // 60} min.)")
    if then > now + skew:
        raise Fault(400, "InvalidSignatureException", f"Signature not yet current: {date} is still later than {iso(now + skew)} "
                    f"({iso(now)} + {skew // 60} min.)")


def check_key(state, ident, token):
    key = state.keys()["keys"].get(ident)
    if not key or key["state"] == "refused":
        raise Fault(400, "UnrecognizedClientException", "The security token included in the request is invalid.", not key)
    if key["token"] != token:
        raise Fault(400, "UnrecognizedClientException", "The security token included in the request is invalid.", True)
    if key["state"] == "expired" or (key["expires"] and key["expires"] <= state.now()):
        raise Fault(400, "ExpiredTokenException", "The security token included in the request is expired")
    return key


def authenticate(state, request, service, needed):
    """The key that signed this request, or a Fault. request: as sigv4.signature() has it, and body."""
    get = {name.lower(): value for name, value in request["headers"]}
    if "authorization" not in get:
        raise Fault(400, "MissingAuthenticationTokenException", "Request is missing Authentication Token", True)
    parts = sigv4.parse(get["authorization"])
    if not parts:
        raise Fault(400, "IncompleteSignatureException", f"not understood: {get['authorization']}", True)
    ident, scope, signed, given = parts
    key = check_key(state, ident, get.get("x-amz-security-token"))
    date = get.get("x-amz-date", "")
    check_time(state, date, scope)
    if scope.split("/")[1:3] != [state.config("region"), service]:
        raise Fault(400, "InvalidSignatureException", f"Credential should be scoped to {state.config('region')}/{service}: {scope}",
                    True)
    required = needed | {name for name in get if name.startswith("x-amz-")}
    missing = sorted(name for name in required if name not in signed or name not in get)
    if missing or signed != sorted(set(signed)):
        raise Fault(400, "InvalidSignatureException", f"headers not sent, not signed or not sorted: {missing} {signed}", True)
    actual = hashlib.sha256(request["body"]).hexdigest()
    payload = get.get("x-amz-content-sha256", actual)
    if payload != actual:
        raise Fault(400, "InvalidSignatureException", f"x-amz-content-sha256 is {payload}, the body's is {actual}", True)
    if sigv4.signature({**request, "payload": payload}, signed, scope, date, key["secret"]) != given:
        raise Fault(400, "InvalidSignatureException", "The request signature we calculated does not match the signature you "
                    "provided. Check your AWS Secret Access Key and signing method.", True)
    return key


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65536  # an answer is one packet
    kind = JSON

    def log_message(self, *args):
        pass

    def date_time_string(self, timestamp=None):
        return email.utils.formatdate(self.state.now(), usegmt=True)

    @property
    def state(self):
        return self.server.state

    def begin(self, operation, payload=b"", **more):
        """The request as a dict; it is in the log."""
        target = self.requestline.split()[1]
        self.path, _, self.query = target.partition("?")
        self.extra = []
        self.note = {"server": self.server.name, "operation": operation, "path": target, "method": self.command,
                     "headers": {k.lower(): v for k, v in self.headers.items()}, **more}
        return {"method": self.command, "path": self.path, "query": self.query, "body": payload, "s3": self.server.name == "s3",
                "headers": [(k, v.encode("latin-1")) if not v.isascii() else (k, v) for k, v in self.headers.items()]}

    def logged(self, **more):
        self.state.log(**self.note, **more)

    def complain(self, text):
        self.state.complain(f"{self.server.name} {self.command} {self.note['path']}: {text}")

    def refuse(self, fault):
        if fault.wrong:
            self.complain(f"{fault.kind}: {fault.message}")
        self.answer(fault.status, json.dumps({"__type": fault.kind, "message": fault.message}).encode())

    def answer(self, status, body=b"", kind=None, headers=(), length=True, upto=None):
        self.send_response(status)
        if body or kind:
            self.send_header("Content-Type", kind or self.kind)
        if length:
            self.send_header("Content-Length", str(len(body)))
        else:
            self.send_header("Connection", "close")
        for name, value in [*headers, *self.extra]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:upto])
        self.wfile.flush()

    def hang_up(self):
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def gone(self, seconds=0):
        """Wait; has the other side hung up (or sent something)?"""
        return bool(select.select([self.connection], [], [], seconds)[0])

    def obey(self, order, act):
        """act() does what the request asks for: (status, body, kind, headers)."""
        word, _, rest = (order or "").partition(" ")
        if word == "hold":
            if self.gone(float(rest)):
                return self.hang_up()
            word = ""
        if word == "header":
            self.extra = [tuple(rest.split(" ", 1))]
        if word == "part":
            self.headers["Range"] = f"bytes=0-{int(rest) - 1}"
        if word in ("json", "s3", "text"):
            code, _, text = rest.partition(" ")
            return self.answer(int(code), text.encode("utf-8", "surrogateescape"),
                               {"json": JSON, "s3": "application/xml", "text": "text/html"}[word])
        if word == "fault":
            code, kind, *message = rest.split(" ", 2)
            return self.refuse(Fault(int(code), kind, " ".join(message)))
        if word == "throttle":
            return self.refuse(Fault(400, "ThrottlingException", "Rate exceeded"))
        if word == "throttle-text":
            return self.refuse(Fault(400, "ClientException", "Rate exceeded"))
        if word == "throttle-429":
            return self.answer(429)
        if word == "nonsense":
            return self.answer(200, b"<html>\xff\xfe\x00 welcome to the hotel's network", "text/html")
        if word == "close":
            return self.hang_up()
        status, body, kind, headers = act()
        if word == "lose":
            return self.hang_up()
        upto = int(rest) if word in ("cut", "stall") else None
        self.answer(status, body, kind, headers, word != "unknown", upto)
        if word == "stall":
            self.gone(120)
        if word in ("cut", "stall", "unknown"):
            self.hang_up()


class Commands(Handler):
    def do_GET(self):
        self.begin("probe")
        self.logged()
        self.answer(404, b"{}")

    def do_POST(self):
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        prefix, _, operation = self.headers.get("X-Amz-Target", "").rpartition(".")
        request = self.begin(operation, raw, body=raw.decode("utf-8", "replace"), key=self.key_id())
        try:
            key = authenticate(self.state, request, STACKS[self.server.name][1], SIGNED)
            given = self.check(prefix, operation, raw, key)
        except Fault as fault:
            self.logged(fault=fault.kind)
            return self.refuse(fault)
        self.logged()
        self.state.append(f"bodies.{operation}", raw.decode())
        order = self.state.order(operation)
        if operation == "PollHostCommand":
            return self.poll(given, order)
        return self.obey(order, lambda: self.done(operation, given, raw.decode(), order))

    def key_id(self):
        parts = sigv4.parse(self.headers.get("Authorization"))
        return parts and parts[0]

    def check(self, prefix, operation, raw, key):
        if prefix != STACKS[self.server.name][0] or operation not in NEEDED:
            raise Fault(400, "UnknownOperationException", f"{prefix}.{operation}", operation not in NEEDED)
        if self.headers["Content-Type"] != JSON or self.note["path"] != "/":
            raise Fault(400, "SerializationException", f"{self.headers['Content-Type']} for {self.note['path']}", True)
        if not re.fullmatch(r"[A-Za-z0-9_.:+-]{1,128}", self.headers["x-amz-codedeploy-agent-version"]):
            raise Fault(400, "ClientException", f"agent version {self.headers['x-amz-codedeploy-agent-version']!r}", True)
        try:
            given = json.loads(raw)
            wrong = [m for m in NEEDED[operation] if not isinstance(given.get(m), str) or not given[m]]
        except (ValueError, AttributeError):
            wrong = ["everything"]
        if wrong:
            # Without an execution it is a question whether the host may ask at all.
            raise Fault(400, "ValidationException", f"members missing: {wrong}", wrong != ["DeploymentExecutionId"])
        host = self.state.host(key)
        if given.get("HostIdentifier", host) != host:
            raise Fault(400, "AccessDeniedException", f"{given['HostIdentifier']} is not {host}", True)
        given["host"] = host
        return given

    def poll(self, given, order):
        """A poll is parked until there is an order or a command."""
        end = time.monotonic() + self.state.config("poll")
        command = None
        while not order and not command and time.monotonic() < end:
            command = self.state.next_command(given["host"])
            if not command:
                if self.gone(0.02):
                    return self.hang_up()
                order = self.state.order("PollHostCommand")
        word, _, rest = (order or "").partition(" ")
        if word == "command":
            ident, execution, name, *host = rest.split()
            execution = execution if "/" in execution else self.state.execution(execution)
            command, order = self.state.register(ident, execution, name, host[0] if host else given["host"]), None
        elif word == "redeliver":
            command, order = self.again(*rest.split()), None
        elif word == "empty":
            order = None
        elif word in ("cut", "stall", "unknown", "lose", "hold", "header"):
            command = command or self.state.next_command(given["host"])
        body = {"HostCommand": {
            "HostCommandIdentifier": command["id"], "HostIdentifier": command["host"], "CommandName": command["name"],
            "DeploymentExecutionId": command["execution"], "Nonce": command["offered"]}} if command else {}
        self.obey(order, lambda: (200, json.dumps(body).encode(), JSON, ()))

    def again(self, name, deployment=None):
        folder = f"{self.state.base}/commands"
        known = [self.state.read(f"commands/{file}", {}) for file in os.listdir(folder) if file.endswith(".json")]
        fitting = [c for c in known if c["name"] == name and (not deployment or c["execution"].endswith(f"/{deployment}"))]
        newest = max(fitting, key=lambda c: c["at"])
        return self.state.register(newest["id"], newest["execution"], newest["name"], newest["host"])

    def done(self, operation, given, raw, order):
        answer = {}
        if operation == "GetDeploymentSpecification":
            answer = self.specification(given, order)
        elif operation == "PutHostCommandAcknowledgement":
            answer = {"CommandStatus": self.acknowledged(given)}
        elif operation == "PutHostCommandComplete":
            self.completed(given, raw)
        elif operation == "PostHostCommandUpdate":
            answer = {"CommandStatus": "InProgress"}
        return 200, json.dumps(answer).encode(), JSON, ()

    def specification(self, given, order):
        doc, payload = self.state.specification(given["DeploymentExecutionId"].rsplit("/", 1)[-1])
        how = order[7:] if order and order.startswith("signed ") else doc.get("signed")
        text = json.dumps(payload)
        envelope = ({"Format": "TEXT/JSON", "Payload": text} if how == "text" else
                    {"Format": "PKCS7/JSON", "Payload": self.state.sign(text, how)})
        return {"DeploymentSystem": "CodeDeploy", "DeploymentSpecification": {
            "GenericEnvelope": envelope, "VariantId": None, "VariantEnvelope": None}}

    def diagnostics(self, given, members):
        try:
            envelope = given["Diagnostics"]
            payload = json.loads(envelope["Payload"])
            if envelope["Format"] != "JSON" or set(payload) != members or len(envelope["Payload"]) > 8192:
                raise ValueError("other members, or too long")
            return payload
        except (KeyError, TypeError, ValueError) as why:
            self.complain(f"diagnostics: {why}: {given.get('Diagnostics')}")
            return {}

    def acknowledged(self, given):
        noop = self.diagnostics(given, {"IsCommandNoop"}).get("IsCommandNoop")
        with self.state.lock:
            command = self.state.command(given["HostCommandIdentifier"])
            if not command:
                self.complain("an acknowledgement of a command that was never handed out")
                return "Failed"
            if command["status"]:
                return command["status"]
            counts = self.state.config("noop") if noop else None
            self.state.save({**command, "acked": True, "noop": noop, "status": "Succeeded" if counts == "Succeeded" else None})
            return counts or "InProgress"

    def completed(self, given, raw):
        self.diagnostics(given, {"error_code", "script_name", "message", "log"})
        if given["CommandStatus"] not in ("Succeeded", "Failed"):
            self.complain(f"CommandStatus {given['CommandStatus']}")
        self.state.complete(given["HostCommandIdentifier"], given["CommandStatus"], raw)


class Objects(Handler):
    """Whoever gives a file away: S3 and codeload."""
    kind = "application/xml"

    def refuse(self, fault):
        if self.server.name != "s3":
            return super().refuse(fault)
        if fault.wrong:
            self.complain(f"{fault.kind}: {fault.message}")
        status = 403 if fault.status == 400 else fault.status
        name = {"InvalidSignatureException": "SignatureDoesNotMatch", "ExpiredTokenException": "ExpiredToken",
                "UnrecognizedClientException": "InvalidAccessKeyId", "ThrottlingException": "SlowDown"}.get(fault.kind, fault.kind)
        if "Signature expired" in fault.message or "not yet current" in fault.message:
            name = "RequestTimeTooSkewed"
        status = {"ExpiredToken": 400, "SlowDown": 503}.get(name, status)
        text = f"<Error><Code>{name}</Code><Message>{fault.message.replace('<', '')}</Message></Error>"
        return self.answer(status, text.encode())

    def part(self, body, etag):
        """The answer to a request that may ask for a range, with a validator."""
        headers = [("ETag", etag), ("Accept-Ranges", "bytes")]
        match = self.headers.get("If-Match")
        if match and match != etag:
            return 412, b"<Error><Code>PreconditionFailed</Code></Error>", "application/xml", ()
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if not asked or self.headers.get("If-Range", etag) != etag:
            return 200, body, "application/octet-stream", headers
        first = int(asked[1])
        last = min(int(asked[2] or len(body) - 1), len(body) - 1)
        if first > last:
            return 416, b"<Error><Code>InvalidRange</Code></Error>", "application/xml", [("Content-Range", f"bytes */{len(body)}")]
        headers.append(("Content-Range", f"bytes {first}-{last}/{len(body)}"))
        return 206, body[first:last + 1], "application/octet-stream", headers

    def do_GET(self):
        request = self.begin("GetObject", key=Commands.key_id(self), range=self.headers.get("Range"))
        try:
            authenticate(self.state, request, "s3", {"host", "x-amz-date", "x-amz-content-sha256"})
        except Fault as fault:
            self.logged(fault=fault.kind)
            return self.refuse(fault)
        self.logged()
        return self.obey(self.state.order("GetObject"), self.get_object)

    do_HEAD = do_GET

    def get_object(self):
        name = urllib.parse.unquote(self.path)
        host = self.headers["Host"].split(".s3")[0] if ".s3" in self.headers["Host"] else ""
        path = os.path.normpath(f"{self.state.base}/s3/{host}/{name}")
        version = urllib.parse.parse_qs(self.query).get("versionId")
        if version:
            path += f"@{version[0]}"
        try:
            with open(path, "rb") as f:
                body = f.read()
        except OSError:
            return 404, b"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>", None, ()
        try:
            with open(f"{path}.etag") as f:
                etag = f.read().strip()
        except OSError:
            etag = hashlib.md5(body).hexdigest()
        status, body, kind, headers = self.part(body, f'"{etag}"')
        headers = [*headers, *([("x-amz-version-id", version[0])] if version else [])]
        return status, b"" if self.command == "HEAD" else body, kind, headers


class Github(Objects):
    kind = "application/json; charset=utf-8"

    def do_GET(self):
        code = self.requestline.split()[1].startswith("/codeload/")
        self.begin("codeload" if code else "archive", range=self.headers.get("Range"))
        self.logged()
        if not self.headers.get("User-Agent"):
            return self.answer(403, b'{"message":"Request forbidden by administrative rules. Please make sure your request has a '
                                    b'User-Agent header"}')
        if code and self.headers.get("Authorization"):
            self.complain("the token of api.github.com was sent to codeload")
        return self.obey(self.state.order(self.note["operation"]), self.codeload if code else self.archive)

    def archive(self):
        match = re.fullmatch(r"/repos/([^/]+)/([^/]+)/(tarball|zipball)/(.+)", self.path)
        missing = 404, b'{"message":"Not Found"}', None, ()
        if not match:
            return missing
        given = (self.headers.get("Authorization") or "").split(" ", 1)
        token = self.state.config("github_token")
        if given[0] and (given[0].lower() not in ("token", "bearer") or given[1:] != [token]):
            return 401, b'{"message":"Bad credentials"}', None, ()
        repository = f"{match[1]}/{match[2]}"
        private = repository in self.state.config("github_private")
        if private and not given[0]:
            return missing
        legacy = "legacy.tar.gz" if match[3] == "tarball" else "legacy.zip"
        base = self.state.config("codeload") or self.server.base.replace("127.0.0.1", "localhost")  # another host than this one
        where = f"{base}/codeload/{repository}/{legacy}/{match[4]}"
        if private:
            where += "?token=" + hashlib.sha256(f"{token}{repository}".encode()).hexdigest()[:32]
        return 302, b"", None, [("Location", where)]

    def codeload(self):
        match = re.fullmatch(r"/codeload/([^/]+/[^/]+)/legacy\.(tar\.gz|zip)/(.+)", self.path)
        token = hashlib.sha256(f"{self.state.config('github_token')}{match and match[1]}".encode()).hexdigest()[:32]
        if not match or (match[1] in self.state.config("github_private") and self.query != f"token={token}"):
            return 404, b"404: Not Found", "text/plain", ()
        try:
            with open(f"{self.state.base}/github/{match[1]}/{urllib.parse.unquote(match[3])}.{match[2]}", "rb") as f:
                body = f.read()
        except OSError:
            return 404, b"404: Not Found", "text/plain", ()
        return self.part(body, f'W/"{hashlib.sha256(body).hexdigest()}"')


class Imds(Handler):
    kind = "text/plain"
    tokens = {}  # token: until when (this machine's monotonic time)
    pages = {
        "/latest/dynamic/instance-identity/document": "identity",
        "/latest/meta-data/services/partition": "partition",
        "/latest/meta-data/services/domain": "domain",
        "/latest/meta-data/iam/security-credentials": "roles",
    }

    def do_PUT(self):
        self.begin("token")
        self.logged()
        ttl = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        if self.headers.get("X-Forwarded-For"):
            return self.answer(403)
        if not self.state.config("imds_v2"):
            return self.answer(404)  # a service of before tokens
        if self.note["path"] != "/latest/api/token" or not re.fullmatch(r"\d{1,5}", ttl) or not 1 <= int(ttl) <= 21600:
            self.complain(f"a token for {ttl!r} seconds")
            return self.answer(400)
        return self.obey(self.state.order("token"), lambda: self.token(int(ttl)))

    def token(self, ttl):
        ttl = min(ttl, self.state.config("token_ttl_max"))
        token = "imds" + base64.urlsafe_b64encode(os.urandom(40)).decode()
        with self.state.lock:
            self.tokens[token] = time.monotonic() + ttl
        self.state.append("imds-tokens", token)
        return 200, token.encode(), None, [("X-aws-ec2-metadata-token-ttl-seconds", str(ttl))]

    def do_GET(self):
        path = self.requestline.split()[1].rstrip("/")
        operation = self.pages.get(path, "metadata")
        if path.startswith("/latest/meta-data/iam/security-credentials/"):
            operation = "credentials"
        given = self.headers.get("X-aws-ec2-metadata-token")
        with self.state.lock:
            until = self.tokens.get(given)
        verdict = "none" if given is None else "bad" if until is None else "good" if until > time.monotonic() else "expired"
        self.begin(operation, token=verdict)
        self.logged()
        if verdict in ("bad", "expired") or (verdict == "none" and not self.state.config("imds_v1")):
            return self.answer(401)
        return self.obey(self.state.order(operation), lambda: self.page(operation, path))

    def page(self, operation, path):
        config = self.state.config
        if operation == "identity":
            text = json.dumps({"accountId": config("account"), "region": config("region"), "instanceId": config("instance"),
                               "architecture": "x86_64", "version": "2017-09-30", "availabilityZone": config("region") + "a"},
                              indent=2)
        elif operation in ("partition", "domain"):
            text = config(operation)
        elif operation == "roles" and config("role"):
            text = config("role")
        elif operation == "credentials" and path.endswith(f"/{config('role')}"):
            return self.credentials()
        elif path in ("/latest/meta-data", "/latest"):
            text = "ami-id\ninstance-id\niam/\nservices/"
        elif path == "/latest/meta-data/instance-id":
            text = config("instance")
        else:
            return 404, b"<html>404 - Not Found</html>", "text/html", ()
        return 200, text.encode(), None, ()

    def credentials(self):
        doc = self.state.keys()
        if not doc["current"]:
            return 200, json.dumps({"Code": "AssumeRoleUnauthorizedAccess", "Message": "EC2 cannot assume the role"}).encode(), None, ()
        key = doc["keys"][doc["current"]]
        when = [datetime.datetime.fromtimestamp(key[m], datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
                for m in ("issued", "expires")]
        return 200, json.dumps({"Code": "Success", "LastUpdated": when[0], "Type": "AWS-HMAC", "AccessKeyId": doc["current"],
                                "SecretAccessKey": key["secret"], "Token": key["token"], "Expiration": when[1]},
                               indent=2).encode(), None, ()


class Proxy(Handler):
    kind = "text/plain"
    names = [  # where a name of AWS or GitHub leads to
        (r"codedeploy-commands-secure(-fips)?\..*", "secure"),
        (r"codedeploy-commands(-fips)?\..*", "commands"),
        (r"(.*\.)?s3[.-].*", "s3"),
        (r"(api|codeload)\.github\.com", "github"),
    ]

    def refused(self):
        user, password = self.state.config("proxy_user"), self.state.config("proxy_password")
        expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        return user is not None and self.headers.get("Proxy-Authorization") != expected

    def do_GET(self):
        self.begin("GET")
        self.logged()
        self.complain("plain HTTP through the proxy")
        self.answer(502)

    do_PUT = do_POST = do_GET

    def target(self, host, port):
        for pattern, name in self.names:
            if re.fullmatch(pattern, host):
                return self.server.ports[name]
        return int(port) if host in ("127.0.0.1", "localhost") and int(port) in self.server.ports.values() else None

    def do_CONNECT(self):
        self.begin("CONNECT")
        self.logged()
        if self.refused():
            return self.answer(407, headers=[("Proxy-Authenticate", 'Basic realm="fake"')])
        host, _, port = self.note["path"].rpartition(":")
        where = self.target(host, port)
        order = self.state.order("CONNECT")
        if order or not where:
            return self.obey(order, lambda: (502, b"no such host", None, ()))
        if where in (self.server.ports["imds"], self.server.ports.get("imds6")):
            self.complain("IMDS through the proxy")
        self.close_connection = True
        with socket.create_connection(("127.0.0.1", where)) as other:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self.wfile.flush()
            relay(self.connection, other)
        return None


def relay(one, other):
    while True:
        for ready in select.select([one, other], [], [])[0]:
            try:
                data = ready.recv(65536)
                if not data:
                    return
                (other if ready is one else one).sendall(data)
            except OSError:
                return


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def finish_request(self, request, client_address):
        if isinstance(request, ssl.SSLSocket):
            request.settimeout(20)
            request.do_handshake()
            request.settimeout(None)
        super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            self.state.complain(f"{self.name}: the fake is broken: {error!r}")
            super().handle_error(request, client_address)


class Server6(Server):
    address_family = socket.AF_INET6


def certificates(base):
    if os.path.exists(f"{base}/server.pem"):
        return
    make = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"]
    names = ["IP:127.0.0.1", "IP:::1", "DNS:localhost", "DNS:api.github.com", "DNS:codeload.github.com", "DNS:*.s3.amazonaws.com"]
    for zone in ("us-east-1.amazonaws.com", "us-west-2.amazonaws.com", "eu-central-1.amazonaws.com", "cn-north-1.amazonaws.com.cn",
                 "us-gov-west-1.amazonaws.com", "eusc-de-east-1.amazonaws.eu", "us-east-1.api.aws"):
        names += [f"DNS:*.{zone}", f"DNS:*.s3.{zone}", f"DNS:*.s3.dualstack.{zone}"]
    fake_state.openssl(*make, "-keyout", f"{base}/ca.key", "-out", f"{base}/ca.pem", "-subj", "/CN=fake-ca")
    fake_state.openssl(*make, "-keyout", f"{base}/server.key", "-out", f"{base}/server.new", "-subj", "/CN=fake",
                       "-CA", f"{base}/ca.pem", "-CAkey", f"{base}/ca.key", "-addext", f"subjectAltName={','.join(names)}",
                       "-addext", "basicConstraints=critical,CA:false", "-addext", "extendedKeyUsage=serverAuth")
    os.rename(f"{base}/server.new", f"{base}/server.pem")


def serve(state):
    certificates(state.base)
    state.signer("aws")
    if not state.keys()["current"]:
        state.new_key("role")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{state.base}/server.pem", f"{state.base}/server.key")
    ports = state.read("ports.json", {})
    servers = [("commands", Commands, True), ("secure", Commands, True), ("s3", Objects, True), ("github", Github, True),
               ("imds", Imds, False), ("proxy", Proxy, False), ("imds6", Imds, False)]
    lines = []
    for name, handler, tls in servers:
        six = name.endswith("6")
        try:
            server = (Server6 if six else Server)(("::1" if six else "127.0.0.1", ports.get(name, 0)), handler)
        except OSError:
            if six:
                continue
            raise
        ports[name] = server.server_address[1]
        server.name, server.state, server.ports = name, state, ports
        if tls:
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.base = f"http{'s' if tls else ''}://{'[::1]' if six else '127.0.0.1'}:{ports[name]}"
        lines.append(f"{name} {server.base}")
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 5}, daemon=True).start()
    state.write("ports.json", ports)
    print("\n".join([*lines, "ready"]), flush=True)
    threading.Event().wait()


def main():
    state = fake_state.State(sys.argv[1])
    verb, *rest = sys.argv[2:] or ["serve"]
    if verb == "serve":
        serve(state)
    elif verb == "role":
        print(state.new_key("role", *map(float, rest))[0])
    elif verb in ("user", "session"):
        ident, key = state.new_key(verb, *map(float, rest[1:]), arn=rest[0])
        print(*filter(None, (ident, key["secret"], key["token"])))
    elif verb == "mark":
        state.mark_key(*rest)
    else:
        sys.exit(f"no such order: {verb}")


main()
