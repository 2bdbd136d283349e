# SPDX-License-Identifier: Apache-2.0
"""What the bindings of all languages promise, as one list of steps.

A driver (clients/binding.*) calls a binding as the lines of its standard input say:
    {"n": 1, "call": "get", "args": {"name": "hello"}}
and answers with lines of JSON: {"n": 1, "ok": ...} or {"n": 1, "kind": "NOT_FOUND", "text": ...}, and events such as
{"event": "list", "watch": 0, "list": ["hello-1:passing"]}.
"""

import json
import pathlib
import re
import signal
import subprocess

import harness
from harness import HERE, PYTHON, Skip, check, equal

CONFIG = {"dns": {"listen": ["127.0.0.55:53"]}, "api": {"persist": False}, "lifecycle": {"drain": "0s"}}
NO_AGENT = "no agent is running; start one with: outrider agent"
TTL_MS = 900
FARP = {"openapi": "/openapi.json"}


class Driver:
    def __init__(self, host, argv, env=None, cwd=None):
        self.program = host.start("driver", argv, env=env, cwd=cwd, stdin=subprocess.PIPE)
        self.number = 0
        self.read = {}  # by kind of event and watch: lines up to here are used up
        self.event("ready")

    def send(self, call, **args):
        self.number += 1
        line = json.dumps({"n": self.number, "call": call, "args": args})
        self.program.popen.stdin.write(line.encode() + b"\n")
        self.program.popen.stdin.flush()
        return self.number

    def _wait(self, wanted, what, since=0):
        found = []

        def matches(text):
            if text.startswith("{") and wanted(json.loads(text)):
                found.append(json.loads(text))
            return found

        self.program.wait_line(matches, since=since, what=what)
        return found[0]

    def answer(self, number):
        return self._wait(lambda line: line.get("n") == number, f"the answer to line {number}")

    def call(self, call, **args):
        said = self.answer(self.send(call, **args))
        check("ok" in said, f"{call}: {said}")
        return said["ok"]

    def error(self, call, **args):
        said = self.answer(self.send(call, **args))
        check("kind" in said, f"{call}: {said}")
        return said["kind"], said["text"]

    def event(self, kind, watch=None, since=0, accept=lambda event: True):
        """The next event of a kind that `accept` accepts, after those that were waited for before."""
        start = max(since, self.read.get((kind, watch), 0))

        def wanted(event):
            return event.get("event") == kind and event.get("watch") == watch and accept(event)

        line = self._wait(wanted, f"event {kind} of watch {watch}", start)
        texts = [text for _, text in self.program.lines]
        at = next(i for i in range(start, len(texts)) if texts[i].startswith("{") and json.loads(texts[i]) == line)
        self.read[kind, watch] = at + 1
        return line

    def events(self, kind, watch):
        """All of them so far."""
        lines = [json.loads(text) for _, text in self.program.lines if text.startswith("{")]
        return [line for line in lines if line.get("event") == kind and line.get("watch") == watch]

    def list_of(self, watch, wanted):
        """Waits until a watch gives this list."""
        return self.event("list", watch, accept=lambda event: event["list"] == wanted)


def known(host, name):
    status, text = host.outrider("instances", name, "--json")
    equal(status, 0, text)
    return json.loads(text)["instances"]


def health_of(host, name):
    return [instance["health"] for instance in known(host, name)]


def watch_both(driver):
    equal(driver.call("watch", name="hello", filter={}), 0, "watch")
    equal(driver.call("watch", name="hello", filter={"healthy": True}), 1, "watch")


def without_agent(world, driver):
    """For bindings that look for the agent at each call."""
    with world.step("without an agent: the error says what to do, and a watch waits for one"):
        equal(driver.error("get", name="hello"), ("NO_AGENT", NO_AGENT), "get")
        equal(driver.error("register", service={"name": "hello"}), ("NO_AGENT", NO_AGENT), "register")
        watch_both(driver)


