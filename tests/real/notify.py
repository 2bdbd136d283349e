#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the agent tells the service manager, and when: the datagrams of sd_notify(3) on a socket that
stands where systemd's would be."""

import json
import signal
import socket
import threading
import time

import harness
from harness import check, equal

PORT = 8000
WATCHDOG_S = 0.4
DRAIN_S = 1.0


class Manager:
    """The far end of $NOTIFY_SOCKET: what came, with its time."""

    def __init__(self, path):
        self.path = path
        self.said = []  # (monotonic seconds, {name: value})
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        while True:
            lines = self.socket.recv(4096).decode().splitlines()
            self.said.append((time.monotonic(), dict(line.split("=", 1) for line in lines)))

    def all(self, name, since=0):
        return [(at, state) for at, state in self.said[since:] if name in state]

    def wait(self, name, since=0, deadline=harness.DEADLINE_S):
        found = harness.wait_for(name, lambda: self.all(name, since), deadline)[0]
        return found

    def mark(self):
        return len(self.said)


def start(host, name, config):
    """An agent under its own manager; its configuration can be rewritten."""
    manager = Manager(host.dir / f"{name}.sock")
    file = host.dir / f"{name}.json"
    file.write_text(json.dumps(config))
    environment = {
        "NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6)),
    }
    argv = [host.world.outrider, "agent", "--config", file]
    return manager, host.start(name, argv, env=environment), file


def scenario(world):
    a = world.host("a")
    hello = {"name": "hello", "port": PORT, "checks": [{"http": "/", "interval": "1s"}]}
    config = {"lifecycle": {"drain": f"{DRAIN_S:.0f}s"}, "services": [hello]}

    manager, agent, file = start(a, "agent", config)
    with world.step("READY=1 comes once DNS answers, though the service is not healthy") as say:
        begun = time.monotonic()
        ready, _ = manager.wait("READY")
        say(f"{ready - begun:.3f} s after the start")
        equal(a.dig("hello.svc", port=5370).status, "NOERROR", "hello.svc")
        check(a.dig("hello.svc", port=5370).data("A") == [], "served already")
    with world.step("STATUS= has the counts, and follows"):
        check("own: 0 of 1 served" in manager.wait("STATUS")[1]["STATUS"], manager.said)
        a.http_server(PORT)
        harness.wait_for("1 of 1", lambda: "own: 1 of 1 served" in manager.all("STATUS")[-1][1]["STATUS"])
    with world.step("WATCHDOG=1 comes twice in its time") as say:
        mark = manager.mark()
        harness.wait_for("five of them", lambda: len(manager.all("WATCHDOG", mark)) >= 5)
        times = [at for at, _ in manager.all("WATCHDOG", mark)]
        say(f"{(times[-1] - times[0]) / (len(times) - 1):.3f} s apart")
        check((times[-1] - times[0]) / (len(times) - 1) < WATCHDOG_S, times)
    with world.step("SIGHUP: RELOADING=1 with its moment, then READY=1"):
        mark, before = manager.mark(), time.monotonic()
        file.write_text(json.dumps({**config, "services": [{**hello, "version": "2"}]}))
        agent.send(signal.SIGHUP)
        manager.wait("READY", mark)
        names = [name for _, state in manager.said[mark:] for name in state]
        check(names.index("RELOADING") < names.index("READY"), names)
        moment = int(manager.wait("RELOADING", mark)[1]["MONOTONIC_USEC"]) / 1e6
        check(before <= moment <= time.monotonic(), f"{before} {moment}")
        agent.wait_line("config_reloaded")
    with world.step("a reload that is refused ends with READY=1, too, and changes nothing"):
        mark, lines = manager.mark(), agent.mark()
        file.write_text('{"services": [{"name": "hello", "prot": 1}]}')
        agent.send(signal.SIGHUP)
        manager.wait("READY", mark)
        agent.wait_line("config_refused", since=lines)
        equal(a.dig("hello.svc", port=5370).data("A"), [a.ip4], "hello.svc")
    with world.step("SIGTERM: STOPPING=1 and more time, WATCHDOG=1 through the drain") as say:
        mark, begun = manager.mark(), time.monotonic()
        agent.send(signal.SIGTERM)
        manager.wait("STOPPING", mark)
        more = int(manager.wait("EXTEND_TIMEOUT_USEC", mark)[1]["EXTEND_TIMEOUT_USEC"]) / 1e6
        check(more > DRAIN_S, f"{more} s")
        agent.send(signal.SIGHUP)
        equal(agent.wait(), 0, "exit status")
        say(f"ended after {time.monotonic() - begun:.2f} s")
        check(len(manager.all("WATCHDOG", mark)) >= 2, manager.said[mark:])
        check(not manager.all("READY", mark), "READY=1 after STOPPING=1")

    healthy = {**config, "lifecycle": {"ready": "healthy", "drain": "20s"}}
    healthy["services"] = [{**hello, "port": PORT + 1}]
    manager, agent, _ = start(a, "patient", healthy)
    with world.step("ready: healthy: no READY=1, not after a SIGHUP either, before the service is"):
        agent.wait_line("dns_listening|dns_bind")
        agent.send(signal.SIGHUP)
        agent.wait_line("config_reloaded")
        check(not manager.all("READY") and not manager.all("RELOADING"), manager.said)
        a.http_server(PORT + 1)
        manager.wait("READY")
    with world.step("a second SIGTERM ends the drain") as say:
        agent.send(signal.SIGTERM)
        agent.wait_line("agent_draining")
        begun = time.monotonic()
        agent.send(signal.SIGTERM)
        equal(agent.wait(5), 0, "exit status")
        say(f"{time.monotonic() - begun:.2f} s")


if __name__ == "__main__":
    harness.main(scenario)
