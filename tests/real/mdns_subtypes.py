#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Subtypes (RFC 6763 §7.1), as avahi-browse and python3-zeroconf look for them: said in the
configuration and by a registration, added and taken away by a reload, over our own mDNS and through
avahi-daemon.
"""

import json
import signal

import harness
from harness import check, equal

TYPE = "_web._tcp"
PORT = 8000


def of(subtype):
    return f"{subtype}._sub.{TYPE}"


def config(provider, *subtypes):
    return {
        "mdns": {"provider": provider},
        "lifecycle": {"drain": "0s"},
        "services": [{"name": "web", "id": "w1", "port": PORT, "subtypes": list(subtypes)}],
    }


def gone(line):
    return line.startswith("-") and line.split(";")[3] == "w1"


def seen(line):
    return line.startswith("=") and harness.Browsed(line).label == "w1"


def through(world, provider, a, b):
    """An agent on `a` with that provider, and two browsers on `b`."""
    file = a.dir / f"{provider}.json"
    file.write_text(json.dumps(config(provider, "_printer", "_Color")))
    agent = a.start("agent", [world.outrider, "agent", "--config", file])
    everything, printers = b.avahi_browse(TYPE), b.avahi_browse(of("_printer"))
    with world.step(f"{provider}: avahi-browse finds it by its subtypes, in either case"):
        for browse in (everything, printers):
            line = browse.wait_line(seen)[1]
            equal(harness.Browsed(line).port, PORT, "port")
        equal({one.label for one in b.avahi_resolve(of("_color"))}, {"w1"}, "what is _color")
        equal(b.avahi_resolve(of("_scanner")), [], "what is _scanner")
    with world.step(f"{provider}: so does python3-zeroconf"):
        found = b.zeroconf_resolve(of("_printer"), 1)
        equal(found["w1"]["port"], PORT, "port")
        check(found["w1"]["txt"]["id"] == "w1", f"TXT {found}")
    with world.step(f"{provider}: a reload takes one away and adds another"):
        marks = everything.mark(), printers.mark()
        file.write_text(json.dumps(config(provider, "_Color", "_scanner")))
        agent.send(signal.SIGHUP)
        printers.wait_line(gone, since=marks[1])
        harness.wait_for("w1 as _scanner", lambda: b.avahi_resolve(of("_scanner")))
        equal({one.label for one in b.avahi_resolve(of("_color"))}, {"w1"}, "what is _color")
        if provider == "native":  # the daemon has to publish everything again
            lost = [line for _, line in everything.lines[marks[0] :] if gone(line)]
            equal(lost, [], "what was gone meanwhile")
    with world.step(f"{provider}: a registration says them too, and its end takes them back"):
        spec = a.dir / "spec.json"
        spec.write_text(json.dumps({"name": "web", "id": "w2", "port": 9, "subtypes": ["_fax"]}))
        equal(a.outrider("register", spec)[0], 0, "exit status of register")
        harness.wait_for("w2 as _fax", lambda: b.avahi_resolve(of("_fax")))
        equal(a.outrider("deregister", "w2")[0], 0, "exit status of deregister")
        harness.wait_for("no _fax", lambda: not b.avahi_resolve(of("_fax")))
    with world.step(f"{provider}: the agent stops, and they are gone"):
        mark, scanners = everything.mark(), b.avahi_browse(of("_scanner"))
        scanners.wait_line(seen)
        agent.stop()
        everything.wait_line(gone, since=mark)
        scanners.wait_line(gone)


def scenario(world):
    harness.need("avahi-daemon", "avahi-browse", "dbus-daemon")
    a, b = world.host("a"), world.host("b")
    b.avahi_daemon()
    through(world, "native", a, b)
    a.avahi_daemon(interfaces="eth0,lo")
    through(world, "avahi", a, b)


if __name__ == "__main__":
    harness.main(scenario)