def finding(world, host, driver):
    with world.step("a registered service is found by every call, as the agent's own command has it"):
        service = {"name": "hello", "id": "hello-1", "port": 8000, "tags": ["v1"], "metadata": {"zone": "a"}}
        equal(driver.call("register", service=service, ttl_ms=TTL_MS), "hello-1", "id")
        driver.list_of(0, ["hello-1:passing"])
        driver.list_of(1, ["hello-1:passing"])
        found = known(host, "hello")[0]
        equal((found["tags"], found["metadata"], found["port"]), (["v1"], {"zone": "a"}, 8000), "what is registered")
        equal(driver.call("get", name="hello"), ["hello-1:passing"], "get")
        for wanted in ({"tags": ["v1"]}, {"metadata": {"zone": "a"}}, {"healthy": True}, {"passing": True}):
            equal(driver.call("get", name="hello", filter=wanted), ["hello-1:passing"], wanted)
        for other in ({"tags": ["v2"]}, {"metadata": {"zone": "b"}}, {"version": "2"}):
            equal(driver.call("get", name="hello", filter=other), [], other)
        equal(driver.call("get", name="nobody"), [], "get of an unknown service")
        equal(driver.call("list"), [["hello", 1, 1]], "list")
        snapshot = driver.call("snapshot")
        equal(snapshot["instances"], ["hello-1:passing"], "snapshot")
        check(snapshot["revision"] > 0, snapshot)
        equal(driver.call("select", name="hello"), [f"{host.ip4}:8000", "hello-1"], "select")
        hashed = driver.call("select", name="hello", strategy="consistent_hash", key="user-7")
        equal(hashed, [f"{host.ip4}:8000", "hello-1"], "select by hash")
        equal(driver.call("url", name="hello"), f"http://{host.ip4}:8000", "url")
        equal(driver.call("url", name="hello", scheme="https"), f"https://{host.ip4}:8000", "url with a scheme")
        equal(driver.call("wait", name="hello", count=1, timeout_ms=5000), ["hello-1:passing"], "wait")
        equal(driver.call("why", name="hello"), "hello.svc answers with 1 of 1 known instance.", "why")
        text = driver.call("why", name="nobody")
        check(text.startswith("Nothing is known of nobody: "), text)
        kind, text = driver.error("wait", name="nobody", count=1, timeout_ms=50)
        equal(kind, "TIMEOUT", text)
        check("Nothing is known of nobody: " in text, text)


def errors(world, host, driver):
    with world.step("errors are the agent's own sentences"):
        socket = host.dir / "outrider/agent.sock"

        def said(target, *options):
            curl = ["curl", "-sS", "--unix-socket", socket, *options, f"http://agent{target}"]
            return json.loads(host.run(curl)[1])["error"]

        wrong = {"name": "hello", "port": 70000}
        text = said("/v1/outrider/register", "-X", "PUT", "--json", json.dumps(wrong))
        check("port" in text, text)
        equal(driver.error("register", service=wrong, ttl_ms=-1), ("REFUSED", text), "register")
        text = said("/v1/outrider/select/nobody")
        equal(driver.error("select", name="nobody"), ("NOT_FOUND", text), "select")
        text = said("/v1/outrider/farp/manifest")
        equal(driver.error("manifest"), ("NOT_FOUND", text), "manifest")
        text = said("/v1/outrider/select/hello?strategy=luck")
        equal(driver.error("select", name="hello", strategy="luck"), ("REFUSED", text), "strategy")


def health(world, host, driver):
    with world.step("health, maintenance and draining reach DNS and both watches"):
        driver.call("set_health", reg=0, health="warning", note="slow")
        driver.list_of(0, ["hello-1:warning"])
        driver.list_of(1, ["hello-1:warning"])
        driver.call("set_health", reg=0, health="critical", note="db down")
        equal(known(host, "hello")[0]["checks"][0]["output"], "db down", "note")
        equal(host.dig("hello.svc").data("A"), [], "DNS while critical")
        driver.list_of(0, ["hello-1:critical"])
        driver.list_of(1, [])
        kind, text = driver.error("wait", name="hello", count=1, timeout_ms=50)
        equal(kind, "TIMEOUT", text)
        check("1 is critical" in text, text)
        waiting = driver.send("wait", name="hello", count=1, timeout_ms=8000)
        driver.call("set_health", reg=0, health="passing")
        equal(driver.answer(waiting).get("ok"), ["hello-1:passing"], "wait")
        equal(host.dig("hello.svc").data("A"), [host.ip4], "DNS while passing")
        driver.list_of(1, ["hello-1:passing"])
        driver.call("set_maintenance", reg=0, on=True, reason="upgrade")
        equal(known(host, "hello")[0]["maintenance_reason"], "upgrade", "reason")
        driver.list_of(1, [])
        driver.call("set_maintenance", reg=0, on=False)
        driver.list_of(1, ["hello-1:passing"])
        driver.call("set_draining", reg=0, on=True)
        driver.list_of(0, ["hello-1:draining"])
        driver.call("set_draining", reg=0, on=False)
        driver.list_of(1, ["hello-1:passing"])


def renewals(world, host, agent, driver):
    with world.step("a program that stands still is out of DNS after the TTL, and back when it goes on"):
        mark = agent.mark()
        driver.program.send(signal.SIGSTOP)
        agent.wait_line("event=health_failed service=hello .*no heartbeat", since=mark)
        driver.program.send(signal.SIGCONT)
        driver.list_of(1, ["hello-1:passing"])  # the empty list may have been passed over


