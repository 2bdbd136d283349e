# SPDX-License-Identifier: Apache-2.0
"""A signed zone with every kind of record, and questions about it, for comparing two ways to the same answer."""

import random
import re

import harness

ZONE = "zone.example"
BOGUS = "bogus"  # its signature does not fit
GROUPS = 40
TYPES = (
    "A AAAA MX TXT SRV CAA NAPTR TLSA SVCB HTTPS LOC DS DNSKEY NS SOA PTR CNAME SSHFP URI HINFO RP NSEC RRSIG "
    "TYPE65280 TYPE1000 SPF"
).split()
KINDS = "a aaaa mx txt srv caa naptr tlsa svcb https loc sub ptr c sshfp uri hinfo rp odd large huge ent".split()

OWN_TYPES = {"sub": "DS", "c": "A", "odd": "TYPE65280", "large": "TXT", "huge": "TXT", "ent": "A"}


def zone_text():
    """The zone before it is signed."""
    lines = [
        f"$ORIGIN {ZONE}.",
        "$TTL 3600",
        "@ IN SOA ns hostmaster 1 3600 600 86400 120",
        "@ IN NS ns",
        "@ IN NS ns.elsewhere.example.",
        "ns IN A 198.51.100.53",
        "ns IN AAAA 2001:db8::53",
        "www IN A 198.51.100.80",
        f"{BOGUS} IN A 198.51.100.66",
    ]
    for i in range(GROUPS):
        ttl = 60 + 37 * i
        text = " ".join(f'"{n}-{"x" * 180}"' for n in range(4))
        huge = " ".join(f'"{n}-{"y" * 240}"' for n in range(30))
        rows = [
            *[f"a{i} {ttl} IN A 198.51.{i}.{n}" for n in range(1 + i % 9)],
            *[f"aaaa{i} {ttl} IN AAAA 2001:db8:{i}::{n}" for n in range(1 + i % 5)],
            f"mx{i} {ttl} IN MX 10 a{i}",
            f"mx{i} {ttl} IN MX 20 mail.elsewhere.example.",
            f'txt{i} {ttl} IN TXT "v=spf1 -all" "" "\\"quoted\\" \\255\\000"',
            f"srv{i} {ttl} IN SRV 1 {i} 443 a{i}",
            f"srv{i} {ttl} IN SRV 2 0 443 aaaa{i}",
            f'caa{i} {ttl} IN CAA 0 issue "ca.example; policy={i}"',
            f'naptr{i} {ttl} IN NAPTR 100 {i} "u" "E2U+sip" "!^.*$!sip:info@{ZONE}!" .',
            f'naptr{i} {ttl} IN NAPTR 200 {i} "s" "" "" srv{i}',
            f"tlsa{i} {ttl} IN TLSA 3 1 1 {'ab' * 31}{i:02x}",
            f"svcb{i} {ttl} IN SVCB 1 a{i} alpn=h2,h3 port=8443",
            f"https{i} {ttl} IN HTTPS 1 . alpn=h3 ipv4hint=198.51.100.{i} ipv6hint=2001:db8::{i}",
            f"https{i} {ttl} IN HTTPS 2 a{i} port={8000 + i}",
            f"loc{i} {ttl} IN LOC 52 22 23.{i:03} N 4 53 32.000 E -2.00m 0.00m 10000m 10m",
            f"sub{i} {ttl} IN NS ns.sub{i}",
            f"ns.sub{i} {ttl} IN A 198.51.100.{i}",
            f"sub{i} {ttl} IN DS {1000 + i} 13 2 {'cd' * 31}{i:02x}",
            f"ptr{i} {ttl} IN PTR a{i}",
            f"c{i} {ttl} IN CNAME c{i + 1}" if i % 8 != 7 else f"c{i} {ttl} IN CNAME a{i}",
            f"sshfp{i} {ttl} IN SSHFP 4 2 {'ef' * 31}{i:02x}",
            f'uri{i} {ttl} IN URI 10 1 "https://a{i}.{ZONE}/"',
            f'hinfo{i} {ttl} IN HINFO "PDP-{i}" "UNIX"',
            f"rp{i} {ttl} IN RP admin a{i}",
            f"odd{i} {ttl} IN TYPE65280 \\# 5 c00c0000{i:02x}",
            f"large{i} {ttl} IN TXT {text}",
            f"huge{i} {ttl} IN TXT {huge}",
            f"below.ent{i} {ttl} IN A 198.51.100.{i}",
            f"*.w{i} {ttl} IN A 198.51.{i}.99",
            f'*.w{i} {ttl} IN TXT "wild"',
        ]
        lines += rows
    return "\n".join(lines) + "\n"


def sign(folder):
    """Writes the zone and its signatures into the folder; the signed file, and the DS of its key as text."""
    (folder / "zone").write_text(zone_text())
    keygen = f"cd {folder} && ldns-keygen -k -a ECDSAP256SHA256 -r /dev/urandom {ZONE}"
    key = harness.run(["sh", "-c", keygen], timeout=30)[1].split()[-1]
    signed = folder / "signed"
    harness.run(["ldns-signzone", "-o", ZONE, "-f", str(signed), str(folder / "zone"), str(folder / key)], timeout=30)
    # What was signed is not what is there.
    text = signed.read_text()
    spoilt, count = re.subn(r"198\.51\.100\.66", "198.51.100.67", text)
    harness.equal(count, 1, "the record without a right signature")
    signed.write_text(spoilt)
    return signed, (folder / f"{key}.ds").read_text().strip()


def questions(count, seed, referrals):
    """(name, type, DO, CD, AD, EDNS size or None, by TCP): most of them about what is there. Without `referrals` none
    that only the servers of another zone could answer; there are no such servers."""
    draw = random.Random(seed)
    while count > 0:
        i = draw.randrange(GROUPS)
        kind = draw.choice(KINDS)
        rtype = draw.choice(TYPES)
        own = OWN_TYPES.get(kind, kind.upper())
        name = draw.choice(
            [f"{kind}{i}"] * 8
            + [f"x{draw.randrange(9)}.w{i}", f"gone{i}", f"x.{kind}{i}", f"host.sub{i}", f"c{i}", BOGUS, "", "www"]
        )
        if draw.random() < 0.6:
            rtype = own
        elsewhere = rtype == "DS" and name == "" or "sub" in name and (rtype != "DS" or "." in name)
        if elsewhere and not referrals:
            continue
        count -= 1
        size = draw.choice([None, 512, 1232, 1232, 4096])
        flags = [size is not None and draw.random() < 0.4, draw.random() < 0.2, draw.random() < 0.3]
        full = f"{name}.{ZONE}" if name else ZONE
        yield ("".join(draw.choice((c, c.upper())) for c in full), rtype, *flags, size, draw.random() < 0.15)
