# SPDX-License-Identifier: Apache-2.0
"""Asks slipwayd over its socket: daemon-ask.py RUN-DIRECTORY. A question is a line "REQUEST [MEMBER]"; so is its answer, empty
when the daemon gives none."""
import json
import os
import socket
import sys


def ask(request, member=None):
    os.chdir(sys.argv[1])  # the path may be too long for an address
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.settimeout(10)
        s.connect("agent.sock")
        s.send(json.dumps({"request": request}).encode())
        answer = s.recv(65536).decode()
    return json.loads(answer).get(member) if member else answer


for line in sys.stdin:
    try:
        print(ask(*line.split()), flush=True)
    except (OSError, ValueError):
        print(flush=True)
