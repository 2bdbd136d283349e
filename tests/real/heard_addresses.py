#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""heard_addresses.py ADDRESS NAME: prints each IPv4 address of NAME (box.local) that a response on the link says, as
it comes to the interface with ADDRESS: `SECONDS TTL ADDRESS`, on CLOCK_MONOTONIC. A TTL of 0 is a goodbye (RFC 6762,
10.1)."""

import sys
import time

from peers.assembler import PORT, A, listener, records_of


def main():
    address, name = sys.argv[1:3]
    sock = listener(address, PORT)
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
