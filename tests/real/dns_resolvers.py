#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Unmodified programs with an ordinary resolv.conf that names the agent: whatever the resolver (glibc, musl, Go, c-ares
and libuv in Node, OpenJDK), each finds the same for every state of the registry.

What a resolver does differently by its nature is asserted as such: the 512 octets of musl, which speaks no TCP; the
errors by which they tell "no data" from "no such name", or do not; who goes on through the search list after "no data".
"""

import contextlib
import ipaddress
import pathlib
import shutil

import dns_tools
import harness
from harness import HERE, Skip, check, equal

SEARCH = "search svc corp.example\n"
RESOLV_CONF = "nameserver 127.0.0.55\noptions timeout:2 attempts:1\n"
PROMPT_MS = 1000  # no answer may cost a resolver a timeout
MUSL_UDP_BYTES = 512
FORTY, MANY = 40, 200


def service(name, number, *addresses, **more):
    return {"name": name, "id": f"{name}-{number}", "port": 8000 + number, "address": list(addresses), **more}


def beat(initial):
    return {"checks": [{"id": "beat", "ttl": "1h", "initial": initial}]}


SERVICES = [
    service("one", 1, "10.1.0.1", "2001:db8:1::1"),
    *[service("several", n, f"10.1.1.{n}", f"2001:db8:2::{n}") for n in (1, 2, 3)],
    service("part", 1, "10.1.2.1", **beat("critical")),
    service("part", 2, "10.1.2.2", **beat("passing")),
    service("part", 3, "10.1.2.3", **beat("warning")),
    service("critical", 1, "10.1.3.1", **beat("critical")),
    service("starting", 1, "10.1.4.1", **beat("starting")),
    service("maintained", 1, "10.1.5.1"),
    service("withdrawn", 1, "10.1.6.1"),
    service("v4-only", 1, "10.1.7.1"),
    service("v6-only", 1, "2001:db8:7::1"),
    *[service("forty", n, f"10.1.8.{n}") for n in range(1, FORTY + 1)],
    *[service("many", n, f"10.1.9.{n}", f"2001:db8:9::{n:x}") for n in range(1, MANY + 1)],
]
CONFIG = {
    "dns": {"listen": ["127.0.0.55:53"], "answers": 0, "forward": "on", "upstream": ["10.77.0.250"]},
    "mdns": {"provider": "off"},
    "services": SERVICES,
}


def addresses_of(name, usable=(1, 2, 3)):
    return [a for s in SERVICES if s["name"] == name and int(s["id"].rsplit("-", 1)[1]) in usable for a in s["address"]]


# name asked: the addresses, or why there are none.
STATES = {
    "one.svc": addresses_of("one"),
    "OnE.sVc": addresses_of("one"),
    "one.svc.": addresses_of("one"),
    "one-1.one.svc": addresses_of("one"),
    "local.several.svc": addresses_of("several"),
    "several.svc": addresses_of("several"),
    "part.svc": addresses_of("part", (2, 3)),
    "v4-only.svc": addresses_of("v4-only"),
    "v6-only.svc": addresses_of("v6-only"),
    "forty.svc": addresses_of("forty", range(FORTY + 1)),
    "many.svc": addresses_of("many", range(MANY + 1)),
    "critical.svc": "nodata",
    "critical-1.critical.svc": "nodata",
    "starting.svc": "nodata",
    "maintained.svc": "nodata",
    "withdrawn.svc": "nodata",
    "nobody.svc": "nxdomain",
    "one.svc.corp.example": "nxdomain",
    "one.svc.svc": "nxdomain",
}
# The same with the search list.
SEARCHED = {
    "one": addresses_of("one"),
    "OnE": addresses_of("one"),
    "several.svc": addresses_of("several"),
    "nobody": "nxdomain",
    "nobody.svc": "nxdomain",
    "critical": "nodata",
}
# SRV: the service, and how many instances it has.
SERVICE_NAMES = {
    "_http._tcp.several.svc": ("several", 3),
    "_forty._tcp.svc": ("forty", FORTY),
    "_many._tcp.svc": ("many", MANY),
}


def plain(text):
    """An address in its usual form; anything else as it is."""
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(text))
    return text


class Client:
    """A program that prints a line `NAME WHICH MS RESULT...` for each name and family."""

    def __init__(self, name, argv, errors, whiches=("4", "6", "any")):
        self.name, self.argv, self.errors, self.whiches = name, argv, errors, whiches

    def ask(self, host, names):
        _, text = host.run([*self.argv, *names], timeout=30)
        found = {}
        for line in text.splitlines():
            name, which, spent, *result = line.split()
            check(int(spent) < PROMPT_MS, f"{self.name}: {name} {which} took {spent} ms")
            failed = result[:1] == ["!"]
            found[name, which] = " ".join(result[1:]) if failed else sorted(map(plain, result))
        return found


def family(addresses, which):
    return sorted(a for a in addresses if which == "any" or (":" in a) == (which == "6"))


def most_by_udp(name, which):
    """How many records an answer of 512 octets holds."""
    return (MUSL_UDP_BYTES - 12 - len(name) - 2 - 4) // (16 if which == "4" else 28)


def compare(client, found, states):
    for name, wanted in states.items():
        for which in client.whiches:
            got = found[name, which]
            what = f"{client.name}: {name} {which}"
            here = family(wanted, which) if isinstance(wanted, list) else wanted
            reason = "nodata" if here == [] else here
            if isinstance(reason, str):
                check(isinstance(got, str), f"{what}: got {got}, wanted an error")
                check(client.errors[reason] in got, f"{what}: got {got!r}, wanted {client.errors[reason]!r}")
            elif client.name == "musl" and name in ("forty.svc", "many.svc"):
                # musl 1.2.3 speaks no TCP and reads 512 octets: the records that fit, and never none.
                check(set(got) <= set(here), f"{what}: {set(got) - set(here)} are not of the service")
                most = sum(min(len(family(here, f)), most_by_udp(name, f)) for f in ("4", "6") if which in (f, "any"))
                equal(len(got), most, what)
            else:
                equal(got, here, what)


def client_programs(world):
    """The clients that can be had here; builds what is not yet built."""
    folder = pathlib.Path(world.outrider).parent.parent / "real-clients"
    folder.mkdir(exist_ok=True)
    source = HERE / "clients"

    def built(name, package, *argv, target=None, env=None):
        if not shutil.which(argv[0]):
            raise Skip(f"needs the package {package}")
        file = folder / (target or name)
        if not file.exists() or file.stat().st_mtime < (source / argv[-1]).stat().st_mtime:
            harness.run([*argv[:-1], str(source / argv[-1])], timeout=120, env={"PATH": "/usr/bin:/bin", **(env or {})})
        return str(file)

    def glibc():
        file = built("glibc", "gcc", "gcc", "-O1", "-o", str(folder / "glibc"), "lookup.c")
        return Client("glibc", [file], {"nodata": "-5 ", "nxdomain": "-2 "})

    def musl():
        file = built("musl", "musl-tools", "musl-gcc", "-static", "-O1", "-o", str(folder / "musl"), "lookup.c")
        return Client("musl", [file], {"nodata": "-2 ", "nxdomain": "-2 "})  # EAI_NONAME for both

    def go():
        env = {"CGO_ENABLED": "0", "GO111MODULE": "off", "GOCACHE": str(folder / "go-cache"), "HOME": str(folder)}
        file = built("go", "golang-go", "go", "build", "-o", str(folder / "go"), "lookup.go", env=env)
        return Client("Go", [file], {"nodata": "no such host", "nxdomain": "no such host"})

    def node():
        if not shutil.which("node", path="/usr/sbin:/usr/bin:/sbin:/bin"):
            raise Skip("needs the package nodejs")
        errors = {"nodata": "ENODATA", "nxdomain": "ENOTFOUND"}
        return Client("Node", ["node", source / "lookup.js"], errors, ("4", "6"))

    def java():
        out = ["-d", str(folder)]
        built("java", "openjdk-17-jdk-headless", "javac", *out, "Lookup.java", target="Lookup.class")
        argv = ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", folder, "Lookup"]
        return Client("OpenJDK", argv, {"nodata": "No address", "nxdomain": "not known"}, ("any",))

    return {"glibc": glibc, "musl": musl, "Go": go, "Node": node, "OpenJDK": java}


def scenario(world):
    upstream = dns_tools.Server(world, 250)
    a = world.host("a")
    resolv_conf = a.dir / "resolv.conf"
    resolv_conf.write_text(RESOLV_CONF)
    with world.step("the agent holds every state at once", vital=True):
        a.agent(CONFIG).wait_line("event=agent_ready")
        equal(a.outrider("deregister", "withdrawn-1")[0], 0, "deregister")
        equal(a.outrider("maintenance", "maintained-1", "on")[0], 0, "maintenance")

    clients = []
    for name, make in client_programs(world).items():
        with world.step(f"{name}: the same set for every state of the registry") as say:
            client = make()
            clients.append(client)
            names = list(STATES) + (list(SERVICE_NAMES) if name in ("Go", "Node") else [])
            found = client.ask(a, names)
            compare(client, found, STATES)
            for asked in names[len(STATES) :]:
                owner, count = SERVICE_NAMES[asked]
                wanted = sorted(f"{owner}-{n}.{owner}.svc:{8000 + n}" for n in range(1, count + 1))
                equal(found[asked, "srv"], wanted, f"{name}: {asked}")
            say(f"{len(found)} look-ups")
    with world.step("getent, as the shell has it, and Node's dns.lookup, go by getaddrinfo"):
        status, text = a.run(["getent", "ahosts", "several.svc"])
        equal(sorted({line.split()[0] for line in text.splitlines()}), sorted(addresses_of("several")), "getent ahosts")
        equal(a.run(["getent", "hosts", "critical.svc"], may_fail=True)[0], 2, "exit status without data")
        for client in clients:
            if client.name == "Node":
                found = client.ask(a, STATES)
                client.whiches, client.errors = ("any",), {"nodata": "ENOTFOUND", "nxdomain": "ENOTFOUND"}
                compare(client, found, STATES)

    resolv_conf.write_text(RESOLV_CONF + SEARCH)
    for client in clients:
        with world.step(f"{client.name}: single labels and tails of the search list"):
            if client.name == "Node":
                # resolve4 does not use the search list; dns.lookup does.
                client.whiches = ("any",)
            upstream.asked.clear()
            found = client.ask(a, SEARCHED)
            compare(client, found, SEARCHED)
            # musl stops its search at NODATA; the others go on with the tails, all the way to the upstream.
            tail = "critical.corp.example" in upstream.names()
            equal(tail, client.name != "musl", f"{client.name} asks for the tail of a name without data")


if __name__ == "__main__":
    harness.main(scenario)
