#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Real name servers behind the agent and in front of it.

Behind: nsd with a signed zone of every kind of record, and a validating unbound; what the agent hands on is what they
say themselves. In front: unbound, dnsmasq and systemd-resolved send `svc` to the agent; what they hand on is what it
says.
"""

import socket
import struct

import dns_tools
import dns_zone
import harness
import unpacked
from dns_tools import dns
from dns_zone import ZONE
from harness import check, equal, wait_for

QUESTIONS, QUESTIONS_LONG = 1_000, 10_000
STUB = ("127.0.0.55", 53)
UNBOUND_PORT = 5301
LIBRARIES = ("libevent-2.1-7", "libfstrm0", "libprotobuf-c1", "libpython3.11")
RESOLVED = ("systemd-resolved", "libsystemd-shared")
MANY = 200
CRITICAL = {"ttl": "1h", "initial": "critical"}
SERVICES = [
    {"name": "one", "id": "one-1", "port": 8001, "address": ["10.1.0.1", "2001:db8:1::1"]},
    {"name": "v4-only", "id": "v4-1", "port": 8001, "address": "10.1.7.1"},
    {"name": "critical", "id": "c-1", "port": 1, "address": "10.1.3.1", "checks": [CRITICAL]},
    *[{"name": "many", "id": f"many-{n}", "port": 9, "address": f"10.1.9.{n}"} for n in range(1, MANY + 1)],
]


# --- behind ----------------------------------------------------------------------------------------------------------


def nsd(host, signed):
    program, env = unpacked.program("usr/sbin/nsd", "nsd", *LIBRARIES)
    config = host.dir / "nsd.conf"
    config.write_text(
        f'server:\n  ip-address: {host.ip4}@53\n  server-count: 1\n  username: ""\n  chroot: ""\n  pidfile: ""\n'
        f'  database: ""\n  zonesdir: ""\n  zonelistfile: "{host.dir}/zone.list"\n  xfrdfile: "{host.dir}/xfrd.state"\n'
        f'  xfrdir: "{host.dir}"\n  verbosity: 1\n  rrl-ratelimit: 0\nremote-control:\n  control-enable: no\n'
        f'zone:\n  name: {ZONE}\n  zonefile: {signed}\n'
    )
    host.start("nsd", [program, "-d", "-c", config], env=env).wait_line("nsd started")


def unbound(host, name, text, port):
    program, env = unpacked.program("usr/sbin/unbound", "unbound", *LIBRARIES)
    config = host.dir / f"{name}.conf"
    config.write_text(
        f'server:\n  username: ""\n  chroot: ""\n  directory: "{host.dir}"\n  pidfile: ""\n  use-syslog: no\n'
        f"  do-daemonize: no\n  verbosity: 1\n  interface: {host.ip4}@{port}\n  access-control: 0.0.0.0/0 allow\n"
        f"  num-threads: 1\n  ede: yes\n{text}\nremote-control:\n  control-enable: no\n"
    )
    host.start(name, [program, "-d", "-c", config], env=env).wait_line("start of service")


class Asker:
    """Questions to one server."""

    def __init__(self, server):
        self.server, self._ident = server, 0
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.settimeout(5)
        self._sock.connect(server)

    def ask(self, name, rtype, do, cd, ad, size, tcp):
        self._ident = self._ident % 0xFFFF + 1
        query = dns.message.make_query(name, rtype, use_edns=False if size is None else 0, want_dnssec=do, payload=size)
        query.id, query.flags = self._ident, 0x0100 | 0x20 * ad | 0x10 * cd
        wire = query.to_wire()
        if not tcp:
            self._sock.send(wire)
            reply = b""
            while reply[:2] != wire[:2]:
                try:
                    reply = self._sock.recv(65535)
                except TimeoutError:
                    raise harness.Failed(f"{self.server} is silent about {name} {rtype}") from None
            return reply, dns.message.from_wire(reply)
        with socket.create_connection(self.server, timeout=5) as sock:
            sock.sendall(struct.pack(">H", len(wire)) + wire)
            reply = dns_tools.receive_frame(sock)
        return reply, dns.message.from_wire(reply)

    def whole(self, name, rtype, do, cd):
        """As the agent asks: AD set, 1232 octets, and by TCP what does not fit."""
        reply = self.ask(name, rtype, do, cd, True, 1232, False)
        return self.ask(name, rtype, do, cd, True, 1232, True) if reply[1].flags & dns.flags.TC else reply


def section(rrsets):
    """{(owner, type, data)}: TTL."""
    return {
        (rrset.name.to_text().lower(), dns.rdatatype.to_text(rrset.rdtype), rdata.to_digestable()): rrset.ttl
        for rrset in rrsets
        for rdata in rrset
    }


def no_longer(got, wanted, what):
    """No TTL is longer than the upstream's, but for the second by which two caches' seconds may differ."""
    for key, ttl in got.items():
        check(ttl <= wanted[key] + 1, f"{what}: {key[:2]} has TTL {ttl}, upstream {wanted[key]}")


def compare(question, direct, reply, limit):
    name, rtype, do, cd, ad, size, tcp = question
    what = f"{name} {rtype} DO={do:d} CD={cd:d} AD={ad:d} size={size} {'TCP' if tcp else 'UDP'}"
    wire, got = reply
    equal(dns.rcode.to_text(got.rcode()), dns.rcode.to_text(direct.rcode()), f"{what}: RCODE")
    equal(got.question[0].name.to_text(), name + ".", f"{what}: the question's case")
    flags = dns.flags.QR | dns.flags.RD | dns.flags.RA | (dns.flags.CD if cd else 0)
    if (ad or do) and not (cd and not got.flags & dns.flags.AD):
        # With CD set, AD says whether another client has had it validated meanwhile.
        flags |= direct.flags & dns.flags.AD
    equal(dns.flags.to_text(got.flags & ~dns.flags.TC), dns.flags.to_text(flags), f"{what}: flags")
    equal((got.edns, bool(got.ednsflags & dns.flags.DO)), (-1 if size is None else 0, do), f"{what}: EDNS")
    check(len(wire) <= limit, f"{what}: {len(wire)} octets")
    parts = [(section(mine), section(theirs)) for mine, theirs in zip(
        (got.answer, got.authority, got.additional), (direct.answer, direct.authority, direct.additional))]
    cut = bool(got.flags & dns.flags.TC)
    for part, (mine, theirs) in zip(("answer", "authority", "additional"), parts):
        extra = mine.keys() - theirs.keys()
        check(not extra, f"{what}: {part} has {[key[:2] for key in extra]}")
        if not cut and part != "additional":
            missing = theirs.keys() - mine.keys()
            check(not missing, f"{what}: {part} lacks {[key[:2] for key in missing]}")
        no_longer(mine, theirs, f"{what}: {part}")
    if cut:
        check(not tcp, f"{what}: cut over TCP")
        check(parts[0][0] or not parts[0][1] or max(len(key[2]) for key in parts[0][1]) > limit - 300, f"{what}: empty")
    return cut


def differential(host, upstream, count, referrals):
    """Asks the upstream and the agent of `host` the same."""
    direct, stub = Asker(upstream), Asker(STUB)
    rcodes, cuts = {}, 0
    for question in dns_zone.questions(count, 7, referrals):
        name, rtype, do, cd, _, size, tcp = question
        _, wanted = direct.whole(name, rtype, do, cd)
        limit = 65535 if tcp else min(1232, size or 512)
        cuts += compare(question, wanted, stub.ask(*question), limit)
        key = dns.rcode.to_text(wanted.rcode()) if wanted.answer or wanted.rcode() else "NODATA"
        rcodes[key] = rcodes.get(key, 0) + 1
    return ", ".join(f"{number} {key}" for key, number in sorted(rcodes.items())) + f"; {cuts} cut"


def behind(world):
    harness.need("ldns-keygen", "ldns-signzone")
    for path, package in (("usr/sbin/nsd", "nsd"), ("usr/sbin/unbound", "unbound")):
        unpacked.program(path, package, *LIBRARIES)  # or all of this is skipped
    up, a, b = world.host("up"), world.host("a"), world.host("b")
    with world.step("a zone with every kind of record, signed; nsd serves it, unbound validates it", vital=True):
        signed, ds = dns_zone.sign(up.dir)
        nsd(up, signed)
        unbound(
            up,
            "unbound",
            f'  trust-anchor: "{ds.split(chr(10))[0]}"\n  trust-anchor-signaling: no\n  do-ip6: no\n'
            f"stub-zone:\n  name: {ZONE}\n  stub-addr: {up.ip4}@53\n",
            UNBOUND_PORT,
        )
        text = up.run(["dig", f"@{up.ip4}", "-p", UNBOUND_PORT, f"www.{ZONE}", "+dnssec"])[1]
        check("flags: qr rd ra ad;" in text, text)
    agents = ((a, (up.ip4, 53), "nsd"), (b, (up.ip4, UNBOUND_PORT), "unbound"))
    for host, upstream, _ in agents:
        dns_options = {"forward": "on", "upstream": [f"{upstream[0]}:{upstream[1]}"], "trust_ad": True}
        config = {"dns": {"listen": ["127.0.0.55:53"], **dns_options}}
        host.agent({**config, "mdns": {"provider": "off"}}).wait_line("event=agent_ready")
    count = (QUESTIONS_LONG if world.long else QUESTIONS) // 2
    for host, upstream, name in agents:
        with world.step(f"{count} questions: what comes through the agent is what {name} says") as say:
            with dns_tools.network_of(host):
                say(differential(host, upstream, count, referrals=name == "nsd"))
    with world.step("delv validates through the agent: signatures pass; a wrong one is bogus, with CD it passes"):
        anchor = a.dir / "anchor"
        tag, algorithm, digest_type, *digest = ds.split("\tDS\t")[-1].split(";")[0].split()
        anchor.write_text(
            f'trust-anchors {{ {ZONE}. static-ds {tag} {algorithm} {digest_type} "{"".join(digest)}"; }};\n'
        )
        for host, _, name in agents:
            delv = ["delv", "@127.0.0.55", "-a", anchor, f"+root={ZONE}"]
            for rtype, status in (("A", "; fully validated"), ("MX", "; negative response, fully validated")):
                text = host.run([*delv, f"www.{ZONE}", rtype], may_fail=True)[1]
                check(status in text, f"{name}: {text}")
            text = host.run([*delv, f"{dns_zone.BOGUS}.{ZONE}", "A"], may_fail=True)[1]
            check("resolution failed" in text, f"{name}: {text}")
        equal(b.dig(f"{dns_zone.BOGUS}.{ZONE}").status, "SERVFAIL", "bogus through unbound")
        equal(b.dig(f"{dns_zone.BOGUS}.{ZONE}", options=["+cd"]).data("A"), ["198.51.100.67"], "the same with CD")


# --- in front ---------------------------------------------------------------------------------------------------------


def check_front(host, port, server="127.0.0.1"):
    """What a client of a resolver in front of the agent gets for our names."""

    def ask(name, rtype="A", *options):
        return host.dig(name, rtype, server=server, port=port, options=options)

    equal(ask("one.svc").data("A"), ["10.1.0.1"], "A")
    equal(ask("OnE.sVc", "AAAA").data("AAAA"), ["2001:db8:1::1"], "AAAA")
    equal(ask("one.svc", "SRV").data("SRV"), ["0 100 8001 one-1.one.svc."], "SRV")
    check(any("id=one-1" in text for text in ask("one-1.one.svc", "TXT").data("TXT")), "TXT")
    for name, rtype in (("v4-only.svc", "AAAA"), ("critical.svc", "A"), ("critical.svc", "AAAA"), ("one.svc", "MX")):
        answer = ask(name, rtype)
        equal((answer.status, answer.sections.get("ANSWER", [])), ("NOERROR", []), f"{name} {rtype}")
    for rtype in ("A", "AAAA", "TXT"):
        equal(ask("nobody.svc", rtype).status, "NXDOMAIN", f"nobody.svc {rtype}")
    equal(len(ask("many.svc").data("A")), MANY, "200 addresses, by TCP in the end")
    check("tc" in ask("many.svc", "A", "+ignore").flags, "no TC over UDP")


def front_unbound(host):
    text = (
        '  do-not-query-localhost: no\n  domain-insecure: "svc"\n  use-caps-for-id: yes\n'
        "stub-zone:\n  name: svc\n  stub-addr: 127.0.0.55@53\n"
    )
    unbound(host, "unbound", text, 5311)
    check_front(host, 5311, host.ip4)


def front_dnsmasq(host):
    dns_tools.start_dnsmasq(host, 5312, "/svc/127.0.0.55", host.dir / "group")
    check_front(host, 5312)


def front_resolved(host):
    program, env = unpacked.program("lib/systemd/systemd-resolved", *RESOLVED)
    harness.need("dbus-daemon")
    with open(host.dir / "passwd", "a") as passwd:
        passwd.write("systemd-resolve:x:0:0::/:/bin/sh\n")
    with open(host.dir / "group", "a") as group:
        group.write("systemd-resolve:x:0:\n")
    host.system_bus()
    drop_in = host.dir / "outrider.conf"
    text = "DNS=127.0.0.55:53\nDomains=~svc\nFallbackDNS=\nLLMNR=no\nMulticastDNS=no\nDNSSEC=no\n"
    drop_in.write_text(f"[Resolve]\n{text}")
    folder = "/run/systemd/resolved.conf.d"
    host.run(["sh", "-c", f"mkdir -p {folder} && cp {drop_in} {folder}/"])
    resolved = host.start("systemd-resolved", [program], env={**env, "SYSTEMD_LOG_TARGET": "console"})
    wait_for(
        "systemd-resolved answers",
        lambda: not resolved.running() or host.dig("one.svc", server="127.0.0.53").status == "NOERROR",
    )
    check(resolved.running(), resolved.text())
    check_front(host, 53, "127.0.0.53")
    (host.dir / "resolv.conf").write_text("nameserver 127.0.0.53\noptions edns0 trust-ad\n")
    equal(host.run(["getent", "ahostsv4", "one.svc"])[1].split()[0], "10.1.0.1", "getent")


def in_front(world):
    c = world.host("c")
    dns_options = {"listen": ["127.0.0.55:53"], "answers": 0, "forward": "off"}
    c.agent({"dns": dns_options, "mdns": {"provider": "off"}, "services": SERVICES}).wait_line("event=agent_ready")
    for name, front in (("unbound", front_unbound), ("dnsmasq", front_dnsmasq), ("systemd-resolved", front_resolved)):
        with world.step(f"{name} in front: names, no data, no such name, TC"):
            front(c)


def scenario(world):
    dns_tools.need_dnspython()
    in_front(world)
    behind(world)


if __name__ == "__main__":
    unpacked.fetch("nsd", "unbound", *LIBRARIES, *RESOLVED)
    harness.main(scenario)
