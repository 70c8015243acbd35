#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A web service of two pages: / greets and names the revision, /health says whether it could."""
import configparser
import http.server
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent


def greeting():
    """The text of the front page: what the revision brought and what AfterInstall configured."""
    settings = configparser.ConfigParser()
    settings.read(HERE / "settings.ini")
    text = (HERE / "greeting.txt").read_text(encoding="utf-8").strip()
    revision = (HERE / "revision.txt").read_text(encoding="utf-8").strip()
    return f"{text} This is revision {revision} on {settings['host']['name']}.\n"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            text = "ok\n" if self.path == "/health" and greeting() else greeting()
            status = 200
        except (OSError, KeyError) as problem:
            text, status = f"{type(problem).__name__}: {problem}\n", 500
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        pass


http.server.ThreadingHTTPServer.allow_reuse_address = True
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
