#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Twenty agents, avahi-daemon and python3-zeroconf share port 5353 of one host: all see all, nobody is
renamed, and avahi answers unicast queries as it does alone. With --long, the traffic of 50 agents on 50 hosts.
"""

import json
import pathlib
import time

import harness
from harness import PYTHON, check, equal

AGENTS = 20
TYPE = "_hello._tcp"
# With --long.
QUIET_AGENTS = 50
QUIET_SERVICE = f"{TYPE},8000,version=1.0.0,text={200 * 'x'}"
QUIET_AFTER_S, QUIET_FOR_S = 80, 160  # longer than every TTL of the short profile
QUIET_DATAGRAMS_S = 25


def unicast_answers(host, count=40):
    """How many of `count` unicast queries to port 5353 of the host's own address are answered."""
    answered = 0
    for _ in range(count):
        argv = ["dig", f"@{host.ip4}", "-p", 5353, "+time=1", "+tries=1", "+short"]
        said = host.run([*argv, f"{host.name}-avahi.local", "A"], may_fail=True)[1]
        answered += host.ip4 in said.splitlines()
    return answered


def found_by_avahi(host):
    """Labels, unresolved: avahi-browse never ends if what it resolves is taken back meanwhile."""
    lines = host.run(["avahi-browse", "-pt", TYPE])[1].splitlines()
    gone = {line[1:] for line in lines if line.startswith("-")}
    return {
        harness.Browsed(line).label
        for line in lines
        if line.startswith("+") and line[1:] not in gone
    }


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
    with world.step("no name was changed, no instance was lost"):
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
            lambda: found_by_avahi(a) <= {"by-avahi", "by-zeroconf"},
        )
    if world.long:
        quiet_lan(world, peer)


def sent_by(hosts):
    """Datagrams and octets that have left the hosts, with Ethernet headers."""
    sums = [0, 0]
    for host in hosts:
        link = json.loads(host.run(["ip", "-j", "-s", "link", "show", "eth0"])[1])[0]["stats64"]["tx"]
        sums = [sums[0] + link["packets"], sums[1] + link["bytes"]]
    return sums


def quiet_lan(world, peer):
    """Traffic of 50 agents that have found each other, while nothing changes."""
    for program in world.programs:
        program.stop()
    hosts = [world.host(f"q{n}") for n in range(QUIET_AGENTS)]
    programs = [
        host.start("peer", [peer, host.name, f"publish={host.name},{QUIET_SERVICE}", f"browse={TYPE}"])
        for host in hosts
    ]
    with world.step(f"{QUIET_AGENTS} agents, each on a host of its own, see each other"):
        for program in programs:
            program.wait_line(rf"count {QUIET_AGENTS - 1}$", deadline=60)
    with world.step("their traffic while nothing changes, over IPv4 and IPv6 together") as note:
        time.sleep(QUIET_AFTER_S)
        before, begun = sent_by(hosts), time.monotonic()
        time.sleep(QUIET_FOR_S)
        took = time.monotonic() - begun
        datagrams, octets = (now - then for now, then in zip(sent_by(hosts), before))
        note(f"{datagrams / took:.1f} datagrams and {octets / took / 1000:.1f} kB a second")
        check(datagrams / took <= QUIET_DATAGRAMS_S, f"{datagrams / took:.1f} datagrams a second")
    for program in programs:
        program.send(15)


if __name__ == "__main__":
    harness.main(scenario)
