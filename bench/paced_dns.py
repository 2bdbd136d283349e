#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""paced_dns.py ADDRESS PORT NAME SECONDS: asks for NAME (type A) every 2 ms, whether answers come or not.

Prints the delays in milliseconds, counted from when each question was due, and how many questions had no answer
within a second after the end. Runs before everything else of its core, so that it measures the server.
"""

import contextlib
import gc
import os
import select
import socket
import struct
import sys
import time

PAUSE = 0.002
LINGER = 1.0


def question(ident, name):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!6H", ident, 0x100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1"


def ask(address, port, name, seconds):
    due_of, delays = {}, []
    begin = time.monotonic()
    end = begin + seconds
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        client.connect((address, port))
        due, ident = begin, 0
        while True:
            now = time.monotonic()
            if now >= due and due < end:
                ident = (ident + 1) & 0xFFFF
                due_of[ident] = due
                due += PAUSE
                with contextlib.suppress(OSError):  # no server listens at present: counts as lost
                    client.send(question(ident, name))
                continue
            if now >= end + LINGER or (now >= end and not due_of):
                break
            select.select([client], [], [], max(0, (due if due < end else end + LINGER) - now))
            with contextlib.suppress(OSError):
                while True:
                    answer = client.recv(512)
                    asked = due_of.pop(struct.unpack("!H", answer[:2])[0], None)
                    if asked is not None:
                        delays.append(time.monotonic() - asked)
    return sorted(delays), len(due_of)


def main():
    address, port, name, seconds = sys.argv[1:]
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    gc.disable()
    delays, lost = ask(address, int(port), name, float(seconds))
    if not delays:
        raise SystemExit("no answers")
    at = [delays[min(len(delays) - 1, int(len(delays) * part))] * 1e3 for part in (0.5, 0.99)]
    print(f"median_ms={at[0]:.3f} p99_ms={at[1]:.3f} longest_ms={delays[-1] * 1e3:.3f} lost={lost}")


if __name__ == "__main__":
    main()
