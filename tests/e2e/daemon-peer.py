#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An endpoint that misbehaves on order, for tests of slipwayd.

    daemon-peer.py DIR [PORT]      DIR holds ca.pem, server.pem, server.key

Prints "listening on https://127.0.0.1:PORT". Each request is one JSON line in DIR/log, its body one in
DIR/bodies.OPERATION. What is answered is taken from DIR/queue/OPERATION/* (oldest name first, each used once; the operation of a download is GET), else the default below:

Renewal (operation renew) signs the request with DIR/ca.key by "openssl ca" and DIR/ca.cnf.

    json STATUS BODY    that answer
    s3 STATUS BODY      the same as XML
    cut N               what the default would be, but the connection ends after N bytes of the body
    unknown             what the default would be, without telling its length
    close               the connection ends without an answer
    command ID EXECUTION NAME [HOST]     only for PollHostCommand
    hold SECONDS        nothing for so long, then the default

Defaults: a poll is held until something is queued for it, at most 60 s; a specification names group g-EXECUTION; an
acknowledgement is answered InProgress; a completion {}; a download is the file DIR/bundles/BUCKET/KEY, with Range.
"""
import hashlib
import http.server
import json
import os
import select
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse

BASE = sys.argv[1]
LOCK = threading.Lock()


def note(**what):
    with LOCK, open(f"{BASE}/log", "a") as log:
        log.write(json.dumps({"time": time.monotonic(), **what}) + "\n")
        if "body" in what:
            with open(f"{BASE}/bodies.{what['operation']}", "a") as bodies:
                bodies.write(what["body"] + "\n")


def queued(operation):
    """The next order for this operation, or None."""
    folder = f"{BASE}/queue/{operation}"
    with LOCK:
        try:
            names = sorted(n for n in os.listdir(folder) if not n.startswith("."))
        except FileNotFoundError:
            return None
        if not names:
            return None
        with open(f"{folder}/{names[0]}") as f:
            order = f.read().strip()
        os.unlink(f"{folder}/{names[0]}")
        return order


def specification(execution):
    deployment = execution.rsplit("/", 1)[-1]
    payload = {
        "DeploymentId": deployment, "DeploymentGroupId": f"g-{deployment.split('.')[0]}", "DeploymentGroupName": "g",
        "ApplicationName": "a",
        "Revision": {"RevisionType": "S3", "S3Revision": {"Bucket": "b", "Key": "app 1.tgz", "BundleType": "tgz"}},
    }
    return {"DeploymentSystem": "CodeDeploy", "DeploymentSpecification": {
        "GenericEnvelope": {"Format": "TEXT/JSON", "Payload": json.dumps(payload)}}}


def renewed(body):
    """A certificate of 30 days for the key of a signing request."""
    with open(f"{BASE}/csr", "w") as f:
        f.write(body["Csr"])
    subprocess.run(["openssl", "ca", "-batch", "-config", f"{BASE}/ca.cnf", "-in", f"{BASE}/csr", "-out", f"{BASE}/new.pem",
                    "-notext", "-days", "30"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(f"{BASE}/new.pem") as certificate, open(f"{BASE}/ca.pem") as ca:
        return {"Name": "web1", "HostIdentifier": "arn:aws:codedeploy:local:1:instance/web1",
                "Certificate": certificate.read(), "Ca": ca.read(), "Region": "local"}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body, content_type="application/x-amz-json-1.1", cut=None, headers=()):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if cut is None:
            self.wfile.write(body)
            return
        self.wfile.write(body[:cut])
        self.wfile.flush()
        self.end_abruptly()

    def end_abruptly(self):
        self.close_connection = True
        self.connection.close()

    def default_json(self, operation, body):
        if operation == "GetDeploymentSpecification":
            return specification(body["DeploymentExecutionId"])
        if operation == "renew":
            return renewed(body)
        if operation == "PutHostCommandAcknowledgement":
            return {"CommandStatus": "InProgress"}
        return {}

    def wait_for_order(self, operation):
        """A poll is parked; everything else takes what there is."""
        end = time.monotonic() + (60 if operation == "PollHostCommand" else 0)
        while True:
            order = queued(operation)
            if order or time.monotonic() >= end:
                return order
            if select.select([self.connection], [], [], 0.01)[0]:
                raise ConnectionError("the daemon has hung up")

    def obey(self, order, status, body, content_type, headers=()):
        word, _, rest = (order or "").partition(" ")
        if word in ("json", "s3"):
            code, _, text = rest.partition(" ")
            kind = "application/xml" if word == "s3" else content_type
            self.answer(int(code), text.encode("utf-8", "surrogateescape"), kind)
        elif word == "close":
            self.end_abruptly()
        elif word == "unknown":
            self.send_response(status)
            self.send_header("Connection", "close")
            for name, value in headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            self.end_abruptly()
        elif word == "cut":
            self.answer(status, body, content_type, int(rest), headers)
        elif word == "command":
            ident, execution, name, *host = rest.split()
            command = {"HostCommandIdentifier": ident, "DeploymentExecutionId": execution, "CommandName": name,
                       "HostIdentifier": host[0] if host else "arn:aws:codedeploy:local:1:instance/web1", "Nonce": 1}
            self.answer(200, json.dumps({"HostCommand": command}).encode(), content_type)
        else:
            if word == "hold":
                time.sleep(float(rest))
            self.answer(status, body, content_type, None, headers)

    def do_POST(self):
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        target = self.headers.get("X-Amz-Target", "")
        operation = target.rpartition(".")[2] or self.path.rpartition("/")[2]
        certificate = self.connection.getpeercert()
        who = dict(x[0] for x in certificate["subject"])["commonName"]
        note(operation=operation, target=target, body=raw.decode(), who=who,
             serial=certificate["serialNumber"], path=self.path,
             headers={k.lower(): v for k, v in self.headers.items()})
        order = self.wait_for_order(operation)
        default = json.dumps(self.default_json(operation, json.loads(raw))).encode()
        self.obey(order, 200, default, "application/x-amz-json-1.1")

    def do_GET(self):
        note(operation="GET", path=self.path, range=self.headers.get("Range"))
        order = queued("GET")
        name = urllib.parse.unquote(urllib.parse.urlparse(self.path).path)
        try:
            with open(f"{BASE}/bundles{name}", "rb") as f:
                body = f.read()
        except FileNotFoundError:
            self.answer(404, b"<Error><Code>NoSuchKey</Code><Message>no such key</Message></Error>", "application/xml")
            return
        etag = f'"{hashlib.md5(body).hexdigest()}"'
        begin = self.headers.get("Range")
        if begin and self.headers.get("If-Range") == etag:
            first = int(begin.split("=")[1].split("-")[0])
            self.obey(order, 206, body[first:], "application/octet-stream",
                      [("ETag", etag), ("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")])
        else:
            self.obey(order, 200, body, "application/octet-stream", [("ETag", etag)])


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def finish_request(self, request, client_address):
        request.do_handshake()
        super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        pass


def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{BASE}/server.pem", f"{BASE}/server.key")
    context.load_verify_locations(f"{BASE}/ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    server = Server(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    print(f"listening on https://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


main()
