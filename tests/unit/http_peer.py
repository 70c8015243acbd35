# SPDX-License-Identifier: Apache-2.0
"""A peer for test_http: http_peer.py [CERT KEY [CLIENT_CA]]. Prints its port; ends when its standard input does."""
import http.server
import os
import socket
import ssl
import sys
import threading

CONTENT = bytes(range(256)) * 40


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    connections = 0

    def setup(self):
        super().setup()
        Handler.connections += 1
        self.number = Handler.connections

    def log_message(self, *args):
        pass

    def answer(self, body, status=200, headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def forever(self):
        self.rfile.read(1)  # until the client goes away

    def file(self):
        start = self.headers.get("Range")
        if not start:
            return self.answer(CONTENT)
        start = int(start[len("bytes="):-1])
        span = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
        self.answer(CONTENT[start:], 206, [("Content-Range", span)])

    def other_range(self):
        self.answer(CONTENT[1:], 206, [("Content-Range", f"bytes 1-{len(CONTENT) - 1}/{len(CONTENT)}")])

    def half(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:1000])
        self.close_connection = True

    def chunks(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for _ in range(100):
            self.wfile.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def echo(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        seen = ";".join(f"{k.lower()}={v}" for k, v in self.headers.items())
        self.answer(body, headers=[("X-Method", self.command), ("X-Seen", seen)])

    def headers_without_end(self):
        self.send_response(200)
        for i in range(500):
            self.send_header(f"X-{i}", "v" * 200)
        self.end_headers()

    def nonsense(self):
        self.wfile.write(b"\x00\x01 this is no HTTP at all\r\n\r\n")
        self.close_connection = True

    def route(self):
        routes = {
            "/hello": lambda: self.answer(b"hello"),
            "/who": lambda: self.answer(str(self.number).encode()),
            "/missing": lambda: self.answer(b'{"__type":"NoSuchKey"}', 404),
            "/moved": lambda: self.answer(b"", 302, [("Location", "/hello")]),
            "/empty": lambda: self.answer(b""),
            "/forever": self.forever,
            "/file": self.file,
            "/whole": lambda: self.answer(CONTENT),
            "/other-range": self.other_range,
            "/half": self.half,
            "/chunks": self.chunks,
            "/echo": self.echo,
            "/headers": self.headers_without_end,
            "/nonsense": self.nonsense,
        }
        routes[self.path.partition("?")[0]]()

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = route


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def finish_request(self, request, client_address):
        if isinstance(request, ssl.SSLSocket):
            try:
                request.do_handshake()
            except ssl.SSLError:
                # a reset, for bytes that nobody reads, would overtake the alert
                socket.socket.shutdown(request, socket.SHUT_WR)
                while socket.socket.recv(request, 4096):
                    pass
                raise
        super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        pass  # clients that go away are the point of some tests


def main():
    server = Server(("127.0.0.1", 0), Handler)
    if len(sys.argv) > 1:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[1], sys.argv[2])
        if len(sys.argv) > 3:
            context.load_verify_locations(sys.argv[3])
            context.verify_mode = ssl.CERT_REQUIRED
            # with 1.3 the refusal comes after the handshake, and a reset may overtake it
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True).start()
    print(server.server_address[1], flush=True)
    server.serve_forever()


main()
