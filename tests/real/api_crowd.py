#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A crowd of the API's clients at once: api_crowd.py SOCKET SECONDS QUERIES STREAMS RATE [all]

QUERIES clients each keep a blocking query on one of 100 services, and ask again when it is answered. STREAMS clients
each read a stream of the changes of one of these services, or with `all` of every service. Meanwhile RATE services a
second are registered, every second one over a connection of its own. The last line of output is JSON.
"""

import collections
import json
import re
import resource
import selectors
import socket
import sys
import time

SERVICES = 100
IDS = 400  # of the registrations, which so replace each other
SETTLE_S = 60
CONNECTS = 50  # at a time: the backlog of a socket is bounded


class Client:
    def __init__(self, crowd):
        self.crowd, self.rest = crowd, b""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(crowd.path)
        self.sock.setblocking(False)
        crowd.selector.register(self.sock, selectors.EVENT_READ, self)

    def send(self, method, target, body=b""):
        head = f"{method} {target} HTTP/1.1\r\nHost: agent\r\nContent-Length: {len(body)}\r\n\r\n"
        self.sock.sendall(head.encode() + body)

    def close(self):
        self.crowd.selector.unregister(self.sock)
        self.sock.close()

    def readable(self):
        piece = self.sock.recv(1 << 20)
        if not piece:
            self.close()
            self.on_end()
        else:
            self.on_bytes(piece)

    def on_bytes(self, piece):
        self.rest += piece
        while (end := self.rest.find(b"\r\n\r\n")) >= 0:
            head = self.rest[:end]
            size = end + 4 + int(re.search(rb"Content-Length: (\d+)", head)[1])
            if len(self.rest) < size:
                return
            answer, self.rest = self.rest[end + 4 : size], self.rest[size:]
            self.on_answer(int(head[9:12]), head, answer)

    def on_end(self):
        self.crowd.counts["ended"] += 1


class Query(Client):
    def __init__(self, crowd, number):
        super().__init__(crowd)
        self.target = f"/v1/health/service/load-{number % SERVICES}"
        self.send("GET", self.target)

    def on_answer(self, status, head, _):
        self.crowd.counts["answers" if status == 200 else "refused"] += 1
        if status == 200:
            index = re.search(rb"X-Consul-Index: (\d+)", head)[1].decode()
            self.send("GET", f"{self.target}?wait=120s&index={index}")


class Reader(Client):
    def __init__(self, crowd, number):
        super().__init__(crowd)
        name = "" if crowd.everything else f"/load-{number % SERVICES}"
        self.send("GET", "/v1/outrider/watch" + name)

    def on_bytes(self, piece):
        events = (self.rest + piece).count(b"event: change")
        self.crowd.counts["events"] += events
        self.rest = piece[-12:]
        if b"HTTP/1.1 503" in piece:
            self.crowd.counts["refused"] += 1


class Writer(Client):
    """Of registrations: one, or one after the other."""

    def __init__(self, crowd, only_one):
        self.begun, self.only_one = collections.deque(), only_one
        super().__init__(crowd)

    def put(self, number, due):
        service = {"name": f"load-{number % SERVICES}", "id": f"load-{number % IDS}", "port": 80}
        service |= {"address": ["127.0.0.1"], "version": str(number)}
        self.begun.append(due)
        self.send("PUT", "/v1/outrider/register", json.dumps(service).encode())

    def on_answer(self, status, _, answer):
        crowd = self.crowd
        crowd.counts["registered" if status == 200 else "refused"] += 1
        if status != 200:
            crowd.said = answer.decode()
        crowd.delays.append(time.monotonic() - self.begun.popleft())
        if self.only_one:
            self.close()


class Crowd:
    def __init__(self, path, everything):
        self.path, self.everything, self.said = path, everything, ""
        self.selector, self.counts, self.delays = selectors.DefaultSelector(), collections.Counter(), []

    def turn(self, until):
        for key, _ in self.selector.select(max(0, until - time.monotonic())):
            key.data.readable()

    def settle(self, kind, count):
        """`count` clients more, and what is there to be read at first."""
        made = []
        while len(made) < count:
            made += [kind(self, len(made) + i) for i in range(min(CONNECTS, count - len(made)))]
            self.turn(time.monotonic() + 0.001)
        return made

    def status(self):
        """Of the agent; asked apart, while the crowd is left alone."""
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(self.path)
        sock.sendall(b"GET /v1/outrider/status HTTP/1.0\r\n\r\n")
        text = b""
        while piece := sock.recv(1 << 16):
            text += piece
        return json.loads(text.partition(b"\r\n\r\n")[2])["api"]

    def gather(self, queries, streams):
        self.settle(Query, queries)
        self.settle(Reader, streams)
        until = time.monotonic() + SETTLE_S
        while time.monotonic() < until:
            self.turn(time.monotonic() + 0.05)
            status = self.status()
            if (status["waiting"], status["watching"]) == (queries, streams):
                break
        return status

    def write(self, seconds, rate):
        steady = Writer(self, False)
        begun, number = time.monotonic(), 0
        while number < seconds * rate:
            due = begun + number / rate
            self.turn(due)
            while due <= time.monotonic() and number < seconds * rate:
                (steady if number % 2 == 0 else Writer(self, True)).put(number, due)
                number += 1
                due = begun + number / rate
        until = time.monotonic() + SETTLE_S
        while len(self.delays) < number and time.monotonic() < until:
            self.turn(time.monotonic() + 0.05)
        return number, time.monotonic() - begun


def main():
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 8192), most))
    path, seconds, queries, streams, rate, *more = sys.argv[1:]
    crowd = Crowd(path, "all" in more)
    first = Writer(crowd, True)  # so that there is a service to stream the changes of
    first.put(0, time.monotonic())
    gathered = crowd.gather(int(queries), int(streams))
    crowd.counts.clear()
    crowd.delays.clear()
    asked, took = crowd.write(float(seconds), int(rate))
    delays = sorted(crowd.delays) or [0]
    ms = {f"p{share}_ms": delays[min(len(delays) - 1, len(delays) * share // 100)] * 1000 for share in (50, 99, 100)}
    ms = {key: round(value, 1) for key, value in ms.items()}
    counts = {key: crowd.counts[key] for key in ("registered", "refused", "answers", "events", "ended")}
    print(json.dumps({**gathered, "asked": asked, "seconds": round(took, 1), **counts, **ms, "said": crowd.said}))


main()
