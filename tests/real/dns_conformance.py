#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What name servers are tested with from outside: every flag, opcode, EDNS version and option that a client may set,
over UDP and TCP, for our names and for forwarded ones; then dig, kdig, drill and delv as clients.

The table follows what ISC's genreport asks of a server (RFC 6891, RFC 8906).
"""

import re
import socket
import struct

import dns_tools
import harness
from dns_tools import dns
from harness import Skip, check, equal

SERVER = ("127.0.0.55", 53)
CONFIG = {
    "dns": {"listen": ["127.0.0.55:53"], "answers": 0, "forward": "on", "upstream": ["10.77.0.250"]},
    "mdns": {"provider": "off"},
    "services": [
        {"name": "one", "id": "one-1", "port": 8001, "address": "10.1.0.1"},
        *[{"name": "many", "id": f"many-{n}", "port": 9, "address": f"10.1.9.{n}"} for n in range(1, 201)],
    ],
}
COOKIE, NSID, SUBNET, EXPIRE, KEEPALIVE, PADDING, UNKNOWN, EDE = 10, 3, 8, 9, 11, 12, 100, 15
# name, type, RCODE, AA, records of the answer
NAMES = [
    ("OnE.sVc", "A", "NOERROR", True, 1),
    ("one.svc", "AAAA", "NOERROR", True, 0),
    ("one.svc", "TYPE1000", "NOERROR", True, 0),
    ("svc", "SOA", "NOERROR", True, 1),
    ("svc", "DNSKEY", "NOERROR", True, 0),
    ("svc", "DS", "NOERROR", True, 0),
    ("nobody.svc", "A", "NXDOMAIN", True, 0),
    ("wWw.upstream.example", "A", "NOERROR", False, 1),
    ("gone.upstream.example", "A", "NXDOMAIN", False, 0),
]
HEADER_FLAGS = {"none": 0, "AA": 0x400, "TC": 0x200, "RD": 0x100, "RA": 0x80, "Z": 0x40, "AD": 0x20, "CD": 0x10}
OPTIONS = {
    "none": [],
    "unknown": [(UNKNOWN, b"")],
    "unknown with data": [(UNKNOWN, b"x" * 300)],
    "cookie": [(COOKIE, bytes(range(8)))],
    "cookie of server and client": [(COOKIE, bytes(range(24)))],
    "cookie of a wrong length": [(COOKIE, b"123")],
    "nsid": [(NSID, b"")],
    "client subnet": [(SUBNET, struct.pack(">HBB", 1, 24, 0) + bytes([192, 0, 2]))],
    "expire": [(EXPIRE, b"")],
    "keepalive": [(KEEPALIVE, b"")],
    "padding": [(PADDING, bytes(64))],
    "all": [(NSID, b""), (SUBNET, b"\0\1\0\0"), (COOKIE, bytes(8)), (EXPIRE, b""), (UNKNOWN, b"y"), (65001, b"")],
    "the same twice": [(COOKIE, bytes(8)), (COOKIE, bytes(8))],
}
EDNS_FLAGS = {"none": 0, "DO": 0x8000, "unknown": 0x0080, "DO and all unknown": 0xFFFF}


def edns(size=1232, version=0, flags=0, options=()):
    data = b"".join(struct.pack(">HH", code, len(value)) + value for code, value in options)
    return b"\0" + struct.pack(">HHBBHH", 41, size, 0, version, flags, len(data)) + data


def query(name, rtype, flags=0x0100, opt=b"", rr_class=1, ident=0x4242):
    question = dns.name.from_text(name).to_wire() + struct.pack(">HH", dns.rdatatype.from_text(rtype), rr_class)
    return struct.pack(">6H", ident, flags, 1, 0, 0, 1 if opt else 0) + question + opt


def over_udp(wire):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(2)
        sock.connect(SERVER)
        sock.send(wire)
        return sock.recv(65535)


def over_tcp(*wires):
    """Replies in the order of the queries, which go out together."""
    with socket.create_connection(SERVER, timeout=2) as sock:
        sock.sendall(b"".join(struct.pack(">H", len(wire)) + wire for wire in wires))
        found = {}
        for _ in wires:
            frame = dns_tools.receive_frame(sock)
            check(len(frame) >= 12, "the connection was closed without an answer")
            found[frame[:2]] = frame
        return [found[wire[:2]] for wire in wires]


TRANSPORTS = {"UDP": over_udp, "TCP": lambda wire: over_tcp(wire)[0]}


def read(reply, what):
    try:
        return dns.message.from_wire(reply)  # raises for octets left over
    except dns.exception.DNSException as wrong:
        raise harness.Failed(f"{what}: not a DNS message: {wrong!r}") from None


def options_of(message):
    return {int(option.otype) for option in message.options}


def each(rows):
    for transport, ask in TRANSPORTS.items():
        for label, *rest in rows:
            yield f"{transport}, {label}", ask, rest


def expect(reply, what, rcode, count=None, authoritative=None):
    """The parts that no flag or option of a query changes."""
    message = read(reply, what)
    equal(reply[:2], b"\x42\x42", f"{what}: id")
    check(message.flags & dns.flags.QR, f"{what}: no response")
    equal(dns.rcode.to_text(message.rcode()), rcode, f"{what}: RCODE")
    check(not message.flags & dns.flags.TC, f"{what}: TC")
    if authoritative is not None:
        equal(bool(message.flags & dns.flags.AA), authoritative, f"{what}: AA")
    if count is not None:
        equal(sum(map(len, message.answer)), count, f"{what}: records")
        if count == 0 and rcode in ("NOERROR", "NXDOMAIN"):
            equal([rrset.rdtype for rrset in message.authority], [dns.rdatatype.SOA], f"{what}: SOA")
    return message


def header_flags():
    rows = [
        # Other names than ours are asked for only if that is desired.
        (f"{name} {rtype}, flag {flag}", name, rtype, rcode, aa, count, bits if aa else bits | HEADER_FLAGS["RD"])
        for name, rtype, rcode, aa, count in NAMES
        for flag, bits in HEADER_FLAGS.items()
    ]
    for what, ask, (name, rtype, rcode, aa, count, bits) in each(rows):
        wire = query(name, rtype, bits)
        reply = ask(wire)
        message = expect(reply, what, rcode, count, aa)
        equal(reply[12 : len(wire)], wire[12:], f"{what}: the question as it was asked")
        kept = bits & 0x0110  # RFC 1035 §4.1.1, RFC 4035 §3.2.2: RD and CD are copied, no other is
        equal(message.flags & 0x0170, kept, f"{what}: RD, Z, AD, CD")
        check(message.flags & dns.flags.RA, f"{what}: no RA")
        equal(message.edns, -1, f"{what}: EDNS")
    return 2 * len(rows)


def edns_rows():
    rows = [
        (f"{name} {rtype}, options {label}, flags {flag}", name, rtype, rcode, aa, count, options, bits)
        for name, rtype, rcode, aa, count in NAMES
        for label, options in OPTIONS.items()
        for flag, bits in EDNS_FLAGS.items()
    ]
    for what, ask, (name, rtype, rcode, aa, count, options, bits) in each(rows):
        message = expect(ask(query(name, rtype, opt=edns(flags=bits, options=options))), what, rcode, count, aa)
        equal((message.edns, message.payload), (0, 1232), f"{what}: EDNS version and size")
        equal(message.ednsflags & 0xFFFF, bits & 0x8000, f"{what}: EDNS flags")  # RFC 6891 §6.1.4: Z is zero
        check(options_of(message) <= {EDE}, f"{what}: options {options_of(message)}")
    return 2 * len(rows)


def versions():
    rows = [(f"version {v}, {label}", v, options) for v in (1, 2, 100, 255) for label, options in OPTIONS.items()]
    for what, ask, (version, options) in each(rows):
        message = expect(ask(query("one.svc", "A", opt=edns(version=version, options=options))), what, "BADVERS", 0)
        equal((message.edns, message.authority), (0, []), f"{what}: our version; nothing else")
    return 2 * len(rows)


def opcodes():
    rows = [(f"opcode {opcode}", opcode, opt) for opcode in range(1, 16) for opt in (b"", edns())]
    for what, ask, (opcode, opt) in each(rows):
        reply = ask(query("one.svc", "A", flags=opcode << 11, opt=opt))
        equal((reply[:2], reply[3] & 15, reply[2] >> 3 & 15), (b"\x42\x42", 4, opcode), f"{what}: id, NOTIMP, opcode")
        check(reply[2] & 0x80, f"{what}: no response")
    return 2 * len(rows)


def malformed():
    whole = query("one.svc", "A", opt=edns())
    none, two = bytearray(query("one.svc", "A")), bytearray(query("one.svc", "A") + query("one.svc", "A")[12:])
    none[5], two[5] = 0, 2
    rows = [
        ("no question", bytes(none[:12])),
        ("two questions", bytes(two)),
        ("two OPT", query("one.svc", "A", opt=edns())[:11] + b"\2" + whole[12:] + edns()),
        ("cut off", whole[:-3]),
        ("octets left over", query("one.svc", "A") + b"\0"),
        ("an option longer than OPT", whole[:-2] + b"\0\4\0\3\0\x09"),
    ]
    for what, ask, (wire,) in each(rows):
        reply = ask(wire)
        equal((reply[:2], reply[3] & 15), (b"\x42\x42", 1), f"{what}: id, FORMERR")
    return 2 * len(rows)


def classes():
    rows = [
        ("CH version.bind", query("version.BIND", "TXT", rr_class=3), "NOERROR", 1),
        ("CH hostname.bind", query("hostname.bind", "TXT", rr_class=3), "REFUSED", 0),
        ("class HS", query("one.svc", "A", rr_class=4), "REFUSED", 0),
        ("class NONE", query("one.svc", "A", rr_class=254), "REFUSED", 0),
        ("ANY", query("one.svc", "ANY"), "NOERROR", 1),
        ("AXFR", query("svc", "AXFR"), "REFUSED", 0),
        ("IXFR", query("svc", "IXFR"), "REFUSED", 0),
        ("AXFR of a name that is forwarded", query("upstream.example", "AXFR"), "REFUSED", 0),
    ]
    for what, ask, (wire, rcode, count) in each(rows):
        expect(ask(wire), what, rcode, count)
    return 2 * len(rows)


def sizes():
    for size, most in ((0, 512), (512, 512), (600, 600), (1232, 1232), (4096, 1232), (65535, 1232)):
        reply = over_udp(query("many.svc", "A", opt=edns(size=size)))
        message = read(reply, f"size {size}")
        check(message.flags & dns.flags.TC, f"size {size}: no TC")
        check(most - 16 < len(reply) <= most, f"size {size}: {len(reply)} octets")
        equal(sum(map(len, message.answer)), (most - 12 - 14 - 11) // 16, f"size {size}: whole records")
    wires = [query("many.svc", "A", opt=edns(), ident=0x5000 + n) for n in range(20)]
    for reply in over_tcp(*wires):
        equal(sum(map(len, read(reply, "TCP").answer)), 200, "records over TCP")
    names = ["late.upstream.example", "one.svc", "many.svc"]
    mixed = [query(name, "A", ident=0x6000 + n) for n, name in enumerate(names)]
    equal([read(reply, "mixed").rcode() for reply in over_tcp(*mixed)], [0, 0, 0], "forwarded ones among our own")
    return 6 + len(wires) + len(mixed)


def answer(question, _tcp):
    name = question.question[0].name
    text = name.to_text().lower()
    if text.startswith("gone."):
        return dns_tools.nxdomain(question)
    reply = dns_tools.reply_to(question, answer=[dns_tools.records(name, 60, "A", "198.51.100.7")])
    # A server that returns what it likes: none of it is the client's business.
    options = [dns.edns.GenericOption(NSID, b"upstream"), dns.edns.GenericOption(UNKNOWN, b"z")]
    reply.use_edns(0, 0, 4096, options=options)
    return reply


def scenario(world):
    dns_tools.need_dnspython()
    dns_tools.Server(world, 250, answer)
    a = world.host("a")
    a.agent(CONFIG).wait_line("event=agent_ready")
    for what, rows in (
        ("header flags: RD and CD are copied, nothing else", header_flags),
        ("EDNS: options that we do not know are ignored, flags but DO are zero", edns_rows),
        ("EDNS versions: BADVERS and no data", versions),
        ("opcodes: NOTIMP", opcodes),
        ("malformed: FORMERR", malformed),
        ("classes, ANY, transfers", classes),
        ("sizes: as many whole records as fit, all of them over TCP, many questions on one connection", sizes),
    ):
        with world.step(what) as say, dns_tools.network_of(a):
            say(f"{rows()} questions")
    clients(world, a)


def clients(world, a):
    at = "@127.0.0.55"
    with world.step("dig +dnssec, +subnet, +nsid, +tcp, +ednsopt: the answer, no SIG, no warning"):
        words = ("+dnssec", "+subnet=192.0.2.0/24", "+nsid", "+tcp", "+ednsopt=100:ff", "+bufsize=512", "+noedns")
        for word in words:
            text = a.run(["dig", at, "one.svc", "A", word])[1]
            check("status: NOERROR" in text and re.search(r"^one\.svc\.\s+5\s+IN\s+A\s+10\.1\.0\.1$", text, re.M), text)
            check("WARNING" not in text and "RRSIG" not in text, text)
        text = a.run(["dig", at, "many.svc", "A", "+short"])[1]
        equal(len(text.split()), 200, "records of dig, which retries over TCP")
    with world.step("kdig: DO and cookies; pipelined over one TCP connection"):
        harness.need("kdig")
        text = a.run(["kdig", at, "+dnssec", "+cookie", "one.svc", "A"])[1]
        check("status: NOERROR" in text and "10.1.0.1" in text and "WARNING" not in text, text)
        text = a.run(["kdig", at, "+tcp", "+keepopen", "one.svc", "A", "many.svc", "A", "nobody.svc", "A"])[1]
        equal(text.count("10.1."), 201, "addresses")
        check("NXDOMAIN" in text and "WARNING" not in text, text)
    with world.step("drill: the answer, and the trace of a name without DNSSEC is no error"):
        harness.need("drill")
        text = a.run(["drill", "-D", at, "one.svc", "A"])[1]
        check("rcode: NOERROR" in text and "10.1.0.1" in text and "EDNS: version 0; flags: do" in text, text)
        text = a.run(["drill", at, "nobody.svc", "A"], may_fail=True)[1]
        check("rcode: NXDOMAIN" in text and "SOA" in text, text)
    with world.step("delv: our names are authoritative, forwarded ones an unsigned answer; none is bogus"):
        harness.need("delv")
        anchor = a.dir / "anchor"  # of a zone beside ours: with none at all it would not validate
        anchor.write_text(f'trust-anchors {{ signed.example. static-ds 1 13 2 "{"00" * 32}"; }};\n')
        validating = ["delv", at, "-a", anchor, "+root=signed.example"]
        text = a.run([*validating, "one.svc", "A"])[1]
        check("; authoritative" in text and "10.1.0.1" in text, text)
        text = a.run([*validating, "www.upstream.example", "A"])[1]
        check("; unsigned answer" in text and "198.51.100.7" in text, text)
        text = a.run([*validating, "one.svc", "AAAA"], may_fail=True)[1]
        check("ncache nxrrset" in text and "; negative response" in text, text)
        text = a.run([*validating, "nobody.svc", "A"], may_fail=True)[1]
        check("ncache nxdomain" in text and "; negative response" in text, text)


if __name__ == "__main__":
    harness.main(scenario)
