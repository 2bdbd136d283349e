#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The files that `outrider example NAME` prints, each used as printed by the program that it is for.

Two hosts have the services. On a third one, `wired`, the resolver asks the agent; on the fourth, `plain`, it does not:
there a program finds services only if it asks the agent itself, as the files say of each. At last, those that read SRV
records get 300 requests a second through a rolling restart and a stopped process: their failures are counted beside
those of the bridge, of which there are none.
"""

import json
import re
import shutil
import signal

import harness
from harness import PYTHON, Skip, check, equal

PORT, GRPC_PORT = 8000, 50051
FILES = {"haproxy": "haproxy.cfg", "caddy": "Caddyfile", "nginx": "nginx.conf", "prometheus": "prometheus.yml",
         "grpc": "grpc_client.py"}
REQUESTS = 8
MANY = 60  # more than an answer over UDP holds
SERVERS = """
import socket
s = socket.socket(socket.AF_UNIX)
s.connect("/run/haproxy.sock")
s.sendall(b"show servers state hello\\n")
print(s.makefile().read())
"""
APPEAR_WITHIN_S = 30.0
RATE = 300  # requests a second through each of them, each by a new connection
LOAD_ENDS_WITHIN_S = 30  # one request has 15 s (bridge_load.py)
GREETER = """
import sys
from concurrent import futures
import grpc
def check(request, context):
    print("asked", flush=True)
    return b"\\x08\\x01"
handler = grpc.method_handlers_generic_handler("grpc.health.v1.Health", {
    "Check": grpc.unary_unary_rpc_method_handler(check)})
