# SPDX-License-Identifier: Apache-2.0
"""upstream.py ADDRESS CLIENT MODE-FILE: a name server for A questions, whose mode is read at each of them.

right       192.0.2.80, for a second
dead        nothing
slow        the same after 1.6 s (a later question does not wait for it)
late        the same after 3 s
refused, servfail
truncated   TC without records; TCP is not served
wrong-id    right, but for the id
garbage     octets
loop        asks CLIENT's name server the same question, and hands its answer on
dead-name   right, but nothing for names below "dead."
"""

import pathlib
import socket
import struct
import sys
import threading
import time

ANSWER = b"\xc0\x0c" + struct.pack(">2HIH", 1, 1, 1, 4) + bytes([192, 0, 2, 80])


def question(query):
    at = 12
    while query[at]:
        at += 1 + query[at]
    return query[12 : at + 5]


def reply(query, rcode=0, tc=False, records=b"", count=0):
    flags = 0x8180 | rcode | (0x0200 if tc else 0)
    return query[:2] + struct.pack(">5H", flags, 1, count, 0, 0) + question(query) + records


def looped(query, client):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.sendto(query, (client, 53))
        try:
            return sock.recv(4096)
        except OSError:
            return None


def answer(mode, query, client):
    right = reply(query, records=ANSWER, count=1)
    if mode in ("slow", "late"):
        time.sleep(1.6 if mode == "slow" else 3)
        return right
    if mode == "dead" or mode == "dead-name" and b"\4dead\0" in query:
        return None
    if mode == "refused":
        return reply(query, 5)
    if mode == "servfail":
        return reply(query, 2)
    if mode == "truncated":
        return reply(query, tc=True)
    if mode == "wrong-id":
        return bytes([query[0] ^ 1]) + right[1:]
    if mode == "garbage":
        return query[:2] + b"\xff" * 60
    if mode == "loop":
        return looped(query, client)
    return right


def main():
    address, client, file = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((address, 53))
        print("listening", flush=True)

        def serve(query, sender):
            said = answer(file.read_text().strip(), query, client)
            if said:
                sock.sendto(said, sender)

        while True:
            query, sender = sock.recvfrom(4096)
            threading.Thread(target=serve, args=(query, sender), daemon=True).start()


if __name__ == "__main__":
    main()
