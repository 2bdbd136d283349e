#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""goodbyes.py ADDRESS LABEL TYPE: prints each goodbye of this instance that comes to the interface
with ADDRESS, with the time (CLOCK_MONOTONIC) at which it came: `goodbye SECONDS`.

A goodbye is a record of TTL 0 (RFC 6762, 10.1): here, the PTR of TYPE.local that names the instance.
"""

import socket
import struct
import sys
import time

GROUP, PORT = "224.0.0.251", 5353
PTR = 12


def name_at(packet, at):
    """The labels of a name, pointers followed, and the place behind it."""
    labels, behind = [], None
    for _ in range(128):
        length = packet[at]
        if length >= 0xC0:
            behind = behind or at + 2
            at = (length & 0x3F) << 8 | packet[at + 1]
        elif length == 0:
            return labels, behind or at + 1
        else:
            labels.append(packet[at + 1 : at + 1 + length].decode("utf-8", "replace").lower())
            at += 1 + length
    raise ValueError("a name without an end")


def says_goodbye(packet, label, service_type):
    flags, questions, *counts = struct.unpack_from(">5H", packet, 2)
    if not flags & 0x8000:
        return False
    at = 12
    for _ in range(questions):
        at = name_at(packet, at)[1] + 4
    for _ in range(sum(counts)):
        owner, at = name_at(packet, at)
        rtype, _, ttl, size = struct.unpack_from(">HHIH", packet, at)
        at += 10 + size
        if rtype == PTR and ttl == 0 and owner == [*service_type.split("."), "local"]:
            if name_at(packet, at - size)[0][0] == label:
                return True
    return False


def main():
    address, label, service_type = sys.argv[1:4]
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind((GROUP, PORT))
    joined = socket.inet_aton(GROUP) + socket.inet_aton(address)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, joined)
    print("listening", flush=True)
    while True:
        packet, came = sock.recv(9000), time.monotonic()
        if says_goodbye(packet, label.lower(), service_type.lower()):
            print(f"goodbye {came:.6f}", flush=True)


if __name__ == "__main__":
    main()
