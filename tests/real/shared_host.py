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


def scenario(world):
    suspended_agent(world)


if __name__ == "__main__":
    harness.main(scenario)
