#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A rolling restart of two instances behind one name, under a client that asks without pause.

Each agent is told to stop, drains and ends, and only then its service is restarted: not one request fails. The control
shows that the client does notice: a service that is stopped without draining costs requests. `--long` goes on for a
minute.
"""

import json
import signal
import time

import harness
from harness import check, equal

PORT = 8000
LONG_S = 60
RATE_MIN = 200
CONFIG = {
    "dns": {"ttl": "1s"},  # the drain follows the TTL: a minute of this has more restarts
    "services": [{"name": "hello", "port": PORT, "checks": [{"http": "/", "interval": "1s"}]}],
}


class Instance:
    """A service and the agent beside it."""

    def __init__(self, host):
        self.host = host
        self.start()

    def start(self):
        self.server = self.host.http_server(PORT)
        self.agent = self.host.agent(CONFIG)

    def restart(self):
        """As systemd does it with outrider@.service; the exit status of the agent."""
        status = self.agent.stop(signal.SIGTERM, deadline=30)
        self.server.stop()
        self.start()
        return status


def account(client):
    client.send(signal.SIGTERM)
    client.wait()
    return json.loads(client.lines[-1][1])


def scenario(world):
    a, b, c = world.host("a"), world.host("b"), world.host("c")
    instances = [Instance(a), Instance(b)]
    c.agent({"dns": {"listen": ["127.0.0.55:53"], "ttl": "1s"}})
    seen = c.watch_dns("hello.svc")
    both = rf"^0 {a.ip4} {b.ip4}$"
    with world.step("both instances are there", vital=True):
        seen.wait_line(both)

    client = c.start("client", [harness.PYTHON, harness.HERE / "client_loop.py", "127.0.0.55", "hello.svc", PORT])
    with world.step("restarts of each in turn, drained: no request fails") as say:
        begun, restarts = time.monotonic(), 0
        while restarts < len(instances) or (world.long and time.monotonic() - begun < LONG_S):
            since = seen.mark()
            equal(instances[restarts % 2].restart(), 0, "exit status of the agent")
            seen.wait_line(both, since=since)
            restarts += 1
        said = account(client)
        rate = said["tries"] / said["seconds"]
        say(f"{restarts} restarts, {said['tries']} requests in {said['seconds']:.1f} s, {rate:.0f} a second")
        equal(said["failures"], 0, f"failures: {client.text()[:600]}")
        equal(sorted(said["served"]), [a.ip4, b.ip4], "who served")
        check(rate >= RATE_MIN, f"only {rate:.0f} requests a second")

    client = c.start("client", [harness.PYTHON, harness.HERE / "client_loop.py", "127.0.0.55", "hello.svc", PORT])
    with world.step("control: a service stopped without draining costs requests") as say:
        since = seen.mark()
        instances[0].server.stop()
        client.wait_line("^failure")
        seen.wait_line(rf"^0 {b.ip4}$", since=since)
        say(f"{account(client)['failures']} failed")


if __name__ == "__main__":
    harness.main(scenario)
