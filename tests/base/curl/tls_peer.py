# SPDX-License-Identifier: Apache-2.0
"""tls_peer.py KIND FOLDER NAME [CA]: a server on a free port, which it prints. The first line that a client
sends says what happens on its connection. The certificate and its key are NAME.pem and NAME.key in FOLDER.

KIND: tls, tls12 (no newer version), plain (HTTP without TLS), mute (accepts, and says nothing), shy
(closes at the first bytes).
With a CA, clients must have a certificate of it. A line of output is what a connection saw.
"""

import pathlib
import socket
import ssl
import sys
import threading

KIND, FOLDER, NAME = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]


def say(line):
    print(line, flush=True)


def read_all(peer):
    total = 0
    while data := peer.recv(65536):
        total += len(data)
    return total


def serve(peer):
    words = b""
    while not words.endswith(b"\n"):
        part = peer.recv(1)
        if not part:
            return say("ended")
        words += part
    what, *numbers = words.decode().split()
    while what == "POST":  # HTTP, on a connection that is kept
        while not words.endswith(b"\r\n\r\n"):
            words += peer.recv(1)
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        words = peer.recv(1)
        what = "POST" if words else "end of it"
    if what == "echo":
        while data := peer.recv(65536):
            peer.sendall(data)
    elif what == "send":  # so many bytes, and ends
        peer.sendall(b"x" * int(numbers[0]))
    elif what == "end":  # only its own direction
        peer.sendall(b"bye")
        peer.setblocking(False)
        try:
            peer.unwrap()
        except ssl.SSLError:
            pass
        raw = socket.socket(fileno=peer.detach())
        raw.setblocking(True)
        say(f"read {len(raw.recv(65536)) > 0}")
        return raw.close()
    elif what == "abort":  # without TLS's farewell
        peer.sendall(b"half")
        return socket.socket(fileno=peer.detach()).close()
    elif what == "reader":  # until the client ends, then answers
        peer.sendall(f"{read_all(peer)}".encode())
    elif what == "wait":  # reads nothing until it is told on standard input
        peer.sendall(b"waiting")
        sys.stdin.readline()
        say(f"read {read_all(peer)}")
        return peer.close()
    try:
        peer.unwrap()
    except OSError:
        pass
    peer.close()


def handle(raw, context):
    try:
        if KIND == "mute":
            return say(f"ended {read_all(raw) > 0}")
        if KIND in ("plain", "shy"):
            raw.recv(65536)
        if KIND == "shy":
            return raw.close()
        if KIND == "plain":
            raw.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            return raw.close()
        serve(context.wrap_socket(raw, server_side=True))
    except OSError as error:
        say(f"refused {getattr(error, 'reason', error)}")


def make_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if KIND == "tls12":
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(FOLDER / f"{NAME}.pem", FOLDER / f"{NAME}.key")
    if len(sys.argv) > 4:
        context.load_verify_locations(FOLDER / f"{sys.argv[4]}.pem")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def main():
    context = make_context()
    listener = socket.create_server(("127.0.0.1", 0))
    say(listener.getsockname()[1])
    while True:
        raw, _ = listener.accept()
        threading.Thread(target=handle, args=(raw, context), daemon=True).start()


main()
