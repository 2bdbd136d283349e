#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""client_loop.py SERVER NAME PORT: resolves NAME and gets its page, again and again, until SIGTERM.

As a program without a cache does it: each time a question to SERVER's port 53, and a new connection to the first
address of the answer. Each failure is a line; the last line is the account, as JSON.
"""

import json
import signal
import socket
import struct
import sys
import time

RATE = 300  # tries a second at most
PATIENCE_S = 2.0


def first_address(server, name, ident):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    question = labels + b"\0" + struct.pack(">2H", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE_S)
        sock.connect((server, 53))
        sock.send(struct.pack(">6H", ident, 0x0100, 1, 0, 0, 0) + question)
        reply = sock.recv(4096)
    at = 12 + len(question)
    if reply[:2] != struct.pack(">H", ident) or struct.unpack_from(">H", reply, 6)[0] == 0:
        raise OSError("an answer without an address")
    # The owner is the question's name: a pointer of two octets; then type, class, TTL, length.
    return socket.inet_ntoa(reply[at + 12 : at + 16])


def get(address, port, name):
    with socket.create_connection((address, port), timeout=PATIENCE_S) as sock:
        sock.settimeout(PATIENCE_S)
        sock.sendall(f"GET / HTTP/1.0\r\nHost: {name}\r\n\r\n".encode())
        reply = b""
        while part := sock.recv(4096):
            reply += part
    if b" 200 " not in reply.split(b"\r\n", 1)[0]:
        raise OSError(f"{reply[:40]!r} from {address}")


def main():
    server, name, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
    going = [True]
    signal.signal(signal.SIGTERM, lambda *_: going.clear())
    begun, tries, failures, served = time.monotonic(), 0, 0, {}
    while going:
        tries += 1
        address = "?"
        try:
            address = first_address(server, name, tries & 0xFFFF)
            get(address, port, name)
            served[address] = served.get(address, 0) + 1
        except OSError as why:
            failures += 1
            print(f"failure {time.monotonic() - begun:.3f} s {address}: {why}", flush=True)
        time.sleep(max(0, begun + tries / RATE - time.monotonic()))
    seconds = time.monotonic() - begun
    print(json.dumps({"tries": tries, "failures": failures, "seconds": seconds, "served": served}))


if __name__ == "__main__":
    main()
