#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Services of two hosts that only know etcd find each other over gRPC without one, and dig on a third finds both.

Judges: Go's clientv3 and npm's etcd3, used as the frameworks use them, and dig.
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import harness
from harness import Skip, check, equal, wait_for

HERE = pathlib.Path(__file__).resolve().parent
MODULES = harness.TOP / "build/npm/node_modules"
URL = "127.0.0.1:2379"
PORT = 5370
TTL_S = 4
# Between three keepalives of one client; one that spins asks thousands of times.
KEEPALIVES, REQUESTS_MAX = 3, 12
DOOR = {"dns": {"ttl": "1s"}, "lifecycle": {"drain": "0s"}, "api": {"etcd_listen": "127.0.0.1:2379"}}


def value(name, address):
    return json.dumps({"id": f"{name}-1", "name": name, "version": "v1", "metadata": None,
                       "endpoints": [f"http://{address}:7000"]})


def key(name):
    return f"/microservices/{name}/{name}-1"


def start(host, config=None):
    # What an agent keeps belongs to its configuration file.
    file = host.dir / "agent.json"
    file.write_text(json.dumps(config or DOOR))
    agent = host.agent(arguments=["--config", file])
    agent.wait_line("dns_listening")
    if config is None:
        agent.wait_line("api_listening.*2379")
    return agent


def member_program(host):
    if not shutil.which("go") or not os.path.isdir("/usr/share/gocode/src/go.etcd.io/etcd/clientv3"):
        raise Skip("golang-go and golang-etcd-server-dev are not installed")
    env = {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOCACHE": str(harness.TOP / "build/go")}
    program = host.dir / "etcd_member"
    subprocess.run(["go", "build", "-o", program, HERE / "clients/etcd_member.go"], env={**os.environ, **env},
                   check=True)
    return program


def door(host):
    return json.loads(host.outrider("status", "--json")[1])["etcd_door"]


def since(program, mark):
    return "\n".join(text for _, text in program.lines[mark:])


def with_go(world, program, agents, a, b, c):
    def member(host, name):
        argv = [program, URL, key(name), value(name, host.ip4), TTL_S, "/microservices/"]
        return host.start(f"member-{name}", argv)

    def dug(name):
        return c.dig(f"{name}.svc", port=PORT).data("A")

    with world.step("Go's clientv3 on two hosts: each finds the other, and dig on the third finds both"):
        users, orders = member(a, "users"), member(b, "orders")
        for one in (users, orders):
            one.wait_line("^registered$")
        orders.wait_line(f"(PUT|HAS) {key('users')}")
        users.wait_line(f"(PUT|HAS) {key('orders')}")
        wait_for("users on c", lambda: dug("users") == [a.ip4])
        wait_for("orders on c", lambda: dug("orders") == [b.ip4])
        check("by etcd" in a.outrider("instances", "users")[1], "the door is named")
    with world.step("status and metrics count what the clients do"):
        has = door(a)
        equal((has["own_keys"], has["leases"], has["grpc"]), (1, 1, True), "own keys, leases")
        check(has["watches"] == 1 and has["streams"] >= 2 and has["connections"] >= 1, has)
        shown = a.run(["curl", "-s", "--unix-socket", a.dir / "outrider/agent.sock",
                       "http://agent/metrics"])[1]
        check("outrider_etcd_door_leases 1\n" in shown, shown[-2000:])
    with world.step("the agent is killed under them and starts again: nothing is lost, no client spins") as note:
        mark, mark_b = users.mark(), orders.mark()
        agents["a"].kill()
        agents["a"] = start(a)
        users.wait_line(f"^alive {TTL_S}$", 15, since=mark)
        before = door(a)["requests"]
        for _ in range(KEEPALIVES):
            users.wait_line("^alive", since=users.mark())
        asked = door(a)["requests"] - before
        note(f"{asked} requests, {KEEPALIVES} of them keepalives")
        check(0 < asked < REQUESTS_MAX, f"{asked} requests")
        for line in ("DELETE", "lost"):
            check(line not in since(users, mark), since(users, mark))
        check(f"DELETE {key('users')}" not in since(orders, mark_b), since(orders, mark_b))
        equal(dug("users"), [a.ip4], "users on c")
        equal(door(a)["own_keys"], 1, "own keys")
    with world.step("kill -9 of a program: gone everywhere within its lease") as note:
        mark = orders.mark()
        began = time.monotonic()
        users.kill()
        orders.wait_line(f"DELETE {key('users')}", TTL_S + 4, since=mark)
        took = time.monotonic() - began
        note(f"{took:.1f} s after, with a TTL of {TTL_S} s")
        check(took < TTL_S + 2, f"{took:.1f} s")
        wait_for("nothing on c", lambda: dug("users") == [])
    orders.kill()


def with_npm(world, a, b):
    with world.step("npm's etcd3: watch, lease, list, transaction, lock, refusal, revoke"):
        if not (MODULES / "etcd3").is_dir() or not shutil.which("node"):
            raise Skip("not installed: tests/real/run does it where npm and its registry are to be had")
        argv = [shutil.which("node"), HERE / "etcd_client.js", key("node"), value("node", b.ip4), "/microservices/"]
        node = b.start("node", argv, env={"NODE_PATH": str(MODULES)})
        for line in ("^put$", f"^PUT {key('node')}$", f"^keys .*{key('node')}", "^txn true$", "^locked$",
                     "^refused .*kratos", "^alive$"):
            node.wait_line(line, 20)
        wait_for("node on a", lambda: a.dig("node.svc", port=PORT).data("A") == [b.ip4])
        node.send(signal.SIGTERM)
        node.wait_line("^stopped$")
        check("lost" not in node.text() and "FAILED" not in node.text(), node.text())
        wait_for("nothing on a", lambda: a.dig("node.svc", port=PORT).data("A") == [])


def scenario(world):
    harness.need("dig", "curl")
    a, b, c = world.host("a"), world.host("b"), world.host("c")
    agents = {"a": start(a), "b": start(b), "c": start(c, {"dns": {"ttl": "1s"}})}
    program = None
    with world.step("the program is built of Go's clientv3"):
        program = member_program(a)
    if program:
        with_go(world, program, agents, a, b, c)
    with_npm(world, a, b)
    for agent in agents.values():
        equal(agent.stop(), 0, "exit status")


if __name__ == "__main__":
    harness.main(scenario)
