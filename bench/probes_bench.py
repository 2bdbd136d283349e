# SPDX-License-Identifier: Apache-2.0
"""bench/run probes: HTTP probes beside the Prometheus blackbox exporter, against one nginx.

`limit` is a bare epoll loop of connect, send, receive and close: what the same number of exchanges
costs without a prober.

The prober runs on core 0, nginx and the exporter's load on core 1. Closed loop: as many probes as
will go. Paced: each target every 10 s. CPU per probe is what to read; a sample during which other
work took more than FOREIGN percent of the two cores is set aside where two calm ones are left.
"""

import re
import resource
import shutil
import statistics
import subprocess
import time

import lab

PROGRAMS = ["bench/probe_limit", "bench/probe_load"]
PORT, EXPORTER_PORT = 8080, 9115
FOREIGN = 6
DESCRIPTORS = 60_000

NGINX = """
worker_processes 1; daemon off; master_process off; pid {dir}/pid; error_log {dir}/error crit;
user root; worker_rlimit_nofile {files};
events {{ worker_connections 30000; }}
http {{
  access_log off; keepalive_timeout 120s; keepalive_requests 100000000; reset_timedout_connection on;
  client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir};
  uwsgi_temp_path {dir}; scgi_temp_path {dir};
  server {{
    listen {port} backlog=4096;
    location = /health {{ default_type text/plain; return 200 "ok\\n"; }}
  }}
}}
"""
EXPORTER = "modules: {http_2xx: {prober: http, timeout: 2s, http: {preferred_ip_protocol: ip4}}}\n"
WRK = """
local i = 0
request = function()
  i = (i + 1) % 1000
  local target = string.format("http://127.1.%d.%d:{port}/health", math.floor(i / 250), 1 + i % 250)
  return wrk.format("GET", "/probe?module=http_2xx&target=" .. target)
end
"""


class Samples:
    """Measurements by name, each with how much of the machine others had meanwhile."""

    def __init__(self, servers):
        self.servers = servers
        self.by_name = {}

    def _ours(self):
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return children.ru_utime + children.ru_stime + sum(lab.cpu_seconds(s.pid) for s in self.servers)

    def take(self, name, measure):
        busy, ours, begun = lab.busy_seconds(), self._ours(), time.monotonic()
        sample = measure()
        foreign = lab.busy_seconds() - busy - (self._ours() - ours)
        sample["foreign"] = foreign / (2 * (time.monotonic() - begun)) * 100
        self.by_name.setdefault(name, []).append(sample)

    def calm(self, name):
        samples = self.by_name.get(name, [])
        calm = [sample for sample in samples if sample["foreign"] <= FOREIGN]
        return calm if len(calm) >= 2 else samples

    def median(self, name, key):
        return statistics.median(sample[key] for sample in self.calm(name))

    def print(self):
        rows = []
        for name, samples in self.by_name.items():
            disturbed = sum(sample["foreign"] > FOREIGN for sample in samples)
            rows.append((name, f"{self.median(name, 'probes_s'):,.0f}", f"{self.median(name, 'cpu_us'):.1f}",
                         f"{self.median(name, 'cpu_pct'):.2f}", f"{self.median(name, 'rss_kb') / 1024:.1f}",
                         f"{len(samples)} ({disturbed})"))
        lab.table(("prober", "probes/s", "CPU us/probe", "core %", "RSS MB", "samples (disturbed)"), rows)


def prober(place, program, *words):
    command = ["taskset", "-c", lab.SERVER_CORE, place.build / "bench" / program, PORT, *words]
    done = subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True)
    values = {key: float(value) for key, value in (pair.split("=") for pair in done.stdout.split())}
    if values["fail"]:
        raise SystemExit(f"probes failed: {done.stdout}")
    return values


def probe_load(place, targets, mode, interval_ms, seconds):
    return prober(place, "probe_load", targets, mode, interval_ms, seconds)


def exporter_load(pid, script, seconds):
    begun = lab.cpu_seconds(pid)
    done = subprocess.run(["taskset", "-c", lab.LOAD_CORE, "wrk", "-t1", "-c32", f"-d{seconds}s", "-s", str(script),
                           f"http://127.0.0.1:{EXPORTER_PORT}"], check=True, capture_output=True, text=True)
    requests = int(re.search(r"(\d+) requests in", done.stdout)[1])
    used = lab.cpu_seconds(pid) - begun
    return {"probes_s": requests / seconds, "cpu_us": used * 1e6 / requests, "cpu_pct": used / seconds * 100,
            "rss_kb": lab.status(pid, "VmRSS")}


def start_nginx(place):
    folder = place.folder / "nginx"
    folder.mkdir()
    config = folder / "conf"
    config.write_text(NGINX.format(dir=folder, port=PORT, files=DESCRIPTORS))
    return place.start("nginx", ["nginx", "-e", "stderr", "-c", config], core=lab.LOAD_CORE)


def start_exporter(place):
    if not shutil.which("prometheus-blackbox-exporter") or not shutil.which("wrk"):
        print("no prometheus-blackbox-exporter or no wrk: our own figures alone\n")
        return None
    config = place.folder / "exporter.yml"
    config.write_text(EXPORTER)
    return place.start("exporter", ["prometheus-blackbox-exporter", f"--config.file={config}",
                                    f"--web.listen-address=127.0.0.1:{EXPORTER_PORT}", "--log.level=error"],
                       env={"GOMAXPROCS": "1"})


def run(place, options):
    if not shutil.which("nginx"):
        raise SystemExit("bench/run probes: nginx is needed")
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, DESCRIPTORS), most))
    nginx, exporter = start_nginx(place), start_exporter(place)
    script = place.folder / "wrk.lua"
    script.write_text(WRK.replace("{port}", str(PORT)))
    time.sleep(1)
    samples = Samples([server for server in (nginx, exporter) if server])
    seconds = round(options.seconds)
    for _ in range(options.rounds):
        samples.take("limit", lambda: prober(place, "probe_limit", 10_000, seconds))
        for mode in ("fresh", "reuse"):
            samples.take(f"outrider, {mode}", lambda: probe_load(place, 10_000, mode, 100, seconds))
        if exporter:
            samples.take("blackbox_exporter", lambda: exporter_load(exporter.pid, script, seconds))
    for targets in (1_000, 10_000) if options.paced else ():
        for _ in range(3):
            samples.take(f"outrider, {targets:,} targets every 10 s",
                         lambda: probe_load(place, targets, "fresh", 10_000, 10))
    samples.print()
    ratio = samples.median("outrider, fresh", "cpu_us") / samples.median("limit", "cpu_us")
    print(f"\nCPU per probe with fresh connections: {ratio:.2f} of the limit's")
    if exporter:
        ratio = samples.median("blackbox_exporter", "cpu_us") / samples.median("outrider, fresh", "cpu_us")
        print(f"CPU per probe with fresh connections: 1/{ratio:.1f} of the exporter's")
