#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The native mDNS provider beside avahi-daemon and python3-zeroconf on one LAN: register here and
see there, register there and see here, changes and goodbyes both ways.
"""

import pathlib
import signal
import time

import harness
from harness import PYTHON, check, equal

PEER = None  # build/tests/real/mdns_peer, beside the outrider that is tested
TYPE = "_hello._tcp"


def peer(host, name, *words):
    return host.start("mdns_peer", [PEER, name, *words])


def gone(label):
    return lambda line: line.startswith("-") and line.split(";")[3] == label


def resolved(label, **fields):
    def matches(line):
        if not line.startswith("="):
            return False
        seen = harness.Browsed(line)
        return seen.label == label and all(
            getattr(seen, key) == value for key, value in fields.items()
        )

    return matches


def with_avahi(world, a, b):
    browse = b.avahi_browse(TYPE)
    begun = time.monotonic()
    ours = peer(a, "a", f"publish=ours,{TYPE},8080,version=1,path=/x y", f"browse={TYPE}")
    with world.step("registered here, resolved by avahi-browse") as note:
        at, line = browse.wait_line(resolved("ours", family="IPv4"))
        seen = harness.Browsed(line)
        note(f"{at - begun:.3f} s after the start of the process")
        equal(seen.port, 8080, "port")
        check(seen.address in (a.ip4, a.ip6), seen.address)
        equal(seen.txt, {"version": "1", "path": "/x y"}, "TXT")
        check(seen.host.startswith("a-") and seen.host.endswith(".local"), seen.host)
    with world.step("over IPv6 too"):
        browse.wait_line(resolved("ours", family="IPv6"))
    with world.step("its TXT changes, and avahi-browse says so without a removal") as note:
        mark, begun = browse.mark(), time.monotonic()
        ours.send(signal.SIGUSR1)
        fresh = harness.wait_for(
            "the new TXT",
            lambda: [s for s in b.avahi_resolve(TYPE) if s.txt.get("generation") == "1"],
        )
        note(f"{time.monotonic() - begun:.3f} s, by asking again")
        check(fresh, "no TXT")
        check(not [l for _, l in browse.lines[mark:] if gone("ours")(l)], "it was removed")
    with world.step("registered with avahi-publish, seen here") as note:
        mark, begun = ours.mark(), time.monotonic()
        theirs = b.start("publish", ["avahi-publish", "-s", "theirs", TYPE, "9090", "key=value"])
        at, line = ours.wait_line(rf"sighting theirs {TYPE} b-avahi.local 9090", since=mark)
        note(f"{at - begun:.3f} s")
        check(b.ip4 in line and "key=value" in line, line)
    with world.step("taken back by avahi, lost here by its goodbye") as note:
        mark, begun = ours.mark(), time.monotonic()
        theirs.stop()
        at, _ = ours.wait_line(rf"lost theirs {TYPE} goodbye", since=mark)
        note(f"{at - begun:.3f} s")
    with world.step("stopped here, removed there") as note:
        mark, begun = browse.mark(), time.monotonic()
        ours.stop()
        at, _ = browse.wait_line(gone("ours"), since=mark, deadline=5)
        note(f"{at - begun:.3f} s; avahi keeps what says goodbye for a second")
    if not world.long:
        return
    with world.step("killed here, removed there with the TTL of its PTR") as note:
        ours = peer(a, "a", f"publish=ours,{TYPE},8080")
        mark = browse.mark()
        browse.wait_line(resolved("ours", family="IPv4"), since=mark)
        mark, begun = browse.mark(), time.monotonic()
        ours.kill()
        at, _ = browse.wait_line(gone("ours"), since=mark, deadline=100)
        note(f"{at - begun:.1f} s")


def with_zeroconf(world, a, b):
    with world.step("registered here, resolved by python3-zeroconf"):
        ours = peer(a, "a", f"publish=ours,{TYPE},8080,version=1", f"browse={TYPE}")
        ours.wait_line("announced 1 ours")
        seen = b.zeroconf_resolve(TYPE, 1)
        equal(seen["ours"]["port"], 8080, "port")
        equal(seen["ours"]["txt"], {"version": "1"}, "TXT")
        check(a.ip4 in seen["ours"]["addresses"], seen)
    with world.step("registered with python3-zeroconf, seen here") as note:
        argv = [PYTHON, harness.HERE / "zeroconf_publish.py", b.ip4, TYPE, "theirs", 9091, "k=v"]
        begun, mark = time.monotonic(), ours.mark()
        theirs = b.start("zeroconf", argv)
        at, line = ours.wait_line(rf"sighting theirs {TYPE} theirs-zeroconf.local 9091", since=mark)
        note(f"{at - begun:.3f} s after the start of its process")
        check(b.ip4 in line and "k=v" in line, line)
        theirs.wait_line("registered")
    with world.step("taken back by python3-zeroconf, lost here") as note:
        mark, begun = ours.mark(), time.monotonic()
        theirs.send(signal.SIGTERM)
        at, _ = ours.wait_line(rf"lost theirs {TYPE} goodbye", since=mark)
        note(f"{at - begun:.3f} s")
    ours.stop()


def between_ours(world, a, b):
    theirs = peer(b, "b", f"browse={TYPE}")
    theirs.wait_line("state 1")
    with world.step("from one of ours to another: register, TXT, goodbye, kill") as note:
        begun, mark = time.monotonic(), theirs.mark()
        ours = peer(a, "a", f"publish=ours,{TYPE},8080")
        at, _ = theirs.wait_line("sighting ours", since=mark)
        note(f"register {at - begun:.3f} s")
        begun = time.monotonic()
        ours.send(signal.SIGUSR1)
        at, _ = theirs.wait_line("sighting ours .*generation=1", since=mark)
        note(f"TXT {at - begun:.3f} s")
        begun = time.monotonic()
        ours.send(signal.SIGTERM)
        at, _ = theirs.wait_line("lost ours .*goodbye", since=mark)
        note(f"goodbye {at - begun:.3f} s")
        ours.wait()
        mark = theirs.mark()
        ours = peer(a, "a", f"publish=ours,{TYPE},8080")
        theirs.wait_line("sighting ours", since=mark)
        begun = time.monotonic()
        ours.kill()
        at, _ = theirs.wait_line("lost ours .*expired", since=mark, deadline=25)
        note(f"kill {at - begun:.1f} s")
    with world.step("the cable is pulled and plugged in again") as note:
        ours = peer(a, "a", f"publish=ours,{TYPE},8080")
        mark = theirs.mark()
        theirs.wait_line("sighting ours", since=mark)
        begun = time.monotonic()
        b.cable(False)
        at, _ = theirs.wait_line("lost ours .*interface_down", since=mark)
        note(f"lost {at - begun:.3f} s")
        mark, begun = theirs.mark(), time.monotonic()
        b.cable(True)
        at, _ = theirs.wait_line("sighting ours", since=mark)
        note(f"back {at - begun:.3f} s")
        ours.stop()
        theirs.stop()


def scenario(world):
    global PEER
    PEER = pathlib.Path(world.outrider).parent.parent / "tests/real/mdns_peer"
    check(PEER.exists(), f"{PEER} is not built")
    harness.need("avahi-daemon", "avahi-publish", "avahi-browse", "dbus-daemon")
    a, b = world.host("a"), world.host("b")
    between_ours(world, a, b)
    with_zeroconf(world, a, b)
    b.avahi_daemon()
    with_avahi(world, a, b)


if __name__ == "__main__":
    harness.main(scenario)
