# SPDX-License-Identifier: Apache-2.0
"""A network that fails: passes connections on to PORT, but in the first one in which the client sends more than a handshake it
loses what the server answers to that, and ends it. Prints its own port, and "lost" when that has happened."""
import select
import socket
import sys

HANDSHAKE = 900  # bytes: a client's part of a handshake has less, with a request it is more
ANSWER = 1200  # bytes: session tickets have less, an answer with two certificates has more
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
lost = 0
while True:
    client, _ = server.accept()
    upstream = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    sent, loses = 0, False
    while True:
        end = select.select([client, upstream], [], [])[0][0]
        try:
            data = end.recv(65536)
            if end is client:
                sent += len(data)
            elif loses or (sent > HANDSHAKE and lost == 0):
                loses, lost = True, lost + len(data)
                if lost < ANSWER:
                    continue
                print("lost", flush=True)
                break
            if not data:
                break
            (upstream if end is client else client).sendall(data)
        except OSError:
            break
    client.close()
    upstream.close()
