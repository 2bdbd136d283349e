#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`outrider dns install` and `remove` with the programs that read what they write: the resolver of the C library with a
plain resolv.conf, and dnsmasq. What was there before comes back to the last byte."""

import harness
from harness import Skip, check, equal

BEFORE = "# of the test\nsearch lan\nnameserver 192.0.2.1\noptions timeout:1 attempts:1\n"
SERVICES = [{"name": "hello", "port": 8000}]


def found(host, name):
    return host.run(["getent", "ahostsv4", name], may_fail=True)[1].split(" ")[0]


def scenario(world):
    a = world.host("a")
    # /var/lib of its own, for the record of what was there before.
    a.run(["mount", "-t", "tmpfs", "tmpfs", "/var/lib"])
    resolv_conf = a.dir / "resolv.conf"
    resolv_conf.write_text(BEFORE)
    a.agent({"dns": {"listen": ["127.0.0.55:53"]}, "services": SERVICES}).wait_line("event=ready")

    with world.step("plain: shown without being asked to write, and nothing written"):
        status, text = a.outrider("dns", "install", "--stub", "127.0.0.55:53")
        equal(status, 1, text)
        check("-nameserver 192.0.2.1\n+nameserver 127.0.0.55\n" in text, text)
        equal(resolv_conf.read_text(), BEFORE, "resolv.conf")

    with world.step("plain: installed, and programs find services"):
        status, text = a.outrider("dns", "install", "--stub", "127.0.0.55:53", "--yes")
        equal(status, 0, text)
        equal(resolv_conf.read_text(), BEFORE.replace("192.0.2.1", "127.0.0.55"), "resolv.conf")
        equal(found(a, "hello.svc"), a.ip4, "getaddrinfo")
        equal(a.outrider("dns", "status")[0], 0, "status")
        equal(a.outrider("dns", "install", "--stub", "127.0.0.55:53", "--yes")[0], 1, "installed twice")

    with world.step("doctor is content with it"):
        text = a.outrider("doctor")[1]
        check("programs find ns.svc" in text and "bad" not in text, text)

    with world.step("plain: removed, and exactly what it was"):
        status, text = a.outrider("dns", "remove")
        equal(status, 0, text)
        equal(resolv_conf.read_text(), BEFORE, "resolv.conf")
        equal(a.outrider("dns", "remove")[0], 1, "removed twice")

    b = world.host("b")
    b.agent({"services": SERVICES}).wait_line("event=ready")
    with world.step("dnsmasq asks the agent for its domain alone"):
        if b.run(["dnsmasq", "--version"], may_fail=True)[0] != 0:
            raise Skip("dnsmasq is not there")
        root = b.dir / "root"
        (root / "etc").mkdir(parents=True)
        (root / "etc/resolv.conf").write_text("nameserver 127.0.0.1\n")
        (root / "etc/dnsmasq.conf").write_text("")
        status, text = b.outrider("dns", "install", "--root", root, "--yes")
        equal(status, 0, text)
        check(text.startswith("profile dnsmasq"), text)
        options = ["--no-resolv", "--listen-address=127.0.0.1", "--bind-interfaces", "--user=root", "--log-facility=-"]
        dnsmasq = b.start("dnsmasq", ["dnsmasq", "-k", f"--conf-dir={root}/etc/dnsmasq.d", "--pid-file=", *options])
        dnsmasq.wait_line("started")
        (b.dir / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:2 attempts:1\n")
        harness.wait_for("hello.svc is found", lambda: found(b, "hello.svc") in (a.ip4, b.ip4))
        status, text = b.outrider("dns", "remove", "--root", root)
        equal(status, 0, text)
        equal(list((root / "etc/dnsmasq.d").iterdir()), [], "left in dnsmasq.d")


harness.main(scenario)
