#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Metadata and tags as a client of Consul sends them, read back from the agent itself, from another agent of the host,
and from another host."""

import json

import harness
from harness import check, equal, wait_for

META = {
    "weight": "20", "id": "mine", "name": "n", "protocol": "x", "tags": "t", "version": "v9", "farp_enabled": "no",
    "Region": "upper", "region": "lower", "long": "v" * 400, "empty": "", "text": "a=b;é", "url": "http://{address}/",
}
TAGS = ["v1", "a,b", "50%", "two words", ""]


def register(host, port, body):
    """The status and what the agent says."""
    argv = ["curl", "-sS", "-w", "\n%{http_code}", "-X", "PUT", "--data", json.dumps(body),
            f"http://127.0.0.1:{port}/v1/agent/service/register"]
    said, _, status = host.run(argv)[1].rpartition("\n")
    return int(status), said


def services(host, port, name):
    _, text = host.run(["curl", "-sS", f"http://127.0.0.1:{port}/v1/health/service/{name}"])
    return [entry["Service"] for entry in json.loads(text)]


def scenario(world):
    a, b = world.host("a"), world.host("b")
    for host, port in ((a, 8500), (a, 8501), (b, 8500)):
        api = {"consul_listen": f"127.0.0.1:{port}", "token": False}
        agent = host.agent({"api": api, "lifecycle": {"drain": "0s"}})
        agent.wait_line("agent_ready")

    body = {"ID": "web-1", "Name": "web", "Port": 8000, "Meta": META, "Tags": TAGS}
    body["Weights"] = {"Passing": 7, "Warning": 1}
    equal(register(a, 8500, body), (200, ""), "status")
    readers = (("the agent itself", a, 8500), ("another agent of the host", a, 8501), ("another host", b, 8500))
    for what, host, port in readers:
        with world.step(f"{what} has them as they were sent"):
            wait_for("the service", lambda: services(host, port, "web"))
            (seen,) = services(host, port, "web")
            equal(seen["Meta"], META, "metadata")
            equal(seen["Tags"], TAGS, "tags")
            equal(seen["Weights"]["Passing"], 7, "weight")
    with world.step("the command line reads keys that differ only by case"):
        for host in (a, b):
            status, text = host.outrider("instances", "web", "--json")
            equal((status, json.loads(text)["instances"][0]["metadata"]), (0, META), f"metadata on {host.name}")
    with world.step("the weight in DNS is the registered one, not that of the metadata"):
        for host in (a, b):
            equal(host.dig("web.svc", "SRV", port=5370).data("SRV")[0].split()[1], "7", f"weight on {host.name}")
    with world.step("what does not fit into the record for other hosts is refused with a reason"):
        many = {f"key-{n}": "v" * 100 for n in range(40)}
        status, said = register(a, 8500, {"ID": "big-1", "Name": "big", "Port": 8000, "Meta": many})
        equal(status, 400, said)
        check("TXT record" in said and "scope" in said, said)
        equal(services(a, 8500, "big"), [], "registered")


if __name__ == "__main__":
    harness.main(scenario)
