# SPDX-License-Identifier: Apache-2.0
"""A peer that does one odd thing to the endpoint: server-peer.py URL CA WHAT [BODY]. Prints the status it got, or "closed"."""
import socket
import ssl
import sys
import time
import urllib.parse

DEADLINE = time.monotonic() + 20


def connect(url, ca, tls=True):
    sock = socket.create_connection((url.hostname, url.port), timeout=15)
    if not tls:
        return sock
    return ssl.create_default_context(cafile=ca).wrap_socket(sock, server_hostname=url.hostname)


def status(sock, data=b""):
    """The status of the next answer; its body (of the announced length) is read too."""
    try:
        while b"\r\n\r\n" not in data:
            part = sock.recv(4096)
            if not part:
                return "closed"
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                left = int(line.split(b":")[1]) - len(body)
                while left > 0:
                    left -= len(sock.recv(left))
        return head.split()[1].decode()
    except (ConnectionError, ssl.SSLError):
        return "closed"


def trickle(sock, first):
    """A byte now and then, faster than any timeout of silence, for ever."""
    sock.settimeout(0.2)
    try:
        sock.sendall(first)
        while time.monotonic() < DEADLINE:
            try:
                if not sock.recv(1):
                    return "closed"
            except (TimeoutError, socket.timeout, ssl.SSLWantReadError):
                pass
            sock.sendall(b"x")
    except (ConnectionError, ssl.SSLError):
        return "closed"
    return "open"


def main():
    url, ca, what = urllib.parse.urlsplit(sys.argv[1]), sys.argv[2], sys.argv[3]
    sock = connect(url, ca, what != "plain")
    post = b"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: CodeDeploy_20141006.GetDeployment\r\n"
    if what == "silent":
        print(status(sock))
    elif what == "trickle-headers":
        print(trickle(sock, b"GET /x/y HTTP/1.1\r\nHost: x\r\nX-Slow: "))
    elif what == "trickle-body":
        print(trickle(sock, post + b"Content-Length: 100000\r\n\r\n"))
    elif what == "twice":
        request = post + b"Content-Length: 2\r\n\r\n{}"
        sock.sendall(request)
        first = status(sock)
        sock.sendall(request)
        print(first, status(sock))
    elif what == "garbage":
        sock.sendall(b"HELLO\r\n\r\n")
        print(status(sock))
    elif what == "big-header":
        try:  # the answer may be lost when the connection closes while we still send
            sock.sendall(b"GET /x/y HTTP/1.1\r\nHost: x\r\nX-Big: " + b"x" * 60000)
            print("refused" if status(sock) in ("431", "closed") else "taken")
        except (ConnectionError, ssl.SSLError):
            print("refused")
    elif what == "announced":
        sock.sendall(post + b"Content-Length: 99999999999\r\n\r\n")
        print(status(sock))
    elif what == "chunked":
        sock.sendall(post + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(33):
            sock.sendall(b"8000\r\n" + b" " * 0x8000 + b"\r\n")
        sock.sendall(b"0\r\n\r\n")
        print(status(sock))
    elif what == "guess":  # wrong enrolments until they are not even looked at any more
        body = sys.argv[4].encode()
        request = b"POST /slipway/v1/enroll HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        seen = []
        while len(seen) < 40 and "429" not in seen:
            sock.sendall(request)
            seen.append(status(sock))
        print(seen[-1])
    elif what == "absolute":
        sock.sendall(b"GET https://elsewhere/x/y HTTP/1.1\r\nHost: x\r\n\r\n")
        print(status(sock))
    elif what == "plain":
        sock.sendall(b"GET /x/y HTTP/1.1\r\nHost: x\r\n\r\n")
        print(status(sock))


main()
