#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A worker that does as it is told, for tests of slipwayd; it speaks docs/formats/worker.md on descriptor 3.

It follows the words of the file $FAKE/COMMAND-NAME (or $FAKE/recover, $FAKE/orphan), else of the defaults below. Each
start is one JSON line in $FAKE/log. Words:

    ready noop opened go fetch    the dialogue; "go" waits for it and ends the worker on anything else
    known                  if there is a result: say so and end
    result                 write a Succeeded result and say so
    open                   the same, but the deployment goes on
    tomorrow               the same as open, by a clock that is a day ahead
    refuse                 a result without a file: code bad_input
    busy                   a result without a file: code busy
    done                   the result of recover and orphan
    die                    SIGKILL to itself
    wait:NAME              until the file $FAKE/NAME exists, 30 s at most
    begun                  what recovery reads: this command had begun
    finish                 recover: write a Failed result for each command that had begun
"""
import array
import glob
import hashlib
import json
import os
import signal
import socket
import sys
import time

FAKE = os.environ["FAKE"]
ROOT = sys.argv[sys.argv.index("--root") + 1]
RESULTS = f"{ROOT}/var/lib/slipway/host/results"
DEFAULTS = {"recover": "finish done", "orphan": "done"}
sock = socket.socket(fileno=3)


def send(**message):
    try:
        sock.send(json.dumps(message).encode())
    except OSError:
        pass


def receive():
    """The next message and its descriptor; ({}, None) when the caller is gone."""
    data, ancillary, _, _ = sock.recvmsg(200000, 64)
    fd = None
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fd = array.array("i", content)[0]
    return (json.loads(data) if data else {}), fd


def note(**what):
    with open(f"{FAKE}/log", "a") as log:
        log.write(json.dumps(what) + "\n")


def name_of(command):
    return hashlib.sha256(command["HostCommandIdentifier"].encode()).hexdigest()[:32] + ".json"


def write_result(command, group, deployment, status="Succeeded", is_open=False, code=0, ahead_s=0):
    os.makedirs(RESULTS, exist_ok=True)
    name = name_of(command)
    payload = json.dumps({"error_code": code, "script_name": "", "message": "Succeeded: \u00e4", "log": ""})
    result = {"version": 1, "command_id": command["HostCommandIdentifier"], "group_id": group,
              "deployment_id": deployment, "event": command["CommandName"], "status": status, "payload": payload,
              "finished_s": int(time.time()) + ahead_s, "open": is_open}
    with open(f"{RESULTS}/.{name}", "w") as f:
        json.dump(result, f)
    os.rename(f"{RESULTS}/.{name}", f"{RESULTS}/{name}")
    return name


def finish_begun():
    for path in glob.glob(f"{FAKE}/begun-*"):
        with open(path) as f:
            begun = json.load(f)
        write_result(begun["command"], begun["group"], begun["deployment"], "Failed", code=7)
        os.unlink(path)


def fetch(spec):
    send(event="fetch", revision=spec["Revision"], **json.loads(os.environ.get("FAKE_FETCH", "{}")))
    message, fd = receive()
    what = {k: message.get(k) for k in ("verb", "type", "code", "text")}
    if fd is not None:
        with os.fdopen(fd, "rb") as f:
            f.seek(0)
            what["sha256"] = hashlib.sha256(f.read()).hexdigest()
    note(fetched=what)


def main():
    first, _ = receive()
    verb, command = first["verb"], first.get("command", {})
    note(verb=verb, command=command.get("HostCommandIdentifier"), acked=first.get("acked", False),
         group=first.get("group_id"))
    spec = json.loads(first["specification"]["Payload"]) if command else {}
    group, deployment = spec.get("DeploymentGroupId"), spec.get("DeploymentId")
    script = f"{FAKE}/{command.get('CommandName', verb)}"
    words = DEFAULTS.get(verb, "known ready go result")
    if os.path.exists(script):
        with open(script) as f:
            words = f.read()
    noop = opened = False
    for word in words.split():
        if word == "noop":
            noop = True
        elif word == "opened":
            opened = True
        elif word == "known" and os.path.exists(f"{RESULTS}/{name_of(command)}"):
            send(event="known", result=name_of(command))
            send(event="result", exit=0, file=name_of(command))
            return
        elif word == "ready":
            send(event="ready", noop=noop, open=opened, deployment=deployment, group=group,
                 event_name=command["CommandName"])
        elif word == "go" and not first.get("acked"):
            message, _ = receive()
            note(told=message.get("verb"), command=command["HostCommandIdentifier"])
            if message.get("verb") != "go":
                return
        elif word == "fetch":
            fetch(spec)
        elif word in ("result", "open", "tomorrow"):
            send(event="step", deployment=deployment, step=command["CommandName"], state="succeeded")
            send(event="result", exit=0, file=write_result(command, group, deployment, is_open=word != "result",
                                                           ahead_s=86400 if word == "tomorrow" else 0))
        elif word == "refuse":
            send(event="result", exit=2, code="signature_mismatch", text="the specification is not signed by the CA")
        elif word == "busy":
            send(event="result", exit=6, code="busy", text="another deployment holds the lock")
        elif word == "begun":
            with open(f"{FAKE}/begun-{name_of(command)}", "w") as f:
                json.dump({"command": command, "group": group, "deployment": deployment}, f)
        elif word == "finish":
            finish_begun()
        elif word == "done":
            send(event="result", exit=0)
        elif word.startswith("wait:"):
            end = time.monotonic() + 30
            while not os.path.exists(f"{FAKE}/{word[5:]}") and time.monotonic() < end:
                time.sleep(0.02)
        elif word == "die":
            os.kill(os.getpid(), signal.SIGKILL)


main()
