#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A client of the agent's API, run on a host of a scenario: api_client.py SOCKET MODE [ARGUMENT]...

    streams N          N watchers at once; each receives a change; one that does not read is disconnected
    register N many|one    N registrations and as many heartbeats on one connection: many names, or one
    deregister N       and they go again
    picks NAME N       N picks of one service by p2c, all within a moment
    firsts NAME N      the first address of N answers of DNS
    latency NAME S     how long answers of DNS take, for S seconds
    python-consul PORT     the python-consul package registers and watches

The last line of output is JSON.
"""

import http.client
import json
import re
import select
import socket
import struct
import sys
import threading
import time


class Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path):
        super().__init__("agent")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def ask(connection, method, target, body=None):
    connection.request(method, target, json.dumps(body) if body is not None else None)
    response = connection.getresponse()
    return response.status, response.read()


def watcher(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    sock.sendall(b"GET /v1/outrider/watch HTTP/1.1\r\nHost: agent\r\n\r\n")
    return sock


def read_until(socks, wanted, deadline=20):
    """How many of the sockets have received `wanted`, and when the last one did."""
    texts = {sock: b"" for sock in socks}
    left, until, last = set(socks), time.monotonic() + deadline, 0
    while left and time.monotonic() < until:
        ready, _, _ = select.select(list(left), [], [], 1)
        for sock in ready:
            texts[sock] = texts[sock][-64:] + sock.recv(1 << 20)
            if wanted in texts[sock]:
                left.discard(sock)
                last = time.monotonic()
    return len(socks) - len(left), last


def streams(path, count):
    socks = [watcher(path) for _ in range(int(count))]
    snapshots, _ = read_until(socks, b"event: snapshot")
    slow = watcher(path)
    begun = time.monotonic()
    control = Connection(path)
    ask(control, "PUT", "/v1/outrider/register", {"name": "seen-by-all", "port": 1})
    changes, last = read_until(socks, b"event: change")
    # The slow one is sent more than its queue and the kernel's buffers hold; a few others listen.
    for sock in socks[20:]:
        sock.close()
    socks = socks[:20]
    text = "x" * 500
    service = {"name": "noise", "id": "noise-1", "port": 2, "scope": "host"}  # too much for other hosts
    service["metadata"] = {f"k{i}": text for i in range(60)}
    rounds = 0
    while rounds < 400:
        rounds += 1
        service["version"] = str(rounds)
        ask(control, "PUT", "/v1/outrider/register", service)
        for sock in socks:
            while select.select([sock], [], [], 0)[0] and sock.recv(1 << 20):
                pass
        status = json.loads(ask(control, "GET", "/v1/outrider/status")[1])
        if status["api"]["watching"] <= len(socks):
            break
    received = b""
    slow.settimeout(5)
    while True:
        piece = slow.recv(1 << 20)
        if not piece:
            break
        received = received[-64:] + piece
    return {
        "snapshots": snapshots,
        "changes": changes,
        "spread_ms": round((last - begun) * 1000, 1),
        "watching": status["api"]["watching"],
        "lagged": b"event: lagged" in received,
    }


class Requests:
    """Many requests over one connection, as a fast client sends them: one after the other, no more than needed."""

    def __init__(self, path):
        self.sock, self.rest, self.bad = socket.socket(socket.AF_UNIX), b"", 0
        self.sock.connect(path)

    def ask(self, method, target, body=b""):
        head = f"{method} {target} HTTP/1.1\r\nHost: agent\r\nContent-Length: {len(body)}\r\n\r\n"
        self.sock.sendall(head.encode() + body)
        while True:
            end = self.rest.find(b"\r\n\r\n")
            if end >= 0:
                size = int(re.search(rb"Content-Length: (\d+)", self.rest[:end])[1])
                if len(self.rest) >= end + 4 + size:
                    self.bad += self.rest[9:12] != b"200"
                    answer, self.rest = self.rest[end + 4 : end + 4 + size], self.rest[end + 4 + size :]
                    return answer
            piece = self.sock.recv(1 << 20)
            if not piece:
                raise EOFError(self.rest)
            self.rest += piece


def register(path, count, names):
    """As a Consul client does, each under a name of its own, or all under one; then a heartbeat each."""
    requests, count = Requests(path), int(count)
    begun = time.monotonic()
    for i in range(count):
        name = f"load-{i}" if names == "many" else "load"
        service = {"ID": f"load-{i}", "Name": name, "Address": f"10.9.{i // 250}.{i % 250 + 1}", "Port": 80}
        service["Check"] = {"TTL": "600s", "Status": "passing"}
        requests.ask("PUT", "/v1/agent/service/register", json.dumps(service).encode())
    middle = time.monotonic()
    for i in range(count):
        requests.ask("PUT", f"/v1/agent/check/pass/service:load-{i}")
    end = time.monotonic()
    listed = json.loads(requests.ask("GET", "/v1/agent/services"))
    return {
        "bad": requests.bad,
        "held": sum(id.startswith("load-") for id in listed),
        "register_s": round(middle - begun, 2),
        "beat_s": round(end - middle, 2),
    }


def deregister(path, count):
    requests, begun = Requests(path), time.monotonic()
    for i in range(int(count)):
        requests.ask("PUT", f"/v1/agent/service/deregister/load-{i}")
    seconds = round(time.monotonic() - begun, 2)
    left = [id for id in json.loads(requests.ask("GET", "/v1/agent/services")) if id.startswith("load-")]
    mdns = json.loads(requests.ask("GET", "/v1/outrider/status"))["mdns"]
    return {"bad": requests.bad, "left": len(left), "announcements": mdns["announcements"], "deregister_s": seconds}


def question(name):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", 1, 1)


def firsts(_, name, count):
    """The first address of each of so many answers."""
    sock, out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), {}
    sock.settimeout(5)
    for _ in range(int(count)):
        sock.sendto(question(name), ("127.0.0.55", 53))
        answer = sock.recv(4096)
        at = len(question(name)) + 12  # a pointer, type, class, TTL, length: then the address
        first = ".".join(str(octet) for octet in answer[at : at + 4])
        out[first] = out.get(first, 0) + 1
    return out


def latency(_, name, seconds):
    """Asks one question after the other for that long: the time of each answer, in microseconds."""
    sock, took = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), []
    sock.settimeout(5)
    until = time.monotonic() + float(seconds)
    while time.monotonic() < until:
        begun = time.monotonic()
        sock.sendto(question(name), ("127.0.0.55", 53))
        sock.recv(4096)
        took.append((time.monotonic() - begun) * 1e6)
        time.sleep(0.002)
    took.sort()
    return {"count": len(took), "p50": round(took[len(took) // 2]), "p99": round(took[len(took) * 99 // 100])}


def picks(path, name, count):
    connection, out = Connection(path), {}
    for _ in range(int(count)):
        answer = json.loads(ask(connection, "GET", f"/v1/outrider/select/{name}?strategy=p2c")[1])
        who = answer["instance"]["id"]
        out[who] = out.get(who, 0) + 1
    return {"near": 0, "far": 0, **out}


def python_consul(_, port):
    import consul

    client = consul.Consul(port=int(port))
    out = {}
    agent = client.agent
    out["registered"] = agent.service.register(
        "py", service_id="py-1", address="127.0.0.1", port=5000, tags=["a"], check=consul.Check.ttl("20s")
    )
    index, found = client.health.service("py", passing=True)
    out["before_beat"] = len(found)
    beat = threading.Timer(0.3, lambda: agent.check.ttl_pass("service:py-1", "well"))
    beat.start()
    woken, found = client.health.service("py", passing=True, index=index, wait="10s")
    out["after_beat"] = [entry["Service"]["ID"] for entry in found]
    out["index_grew"] = int(woken) > int(index)
    out["services"] = sorted(client.catalog.services()[1])
    out["maintenance"] = agent.service.maintenance("py-1", "true", "test")
    out["in_maintenance"] = len(client.health.service("py", passing=True)[1])
    agent.service.maintenance("py-1", "false")
    out["note"] = agent.checks()["service:py-1"]["Output"]
    out["deregistered"] = agent.service.deregister("py-1")
    out["after"] = len(client.health.service("py")[1])
    return out


MODES = {
    "streams": streams,
    "register": register,
    "deregister": deregister,
    "picks": picks,
    "firsts": firsts,
    "latency": latency,
    "python-consul": python_consul,
}
print(json.dumps(MODES[sys.argv[2]](sys.argv[1], *sys.argv[3:])))
