# SPDX-License-Identifier: Apache-2.0
"""bench/run idle: what an agent with one service, a check each 10 s and a quiet network costs."""

import http.server
import json
import subprocess
import threading
import time

import dns_bench
import lab

PROGRAMS = ["agent/outrider"]
SETTLE = 10  # seconds in which announcements are over


class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):  # the name is of http.server
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\n")

    def log_message(self, *_):
        pass


def run(place, options):
    for command in ("ip link add bench0 type veth peer name bench1", "ip address add 198.51.100.1/24 dev bench0",
                    "ip link set bench0 up", "ip link set bench1 up"):
        subprocess.run(command.split(), check=True)
    service = http.server.HTTPServer(("127.0.0.1", 8080), Healthy)
    threading.Thread(target=service.serve_forever, daemon=True).start()
    config = place.folder / "agent.json"
    config.write_text(json.dumps({
        "dns": {"listen": ["127.0.0.55:5370"]},
        "api": {"socket": str(place.folder / "agent.sock")},
        "services": [{"name": "hello", "port": 8080, "checks": [{"http": "/health", "interval": "10s"}]}]}))
    begin = time.monotonic()
    agent = place.start("agent", [place.build / "agent/outrider", "agent", "--config", config])
    if not lab.wait_until(lambda: dns_bench.answers("127.0.0.55", 5370, "hello"), 10):
        raise SystemExit("the agent does not come up:\n" + (place.folder / "agent/output").read_text())
    ready = time.monotonic() - begin
    time.sleep(SETTLE)
    wakes, cpu = lab.status(agent.pid, "voluntary_ctxt_switches"), lab.cpu_seconds(agent.pid)
    time.sleep(options.seconds)
    wakes = lab.status(agent.pid, "voluntary_ctxt_switches") - wakes
    cpu = lab.cpu_seconds(agent.pid) - cpu
    print(f"{options.seconds:.0f} s of one service with a check each 10 s, after {SETTLE} s to settle\n")
    lab.table(("program", "wake-ups/s", "CPU us/s", "RSS MB", "first answer ms"),
              [("outrider agent", f"{wakes / options.seconds:.2f}", f"{cpu * 1e6 / options.seconds:.0f}",
                f"{lab.status(agent.pid, 'VmRSS') / 1024:.1f}", f"{ready * 1000:.0f}")])
