#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""mdns_forge.py ADDRESS TYPE LABEL HOST PORT [KEY=VALUE]...: sends the PTR, SRV and TXT of an
instance on another host, `HOST` (box.local), once, from the interface with ADDRESS."""

import socket
import struct
import sys

GROUP, PORT, TTL_S = "224.0.0.251", 5353, 75
PTR, TXT, SRV, IN, FLUSH = 12, 16, 33, 1, 0x8000


def wire(*labels):
    return b"".join(bytes([len(label)]) + label for label in map(str.encode, labels)) + b"\0"


def record(owner, rtype, rclass, data):
    return owner + struct.pack("!HHIH", rtype, rclass, TTL_S, len(data)) + data


def main():
    address, service_type, label, host, port = sys.argv[1:6]
    texts = [text.encode() for text in sys.argv[6:]]
    type_name = wire(*service_type.split("."), "local")
    name = wire(label, *service_type.split("."), "local")
    packet = struct.pack("!6H", 0, 0x8400, 0, 3, 0, 0)
    packet += record(type_name, PTR, IN, name)
    target = wire(*host.rstrip(".").split("."))
    packet += record(name, SRV, IN | FLUSH, struct.pack("!3H", 0, 0, int(port)) + target)
    packet += record(name, TXT, IN | FLUSH, b"".join(bytes([len(t)]) + t for t in texts))
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind((address, PORT))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
    sock.sendto(packet, (GROUP, PORT))


if __name__ == "__main__":
    main()
