# SPDX-License-Identifier: Apache-2.0
"""bench/run bridge: services by URL beside HAProxy (TCP and HTTP mode) and socat.

The proxy runs on core 0, its clients and the service behind it, one program, on core 1. What to read is what the proxy
does with a second of CPU: new connections, requests on kept connections, megabytes; the bar is HAProxy's TCP mode.
"""

import json
import shutil
import statistics
import subprocess

import lab

PROGRAMS = ["agent/outrider", "bench/bridge_load"]
PROXY_PORT, SERVICE_PORT = 5380, 8000
HOST = f"hello.localhost:{PROXY_PORT}"
IDLE = 1000
HAPROXY = """
global
  nbthread 1
  maxconn 4000
defaults
  mode {mode}
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  {options}
listen bridge
  bind 127.0.0.1:{port}
  server one 127.0.0.1:{service}
"""
CONFIG = {
    "dns": {"listen": []}, "mdns": {"provider": "off"}, "api": {"socket": "off", "persist": False},
    "web": {"listen": [f"127.0.0.1:{PROXY_PORT}"]}, "log": {"level": "warning"},
    "services": [{"name": "hello", "port": SERVICE_PORT, "scope": "host"}],
}


def proxies(place):
    """Name and command line of each."""
    config = place.folder / "outrider.json"
    config.write_text(json.dumps(CONFIG))
    yield "outrider", [place.build / "agent/outrider", "agent", "--config", config]
    if shutil.which("haproxy", path="/usr/sbin:/usr/bin"):
        for mode, options in (("tcp", ""), ("tcp", "option splice-auto"), ("http", "")):
            name = f"haproxy {mode}" + (" splice" if options else "")
            file = place.folder / (name.replace(" ", "_") + ".cfg")
            file.write_text(HAPROXY.format(mode=mode, options=options, port=PROXY_PORT, service=SERVICE_PORT))
            yield name, ["/usr/sbin/haproxy", "-f", file]
    if shutil.which("socat"):
        yield "socat", ["socat", f"TCP-LISTEN:{PROXY_PORT},bind=127.0.0.1,reuseaddr,fork,backlog=4096",
                        f"TCP:127.0.0.1:{SERVICE_PORT}"]


def is_open(port):
    with open("/proc/net/tcp") as table:
        return any(f":{port:04X} 00000000:0000 0A" in line for line in table)


class Load:
    def __init__(self, place, mode, seconds, count, port=PROXY_PORT):
        words = [place.build / "bench/bridge_load", mode, port, SERVICE_PORT, seconds, count, HOST]
        self.process = subprocess.Popen(["taskset", "-c", lab.LOAD_CORE, *map(str, words)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()  # it listens

    def go(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def result(self):
        out = self.process.stdout.read()
        self.process.wait()
        return {key: float(value) for key, value in (pair.split("=") for pair in out.split())}


def sample(place, name, command, mode, seconds, count):
    """One load against a fresh proxy."""
    load = Load(place, mode, seconds, count)
    proxy = place.start(name, command)
    if not lab.wait_until(lambda: is_open(PROXY_PORT)):
        raise SystemExit(f"{name} does not listen: {(place.folder / name / 'output').read_text()[-400:]}")
    before, memory = lab.cpu_seconds(proxy.pid), lab.private_kb(proxy.pid)
    load.go()
    if mode == "idle":
        load.process.stdout.readline()
        grown = lab.private_kb(proxy.pid) - memory
        load.go()
        load.result()
        place.stop(proxy)
        return {"kb": grown / count}
    result = load.result()
    # Children that have ended, as socat's, are counted with their parent.
    fields = open(f"/proc/{proxy.pid}/stat").read().rpartition(")")[2].split()
    result["cpu"] = lab.cpu_seconds(proxy.pid) - before + (int(fields[13]) + int(fields[14])) / 100
    place.stop(proxy)
    return result


def direct(place, seconds):
    load = Load(place, "requests", seconds, 1, SERVICE_PORT)
    load.go()
    return load.result()["p50_us"]


def run(place, options):
    columns = ("new connections / CPU s", "new connections / s", "requests / CPU s", "MB / CPU s", "MB / s",
               "added latency, µs", "private kB / connection", "failed")
    taken = {}
    names = list(proxies(place))
    for _ in range(options.rounds):
        base = direct(place, options.seconds / 2)
        for name, command in names:
            rows = taken.setdefault(name, [])
            seconds = options.seconds
            fresh = sample(place, name, command, "connections", seconds, 8 if name == "socat" else 64)
            kept = sample(place, name, command, "requests", seconds, 32)
            bulk = sample(place, name, command, "bulk", seconds, 4)
            single = sample(place, name, command, "requests", seconds / 2, 1)
            idle = sample(place, name, command, "idle", 1, 100 if name == "socat" else IDLE)
            rows.append((fresh["done"] / fresh["cpu"], fresh["done"] / fresh["seconds"], kept["done"] / kept["cpu"],
                         bulk["bytes"] / 1e6 / bulk["cpu"], bulk["bytes"] / 1e6 / bulk["seconds"],
                         single["p50_us"] - base, idle["kb"],
                         sum(one["failed"] for one in (fresh, kept, bulk, single))))
    lab.table(("median of %d" % options.rounds, *columns),
              [(name, *(f"{statistics.median(row[i] for row in rows):,.1f}" for i in range(len(columns))))
               for name, rows in taken.items()])
    bar = taken.get("haproxy tcp")
    if not bar:
        return
    for i in (0, 3):
        ratios = [ours[i] / max(theirs[i], splice[i])
                  for ours, theirs, splice in zip(taken["outrider"], bar, taken["haproxy tcp splice"])]
        print(f"{columns[i]}: {statistics.median(ratios):.2f} of HAProxy's in TCP mode (bar: 1.00)")
