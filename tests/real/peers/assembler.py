#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""assembler.py ADDRESS SOURCE: listens on the interface of ADDRESS to the mDNS responses of SOURCE, and puts
instances together as the usual Go library (zeroconf 1.0) does: from one datagram, or not at all.

There the first message with the SRV of an instance and an address whose owner is the SRV's target,
byte for byte, is the instance, for as long as a host browses; a TXT that comes in another message
is lost. So a message that names an instance must hold all of it. Every message is a line of JSON:

    whole     the instances that can be put together, with port, address and TXT
    lacking   those that are named by a PTR, or reachable by SRV and address, and what they lack
    goodbye   those that are taken back

assembler.py ADDRESS SOURCE TYPE ask|legacy: asks for TYPE first, as that library does (from port 5353, by
multicast, with a message id that is not zero), or from another port; then it ends after the answer.
"""

import json
import select
import socket
import struct
import sys

GROUP, PORT = "224.0.0.251", 5353
A, PTR, TXT, SRV = 1, 12, 16, 33
SERVICES = "_services._dns-sd._udp.local"
WITHIN_S = 3


def name_at(message, at):
    """The name at an offset, its case kept, and the offset behind it."""
    labels, behind = [], None
    while message[at]:
        if message[at] >= 0xC0:
            behind = behind or at + 2
            at = struct.unpack_from(">H", message, at)[0] & 0x3FFF
        else:
            labels.append(message[at + 1 : at + 1 + message[at]].decode())
            at += 1 + message[at]
    return ".".join(labels), behind or at + 1


def data_of(message, rtype, at, length):
    if rtype == PTR:
        return name_at(message, at)[0]
    if rtype == SRV:
        return struct.unpack_from(">H", message, at + 4)[0], name_at(message, at + 6)[0]
    if rtype == TXT:
        strings, end = [], at + length
        while at < end:
            strings.append(message[at + 1 : at + 1 + message[at]].decode())
            at += 1 + message[at]
        return dict(string.partition("=")[::2] for string in strings if string)
    if rtype == A:
        return socket.inet_ntoa(message[at : at + 4])
    return None


def records_of(message):
    """Every record, whatever its section: (owner, type, TTL, data)."""
    _, _, questions, *counts = struct.unpack_from(">6H", message)
    at = 12
    for _ in range(questions):
        at = name_at(message, at)[1] + 4
    for _ in range(sum(counts)):
        owner, at = name_at(message, at)
        rtype, _, ttl, length = struct.unpack_from(">HHIH", message, at)
        yield owner, rtype, ttl, data_of(message, rtype, at + 10, length)
        at += 10 + length


def assemble(message):
    found = {PTR: {}, SRV: {}, TXT: {}, A: {}}
    goodbye = []
    for owner, rtype, ttl, data in records_of(message):
        # That reader passes over the PTR of any name but the one that it asked for.
        if rtype == PTR and owner != SERVICES and "._sub." not in owner:
            if ttl == 0:
                goodbye.append(data)
            else:
                found[PTR][data] = owner
        elif rtype in found and rtype != PTR and ttl > 0:
            found[rtype].setdefault(owner, data)
    whole, lacking = {}, {}
    for instance in {**found[PTR], **found[SRV]}:
        port, target = found[SRV].get(instance, (None, None))
        lacks = [
            what
            for what, there in (
                ("SRV", target),
                ("TXT", instance in found[TXT]),
                ("A", target in found[A]),
            )
            if not there
        ]
        # Without an address it is passed over, unless a PTR has named it.
        if instance not in found[PTR] and "A" in lacks:
            continue
        if lacks:
            lacking[instance] = lacks
        else:
            whole[instance] = {
                "port": port,
                "address": found[A][target],
                "txt": found[TXT][instance],
                "asked_for": instance in found[PTR],
            }
    return {"whole": whole, "lacking": lacking, "goodbye": goodbye, "bytes": len(message)}


def listener(address, port):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(("", port))
    interface = socket.inet_aton(address)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, interface)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
    if port == PORT:
        joined = socket.inet_aton(GROUP) + interface
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, joined)
    return sock


def question(service_type):
    labels = [*service_type.split("."), "local"]
    name = b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"
    return struct.pack(">6H", 0x4F52, 0, 1, 0, 0, 0) + name + struct.pack(">2H", PTR, 1)


def main():
    address, source, *asking = sys.argv[1:]
    sock = listener(address, 0 if asking[1:] == ["legacy"] else PORT)
    if asking:
        sock.sendto(question(asking[0]), (GROUP, PORT))
    else:
        print("listening", flush=True)
    while not asking or select.select([sock], [], [], WITHIN_S)[0]:
        message, sender = sock.recvfrom(65536)
        if sender[0] != source or not message[2] & 0x80:
            continue
        seen = assemble(message)
        named = [one for one in seen["whole"].values() if one["asked_for"]]
        if not asking or named or seen["lacking"]:
            print(json.dumps(seen), flush=True)
            if asking:
                return


if __name__ == "__main__":
    main()
