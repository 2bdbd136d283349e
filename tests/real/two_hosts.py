#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Two hosts, each with an HTTP service and an agent beside it, and a third that looks for them.

What the agents say is read with other people's programs: dig, getent, curl, python3-zeroconf,
avahi-browse. Then the service fails, comes back, its agent is stopped, and one is killed; how long
each takes to be seen is printed.
"""

import signal
import time

import harness
from harness import check, equal

PORT = 8000
SHORT_TTL_S = 20  # of every record on mDNS
# One probe a second, three failures; the first failure may be a whole interval away, and jitter
# adds a tenth.
CRITICAL_WITHIN_S = 6.0
PASSING_WITHIN_S = 5.0
AT_ONCE_S = 1.0
APPEAR_WITHIN_S = 10.0
AVAHI_GOODBYE_S = 1.0  # it keeps a record for a second after its goodbye (RFC 6762, 10.1)

HELLO = {
    "name": "hello",
    "version": "1.0.0",
    "port": PORT,
    "tags": ["http", "v1"],
    "metadata": {"region": "us-west"},
    "checks": [{"http": "/", "interval": "1s", "timeout": "500ms"}],
    "farp": {"openapi": "/openapi.json", "capabilities": ["rest"], "strategy": "push"},
}


def agent_with_hello(host):
    return host.agent({"services": [HELLO]})


def state(*hosts):
    """The line of watch_dns.py that says: no error, these addresses."""
    return "^0" + "".join(" " + host.ip4.replace(".", r"\.") for host in hosts) + "$"


class Watch:
    """Looks at hello.svc from all hosts at once, and at _hello._tcp through avahi-browse."""

    def __init__(self, a, b, c):
        self.dns = {
            "a": a.watch_dns("hello.svc", port=5370),
            "b": b.watch_dns("hello.svc", port=5370),
            "c": c.watch_dns("hello.svc"),
        }
        self.avahi = c.avahi_browse("_hello._tcp")
        self.begin()

    def begin(self):
        """What is measured next begins now."""
        self.begun = time.monotonic()
        self.marks = {watch: watch.mark() for watch in [*self.dns.values(), self.avahi]}

    def everywhere(self, wanted, deadline, say, where="abc"):
        for name in where:
            watch = self.dns[name]
            at, _ = watch.wait_line(wanted, deadline, since=max(self.marks[watch] - 1, 0))
            say(f"{name} {max(at - self.begun, 0):.3f} s")

    def browsed(self, event, label, deadline, say):
        begins = f"{event};eth0;IPv4;"
        at, _ = self.avahi.wait_line(
            lambda line: line.startswith(begins) and harness.Browsed(line).label == label,
            deadline,
            since=self.marks[self.avahi],
            what=f"{begins}{label}",
        )
        say(f"avahi-browse {at - self.begun:.3f} s")


def appears(world, a, b, c):
    """Everything that can be asked of two services that are well; the labels of their instances."""
    with world.step("dig hello.svc gives both addresses in c", vital=True) as say:
        begun = time.monotonic()
        harness.wait_for(
            "both addresses",
            lambda: c.dig("hello.svc").data("A") == [a.ip4, b.ip4],
            APPEAR_WITHIN_S,
        )
        say(f"{time.monotonic() - begun:.3f} s after the agents were started")
        answer = c.dig("hello.svc")
        equal(answer.status, "NOERROR", "status")
        check("aa" in answer.flags, f"no AA in {answer.flags}")

    with world.step("each agent sees both, its own first"):
        for host in (a, b):
            first = [row[3] for row in host.dig("hello.svc", port=5370).sections.get("ANSWER", [])]
            equal(first[:1], [host.ip4], f"first address in {host.name}")

    labels = {}
    with world.step("SRV gives both ports, and targets with addresses"):
        answer = c.dig("hello.svc", "SRV")
        srv = [data.split() for data in answer.data("SRV")]
        equal([fields[2] for fields in srv], [str(PORT)] * 2, "ports")
        for fields in srv:
            equal(len(c.dig(fields[3]).data("A")), 1, f"addresses of {fields[3]}")
            labels[c.dig(fields[3]).data("A")[0]] = fields[3].split(".")[0]
        equal(sorted(labels), [a.ip4, b.ip4], "addresses of the targets")

    with world.step("TXT, AAAA, and a type that is not there"):
        check(c.dig("hello.svc", "TXT").data("TXT"), "no TXT")
        equal(c.dig("hello.svc", "AAAA").data("AAAA"), [a.ip6, b.ip6], "AAAA")
        answer = c.dig("hello.svc", "MX")
        equal(
            (answer.status, answer.data("SOA", "AUTHORITY") != []),
            ("NOERROR", True),
            "MX: NODATA with SOA",
        )

    with world.step("names that are not there: NXDOMAIN with SOA in the zone, REFUSED outside"):
        answer = c.dig("nobody.svc")
        equal((answer.status, len(answer.data("SOA", "AUTHORITY"))), ("NXDOMAIN", 1), "nobody.svc")
        equal(c.dig("example.com").status, "REFUSED", "example.com")

    with world.step("getent ahostsv4 hello.svc, through /etc/resolv.conf"):
        said = c.run(["getent", "ahostsv4", "hello.svc"])[1]
        equal(sorted({line.split()[0] for line in said.splitlines()}), [a.ip4, b.ip4], "addresses")

    with world.step("curl http://hello.svc:8000/, through /etc/resolv.conf"):
        check(
            c.run(["curl", "-sS", f"http://hello.svc:{PORT}/"])[1]
            in ("page of a\n", "page of b\n"),
            "no page",
        )
    return labels


def on_the_link(world, a, b, c, labels):
    """The same through two other implementations of mDNS."""

    def txt_as_configured(host, txt):
        manifest = txt.pop("farp.manifest", "")
        check(
            manifest.startswith(f"http://{host.ip4}:"),
            f"farp.manifest {manifest!r} is not on {host.ip4}",
        )
        wanted = {
            "name": "hello",
            "id": labels.get(host.ip4),
            "version": "1.0.0",
            "tags": "http,v1",
            "mdns.service_type": "_hello._tcp",
            "farp.enabled": "true",
            "farp.openapi": f"http://{host.ip4}:{PORT}/openapi.json",
            "farp.openapi.path": "/openapi.json",
            "farp.health": "/",
            "farp.health.path": "/",
            "farp.strategy": "push",
            "region": "us-west",
        }
        equal({key: txt.get(key) for key in wanted}, wanted, f"TXT of {host.name}")
        check(txt.get("farp.capabilities", "").strip("[]") == "rest", f"farp.capabilities {txt}")

    with world.step("python3-zeroconf in c resolves _hello._tcp with every FARP key"):
        found = c.zeroconf_resolve("_hello._tcp", 2)
        equal(sorted(found), sorted(labels.values()), "instances")
        for host in (a, b):
            seen = found[labels[host.ip4]]
            equal(seen["port"], PORT, "port")
            check(host.ip4 in seen["addresses"], f"{host.ip4} not in {seen['addresses']}")
            txt_as_configured(host, seen["txt"])

    def both(service_type):
        # It stops listening after a second, and an instance that has just answered another client
        # answers again a second later (RFC 6762, 6.): the next call has it from the daemon's cache.
        def ask():
            seen = [one for one in c.avahi_resolve(service_type) if one.family == "IPv4"]
            seen = [one for one in seen if "." in one.address]
            return seen if len(seen) == 2 else None

        return harness.wait_for(f"both instances of {service_type}", ask)

    with world.step("avahi-browse -rpt in c resolves _hello._tcp with every FARP key"):
        seen = both("_hello._tcp")
        equal(sorted(one.address for one in seen), [a.ip4, b.ip4], "addresses")
        for one in seen:
            equal((one.label, one.port), (labels[one.address], PORT), "instance and port")
            txt_as_configured(a if one.address == a.ip4 else b, one.txt)

    with world.step("avahi-browse -rpt in c resolves the shared type _farp._tcp"):
        seen = {one.label for one in both("_farp._tcp")}
        equal(seen, set(labels.values()), "instances")


def scenario(world):
    harness.need("dig", "curl", "avahi-daemon", "avahi-browse", "dbus-daemon")
    a, b, c = world.host("a"), world.host("b"), world.host("c")
    server = {host: host.http_server(PORT) for host in (a, b)}
    agents = {host: agent_with_hello(host) for host in (a, b)}
    agents[c] = c.agent({"dns": {"listen": ["127.0.0.55:53"]}})
    labels = appears(world, a, b, c)
    c.avahi_daemon()
    on_the_link(world, a, b, c, labels)

    watch = Watch(a, b, c)
    with world.step("avahi-browse sees both") as say:
        for host in (a, b):
            watch.browsed("=", labels[host.ip4], harness.DEADLINE_S, say)
        watch.everywhere(state(a, b), harness.DEADLINE_S, say)

    with world.step(
        "HTTP server of a stopped: a leaves DNS in a, b and c, and avahi-browse"
    ) as say:
        watch.begin()
        server[a].stop(signal.SIGKILL)
        watch.everywhere(state(b), CRITICAL_WITHIN_S, say)
        watch.browsed("-", labels[a.ip4], CRITICAL_WITHIN_S, say)
        check(agents[a].running(), "the agent of a has ended")

    with world.step("started again: it comes back by itself") as say:
        watch.begin()
        server[a] = a.http_server(PORT)
        watch.everywhere(state(a, b), PASSING_WITHIN_S, say)
        watch.browsed("+", labels[a.ip4], PASSING_WITHIN_S, say)

    with world.step("SIGTERM to the agent of b: b is gone everywhere at once") as say:
        watch.begin()
        agents[b].send(signal.SIGTERM)
        watch.everywhere(state(a), AT_ONCE_S, say)
        watch.browsed("-", labels[b.ip4], AVAHI_GOODBYE_S + AT_ONCE_S, say)
    with world.step("and it ends with status 0 after its drain") as say:
        equal(agents[b].wait(), 0, "exit status")
        say(f"{time.monotonic() - watch.begun:.3f} s")

    with world.step("agent of b started again: the same instance is back") as say:
        watch.begin()
        agents[b] = agent_with_hello(b)
        watch.everywhere(state(a, b), PASSING_WITHIN_S, say)
        watch.browsed("+", labels[b.ip4], PASSING_WITHIN_S, say)

    with world.step("kill -9 of the agent of b: b is gone within the short TTL") as say:
        watch.begin()
        agents[b].kill()
        watch.everywhere(state(a), SHORT_TTL_S + AT_ONCE_S, say, where="ac")
    if world.long:
        with world.step("and from avahi-browse within the TTL of PTR") as say:
            watch.browsed("-", labels[b.ip4], SHORT_TTL_S + AT_ONCE_S, say)

    with world.step("the agents of a and c run, and end with status 0"):
        for host in (a, c):
            check(agents[host].running(), f"the agent of {host.name} has ended")
            equal(agents[host].stop(), 0, f"exit status in {host.name}")


if __name__ == "__main__":
    harness.main(scenario)
