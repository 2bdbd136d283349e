#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Agents inside programs: those of the header's comment and the examples, beside a daemon on one host, and on another
host of the link. They find each other in every way; what one costs is printed."""

import json
import pathlib
import signal
import subprocess
import sys
import time

import harness
from harness import check, equal

APPEAR_WITHIN_S = 10.0
GONE_WITHIN_S = 5.0
# Of a program with an agent inside, shared libraries and all, without optimisation. bench/run embed has figures.
MEMORY_KIB_MAX = 16 << 10


def build_examples(world):
    build = pathlib.Path(world.outrider).parents[1]
    if not (build / "agent/embed/liboutrider.so.0").exists():
        raise harness.Skip("liboutrider is not built")
    out = world.dir / "examples"
    subprocess.run([sys.executable, "-B", str(harness.TOP / "tests/embed/header_test.py"), str(build), "--examples",
                    str(out)], check=True, timeout=100)
    return out


def names_on(host, service):
    status, text = host.outrider("instances", service, "--json")
    return [one["port"] for one in json.loads(text)["instances"]] if status == 0 else []


def has_port(port):
    """A line that is a list with an instance on this port, as watchers print it."""
    return lambda line: line.startswith("{") and f'"port":{port},' in line


def is_empty(line):
    return line.endswith('"instances":[]}')


def followers(b, examples):
    """Programs that follow orders, each with another loop."""
    programs = [("program3", []), ("libuv", ["orders"]), ("glib", ["orders"])]
    return {name: b.start(name, [examples / name, *words]) for name, words in programs
            if (examples / name).exists()}


def on_one_host(world, a, examples):
    with world.step("a program registers itself; the daemon of its host answers for it", vital=True) as say:
        begun = time.monotonic()
        one = a.start("program1", [examples / "program1"], stdin=subprocess.PIPE)
        one.wait_line("^registered ")
        registered = time.monotonic() - begun
        harness.wait_for("orders in the daemon", lambda: names_on(a, "orders") == [8080], APPEAR_WITHIN_S)
        say(f"registered {registered:.3f} s after its start, known to the daemon {time.monotonic() - begun:.3f} s")
        equal(a.dig("orders.svc", port=5370).data("A"), [a.ip4], "address")
    with world.step("a second agent on the host finds the first, and the service of the daemon"):
        shop = a.start("epoll", [examples / "epoll", "shop", "8001", "orders"])
        shop.wait_line(has_port(8080), APPEAR_WITHIN_S)
        found = a.start("service", [examples / "service", "stock", "8002", "hello"], stdin=subprocess.PIPE)
        found.wait_line(r'"url":"http://.*:8000"', APPEAR_WITHIN_S)
    with world.step("what an agent inside a program costs") as say:
        empty = a.start("sleep", ["sleep", "60"])
        say(f"resident {one.rss_kib()} KiB with a thread, {shop.rss_kib()} KiB without; sleep {empty.rss_kib()} KiB")
        check(one.rss_kib() < MEMORY_KIB_MAX, "too much")
        empty.stop()
    return one, shop, found


def each_other(world, a, b, examples):
    with world.step("two agents in programs of a host and its daemon find each other; so do two hosts"):
        pair = [a.start(name, [examples / "epoll", name, port, other])
                for name, port, other in (("left", "8004", "right"), ("right", "8005", "left"))]
        far = b.start("far", [examples / "epoll", "far", "8003", "left"])
        pair[0].wait_line(has_port(8005), APPEAR_WITHIN_S)
        pair[1].wait_line(has_port(8004), APPEAR_WITHIN_S)
        far.wait_line(has_port(8004), APPEAR_WITHIN_S)
        for name, port in (("left", 8004), ("right", 8005), ("far", 8003)):
            harness.wait_for(f"{name} in the daemon", lambda name=name, port=port: names_on(a, name) == [port],
                             APPEAR_WITHIN_S)
        # `service` waits for a service with an agent of its own: one on each host.
        here = a.start("here", [examples / "service", "here", "8006", "far"], stdin=subprocess.PIPE)
        there = b.start("there", [examples / "service", "there", "8007", "right"], stdin=subprocess.PIPE)
        here.wait_line(rf'"url":"http://{b.ip4}:8003"', APPEAR_WITHIN_S)
        there.wait_line(rf'"url":"http://{a.ip4}:8005"', APPEAR_WITHIN_S)
        for program in (here, there):
            program.popen.stdin.close()
            equal(program.wait(), 0, program.name)
        for program in (*pair, far):
            program.stop()


def scenario(world):
    harness.need("dig")
    examples = build_examples(world)
    a, b = world.host("a"), world.host("b")
    a.http_server(8000)
    a.agent({"services": [{"name": "hello", "port": 8000, "checks": [{"http": "/", "interval": "1s"}]}]})
    one, shop, found = on_one_host(world, a, examples)
    each_other(world, a, b, examples)

    programs = followers(b, examples)
    with world.step("programs of another host follow it: " + ", ".join(programs)):
        for program in programs.values():
            program.wait_line(has_port(8080), APPEAR_WITHIN_S)
    with world.step("a program of another host opens an agent of its own, waits, and picks an instance"):
        picked = b.start("program2", [examples / "program2"])
        picked.wait_line(rf'"url":"http://{a.ip4}:8080"', APPEAR_WITHIN_S)
        equal(picked.wait(), 0, "status")
    with world.step("on the daemon's host, it uses the daemon"):
        picked = a.start("program2", [examples / "program2", "hello"])
        picked.wait_line(r'"url":"http://.*:8000"', APPEAR_WITHIN_S)
        equal(picked.wait(), 0, "status")

    with world.step("a program that ends says goodbye: the daemon and all followers see it") as say:
        marks = {program: program.mark() for program in [*programs.values(), shop]}
        begun = time.monotonic()
        one.popen.stdin.close()
        equal(one.wait(), 0, "status")
        for program, mark in marks.items():
            program.wait_line(is_empty, GONE_WITHIN_S, since=mark)
        harness.wait_for("orders is gone", lambda: not names_on(a, "orders"), GONE_WITHIN_S)
        say(f"{time.monotonic() - begun:.3f} s, of which 1 s drains")
    with world.step("the others end at SIGTERM"):
        for program in [*programs.values(), shop]:
            equal(program.stop() in (0, -signal.SIGTERM), True, program.name)
        found.popen.stdin.close()
        equal(found.wait(), 0, "service")


if __name__ == "__main__":
    harness.main(scenario)
