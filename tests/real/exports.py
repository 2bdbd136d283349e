#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Services of etcd on the local link, and services of the link in etcd.

Two agents have the same rules: one of them copies. Judges: avahi-browse and python3-zeroconf for
what is on the link, etcdctl for what is in etcd.
"""

import json
import time

import harness
from etcd_agent import Server
from harness import check, equal, wait_for

PORT = 5370
TTL_S = 5
# The other agent tries its claim every second, and probes the name before it announces it.
TAKEOVER_S = TTL_S + 4
TYPE = "_users._tcp"
KEY = "/microservices/users/u1"
REMOTE = "10.77.0.9"  # beyond the link


def entry(name, id_, **metadata):
    return json.dumps({"id": id_, "name": name, "version": "v3", "metadata": metadata,
                       "endpoints": [f"http://{REMOTE}:8080"]})


def config(server, exports, services=(), provider="native"):
    return {"services": list(services), "mdns": {"provider": provider}, "lifecycle": {"drain": "0s"},
            "registries": [{"etcd": {"endpoints": [server.url], "ttl": f"{TTL_S}s", "layouts": {"kratos": {}}}}],
            "export": exports}


RULES = [{"from": "etcd", "to": "mdns", "names": ["users"]},
         {"from": "mdns", "to": "etcd", "names": ["lamp", "users"]}]


def state(host):
    """(from, service) of what the agent there copies, with the number of instances."""
    found = json.loads(host.outrider("registries", "--json")[1])
    return {(each["from"], each["service"]): each["instances"] for each in found["exports"]
            if each["state"] == "exporting"}


def scenario(world):
    harness.need("etcd", "etcdctl", "avahi-daemon", "avahi-browse", "dbus-daemon")
    a, b, c = world.host("a"), world.host("b"), world.host("c")
    server = Server(c).start()
    c.avahi_daemon()

    def on_link(type_=TYPE):
        return {(seen.label, seen.address, seen.port) for seen in c.avahi_resolve(type_) if seen.family == "IPv4"}

    first = a.agent(config(server, RULES))
    first.wait_line("export_changed.*service=users.*state=exporting")
    second = b.agent(config(server, RULES))
    second.wait_line("export_changed.*service=users.*state=waiting.*holds it")

    with world.step("what etcdctl writes is found by avahi-browse and python3-zeroconf", vital=True) as say:
        begun = time.monotonic()
        server.ctl("put", KEY, entry("users", "u1", zone="z1"))
        server.ctl("put", "/microservices/others/o1", entry("others", "o1"))
        wait_for("users on the link", lambda: on_link() == {("u1", REMOTE, 8080)})
        say(f"{time.monotonic() - begun:.1f} s")
        found = c.zeroconf_resolve(TYPE, 1)["u1"]
        equal((found["addresses"], found["port"]), ([REMOTE], 8080), "address")
        equal({key: found["txt"].get(key) for key in ("outrider.via", "zone", "version", "id")},
              {"outrider.via": "etcd", "zone": "z1", "version": "v3", "id": "u1"}, "TXT")
        equal(on_link("_others._tcp"), set(), "a name that no rule has")
        equal(b.dig("users.svc", port=PORT).data("A"), [REMOTE], "answer of the other agent")
    with world.step("one agent copies, and both say so"):
        equal(state(a), {("etcd", "users"): 1, ("mdns", "lamp"): 0, ("mdns", "users"): 0}, "the first")
        equal(state(b), {}, "the second")
        said = a.outrider("why", "users")[1]
        check("copied from etcd to mdns: by this agent" in said, said)
        said = b.outrider("why", "users")[1]
        check("holds it" in said and "a copy of what is in etcd" in said, said)
        said = b.outrider("registries")[1]
        check("waiting" in said and "holds it" in said, said)
        holder = server.ctl("get", "/outrider/export/etcd/mdns/users", "--print-value-only")[1].strip()
        check(holder and holder in said, f"{holder}: {said}")
    with world.step("what comes back from the link is not written to etcd"):
        equal([key for key in server.keys() if not key.startswith("/outrider/")],
              ["/microservices/others/o1", KEY], "keys")
    with world.step("it leaves the link when its key is deleted") as say:
        browse = c.avahi_browse(TYPE)
        browse.wait_line(r"^\+;.*;u1;")
        begun = time.monotonic()
        server.ctl("del", KEY)
        browse.wait_line(r"^-;.*;u1;")
        say(f"{time.monotonic() - begun:.2f} s")
        browse.kill()
    with world.step("what avahi announces with our keys is written to etcd, and leaves it"):
        lamp = c.start("avahi-publish", ["avahi-publish", "-s", "lamp-1", "_lamp._tcp", "9000", "outrider=", "id=l1"])
        lamp.wait_line("Established")
        found = "/microservices/lamp/l1"
        wait_for("lamp in etcd", lambda: found in server.keys())
        value = json.loads(server.ctl("get", found, "--print-value-only")[1])
        equal(value["metadata"].get("outrider.via"), "mdns", "mark")
        check(f"http://{c.ip4}:9000" in value["endpoints"], value)
        lamp.stop()
        wait_for("lamp is gone", lambda: found not in server.keys())
    with world.step("the agent that copies is killed: the other one takes over within the lease's time") as say:
        server.ctl("put", KEY, entry("users", "u1"))
        wait_for("users on the link", lambda: on_link() == {("u1", REMOTE, 8080)})
        equal(state(b), {}, "what the second copies")
        mark = second.mark()
        begun = time.monotonic()
        first.kill()
        second.wait_line("mdns_announced.*users/u1", since=mark, deadline=TAKEOVER_S)
        say(f"{time.monotonic() - begun:.1f} s")
        equal(on_link(), {("u1", REMOTE, 8080)}, "what is on the link")
        equal(c.zeroconf_resolve(TYPE, 1)["u1"]["addresses"], [REMOTE], "what python3-zeroconf finds")
    with world.step("a rule that goes takes its copies with it, on reload"):
        file = sorted(b.dir.glob("*.json"))[-1]
        file.write_text(json.dumps(config(server, [])))
        second.send(1)
        second.wait_line("config_reloaded")
        wait_for("nothing on the link", lambda: on_link() == set())
        equal([key for key in server.keys() if key.startswith("/outrider/")], [], "claims")
    equal(second.stop(), 0, "exit status")
    with world.step("through avahi-daemon it is the same, and a stop takes all back"):
        third = c.agent(config(server, RULES, provider="avahi"))
        third.wait_line("mdns_announced.*users/u1")
        found = a.zeroconf_resolve(TYPE, 1)["u1"]
        equal((found["addresses"], found["port"], found["txt"].get("outrider.via")), ([REMOTE], 8080, "etcd"), "found")
        equal(third.stop(), 0, "exit status")
        wait_for("nothing on the link", lambda: on_link() == set())
        equal([key for key in server.keys() if key.startswith("/outrider/")], [], "claims")


if __name__ == "__main__":
    harness.main(scenario)
