#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A host that answers every command at once, for tests of what people see of a deployment.

fleet-host.py ROOT [EVENT=FILE]...: polls with the identity that 'slipway enroll' left below ROOT. An EVENT given as
"fail" fails with a script's diagnostics; else it waits until FILE exists. Prints "polling", then each command's name."""
import http.client
import json
import os
import ssl
import sys
import time
import urllib.parse

AGENT = sys.argv[1] + "/var/lib/slipway/agent"
ORDERS = dict(word.split("=", 1) for word in sys.argv[2:])
FAILURE = {"error_code": 4, "script_name": "scripts/check.sh", "log": "LifecycleEvent - ValidateService\n[stderr]no answer\n",
           "message": "Script at specified location: scripts/check.sh failed with exit code 7"}

with open(AGENT + "/identity.json", encoding="utf-8") as f:
    identity = json.load(f)
context = ssl.create_default_context(cafile=AGENT + "/ca.pem")
context.load_cert_chain(AGENT + "/keys/cert.pem", AGENT + "/keys/key.pem")
where = urllib.parse.urlsplit(identity["endpoint"])
peer = http.client.HTTPSConnection(where.hostname, where.port, context=context, timeout=90)


def call(operation, **body):
    peer.request("POST", "/", json.dumps(body), {"Content-Type": "application/x-amz-json-1.1",
                                                "X-Amz-Target": "CodeDeployCommandService_v20141006." + operation})
    answer = peer.getresponse()
    text = answer.read()
    if answer.status != 200:
        sys.exit(f"{operation}: {answer.status} {text}")
    return json.loads(text or "{}")


def payload(**members):
    return {"Format": "JSON", "Payload": json.dumps(members)}


def run(command):
    name, ident = command["CommandName"], command["HostCommandIdentifier"]
    print(name, flush=True)
    call("PutHostCommandAcknowledgement", HostCommandIdentifier=ident, Diagnostics=payload(IsCommandNoop=False))
    order = ORDERS.get(name)
    while order and order != "fail" and not os.path.exists(order):
        time.sleep(0.02)
    if order == "fail":
        status, diagnostics = "Failed", payload(**FAILURE)
    else:
        status, diagnostics = "Succeeded", payload(error_code=0, script_name="", message="Succeeded: ", log="")
    call("PutHostCommandComplete", HostCommandIdentifier=ident, CommandStatus=status, Diagnostics=diagnostics)


print("polling", flush=True)
while True:
    command = call("PollHostCommand", HostIdentifier=identity["host_identifier"]).get("HostCommand")
    if command:
        run(command)
