#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""etcd_flood.py PORT SECONDS: an etcd server's JSON gateway on loopback whose keys all change at once, again and again.

It has 4,000 instances of 5 services as Kratos keeps them. An agent that watches them sees, in turn: their lease end (a
message that deletes all), all of them back at one moment (in transactions of 128 keys), and the end of the stream, so
that it lists everything again.
"""

import asyncio
import base64
import contextlib
import json
import sys

SERVICES, INSTANCES = 5, 800
KEYS_PER_TRANSACTION = 128
PAUSE = 0.4
HEADER = {"cluster_id": "1", "member_id": "1", "raft_term": "2"}


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def record(service, number, revision):
    name = f"flood-{service}"
    value = {"id": f"{name}-{number}", "name": name, "version": f"v{revision}", "metadata": {"k": "v"},
             "endpoints": [f"http://10.{service}.{number // 250}.{number % 250 + 1}:8000"]}
    return {"key": encoded(f"/microservices/{name}/{name}-{number:04}"), "create_revision": str(revision),
            "mod_revision": str(revision), "version": "1", "value": encoded(json.dumps(value)), "lease": "77"}


class Server:
    def __init__(self):
        self.revision = 10
        self.watches = []
        self.make()

    def make(self):
        self.records = [record(service, number, self.revision) for service in range(SERVICES)
                        for number in range(INSTANCES)]
        self.records.sort(key=lambda one: base64.b64decode(one["key"]))
        self.there = True

    def answer(self, path, body):
        header = {**HEADER, "revision": str(self.revision)}
        if path != "/v3/kv/range":
            return {"header": header}
        there = self.records if self.there else []
        if body.get("count_only"):
            return {"header": header, "count": str(len(there))}
        first = base64.b64decode(body["key"])
        rest = [one for one in there if base64.b64decode(one["key"]) >= first]
        limit = int(body.get("limit", 0)) or len(rest)
        return {"header": header, "kvs": rest[:limit], "more": len(rest) > limit, "count": str(len(rest))}

    def message(self, events):
        header = {**HEADER, "revision": str(self.revision)}
        line = json.dumps({"result": {"header": header, "watch_id": "1", "events": events}}).encode() + b"\n"
        return b"%x\r\n%s\r\n" % (len(line), line)

    async def serve(self, reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                size = next((int(line.split(":")[1]) for line in head.split("\r\n")
                             if line.lower().startswith("content-length:")), 0)
                body = (await reader.readexactly(size)).decode()
                path = head.split()[1]
                if path == "/v3/watch":
                    created = json.dumps({"result": {"header": {**HEADER, "revision": str(self.revision)},
                                                     "watch_id": "1", "created": True}}).encode() + b"\n"
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                 b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(created), created))
                    self.watches.append(writer)
                    continue
                answer = json.dumps(self.answer(path, json.loads(body))).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                             b"Content-Length: %d\r\n\r\n%s" % (len(answer), answer))

    def say(self, data):
        for watch in self.watches:
            watch.write(data)

    async def flood(self):
        while True:
            await asyncio.sleep(PAUSE)
            self.revision += 1
            self.there = False
            self.say(self.message([{"type": "DELETE", "kv": {"key": one["key"], "mod_revision": str(self.revision)}}
                                   for one in self.records]))
            await asyncio.sleep(PAUSE)
            self.revision += 1
            self.make()
            parts = range(0, len(self.records), KEYS_PER_TRANSACTION)
            self.say(b"".join(self.message([{"kv": one} for one in self.records[at:at + KEYS_PER_TRANSACTION]])
                              for at in parts))
            await asyncio.sleep(PAUSE)
            for watch in self.watches:
                watch.close()
            self.watches.clear()


async def main(port, seconds):
    server = Server()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", port)
    flood = asyncio.create_task(server.flood())
    await asyncio.sleep(seconds)
    flood.cancel()
    listener.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
