#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An agent without descriptors: what it cannot probe stays as it is, and it still serves its clients one by one."""

import json
import time

import harness
from harness import check, equal

PORT = 5370
SHORT_S = 4


def scenario(world):
    a, b = world.host("a"), world.host("b")
    checks = [{"http": "/", "interval": "500ms"}, {"id": "tcp", "tcp": "auto", "interval": "500ms"}]
    a.http_server(8000)
    agent = a.agent({"services": [{"name": "hello", "port": 8000, "checks": checks}]})
    b.agent()
    here, there = a.watch_dns("hello.svc", port=PORT), b.watch_dns("hello.svc", port=PORT)
    for seen in (here, there):
        seen.wait_line(f"^0 {a.ip4}$")

    def limit(number):
        a.run(["prlimit", f"--pid={agent.pid}", f"--nofile={number}:"])

    with world.step("a limit below what is open takes no healthy service out, here or at a peer") as say:
        marks = [(seen, seen.mark()) for seen in (here, there)]
        put = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", a.dir / "outrider/agent.sock",
               "-X", "PUT", "--data", json.dumps({"name": "web", "port": 81}), "http://agent/v1/outrider/register"]
        limit(5)
        begun = time.monotonic()
        # It takes effect, but no descriptor is left to write it to the disk, as the answer says.
        equal(a.run(put, may_fail=True)[1].strip(), "500", "a registration meanwhile")
        agent.wait_line("state_failed.*Too many open files")
        check("web" in a.outrider("services")[1], "not registered")
        answered = 0
        while time.monotonic() < begun + SHORT_S:
            answered += a.dig("hello.svc", port=PORT).data("A") == [a.ip4]
        check(answered > 10, f"{answered} answers")
        for seen, mark in marks:
            equal(seen.lines[mark:], [], "changes")
        limit(1024)
        agent.wait_line("state_recovered")
        say(f"{answered} answers in {SHORT_S} s")
    with world.step("a failure is seen again afterwards"):
        mark = here.mark()
        for program in world.programs:
            if "http.server" in program.name:
                program.kill()
        here.wait_line("^0$", since=mark)
    with world.step("too low a limit at the start is a sentence and status 1"):
        for command in ("agent", "status"):
            status, said = a.run(["sh", "-c", f"ulimit -n 8; exec {world.outrider} {command}"], may_fail=True)
            equal(status, 1, said)
            check("limit of open files is 8" in said, said)


if __name__ == "__main__":
    harness.main(scenario)
