#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What 'slipway doctor' is to find: doctor-peer.py DIR prints "NAME PORT" for each endpoint and proxy, each with a fault of its
own. DIR has NAME.pem and NAME.key, and ca.pem."""
import email.utils
import json
import os
import socket
import ssl
import sys
import threading
import time
import warnings

from proxy import read_head, serve as proxy

directory = sys.argv[1]
warnings.simplefilter("ignore")  # TLS 1.1 is old, and meant
open_for_ever = []


def answer(conn, status, body, skew):
    conn.sendall((f"HTTP/1.1 {status} X\r\nDate: {email.utils.formatdate(time.time() + skew, usegmt=True)}\r\n"
                  f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}").encode())


def endpoint(conn, skew=0, fault="ClientException", status=400):
    """GET is answered 404; the question is answered with the fault."""
    while True:
        head = read_head(conn)
        if not head:
            return
        if head.startswith(b"GET"):
            answer(conn, 404, "", skew)
        else:
            answer(conn, status, json.dumps({"__type": fault, "message": "said the peer"}), skew)


def tls(certificate, then, demand=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{directory}/{certificate}.pem", f"{directory}/{certificate}.key")
    if demand:
        context.load_verify_locations(f"{directory}/{demand}.pem")
        context.verify_mode = ssl.CERT_REQUIRED

    def serve(conn):
        with context.wrap_socket(conn, server_side=True) as wrapped:
            then(wrapped)
    return serve


def old(conn):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    context.load_cert_chain(f"{directory}/server.pem", f"{directory}/server.key")
    context.wrap_socket(conn, server_side=True)


def hang(conn):
    open_for_ever.append(conn)
    threading.Event().wait()


def nonsense(conn):
    conn.recv(1)
    answer(conn, 400, "this is no TLS", 0)


def refuse(status):
    def serve(conn):
        read_head(conn)
        conn.sendall(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())
    return serve


kinds = {
    "good": tls("server", endpoint),
    "denies": tls("server", lambda c: endpoint(c, fault="AccessDeniedException", status=403)),
    "throttles": tls("server", lambda c: endpoint(c, fault="ThrottlingException", status=400)),
    "ill": tls("server", lambda c: endpoint(c, fault="ServerException", status=500)),
    "ahead": tls("server", lambda c: endpoint(c, skew=3600)),
    "behind": tls("server", lambda c: endpoint(c, skew=-100)),
    "mute": tls("server", hang),
    "picky": tls("server", endpoint, demand="other-ca"),
    "expired": tls("expired", endpoint),
    "self": tls("self", endpoint),
    "stranger": tls("stranger", endpoint),
    "name": tls("name", endpoint),
    "old": old,
    "silent": hang,
    "plain": nonsense,
    "proxy": proxy,
    "proxy-login": refuse(407),
    "proxy-forbids": refuse(403),
    "proxy-lost": refuse(502),
    "proxy-silent": hang,
}


def run(server, serve):
    while True:
        conn, _ = server.accept()

        def one(conn=conn):
            try:
                serve(conn)
            except OSError:
                pass
            finally:
                conn.close()
        threading.Thread(target=one, daemon=True).start()


for name, serve in kinds.items():
    server = socket.create_server(("127.0.0.1", 0))
    print(name, server.getsockname()[1], flush=True)
    threading.Thread(target=run, args=(server, serve), daemon=True).start()
closed = socket.socket()
closed.bind(("127.0.0.1", 0))  # nobody listens, and nobody else gets the port
print("closed", closed.getsockname()[1], flush=True)
print("all are there", flush=True)
threading.Event().wait()
