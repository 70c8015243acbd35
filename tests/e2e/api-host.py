# SPDX-License-Identifier: Apache-2.0
"""A host that speaks the command API and does nothing else: polls, reads the specification, acknowledges, completes.

api-host.py URL CA NAME CERT KEY [--fail EVENT] [--noop EVENT,...] [--hold EVENT FILE]
Prints one line for each command: its event and what was answered to the acknowledgement. Runs until it is killed.
--fail reports that event as failed; --noop says that there is nothing to do; --hold acknowledges that event and waits with its end
until FILE exists."""
import argparse
import base64
import http.client
import json
import os
import re
import ssl
import sys
import time
import urllib.parse

PREFIX = "CodeDeployCommandService_v20141006."


class Host:
    def __init__(self, args):
        self.args = args
        self.url = urllib.parse.urlsplit(args.url)
        self.context = ssl.create_default_context(cafile=args.ca)
        self.context.load_cert_chain(args.cert, args.key)
        self.identifier = f"arn:aws:codedeploy:us-east-1:000000000000:instance/{args.name}"
        self.connection = None

    def call(self, operation, body):
        """An answer that is no answer (the endpoint was killed) is asked for again, as agents do."""
        while True:
            try:
                if not self.connection:
                    self.connection = http.client.HTTPSConnection(self.url.hostname, self.url.port, context=self.context, timeout=90)
                self.connection.request("POST", "/", json.dumps(body),
                                        {"X-Amz-Target": PREFIX + operation, "Content-Type": "application/x-amz-json-1.1"})
                answer = self.connection.getresponse()
                text = answer.read()
                if answer.status < 500:
                    return answer.status, json.loads(text or b"{}")
            except (OSError, http.client.HTTPException):
                pass
            self.connection = None
            time.sleep(0.05)

    def need(self, operation, body):
        status, answer = self.call(operation, body)
        if status != 200:
            print("refused", operation, status, answer.get("__type"), answer.get("message"), flush=True)
            sys.exit(1)
        return answer

    def specification(self, command):
        answer = self.need("GetDeploymentSpecification",
                           {"DeploymentExecutionId": command["DeploymentExecutionId"], "HostIdentifier": self.identifier})
        assert answer["DeploymentSystem"] == "CodeDeploy", answer
        envelope = answer["DeploymentSpecification"]["GenericEnvelope"]
        assert envelope["Format"] == "PKCS7/JSON", envelope
        content = base64.b64decode("".join(envelope["Payload"].splitlines()[1:-1]))
        assert self.identifier.encode() in content and b"DeploymentGroupId" in content

    def complete(self, command, ok):
        payload = {"error_code": 0 if ok else 4, "script_name": "" if ok else "scripts/check.sh",
                   "message": "Succeeded: " if ok else "Script at specified location: scripts/check.sh failed with exit code 7",
                   "log": "" if ok else "LifecycleEvent - x\n[stderr]no\n"}
        self.need("PutHostCommandComplete",
                  {"HostCommandIdentifier": command["HostCommandIdentifier"], "CommandStatus": "Succeeded" if ok else "Failed",
                   "Diagnostics": {"Format": "JSON", "Payload": json.dumps(payload)}})

    def perform(self, command):
        event = command["CommandName"]
        assert command["HostIdentifier"] in self.identifier, command
        assert re.match(r"^[^/]+/[^/]+/[^/]+/.+$", command["DeploymentExecutionId"]), command
        self.specification(command)
        noop = event in self.args.noop.split(",")
        status = self.need("PutHostCommandAcknowledgement",
                           {"HostCommandIdentifier": command["HostCommandIdentifier"],
                            "Diagnostics": {"Format": "JSON", "Payload": json.dumps({"IsCommandNoop": noop})}})["CommandStatus"]
        print(event, status, flush=True)
        if status in ("Succeeded", "Failed"):
            return
        if self.args.hold and self.args.hold[0] == event:
            while not os.path.exists(self.args.hold[1]):
                time.sleep(0.02)
        self.complete(command, event != self.args.fail)

    def run(self):
        while True:
            command = self.need("PollHostCommand", {"HostIdentifier": self.identifier}).get("HostCommand")
            if command:
                self.perform(command)


parser = argparse.ArgumentParser()
for name in ("url", "ca", "name", "cert", "key"):
    parser.add_argument(name)
parser.add_argument("--fail", default="")
parser.add_argument("--noop", default="")
parser.add_argument("--hold", nargs=2)
Host(parser.parse_args()).run()
