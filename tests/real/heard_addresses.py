#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""heard_addresses.py ADDRESS NAME: prints each IPv4 address of NAME (box.local) that a response on the link says, as
it comes to the interface with ADDRESS: `SECONDS TTL ADDRESS`, on CLOCK_MONOTONIC. A TTL of 0 is a goodbye (RFC 6762,
10.1)."""

import socket
import sys
import time

from peers.assembler import GROUP, PORT, A, records_of


def main():
    address, name = sys.argv[1:3]
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind((GROUP, PORT))
    joined = socket.inet_aton(GROUP) + socket.inet_aton(address)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, joined)
    print("listening", flush=True)
    while True:
        packet, came = sock.recv(9000), time.monotonic()
        if not packet[2] & 0x80:
            continue
        for owner, rtype, ttl, data in records_of(packet):
            if rtype == A and owner.lower() == name.lower():
                print(f"{came:.6f} {ttl} {data}", flush=True)


if __name__ == "__main__":
    main()
