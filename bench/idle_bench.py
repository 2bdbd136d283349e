# SPDX-License-Identifier: Apache-2.0
"""bench/run idle: what an agent with one service, a check each 10 s and a quiet network costs, beside avahi-daemon
with the same service, which neither probes nor answers DNS; and what a registry adds to it (etcd, one registration)."""

import collections
import http.server
import json
import pathlib
import re
import shutil
import signal
import subprocess
import threading
import time

import dns_bench
import lab
import servers

PROGRAMS = ["agent/outrider"]
SETTLE = 10  # seconds in which announcements are over


class Healthy(http.server.BaseHTTPRequestHandler):
    wbufsize = -1  # the answer leaves as one segment, as most servers have it

    def do_GET(self):  # the name is of http.server
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\n")

    def log_message(self, *_):
        pass


def quiet_network(place):
    """A link whose other end is another host's: there alone, and silent."""
    neighbour = place.start("neighbour", ["unshare", "-n", "sleep", "infinity"])
    own = pathlib.Path("/proc/self/ns/net").readlink()
    lab.wait_until(lambda: pathlib.Path(f"/proc/{neighbour.pid}/ns/net").readlink() != own)
    for command in (f"ip link add bench0 type veth peer name bench1 netns {neighbour.pid}",
                    "ip address add 198.51.100.1/24 dev bench0", "ip link set bench0 up",
                    f"nsenter -t {neighbour.pid} -n ip link set bench1 addrgenmode none up"):
        subprocess.run(command.split(), check=True)


def start_etcd(place):
    """Its URL; None if it is not installed."""
    if not shutil.which("etcd"):
        print("# etcd-server: not installed, left out")
        return None
    url = "http://127.0.0.1:2379"
    place.start("etcd", ["etcd", "--data-dir", place.folder / "etcd-data", "--listen-client-urls", url,
                         "--advertise-client-urls", url])
    range_of_nothing = ["curl", "-s", "-d", '{"key": "eA=="}', f"{url}/v3/kv/range"]
    lab.wait_until(lambda: b"revision" in subprocess.run(range_of_nothing, capture_output=True).stdout)
    return url


def start_agent(place, checks=({"http": "/health", "interval": "10s"},), registries=()):
    config = place.folder / "agent.json"
    config.write_text(json.dumps({
        "dns": {"listen": ["127.0.0.55:5370"]},
        "api": {"socket": str(place.folder / "agent.sock")},
        "registries": list(registries),
        "services": [{"name": "hello", "port": 8080, "checks": list(checks)}]}))
    return place.start("agent", [place.build / "agent/outrider", "agent", "--config", config])


def first_answer(place, times=5):
    """Median seconds from exec to the first answer of DNS. Without checks: first probes are spread on purpose."""
    seconds = []
    for _ in range(times):
        begin = time.monotonic()
        agent = start_agent(place, checks=())
        if not lab.wait_until(lambda: dns_bench.answers("127.0.0.55", 5370, "hello"), 10):
            raise SystemExit("the agent does not come up:\n" + (place.folder / "agent/output").read_text())
        seconds.append(time.monotonic() - begin)
        place.stop(agent)
    return sorted(seconds)[times // 2]


def start_avahi(place):
    program = servers.program("avahi-daemon")
    if not program:
        print("# avahi-daemon: not installed, left out")
        return None
    for folder in ("/etc/avahi/services", "/run"):  # our own: we have a mount namespace for ourselves
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)
    pathlib.Path("/etc/avahi/services/hello.service").write_text(
        "<service-group><name>hello</name><service><type>_hello._tcp</type><port>8080</port></service>"
        "</service-group>")
    config = place.folder / "avahi.conf"
    config.write_text("[server]\nenable-dbus=no\n[publish]\npublish-workstation=no\npublish-hinfo=no\n")
    return place.start("avahi", [program, "-f", config, "--no-drop-root", "--no-rlimits", "--no-chroot"])


def watch(process, seconds):
    wakes, cpu = lab.status(process.pid, "voluntary_ctxt_switches"), lab.cpu_seconds(process.pid)
    time.sleep(seconds)
    return {"wakes": (lab.status(process.pid, "voluntary_ctxt_switches") - wakes) / seconds,
            "cpu_us": (lab.cpu_seconds(process.pid) - cpu) * 1e6 / seconds,
            "rss": lab.status(process.pid, "VmRSS") / 1024, "private": lab.private_kb(process.pid) / 1024}


ACTS = (("probe begins", r"connect\("), ("datagrams come", r"recvmmsg\(\d+.*= [1-9]"),
        ("probe's answer", r"recvfrom\(|read\("), ("probe is sent", r"sendto\("),
        ("mDNS sends", r"sendmmsg\("))


def turns(place, process, seconds):
    """Turns of the loop, each by what it did first. strace slows and wakes, so figures come from elsewhere."""
    if not shutil.which("strace"):
        return {}
    trace = place.folder / "strace"
    tracer = subprocess.Popen(["strace", "-s0", "-o", trace, "-p", str(process.pid)], stderr=subprocess.DEVNULL)
    time.sleep(seconds)
    tracer.send_signal(signal.SIGINT)
    tracer.wait()
    found = collections.Counter()
    act = None
    for line in trace.read_text().splitlines():
        if re.match(r"epoll_wait\(.*, 256, 0\)", line):
            continue  # which streams are ready, within a turn
        if line.startswith("epoll_wait("):
            if act:
                found[act] += 1
            act = None if "detached" in line else "only a timer"
        elif act == "only a timer":
            act = next((name for name, pattern in ACTS if re.match(pattern, line)), act)
    return found


def run(place, options):
    quiet_network(place)
    service = http.server.HTTPServer(("127.0.0.1", 8080), Healthy)
    threading.Thread(target=service.serve_forever, daemon=True).start()
    ready = first_answer(place)
    agent = start_agent(place)
    avahi = None
    rows = []
    time.sleep(SETTLE)
    sample = watch(agent, options.seconds)
    acts = turns(place, agent, options.seconds)
    rows.append(("outrider agent", sample, f"{ready * 1000:.0f}"))
    place.stop(agent)
    if url := start_etcd(place):
        agent = start_agent(place, registries=[{"etcd": {"endpoints": [url], "layouts": {"kratos": {}}}}])
        time.sleep(SETTLE)
        rows.append(("outrider agent, etcd", watch(agent, options.seconds), ""))
        place.stop(agent)
    if avahi := start_avahi(place):
        time.sleep(SETTLE)
        if avahi.poll() is None:
            rows.append(("avahi-daemon", watch(avahi, options.seconds), ""))
        else:
            print("# avahi-daemon: does not run, left out: " + (place.folder / "avahi/output").read_text()[-300:])
    print(f"{options.seconds:.0f} s of one service, after {SETTLE} s to settle\n")
    lab.table(("program", "wake-ups/s", "CPU us/s", "RSS MB", "private MB", "first answer ms"),
              [(name, f"{one['wakes']:.2f}", f"{one['cpu_us']:.0f}", f"{one['rss']:.1f}", f"{one['private']:.1f}",
                first) for name, one, first in rows])
    if url:
        alone, more = rows[0][1], rows[1][1]
        print(f"\netcd adds {more['wakes'] - alone['wakes']:.2f} wake-ups/s (bar: 0.3) and "
              f"{1024 * (more['private'] - alone['private']):.0f} kB private (bar: 300)")
    if acts:
        print(f"\nThe agent's turns in further {options.seconds:.0f} s:")
        for name, count in acts.most_common():
            print(f"  {count:3d}  {name}")
