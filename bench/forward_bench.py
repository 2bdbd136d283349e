# SPDX-License-Identifier: Apache-2.0
"""bench/run forward: what a forwarder takes for answers that it has and for those that it must fetch.

Forwarders run on core 0; the load, and nsd as everybody's upstream server, on core 1. Hits: 1,000 names, asked
once before. Misses: every query has a name of its own, below a wildcard."""

import statistics

import dns_bench
import lab
import servers

PROGRAMS = ["bench/dns_load", "bench/forwarder"]
UPSTREAM_PORT = 5300


def start_upstream(place):
    records = [(f"s{i:04d}.svc", "A", f"10.0.{i >> 8}.{i & 255}") for i in range(1000)]
    records += [("*.svc", "A", "10.1.0.1"), ("*.svc", "AAAA", "fd00::1")]
    folder = place.folder / "upstream"
    folder.mkdir()
    command = servers.nsd(place, folder, UPSTREAM_PORT, records, ttl=3600)
    if command is None:
        raise SystemExit("bench/run forward: nsd is needed, as the upstream server")
    process = place.start("upstream", command, core=lab.LOAD_CORE)
    if not lab.wait_until(lambda: dns_bench.answers("127.0.0.1", UPSTREAM_PORT)):
        raise SystemExit("the upstream server does not answer: " + (folder / "output").read_text())
    return process


def outrider(place, _folder, port):
    return [place.build / "bench/forwarder", f"127.0.0.1:{port}", f"127.0.0.1:{UPSTREAM_PORT}"]


UNBOUND = """
  do-not-query-localhost: no
  outgoing-range: 4096
  num-queries-per-thread: 2048
  so-rcvbuf: 1m
"""


def unbound(_place, folder, port):
    zone = f'forward-zone:\n  name: "."\n  forward-addr: 127.0.0.1@{UPSTREAM_PORT}\n'
    return servers.run_unbound(folder, port, UNBOUND, zone)


ALL = {"outrider": outrider, "unbound": unbound}


def start_forwarders(place):
    running = {}
    for i, (name, write) in enumerate(ALL.items()):
        port = UPSTREAM_PORT + 1 + i
        (place.folder / name).mkdir()
        command = write(place, place.folder / name, port)
        if command is None:
            print(f"# {name}: not installed, left out")
            continue
        process = place.start(name, command)
        if not lab.wait_until(lambda: dns_bench.answers("127.0.0.1", port)):
            raise SystemExit(f"{name} does not answer: " + (place.folder / name / "output").read_text())
        running[name] = process, port
    return running


def run(place, options):
    start_upstream(place)
    running = start_forwarders(place)
    queries = place.folder / "queries.txt"
    queries.write_text("".join(f"s{i:04d}.svc A\n" for i in range(1000)))
    fresh = place.folder / "fresh"
    fresh.mkdir()
    (fresh / "queries.txt").write_text("u0123456789.svc A\nu0123456789.svc AAAA\n")
    samples = {name: {"hits": [], "misses": []} for name in running}
    for _ in range(options.rounds):
        for name, (process, port) in running.items():
            dns_bench.measure(place, process, port, "--seconds", 0.2)  # whatever misses have pushed out
            samples[name]["hits"].append(dns_bench.measure(place, process, port, "--seconds", options.seconds))
            samples[name]["misses"].append(
                dns_bench.measure(place, process, port, "--seconds", options.seconds, "--unique",
                                  queries=fresh / "queries.txt"))
    report(running, samples, options)


def report(running, samples, options):
    print(f"\n{options.rounds} rounds of {options.seconds} s\n")
    rows = []
    for name, (process, _) in running.items():
        row = [name]
        for kind in ("hits", "misses"):
            mine = samples[name][kind]
            ratio = statistics.median(one["cpu_us"] / peer["cpu_us"]
                                      for one, peer in zip(mine, samples.get("unbound", samples[name])[kind]))
            row += [f"{statistics.median(one['qps'] for one in mine):,.0f}",
                    f"{statistics.median(one['cpu_us'] for one in mine):.2f}", f"{ratio:.2f}",
                    f"{sum(one['lost'] for one in mine):.0f}"]
        rows.append((*row, f"{lab.status(process.pid, 'VmRSS') / 1024:.1f}"))
    lab.table(("forwarder", "hits: QPS", "CPU us/query", "of unbound's", "lost",
               "misses: QPS", "CPU us/query", "of unbound's", "lost", "RSS MB"), rows)
