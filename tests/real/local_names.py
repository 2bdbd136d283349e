#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`NAME.local` of services: found by Avahi, by python3-zeroconf, by a legacy query and by curl while the service is
healthy; taken back with a goodbye; the next name where another agent or a foreign program has it; through links that
go down. Once by our own mDNS, and once through avahi-daemon."""

import json
import re

import harness
from harness import PYTHON, check, equal

# Healthy while the file says so.
PROGRAM = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        state = open(sys.argv[2]).read().strip()
        self.send_response(200 if state == "ok" or self.path != "/health" else 503)
        self.end_headers()
        self.wfile.write((sys.argv[3] + "\\n").encode())
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer(("", int(sys.argv[1])), Handler).serve_forever()
"""
LEGACY = """
import socket, struct, sys
sys.path.insert(0, "%s")
from peers.assembler import A, GROUP, PORT, records_of
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(sys.argv[1]))
labels = b"".join(bytes([len(label)]) + label.encode() for label in sys.argv[2].split("."))
sock.sendto(struct.pack(">6H", 7, 0, 1, 0, 0, 0) + labels + struct.pack(">xHH", A, 1), (GROUP, PORT))
sock.settimeout(3)
print(*(data for _, rtype, _, data in records_of(sock.recv(9000)) if rtype == A))
""" % harness.HERE
ZEROCONF = """
import socket, sys, time
import zeroconf
zc = zeroconf.Zeroconf(interfaces=[sys.argv[1]])
addresses = []
for _ in range(30):
    found = zc.cache.entries_with_name(sys.argv[2])
    addresses = [socket.inet_ntoa(record.address) for record in found if record.type == 1]
    if addresses:
        break
    out = zeroconf.DNSOutgoing(0)
    out.add_question(zeroconf.DNSQuestion(sys.argv[2], 1, 1))
    zc.send(out)
    time.sleep(0.1)
print(*addresses)
zc.close()
"""
PORT = 8080
CLAIMED_WITHIN_S, GONE_WITHIN_S = 8.0, 8.0
WIRE_WITHIN_MS = 50 + 200  # of the verdict; and a slow machine


def service(name="hello", **more):
    check_ = {"http": "/health", "interval": "200ms", "edge_interval": "200ms", "failures_before_critical": 1,
              "success_before_passing": 1, "deregister_critical_after": "0s"}
    return {"name": name, "port": PORT, "local_name": True, "checks": [check_], **more}


def config(*services, **mdns):
    return {"mdns": mdns, "dns": {"listen": ["127.0.0.55:53"]}, "lifecycle": {"drain": "100ms"},
            "services": list(services)}


def resolve(host, name, family="4"):
    """As avahi-resolve finds it; nothing: it does not."""
    text = host.run(["avahi-resolve", f"-{family}n", name], may_fail=True)[1]
    found = re.search(r"^\S+\t(\S+)$", text, re.MULTILINE)
    return found and found[1]


def at(host, name, address):
    harness.wait_for(f"{name} at {address}", lambda: resolve(host, name) == address, CLAIMED_WITHIN_S)


def gone(host, name):
    harness.wait_for(f"{name} gone", lambda: resolve(host, name) is None, GONE_WITHIN_S + 6)


def legacy(host, name):
    """What a query from a port of its own brings (RFC 6762, 6.7); dig takes no answer from another address."""
    return host.run([PYTHON, "-c", LEGACY, host.ip4, name])[1].split()


def told(host, name="hello"):
    """What the agent of a host tells of its own instance."""
    status, text = host.outrider("instances", name, "--json")
    found = json.loads(text)["instances"] if status == 0 else []
    return next((one.get("local_name") for one in found if one["source"] == "own"), None)


def claimed(host, name, wanted):
    harness.wait_for(f"{wanted} on {host.name}", lambda: told(host, name) == wanted, CLAIMED_WITHIN_S)


class Web:
    """A program on a host, whose health is a file."""

    def __init__(self, host, port=PORT):
        self.state = host.dir / f"state-{port}"
        self.set("ok")
        self.program = host.start("web", [PYTHON, "-c", PROGRAM, port, self.state, f"page of {host.name}"])
        harness.wait_for("web", lambda: host.run(["curl", "-sS", f"http://127.0.0.1:{port}/"], may_fail=True)[0] == 0)

    def set(self, state):
        self.state.write_text(state)


