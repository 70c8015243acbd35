#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A notice board: GET / shows the notices, POST / pins one, GET /health says which revision works."""
import http.server
import os
import pathlib
import signal
import socket
import sys

HERE = pathlib.Path(__file__).resolve().parent
REVISION = (HERE / "revision.txt").read_text(encoding="utf-8").strip()
NOTICES = pathlib.Path(os.environ["STATE_DIRECTORY"]) / "notices.txt"
NOTICE_BYTES_MAX = 1000


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/health":
            NOTICES.touch()  # healthy is who can write
            return self.answer(200, f"ok {REVISION}\n")
        if self.path != "/":
            return self.answer(404, "no such page\n")
        notices = NOTICES.read_text(encoding="utf-8") if NOTICES.exists() else ""
        self.answer(200, f"{os.environ['NOTICEBOARD_TITLE']}, revision {REVISION}\n{notices}")

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 < length <= NOTICE_BYTES_MAX:
            return self.answer(400, f"a notice has 1 to {NOTICE_BYTES_MAX} bytes\n")
        notice = " ".join(self.rfile.read(length).decode("utf-8", "replace").split())
        with NOTICES.open("a", encoding="utf-8") as file:
            file.write(notice + "\n")
        self.answer(201, "pinned\n")

    def answer(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        pass


def say_ready():
    """Tell systemd that requests are answered from now on (Type=notify)."""
    name = os.environ.get("NOTIFY_SOCKET")
    if not name:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"READY=1", "\0" + name[1:] if name[0] == "@" else name)


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
address = (os.environ["NOTICEBOARD_ADDRESS"], int(os.environ["NOTICEBOARD_PORT"]))
with http.server.ThreadingHTTPServer(address, Handler) as server:
    say_ready()
    server.serve_forever()
