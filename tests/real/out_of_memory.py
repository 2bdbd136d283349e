#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An agent that gets no memory, at one allocation after the other: it works on, refuses, or says so and aborts. It
never goes on with a wild pointer."""

import collections
import json
import signal
import subprocess

import harness
from harness import check

STEP, STEP_LONG = 53, 3
LAST = 4_000
LIVES_S = 0.5  # of an agent that does not mind
CONFIG = {
    "services": [{"name": "hello", "port": 8000, "checks": [{"http": "/", "interval": "200ms"}],
                  "farp": {"openapi": "/openapi.json"}}],
    "dns": {"forward": "on", "upstream": ["127.0.0.9"]},
    "lifecycle": {"drain": "0s"},
}


def outcome(host, outrider, library, file, number):
    """How an agent ends of which one allocation fails, and its last line."""
    agent = host.start("agent", [outrider, "agent", "--config", file],
                       env={"LD_PRELOAD": str(library), "FAILING_MALLOC_AT": str(number)})
    try:
        agent.popen.wait(LIVES_S)
    except subprocess.TimeoutExpired:
        agent.send(signal.SIGTERM)
    status = agent.wait()
    return status, agent.lines[-1][1] if agent.lines else ""


def scenario(world):
    harness.need("cc")
    a = world.host("a")
    library = world.dir / "failing_malloc.so"
    harness.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library),
                 str(harness.HERE / "failing_malloc.c")], timeout=60)
    file = a.dir / "outrider.json"
    file.write_text(json.dumps(CONFIG))
    step = STEP_LONG if world.long else STEP
    with world.step(f"one of {LAST // step} allocations fails: a sentence, never a wild pointer") as say:
        ends = collections.Counter()
        for number in range(1, LAST, step):
            status, said = outcome(a, world.outrider, library, file, number)
            aborted = status == -signal.SIGABRT and said == "outrider: out of memory"
            check(aborted or status in (0, 1, 2), f"allocation {number}: status {status}, {said!r}")
            ends["aborted" if aborted else f"status {status}"] += 1
        say(", ".join(f"{what}: {count}" for what, count in sorted(ends.items())))
        check(ends["aborted"] > 0, f"no allocation failed: {ends}")


if __name__ == "__main__":
    harness.main(scenario)
