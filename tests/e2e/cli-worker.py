#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A worker that does nothing but talk (docs/formats/worker.md), as $PLAY says:

die    dies in the middle of a step; asked to recover, it says that it rolled back
again  dies whatever it is asked
hold   waits in a step until $HOLD/go exists, and tells $HOLD/at that it is there
noise  sends what no worker sends, then a result
bar    shows progress and output, then fails
mute   is the real worker, but the result of a deployment gets lost
"""
import json
import os
import socket
import subprocess
import sys
import time

sock = socket.socket(fileno=3)
packet, fds, _, _ = socket.recv_fds(sock, 1 << 18, 1)
request = json.loads(packet)
play, hold = os.environ["PLAY"], os.environ.get("HOLD", "")
with open(os.environ["REQUESTS"], "a") as log:
    print(json.dumps(request), file=log)


def say(event, **members):
    sock.send(json.dumps({"event": event, **members}).encode())


def step(name, state, **members):
    say("step", step=name, state=state, deployment="d-1", **members)


if play == "mute":
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    subprocess.Popen([os.environ["top_builddir"] + "/slipway-worker", *sys.argv[1:]], close_fds=False,
                     preexec_fn=lambda: os.dup2(theirs.fileno(), 3))
    theirs.close()
    socket.send_fds(ours, [packet], fds)
    while packet := ours.recv(1 << 18):
        if request["verb"] != "deploy" or json.loads(packet)["event"] != "result":
            sock.send(packet)
if play in ("die", "again") and request["verb"] != "recover":
    step("Install", "started")
    os._exit(137)
if play == "again":
    os._exit(137)
if play == "die":
    say("recovered", group_id="g", deployment="d-1", what="rolled back", text="")
    say("result", exit=0)
if play == "hold":
    step("ApplicationStart", "started")
    open(hold + "/at", "w").close()
    while not os.path.exists(hold + "/go"):
        time.sleep(0.02)
    open(hold + "/done", "w").close()
if play == "noise":
    say("invented", text="x")
    sock.send(b'{"no":"event"}')
    step("Install", "succeeded", seconds="long", message="\x1b[31mred\x07")
    say("result", exit=0, deployment="d-1", group_id="g")
if play == "bar":
    say("progress", what="unpack", done=50, total=100)
    step("ApplicationStart", "started")
    say("output", stream="stdout", line="warming \x1b[2J up")
    step("ApplicationStart", "failed", seconds=61, message="exit code 3")
    step("Rollback: ApplicationStart", "started")
    step("Rollback: ApplicationStart", "succeeded", seconds=0.1)
    say("result", exit=1, code="script_failed", text="exit code 3", deployment="d-1", group_id="g")
sys.exit(0)
