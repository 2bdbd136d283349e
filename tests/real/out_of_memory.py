#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An agent that gets no memory, at one allocation after the other: it works on, refuses, or says so and aborts. It
never goes on with a wild pointer."""

import collections
import json
import pathlib
import re
import resource
import signal
import subprocess

import harness
from harness import check

STEP, STEP_LONG = 53, 3
LAST = 4_000
LIVES_S = 0.5  # of an agent that does not mind
CLIENTS = 400
ROOM_BYTES = (0, 256 << 10, 1 << 20, 2 << 20, 4 << 20, 8 << 20)
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


# Registrations of which each is as large as it may be, and streams that nobody reads.
FLOOD = """
import json, socket, sys
path, count = sys.argv[1], int(sys.argv[2])
clients = []
for i in range(count):
    service = {"name": f"s{i}", "port": 80, "metadata": {f"key-{k}": "v" * 10 for k in range(40)}}
    body = json.dumps(service)
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(1)
    try:
        client.connect(path)
        client.sendall((f"PUT /v1/outrider/register HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: {len(body)}"
                        f"\\r\\n\\r\\n{body}GET /v1/outrider/watch HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n").encode())
    except OSError:
        pass
    clients.append(client)
"""


def end_with_room(host, room):
    """How an agent ends that gets so much address space beyond what it has, and its last line."""
    agent = host.agent(CONFIG)
    path = re.search(r"address=(/\S+\.sock)", agent.wait_line("api_listening")[1])[1]
    agent.wait_line("dns_listening")
    size = int(re.search(r"VmSize:\s+(\d+)", pathlib.Path(f"/proc/{agent.pid}/status").read_text())[1])
    resource.prlimit(agent.pid, resource.RLIMIT_AS, ((size << 10) + room,) * 2)
    host.run([harness.PYTHON, "-c", FLOOD, path, CLIENTS], may_fail=True, timeout=CLIENTS * 2)
    agent.send(signal.SIGTERM)
    status = agent.wait()
    return status, agent.lines[-1][1]


def scenario(world):
    harness.need("cc")
    a = world.host("a")
    with world.step("the address space ends: a sentence and an abort, or refusals") as say:
        ends = [end_with_room(a, room) for room in ROOM_BYTES]
        for room, (status, said) in zip(ROOM_BYTES, ends):
            check(status == 0 or (status, said) == (-signal.SIGABRT, "outrider: out of memory"),
                  f"with {room} bytes: status {status}, {said!r}")
        say(", ".join("works on" if status == 0 else "aborted" for status, _ in ends))
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
