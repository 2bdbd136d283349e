# SPDX-License-Identifier: Apache-2.0
"""bench/run worst: the longest delay of DNS while something floods the agent.

An agent with 500 instances of one service answers a client that asks every 2 ms; see paced_dns.py. First nothing else
happens, then each flood of floods.py runs, from another host of the LAN or from the agent's own. The agent runs on
core 0, clients and floods on core 1; the agent and the client that asks have precedence over all other
programs, so that only what the agent does itself can delay an answer. The bar is 5 ms more than in the idle run.
"""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import dns_bench
import idle_bench
import lab

PROGRAMS = ["agent/outrider"]
HERE = pathlib.Path(__file__).resolve().parent
OWN, NEIGHBOUR = "198.51.100.1", "198.51.100.2"
DNS = ("127.0.0.55", 5370)
INSTANCES = 500
ETCD_PORT, DOOR_PORT = 2379, 2380
BAR_MS = 5.0

# What the agent is told, the kind of flood, where it comes from.
FLOODS = (
    ("names that collide in an unseeded hash", "collisions", "lan"),
    ("questions for unknown services", "names", "dns"),
    ("bare PTR records from forged addresses", "pointers", "lan"),
    ("230 equal questions on 500 services", "questions", "lan"),
    ("256 equal questions with 1,020 known answers", "known", "lan"),
    ("500 watchers that do not read", "watchers", "api"),
    ("400 blocking queries", "waiters", "api"),
    ("no free descriptors", "descriptors", None),
    ("140 connections to the FARP port", "farp", "port"),
    ("pipelined requests, then a hang-up", "hang-up", "api"),
    ("4,000 instances by the etcd port, listed again and again", "etcd-clients", "door"),
    ("4,000 keys of etcd come, change and go at once", "engine", "etcd"),
)


def neighbour(place):
    idle_bench.quiet_network(place)
    process = next(one for one in place.started if one.args[-2:] == ["sleep", "infinity"])
    subprocess.run(["nsenter", "-t", str(process.pid), "-n", "ip", "address", "add", f"{NEIGHBOUR}/24", "dev",
                    "bench1"], check=True)
    return ["nsenter", "-t", str(process.pid), "-n"]


def write_config(place, registries):
    services = [{"name": "hello", "id": f"hello-{number}", "port": 10_000 + number, "address": [OWN]}
                for number in range(INSTANCES)]
    services[0]["farp"] = {"openapi": "/openapi.json"}
    config = place.folder / "agent.json"
    config.write_text(json.dumps({
        "dns": {"listen": [f"{DNS[0]}:{DNS[1]}"]}, "mdns": {"provider": "native"}, "farp": {"listen": [f"{OWN}:5371"]},
        "api": {"socket": str(place.folder / "agent.sock"), "etcd_listen": [f"127.0.0.1:{DOOR_PORT}"]},
        "services": services, "registries": registries}))
    return config


def start_agent(place):
    config = write_config(place, [])
    agent = place.start("agent", [place.build / "agent/outrider", "agent", "--config", config])
    if not lab.wait_until(lambda: dns_bench.answers(*DNS, "hello"), 30):
        raise SystemExit("the agent does not come up:\n" + (place.folder / "agent/output").read_text())
    # Not a real-time class: the kernel suspends a real-time process that fills its core for 50 ms of each second.
    os.setpriority(os.PRIO_PROCESS, agent.pid, -20)
    return agent


def listens():
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", ETCD_PORT)) == 0


def start_flood(place, agent, inside, kind, place_of, seconds):
    if kind == "descriptors":
        script = f"prlimit --pid {agent.pid} --nofile=5:; sleep {seconds}; prlimit --pid {agent.pid} --nofile=1024:"
        return place.start(kind, ["sh", "-c", script], core=lab.LOAD_CORE)
    if kind == "engine":
        flood = place.start(kind, [sys.executable, HERE / "etcd_flood.py", ETCD_PORT, seconds], core=lab.LOAD_CORE)
        if not lab.wait_until(listens, 10):
            raise SystemExit("the etcd of the flood does not come up")
        write_config(place, [{"etcd": {"endpoints": [f"http://127.0.0.1:{ETCD_PORT}"], "publish": False,
                                       "layouts": {"kratos": {}}}}])
        agent.send_signal(signal.SIGHUP)
        return flood
    argument = {"lan": NEIGHBOUR, "dns": f"{DNS[0]}:{DNS[1]}", "port": OWN, "api": place.folder / "agent.sock",
                "door": f"127.0.0.1:{DOOR_PORT}"}
    prefix = inside if place_of in ("lan", "port") else []
    return place.start(kind, [*prefix, sys.executable, HERE / "floods.py", kind, seconds, argument[place_of]],
                       core=lab.LOAD_CORE)


def ask(place, seconds):
    return place.load([sys.executable, HERE / "paced_dns.py", *DNS, "hello-0.hello.svc", seconds])


def row(name, delay, agent, cpu, seconds, more=None):
    return (name, f"{delay['median_ms']:.2f}", f"{delay['p99_ms']:.2f}", f"{delay['longest_ms']:.2f}",
            "" if more is None else f"{more:+.2f}", f"{delay['lost']:.0f}", f"{cpu / seconds * 100:.0f}",
            f"{lab.status(agent.pid, 'VmRSS') / 1024:.0f}")


def run(place, options):
    inside = neighbour(place)
    agent = start_agent(place)
    time.sleep(idle_bench.SETTLE)
    seconds = options.seconds
    idle, rows, slow = None, [], []
    for name, kind, place_of in (("nothing", None, None), *FLOODS):
        if idle and options.words and not any(word in kind for word in options.words):
            continue
        used = lab.cpu_seconds(agent.pid)
        flood = start_flood(place, agent, inside, kind, place_of, seconds) if kind else None
        delay = ask(place, seconds)
        idle = idle or delay
        more = delay["longest_ms"] - idle["longest_ms"] if kind else None
        rows.append(row(name, delay, agent, lab.cpu_seconds(agent.pid) - used, seconds, more))
        if more is not None and more > BAR_MS:
            slow.append(name)
        if flood:
            flood.wait(60)
        if kind == "engine":  # what it had read goes with it
            write_config(place, [])
            agent.send_signal(signal.SIGHUP)
        time.sleep(2)  # what the flood left is over
    lab.table(("flood", "median ms", "p99 ms", "longest ms", "more than idle", "lost", "core %", "RSS MB"), rows)
    print(f"\nbeyond {BAR_MS:.0f} ms: " + (", ".join(slow) or "none"))
