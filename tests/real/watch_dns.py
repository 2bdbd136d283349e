#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""watch_dns.py SERVER PORT NAME: asks for the A records of NAME all the time, and prints each new
state on a line.

A line is the RCODE's number and the sorted addresses, `0 10.77.0.1 10.77.0.2`, or `none` when there
is no reply. A NAME that begins with "*." is asked as another name each time.
"""

import itertools
import os
import select
import socket
import struct
import sys

PACE_S = 0.005  # between two askings: the resolution of what is measured with it
PATIENCE_S = 0.5


def ask(sock, name):
    wanted = os.urandom(2)
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    sock.send(
        wanted + struct.pack(">5H", 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", 1, 1)
    )
    while select.select([sock], [], [], PATIENCE_S)[0]:
        reply = sock.recv(4096)
        if reply[:2] == wanted:
            return state(reply)
    return "none"


def skip_name(reply, at):
    while reply[at] and reply[at] < 0xC0:
        at += 1 + reply[at]
    return at + (2 if reply[at] else 1)


def state(reply):
    flags, _, answers = struct.unpack_from(">3H", reply, 2)
    at, addresses = skip_name(reply, 12) + 4, []
    for _ in range(answers):
        at = skip_name(reply, at)
        rtype, _, _, size = struct.unpack_from(">HHIH", reply, at)
        if rtype == 1:
            addresses.append(socket.inet_ntoa(reply[at + 10 : at + 14]))
        at += 10 + size
    return " ".join([str(flags & 15)] + sorted(addresses))


def main():
    server, port, name = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    last = None
    for number in itertools.count():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect((server, port))
            try:
                now = ask(sock, name.replace("*", f"n{number}"))
            except OSError:
                now = "none"
        if now != last:
            print(now, flush=True)
            last = now
        select.select([], [], [], PACE_S)


if __name__ == "__main__":
    main()