server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
server.add_generic_rpc_handlers((handler,))
server.add_insecure_port(f"{sys.argv[1]}:{sys.argv[2]}")
server.start()
print("listening", flush=True)
server.wait_for_termination()
"""
CHECK = {"interval": "500ms", "timeout": "300ms", "failures_before_critical": 2}


def has_grpc(host):
    return host.run([PYTHON, "-c", "import grpc"], may_fail=True)[0] == 0


def printed(host, name):
    """What the command prints, in a folder of its own."""
    folder = host.dir / f"example-{name}"
    folder.mkdir(exist_ok=True)
    status, text = host.outrider("example", name)
    equal(status, 0, f"status of example {name}")
    (folder / FILES[name]).write_text(text)
    return folder


def need(program):
    if not shutil.which(program, path="/usr/sbin:/usr/bin"):
        raise Skip(f"{program} is not installed (tests/packages-optional.txt)")


def get(host, port):
    """Status and page."""
    status, text = host.run(["curl", "-sS", "--max-time", "2", "-w", " %{http_code}", f"http://127.0.0.1:{port}/"],
                            may_fail=True)
    page, _, code = text.rpartition(" ")
    return code, page.strip()


def answers(host, port):
    """The hosts that answer so many requests; empty if one fails."""
    found = set()
    for _ in range(REQUESTS):
        code, page = get(host, port)
        if code != "200":
            return set()
        found.add(page.removeprefix("page of "))
    return found


def start_haproxy(host):
    need("haproxy")
    return host.start("haproxy", ["haproxy", "-f", "haproxy.cfg"], cwd=printed(host, "haproxy"))


def start_caddy(host, change=lambda text: text):
    need("caddy")
    folder = printed(host, "caddy")
    file = folder / "Caddyfile"
    file.write_text(change(file.read_text()))
    return host.start("caddy", ["caddy", "run", "--config", "Caddyfile"], cwd=folder)


def start_nginx(host, change=lambda text: text):
    need("nginx")
    folder = printed(host, "nginx")
    file = folder / "nginx.conf"
    file.write_text(change(file.read_text()))
    # Its workers would become a user that the namespace may not have.
    argv = ["nginx", "-e", "stderr", "-p", ".", "-c", "nginx.conf", "-g", "user root;"]
    return host.start("nginx", argv, cwd=folder)


def with_addresses_only(text):
    """The Caddyfile with what its comment gives for a resolver that does not know the agent."""
    other = re.search(r"#   (dynamic a .*\n(?:#   .*\n)*)", text)[1].replace("\n#  ", "\n")
    return re.sub(r"dynamic srv \{[^}]*\}", lambda _: other.strip(), text)


def with_bridge(text):
    """The nginx.conf with what its comment gives for instances with different ports."""
    other = re.search(r"(?:#   proxy_\w+ .*\n)+", text)[0].replace("#   ", "")
    return re.sub(r"set \$hello.*\n.*proxy_pass.*\n", lambda _: other, text)


def with_resolvers(text):
    """The Caddyfile with the option that looks as if it were enough."""
    return text.replace("name hello.svc\n", "name hello.svc\n\t\t\tresolvers 127.0.0.55:5370\n")


class Proxies:
    """Those that came up: name, host, port."""

    def __init__(self, world, wired, plain):
        self.running = []
        for name, host, port, start in (("HAProxy", plain, 8100, start_haproxy), ("nginx", plain, 8102, start_nginx),
                                        ("Caddy", wired, 8101, start_caddy)):
            with world.step(f"{name} finds both instances, and balances over them"):
                start(host)
                self.running.append((name, host, port))
                self.wait_pages(name, host, port, {"a", "b"})

    @staticmethod
    def wait_pages(name, host, port, wanted):
        harness.wait_for(f"pages of {wanted} by {name}", lambda: answers(host, port) == wanted, APPEAR_WITHIN_S)

    def all_answer(self, wanted):
        for name, host, port in self.running:
            self.wait_pages(name, host, port, wanted)


def haproxy_with_many(world, host):
    with world.step(f"HAProxy finds {MANY} instances"):
        need("haproxy")
        config = printed(host, "haproxy") / "many.cfg"
        text = (config.parent / FILES["haproxy"]).read_text().replace("hello 10 _hello.", f"hello {MANY + 10} _many.")
        text = text.replace("global\n", "global\n    stats socket /run/haproxy.sock\n")
        config.write_text(text.replace("127.0.0.1:8100", "127.0.0.1:8110"))
        haproxy = host.start("haproxy", ["haproxy", "-f", config])
        harness.wait_for("servers", lambda: host.run([PYTHON, "-c", SERVERS], may_fail=True)[1].count(" many-") == MANY)
        haproxy.stop()


def caddy_trap(world, plain):
    with world.step("Caddy answers 503 or 502 where the resolver does not know the agent, as its file says"):
        for change, wanted in ((str, "503"), (with_resolvers, "502")):
            caddy = start_caddy(plain, change)
            caddy.wait_line("serving initial configuration")
            equal(get(plain, 8101)[0], wanted, "status")
            caddy.stop()
    with world.step("with the lines of its comment it needs no resolver"):
        caddy = start_caddy(plain, with_addresses_only)
        harness.wait_for("pages of both", lambda: answers(plain, 8101) == {"a", "b"})
        caddy.stop()


def nginx_by_bridge(world, wired):
    with world.step("nginx finds both by the bridge, with the lines of its comment"):
        start_nginx(wired, with_bridge)
        harness.wait_for("pages of both", lambda: answers(wired, 8102) == {"a", "b"})


def prometheus_targets(host):
    text = host.run(["curl", "-sS", "http://127.0.0.1:9090/api/v1/targets"], may_fail=True)[1]
    found = json.loads(text)["data"]["activeTargets"] if text.startswith("{") else []
    return {(target["labels"]["job"], target["discoveredLabels"]["__address__"]) for target in found}


def start_prometheus(host):
    if shutil.which("prometheus"):
        host.start("prometheus", ["prometheus", "--config.file=prometheus.yml"], cwd=printed(host, "prometheus"))


def prometheus(world, wired, hosts):
    with world.step("Prometheus finds the instances by the API and by DNS"):
        need("prometheus")
        wanted = {("services", f"{host.ip4}:{port}") for host in hosts for port in (PORT, GRPC_PORT)}
        if not has_grpc(wired):
            wanted = {(job, at) for job, at in wanted if at.endswith(f":{PORT}")}
        by_dns = {("hello", f"hello-{host.name}.hello.svc:{PORT}") for host in hosts}
        try:
            harness.wait_for("targets", lambda: prometheus_targets(wired) >= wanted | by_dns, APPEAR_WITHIN_S)
        except harness.Failed:
            equal(prometheus_targets(wired), wanted | by_dns, "targets")


class Greeters:
    """The gRPC servers, and the client of the example."""

    def __init__(self, world, plain, hosts):
        self.servers = []
        if has_grpc(plain):
            self.servers = [self.start(host) for host in hosts]
            for host in hosts:
                harness.wait_for("it is served", lambda: host.ip4 in plain.dig("greeter.svc", port=5370).data("A"))
            self.client = plain.start("grpc", [PYTHON, "grpc_client.py"], cwd=printed(plain, "grpc"))

    def check(self, world):
        with world.step("gRPC calls both instances in turn"):
            if not self.servers:
                raise Skip("python3-grpcio is not installed (tests/packages.txt)")
            self.client.wait_line("^serving$", APPEAR_WITHIN_S)
            for server in self.servers:
                server.wait_line("^asked$", APPEAR_WITHIN_S)

    def lose_one(self, world):
        with world.step("gRPC goes on with one instance"):
            if not self.servers:
                raise Skip("python3-grpcio is not installed (tests/packages.txt)")
            self.servers[0].kill()
            since = self.client.mark()
            for _ in range(2):
                self.client.wait_line("^serving$", since=since)
                since = self.client.mark()

    @staticmethod
    def start(host):
        server = host.start("greeter", [PYTHON, "-c", GREETER, host.ip4, GRPC_PORT])
        server.wait_line("listening")
        return server


class Hello:
    """The service on one host, with the agent beside it."""

    def __init__(self, host):
        self.host = host
        self.start()

    def start(self):
        self.server = self.host.start("hello", [PYTHON, harness.HERE / "quick_server.py", PORT, self.host.name])
        self.server.wait_line("listening")
        hello = service("hello", self.host, PORT)
        hello["checks"] = [{"http": "/", **CHECK}]
        config = {"services": [hello, service("greeter", self.host, GRPC_PORT)]}
        self.agent = self.host.agent(config)

    def restart(self):
        equal(self.agent.stop(signal.SIGTERM, deadline=30), 0, "exit status of the agent")
        self.server.stop()
        self.start()


class Loads:
    """Requests through several ways to the service at the same time."""

    def __init__(self, ways):
        self.running = {}
        for name, host, port, of in ways:
            argv = [PYTHON, harness.HERE / "bridge_load.py", "127.0.0.1", port, of, RATE]
            self.running[name] = host.start("load", argv)
        for load in self.running.values():
            load.wait_line("begun")
        self.marks = self.mark()

    def mark(self):
        return {name: load.mark() for name, load in self.running.items()}

    def count(self, say):
        """Says how many failed since the last time; none may through the bridge."""
        marks, self.marks = self.marks, self.mark()
        for name, load in self.running.items():
            failures = [text for _, text in load.lines[marks[name]:] if text.startswith("failure")]
            say(f"{name}: {len(failures)} failed")
            if name == "bridge":
                equal(failures, [], "failures through the bridge")

    def end(self, say):
        for load in self.running.values():
            load.send(signal.SIGTERM)
        for name, load in self.running.items():
            load.wait(LOAD_ENDS_WITHIN_S)
            said = json.loads(load.lines[-1][1])
            say(f"{name}: {said['tries']} requests in {said['seconds']:.1f} s, slowest {said['slowest']:.1f} s")
            equal(len(said["served"]), 2, f"instances that served through {name}")


def under_load(world, wired, proxies, instances):
    ways = [("bridge", wired, 5380, "hello.localhost")]
    by_srv = [way for way in proxies.running if way[0] in ("HAProxy", "Caddy")]
    ways += [(name, host, port, f"127.0.0.1:{port}") for name, host, port in by_srv]

    def wait_answers(count):
        harness.wait_for(f"{count} answered", lambda: len(wired.dig("hello.svc").data("A")) == count, APPEAR_WITHIN_S)

    loads = Loads(ways)
    with world.step(f"a rolling restart under {RATE} requests a second through each") as say:
        for instance in instances:
            instance.restart()
            wait_answers(2)
            proxies.all_answer({"a", "b"})
        loads.count(say)
    with world.step(f"a stopped process under {RATE} requests a second through each") as say:
        instances[0].server.send(signal.SIGSTOP)
        wait_answers(1)
        instances[0].server.send(signal.SIGCONT)
        wait_answers(2)
        loads.end(say)
        loads.count(say)


def service(name, host, port):
    return {"name": name, "id": f"{name}-{host.name}", "port": port, "checks": [{"tcp": f"{host.ip4}:{port}", **CHECK}]}


def scenario(world):
    a, b = world.host("a"), world.host("b")
    wired, plain = world.host("wired"), world.host("plain", nameserver="127.0.0.1")
    instances = [Hello(host) for host in (a, b)]
    wired.agent({"dns": {"listen": ["127.0.0.55:53"]}})
    many = [{"name": "many", "id": f"many-{i}", "port": 9000 + i, "scope": "host"} for i in range(MANY)]
    plain.agent({"services": many})
    with world.step("each file is printed whole, and an unknown one is refused"):
        for name, file in FILES.items():
            folder = printed(wired, name)
            equal((folder / file).read_text(), (harness.TOP / "packaging/examples" / file).read_text(), file)
        status, text = wired.outrider("example", "apache")
        equal(status, 2, "status of an unknown one")
        check(all(name in text for name in FILES), text)
    both = sorted((a.ip4, b.ip4))
    with world.step("both instances are answered", vital=True):
        for host, port in ((wired, 53), (plain, 5370)):
            harness.wait_for("both", lambda: host.dig("hello.svc", port=port).data("A") == both, APPEAR_WITHIN_S)

    start_prometheus(wired)
    greeters = Greeters(world, plain, (a, b))
    proxies = Proxies(world, wired, plain)
    greeters.check(world)
    haproxy_with_many(world, plain)
    caddy_trap(world, plain)
    nginx_by_bridge(world, wired)
    prometheus(world, wired, (a, b))

    with world.step("an instance that hangs gets no request once it is out of DNS"):
        instances[0].server.send(signal.SIGSTOP)
        for host, port in ((wired, 53), (plain, 5370)):
            harness.wait_for("one", lambda: host.dig("hello.svc", port=port).data("A") == [b.ip4])
        proxies.all_answer({"b"})
    with world.step("it gets requests again when it is back"):
        instances[0].server.send(signal.SIGCONT)
        proxies.all_answer({"a", "b"})
    greeters.lose_one(world)
    under_load(world, wired, proxies, instances)


if __name__ == "__main__":
    harness.main(scenario)
