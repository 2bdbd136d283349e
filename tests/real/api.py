#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The API with real clients: curl, python-consul, promtool, hundreds of watchers, ten thousand registrations."""

import json
import shutil

import harness
from harness import HERE, PYTHON, Skip, check, equal

WATCHERS = 500
REGISTRATIONS, REGISTRATIONS_LONG = 1_000, 10_000
PICKS = 60
CONFIG = {
    "api": {"consul_listen": "127.0.0.1:8500"},
    "dns": {"listen": ["127.0.0.55:53"]},
    "services": [{"name": "hello", "id": "hello-1", "port": 8000, "checks": [{"http": "/", "interval": "1s"}]}],
}


def client(host, *words):
    _, text = host.run([PYTHON, HERE / "api_client.py", host.dir / "outrider/agent.sock", *words], timeout=120)
    return json.loads(text.splitlines()[-1])


def curl(host, *words):
    status, text = host.run(["curl", "-sS", "-w", "\n%{http_code}", *words], may_fail=True)
    equal(status, 0, f"curl: {text}")
    body, _, code = text.rpartition("\n")
    return int(code), body


def scenario(world):
    a = world.host("a")
    a.http_server(8000)
    agent = a.agent(CONFIG)
    agent.wait_line("event=health_changed service=hello .*to=passing")
    socket, token = a.dir / "outrider/agent.sock", a.dir / "outrider/token"
    unix = ["--unix-socket", socket]

    with world.step("commands: instances as a table, why as an explanation, exit codes"):
        status, text = a.outrider("instances", "hello")
        equal(status, 0, text)
        check("hello-1" in text and "passing" in text, text)
        status, text = a.outrider("why", "hello")
        equal(status, 0, text)
        check(text.startswith("hello.svc answers with 1 of 1 known instance."), text)
        equal(a.outrider("why", "nobody")[0], 4, "exit code of why nobody")
        equal(a.outrider("deregister", "nobody")[0], 4, "exit code of deregister nobody")
        status, text = a.outrider("resolve", "hello", "--strategy", "p2c")
        equal((status, text.strip()), (0, f"{a.ip4}:8000"), "resolve")
        equal(a.outrider("services", "--socket", "/run/nobody.sock")[0], 3, "exit code without agent")

    with world.step("curl: HTTP over the Unix socket, and the loopback port for reading"):
        equal(curl(a, *unix, "http://agent/healthz"), (200, "ok\n"), "healthz")
        code, body = curl(a, "http://127.0.0.1:8500/v1/health/service/hello?passing=1")
        equal((code, json.loads(body)[0]["Service"]["ID"]), (200, "hello-1"), "health")
        code, body = curl(a, *unix, "http://agent/v1/outrider/http_sd")
        equal(json.loads(body)[0]["targets"], [f"{a.ip4}:8000"], "http_sd")

    with world.step("what a browser or another user could send is refused"):
        url = "http://127.0.0.1:8500/v1/agent/service/deregister/hello-1"
        equal(curl(a, "-X", "PUT", url)[0], 401, "no token")
        equal(curl(a, "-X", "PUT", "-H", "X-Consul-Token: wrong", url)[0], 401, "wrong token")
        equal(curl(a, "-H", "Host: evil.test", "http://127.0.0.1:8500/healthz")[0], 403, "foreign Host")
        equal(curl(a, "-H", "Origin: http://evil.test", "http://127.0.0.1:8500/healthz")[0], 403, "Origin")
        equal(curl(a, "http://127.0.0.1:8500/healthz")[0], 200, "plain")
        equal(token.stat().st_mode & 0o777, 0o640, "mode of the token")
        equal(socket.stat().st_mode & 0o777, 0o660, "mode of the socket")

    # This package sends its token when it registers and forgets it afterwards.
    b = world.host("b")
    b.agent({"api": {"consul_listen": "127.0.0.1:8500", "token": False}}).wait_line("event=ready")
    with world.step("python-consul registers, watches, reads, sets maintenance") as say:
        probe = b.run([PYTHON, "-c", "import consul"], may_fail=True)
        if probe[0] != 0:
            raise Skip("python3-consul is not there")
        said = client(b, "python-consul", 8500)
        equal(said["registered"], True, "register")
        equal((said["before_beat"], said["after_beat"]), (0, ["py-1"]), "passing before and after a beat")
        equal(said["index_grew"], True, "index")
        check("py" in said["services"], said)
        equal((said["in_maintenance"], said["after"]), (0, 0), "in maintenance, and after deregistering")
        say(f"{said['services']}")

    with world.step("promtool finds nothing to complain about in the metrics"):
        if shutil.which("promtool") is None:
            raise Skip("promtool is not there")
        command = f"curl -sS --unix-socket {socket} http://agent/metrics | promtool check metrics"
        status, text = a.run(["sh", "-c", command], may_fail=True)
        equal((status, text.strip()), (0, ""), "promtool")

    with world.step("a real Prometheus finds its targets by http_sd"):
        if shutil.which("prometheus") is None:
            raise Skip("prometheus is not there")
        config = a.dir / "prometheus.yml"
        sd = "http://127.0.0.1:8500/v1/outrider/http_sd"
        config.write_text(f"scrape_configs: [{{job_name: found, http_sd_configs: [{{url: '{sd}'}}]}}]\n")
        storage = f"--storage.tsdb.path={a.dir}/tsdb"
        a.start("prometheus", ["prometheus", f"--config.file={config}", storage, "--web.listen-address=127.0.0.1:9090"])

        def targets():
            text = a.run(["curl", "-sS", "http://127.0.0.1:9090/api/v1/targets"], may_fail=True)[1]
            found = json.loads(text)["data"]["activeTargets"] if text.startswith("{") else []
            return [target["discoveredLabels"] for target in found]

        labels = harness.wait_for("a target", targets, 30)[0]
        equal(labels["__address__"], f"{a.ip4}:8000", "address")
        equal(labels["__meta_outrider_service"], "hello", "service")

    with world.step(f"{WATCHERS} watchers hear a change; one that does not read is told so and dropped") as say:
        said = client(a, "streams", WATCHERS)
        equal((said["snapshots"], said["changes"]), (WATCHERS, WATCHERS), "snapshots and changes")
        equal((said["watching"], said["lagged"]), (20, True), "left watching, slow one told")
        say(f"a change reached all in {said['spread_ms']} ms, {agent.rss_kib()} KiB resident")

    count = REGISTRATIONS_LONG if world.long else REGISTRATIONS
    with world.step(f"{count} registrations come and go") as say:
        before = agent.rss_kib()
        said = client(a, "registrations", count)
        equal((said["bad"], said["left"]), (0, 0), "refused, left over")
        say(f"{said['per_second']} requests a second, {before} to {agent.rss_kib()} KiB resident")

    near, far = world.host("near"), world.host("far")
    for host in (near, far):
        host.http_server(9000)
        host.agent({"services": [{"name": "pair", "id": host.name, "port": 9000}]})
    # Connections of a program that knows nothing of us; they stay open while we pick.
    holder = (
        "import socket,sys,time; s=[socket.create_connection((ip,9000)) for ip in sys.argv[1:]];"
        " print('open',flush=True); time.sleep(60)"
    )

    def picks(say, *targets):
        holding = a.start("connections", [PYTHON, "-c", holder, *targets])
        holding.wait_line("^open$")
        said = client(a, "picks", "pair", PICKS)
        holding.stop()
        check(said["far"] * 3 < said["near"], f"picks: {said}")
        say(f"{said['near']} near, {said['far']} far")

    with world.step("p2c gives a busy instance less, by the connections that the kernel counts") as say:
        lines = lambda: len(a.outrider("instances", "pair")[1].splitlines())
        harness.wait_for("both are seen", lambda: lines() == 3)
        picks(say, near.ip4, *[far.ip4] * 40)

    with world.step("p2c gives a distant instance less, by the round-trip times that the kernel knows") as say:
        delay = ["tc", "qdisc", "add", "dev", "eth0", "root", "netem", "delay", "40ms"]
        if far.run(delay, may_fail=True)[0] != 0:
            raise Skip("this kernel has no netem")
        picks(say, near.ip4, far.ip4)

    with world.step("all of it behind us, the agent answers and stops in order"):
        equal(curl(a, *unix, "http://agent/healthz")[0], 200, "healthz")
        equal(agent.stop(deadline=30), 0, "exit status")


harness.main(scenario)
