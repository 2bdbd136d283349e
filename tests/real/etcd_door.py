#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Programs that only know etcd work without one: what they put at the agent of one host is found at
the agent of another.

Judges: curl and python3-etcd3gw over the JSON gateway, dig, and the command line.
"""

import base64
import json
import shutil

import harness
from harness import check, equal, wait_for

PORT = 5370
DOOR = "http://127.0.0.1:2379"
VALUE = {"id": "w1", "name": "web", "version": "v1", "metadata": {"zone": "b"}}
# A program that keeps its lease alive, as those of the frameworks do, until it is killed.
PROGRAM = """
import sys, time
from etcd3gw.client import Etcd3Client
client = Etcd3Client(host="127.0.0.1", port=2379, api_path="/v3/")
lease = client.lease(ttl=int(sys.argv[3]))
client.put(sys.argv[1], sys.argv[2], lease=lease)
print("put", flush=True)
while True:
    time.sleep(0.5)
    try:
        print("ttl", lease.refresh(), flush=True)
    except Exception as wrong:
        print("wrong", type(wrong).__name__, flush=True)
"""
WATCHER = """
import sys
from etcd3gw.client import Etcd3Client
client = Etcd3Client(host="127.0.0.1", port=2379, api_path="/v3/", timeout=60)
events, cancel = client.watch_prefix(sys.argv[1])
print("watching", flush=True)
for event in events:
    print(event.get("type", "PUT"), event["kv"]["key"].decode(), flush=True)
