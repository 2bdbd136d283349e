#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A client of the agent's API, run on a host of a scenario: api_client.py SOCKET MODE [ARGUMENT]...

    streams N          N watchers at once; each hears a change; one that does not read is dropped
    registrations N    N services registered and deregistered one after another on one connection
    picks NAME N       N picks of one service by p2c, all within a moment
    python-consul PORT     the python-consul package registers and watches

The last line of output is JSON.
"""

import http.client
import json
import select
import socket
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
    service = {"name": "noise", "id": "noise-1", "port": 2, "metadata": {f"k{i}": text for i in range(60)}}
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


def registrations(path, count):
    connection, begun, bad = Connection(path), time.monotonic(), 0
    for i in range(int(count)):
        spec = {"name": f"load-{i % 100}", "id": f"load-{i}", "port": 1 + i % 60000}
        bad += ask(connection, "PUT", "/v1/outrider/register", spec)[0] != 200
        bad += ask(connection, "PUT", f"/v1/outrider/deregister/load-{i}")[0] != 200
    seconds = time.monotonic() - begun
    left = json.loads(ask(connection, "GET", "/v1/outrider/instances?prefix=load")[1])["instances"]
    return {"bad": bad, "left": len(left), "per_second": round(2 * int(count) / seconds)}


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


MODES = {"streams": streams, "registrations": registrations, "picks": picks, "python-consul": python_consul}
print(json.dumps(MODES[sys.argv[2]](sys.argv[1], *sys.argv[3:])))
