#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""first_look.py SERVER PORT NAME: asks a DNS server for NAME's SRV and A records, then the service
for its page.

Stands in for dig and curl, which a fresh machine may not have. The server may still be starting,
and the service waiting for its first health check, so that it asks again until there is an answer
or ten seconds are over.
"""

import http.client
import os
import socket
import struct
import sys
import time

A, SRV = 1, 33
DEADLINE_S = 10
RETRY_S = 0.05


def question(name, rtype):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return (
        os.urandom(2)
        + struct.pack(">5H", 0x0100, 1, 0, 0, 0)
        + labels
        + struct.pack(">BHH", 0, rtype, 1)
    )


def read_name(message, at):
    labels, end = [], None
    while message[at]:
        if message[at] >= 0xC0:  # a compression pointer, RFC 1035 section 4.1.4
            end = end or at + 2
            at = struct.unpack_from(">H", message, at)[0] & 0x3FFF
        else:
            labels.append(message[at + 1 : at + 1 + message[at]].decode())
            at += 1 + message[at]
    return ".".join(labels), end or at + 1


def records(message, rtype):
    """The data of the answer's records of this type."""
    answers = struct.unpack_from(">H", message, 6)[0]
    at = read_name(message, 12)[1] + 4
    for _ in range(answers):
        at = read_name(message, at)[1]
        kind, _, _, size = struct.unpack_from(">HHIH", message, at)
        at += 10
        if kind == rtype == A:
            yield socket.inet_ntoa(message[at : at + 4])
        if kind == rtype == SRV:
            priority, weight, port = struct.unpack_from(">3H", message, at)
            yield f"{priority} {weight} {port} {read_name(message, at + 6)[0]}"
        at += size


def look_up(server, name, rtype):
    """The answer's records, asked for until there are some, and how long the last asking took."""
    until = time.monotonic() + DEADLINE_S
    while time.monotonic() < until:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(1)
            asked, query = time.monotonic(), question(name, rtype)
            try:
                sock.connect(server)
                sock.send(query)
                reply = sock.recv(4096)
                found = list(records(reply, rtype)) if reply[:2] == query[:2] else []
                if found:
                    return found, time.monotonic() - asked
            except OSError:
                pass  # not listening yet
        time.sleep(RETRY_S)
    sys.exit(f"no answer for {name} from {server[0]} port {server[1]} within {DEADLINE_S} s")


def main():
    host, port, name = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    srv, _ = look_up((host, port), name, SRV)
    addresses, took = look_up((host, port), name, A)
    print(f"$ dig @{host} -p {port} +short {name}            # answered in {took * 1000:.1f} ms")
    print("\n".join(addresses))
    print(f"$ dig @{host} -p {port} +short {name} SRV")
    print("\n".join(line + "." for line in srv))  # as dig has it
    target, service = srv[0].split()[3], srv[0].split()[2]
    address = look_up((host, port), target, A)[0][0]  # of this instance: others may share the name
    connection = http.client.HTTPConnection(address, int(service), timeout=5)
    connection.request("GET", "/", headers={"Host": name})
    print(f"$ curl http://{address}:{service}/")
    print(connection.getresponse().read().decode(), end="")


if __name__ == "__main__":
    main()