"""


def b64(text):
    return base64.b64encode(text.encode()).decode()


def scenario(world):
    a, b, c = world.host("a"), world.host("b"), world.host("c")
    door = {"dns": {"ttl": "1s"}, "lifecycle": {"drain": "0s"}, "api": {"etcd_listen": "127.0.0.1:2379"}}

    def start(host, config):
        # What an agent keeps belongs to its configuration file.
        file = host.dir / "agent.json"
        file.write_text(json.dumps(config))
        agent = host.agent(arguments=["--config", file])
        agent.wait_line("dns_listening")
        if "api" in config:
            agent.wait_line("api_listening.*127.0.0.1:2379")
        return agent

    def ask(host, path, body, status="200"):
        out = host.run(["curl", "-s", "-w", "\n%{http_code}", "-d", json.dumps(body), DOOR + path])[1]
        text, _, code = out.strip().rpartition("\n")
        equal(code, status, f"status of {path}: {text}")
        return json.loads(text)

    def keys(host, prefix):
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        kvs = ask(host, "/v3/kv/range", {"key": b64(prefix), "range_end": b64(end)}).get("kvs", [])
        return [base64.b64decode(kv["key"]).decode() for kv in kvs]

    def answer(host, name="web.svc"):
        return host.dig(name, port=PORT).data("A")

    first = start(a, door)
    agents = [start(b, door), start(c, {"dns": {"ttl": "1s"}})]
    value = json.dumps({**VALUE, "endpoints": [f"http://{a.ip4}:8080"]})
    key = "/microservices/web/w1"

    with world.step("curl alone: a lease, a key, found on another host and by dig on a third, and gone with the lease"):
        lease = ask(a, "/v3/lease/grant", {"TTL": 4})["ID"]
        ask(a, "/v3/kv/put", {"key": b64(key), "value": b64(value), "lease": lease})
        wait_for("the other door", lambda: keys(b, "/microservices/web/") == [key])
        wait_for("dig", lambda: answer(c) == [a.ip4])
        equal([one.partition("/")[0] for one in keys(b, "web.rpc/")], ["web.rpc"], "keys of go-zero")
        ask(a, "/v3/lease/keepalive", {"ID": lease})
        wait_for("its end at the other door", lambda: keys(b, "/microservices/web/") == [], 12)
        wait_for("its end for dig", lambda: answer(c) == [])
        check("TTL" not in ask(a, "/v3/lease/keepalive", {"ID": lease})["result"], "the lease is lost")
    with world.step("refusals have etcd's code and a sentence"):
        said = ask(a, "/v3/kv/put", {"key": b64("/microservices/x"), "value": b64("no JSON")}, "400")
        check(said["code"] == 3 and "kratos" in said["error"], said)
        for number in range(64):
            ask(a, "/v3/kv/put", {"key": b64(f"ping{number}")})
        said = ask(a, "/v3/kv/put", {"key": b64("one more")}, "403")
        check(said["code"] == 7 and "/microservices/" in said["error"], said)
        ask(a, "/v3/kv/deleterange", {"key": b64("ping"), "range_end": b64("pinh")})
    if not python_has_client(a):
        with world.step("python3-etcd3gw"):
            raise harness.Skip("python3-etcd3gw is not installed")
    else:
        with_python(world, a, b, c, start, door, first, key, value, keys, answer)
    for agent in agents:
        equal(agent.stop(), 0, "exit status")


def python_has_client(host):
    return host.run(["/usr/bin/python3", "-c", "import etcd3gw"], may_fail=True)[0] == 0


def with_python(world, a, b, c, start, door, agent, key, value, keys, answer):
    def program(ttl="4"):
        one = a.start("program", ["/usr/bin/python3", "-c", PROGRAM, key, value, ttl])
        one.wait_line("^put")
        return one

    watcher = b.start("watcher", ["/usr/bin/python3", "-c", WATCHER, "/microservices/"])
    watcher.wait_line("watching")
    with world.step("a program with python3-etcd3gw, watched by another one on the other host"):
        one = program()
        watcher.wait_line(f"PUT {key}")
        wait_for("dig", lambda: answer(c) == [a.ip4])
        said = a.outrider("instances", "web")[1]
        check("by etcd" in said, said)
        said = a.outrider("why", "web")[1]
        check(f"registered here through etcd: {key}" in said, said)
    with world.step("the agent is killed under it and started again: nothing is lost, and nobody spins"):
        mark = watcher.mark()
        agent.kill()
        agent = start(a, door)
        equal(keys(a, "/microservices/web/"), [key], "keys")
        one.wait_line("ttl 4", since=one.mark())
        wait_for("dig", lambda: answer(c) == [a.ip4])
        check(len(watcher.lines) - mark < 10, watcher.lines[mark:])
    with world.step("drained by people it is gone for everybody, although its program goes on"):
        a.outrider("drain", "w1")
        wait_for("the other door", lambda: keys(b, "/microservices/web/") == [])
        equal(keys(a, "/microservices/web/"), [], "keys here")
        one.wait_line("ttl 4", since=one.mark())
        a.outrider("drain", "w1", "off")
        wait_for("the other door", lambda: keys(b, "/microservices/web/") == [key])
    with world.step("an ordered restart of the agent keeps it, too"):
        equal(agent.stop(), 0, "exit status")
        agent = start(a, door)
        equal(keys(a, "/microservices/web/"), [key], "keys")
        one.wait_line("ttl 4", since=one.mark())
    with world.step("the program is killed: gone within its lease"):
        mark = watcher.mark()
        one.kill()
        watcher.wait_line(f"DELETE {key}", 15, since=mark)
        wait_for("dig", lambda: answer(c) == [])
        equal(a.outrider("instances", "--json")[1].count('"w1"'), 0, "instances")
    watcher.kill()
    equal(agent.stop(), 0, "exit status")
    with world.step("a real etcd has the port: said so, and everything else works"):
        if not shutil.which("etcd"):
            raise harness.Skip("etcd-server is not installed")
        etcd = a.start("etcd", ["etcd", "--data-dir", a.dir / "etcd-data", "--listen-client-urls", DOOR,
                                "--advertise-client-urls", DOOR, "--listen-peer-urls", "http://127.0.0.1:2380"])
        wait_for("etcd", lambda: a.run(["curl", "-s", "-f", DOOR + "/health"], may_fail=True)[0] == 0)
        agent = a.agent(door)
        agent.wait_line("api_listen_failed.*127.0.0.1:2379.*in use.*etcd")
        agent.wait_line("dns_listening")
        etcd.kill()
        agent.wait_line("api_listening.*127.0.0.1:2379", 15)
        equal(agent.stop(), 0, "exit status")


if __name__ == "__main__":
    harness.main(scenario)
