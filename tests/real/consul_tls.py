#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Consul over TLS: fake_consul.py behind a TLS server, with and without client certificates. curl judges."""

import json

import harness
from authority import Authority
from harness import HERE, PYTHON, check, equal, wait_for

PORT = 5370


def configuration(host, port, tls):
    return {"services": [{"name": "hello", "port": 8000}], "mdns": {"provider": "off"}, "lifecycle": {"drain": "0s"},
            "registries": [{"consul": {"address": f"https://{host.ip4}:{port}", "services": ["web"], "tls": tls}}]}


def scenario(world):
    harness.need("openssl", "curl")
    made = Authority(world.dir / "ca")
    us, them = world.host("a"), world.host("b")
    pair = made.signed("consul", f"IP:{them.ip4}")
    client = made.signed("client", "DNS:client.test")
    them.start("consul", [PYTHON, HERE / "fake_consul.py", "127.0.0.1", 8500])
    for port, ca in ((8501, []), (8502, [made.ca[0]])):
        front = [PYTHON, HERE / "tls_front.py", them.ip4, port, 8500, *pair, *ca]
        them.start(f"front-{port}", front).wait_line("ready")

    def curl(path, *words):
        return them.run(["curl", "-sS", *words, f"http://127.0.0.1:8500/v1{path}"], may_fail=True)[1]

    wait_for("Consul", lambda: curl("/agent/self").startswith("{"))
    trusted = {"ca_file": str(made.ca[0])}
    own = {**trusted, "cert_file": str(client[0]), "key_file": str(client[1])}
    for what, port, tls in (("by its authority", 8501, trusted), ("with a client certificate", 8502, own)):
        with world.step(f"{what}: it writes, and a blocking query tells what others write"):
            agent = us.agent(configuration(them, port, tls))
            agent.wait_line("source_changed.*source=consul.*state=current")
            wait_for("our registration", lambda: '"hello"' in curl("/agent/services"))
            web = json.dumps({"Name": "web", "ID": "web-1", "Address": "10.9.8.7", "Port": 80})
            curl("/agent/service/register", "-X", "PUT", "-d", web)
            wait_for("web", lambda: us.dig("web.svc", port=PORT).data("A") == ["10.9.8.7"])
            curl("/agent/service/deregister/web-1", "-X", "PUT")
            wait_for("its end", lambda: not us.dig("web.svc", port=PORT).data("A"))
            equal(agent.stop(), 0, "exit status")
            check('"hello"' not in curl("/agent/services"), "it is registered still")
    for what, port, tls, words in (
            ("an unknown authority", 8501, None, "the certificate of the server is not trusted"),
            ("a client certificate that is missing", 8502, trusted, "the server wants a client certificate")):
        with world.step(f"{what}: registries says so"):
            agent = us.agent(configuration(them, port, tls))
            agent.wait_line("dns_listening")
            wait_for(words, lambda: words in us.outrider("registries")[1])
            equal(agent.stop(), 0, "exit status")


if __name__ == "__main__":
    harness.main(scenario)
