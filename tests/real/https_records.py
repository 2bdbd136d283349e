#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""HTTPS and SVCB records (RFC 9460) of https services, read by dig, kdig and dnspython, and used by Firefox, which
lands on a port that its URL does not name."""

import json
import re
import shutil

import harness
from authority import Authority
from dns_tools import need_dnspython
from harness import HERE, PYTHON, Skip, check, equal

PORTS = {"a": 8443, "b": 9443}  # of shop
COMMON_PORT = 7443  # of store
CHECK = {"interval": "500ms", "timeout": "300ms", "failures_before_critical": 2}
APPEAR_WITHIN_S = 30.0
HOLD_MS = 300  # of a name that is looked for on the network; those below a known one are not
DECODE = """
import dns.message, dns.name, dns.query, dns.rdatatype
for rtype in ("HTTPS", "SVCB"):
    reply = dns.query.udp(dns.message.make_query("shop.svc.", rtype, use_edns=0), "127.0.0.55", timeout=2)
    for rdata in reply.answer[0]:
        values = (f"{int(key)}:{value.to_text()}" for key, value in rdata.params.items())
        print(rtype, rdata.target, *values)
"""


def start_shop(host, cert, key):
    """HTTPS services: shop on a port of the host's own, store on the same port everywhere; and nothing on port 443."""
    host.http_server(8000)
    port = PORTS[host.name]
    front = host.start("tls", [PYTHON, HERE / "tls_front.py", host.ip4, port, 8000, cert, key])
    shop = {"name": "shop", "id": f"shop-{host.name}", "port": port, "protocol": "https",
            "metadata": {"alpn": "h2,http/1.1"}, "checks": [{"tcp": f"{host.ip4}:{port}", **CHECK}]}
    host.start("tls", [PYTHON, HERE / "tls_front.py", host.ip4, COMMON_PORT, 8000, cert, key])
    store = {"name": "store", "id": f"store-{host.name}", "port": COMMON_PORT, "protocol": "https"}
    host.agent({"services": [shop, store, {"name": "plain", "id": f"plain-{host.name}", "port": 8000}]})
    return front


def record(priority, host, mandatory=""):
    """As dig prints it."""
    return (f'{priority} shop-{host.name}.shop.svc. {mandatory}alpn="h2,http/1.1" port={PORTS[host.name]} '
            f"ipv4hint={host.ip4} ipv6hint={host.ip6}")


def seen_by(world, a, b, c):
    with world.step("dig reads a record of each instance, and the addresses of their targets", vital=True):
        wanted = [record(2, a), record(2, b)]
        harness.wait_for(f"{wanted}", lambda: c.dig("shop.svc", "HTTPS").data("HTTPS") == wanted, APPEAR_WITHIN_S)
        answer = c.dig("shop.svc", "HTTPS")
        equal(answer.status, "NOERROR", "status")
        equal(answer.data("A", "ADDITIONAL"), [a.ip4, b.ip4], "addresses of the targets")
        equal(len(answer.data("AAAA", "ADDITIONAL")), 2, "IPv6 addresses of the targets")

    with world.step("on a host with an instance that one comes first"):
        first = a.dig("shop.svc", "HTTPS", port=5370).sections["ANSWER"][0][3]
        equal(first, record(1, a), "first record")

    with world.step("SVCB says the same, and that the port is mandatory"):
        wanted = [record(2, host, "mandatory=port ") for host in (a, b)]
        equal(c.dig("shop.svc", "SVCB").data("SVCB"), wanted, "records")

    with world.step("why has the records that dig has"):
        for name in ("shop.svc", "store.svc", "shop-b.shop.svc", "plain.svc"):
            told = json.loads(c.outrider("why", name, "--json")[1])["dns"][0].get("HTTPS", [])
            answered = [data.replace(". ", " ", 1) for data in c.dig(name, "HTTPS").data("HTTPS")]
            equal(sorted(told), sorted(answered), name)
        check(re.search(r"(?m)^ +HTTPS 2 shop-a\.shop\.svc alpn=", c.outrider("why", "shop")[1]), "why")

    with world.step("one instance has its own record"):
        equal(c.dig("shop-b.shop.svc", "HTTPS").data("HTTPS"), [record(2, b)], "record")

    with world.step("instances with one port also have a record of the name itself"):
        wanted = f"2 store.svc. port={COMMON_PORT}"
        harness.wait_for("three", lambda: len(c.dig("store.svc", "HTTPS").data("HTTPS")) == 3)
        records = c.dig("store.svc", "HTTPS").data("HTTPS")
        check(wanted in records, records)

    with world.step("kdig reads the same"):
        harness.need("kdig")
        text = c.run(["kdig", "@127.0.0.55", "+short", "shop.svc", "HTTPS"])[1]
        strict = re.sub(r'["\\]', "", text)
        for host in (a, b):
            check(record(2, host).replace('"', "") in strict, text)

    with world.step("dnspython accepts the order and the form of the parameters"):
        need_dnspython()
        text = c.run([PYTHON, "-c", DECODE])[1]
        for rtype in ("HTTPS", "SVCB"):
            for host in (a, b):
                check(re.search(rf'{rtype} shop-{host.name}.* 3:"{PORTS[host.name]}" 4:"{host.ip4}"', text), text)