def through_own_mdns(world, a, b, c):
    web = Web(a)
    agent = a.agent(config(service()))
    agent.wait_line("agent_ready")
    with world.step("a healthy service has its name: Avahi, zeroconf, a legacy query and curl find it", vital=True):
        at(b, "hello.local", a.ip4)
        equal(resolve(b, "hello.local", "6"), a.ip6, "IPv6")
        equal(legacy(b, "hello.local"), [a.ip4], "a legacy query")
        found = b.run([PYTHON, "-c", ZEROCONF, b.ip4, "hello.local."])[1].split()
        equal(found, [a.ip4], "zeroconf")
        for host in (a, b):
            page = host.run(["curl", "-sS", "--max-time", "5", f"http://hello.local:{PORT}/"])[1]
            equal(page.strip(), "page of a", f"page for {host.name}")
        equal(told(a), "hello.local", "local_name")
        check("hello.local leads to this host" in a.outrider("why", "hello")[1], "why hello does not tell")
        check("1 known instance is there" in a.outrider("why", "hello.local")[1], "why hello.local does not tell")
    heard = b.start("heard", [PYTHON, harness.HERE / "heard_addresses.py", b.ip4, "hello.local"])
    heard.wait_line("listening")
    with world.step("the health fails: a goodbye at once, and the name is gone") as say:
        mark, said = agent.mark(), heard.mark()
        web.set("db down")
        verdict = agent.wait_line("health_failed", since=mark)[0]
        goodbye = heard.wait_line(rf"^\S+ 0 {re.escape(a.ip4)}$", since=said)[0]
        say(f"{(goodbye - verdict) * 1000:.0f} ms after the verdict")
        check((goodbye - verdict) * 1000 <= WIRE_WITHIN_MS, "late")
        gone(b, "hello.local")
        equal(told(a), None, "local_name")
        equal(b.dig("hello.local").status, "NXDOMAIN", "answer of the other agent")
    with world.step("it recovers, and the name is back; maintenance takes it away"):
        web.set("ok")
        at(b, "hello.local", a.ip4)
        identity = json.loads(a.outrider("instances", "hello", "--json")[1])["instances"][0]["id"]
        equal(a.outrider("maintenance", identity, "on")[0], 0, "maintenance on")
        gone(b, "hello.local")
        equal(a.outrider("maintenance", identity, "off")[0], 0, "maintenance off")
        at(b, "hello.local", a.ip4)
    with world.step("another agent's service of that name is hello-2, and both stay what they are") as say:
        web_c = Web(c)
        agent_c = c.agent(config(service()))
        claimed(c, "hello", "hello-2.local")
        at(b, "hello-2.local", c.ip4)
        at(b, "hello.local", a.ip4)
        mark = agent_c.mark()
        for state in ("down", "ok"):
            web_c.set(state)
            claimed(c, "hello", None if state == "down" else "hello-2.local")
        web.set("down")
        claimed(a, "hello", None)
        web.set("ok")
        claimed(a, "hello", "hello.local")
        equal(told(c), "hello-2.local", "the other one")
        say("; ".join(re.findall(r"name=\S+", "\n".join(t for _, t in agent_c.lines[mark:]))))
        equal(agent_c.stop(), 0, "its end")
        gone(b, "hello-2.local")
    with world.step("a foreign program that came first has its name, and one that comes later gets none of ours"):
        foreign = b.start("avahi-publish", ["avahi-publish", "-a", "-R", "shop.local", b.ip4])
        foreign.wait_line("Established")
        Web(a, 8081)
        spec = a.dir / "shop.json"
        spec.write_text(json.dumps({**service("shop"), "port": 8081}))
        equal(a.outrider("register", spec)[0], 0, "register")
        claimed(a, "shop", "shop-2.local")
        at(b, "shop-2.local", a.ip4)
        late = b.start("avahi-publish", ["avahi-publish", "-a", "-R", "hello.local", b.ip4])
        late.wait_line("collision|Failed|conflict")
        equal(told(a), "hello.local", "local_name")
        foreign.stop()
    with world.step("the link goes down and comes up: the name is claimed again, or the next one if it was taken"):
        a.cable(False)
        harness.wait_for("expired", lambda: resolve(b, "hello.local") is None, 30)
        a.cable(True)
        at(b, "hello.local", a.ip4)
        a.cable(False)
        harness.wait_for("expired", lambda: resolve(b, "hello.local") is None, 30)
        taken = b.start("avahi-publish", ["avahi-publish", "-a", "-R", "hello.local", b.ip4])
        taken.wait_line("Established")
        a.cable(True)
        claimed(a, "hello", "hello-2.local")
        at(b, "hello-2.local", a.ip4)
        at(b, "hello.local", b.ip4)
        taken.stop()
    with world.step("two agents of one host share the name until the last one leaves"):
        other = a.dir / "other"
        other.mkdir()
        second = a.agent({**config(service(port=8081)), "dns": {"listen": []},
                          "api": {"socket": str(other / "agent.sock")}})
        second.wait_line("name=hello.local")
        equal(agent.stop(), 0, "its end")
        harness.wait_for("hello.local", lambda: resolve(b, "hello.local") == a.ip4, 3)
        equal(second.stop(), 0, "its end")
        gone(b, "hello.local")


