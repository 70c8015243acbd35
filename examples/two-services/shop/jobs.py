#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Carries new orders out, one at a time. SIGTERM lets it finish the one that it is at."""
import os
import signal
import socket
import threading

import database

stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())

if name := os.environ.get("NOTIFY_SOCKET"):  # Type=notify
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notice:
        notice.sendto(b"READY=1", "\0" + name[1:] if name[0] == "@" else name)

while not stop.wait(0.2):
    with database.transaction() as db:
        row = db.execute("SELECT id FROM orders WHERE state = 'new' ORDER BY id LIMIT 1").fetchone()
        if row:
            db.execute("UPDATE orders SET state = 'done' WHERE id = ?", row)