def seen_as_empty(world, c):
    with world.step("a service that does not speak https has no such record, and the name exists"):
        for rtype in ("HTTPS", "SVCB"):
            answer = c.dig("plain.svc", rtype)
            equal((answer.status, answer.sections.get("ANSWER", [])), ("NOERROR", []), rtype)
            equal(len(answer.data("SOA", "AUTHORITY")), 1, "SOA")

    with world.step("the name that a URL with a port asks for is answered at once"):
        answer = c.dig("_8443._https.shop.svc", "HTTPS", options=["+stats"])
        equal(answer.status, "NXDOMAIN", "status")
        took = int(re.search(r"Query time: (\d+) msec", answer.text)[1])
        check(took < HOLD_MS, f"{took} ms")


def opened(world, a, c, authority):
    with world.step("open and status lead to the bridge for TLS where the agent has one, else to the instance"):
        equal(a.outrider("open", "store", "--print")[1].strip(), f"https://{a.ip4}:{COMMON_PORT}/", "open on a")
        equal(c.outrider("open", "store", "--print")[1].strip(), "https://store.localhost:5443/", "open on c")
        for host, key, wanted in ((a, "here", f"https://{a.ip4}:{COMMON_PORT}/"),
                                  (c, "open", "https://store.localhost:5443/")):
            shown = json.loads(host.outrider("status", "store", "--json")[1])["services"][0]["places"]
            equal(shown[key], wanted, f"status on {host.name}")
        curl = ["curl", "-sS", "--max-time", "5", "--cacert", authority.ca[0]]
        text = c.run([*curl, "https://store.localhost:5443/"])[1]
        check("page of " in text, text)


def in_firefox(c, authority, url, *preferences):
    """What the page says."""
    for program in ("firefox-esr", "certutil"):
        if shutil.which(program) is None:
            raise Skip(f"{program} is not installed (tests/packages-optional.txt)")
    picture = harness.TOP / "build/pictures/https-firefox.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    argv = [PYTHON, HERE / "firefox.py", c.dir, url, "document.body.innerText", picture, authority.ca[0], *preferences]
    return c.run(argv, timeout=90, may_fail=True)[1].strip()


def lands(world, c, authority):
    with world.step("Firefox opens https://store.svc/ on the port of the record") as say:
        text = in_firefox(c, authority, "https://store.svc/")
        check("page of " in text, text)
        say(text)
    with world.step("with two preferences it opens https://shop.svc/, whose instances have different ports") as say:
        text = in_firefox(c, authority, "https://shop.svc/", "network.dns.https_rr.check_record_with_cname=false",
                          "network.dns.force_waiting_https_rr=true")
        check("page of " in text, text)
        say(text)


def scenario(world):
    a, b, c = (world.host(name) for name in "abc")
    authority = Authority(world.dir / "authority")
    cert, key = authority.signed("shop", "DNS:store.svc,DNS:shop.svc,DNS:store.localhost")
    front = start_shop(a, cert, key)
    start_shop(b, cert, key)
    c.agent({"dns": {"listen": ["127.0.0.55:53"]}, "web": {"tls_listen": "127.0.0.1:5443"}})
    seen_by(world, a, b, c)
    seen_as_empty(world, c)
    opened(world, a, c, authority)
    lands(world, c, authority)
    with world.step("the record of an instance goes with its health"):
        front.kill()
        harness.wait_for("b alone", lambda: [said for said in c.dig("shop.svc", "HTTPS").data("HTTPS")
                                             if " shop-" in said] == [record(2, b)])
        answer = a.dig("shop-a.shop.svc", "HTTPS", port=5370)
        equal((answer.status, answer.sections.get("ANSWER", [])), ("NOERROR", []), "its own name")


if __name__ == "__main__":
    harness.main(scenario)
