#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""goodbyes.py ADDRESS LABEL TYPE: prints each goodbye of this instance that comes to the interface
with ADDRESS, with the time (CLOCK_MONOTONIC) at which it came: `goodbye SECONDS`.

A goodbye is a record of TTL 0 (RFC 6762, 10.1): here, the PTR of TYPE.local that names the instance.
"""

import struct
import sys
import time

from peers.assembler import PORT, PTR, listener, records_of


def says_goodbye(packet, label, service_type):
    wanted = f"{service_type}.local".lower(), PTR, 0, f"{label}.{service_type}.local".lower()
    return bool(packet[2] & 0x80) and any(
        (owner.lower(), rtype, ttl, data.lower()) == wanted
        for owner, rtype, ttl, data in records_of(packet)
        if rtype == PTR
    )


def main():
    address, label, service_type = sys.argv[1:4]
    sock = listener(address, PORT)
    print("listening", flush=True)
    while True:
        packet, came = sock.recv(9000), time.monotonic()
        if says_goodbye(packet, label.lower(), service_type.lower()):
            print(f"goodbye {came:.6f}", flush=True)


if __name__ == "__main__":
    main()
