# SPDX-License-Identifier: Apache-2.0
"""A WSGI application of two pages: / greets, /health says which version works."""
import importlib.metadata
import os

import waitress

VERSION = importlib.metadata.version("greeter")
PAGES = {
    "/": f"Hello from version {VERSION}.\n",
    "/health": f"ok {VERSION}\n",
}


def application(environ, start_response):
    text = PAGES.get(environ["PATH_INFO"])
    start_response("200 OK" if text else "404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
    return [(text or "no such page\n").encode()]


def main():
    waitress.serve(application, listen=os.environ.get("GREETER_LISTEN", "127.0.0.1:8083"))
