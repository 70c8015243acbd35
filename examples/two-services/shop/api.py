#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""POST /orders takes an order, GET and DELETE /orders/NUMBER show and forget it, GET /health says which revision works."""
import http.server
import re

import database

ADDRESS = ("127.0.0.1", 8082)
ITEM_BYTES_MAX = 1000


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with database.transaction() as db:
            if self.path == "/health":
                db.execute("SELECT count(*) FROM orders")
                return self.answer(200, f"ok {database.REVISION}\n")
            row = db.execute("SELECT item, state FROM orders WHERE id = ?", (self.order(),)).fetchone()
        self.answer(*((200, f"{row[0]}: {row[1]}\n") if row else (404, "no such order\n")))

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        if self.path != "/orders" or not 0 < length <= ITEM_BYTES_MAX:
            return self.answer(400, f"POST /orders takes an item of 1 to {ITEM_BYTES_MAX} bytes\n")
        item = " ".join(self.rfile.read(length).decode("utf-8", "replace").split())
        with database.transaction() as db:
            number = db.execute("INSERT INTO orders (item) VALUES (?)", (item,)).lastrowid
        self.answer(201, f"/orders/{number}\n")

    def do_DELETE(self):
        with database.transaction() as db:
            deleted = db.execute("DELETE FROM orders WHERE id = ?", (self.order(),)).rowcount
        self.answer(*((200, "forgotten\n") if deleted else (404, "no such order\n")))

    def order(self):
        match = re.fullmatch(r"/orders/([0-9]{1,15})", self.path)
        return int(match[1]) if match else -1

    def answer(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        pass


http.server.ThreadingHTTPServer(ADDRESS, Handler).serve_forever()
