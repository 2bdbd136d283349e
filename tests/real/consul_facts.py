#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""fake_consul.py beside what a real Consul 1.10 did, with python3-consul and npm's consul as judges: tests of the
Consul engine mean as much as their server does."""

import contextlib
import http.client
import json
import os
import shutil
import socket
import threading
import time

import fake_consul
import harness
from harness import Skip, check, equal

ADDRESS = "127.0.0.1"
MODULES = harness.TOP / "build/npm/node_modules"
WEB = {"ID": "web-1", "Name": "web", "Port": 80, "Address": "10.0.0.1", "Meta": {"k": "v"}, "Tags": ["a"],
       "Check": {"TTL": "60s", "Status": "passing"}}
SLACK_S = 1.0  # how late a busy machine may be


class Asker:
    """Raw requests to an agent: status, headers and text; `judge` is python3-consul."""

    def __init__(self, agent, token=None):
        import consul
        self.agent, self.token, self.headers = agent, token, {}
        self.judge = consul.Consul(host=agent.address, port=agent.port, token=token)

    def ask(self, method, target, body=None, timeout=10):
        with contextlib.closing(http.client.HTTPConnection(self.agent.address, self.agent.port, timeout=timeout)) as c:
            headers = {**self.headers, "X-Consul-Token": self.token} if self.token else self.headers
            c.request(method, target, body if body is None or isinstance(body, str) else json.dumps(body), headers)
            answer = c.getresponse()
            return answer.status, answer.headers, answer.read().decode()

    def put(self, target, body=None):
        return self.ask("PUT", target, body)[::2]

    def must(self, target, body=None):
        equal(self.put(target, body), (200, ""), target)

    def register(self, options="", **more):
        self.must("/v1/agent/service/register" + options, {**WEB, **more})

    def index(self, name="web"):
        return int(self.judge.health.service(name)[0])

    def status(self, service_id="web-1"):
        """Of its TTL check, in the catalog."""
        for entry in self.judge.health.service("web")[1]:
            if entry["Service"]["ID"] == service_id:
                return next(c["Status"] for c in entry["Checks"] if c["CheckID"] == f"service:{service_id}")
        return None

    def blocked(self, name="web", wait="30s", index=None, timeout=40):
        """A query that waits; `result()` is its answer and how long it took."""
        index = self.index(name) if index is None else index
        waiting = Waiting(self, f"/v1/health/service/{name}?index={index}&wait={wait}", timeout)
        harness.wait_for("a query that waits", lambda: self.agent.blocked or waiting.over)
        return waiting


class Waiting(threading.Thread):
    def __init__(self, asker, target, timeout):
        super().__init__(daemon=True)
        self.asker, self.target, self.timeout, self.over = asker, target, timeout, False
        self.start()

    def run(self):
        begun = time.monotonic()
        try:
            self.answer = self.asker.ask("GET", self.target, timeout=self.timeout)
        except (OSError, http.client.HTTPException) as error:
            self.answer = error
        self.took, self.over = time.monotonic() - begun, True

    def result(self, deadline=10):
        self.join(deadline)
        check(self.over, f"{self.target}: still waits after {deadline} s")
        return self.answer


@contextlib.contextmanager
def fresh(**options):
    agent = fake_consul.Agent(ADDRESS, **options).start()
    try:
        yield agent, Asker(agent)
    finally:
        agent.pause(False)
        agent.kill()


def registrations(world):
    with world.step("python3-consul registers, and finds what it has registered"), fresh() as (_, asker):
        from consul import Check
        agent, health = asker.judge.agent, asker.judge.health
        equal(agent.self()["Config"]["NodeName"], "n1", "the node")
        check(agent.service.register("web", "web-1", "10.0.0.1", 80, ["a", "b"], Check.ttl("60s")), "register")
        entry = health.service("web")[1][0]
        service = entry["Service"]
        equal((service["ID"], service["Address"], service["Port"], service["Tags"]),
              ("web-1", "10.0.0.1", 80, ["a", "b"]), "service")
        equal([(c["CheckID"], c["Status"]) for c in entry["Checks"]],
              [("serfHealth", "passing"), ("service:web-1", "critical")], "a TTL check begins critical")
        equal(list(agent.services()), ["web-1"], "services of the agent")
        equal(asker.judge.catalog.services()[1], {"consul": [], "web": ["a", "b"]}, "services of the catalog")
        equal(health.service("web", passing=True)[1], [], "passing")
        asker.must("/v1/agent/check/update/service:web-1", {"Status": "passing", "Output": "fine"})
        equal(len(health.service("web", passing=True)[1]), 1, "passing")
        equal(len(health.service("web", tag="c")[1]), 0, "with another tag")
        for word, status in (("warn", "warning"), ("fail", "critical"), ("pass", "passing")):
            asker.must(f"/v1/agent/check/{word}/service:web-1?note=x")
            equal((asker.status(), agent.checks()["service:web-1"]["Output"]), (status, "x"), word)
        equal(agent.service.deregister("web-1"), False, "a deregistration by GET, as old clients send it")
        asker.must("/v1/agent/service/deregister/web-1")
        asker.must("/v1/agent/service/deregister/web-1")
        equal(agent.services(), {}, "services")
    with world.step("the status that a registration names is honoured; ids with a slash"), fresh() as (_, asker):
        asker.register()
        equal(asker.status(), "passing", "status")
        asker.register(ID="a/b")
        asker.must("/v1/agent/check/fail/service:a%2Fb")
        equal(asker.status("a/b"), "critical", "status")
        equal(json.loads(asker.ask("GET", "/v1/agent/service/a%2Fb")[2])["Service"], "web", "service")
        equal(asker.ask("GET", "/v1/agent/service/nobody")[::2], (404, "unknown service ID: nobody"), "unknown")
    with world.step("what is refused, and how"), fresh() as (_, asker):
        register = "/v1/agent/service/register"
        for body, why in (
            ({"Nam": "x"}, 'Request decode failed: json: unknown field "Nam"'),
            ({"ID": "x"}, "Missing service name"),
            ({"Name": "x", "Check": {"Tll": "1s"}}, 'Request decode failed: json: unknown field "Tll"'),
            ({"Name": "x", "Check": {"TTL": "1q"}}, 'Request decode failed: time: invalid duration "1q"'),
            ({"Name": "x", "Meta": {"a.b": "c"}},
             "Invalid Service Meta: Couldn't load metadata pair ('a.b', 'c'): Key contains invalid characters"),
        ):
            equal(asker.put(register, body), (400, why), body)
        equal(asker.put(register, "{")[0], 400, "no JSON")
        equal(asker.put("/v1/agent/check/pass/service:x"),
              (500, 'CheckID "service:x" does not have associated TTL'), "unknown check")
        equal(asker.put("/v1/agent/check/update/service:x", {"Status": "fine"}),
              (400, "Invalid check status: 'fine'"), "status")
        equal(asker.ask("PUT", "/v1/agent/service/maintenance/x?enable=true")[0], 404, "unknown service")
        for target, answer in (
            ("/v1/health/service/web?index=abc", (400, "Invalid index")),
            ("/v1/health/service/web?wait=5x", (400, "Invalid wait time")),
            ("/v1/health/service/web?dc=nope", (500, "No path to datacenter")),
            ("/v1/health/service/web?ns=x",
             (400, 'Invalid query parameter: "ns" - Namespaces are a Consul Enterprise feature')),
        ):
            equal(asker.ask("GET", target)[::2], answer, target)
    with world.step("a registration again: checks stay, are replaced, keep their status"), fresh() as (_, asker):
        asker.register()
        asker.must("/v1/agent/check/warn/service:web-1")
        index = asker.index()
        asker.register()
        equal((asker.status(), asker.index()), ("warning", index), "the same body")
        asker.register(Check=None)
        equal((asker.status(), asker.index()), ("warning", index), "without a check")
        asker.register("?replace-existing-checks=true", Check=None)
        equal(len(asker.judge.health.service("web")[1][0]["Checks"]), 1, "number of checks")
        asker.register(Port=81)
        check(asker.index() > index, "a change has no index of its own")
    with world.step("maintenance is a critical check; a node that is gone makes serfHealth critical"), \
            fresh() as (agent, asker):
        asker.register()
        names = lambda: [c["CheckID"] for c in asker.judge.health.service("web")[1][0]["Checks"]
                         if c["Status"] == "critical"]
        check(asker.judge.agent.service.maintenance("web-1", "true", "disk"), "maintenance")
        equal(names(), ["_service_maintenance:web-1"], "critical")
        check(asker.judge.agent.service.maintenance("web-1", "false"), "maintenance")
        equal(names(), [], "critical")
        agent.cluster.set_alive("n1", False)
        equal(names(), ["serfHealth"], "critical")


    with world.step("npm's consul registers, beats, watches, deregisters"), fresh() as (agent, _):
        if not (MODULES / "consul").is_dir() or not shutil.which("node"):
            raise Skip("not installed: tests/real/run does it where npm and its registry are to be had")
        program = [shutil.which("node"), str(harness.HERE / "consul_client.js"), str(agent.port)]
        env = {**os.environ, "NODE_PATH": str(MODULES)}
        said = json.loads(harness.run(program, env=env, timeout=30)[1].splitlines()[-1])
        equal(said["seen"], ["", "js-1", "", "js-1", ""], "what its watch told")
        equal((said["output"], said["tags"], said["port"], said["meta"]), ("well", ["a", "b"], 5001, {"k": "v"}),
              "what it read")
        equal(said["unknown"], None, "deregistered twice")


def blocking(world):
    with world.step("a query waits for changes of its service, and only for them"), fresh() as (_, asker):
        asker.register()
        index, waiting = asker.index(), asker.blocked()
        asker.must("/v1/agent/check/update/service:web-1", {"Status": "passing", "Output": "other words"})
        asker.register(Name="other", ID="other-1")
        check(not waiting.over and asker.index() == index, "the same status or another service wakes it")
        asker.must("/v1/agent/check/fail/service:web-1")
        status, headers, text = waiting.result()
        equal((status, int(headers["X-Consul-Index"]) > index, headers["X-Consul-Knownleader"]), (200, True, "true"),
              "answer")
        equal(json.loads(text)[0]["Checks"][1]["Status"], "critical", "status")
    with world.step("`wait` ends it with the same index; an index above the current one waits, too") as say, \
            fresh() as (_, asker):
        asker.register()
        index = asker.index()
        for asked in (index, index + 1000):
            waiting = asker.blocked(wait="1s", index=asked)
            _, headers, _ = waiting.result()
            equal(int(headers["X-Consul-Index"]), index, "index")
            check(1 <= waiting.took < 1 + 1 / 16 + SLACK_S, f"took {waiting.took:.2f} s")
            say(f"{waiting.took:.2f} s")
        begun = time.monotonic()
        equal(asker.ask("GET", "/v1/health/service/web?index=0&wait=30s")[0], 200, "status")
        check(time.monotonic() - begun < SLACK_S, "index=0 waits")
    with world.step("an unknown service: an empty list with an index; its first instance wakes"), fresh() as (_, asker):
        asker.register()
        index, entries = asker.judge.health.service("ghost")
        check(int(index) >= 1 and entries == [], (index, entries))
        waiting = asker.blocked("ghost")
        asker.register(ID="web-2")
        asker.must("/v1/agent/service/deregister/web-2")
        check(not waiting.over, "another service wakes it")
        asker.register(ID="ghost-1", Name="ghost")
        equal(len(json.loads(waiting.result()[2])), 1, "entries")
        waiting = asker.blocked("ghost")
        asker.must("/v1/agent/service/deregister/ghost-1")
        equal(waiting.result()[2], "[]", "after the last one")
    with world.step("a TTL check is critical at its time, wakes, and is reaped") as say, \
            fresh(reap=(1, 0.1)) as (_, asker):
        asker.register(Check={"TTL": "1s", "Status": "passing", "DeregisterCriticalServiceAfter": "1s"})
        waiting = asker.blocked()
        entry = json.loads(waiting.result()[2])[0]
        equal(entry["Checks"][1]["Output"], "TTL expired", "output")
        say(f"{waiting.took:.2f} s")
        check(0.8 < waiting.took < 1 + SLACK_S, f"took {waiting.took:.2f} s")
        equal(asker.blocked().result()[2], "[]", "reaped")
    with world.step("the catalog wakes for any service"), fresh() as (agent, asker):
        index = int(asker.judge.catalog.services()[0])
        waiting = Waiting(asker, f"/v1/catalog/services?index={index}", 20)
        harness.wait_for("a query that waits", lambda: agent.blocked)
        asker.register()
        check("web" in json.loads(waiting.result()[2]), "services")
    with world.step("64 queries wait at once, and all are answered") as say, fresh() as (agent, asker):
        asker.register()
        every = [Waiting(asker, f"/v1/health/service/web?index={asker.index()}", 20) for _ in range(64)]
        harness.wait_for("all of them", lambda: agent.blocked == 64)
        begun = time.monotonic()
        asker.must("/v1/agent/check/fail/service:web-1")
        for one in every:
            equal(one.result()[0], 200, "status")
        say(f"{1000 * (time.monotonic() - begun):.0f} ms")


def trouble(world):
    with world.step("killed while a query waits: no answer; terminated: 500"), fresh() as (agent, asker):
        asker.register()
        waiting = asker.blocked()
        agent.kill()
        check(isinstance(waiting.result(), (OSError, http.client.HTTPException)), waiting.answer)
        try:
            socket.create_connection((agent.address, agent.port), 1).close()
            raise harness.Failed("connects are not refused")
        except ConnectionRefusedError:
            pass
        agent.start()
        waiting = asker.blocked()
        agent.terminate()
        equal(waiting.result()[::2], (500, "rpc error: code = Canceled desc = context canceled"), "answer")
    with world.step("a restart keeps services and statuses; a server that was wiped begins again below"), \
            fresh() as (agent, asker):
        for port in range(1, 13):
            asker.register(Port=port)
        asker.must("/v1/agent/check/warn/service:web-1")
        index = asker.index()
        agent.kill()
        agent.start()
        equal((asker.status(), asker.index()), ("warning", index), "after a restart")
        agent.kill()
        agent.start(fresh=True)
        check(asker.index() < index and asker.status() is None, "after a wipe")
        asker.register()
        check(asker.index() < index, "after a registration")
        waiting = asker.blocked(wait="1s", index=index)
        waiting.result()
        check(waiting.took >= 1, "a client that keeps its index is not blind for the time that it waits")
    with world.step("paused: connects and nothing else; continued: the answer"), fresh() as (agent, asker):
        asker.register()
        agent.pause()
        waiting = Waiting(asker, "/v1/health/service/web", 20)
        waiting.join(0.3)
        check(not waiting.over, "it answers while paused")
        agent.pause(False)
        equal(waiting.result()[0], 200, "status")
    with world.step("an agent without servers: its own part works, the rest is 500"), fresh() as (agent, asker):
        asker.register()
        waiting = asker.blocked()
        agent.cluster.set_reachable(False)
        equal(waiting.result()[0], 500, "what waited")
        asker.register(ID="web-2")
        equal(sorted(asker.judge.agent.services()), ["web-1", "web-2"], "services of the agent")
        for target in ("/v1/health/service/web", "/v1/catalog/services", "/v1/status/leader"):
            equal(asker.ask("GET", target)[::2], (500, "No known Consul servers"), target)
        agent.cluster.set_reachable(True)
        equal(len(asker.judge.health.service("web")[1]), 2, "instances")
        equal(asker.judge.status.leader(), f"{ADDRESS}:8300", "leader")
    with world.step("ACLs: what a token may not read is an empty list with an index"), fresh() as (agent, asker):
        from consul import ACLPermissionDenied
        asker.register()
        agent.tokens = {"": set(), "all": {"agent", "read", "write"}}
        index, entries = asker.judge.health.service("web")
        check(int(index) > 1 and entries == [], (index, entries))
        equal(asker.judge.agent.services(), {}, "services of the agent")
        equal(asker.ask("GET", "/v1/agent/self")[::2], (403, "Permission denied"), "self")
        equal(asker.put("/v1/agent/service/register", WEB),
              (403, "Permission denied: Missing service:write on web"), "register")
        equal(asker.put("/v1/agent/check/pass/service:web-1"),
              (403, "Permission denied: Missing service:write on web"), "pass")
        other = Asker(agent, "no-such-token")
        equal(other.ask("GET", "/v1/health/service/web")[::2], (403, "ACL not found"), "another token")
        try:
            other.judge.health.service("web")
            raise harness.Failed("python3-consul sees no refusal")
        except ACLPermissionDenied:
            pass
        equal(len(Asker(agent, "all").judge.health.service("web")[1]), 1, "entries with a token")
        asker.headers = {"Authorization": "Bearer all"}
        equal(len(json.loads(asker.ask("GET", "/v1/health/service/web")[2])), 1, "entries with a bearer's token")
    with world.step("two nodes of one cluster: each keeps its own services, both list all"), fresh() as (first, asker):
        second = fake_consul.Agent(ADDRESS, 8501, "n2", first.cluster).start()
        other = Asker(second)
        asker.register()
        other.register(Address="10.0.0.2")
        equal([[e["Service"]["Address"] for e in one.judge.health.service("web")[1]] for one in (asker, other)],
              [["10.0.0.1", "10.0.0.2"]] * 2, "the same id on two nodes")
        waiting = other.blocked()
        asker.must("/v1/agent/service/deregister/web-1")
        equal(len(json.loads(waiting.result()[2])), 1, "entries")
        equal(list(second.services), ["web-1"], "services of the second")
        second.kill()
    with world.step("answers cut, or a byte at a time; long ones in chunks"), fresh() as (agent, asker):
        for number in range(8):
            asker.register(ID=f"web-{number}")
        whole = asker.ask("GET", "/v1/health/service/web")
        equal(whole[1]["Transfer-Encoding"], "chunked", "encoding")
        agent.mangle = lambda request, data: (data[at:at + 1] for at in range(len(data)))
        equal(json.loads(asker.ask("GET", "/v1/health/service/web")[2]), json.loads(whole[2]), "bytes")
        agent.mangle = lambda request, data: [data[:-9]]
        try:
            asker.ask("GET", "/v1/health/service/web")
            raise harness.Failed("a cut answer is whole")
        except http.client.IncompleteRead:
            pass
        equal(agent.requests[-1].target, "/v1/health/service/web", "what was asked")


def scenario(world):
    try:
        __import__("consul")
    except ImportError:
        raise Skip("python3-consul is not installed (tests/packages.txt)") from None
    for part in (registrations, blocking, trouble):
        part(world)


if __name__ == "__main__":
    harness.main(scenario)