def resumption(world, host, start, name):
    """`name` None: a watch of all services, narrowed by a tag."""
    step = "a stream that breaks off continues at its revision; changes meanwhile make one list"
    with world.step(f"all services: {step}" if name is None else step):
        socket = host.dir / "proxy.sock"
        agents = host.dir / "outrider/agent.sock"
        proxy = host.start("proxy", [PYTHON, HERE / "clients/socket_proxy.py", socket, agents])
        proxy.wait_line("^ready$")
        driver = start(host, [], {"OUTRIDER_API_SOCKET": str(socket)})
        driver.call("watch", name=name, filter={"tags": ["many"]})
        driver.call("register", service={"name": "many", "id": "m0", "port": 7000, "tags": ["many"]}, ttl_ms=-1)
        driver.list_of(0, ["m0:passing"])
        proxy.send(signal.SIGUSR1)
        proxy.wait_line("^cut$")
        for number in (1, 2):
            service = {"name": "many", "id": f"m{number}", "port": 7000 + number, "tags": ["many"]}
            driver.call("register", service=service, ttl_ms=-1)
        driver.call("deregister", reg=1)
        revision = json.loads(host.outrider("instances", "many", "--json")[1])["revision"]
        proxy.send(signal.SIGUSR2)
        resumed = int(proxy.wait_line(r"^stream \d+$")[1].split()[1])
        check(0 < resumed < revision, f"{resumed} and {revision}")
        driver.list_of(0, ["m0:passing", "m2:passing"])
        driver.program.kill()
        proxy.kill()
        for id_ in ("m0", "m2"):
            equal(host.outrider("deregister", id_)[0], 0, id_)


def watch_what_goes(host, driver):
    file = host.dir / "gone.json"
    file.write_text(json.dumps({"name": "gone", "id": "gone-1", "port": 84}))
    equal(host.outrider("register", file)[0], 0, "register")
    equal(driver.call("watch", name="gone", filter={}), 2, "watch")
    driver.list_of(2, ["gone-1:passing"])
    equal(driver.call("watch", name=None, filter={}), 3, "watch")
    driver.list_of(3, ["gone-1:passing", "hello-1:passing"])


def restarts(world, host, agent, driver):
    with world.step("the agent is killed and restarted: watches go on, the registration is made again"):
        mark = driver.program.mark()
        agent.kill()
        driver.event("lost", since=mark)
        agent = host.agent(CONFIG)
        driver.event("restored", since=mark)
        equal(health_of(host, "hello"), ["passing"], "after the restart")
        driver.call("set_health", reg=0, health="warning")
        driver.list_of(0, ["hello-1:warning"])
        driver.list_of(1, ["hello-1:warning"])
        driver.call("set_health", reg=0, health="passing")
        driver.list_of(1, ["hello-1:passing"])
    with world.step("what the agent has lost in maintenance is registered again in maintenance"):
        driver.call("set_maintenance", reg=0, on=True, reason="upgrade")
        mark = driver.program.mark()
        agent.kill()
        driver.event("lost", since=mark)
        agent = host.agent(CONFIG)
        driver.event("restored", since=mark)
        equal(known(host, "hello")[0]["maintenance_reason"], "upgrade", "reason")
        driver.call("set_maintenance", reg=0, on=False)
    return agent


def endings(world, host, agent, driver):
    with world.step("deregistering, twice; watches end when they are asked to"):
        driver.call("deregister", reg=0)
        equal(known(host, "hello"), [], "instances")
        driver.list_of(0, [])
        driver.call("deregister", reg=0)
        driver.call("unwatch", watch=0)
        driver.event("end", 0)
    with world.step("a service without heartbeats, and one with a TTL check and a manifest of its own"):
        driver.call("register", service={"name": "plain", "id": "plain-1", "port": 81}, ttl_ms=-1)
        equal(known(host, "plain")[0]["checks"], [], "checks")
        ours = {"name": "ours", "id": "ours-1", "port": 82, "checks": [{"ttl": f"{TTL_MS}ms"}], "farp": FARP}
        driver.call("register", service=ours)
        equal([c["health"] for c in known(host, "ours")[0]["checks"]], ["passing"], "checks")
        check("service_name" in driver.call("manifest", id="ours-1"), "manifest")
    with world.step("the program is killed: what it has registered with heartbeats leaves DNS"):
        mark = agent.mark()
        driver.program.kill()
        agent.wait_line("event=health_failed service=ours .*no heartbeat", since=mark)
        equal(health_of(host, "plain"), ["passing"], "the one without heartbeats")


