#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""One registration that is known from everywhere: from an agent of the same host, by mDNS, through etcd and Consul.

It is one instance and one DNS answer. Each of these sources dies in turn, and the answer stays.
"""

import json
import re
import shutil
import signal

import harness
from etcd_agent import Server
from harness import check, equal, wait_for

MDNS = "udp dport 5353"
TTL = "60s"  # longer than the registrant is suspended


class Observer:
    """An agent that registers nothing, and the command line that asks it."""

    def __init__(self, host, config, number):
        self.host = host
        self.port = 5370 + number
        self.agent = host.agent({**config, "dns": {"listen": [f"127.0.0.55:{self.port}"]}})
        for source in ("etcd", "consul"):
            self.agent.wait_line(f"source_changed.*source={source}.*state=current")
        line = self.agent.wait_line("api_listening")[1]
        self.env = {"OUTRIDER_API_SOCKET": re.search(r"address=(?:unix:)?(/\S+)", line)[1]}

    def ask(self, *words):
        return self.host.outrider(*words, env=self.env)[1]

    def why(self):
        return self.ask("why", "hello")

    def answer(self):
        return self.host.dig("hello.svc", port=self.port)

    def instances(self):
        found = json.loads(self.ask("instances", "hello", "--json"))
        return found["instances"] if isinstance(found, dict) else found

    def sources(self):
        """Where the one instance is known from, and not stale."""
        found = self.instances()
        check(len(found) <= 1, lambda: f"{len(found)} instances: {json.dumps(found)}")
        places = found[0]["seen_at"] if found else []
        return {place["engine"] for place in places if not place.get("stale")}


def start_consul(host):
    program = host.start("fake_consul", [harness.PYTHON, harness.HERE / "fake_consul.py", host.ip4])
    program.wait_line("^ready at ")
    return program


def scenario(world):
    harness.need("nft")
    if not shutil.which("etcd") or not shutil.which("etcdctl"):
        raise harness.Skip("etcd-server and etcd-client are not installed")
    a, b, c = world.host("a"), world.host("b"), world.host("c")
    server = Server(c).start()
    consul = start_consul(c)
    config = {"lifecycle": {"drain": "0s"},
              "registries": [{"etcd": {"endpoints": [server.url], "ttl": TTL, "layouts": {"kratos": {}}}},
                             {"consul": {"address": f"http://{c.ip4}:8500", "services": ["hello"], "ttl": TTL}}]}
    registrant = a.agent({**config, "dns": {"listen": ["127.0.0.55:5370"]},
                          "services": [{"name": "hello", "id": "hello-1", "port": 8000}]})
    registrant.wait_line("api_listening")
    near, far = Observer(a, config, 1), Observer(b, config, 2)
    every = {near: {"host", "mdns", "etcd", "consul"}, far: {"mdns", "etcd", "consul"}}

    def one_answer():
        for each in every:
            reply = each.answer()
            equal((reply.status, reply.data("A"), reply.ede), ("NOERROR", [a.ip4], []), f"answer on {each.host.name}")

    def all_know(less=(), observers=(near, far)):
        for each in observers:
            wanted = every[each] - set(less)
            wait_for(f"{wanted} on {each.host.name}", lambda: each.sources() == wanted, 40)  # noqa: B023

    with world.step("one instance, several places, one DNS answer", vital=True):
        all_know()
        one_answer()
    with world.step("why names every place"):
        for each, sources in every.items():
            said = each.why()
            for word in sources - {"host"}:
                check(word in said.lower(), f"{word} is not named:\n{said}")
            check("/microservices/hello/hello-1" in said, said)
    with world.step("etcd dies: the answer stays, and is not stale"):
        server.program.kill()
        all_know(["etcd"])
        one_answer()
        server.start()
        all_know()
    with world.step("Consul dies: the answer stays, and is not stale"):
        consul.kill()
        all_know(["consul"])
        one_answer()
        start_consul(c)
        all_know()
    with world.step("mDNS dies: the answer stays"):
        b.drop(MDNS)  # agents of one host hear each other whatever the firewall does
        all_know(["mdns"], [far])
        one_answer()
        b.drop_nothing()
        all_know()
    with world.step("the way over the host's own sockets dies: the answer stays"):
        registrant.send(signal.SIGSTOP)
        wait_for("the host's place is stale", lambda: "host" not in near.sources(), 60)
        one_answer()
        registrant.send(signal.SIGCONT)
        all_know()
    with world.step("the registration ends: no answer anywhere"):
        equal(registrant.stop(), 0, "exit status")
        for each in every:
            wait_for("no answer", lambda: not each.answer().data("A"))  # noqa: B023


if __name__ == "__main__":
    harness.main(scenario)
