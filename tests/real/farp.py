#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""FARP from end to end: what a gateway finds, reads, is pushed, and would route.

Two services with schemas on one host, one of which fails and comes back; a gateway on another host;
a reader on a third, which follows the announced manifests. A manifest is judged by rules that were
written down a second time, in Python.
"""

import json
import pathlib

import farp_manifest
import jsonschema

import harness
from harness import check, equal, wait_for

OPENAPI = {
    "openapi": "3.1.0",
    "info": {"title": "users <&> friends", "version": "1.0.0"},
    "paths": {"/users": {"get": {"responses": {"200": {"description": "all"}}}}},
}
SDL = "type Query { orders: [String!]! }\n"
GATEWAY_PORT = 9100
WITHDRAWN_WITHIN_S = 6.0
BACK_WITHIN_S = 6.0
HERE = pathlib.Path(__file__).resolve().parent
SCHEMA = json.loads((HERE.parent / "vectors" / "farp" / "manifest.schema.json").read_text())


def service(name, port, farp):
    check_ = {"http": "/", "interval": "1s", "timeout": "500ms"}
    return {"name": name, "version": "1.2.0", "port": port, "checks": [check_], "farp": farp}


def get(host, url):
    """Status and body."""
    said = host.run(["curl", "-sS", "-w", "\n%{http_code}", url], may_fail=True)[1]
    body, _, status = said.rpartition("\n")
    return int(status or 0), body


def ask(host, *words):
    """The JSON that an outrider command says; nothing while there is no agent yet."""
    status, said = host.outrider("farp", *words, "--json")[:2]
    return json.loads(said) if status == 0 else {}


def routes(host, gateway):
    return ask(host, "routes", "--gateway", gateway).get("routes", [])


def paths(host, gateway):
    return sorted(route["path"] for route in routes(host, gateway))


def manifests(world, a, c):
    with world.step("both manifests are served where the TXT says, and are right", vital=True):

        wait_for(
            "three FARP services in c", lambda: len(ask(c, "services").get("services", [])) == 3, 15
        )
        listed = ask(c, "services")["services"]
        for one in listed:
            check(one["manifest"].startswith(f"http://{a.ip4}:"), one["manifest"])
            status, body = get(c, one["manifest"])
            equal(status, 200, one["manifest"])
            equal(farp_manifest.faults(json.loads(body)), [], f"faults of {one['service']}")
            jsonschema.validate(json.loads(body), SCHEMA)
            equal(c.outrider("farp", "check", one["manifest"])[0], 0, "farp check")

    with world.step("hashes are those of the documents, schemas are served"):
        base = next(one["manifest"] for one in listed if one["service"] == "users")
        manifest = json.loads(get(c, base)[1])
        equal(manifest["schemas"][0]["hash"], farp_manifest.go_hash(OPENAPI), "hash of openapi")
        equal(json.loads(get(c, manifest["schemas"][0]["location"]["url"])[1]), OPENAPI, "openapi")
        base = next(one["manifest"] for one in listed if one["service"] == "orders")
        orders = json.loads(get(c, base)[1])
        equal(orders["schemas"][0]["hash"], farp_manifest.go_hash(SDL), "hash of graphql")
        equal(get(c, orders["schemas"][0]["location"]["url"])[1], SDL, "graphql")
        health = base.replace("/manifest", "/health")
        equal(get(c, health), (200, '{"status":"healthy"}\n'), "health")
        discovery = json.loads(get(c, base.replace("/manifest", "/discovery"))[1])
        equal((discovery["service_name"], discovery["port"]), ("orders", 8002), "discovery")

    with world.step("what is known of an instance elsewhere names the same manifest"):
        known = json.loads(c.outrider("why", "users", "--json")[1])["instances"][0]["instance"]
        equal(known["farp"]["manifest"], next(one["manifest"] for one in listed if one["service"] == "users"), "URL")

    with world.step("a schema from a file is inline in the manifest, with its hash"):
        base = next(one["manifest"] for one in listed if one["service"] == "files")
        schema = json.loads(get(c, base)[1])["schemas"][0]
        equal((schema["location"], schema["inline_schema"]), ({"type": "inline"}, OPENAPI), "schema")
        equal(schema["hash"], farp_manifest.go_hash(OPENAPI), "hash")

    with world.step("farp check names the field that is wrong"):
        manifest["routing"]["priority"] = 101
        file = c.dir / "broken.json"
        file.write_text(json.dumps(manifest))
        status, said = c.outrider("farp", "check", file)[:2]
        equal((status, "routing.priority" in said), (1, True), said)


def scenario(world):
    harness.need("curl")
    a, b, c = world.host("a"), world.host("b"), world.host("c")
    gateway = b.start("gateway", [harness.PYTHON, HERE / "farp_gateway.py", GATEWAY_PORT])
    gateway.wait_line("^ready$")

    users = a.http_server(8001)
    (a.dir / "www" / "openapi.json").write_text(json.dumps(OPENAPI))
    (a.dir / "www" / "schema.graphql").write_text(SDL)
    a.http_server(8002)
    (a.dir / "files.json").write_text(json.dumps(OPENAPI))
    agent = a.agent(
        {
            "services": [
                service("users", 8001, {"openapi": "/openapi.json", "capabilities": ["rest"]}),
                service("orders", 8002, {"graphql": "/schema.graphql"}),
                service("files", 8002, {"openapi": f"file:{a.dir}/files.json"}),
            ],
            "farp": {"gateways": [f"http://{b.ip4}:{GATEWAY_PORT}"]},
        }
    )
    c.agent({"farp": {"read": True}})
    manifests(world, a, c)

    with world.step("both were pushed to the gateway"):
        gateway.wait_line("^POST /_farp/v1/register users$")
        gateway.wait_line("^POST /_farp/v1/register orders$")

    with world.step("each gateway's route table"):
        wait_for(
            "c has read both manifests",
            lambda: paths(c, "spec") == ["/files/*", "/orders/graphql", "/users/*"],
            10,
        )
        equal(paths(c, "bastion"), ["/files/*", "/orders/graphql", "/users/*"], "bastion")
        equal(paths(c, "forge"), ["/files/*", "/orders/graphql", "/users/*"], "forge")
        equal(paths(c, "octopus"), [], "octopus")
        first = next(route for route in routes(c, "bastion") if route["path"] == "/users/*")
        equal(first["targets"], [f"http://{a.ip4}:8001"], "targets")

    with world.step("the route table follows health, both ways") as say:
        users.kill()
        begun = harness.time.monotonic()
        wait_for(
            "users leaves", lambda: paths(c, "bastion") == ["/files/*", "/orders/graphql"], WITHDRAWN_WITHIN_S
        )
        say(f"gone after {harness.time.monotonic() - begun:.2f} s")
        users = a.http_server(8001)
        begun = harness.time.monotonic()
        wait_for(
            "users comes back",
            lambda: paths(c, "bastion") == ["/files/*", "/orders/graphql", "/users/*"],
            BACK_WITHIN_S,
        )
        say(f"back after {harness.time.monotonic() - begun:.2f} s")

    with world.step("a stop deregisters at the gateway, by id"):
        agent.stop()
        gateway.wait_line(r"^DELETE /_farp/v1/deregister/users-")
        gateway.wait_line(r"^DELETE /_farp/v1/deregister/orders-")
        wait_for("no routes are left", lambda: paths(c, "bastion") == [], 5)


if __name__ == "__main__":
    harness.main(scenario)
