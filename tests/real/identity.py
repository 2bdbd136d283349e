#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Hosts that look alike: the same host name and machine id, the same ids, and a neighbour that
copies another host's texts. Each is a host of its own, in DNS, in `why` and in the Consul API."""

import json
import re

import harness
from harness import PYTHON, check, equal

PORT = 8000
CHECKS = [{"http": "/", "interval": "1s", "timeout": "500ms"}]
APPEAR_WITHIN_S = 10.0
GONE_WITHIN_S = 8.0


def hello(**more):
    return {"services": [{"name": "hello", "port": PORT, "tags": ["v1"], "checks": CHECKS, **more}]}


def answers(host, name, wanted, deadline=APPEAR_WITHIN_S):
    harness.wait_for(
        f"{name} = {wanted} in {host.name}",
        lambda: host.dig(name, port=5370).data("A") == sorted(wanted),
        deadline,
    )


def ids(host, service):
    """The ids that the agent of a host shows, each with its addresses."""
    document = json.loads(host.outrider("why", service, "--json")[1])
    return {
        entry["id"]: entry["instance"]["addresses"][0] for entry in document["instances"]
    }


def same_name(world, a, b, c):
    for host in (a, c):
        host.agent(hello())
    b.agent({"mdns": {"browse": ["_printer._tcp"]}})
    both = [a.ip4, c.ip4]
    with world.step("two hosts named vm: every host answers both", vital=True):
        for host in (a, b, c):
            answers(host, "hello.svc", both)
            answers(host, "v1._tag.hello.svc", both)
    with world.step("their ids differ, and are the same wherever they are looked at"):
        shown = [ids(host, "hello") for host in (a, b, c)]
        equal(len(shown[1]), 2, "instances")
        equal(shown[0], shown[1], "ids in a and b")
        equal(shown[2], shown[1], "ids in c and b")
        for label, address in shown[1].items():
            equal(b.dig(f"{label}.hello.svc", port=5370).data("A"), [address], label)
    with world.step("local.hello.svc is the host itself"):
        for host in (a, c):
            equal(host.dig("local.hello.svc", port=5370).data("A"), [host.ip4], host.name)
        equal(b.dig("local.hello.svc", port=5370).data("A"), [], "in b")


def one_dies(world, a, b, c, server):
    with world.step("the server of one dies: everybody is sent to the other"):
        server.kill()
        for host in (a, b, c):
            answers(host, "hello.svc", [c.ip4], GONE_WITHIN_S)
    with world.step("it is back: both are answered"):
        a.http_server(PORT)
        for host in (a, b, c):
            answers(host, "hello.svc", [a.ip4, c.ip4])


def equal_ids(world, a, b, c):
    spec = {"name": "web", "id": "web", "port": 9000}
    for host in (a, c):
        (host.dir / "web.json").write_text(json.dumps(spec))
        equal(host.outrider("register", host.dir / "web.json")[0], 0, "exit status")
    with world.step("equal ids given by people are two instances"):
        for host in (a, b, c):
            answers(host, "web.svc", [a.ip4, c.ip4])
        equal(len(ids(b, "web")), 2, "instances in b")
        equal(ids(a, "web")["web"], a.ip4, "web in a")
        equal(ids(c, "web")["web"], c.ip4, "web in c")
    with world.step("why and doctor name the clash"):
        pattern = r"announces (web with )?the id web, which another instance has"
        check(re.search(pattern, b.outrider("why", "web")[1]), b.outrider("why", "web")[1])
        found = b.outrider("doctor")[1]
        check(re.search(pattern, found), found)


def clones_with_ids(world, a, b, c):
    (a.dir / "db.json").write_text(json.dumps({"name": "db", "id": "i-a", "port": 9001}))
    (c.dir / "db.json").write_text(json.dumps({"name": "db", "id": "i-c", "port": 9002}))
    for host in (a, c):
        equal(host.outrider("register", host.dir / "db.json")[0], 0, "exit status")
    with world.step("clones with ids of their own do not hide each other"):
        for host in (a, b, c):
            answers(host, "db.svc", [a.ip4, c.ip4])
        for host in (a, c):
            equal(host.dig("local.db.svc", port=5370).data("A"), [host.ip4], host.name)


def copied(world, a, b, m):
    """m publishes what a says of itself, with m's address."""
    txt = a.dig("hello.svc", "TXT", port=5370).data("TXT")[0]
    identity = re.search(r'"outrider=(\w+\.vm)"', txt).group(1)
    argv = [PYTHON, harness.HERE / "zeroconf_publish.py", m.ip4, "_hello._tcp", "copy", PORT]
    label = next(each for each, address in ids(b, "hello").items() if address == a.ip4)
    program = m.start("zeroconf", [*argv, "name=hello", f"id={label}", f"outrider={identity}"])
    program.wait_line("registered")
    with world.step("a neighbour that copies a host's texts is another host"):
        harness.wait_for("the copy", lambda: m.ip4 in b.dig("hello.svc", port=5370).data("A"))
        answers(a, "hello.svc", b.dig("hello.svc", port=5370).data("A"))
        equal(a.dig("local.hello.svc", port=5370).data("A"), [a.ip4], "local.hello.svc in a")
        equal(b.dig(f"{label}.hello.svc", port=5370).data("A"), [a.ip4], label)
        first = a.dig("hello.svc", port=5370).sections["ANSWER"][0][3]
        equal(first, a.ip4, "the first address in a")


