#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""dns_recorder.py [--pace=S] SERVER PORT NAME...: asks for the A records of each NAME all the time, and prints every
answer; S seconds are between two questions for one name.

A line is JSON: name, sent and got (nanoseconds of the wall clock before the question and after the answer), status
(NOERROR, NODATA, NXDOMAIN or the number of another one), A (sorted), and ede ([code, text] or null).
"""

import json
import os
import select
import socket
import struct
import sys
import time

PACE_S = 0.004  # unless it is given
PATIENCE_S = 1.0
EDNS = b"\0" + struct.pack(">2HIH", 41, 1232, 0, 0)
EDE = 15


def question(name):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return os.urandom(2) + struct.pack(">5H", 0x0100, 1, 0, 0, 1) + labels + b"\0" + struct.pack(">2H", 1, 1) + EDNS


def skip_name(reply, at):
    while reply[at] and reply[at] < 0xC0:
        at += 1 + reply[at]
    return at + (2 if reply[at] else 1)


def read(reply):
    flags, _, answers, authority, additional = struct.unpack_from(">5H", reply, 2)
    at, addresses, error = skip_name(reply, 12) + 4, [], None
    for number in range(answers + authority + additional):
        at = skip_name(reply, at)
        rtype, _, _, size = struct.unpack_from(">HHIH", reply, at)
        data = reply[at + 10 : at + 10 + size]
        if rtype == 1 and number < answers:
            addresses.append(socket.inet_ntoa(data))
        while rtype == 41 and data:
            option, length = struct.unpack_from(">2H", data)
            if option == EDE:
                error = [struct.unpack_from(">H", data, 4)[0], data[6 : 4 + length].decode()]
            data = data[4 + length :]
        at += 10 + size
    status = {0: "NOERROR" if addresses else "NODATA", 3: "NXDOMAIN"}.get(flags & 15, str(flags & 15))
    return {"status": status, "A": sorted(addresses), "ede": error}


class Asker:
    """One question at a time for one name."""

    def __init__(self, server, name, pace):
        self.name, self.server, self.sock, self.pace = name, server, None, pace
        self.next = 0.0
        self.open()

    def open(self):
        if self.sock:
            self.sock.close()
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        self.sock.connect(self.server)
        self.asked = None

    def ask(self):
        packet = question(self.name)
        self.asked, self.sent = packet[:2], time.time_ns()
        self.until = time.monotonic() + PATIENCE_S
        try:
            self.sock.send(packet)
        except OSError:
            self.open()
            self.next = time.monotonic() + self.pace

    def hear(self):
        try:
            reply = self.sock.recv(4096)
        except OSError:
            return
        got = time.time_ns()
        if reply[:2] != self.asked:
            return
        self.asked, self.next = None, time.monotonic() + self.pace
        print(json.dumps({"name": self.name, "sent": self.sent, "got": got, **read(reply)}), flush=True)


def main():
    words, pace = sys.argv[1:], PACE_S
    if words[0].startswith("--pace="):
        pace = float(words.pop(0).removeprefix("--pace="))
    server = (words[0], int(words[1]))
    askers = [Asker(server, name, pace) for name in words[2:]]
    while True:
        now = time.monotonic()
        for asker in askers:
            if asker.asked is not None and now >= asker.until:
                asker.open()
            if asker.asked is None and now >= asker.next:
                asker.ask()
        ready, _, _ = select.select([asker.sock for asker in askers], [], [], pace / 2)
        for asker in askers:
            if asker.sock in ready:
                asker.hear()


if __name__ == "__main__":
    main()
