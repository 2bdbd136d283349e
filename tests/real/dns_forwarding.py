#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The agent as a host's only name server: it follows resolv.conf, outlives its upstream servers, waits for slow ones,
notices loops, filters private addresses, retries over TCP, refuses strangers, and takes other options without a
restart."""

import json
import pathlib
import signal
import socket
import time

import dns_tools
import harness
from harness import check, equal, wait_for

FIRST, SECOND = "10.77.0.250", "10.77.0.251"
MARKS = {FIRST: "198.51.100.1", SECOND: "198.51.100.2"}
PRIVATE, MANY = "10.9.9.9", 300
KEPT_S, SLOW_S, LATE_S = 1, 0.4, 2
FLOOD = 1500
LISTEN = ["127.0.0.55:53"]


def script(mark):
    """What an upstream server answers: its mark, and by the first label something else."""

    def answer(query, tcp):
        name = query.question[0].name
        kind = name.to_text().lower().split(".")[0]
        if kind == "old" and query.edns >= 0:
            reply = dns_tools.reply_to(query, "FORMERR")
            reply.use_edns(False)
            return reply
        if kind == "big" and not tcp:
            reply = dns_tools.reply_to(query)
            reply.flags |= dns_tools.dns.flags.TC
            return reply
        data = [f"203.0.{n // 250}.{n % 250}" for n in range(MANY)] if kind == "big" else [mark]
        if kind == "private":
            data = [PRIVATE]
        if kind == "dead":
            return None
        if kind in ("slow", "late"):
            time.sleep(LATE_S if kind == "late" else SLOW_S)
        ttl = {"brief": KEPT_S, "long": 3600}.get(kind, 60)
        return dns_tools.reply_to(query, answer=[dns_tools.records(name, ttl, "A", *data)])

    return answer


class Forwarder:
    """The agent of a host whose /etc is its own, and its configuration."""

    def __init__(self, world, host, mdns="off"):
        self.host = host
        # A resolv.conf as people have it, in a directory where it can be replaced.
        etc = self.host.dir / "etc"
        etc.mkdir()
        for folder, files in (("/etc", ("ld.so.cache", "machine-id")), (self.host.dir, ("passwd", "nsswitch.conf"))):
            for file in (pathlib.Path(folder) / name for name in files):
                if file.exists():
                    (etc / file.name).write_bytes(file.read_bytes())
        self.resolv_conf = etc / "resolv.conf"
        self.write_resolv_conf(f"nameserver {FIRST}\n")
        self.host.run(["mount", "--bind", etc, "/etc"])
        self.config = {"dns": {"listen": LISTEN, "forward": "on"}, "mdns": {"provider": mdns}}
        self.file = self.host.dir / "outrider.json"
        self.file.write_text(json.dumps(self.config))
        limit = ["prlimit", "--nofile=1024:"]  # as most processes begin
        self.agent = self.host.start("agent", [*limit, world.outrider, "agent", "--config", self.file])
        self.agent.wait_line("event=agent_ready")
        self._names = 0

    def write_resolv_conf(self, text):
        self.resolv_conf.write_text(text)

    def replace_resolv_conf(self, text):
        other = self.resolv_conf.with_suffix(".new")
        other.write_text(text)
        other.rename(self.resolv_conf)

    def changes(self, event, change):
        """Does `change`, and waits for the event that tells of it."""
        mark = self.agent.mark()
        change()
        return self.agent.wait_line(event, since=mark)[1]

    def said(self, text, since):
        return any(text in line for _, line in self.agent.lines[since:])

    def reload(self, event="event=config_reloaded", **options):
        """SIGHUP with these options of dns instead of what was there."""
        config = {**self.config, "dns": {"listen": LISTEN, **options}}
        self.file.write_text(json.dumps(config))
        return self.changes(event, lambda: self.agent.send(signal.SIGHUP))

    def fresh(self, kind="www", domain="example"):
        """A name that has not been asked for before."""
        self._names += 1
        return f"{kind}.n{self._names}.{domain}"

    def ask(self, name=None, **options):
        return self.host.dig(name or self.fresh(), **options)

    def address(self, name=None):
        return self.ask(name).data("A")

    def resident_mb(self):
        status = pathlib.Path(f"/proc/{self.agent.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024


def follows_resolv_conf(world, forwarder, servers):
    with world.step("resolv.conf is followed: written in place, replaced, gone and back"):
        equal(forwarder.address(), [MARKS[FIRST]], "first")
        forwarder.changes(
            f"event=forwarding_changed .*{SECOND}:53",
            lambda: forwarder.write_resolv_conf(f"nameserver {SECOND}\nsearch corp.example\n"),
        )
        equal(forwarder.address(), [MARKS[SECOND]], "written")
        forwarder.changes("event=forwarding_changed ", lambda: forwarder.replace_resolv_conf(f"nameserver {FIRST}\n"))
        equal(forwarder.address(), [MARKS[FIRST]], "replaced")
        forwarder.changes("event=forwarding_changed ", forwarder.resolv_conf.unlink)
        answer = forwarder.ask()
        equal(answer.status, "REFUSED", "no resolv.conf")
        check(any("no upstream server is known" in text for text in answer.ede), f"EDE: {answer.ede}")
        forwarder.changes(
            f"event=forwarding_changed .*{FIRST}:53", lambda: forwarder.write_resolv_conf(f"nameserver {FIRST}\n")
        )
        equal(forwarder.address(), [MARKS[FIRST]], "back")
    with world.step("options rotate: both servers are asked in turn; without it the first alone"):
        both = f"nameserver {FIRST}\nnameserver {SECOND}\n"
        forwarder.changes(f"event=forwarding_changed .*{SECOND}:53", lambda: forwarder.write_resolv_conf(both))
        counts = {}
        for options in ("", "options rotate\n"):
            if options:
                rotating = both + options
                changed = f"event=forwarding_changed .*{SECOND}:53"
                forwarder.changes(changed, lambda: forwarder.write_resolv_conf(rotating))
            for server in servers:
                server.asked.clear()
            for _ in range(6):
                forwarder.ask()
            counts[options] = [len(server.asked) for server in servers]
        equal(list(counts.values()), [[6, 0], [3, 3]], "questions to each")
        forwarder.changes(f"event=forwarding_changed .*{SECOND}:53", lambda: forwarder.write_resolv_conf(both))


def reloads(world, forwarder, servers):
    with world.step("SIGHUP: forwarding off, on, to other servers"):
        forwarder.reload(forward="off")
        answer = forwarder.ask()
        equal((answer.status, "ra" in answer.flags), ("REFUSED", False), "off")
        forwarder.reload(forward="on", upstream=[SECOND])
        answer = forwarder.ask()
        equal((answer.data("A"), "ra" in answer.flags), ([MARKS[SECOND]], True), "on")
        forwarder.reload(forward="on", upstream=[f"{FIRST}:53"])
        equal(forwarder.address(), [MARKS[FIRST]], "other servers")
    with world.step("SIGHUP: the cache stays, and no waiting client is lost"):
        name = forwarder.fresh("long")
        forwarder.address(name)
        forwarder.reload(forward="on", upstream=[SECOND])
        equal(forwarder.address(name), [MARKS[FIRST]], "from the cache")
        name, asked = forwarder.fresh("slow"), len(servers[1].asked)
        waiting = forwarder.host.start("dig", ["dig", "@127.0.0.55", "+short", "+tries=1", name])
        wait_for("the question is on its way", lambda: len(servers[1].asked) > asked)
        forwarder.reload(forward="off")
        waiting.wait_line(f"^{MARKS[SECOND]}$")
        forwarder.reload(forward="on", upstream=[SECOND])
    with world.step("SIGHUP: all or nothing, for a wrong value and for an option that needs a restart"):
        forwarder.reload("dns.forward", forward="sometimes", upstream=[FIRST])
        equal(forwarder.address(), [MARKS[SECOND]], "after a wrong value")
        forwarder.reload("dns.ttl", forward="on", upstream=[FIRST], ttl="7s")
        equal(forwarder.address(), [MARKS[SECOND]], "after an option that needs a restart")
    with world.step("auto: beside another name server REFUSED, as the only one to systemd-resolved's servers"):
        forwarder.reload(forward="auto")
        equal(forwarder.ask().status, "REFUSED", "resolv.conf names others")
        uplink = "/run/systemd/resolve"
        forwarder.host.run(["sh", "-c", f"mkdir -p {uplink} && echo nameserver {SECOND} >{uplink}/resolv.conf"])
        forwarder.changes(
            f"event=forwarding_changed .*{SECOND}:53", lambda: forwarder.write_resolv_conf("nameserver 127.0.0.55\n")
        )
        equal(forwarder.address(), [MARKS[SECOND]], "the only one")
        equal(forwarder.host.run(["getent", "ahostsv4", forwarder.fresh()])[1].split()[0], MARKS[SECOND], "getent")


def filters(world, forwarder):
    with world.step("private addresses of public names are blocked, and say so; with exceptions"):
        forwarder.reload(forward="on", upstream=[FIRST])
        answer = forwarder.ask(forwarder.fresh("private", "corp.example"))
        equal((answer.status, answer.data("A")), ("NOERROR", []), "blocked")
        check(any("Blocked" in text and "rebinding" in text for text in answer.ede), f"EDE: {answer.ede}")
        equal(forwarder.address(forwarder.fresh("private", "home.arpa")), [PRIVATE], "a private domain")
        name = forwarder.fresh("private", "corp.example")
        equal(forwarder.address(name), [], "before the exception")
        forwarder.reload(forward="on", upstream=[FIRST], rebind_exceptions=["corp.example"])
        equal(forwarder.address(name), [PRIVATE], "below the exception")
        equal(forwarder.address(forwarder.fresh("private", "other.example")), [], "beside the exception")
        forwarder.reload(forward="on", upstream=[FIRST], rebind_protection=False)
        equal(forwarder.address(forwarder.fresh("private", "other.example")), [PRIVATE], "without protection")


def large_answers(world, forwarder, servers):
    with world.step("TC: fetched by TCP, whole to TCP clients, cut at a record for UDP"):
        name = forwarder.fresh("big")
        servers[0].asked.clear()
        equal(len(forwarder.ask(name, options=["+tcp"]).data("A")), MANY, "records over TCP")
        equal([way for _, _, way in servers[0].asked], ["udp", "tcp"], "how the upstream was asked")
        answer = forwarder.ask(name, options=["+ignore"])
        check("tc" in answer.flags and len(answer.data("A")) > 70, f"{answer.flags}, {len(answer.data('A'))} records")
        answer = forwarder.ask(name, options=["+ignore", "+noedns"])
        check("tc" in answer.flags and len(answer.data("A")) > 25, f"{answer.flags}, {len(answer.data('A'))} records")
        equal(len(forwarder.ask(name).data("A")), MANY, "records of dig, which retries over TCP")


def old_servers(world, forwarder):
    with world.step("a server that does not support EDNS is asked again without it, each time"):
        for _ in range(3):
            answer = forwarder.ask(forwarder.fresh("old"))
            equal((answer.status, answer.data("A")), ("NOERROR", [MARKS[FIRST]]), "the answer")


def link_local_server(world, forwarder):
    with world.step("a name server with a link-local address, as routers advertise it"):
        server = dns_tools.Server(world, None, script("198.51.100.53"), address="fe80::53")
        forwarder.reload(forward="on")
        forwarder.changes(
            "event=forwarding_changed .*fe80::53", lambda: forwarder.write_resolv_conf("nameserver fe80::53%eth0\n")
        )
        equal(forwarder.address(), ["198.51.100.53"], "by UDP")
        equal(len(forwarder.address(forwarder.fresh("big"))), MANY, "by TCP")
        forwarder.reload(forward="on", upstream=[SECOND])
        equal(forwarder.address(), [MARKS[SECOND]], "another")
        forwarder.reload(forward="on", upstream=["fe80::53%eth0"])
        equal(forwarder.address(), ["198.51.100.53"], "as an option")
        server.stop()


def loops(world, forwarder):
    with world.step("our own address as upstream: REFUSED, and why"):
        forwarder.reload("event=upstream_skipped", forward="on", upstream=LISTEN)
        answer = forwarder.ask()
        equal(answer.status, "REFUSED", "status")
        check(any("the only upstream server is this agent itself" in text for text in answer.ede), f"EDE: {answer.ede}")
        equal(forwarder.ask("ns.svc").data("A"), ["127.0.0.55"], "our own names")
    group_file = forwarder.resolv_conf.with_name("group")
    with world.step("an upstream that forwards one domain to us: that domain is refused, told once; others go on"):
        both = ["/loop.example/127.0.0.55", FIRST]
        dnsmasq = dns_tools.start_dnsmasq(forwarder.host, 5300, both, group_file)
        forwarder.reload(forward="on", upstream=["127.0.0.1:5300"])
        begun = time.monotonic()
        equal(forwarder.ask("one.loop.example").status, "REFUSED", "the first name")
        equal(forwarder.address(), [MARKS[FIRST]], "another domain, after one name")
        equal(forwarder.ask("two.loop.example").status, "REFUSED", "the second name")
        forwarder.agent.wait_line("event=forwarding_looped name=loop.example ")
        answer = forwarder.ask("three.loop.example")
        equal(answer.status, "REFUSED", "from then on")
        check(any("our own query came back" in text for text in answer.ede), f"EDE: {answer.ede}")
        equal(forwarder.address(forwarder.fresh()), [MARKS[FIRST]], "another domain")
        equal(forwarder.agent.text().count("event=forwarding_looped"), 1, "messages")
        check(time.monotonic() - begun < 4, "a loop was waited for")
        dnsmasq.stop()
    with world.step("an upstream that forwards everything to us: noticed at once, for reverse names, too"):
        dnsmasq = dns_tools.start_dnsmasq(forwarder.host, 5301, "127.0.0.55", group_file)
        forwarder.reload(forward="on", upstream=["127.0.0.1:5301"])
        begun = time.monotonic()
        for name, rtype in (("www.example.com", "A"), ("www.example.org", "A"), ("7.113.51.198.in-addr.arpa", "PTR")):
            answer = forwarder.host.dig(name, rtype)
            equal(answer.status, "REFUSED", name)
        equal(forwarder.ask("www.example.net").status, "REFUSED", "a name of another top-level domain")
        check(time.monotonic() - begun < 4, "a loop was waited for")
        dnsmasq.stop()


def slow_names(world, forwarder, servers):
    with world.step("an answer that needs two seconds reaches the client") as say:
        forwarder.reload(forward="on", upstream=[FIRST])
        mark, begun = forwarder.agent.mark(), time.monotonic()
        equal(forwarder.ask(forwarder.fresh("late"), options=["+time=5"]).data("A"), [MARKS[FIRST]], "the answer")
        took = time.monotonic() - begun
        check(LATE_S <= took < LATE_S + 1, f"after {took:.1f} s")
        say(f"after {took:.1f} s")
        # What is left of the lookup does not keep the server.
        wait_for("it is free again", lambda: forwarder.address() == [MARKS[FIRST]])
    with world.step("one name that no host answers: SERVFAIL, and every other name is as it was"):
        brief = forwarder.fresh("brief")
        equal(forwarder.address(brief), [MARKS[FIRST]], "the name that is to expire")
        servers[0].asked.clear()
        equal(forwarder.ask(forwarder.fresh("dead"), options=["+time=6"]).status, "SERVFAIL", "the dead name")
        answer = forwarder.ask(brief)
        equal((answer.data("A"), answer.ede), ([MARKS[FIRST]], []), "the expired name, fresh")
        check(brief in servers[0].names(), "it was not asked for again")
        equal(forwarder.address(), [MARKS[FIRST]], "a new name")
        check(not forwarder.said("event=upstream_failed", mark), "the server counts as failing")
    with world.step("queries in the case that was sent upstream: refused alone, all others go on"):
        seen = []

        def remember(query, tcp):
            seen.append(query.question[0].name.to_text())
            time.sleep(SLOW_S)
            return script(MARKS[FIRST])(query, tcp)

        name, servers[0].script = "a-name-of-many-letters.example", remember
        waiting = forwarder.host.start("dig", ["dig", "@127.0.0.55", "+short", "+tries=1", name])
        wait_for("the question is on its way", lambda: seen)
        check(seen[0].lower() != seen[0] != seen[0].upper(), f"sent as {seen[0]}")
        equal(forwarder.ask(seen[0]).status, "REFUSED", "the same case")
        waiting.wait_line(f"^{MARKS[FIRST]}$")
        servers[0].script = script(MARKS[FIRST])
        equal(forwarder.address(), [MARKS[FIRST]], "another name")


def truncated_without_tcp(world, forwarder):
    with world.step("TC, and TCP is filtered: the truncated answer, in time, and the server is no worse for it"):
        server = dns_tools.Server(world, 252, script("198.51.100.52"), tcp_filtered=True)
        forwarder.reload(forward="on", upstream=[server.address])
        mark, begun = forwarder.agent.mark(), time.monotonic()
        answer = forwarder.ask(forwarder.fresh("big"), options=["+ignore", "+time=5"])
        equal((answer.status, "tc" in answer.flags), ("NOERROR", True), "status and TC")
        check(time.monotonic() - begun < 2.5, f"after {time.monotonic() - begun:.1f} s")
        equal(forwarder.address(), ["198.51.100.52"], "the next name")
        check(not forwarder.said("event=upstream_failed", mark), "the server counts as failing")
        server.stop()


def special_names(world, forwarder, servers):
    with world.step("reverse names of loopback are answered here; queries without RD are not recursed"):
        forwarder.reload(forward="on", upstream=[FIRST])
        servers[0].asked.clear()
        equal(forwarder.host.dig("1.0.0.127.in-addr.arpa", "PTR").data("PTR"), ["localhost."], "127.0.0.1")
        equal(forwarder.host.dig("1." + "0." * 31 + "ip6.arpa", "PTR").data("PTR"), ["localhost."], "::1")
        equal(forwarder.host.dig("4.3.2.127.in-addr.arpa", "PTR").status, "NXDOMAIN", "127.2.3.4")
        name = forwarder.fresh()
        equal(forwarder.ask(name, options=["+norecurse"]).status, "REFUSED", "without RD")
        equal(servers[0].asked, [], "asked upstream")
        equal(forwarder.address(name), [MARKS[FIRST]], "with RD")
        equal(forwarder.ask(name, options=["+norecurse"]).data("A"), [MARKS[FIRST]], "what is cached, without RD")


def local_domains(world, host, servers):
    with world.step("search corp.local: its names go upstream, other hosts of .local are looked up over mDNS"):
        forwarder = Forwarder(world, host, mdns="native")
        servers[0].asked.clear()
        equal(forwarder.ask("dc1.corp.local", options=["+time=4"]).status, "NXDOMAIN", "not searched")
        equal(servers[0].asked, [], "asked upstream")
        forwarder.changes(
            "event=forwarding_changed ",
            lambda: forwarder.write_resolv_conf(f"nameserver {FIRST}\nsearch corp.local\n"),
        )
        begun = time.monotonic()
        equal(forwarder.address("dc1.corp.local"), [MARKS[FIRST]], "a name of the domain")
        check(time.monotonic() - begun < 1, "mDNS was asked first")
        forwarder.ask("_ldap._tcp.dc._msdcs.corp.local")
        equal(forwarder.ask("box.local", options=["+time=4"]).status, "NXDOMAIN", "another host of .local")
        equal(servers[0].names(), ["dc1.corp.local", "_ldap._tcp.dc._msdcs.corp.local"], "asked upstream")
        equal(forwarder.ask("x.cluster.local", options=["+time=4"]).status, "NXDOMAIN", "before the option")
        forwarder.reload(forward="on", unicast_local=["cluster.local"])
        equal(forwarder.address("x.cluster.local"), [MARKS[FIRST]], "a domain by option")
        forwarder.agent.stop()


def strangers(world, host, other, servers):
    with world.step("on every address: clients of this host are answered, others refused unless they are allowed"):
        config = {"dns": {"listen": ["0.0.0.0:53"], "forward": "on", "upstream": [FIRST]}, "mdns": {"provider": "off"}}
        file = host.dir / "outrider.json"
        file.write_text(json.dumps(config))
        agent = host.start("agent", [world.outrider, "agent", "--config", file])
        agent.wait_line("event=agent_ready")
        equal(host.dig("one.example", server=host.ip4).data("A"), [MARKS[FIRST]], "this host")
        servers[0].asked.clear()
        for name in ("two.example", "ns.svc"):
            answer = other.dig(name, server=host.ip4)
            equal(answer.status, "REFUSED", f"another host, {name}")
            check(any("dns.allow" in text for text in answer.ede), f"EDE: {answer.ede}")
        equal(other.dig("two.example", server=host.ip4, options=["+tcp"]).status, "REFUSED", "another host, TCP")
        equal(servers[0].asked, [], "asked upstream")
        agent.wait_line(f"event=dns_client_refused peer={other.ip4} ")
        config["dns"]["allow"] = [f"{other.ip4}/32"]
        file.write_text(json.dumps(config))
        agent.send(signal.SIGHUP)
        agent.wait_line("event=config_reloaded")
        equal(other.dig("two.example", server=host.ip4).data("A"), [MARKS[FIRST]], "allowed")
        agent.stop()


def outlives(world, forwarder, servers):
    first, second = servers
    with world.step("a server that is silent is waited for once, and then asked last"):
        forwarder.reload(forward="on", upstream=[FIRST, SECOND])
        brief = forwarder.fresh("brief")
        equal(forwarder.address(brief), [MARKS[FIRST]], "the name that is to grow stale")
        first.script = lambda query, tcp: None
        mark = forwarder.agent.mark()
        equal(forwarder.address(), [MARKS[SECOND]], "the other server")
        forwarder.agent.wait_line(f"event=upstream_failed peer={FIRST}:53", since=mark)
        begun = time.monotonic()
        first.asked.clear()
        equal(forwarder.address(), [MARKS[SECOND]], "the next question")
        check(time.monotonic() - begun < 1, "the silent server was waited for again")
        equal(first.asked, [], "asked of the silent server")
        first.script = script(MARKS[FIRST])
    with world.step("no upstream server: SERVFAIL that says why for new names, known ones are served stale"):
        for server in servers:
            server.stop()
        answer = forwarder.ask()
        equal(answer.status, "SERVFAIL", "a new name")
        check(any("no upstream server answers" in text for text in answer.ede), f"EDE: {answer.ede}")
        wait_for("it has grown stale", lambda: forwarder.ask(brief).ede)  # its TTL has passed by now
        answer = forwarder.ask(brief)
        equal(answer.data("A"), [MARKS[FIRST]], "the answer")
        check(any("Stale" in text for text in answer.ede), f"EDE: {answer.ede}")
        equal(answer.sections["ANSWER"][0][1], 30, "its TTL (RFC 8767)")
    with world.step("and back: fresh answers by themselves") as say:
        begun = time.monotonic()
        for server in servers:
            server.script = script("198.51.100.77")
            server.start()
        wait_for("a fresh answer", lambda: forwarder.address(brief) == ["198.51.100.77"], deadline=15)
        forwarder.agent.wait_line("event=upstream_recovered")
        say(f"after {time.monotonic() - begun:.1f} s")


def bears_an_outage(world, forwarder, servers):
    with world.step("as many look-ups as there may be and more wait in vain: our names and the API go on") as say:
        forwarder.reload(forward="on", upstream=[FIRST])
        servers[0].script = lambda query, tcp: None
        with dns_tools.network_of(forwarder.host), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.55", 53))
            sock.settimeout(5)
            query = dns_tools.dns.message.make_query("n0000.example", "A")
            wire = bytearray(query.to_wire())
            for n in range(FLOOD):
                wire[13:18] = b"n%04d" % n
                sock.send(wire)
                if n % 50 == 0:
                    time.sleep(0.001)  # what a socket's buffer holds
            refused = sock.recv(512)  # the first that is one too many, at once
            equal(refused[3] & 15, 2, "RCODE")
        open_files = len(list(pathlib.Path(f"/proc/{forwarder.agent.pid}/fd").iterdir()))
        begun = time.monotonic()
        equal(forwarder.ask("ns.svc").data("A"), ["127.0.0.55"], "our own names")
        equal(forwarder.ask("ns.svc", options=["+tcp"]).data("A"), ["127.0.0.55"], "over TCP")
        equal(forwarder.host.outrider("status")[0], 0, "status")
        check(time.monotonic() - begun < 2, f"that took {time.monotonic() - begun:.1f} s")
        check(open_files > FLOOD * 2 // 3, f"{open_files} descriptors: was it an outage at all?")
        say(f"{open_files} descriptors")
    if world.long:
        with world.step("what that took of memory is given back") as say:
            most = forwarder.resident_mb()
            check(most > 60, f"{most} MB: was it an outage at all?")
            wait_for("less than 20 MB", lambda: forwarder.resident_mb() < 20, deadline=20)
            say(f"{most:.0f} MB, then {forwarder.resident_mb():.0f} MB")


def scenario(world):
    dns_tools.need_dnspython()
    # All hosts now: one that joins the bridge later may change its hardware address, which is the servers', too.
    hosts = [world.host(name) for name in "abcd"]
    servers = [dns_tools.Server(world, number, script(MARKS[f"10.77.0.{number}"])) for number in (250, 251)]
    forwarder = Forwarder(world, hosts[0])
    follows_resolv_conf(world, forwarder, servers)
    reloads(world, forwarder, servers)
    filters(world, forwarder)
    large_answers(world, forwarder, servers)
    old_servers(world, forwarder)
    link_local_server(world, forwarder)
    loops(world, forwarder)
    slow_names(world, forwarder, servers)
    truncated_without_tcp(world, forwarder)
    special_names(world, forwarder, servers)
    local_domains(world, hosts[1], servers)
    strangers(world, hosts[2], hosts[3], servers)
    outlives(world, forwarder, servers)
    bears_an_outage(world, forwarder, servers)


if __name__ == "__main__":
    harness.main(scenario)
