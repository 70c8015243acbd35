# SPDX-License-Identifier: Apache-2.0
"""A proxy for CONNECT. Run as a program it prints "listening on PORT"; and for each request "METHOD HOST:PORT USER:PASSWORD"."""
import base64
import re
import socket
import threading


def read_head(conn):
    head = b""
    while b"\r\n\r\n" not in head:
        data = conn.recv(65536)
        if not data:
            return b""
        head += data
    return head


def copy(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
        b.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def serve(conn):
    head = read_head(conn)
    if not head:
        return
    method, target = head.decode().split()[:2]
    login = re.search(rb"(?i)^Proxy-Authorization: Basic (\S+)", head, re.M)
    print(method, target, base64.b64decode(login[1]).decode() if login else "", flush=True)
    host, port = target.rsplit(":", 1)
    there = socket.create_connection((host.strip("[]"), int(port)))
    conn.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    threading.Thread(target=copy, args=(there, conn), daemon=True).start()
    copy(conn, there)


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", 0)) as server:
        print("listening on", server.getsockname()[1], flush=True)
        while True:
            threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
