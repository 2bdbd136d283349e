#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The API with real clients: curl, python-consul, npm's consul, promtool, Prometheus, wrk, hundreds of watchers, ten
thousand registrations."""

import json
import shutil

import harness
from harness import HERE, PYTHON, Skip, check, equal

WATCHERS = 500
REGISTRATIONS, REGISTRATIONS_LONG = 1_100, 10_000
ANNOUNCEMENTS_MAX = 1_024
PICKS = 60
SLOW_MS = 30
MODULES = harness.TOP / "build/npm/node_modules"
CONFIG = {
    "api": {"consul_listen": "127.0.0.1:8500"},
    "dns": {"listen": ["127.0.0.55:53"], "order": "p2c"},
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

    with world.step("why says what DNS answers, for every form of name"):
        forms = ["hello", "hello-1.hello", "local.hello", "nobody.hello", "x._tag.hello", "_http._tcp.hello", "ns"]
        for form in [*forms, "_hello._tcp", "hello-1._hello._tcp", "_services._dns-sd._udp", "a.b.hello", "nobody"]:
            explained = json.loads(a.outrider("why", "--json", f"{form}.svc")[1])["dns"][0]
            reply = a.dig(f"{form}.svc")
            told = {"NODATA": "NOERROR"}.get(explained["answer"], explained["answer"])
            equal((told, explained["A"]), (reply.status, reply.data("A")), form)

    with world.step("an answer that cannot be written is a failure; watch ends with its reader"):
        outrider = a.world.outrider
        status, text = a.run(["sh", "-c", f"{outrider} services >/dev/full"], may_fail=True)
        check(status == 1 and "No space left" in text, f"{status}: {text}")
        watched = f"{outrider} watch | head -n 1"
        watching = a.start("watch", ["sh", "-c", f"{watched}; echo over"])
        watching.wait_line("HEALTH")
        equal(a.outrider("maintenance", "hello-1", "on")[0], 0, "on")
        watching.wait_line("^over$")
        equal(a.outrider("maintenance", "hello-1", "off")[0], 0, "off")
        agent.wait_line("event=health_changed service=hello .*to=passing")

    with world.step("doctor asks the agent whose socket the environment names"):
        text = a.outrider("doctor", env={"OUTRIDER_API_SOCKET": str(socket), "XDG_RUNTIME_DIR": "/nowhere"})[1]
        check("agent: " in text and "no agent is running" not in text, text)

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
    reachable = "/run/outrider.sock"  # its folder is open to all: the socket's own mode is what counts
    api = {"consul_listen": "127.0.0.1:8500", "token": False, "socket": reachable}
    b.agent({"api": api}).wait_line("event=agent_ready")
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
        equal((said["note"], said["deregistered"]), ("well", True), "heartbeats and deregistration by GET")
        say(f"{said['services']}")

    with world.step("npm's consul registers, beats, watches, deregisters"):
        if not (MODULES / "consul").is_dir() or not shutil.which("node"):
            raise Skip("not installed: tests/real/run does it where npm and its registry are to be had")
        program = [shutil.which("node"), HERE / "consul_client.js", 8500]
        said = json.loads(b.run(program, env={"NODE_PATH": str(MODULES)}, timeout=30)[1].splitlines()[-1])
        equal(said["seen"], ["", "js-1", "", "js-1", ""], "what its watch told")
        equal((said["output"], said["tags"], said["port"]), ("well", ["a", "b"], 5001), "what it read")
        equal(said["unknown"], 404, "deregistered twice")

    with world.step("another user of the host is not let in") as say:
        if not harness.as_root():
            raise Skip("only root can become another user")
        connect = "socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
        other = f"import os,socket,sys; os.setgroups([]); os.setgid(65534); os.setuid(65534); {connect}"
        equal(b.run([PYTHON, "-c", f"import socket,sys; {connect}", reachable])[0], 0, "its own user")
        status, text = b.run([PYTHON, "-c", other, reachable], may_fail=True)
        check(status != 0 and "PermissionError" in text, text)
        say(text.strip().splitlines()[-1])

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

    with world.step(f"{WATCHERS} watchers receive a change; one that falls behind is disconnected") as say:
        said = client(a, "streams", WATCHERS)
        equal((said["snapshots"], said["changes"]), (WATCHERS, WATCHERS), "snapshots and changes")
        equal((said["watching"], said["lagged"]), (20, True), "left watching, slow one told")
        say(f"a change reached all in {said['spread_ms']} ms, {agent.rss_kib()} KiB resident")

    def link():
        return json.loads(a.outrider("status", "--json")[1])["mdns"]

    count = REGISTRATIONS_LONG if world.long else REGISTRATIONS
    for names in ("many", "one"):
        what = {"many": "a name each", "one": "one name for all"}[names]
        with world.step(f"{count} registrations, {what}: held, in DNS, and gone again") as say:
            before, announced = agent.rss_kib(), link()["announcements"]
            said = client(a, "register", count, names)
            equal((said["bad"], said["held"]), (0, count), "refused, held")
            # The link bears fewer, and who waits is counted; places that were free take a moment to be filled.
            harness.wait_for("the link is full", lambda: link()["announcements"] == ANNOUNCEMENTS_MAX)
            waiting = link()["waiting"]
            check(waiting >= count - ANNOUNCEMENTS_MAX // 2, f"waiting: {waiting}")
            last = f"load-{count - 1}"
            name = f"{last}.svc" if names == "many" else f"{last}.load.svc"
            wanted = f"10.9.{(count - 1) // 250}.{(count - 1) % 250 + 1}"
            harness.wait_for(f"{name} in DNS", lambda: a.dig(name).data("A") == [wanted])
            each = (agent.rss_kib() - before) / count
            times = f"{said['register_s']} s, heartbeats {said['beat_s']} s"
            said = client(a, "deregister", count)
            equal((said["bad"], said["left"]), (0, 0), "refused, left over")
            equal(said["announcements"], announced, "announcements left")
            # A goodbye that a flooded socket did not hear is made up for by the end of its TTL.
            harness.wait_for(f"{name} gone from DNS", lambda: not a.dig(name).data("A"), 80)
            say(f"registered in {times}, {each:.1f} KiB each, gone in {said['deregister_s']} s")

    with world.step("wrk on the API; DNS answers as quickly as before") as say:
        if shutil.which("wrk") is None:
            raise Skip("wrk is not there")
        seconds = 10 if world.long else 2
        quiet = client(a, "latency", "hello.svc", 1)
        for what in ("v1/health/service/hello?passing", "v1/outrider/instances/hello"):
            url = f"http://127.0.0.1:8500/{what}"
            wrk = a.start("wrk", ["wrk", "-c", "60", "-t", "1", "-d", f"{seconds}s", url])
            busy = client(a, "latency", "hello.svc", seconds - 0.5)
            equal(wrk.wait(seconds + 10), 0, "wrk")
            check("Non-2xx" not in wrk.text() and "Socket errors" not in wrk.text(), wrk.text())
            rate = next(line.split()[1] for line in wrk.text().splitlines() if "Requests/sec" in line)
            # No bar: a busy machine has pauses of its own. But DNS may not stand behind the API.
            check(busy["p50"] < 100_000, f"DNS: {busy}")
            say(f"{what}: {rate}/s; DNS p99 {busy['p99']} us, {quiet['p99']} us before")

    near, far = world.host("near"), world.host("far")
    for host in (near, far):
        host.http_server(9000)
        host.agent({"services": [{"name": "pair", "id": host.name, "port": 9000}]})
    # Connections of another program, which stay open while instances are selected.
    holder = (
        "import socket,sys,time; s=[socket.create_connection((ip,9000)) for ip in sys.argv[1:]];"
        " print('open',flush=True); time.sleep(60)"
    )

    def picks(say, *targets):
        holding = a.start("connections", [PYTHON, "-c", holder, *targets])
        holding.wait_line("^open$")
        said = client(a, "picks", "pair", PICKS)
        check(said["far"] * 3 < said["near"], f"picks: {said}")

        def ordered():
            dns = client(a, "firsts", "pair.svc", PICKS)
            return dns.get(far.ip4, 0) * 3 < dns.get(near.ip4, 0) and dns

        dns = harness.wait_for("DNS names near first", ordered)
        holding.stop()
        first = f"{dns[near.ip4]} near, {dns.get(far.ip4, 0)} far"
        say(f"picked: {said['near']} near, {said['far']} far; first in DNS: {first}")

    with world.step("p2c gives a busy instance less, by the connections that the kernel counts") as say:
        lines = lambda: len(a.outrider("instances", "pair")[1].splitlines())
        harness.wait_for("both are seen", lambda: lines() == 3)
        dns = client(a, "firsts", "pair.svc", PICKS)
        check(min(dns.get(near.ip4, 0), dns.get(far.ip4, 0)) > PICKS // 6, f"before any connection: {dns}")
        picks(say, near.ip4, *[far.ip4] * 40)

    with world.step("p2c gives a distant instance less, by the round-trip times that the kernel knows") as say:
        far.slow_down(SLOW_MS)
        picks(say, near.ip4, far.ip4)

    with world.step("all of it behind us, the agent answers and stops in order"):
        equal(curl(a, *unix, "http://agent/healthz")[0], 200, "healthz")
        equal(agent.stop(deadline=30), 0, "exit status")


harness.main(scenario)
