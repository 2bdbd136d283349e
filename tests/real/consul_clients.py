#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Clients of Consul that watch: none of them spins while nothing changes, all see the instances of other hosts with a
check, and an agent that has just been started does not answer with an empty list."""

import json
import os
import re
import shutil
import subprocess

import harness
from harness import HERE, PYTHON, Skip, check, equal

SECONDS = 6
RATE_MAX = 2  # requests a second of one watch while nothing changes
MODULES = harness.TOP / "build/npm/node_modules"
SOURCES = "/usr/share/gocode"
API = {"consul_listen": "127.0.0.1:8500", "token": False}
SERVICE = {"name": "hello", "port": 8000, "checks": [{"http": "/", "interval": "1s"}]}
PYTHON_CLIENT = """
import consul, json
c = consul.Consul(port=8500)
out = {}
for name, call in {"kv": lambda: c.kv.get("x", index=5), "session": c.session.list, "event": c.event.list}.items():
    try:
        call()
    except consul.ConsulException as error:
        out[name] = str(error)
out["node_check"] = c.agent.check.register("disk", consul.Check.ttl("30s"))
out["critical"] = len(c.health.service("hello", passing=True)[1])
c.agent.check.ttl_pass("disk")
c.agent.check.deregister("disk")
c.agent.maintenance("true", "kernel")
out["in_maintenance"] = [entry["Service"]["ID"] for entry in c.health.service("hello", passing=True)[1]]
out["checks"] = sorted(c.agent.checks())
c.agent.maintenance("false")
out["nodes"] = len(c.catalog.nodes()[1])
print(json.dumps(out))
"""


def ask(host, path):
    _, text = host.run(["curl", "-sS", "--max-time", "5", f"http://127.0.0.1:8500{path}"])
    return json.loads(text)


def requests(host):
    _, text = host.run(["curl", "-sS", "http://127.0.0.1:8500/metrics"])
    return sum(int(n) for n in re.findall(r'(?m)^outrider_api_requests_total\{.*8500.*\} (\d+)$', text))


def watches(host, plans, program, env=None):
    """What a program that watches says at its end; none of `plans` of its output asks too often."""
    said = json.loads(host.run([*program, "8500", str(SECONDS)], env=env, timeout=60)[1].splitlines()[-1])
    for plan, count in plans(said).items():
        check(count <= RATE_MAX * SECONDS, f"{plan}: {count} requests in {SECONDS} s")
    return said


def scenario(world):
    a, b = world.host("a"), world.host("b")
    agents = {}
    for host in (a, b):
        host.http_server(8000)
        service = {**SERVICE, "id": f"hello-{host.name}"}
        agents[host] = host.agent({"api": API, "services": [service]})
    both = lambda: len(ask(a, "/v1/health/service/hello?passing")) == 2
    harness.wait_for("both instances on a", both)

    with world.step("the instance of the other host has a check in every endpoint"):
        entry = next(e for e in ask(a, "/v1/health/service/hello") if e["Service"]["ID"] == "hello-b")
        node = entry["Node"]["Node"]
        wanted = [(c["CheckID"], c["Status"]) for c in entry["Checks"]]
        equal(wanted, [("service:hello-b", "passing")], "in the entry")
        for path in ("checks/hello", "state/any", f"node/{node}"):
            found = [c for c in ask(a, f"/v1/health/{path}") if c["ServiceID"] == "hello-b"]
            equal([(c["CheckID"], c["Status"]) for c in found], wanted, path)
        equal(list(ask(a, f"/v1/catalog/node/{node}")["Services"]), ["hello-b"], "services of its node")

    with world.step("Go's client: reads, and watches without spinning") as say:
        if not shutil.which("go"):
            raise Skip("golang-go is not installed (tests/packages-optional.txt)")
        if not os.path.isdir(f"{SOURCES}/src/github.com/armon/consul-api"):
            raise Skip("golang-github-armon-consul-api-dev is not installed (tests/packages-optional.txt)")
        env = {**os.environ, "GO111MODULE": "off", "GOPATH": SOURCES, "GOFLAGS": "-buildvcs=false",
               "GOCACHE": str(harness.TOP / "build/go")}
        binary = a.dir / "consul_watch"
        made = subprocess.run(["go", "build", "-o", binary, "consul_watch.go"], cwd=HERE / "clients", env=env,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        equal(made.returncode, 0, made.stderr)
        said = watches(a, lambda said: said["requests"], [binary])
        equal((said["before"], said["passing"]), (0, 1), "with a critical check of the node, and without")
        check("501" in said["missing"], said["missing"])
        check(said["services"] == 2, said)
        say(json.dumps(said["requests"]))

    with world.step("python-consul: exceptions instead of KeyError, checks and maintenance of the node"):
        if a.run([PYTHON, "-c", "import consul"], may_fail=True)[0] != 0:
            raise Skip("python3-consul is not there")
        said = json.loads(a.run([PYTHON, "-c", PYTHON_CLIENT])[1])
        for name in ("kv", "session", "event"):
            check("not supported" in said[name], said)
        equal((said["node_check"], said["critical"]), (True, 1), "a check of the node takes out hello-a alone")
        equal(said["in_maintenance"], ["hello-b"], "in maintenance of the node")
        check("_node_maintenance" in said["checks"], said)
        equal(said["nodes"], 2, "nodes")

    with world.step("python-consul watches without spinning") as say:
        if a.run([PYTHON, "-c", "import consul"], may_fail=True)[0] != 0:
            raise Skip("python3-consul is not there")
        say(json.dumps(watches(a, lambda said: said, [PYTHON, HERE / "clients/consul_watch.py"])))

    with world.step("the JDK's client registers with a body of unknown length, and watches without spinning") as say:
        if not shutil.which("javac"):
            raise Skip("openjdk-17-jdk-headless is not installed (tests/packages-optional.txt)")
        java = [shutil.which("java"), "-Xshare:auto", "-XX:TieredStopAtLevel=1", HERE / "clients/ConsulWatch.java"]
        said = watches(a, lambda said: said["requests"], java)
        equal((said["registered"], said["passed"]), (200, 200), "statuses")
        equal(len(ask(a, "/v1/health/service/java?passing")), 1, "passing")
        a.run(["curl", "-sS", "-X", "PUT", "http://127.0.0.1:8500/v1/agent/service/deregister/java-1"])
        say(json.dumps(said["requests"]))

    with world.step("npm's consul watches without spinning") as say:
        if not (MODULES / "consul").is_dir() or not shutil.which("node"):
            raise Skip("not installed: tests/real/run does it where npm and its registry are to be had")
        before = requests(a)
        program = [shutil.which("node"), HERE / "clients/consul_spin.js", "8500", str(SECONDS)]
        said = json.loads(a.run(program, env={"NODE_PATH": str(MODULES)}, timeout=60)[1].splitlines()[-1])
        count = requests(a) - before
        check(count <= RATE_MAX * SECONDS * len(said), f"{count} requests in {SECONDS} s: {said}")
        check(said["key"]["changes"] == 0 and said["key"]["errors"] > 0, said)
        say(f"{count} requests in {SECONDS} s")

    with world.step("a warning on one host is a warning on the other"):
        _, text = b.run(["curl", "-sS", "-X", "PUT", "http://127.0.0.1:8500/v1/agent/service/register", "-H",
                         "Content-Type: application/json", "-d",
                         '{"ID":"slow","Name":"slow","Port":9,"Check":{"TTL":"60s","Status":"warning"}}'])
        harness.wait_for("slow on a", lambda: ask(a, "/v1/health/service/slow"))
        equal([len(ask(host, "/v1/health/service/slow?passing=1")) for host in (a, b)], [0, 0], "passing")

    with world.step("the first answer after a start is complete") as say:
        agents[a].stop()
        a.agent({"api": API, "services": [{**SERVICE, "id": "hello-a"}]})
        first = None
        while first is None:
            status, text = a.run(
                ["curl", "-sS", "--max-time", "5", "http://127.0.0.1:8500/v1/health/service/hello"], may_fail=True)
            first = json.loads(text) if status == 0 else None
        check("hello-b" in [entry["Service"]["ID"] for entry in first], first)
        say(f"{len(first)} instances")


harness.main(scenario)