def permission(world, host, start):
    with world.step("another user gets the reason for the refusal"):
        if not harness.as_root():
            raise Skip("only root can become another user")
        socket = "/run/outrider.sock"  # its folder is open to all: the socket's own mode is what counts
        agent = host.agent({**CONFIG, "dns": {"listen": []}, "api": {"socket": socket, "persist": False}})
        agent.wait_line("event=api_listening")
        env = {"OUTRIDER_API_SOCKET": socket}
        driver = start(host, ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"], env)
        kind, text = driver.error("list")
        equal(kind, "NOT_PERMITTED", text)
        check(text.startswith(f"not permitted to use the agent in {socket}; "), text)
        driver.program.kill()
        agent.stop()
    with world.step("a variable that names no path is an error, not another agent"):
        driver = start(host, [], {"OUTRIDER_API_SOCKET": "agent.sock"})
        _, text = driver.error("list")
        equal(text, 'OUTRIDER_API_SOCKET: expected an absolute path, not "agent.sock"', "error")
        driver.program.kill()


def standstill(world, host, start, connects):
    with world.step("an agent that stands still is passed over for the other one of the host"):
        agents = [host.agent({**CONFIG, "dns": {"listen": []}}) for _ in range(2)]
        for agent in agents:
            agent.wait_line("event=api_listening")
        first = next(agent for agent in agents if re.search(r"address=\S*/agent\.sock", agent.text()))
        file = host.dir / "twice.json"
        file.write_text(json.dumps({"name": "twice", "id": "twice-1", "port": 80}))
        equal(host.outrider("register", file, "--socket", host.dir / "outrider/agent.sock")[0], 0, "register")
        harness.wait_for("the other agent knows it", lambda: "twice-1" in host.outrider(
            "instances", "twice", "--json", "--socket", host.dir / "outrider/agent-2.sock")[1])
        driver = None if connects else start(host, [])
        first.send(signal.SIGSTOP)
        driver = driver or start(host, [])
        equal(driver.call("get", name="twice"), ["twice-1:passing"], "get")
        driver.program.kill()
        first.send(signal.SIGCONT)
        for agent in agents:
            agent.stop()


def without_connection(world, driver):
    """For bindings that connect to an agent; the driver does that at the first call."""
    with world.step("without an agent: the error says what to do"):
        equal(driver.error("get", name="hello"), ("NO_AGENT", NO_AGENT), "get")


def contract(world, start, connects=False):
    """All steps; `start(host, prefix, env)` starts a driver. `connects`: the binding stays with one agent."""
    host = world.host("a")
    driver = start(host, [])
    (without_connection if connects else without_agent)(world, driver)
    agent = host.agent(CONFIG)
    agent.wait_line("event=api_listening")
    if connects:
        watch_both(driver)
    finding(world, host, driver)
    errors(world, host, driver)
    health(world, host, driver)
    renewals(world, host, agent, driver)
    resumption(world, host, start, None if connects else "many")  # liboutrider asks for whole lists of one service
    watch_what_goes(host, driver)
    agent = restarts(world, host, agent, driver)
    with world.step("what the new agent does not find again leaves the list after a while"):
        driver.list_of(2, [])
        driver.list_of(3, ["hello-1:passing"])
        lists = [event["list"] for event in driver.events("list", 3)]
        shrunk = [one for one in lists if not any(instance.startswith("hello-1:") for instance in one)]
        equal(shrunk, [], "lists without what was registered again meanwhile")
    endings(world, host, agent, driver)
    agent.stop()
    permission(world, host, start)
    standstill(world, host, start, connects)


def examples(world, serve, find, env=None):
    """The examples on two hosts: one serves, the other one finds it."""
    with world.step("the examples: a service on one host, found and called from the other one"):
        b, c = world.host("b"), world.host("c")
        for each in (b, c):
            agent = each.agent(CONFIG)
            agent.wait_line("event=api_listening")
        finder = c.start("find", find, env=env)
        server = b.start("serve", serve, env=env)
        name = server.wait_line("^registered: ")[1].split()[-1]
        finder.wait_line(f"^http://{re.escape(b.ip4)}:\\d+: Hello from b, process \\d+\\.$")
        finder.wait_line(f"^hello: {re.escape(name)}$")
        mark = finder.mark()
        agent.kill()  # the service stays in the list while the new agent looks for it
        c.agent(CONFIG).wait_line(f"event=instance_added .*instance={name} ")
        check("nobody" not in finder.text(), finder.text)
        server.send(signal.SIGTERM)
        server.wait_line("^deregistered$")
        equal(server.wait(), 0, "exit status")
        finder.wait_line("^hello: nobody$", since=mark)
        finder.kill()
    return b


def readme(binding, language):
    """The first program of a README."""
    text = (harness.TOP / "bindings" / binding / "README.md").read_text()
    program = re.search(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)[1]
    check(len(program.splitlines()) <= 12, f"{len(program.splitlines())} lines")
    return program


def write(path, text):
    pathlib.Path(path).write_text(text)
    return path
