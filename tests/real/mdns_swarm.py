#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Twenty agents, avahi-daemon and python3-zeroconf share port 5353 of one host: all see all, nobody is
renamed, and avahi answers unicast queries as it does alone.
"""

import pathlib
import time

import harness
from harness import PYTHON, check, equal

AGENTS = 20
TYPE = "_hello._tcp"


def unicast_answers(host, count=40):
    """How many of `count` unicast queries to port 5353 of the host's own address are answered."""
    answered = 0
    for _ in range(count):
        argv = ["dig", f"@{host.ip4}", "-p", 5353, "+time=1", "+tries=1", "+short"]
        said = host.run([*argv, f"{host.name}-avahi.local", "A"], may_fail=True)[1]
        answered += host.ip4 in said.splitlines()
    return answered


def scenario(world):
    peer = pathlib.Path(world.outrider).parent.parent / "tests/real/mdns_peer"
    check(peer.exists(), f"{peer} is not built")
    harness.need("avahi-daemon", "avahi-publish", "avahi-browse", "dbus-daemon", "dig")
    a = world.host("a")
    a.avahi_daemon()
    avahi = a.start("publish", ["avahi-publish", "-s", "by-avahi", TYPE, "9090"])
    avahi.wait_line("Established")
    with world.step("avahi alone answers unicast queries") as note:
        equal(unicast_answers(a), 40, "answers")
    begun = time.monotonic()
    peers = [
        a.start(
            f"peer{n}",
            [peer, f"agent{n}", f"publish=agent{n},{TYPE},{8000 + n}", f"browse={TYPE}"],
        )
        for n in range(AGENTS)
    ]
    with world.step("every agent sees every other, and avahi's service") as note:
        for program in peers:
            program.wait_line(rf"count {AGENTS}$", deadline=20)
        note(f"{time.monotonic() - begun:.1f} s after the first one's start")
    with world.step("avahi still answers unicast queries"):
        equal(unicast_answers(a), 40, "answers")
    zeroconf = a.start(
        "zeroconf",
        [PYTHON, harness.HERE / "zeroconf_publish.py", a.ip4, TYPE, "by-zeroconf", 9091],
    )
    with world.step("every agent sees zeroconf's service"):
        zeroconf.wait_line("registered")
        for program in peers:
            program.wait_line("sighting by-zeroconf")
    with world.step("avahi sees all of them"):
        labels = {seen.label for seen in a.avahi_resolve(TYPE)}
        wanted = {f"agent{n}" for n in range(AGENTS)} | {"by-avahi", "by-zeroconf"}
        equal(sorted(wanted - labels), [], "missing")
    with world.step("python3-zeroconf sees all of them"):
        seen = a.zeroconf_resolve(TYPE, AGENTS + 1)
        check(len(seen) >= AGENTS + 1, f"{len(seen)}: {sorted(seen)}")
    with world.step("nobody was renamed, nothing was lost"):
        for n, program in enumerate(peers):
            names = [t.split()[-1] for _, t in program.lines if " announced " in t]
            equal(names, [f"agent{n}"], f"labels of agent{n}")
            lost = [t for _, t in program.lines if " lost " in t]
            equal(lost, [], f"lost by agent{n}")
        daemon = next(p for p in world.programs if p.name.endswith("avahi-daemon"))
        check("conflict" not in daemon.text().lower(), "avahi-daemon speaks of a conflict")
    with world.step("memory of an agent") as note:
        sizes = sorted(program.rss_kib() for program in peers)
        note(f"{sizes[0]}–{sizes[-1]} KiB resident")
    with world.step("all leave, and avahi sees them leave"):
        for program in peers:
            program.send(15)
        harness.wait_for(
            "only others left",
            lambda: {s.label for s in a.avahi_resolve(TYPE)} <= {"by-avahi", "by-zeroconf"},
        )


if __name__ == "__main__":
    harness.main(scenario)