def nodes(host, path):
    socket = host.dir / "outrider/agent.sock"
    said = host.run(["curl", "-sS", "--unix-socket", socket, f"http://agent{path}"])[1]
    return sorted({(node["Address"], node["Node"]) for node in json.loads(said)})


def node_names(world, a, b, c):
    with world.step("each host is one node with one name, wherever it is looked at"):
        seen = [nodes(host, "/v1/catalog/service/hello") for host in (a, b, c)]
        equal([address for address, _ in seen[0]], [a.ip4, c.ip4], "addresses")
        equal(len({node for _, node in seen[0]}), 2, "node names")
        equal(seen[1], seen[0], "nodes in b")
        equal(seen[2], seen[0], "nodes in c")
        wanted = sorted([*seen[0], *nodes(b, "/v1/catalog/nodes")])
        equal(len(set(wanted)), 3, "nodes that b knows")


def folded(world, b, c, m):
    """Programs without an agent, whose labels DNS writes the same."""
    labels = {"Office Printer": c, "Office-Printer": m, "M\u00fcller": c, "M\u00f6ller": m}
    for label, host in labels.items():
        argv = [PYTHON, harness.HERE / "zeroconf_publish.py", host.ip4, "_printer._tcp", label, 9100]
        host.start("zeroconf", argv).wait_line("registered")
    with world.step("labels that DNS writes the same are instances of their own"):
        harness.wait_for("all printers", lambda: len(ids(b, "printer")) == len(labels))
        addresses = sorted(host.ip4 for host in labels.values())
        equal(sorted(ids(b, "printer").values()), addresses, "addresses")
        targets = [srv.split()[3] for srv in b.dig("printer.svc", "SRV", port=5370).data("SRV")]
        got = [b.dig(target, port=5370).data("A") for target in targets]
        equal(sorted(got), [[address] for address in addresses], "addresses by SRV target")


def forged(world, a, b, m):
    """m announces on a's host and port what does not work, and what does."""
    entries = json.loads(b.outrider("why", "hello", "--json")[1])["instances"]
    instance = next(e["instance"] for e in entries if e["instance"]["addresses"][0] == a.ip4)
    target = instance["seen_at"][0]["host"]
    forge = [PYTHON, harness.HERE / "mdns_forge.py", m.ip4, "_hello._tcp"]
    with world.step("a forged announcement of a host's port hides nothing of that host"):
        for label, shown, status in (("same", instance["id"], "unhealthy"),
                                     ("bad", "bad", "unhealthy"), ("good", "good", "healthy")):
            m.run([*forge, label, target, PORT, "name=hello", f"id={shown}",
                   "outrider=1.vm", f"farp.status={status}"])
            harness.wait_for(shown, lambda: shown in ids(b, "hello"))
            check(a.ip4 in b.dig("hello.svc", port=5370).data("A"), f"{label} hides {a.name}")
        equal(b.dig(f"{instance['id']}.hello.svc", port=5370).data("A"), [a.ip4], "its own name")


def late_card(world, d):
    """A host whose only network card comes after the agent, and a clone of it with the agent's state."""
    kept = d.dir / ".local/state/outrider/identity.json"

    def shown():
        agent = d.agent(hello(), ["--set", "mdns.provider=off", "--set", "lifecycle.drain=0s"])
        agent.wait_line("api_listening")
        own = [one["id"] for one in json.loads(d.outrider("instances", "hello", "--json")[1])["instances"]]
        return agent, own

    d.run(["ip", "link", "delete", "eth0"])
    agent, before = shown()
    with world.step("a network card that comes later changes no automatic id"):
        equal(len(before), 1, "instances")
        d.run(["ip", "link", "add", "card", "type", "veth", "peer", "name", "other"])
        d.run(["ip", "link", "set", "card", "up"])
        agent.stop()
        agent, after = shown()
        equal(after, before, "ids")
        agent.stop()
    with world.step("in another boot without that card, as in a clone, a copy of the state gives no id"):
        record = json.loads(kept.read_text())
        kept.write_text(json.dumps({**record, "boot": "another"}))
        agent, clone = shown()
        check(clone != before, clone)
        agent.stop()


def scenario(world):
    harness.need("dig")
    a, b, c, m, d = (world.host(name) for name in "abcmd")
    late_card(world, d)
    for host in (a, c):
        host.run(["hostname", "vm"])
    server = a.http_server(PORT)
    c.http_server(PORT)
    same_name(world, a, b, c)
    one_dies(world, a, b, c, server)
    equal_ids(world, a, b, c)
    clones_with_ids(world, a, b, c)
    node_names(world, a, b, c)
    folded(world, b, c, m)
    copied(world, a, b, m)
    forged(world, a, b, m)


if __name__ == "__main__":
    harness.main(scenario)
