#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Between DNS and mDNS: browsers walk our domain by unicast (RFC 6763 §11), and programs whose resolver does not
support mDNS find `.local` hosts of the LAN through the agent."""

import dns_resolvers
import harness
from harness import Browsed, check, equal, wait_for

CONFIG = {
    "dns": {"listen": ["127.0.0.55:53"]},
    "services": [
        {"name": "Web_App", "id": "web-1", "port": 8001, "address": "10.1.0.1", "metadata": {"room": "a b"}},
        {"name": "Web_App", "id": "web-2", "port": 8002, "address": "10.1.0.2"},
        {"name": "job", "id": "job-1", "port": 9, "checks": [{"ttl": "1h", "initial": "critical"}]},
    ],
}


def walk_with_dig(host):
    """As a browser does it, from the browsing domain down to address and TXT."""

    def pointers(name):
        return [text.rstrip(".") for text in host.dig(name, "PTR").data("PTR")]

    for which in ("b", "lb"):
        equal(pointers(f"{which}._dns-sd._udp.svc"), ["svc"], f"{which}._dns-sd._udp.svc")
    equal(pointers("_services._dns-sd._udp.svc"), ["_job._tcp.svc", "_web-app._tcp.svc"], "types")
    equal(pointers("_job._tcp.svc"), [], "instances of what is not healthy")
    instances = pointers("_web-app._tcp.svc")
    equal(instances, ["web-1._web-app._tcp.svc", "web-2._web-app._tcp.svc"], "instances")
    for instance, number in zip(instances, (1, 2)):
        answer = host.dig(instance, "SRV")
        (srv,) = answer.data("SRV")
        *_, port, target = srv.split()
        equal((port, target), (f"800{number}", f"web-{number}.web-app.svc."), "SRV")
        equal(answer.data("A", "ADDITIONAL"), [f"10.1.0.{number}"], "the address comes along")
        check(f'"id=web-{number}"' in host.dig(instance, "TXT").data("TXT")[0], "TXT")


def browse_with_avahi(host):
    host.system_bus()
    config = host.dir / "avahi-daemon.conf"
    config.write_text(
        "[server]\nhost-name=a-avahi\nallow-interfaces=eth0\nuse-ipv6=no\n[wide-area]\nenable-wide-area=yes\n"
        "[publish]\npublish-workstation=no\n"
    )
    options = ["--no-drop-root", "--no-chroot", "--no-rlimits", "--debug"]
    host.start("avahi-daemon", ["avahi-daemon", "-f", config, *options]).wait_line("Server startup complete")
    browse = ["avahi-browse", "-rpt", "-d", "svc", "_web-app._tcp"]
    # Its first question may come to nothing: it is sent before it knows a name server.
    found = wait_for(
        "both instances", lambda: len(got := Browsed.resolved(host.run(browse)[1].splitlines())) == 2 and got
    )
    seen = sorted((browsed.label, browsed.address, browsed.port) for browsed in found)
    equal(seen, [("web-1", "10.1.0.1", 8001), ("web-2", "10.1.0.2", 8002)], "instances")
    equal({browsed.txt.get("room") for browsed in found}, {"a b", None}, "TXT")
    equal({browsed.domain for browsed in found}, {"svc"}, "domain")


def scenario(world):
    harness.need("avahi-daemon", "avahi-browse", "dbus-daemon")
    a, b = world.host("a"), world.host("b")
    a.agent(CONFIG).wait_line("event=agent_ready")
    b.avahi_daemon()
    with world.step("dig walks the domain from b._dns-sd._udp down to SRV, TXT and address"):
        walk_with_dig(a)
    with world.step("avahi-browse -d svc resolves the same by unicast"):
        browse_with_avahi(a)
    # What avahi has announced within the last second it does not tell again (RFC 6762 §6).
    wait_for("b-avahi.local", lambda: a.dig("b-avahi.local").data("A") == [b.ip4])
    programs = dns_resolvers.client_programs(world)
    for name in ("musl", "Go"):
        with world.step(f"{name} finds a .local host of the LAN, by IPv4 and by IPv6"):
            client = programs[name]()
            found = client.ask(a, ["b-avahi.local"])
            equal(found["b-avahi.local", "4"], [b.ip4], "IPv4")
            equal(found["b-avahi.local", "6"], [b.ip6], "IPv6")
            equal(found["b-avahi.local", "any"], sorted([b.ip4, b.ip6]), "any")
    with world.step("a name that no host on the LAN has is NXDOMAIN after the wait"):
        equal(a.dig("nobody.local").status, "NXDOMAIN", "nobody.local")
        equal(a.dig("b-avahi.local", "TXT").status, "NOERROR", "another type of a name that exists")


if __name__ == "__main__":
    harness.main(scenario)
