# SPDX-License-Identifier: Apache-2.0
"""bench/run api: clients of the API all at once, on one agent; see tests/real/api_crowd.py.

Each row is an agent of its own with so many blocking queries, streams of changes and registrations a second. A client
asks DNS every 2 ms meanwhile. "wakes" are answers to blocking queries, "events" are changes that streams received. The
last row has every stream receive every change; the one before it has no crowd.
"""

import json
import pathlib
import subprocess
import sys
import time

import lab

PROGRAMS = ["agent/outrider"]
HERE = pathlib.Path(__file__).resolve().parent
CROWD = HERE.parent / "tests/real/api_crowd.py"
DNS = ("127.0.0.55", "5370")
# Blocking queries, streams, registrations a second, and whether every stream receives every change.
ROWS = ((0, 0, 200, False), (1_000, 0, 200, False), (0, 500, 200, False), (1_000, 500, 200, False),
        (1_000, 500, 200, True))
HEAD = ("queries", "streams", "written/s", "refused", "wakes/s", "events/s", "write p50 ms", "p99 ms", "longest ms",
        "DNS p99 ms", "longest ms", "core %", "RSS MB")


def start_agent(place):
    config = place.folder / "agent.json"
    config.write_text(json.dumps({
        "dns": {"listen": [":".join(DNS)]}, "mdns": {"provider": "off"},
        "api": {"socket": str(place.folder / "agent.sock"), "persist": False},
        "services": [{"name": "hello", "port": 80, "address": ["127.0.0.1"]}]}))
    agent = place.start("agent", [place.build / "agent/outrider", "agent", "--config", config])
    if not lab.wait_until((place.folder / "agent.sock").exists, 30):
        raise SystemExit("the agent does not come up:\n" + (place.folder / "agent/output").read_text())
    return agent


def measure(place, queries, streams, rate, everything, seconds):
    agent = start_agent(place)
    words = [place.folder / "agent.sock", seconds, queries, streams, rate, *(["all"] if everything else [])]
    begun, used = time.monotonic(), lab.cpu_seconds(agent.pid)
    crowd = subprocess.Popen(["taskset", "-c", lab.LOAD_CORE, sys.executable, CROWD, *map(str, words)],
                             stdout=subprocess.PIPE, text=True)
    delay = place.load([sys.executable, HERE / "paced_dns.py", *DNS, "hello.svc", seconds])
    said = json.loads(crowd.communicate(timeout=seconds + 90)[0].splitlines()[-1])
    took = time.monotonic() - begun
    share = (lab.cpu_seconds(agent.pid) - used) / took * 100
    memory = lab.status(agent.pid, "VmHWM") / 1024
    place.stop(agent)
    return (f"{said['waiting']:,}", f"{said['watching']:,}" + (" (all)" if everything else ""),
            f"{said['registered'] / said['seconds']:.0f}", said["refused"], f"{said['answers'] / said['seconds']:,.0f}",
            f"{said['events'] / said['seconds']:,.0f}", said["p50_ms"], said["p99_ms"], said["p100_ms"],
            f"{delay['p99_ms']:.2f}", f"{delay['longest_ms']:.2f}", f"{share:.0f}", f"{memory:.1f}")


def run(place, options):
    lab.table(HEAD, [measure(place, *row, options.seconds) for row in ROWS])
