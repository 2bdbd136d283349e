#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Several agents on one host share the DNS address."""

import pathlib
import signal

import harness
from harness import check, equal, wait_for

QUERIES = 40
PORT = 5370


def stopped(program):
    return "State:\tT" in pathlib.Path(f"/proc/{program.pid}/status").read_text()


def suspended_agent(world):
    """Ctrl-Z, or kill -TSTP, on one of two agents."""
    a = world.host("a")
    config = {"services": [{"name": "hello", "port": 8000}],
              "mdns": {"provider": "off"},
              "lifecycle": {"drain": "0s"}}
    first, second = a.agent(config), a.agent(config)
    for agent in (first, second):
        agent.wait_line("dns_listening")

    def answers():
        return [a.dig("hello.svc", port=PORT).status for _ in range(QUERIES)]

    with world.step("a suspended agent takes no queries from the other one") as say:
        first.send(signal.SIGTSTP)
        wait_for("the agent is stopped", lambda: stopped(first))
        got = answers()
        say(f"{got.count('NOERROR')} of {QUERIES} answered")
        equal(got, ["NOERROR"] * QUERIES, "answers")
    with world.step("the agent that goes on answers again"):
        since = first.mark()
        first.send(signal.SIGCONT)
        first.wait_line("dns_listening", since=since)
        second.stop()
        equal(answers(), ["NOERROR"] * QUERIES, "answers")
    with world.step("a suspended agent that is asked to end while it sleeps ends when it goes on"):
        first.send(signal.SIGTSTP)
        wait_for("the agent is stopped", lambda: stopped(first))
        first.send(signal.SIGTERM)
        first.send(signal.SIGCONT)
        equal(first.wait(), 0, "exit status")
    check(not first.running(), "the first agent still runs")


def loopback_only(world):
    """A program with a default of 127.0.0.1: healthy for its own host, refused for all others."""
    a, b = world.host("c"), world.host("d")
    b.agent()
    seen = b.watch_dns("vite.svc", port=PORT)
    seen.wait_line("^3$")
    server = [harness.PYTHON, "-m", "http.server", "8301", "--bind"]
    with world.step("a program on loopback only is registered for its host, with a hint in the log"):
        run = a.start("run", [world.outrider, "run", "--set", "lifecycle.drain=0s", "--name", "vite",
                              "--port", "8301", "--", *server, "127.0.0.1"])
        said = run.wait_line("exposure_limited")[1]
        check("0.0.0.0" in said, said)
        wait_for("its own host has it", lambda: a.dig("vite.svc", port=PORT).data("A") == ["127.0.0.1"])
    with world.step("why and doctor say so, and what to do"):
        for words in (["why", "vite"], ["doctor"]):
            said = a.outrider(*words)[1]
            check("listens on loopback only" in said and "0.0.0.0" in said, said)
    with world.step("no other host is sent there"):
        equal(b.dig("vite.svc", port=PORT).status, "NXDOMAIN", "status at the other host")
        run.stop()
    with world.step("a configured service is announced once its program listens on all addresses") as say:
        a.agent({"services": [{"name": "vite", "port": 8301, "checks": [{"tcp": "auto", "interval": "1s"}]}]})
        first = a.start("server", [*server, "127.0.0.1"])
        wait_for("its own host has it", lambda: a.dig("vite.svc", port=PORT).data("A") == ["127.0.0.1"])
        first.kill()
        second = a.start("server", [*server, "0.0.0.0"])
        second.wait_line("Serving HTTP")
        seen.wait_line(f"^0 {a.ip4}$")
    with world.step("a program that ignores $PORT is named with the port that it has"):
        run = a.start("run", [world.outrider, "run", "--set", "lifecycle.drain=0s", "--name", "other",
                              "--port", "8302", "--", "sh", "-c",
                              f"{harness.PYTHON} -m http.server 3000; true"])
        said = run.wait_line("exposure_limited")[1]
        check("use --port 3000" in said, said)
        run.stop()


def scenario(world):
    suspended_agent(world)
    loopback_only(world)


if __name__ == "__main__":
    harness.main(scenario)
