#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""floods.py KIND SECONDS [ARGUMENT]: what a hostile or broken program sends to an agent, for SECONDS.

From another host of the LAN (ARGUMENT: its own address):
  collisions   12,000 PTR records, again and again, whose names have one hash if it has no seed
  pointers     PTR records without anything behind them, from many forged addresses
  questions    datagrams of 230 equal questions for a service with hundreds of instances
  known        datagrams of 256 equal questions with 1,020 known answers
  farp         140 connections to port 5371 of ARGUMENT that send one octet and come back when they are closed
From the agent's host (ARGUMENT: the control socket, for names the address of its DNS, for etcd-clients of that port):
  names        questions for services that no host has, each once
  watchers     500 streams of changes that no reader empties, while registrations come and go
  hang-up      connections that send 50 requests for long answers and leave
  etcd-clients 4,000 instances of 5 services by the etcd port, and lists of them all
  waiters      400 blocking queries that wait for any change, while registrations come and go
"""

import base64
import contextlib
import http.client
import json
import random
import select
import socket
import struct
import sys
import time

GROUP = ("224.0.0.251", 5353)
PTR = 12
TYPE = b"\x06_hello\x04_tcp\x05local\0"
DATAGRAM = 1_400
MASK = (1 << 64) - 1


def header(flags, questions, answers):
    return struct.pack("!6H", 0, flags, questions, answers, 0, 0)


def multicast(own):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(own))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
    sock.bind(("0.0.0.0", 5353))
    return sock


def pointer(label, first):
    """A PTR record of _hello._tcp.local; the first of a datagram spells the type, the others point to it."""
    owner = TYPE if first else b"\xc0\x0c"
    data = bytes([len(label)]) + label + b"\xc0\x0c"
    return owner + struct.pack("!HHIH", PTR, 1, 4500, len(data)) + data


def responses(labels):
    """Datagrams that hold a PTR record for each label."""
    records, size = [], 12
    for label in labels:
        record = pointer(label, not records)
        records.append(record)
        size += len(record)
        if size > DATAGRAM:
            yield header(0x8400, 0, len(records)) + b"".join(records)
            records, size = [], 12
    if records:
        yield header(0x8400, 0, len(records)) + b"".join(records)


def colliding_labels(count):
    """Each step of an unseeded hash is (hash ^ word) * K: the second word takes back what the first has changed."""
    def step(value, word):
        value = ((value ^ word) * 0xFF51AFD7ED558CCD) & MASK
        return value ^ (value >> 32)

    chance = random.Random(1)
    start = ((16 + len(TYPE)) * 0x9E3779B97F4A7C15) & MASK  # of a label of 15 octets before the type
    found, target = [], None
    while len(found) < count:
        first = bytes([15]) + bytes(chance.randrange(97, 123) for _ in range(7))
        value = step(start, int.from_bytes(first, "little"))
        if target is None:
            target = value ^ int.from_bytes(b"abcdefgh", "little")
        second = (value ^ target).to_bytes(8, "little")
        if not any(65 <= octet <= 90 for octet in second):  # the hash folds capitals
            found.append(first[1:] + second)
    return found


def repeat(seconds, sock, datagrams, pause=0.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for datagram in datagrams:
            with contextlib.suppress(BlockingIOError):
                sock.sendto(datagram, GROUP)
            if pause:
                time.sleep(pause)
            if time.monotonic() >= end:
                return


def collisions(seconds, own):
    repeat(seconds, multicast(own), list(responses(colliding_labels(12_000))))


def questions(seconds, own):
    datagram = header(0, 230, 0) + TYPE + struct.pack("!HH", PTR, 1)
    datagram += (b"\xc0\x0c" + struct.pack("!HH", PTR, 1)) * 229
    repeat(seconds, multicast(own), [datagram], 0.01)


def known(seconds, own):
    datagram = header(0, 256, 1_020) + TYPE + struct.pack("!HH", PTR, 1)
    datagram += (b"\xc0\x0c" + struct.pack("!HH", PTR, 1)) * 255
    datagram += (b"\xc0\x0c" + struct.pack("!HHIHH", PTR, 1, 4500, 2, 0xC00C)) * 1_020
    repeat(seconds, multicast(own), [datagram], 0.01)


def pointers(seconds, own):
    """With IP headers of our own: each datagram comes from another address."""
    network = own.rsplit(".", 1)[0]
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(own))
    end, number = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        for payload in responses(b"nothing-%d" % (number + i) for i in range(170)):
            udp = struct.pack("!4H", 5353, 5353, 8 + len(payload), 0) + payload
            source = socket.inet_aton(f"{network}.{2 + number % 250}")
            ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 255, 17, 0) + source
            with contextlib.suppress(OSError):
                sock.sendto(ip + socket.inet_aton(GROUP[0]) + udp, GROUP)
            number += 57
        number += 170


def farp(seconds, address):
    def connect():
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.settimeout(1)
        with contextlib.suppress(OSError):
            sock.connect((address, 5371))
            sock.send(b"G")
        return sock

    held = [connect() for _ in range(140)]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for sock in select.select(held, [], [], 0.1)[0]:
            held.remove(sock)
            sock.close()
            held.append(connect())


def names(seconds, address):
    host, port = address.rsplit(":", 1)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect((host, int(port)))
    sock.setblocking(False)
    end, number = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        label = b"unknown-%d" % number
        number += 1
        with contextlib.suppress(OSError):
            sock.send(struct.pack("!6H", number & 0xFFFF, 0x100, 1, 0, 0, 0) + bytes([len(label)]) + label +
                      b"\x03svc\0\0\x01\0\x01")
        time.sleep(0.0005)


def connect_unix(path):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(path)
    sock.settimeout(2)
    return sock


def request(method, path, body=""):
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def register_until(end, path):
    with connect_unix(path) as sock:
        number = 0
        while time.monotonic() < end:
            number += 1
            body = json.dumps({"id": f"flood-{number}", "name": "flood", "port": 9, "address": ["10.1.2.3"]})
            for message in (request("PUT", "/v1/outrider/register", body),
                            request("PUT", f"/v1/outrider/deregister/flood-{number}")):
                sock.sendall(message)
                if not sock.recv(65536):
                    return


def held_requests(path, count, message):
    held = []
    for _ in range(count):
        with contextlib.suppress(OSError):
            sock = connect_unix(path)
            sock.sendall(message)
            held.append(sock)
    return held


def watchers(seconds, path):
    end = time.monotonic() + seconds
    held = held_requests(path, 500, request("GET", "/v1/outrider/watch"))
    register_until(end, path)
    del held


def waiters(seconds, path):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        message = request("GET", "/v1/catalog/services?wait=1m&index=1")
        held = held_requests(path, 400, message)
        for sock in held:  # the first answer has the index to wait for
            with contextlib.suppress(OSError):
                index = sock.recv(65536).lower().split(b"x-consul-index: ")[1].split(b"\r")[0].decode()
                sock.sendall(request("GET", f"/v1/catalog/services?wait=1m&index={index}"))
        register_until(min(end, time.monotonic() + 0.05), path)


def hang_up(seconds, path):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError), connect_unix(path) as sock:
            sock.sendall(request("GET", "/v1/outrider/instances/hello") * 50)


def etcd_call(host, path, **body):
    host.request("POST", f"/v3/{path}", json.dumps(body))
    return json.loads(host.getresponse().read())


def etcd_clients(seconds, address):
    """A program that puts 800 instances of each of 5 services, and one that lists them all again and again."""
    end = time.monotonic() + seconds
    host = http.client.HTTPConnection(address, timeout=10)
    lease = etcd_call(host, "lease/grant", TTL="60")["ID"]
    for number in range(4_000):
        service = f"door-{number % 5}"
        value = {"id": f"d{number}", "name": service, "endpoints": [f"http://10.1.{number // 250}.{number % 250}:80"]}
        etcd_call(host, "kv/put", key=encoded(f"/microservices/{service}/d{number}"),
                  value=encoded(json.dumps(value)), lease=lease)
    while time.monotonic() < end:
        etcd_call(host, "kv/range", key=encoded("/microservices/"), range_end=encoded("/microservices0"))
    etcd_call(host, "lease/revoke", ID=lease)


def encoded(text):
    return base64.b64encode(text.encode()).decode()


KINDS = {"collisions": collisions, "pointers": pointers, "questions": questions, "known": known, "farp": farp,
         "names": names, "watchers": watchers, "waiters": waiters, "hang-up": hang_up,
         "etcd-clients": etcd_clients}

if __name__ == "__main__":
    KINDS[sys.argv[1]](float(sys.argv[2]), *sys.argv[3:])
