#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""flood.py KIND ADDRESS PORT: malformed, hostile, or far too many messages, from a fixed seed.

KIND   udp     DNS over UDP: empty, random, cut at every octet, counts that lie, pointer loops
       tcp     DNS over TCP: lengths that lie, 64 KiB of nothing, drips, connections left open
       mdns    the same as udp as multicast answers and questions from port 5353 of ADDRESS
       names   10,000 well-formed instances of a type, as soon as any host browses it
       forged  100 000 records a minute, for SECONDS (a fourth word): instances of _hello._tcp and
               types that no host has; and once a second a question for instances of that type
       goodbye the end of a Go program (grandcat/zeroconf): the enumeration of _hello._tcp is taken
               back with its own instance
       pointers  4,000 names of instances of _hello._tcp that no host describes
Prints how many messages went out; for forged: records, questions, and questions answered.
"""

import contextlib
import random
import select
import socket
import struct
import sys
import time

GROUP = ("224.0.0.251", 5353)
SEED = 20240529
INSTANCES = 10_000
RECORDS_A_SECOND = 1_700  # 102,000 a minute
A, PTR, TXT, SRV = 1, 12, 16, 33
QUERY, RESPONSE = 0x0000, 0x8400


def name(text):
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".")) + b"\0"


def header(flags, counts, ident=0):
    return struct.pack(">6H", ident, flags, *counts)


def record(owner, rtype, data, ttl=75, rclass=1):
    return owner + struct.pack(">HHIH", rtype, rclass, ttl, len(data)) + data


def instance(label, port=8000):
    """A whole response about one instance, as a well-behaved responder sends it."""
    service, host = name("_flood._tcp.local"), name(f"{label}.local")
    own = bytes([len(label)]) + label.encode() + service
    return (
        header(RESPONSE, (0, 1, 0, 3))
        + record(service, PTR, own)
        + record(own, SRV, struct.pack(">3H", 0, 0, port) + host, 20)
        + record(own, TXT, b"\x11farp.enabled=true\x0aname=flood")
        + record(host, A, bytes([10, 77, 0, 99]), 20)
    )


def malformed(chance):
    """Datagrams that no parser may trust."""
    yield b""
    question = header(QUERY, (1, 0, 0, 0), 7) + name("hello.svc") + struct.pack(">2H", A, 1)
    whole = instance("cut")
    for message in (question, whole):
        for length in range(len(message)):
            yield message[:length]
        for at in range(len(message)):
            changed = bytearray(message)
            changed[at] = chance.randrange(256)
            yield bytes(changed)
    for flags in (QUERY, RESPONSE):
        yield header(flags, (65535, 65535, 65535, 65535))
        yield header(flags, (1, 0, 0, 0)) + b"\xc0\x0c" + struct.pack(
            ">2H", A, 1
        )  # points to itself
        loop = b"\xc0\x0e\xc0\x0c"  # two that point to each other
        yield header(flags, (1, 0, 0, 0)) + loop + struct.pack(">2H", A, 1)
        chain = b"".join(struct.pack(">H", 0xC000 | 12 + 2 * n) for n in range(1, 200))
        yield header(flags, (1, 0, 0, 0)) + chain + b"\0" + struct.pack(">2H", A, 1)
        yield header(flags, (1, 0, 0, 0)) + b"\x3f" * 300 + b"\0" + struct.pack(">2H", A, 1)
        yield header(flags, (0, 1, 0, 0)) + record(name("x.local"), TXT, b"\xff" * 10)
        yield header(flags, (0, 1, 0, 0)) + record(name("x.local"), SRV, b"\0" * 3)
    for _ in range(2000):
        yield chance.randbytes(chance.randrange(1500))
    for _ in range(20):
        yield chance.randbytes(60_000)


def udp(sock, to, chance):
    sent = 0
    for message in malformed(chance):
        with contextlib.suppress(ConnectionRefusedError):
            sock.sendto(message, to)
        sent += 1
    return sent


def tcp(to, chance):
    def connect():
        sock = socket.create_connection(to, timeout=5)
        sock.settimeout(5)
        return sock

    sent, held = 0, []
    question = header(0x0100, (1, 0, 0, 0), 7) + name("hello.svc") + struct.pack(">2H", A, 1)
    attempts = [b"", b"\0", b"\0\0", b"\xff\xff", b"\xff\xff" + chance.randbytes(65535)]
    attempts += [struct.pack(">H", len(question) + 1) + question, struct.pack(">H", 3) + question]
    attempts += [struct.pack(">H", len(m)) + m for m in malformed(chance) if len(m) < 65536][:500]
    for attempt in attempts:
        with contextlib.suppress(OSError):
            with connect() as sock:
                sock.sendall(attempt)
                sent += 1
    for _ in range(600):  # half a question each, and then nothing
        with contextlib.suppress(OSError):
            sock = connect()
            sock.sendall(struct.pack(">H", len(question)) + question[:9])
            held.append(sock)
            sent += 1
    return sent


def names(sock):
    # The type exists (RFC 6763 §9), so a host browses it.
    service, types = name("_flood._tcp.local"), name("_services._dns-sd._udp.local")
    sock.sendto(header(RESPONSE, (0, 1, 0, 0)) + record(types, PTR, service), GROUP)
    sock.settimeout(20)
    while True:
        message = sock.recv(9000)
        if message[2] < 0x80 and service in message:
            break
    for number in range(INSTANCES):
        sock.sendto(instance(f"flood-{number}"), GROUP)
        if number % 50 == 0:
            select.select([], [], [], 0.005)  # what a link carries, rather than what a buffer drops
    return INSTANCES


def forged_instance(number):
    """Five records: an instance of _hello._tcp, and a type of its own."""
    service, types = name("_hello._tcp.local"), name("_services._dns-sd._udp.local")
    host = name(f"forged-{number}.local")
    label = f"forged-{number}".encode()
    own = bytes([len(label)]) + label + service
    return (
        header(RESPONSE, (0, 5, 0, 0))
        + record(service, PTR, own, 4500)
        + record(own, SRV, struct.pack(">3H", 0, 0, 80) + host, 4500)
        + record(own, TXT, b"\x0bname=forged", 4500)
        + record(host, A, bytes([10, 77, 0, 98]), 4500)
        + record(types, PTR, name(f"_f{number}._tcp.local"), 4500)
    )


def forged(sock, address, seconds):
    # A legacy query (RFC 6762, 6.7.): its answers come to this socket alone.
    question = header(QUERY, (1, 0, 0, 0), 7) + name("_hello._tcp.local") + struct.pack(">2H", PTR, 1)
    records = asked = answered = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        member = socket.inet_aton(address)
        asker.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, member)
        asker.bind((address, 0))
        begun = time.monotonic()
        while (passed := time.monotonic() - begun) < seconds:
            if passed >= asked:
                asker.sendto(question, GROUP)
                asked += 1
            while records < passed * RECORDS_A_SECOND:
                sock.sendto(forged_instance(records // 5), GROUP)
                records += 5
            if select.select([asker], [], [], 0.01)[0]:
                answered += asker.recv(9000)[6:8] != b"\0\0"
        while answered < asked and select.select([asker], [], [], 1)[0]:
            answered += asker.recv(9000)[6:8] != b"\0\0"
    return f"{records} {asked} {answered}"


def goodbye(sock):
    service, types = name("_hello._tcp.local"), name("_services._dns-sd._udp.local")
    own, host = b"\x04gone" + service, name("gone.local")
    for ttl in (3200, 0):
        message = (
            header(RESPONSE, (0, 5, 0, 0))
            + record(own, SRV, struct.pack(">3H", 0, 0, 80) + host, ttl, 0x8001)
            + record(own, TXT, b"\x10farp.enabled=true", ttl, 0x8001)
            + record(service, PTR, own, ttl)
            + record(types, PTR, service, ttl)
            + record(host, A, bytes([10, 77, 0, 97]), ttl, 0x8001)
        )
        sock.sendto(message, GROUP)
        select.select([], [], [], 0.5)
    return 2


def pointers(sock):
    service = name("_hello._tcp.local")
    for number in range(0, 4_000, 40):
        answers = b"".join(
            record(service, PTR, bytes([len(label)]) + label + b"\xc0\x0c", 4500)
            for n in range(40)
            for label in [f"nothing-{number + n}".encode()]
        )
        sock.sendto(header(RESPONSE, (0, 40, 0, 0)) + answers, GROUP)
        select.select([], [], [], 0.002)
    return 100


def main():
    kind, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
    chance = random.Random(SEED)
    if kind == "tcp":
        print(tcp((address, port), chance))
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        if kind == "udp":
            print(udp(sock, (address, port), chance))
            return
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            sock.setsockopt(socket.SOL_SOCKET, option, 1)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
        sock.bind(("", GROUP[1]))
        member = socket.inet_aton(GROUP[0]) + socket.inet_aton(address)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        if kind == "mdns":
            print(udp(sock, GROUP, chance))
            return
        if kind == "forged":
            print(forged(sock, address, int(sys.argv[4])))
            return
        print({"goodbye": goodbye, "pointers": pointers, "names": names}[kind](sock))


if __name__ == "__main__":
    main()
