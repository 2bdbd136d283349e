#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`systemctl restart outrider` under load: no client is refused, and none reads that a service does not exist.

The host's agent restarts while clients ask for a service of another agent, through the socket unit's port 53 and
through the addresses that the agent bound itself, which systemd keeps in between.
"""

import json
import shutil

import harness
import under_systemd
from harness import check, equal

UNIT = "outrider.service"
RESTARTS = 6
WAYS = (("udp", "127.0.0.55", 53), ("tcp", "127.0.0.55", 53), ("udp", "127.0.0.55", 5370), ("tcp", "127.0.0.55", 5370))
WAYS += (("http", "127.0.0.1", 5380),)
OVER = "/run/restarts-are-over"


class Client:
    """restart_client.py as a unit of the container."""

    def __init__(self, machine, way, address, port):
        self.machine = machine
        self.unit = f"client-{way}-{port}"
        argv = ["python3", "/etc/www/restart_client.py", way, address, port, OVER]
        said = machine.run("systemd-run", "--unit", self.unit, "--property=Type=exec", *argv)
        equal(said[0], 0, f"systemd-run: {said[1]}")

    def outcomes(self):
        def found():
            said = self.machine.run("journalctl", "--no-pager", "-o", "cat", "-u", self.unit)[1]
            return [line for line in said.splitlines() if line.startswith("{")]

        return json.loads(harness.wait_for(f"the count of {self.unit}", found)[0])


def kept(machine):
    return int(machine.show(UNIT, "NFileDescriptorStore"))


def load(machine, say):
    clients = [Client(machine, *way) for way in WAYS]
    before = machine.show(UNIT, "MainPID")
    for _ in range(RESTARTS):
        machine.systemctl("restart", UNIT)
        harness.wait_for("an answer", machine.hello)
    check(machine.show(UNIT, "MainPID") != before, "the agent was not restarted")
    machine.run("touch", OVER)
    total = 0
    for client in clients:
        seen = client.outcomes()
        equal(list(seen), ["answer"], f"{client.unit} {seen}")
        total += seen["answer"]
    say(f"{total} questions and requests during {RESTARTS} restarts")


def scenario(world):
    harness.need("systemd-nspawn", "dig")
    if not harness.as_root():
        raise harness.Skip("a container with systemd needs root")
    machine = under_systemd.Machine(world, "outrider-restart")
    shutil.copy(harness.HERE / "restart_client.py", machine.etc / "www")
    with world.step("two agents: the host's, and one with a service", vital=True):
        machine.systemctl("start", "outrider-dns.socket", UNIT)
        machine.systemctl("start", "hello.service", "outrider@hello.service")
        harness.wait_for("an answer", machine.hello)
    with world.step("systemd keeps what the agent bound: 5370 over UDP and TCP, and 5380"):
        equal(kept(machine), 3, "descriptors in the store")
    with world.step("restarts under load: every question and request is answered") as say:
        load(machine, say)
        equal(kept(machine), 3, "descriptors in the store")
    with world.step("an address that is configured no more is closed at the next start"):
        (machine.etc / "outrider/outrider.json").write_text('{"web": {"listen": []}}\n')
        machine.systemctl("reset-failed", UNIT)
        machine.systemctl("restart", UNIT)
        harness.wait_for("an answer", machine.hello)
        harness.wait_for("two descriptors in the store", lambda: kept(machine) == 2)
        status, text = machine.run("python3", "-c", "import socket; socket.create_connection(('127.0.0.1', 5380))")
        check(status != 0 and "ConnectionRefusedError" in text, text)
    with world.step("systemctl stop: the store is empty, and the addresses are free"):
        machine.systemctl("stop", UNIT)
        equal(kept(machine), 0, "descriptors in the store")
    with world.step("power off"):
        machine.off()
        machine.container.wait(30)


if __name__ == "__main__":
    harness.main(scenario)
