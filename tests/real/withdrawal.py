#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How fast what fails is gone, and what stays when it is only our link that went.

A service that says 503 at a word: the time from that answer to the agent's own DNS, to the goodbye
on the wire, and to a peer's DNS, taken several times and printed. Then a peer's cable is pulled: it
goes on with the last good answers, says that they are stale, and stops after the grace.
"""

import signal
import statistics

import harness
from harness import check

PORT = 8000
ROUNDS = 7
# DESIGN §5. Noise only adds: the least of the rounds shows what is built in.
OWN_DNS_S, GOODBYE_S, PEER_DNS_S = 0.05, 0.05, 0.1
GRACE_S = 60
# Healthy until SIGUSR1, then 503 until the next one; says when it first answered differently.
SERVICE = """
import http.server, signal, sys, time
healthy = told = True
def turn(*_):
    global healthy
    healthy = not healthy
signal.signal(signal.SIGUSR1, turn)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global told
        status = 200 if healthy else 503
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
        if told != (status == 200):
            told = not told
            print("answered", status, time.monotonic(), flush=True)
    def log_message(self, *_): pass
server = http.server.HTTPServer(("", int(sys.argv[1])), Handler)
print("listening", flush=True)
server.serve_forever()
"""
CHECK = {
    "http": "/", "interval": "200ms", "edge_interval": "200ms",
    "failures_before_critical": 1, "success_before_passing": 1,
}
HELLO = {"name": "hello", "id": "hello-a", "port": PORT, "checks": [CHECK]}


def times(world, a, c):
    """Rounds of failing and recovering; the delays of each kind in seconds."""
    service = a.start("service", [harness.PYTHON, "-c", SERVICE, PORT])
    service.wait_line("^listening$")
    a.agent({"services": [HELLO]})
    c.agent({"dns": {"listen": ["127.0.0.55:53"]}})
    wire = c.start(
        "goodbyes", [harness.PYTHON, harness.HERE / "goodbyes.py", c.ip4, "hello-a", "_hello._tcp"]
    )
    wire.wait_line("^listening$")
    dns = {"own DNS": a.watch_dns("hello.svc", port=5370), "a peer's DNS": c.watch_dns("hello.svc")}
    there = rf"^0 {a.ip4}$"
    with world.step("both hosts resolve the service", vital=True):
        for watch in dns.values():
            watch.wait_line(there)
    delays = {"own DNS": [], "goodbye": [], "a peer's DNS": []}
    for _ in range(ROUNDS):
        marks = {watch: watch.mark() for watch in [service, wire, *dns.values()]}
        service.send(signal.SIGUSR1)
        verdict = float(service.wait_line("^answered 503", since=marks[service])[1].split()[2])
        delays["goodbye"].append(
            float(wire.wait_line("^goodbye", since=marks[wire])[1].split()[1]) - verdict
        )
        for name, watch in dns.items():
            delays[name].append(watch.wait_line("^0$", since=marks[watch])[0] - verdict)
        service.send(signal.SIGUSR1)
        for watch in dns.values():
            watch.wait_line(there, since=marks[watch])
    return delays


def link_down(world, a, c):
    with world.step("the peer's cable is pulled: the last good answer, marked stale (EDE 3)"):
        check(c.dig("hello.svc").ede == [], "stale before")
        c.cable(False)
        answer = harness.wait_for(
            "a stale answer", lambda: (said := c.dig("hello.svc")).ede and said
        )
        check(answer.data("A") == [a.ip4], f"answers {answer.data('A')}")
        check(answer.ede[0].startswith("3"), f"EDE {answer.ede}")
    with world.step("why and the metrics say so"):
        said = c.outrider("why", "hello.svc")[1]
        check("stale" in said, said)
        said = c.run(["curl", "-sS", "--unix-socket", c.dir / "outrider/agent.sock",
                      "http://localhost/metrics"])[1]
        check("\noutrider_registry_stale 1\n" in said, said)
    if world.long:
        with world.step("and gone after the grace") as say:
            watch = c.watch_dns("hello.svc")
            say(f"{watch.wait_line('^0$', GRACE_S + 5)[0] - watch.lines[0][0]:.1f} s")
    with world.step("plugged in again: fresh"):
        c.cable(True)
        harness.wait_for(
            "a fresh answer",
            lambda: (said := c.dig("hello.svc")).ede == [] and said.data("A") == [a.ip4],
        )


def scenario(world):
    harness.need("dig", "curl")
    a, c = world.host("a"), world.host("c")
    delays = times(world, a, c)
    for name, bar in (("own DNS", OWN_DNS_S), ("goodbye", GOODBYE_S), ("a peer's DNS", PEER_DNS_S)):
        with world.step(f"from the failing answer to {name}: within {1000 * bar:.0f} ms") as say:
            ms = sorted(1000 * delay for delay in delays[name])
            say(f"least {ms[0]:.1f} ms, median {statistics.median(ms):.1f}, most {ms[-1]:.1f}")
            check(ms[0] <= 1000 * bar, f"{ms}")
    link_down(world, a, c)


if __name__ == "__main__":
    harness.main(scenario)
