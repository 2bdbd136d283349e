#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What neighbours do to each other on purpose or by mistake, and what a switch does to both.

A program of another library ends and takes the enumeration of the type back; a host names thousands
of instances that no host describes; clients ask for names that no host has; multicast is lost for 25 s
without the link going down. What honest hosts announce stays in DNS, or is back soon.
"""

import time

import harness
from harness import check, equal, wait_for

PORT = 8000
OUTAGE_S = 25
BACK_WITHIN_S = 3
AT_ONCE_S = 2
HELLO = {"name": "hello", "port": PORT, "checks": [{"http": "/", "interval": "1s"}]}


def flood(host, kind):
    argv = [harness.PYTHON, harness.HERE / "flood.py", kind, host.ip4, 5353]
    program = host.start("flood", argv)
    equal(program.wait(60), 0, f"exit status of the flood: {program.text()}")


def addresses(host, name="hello.svc"):
    return sorted(host.dig(name).data("A"))


def multicast(world, passes):
    for host in world.hosts:
        argv = ["bridge", "link", "set", "dev", f"{host.name}-lan", "mcast_flood"]
        harness.run(argv + ["on" if passes else "off"])


def scenario(world):
    harness.need("bridge")
    a, b, c = (world.host(name) for name in "abc")
    both = sorted([a.ip4, b.ip4])
    for host in (a, b):
        host.http_server(PORT)
        host.agent({"services": [HELLO]})
    c.agent({"dns": {"listen": ["127.0.0.55:53"]}})
    with world.step("two services of one type are seen", vital=True):
        wait_for("both in DNS", lambda: addresses(c) == both)
    with world.step("a program that takes the enumeration back takes no instance along"):
        flood(c, "goodbye")
        until = time.monotonic() + 5
        while time.monotonic() < until:
            got = addresses(c)
            check(set(both) <= set(got), f"in DNS: {got}")
            time.sleep(harness.POLL_S)
    with world.step("4,000 names that no host describes cost no sighting and no time") as note:
        flood(c, "pointers")
        begun = time.monotonic()
        equal(addresses(c), both, "addresses")
        note(f"answered in {time.monotonic() - begun:.3f} s")
        check(time.monotonic() - begun < AT_ONCE_S, "DNS is late")
    with world.step("40 unknown names leave room for a new one"):
        for number in range(40):
            c.dig(f"unknown-{number}.svc", options=["+tries=1"])
        later = b.dir / "later.json"
        later.write_text('{"name": "later", "port": 8001}')
        equal(b.outrider("register", later)[0], 0, "exit status")
        wait_for("the new service in DNS", lambda: addresses(c, "later.svc") == [b.ip4])
    with world.step("multicast is lost until all has expired; what expired is back") as note:
        multicast(world, False)
        wait_for("both expired", lambda: addresses(c) == [], OUTAGE_S)
        multicast(world, True)
        begun = time.monotonic()
        wait_for("both in DNS again", lambda: addresses(c) == both)
        note(f"{time.monotonic() - begun:.3f} s")
        check(time.monotonic() - begun < BACK_WITHIN_S, "too late")


if __name__ == "__main__":
    harness.main(scenario)