def through_avahi(world, a, b, c):
    a.system_bus()
    daemon = a.avahi_daemon(bus=False, interfaces="eth0,lo")
    web = Web(a)
    Web(c)
    own = f"{a.name}-avahi"  # the daemon's name
    agent = a.agent(config(service(), service(own), provider="avahi"))
    with world.step("through avahi-daemon: claimed, found, but not the daemon's own name", vital=True):
        at(b, "hello.local", a.ip4)
        equal(resolve(b, "hello.local", "6"), a.ip6, "IPv6")
        equal(told(a), "hello.local", "local_name")
        claimed(a, own, f"{own}-2.local")
        at(b, f"{own}.local", a.ip4)
        equal(a.dig("hello.local").data("A"), [a.ip4], "answer of its own agent")
    with world.step("through avahi-daemon: gone with the health, back with it"):
        heard = b.start("heard", [PYTHON, harness.HERE / "heard_addresses.py", b.ip4, "hello.local"])
        heard.wait_line("listening")
        web.set("down")
        heard.wait_line(rf"^\S+ 0 {re.escape(a.ip4)}$")
        gone(b, "hello.local")
        at(b, f"{own}.local", a.ip4)
        web.set("ok")
        at(b, "hello.local", a.ip4)
    with world.step("through avahi-daemon: another agent has hello-2, and a foreign name is left alone"):
        agent_c = c.agent(config(service()))
        claimed(c, "hello", "hello-2.local")
        web.set("down")
        gone(b, "hello.local")
        taken = b.start("avahi-publish", ["avahi-publish", "-a", "-R", "hello.local", b.ip4])
        taken.wait_line("Established")
        web.set("ok")
        claimed(a, "hello", "hello-3.local")
        at(b, "hello-3.local", a.ip4)
        equal(told(c), "hello-2.local", "the other one")
        taken.stop()
        equal(agent_c.stop(), 0, "its end")
    with world.step("through avahi-daemon: the name follows the host's addresses, and outlives the daemon"):
        a.run(["ip", "address", "add", "10.77.0.99/24", "dev", "eth0"])
        a.run(["ip", "address", "del", f"{a.ip4}/24", "dev", "eth0"])
        a.run(["ip", "address", "add", "10.77.0.98/24", "dev", "eth0"], may_fail=True)
        harness.wait_for("the new address", lambda: resolve(b, "hello-3.local") in ("10.77.0.99", "10.77.0.98"), 15)
        daemon.stop()
        a.avahi_daemon(bus=False, interfaces="eth0,lo")
        harness.wait_for("back", lambda: resolve(b, "hello-3.local") in ("10.77.0.99", "10.77.0.98"), 20)
        equal(agent.stop(), 0, "its end")
        gone(b, "hello-3.local")


def scenario(world):
    harness.need("avahi-daemon", "avahi-resolve", "avahi-publish", "dbus-daemon", "dig", "curl")
    a, b, c = world.host("a"), world.host("b"), world.host("c")
    b.avahi_daemon()
    # Programs of this host that only know DNS ask an agent.
    b.agent(config()).wait_line("agent_ready")
    if not world.words or "native" in world.words:
        through_own_mdns(world, a, b, c)
    if not world.words or "avahi" in world.words:
        through_avahi(world, world.host("d"), b, world.host("e"))


if __name__ == "__main__":
    harness.main(scenario)
