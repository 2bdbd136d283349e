# SPDX-License-Identifier: Apache-2.0
"""bench/run dns: one set of names, served by everybody; the same queries for all."""

import random
import socket
import statistics
import struct

import lab
import servers

PROGRAMS = ["bench/dns_load", "bench/echo_limit", "bench/uv_echo", "bench/zone_server"]


def make_data(folder, names):
    """records.txt, "name TYPE value" a line: per name one A (each fifth three), AAAA, SRV and TXT; and queries."""
    records = []
    for i in range(names):
        name, high, middle, low = f"s{i:04d}.svc", i >> 16, i >> 8 & 255, i & 255
        for k in range(3 if i % 5 == 0 else 1):
            records.append((name, "A", f"10.{high + 64 * k}.{middle}.{low}"))
        records.append((name, "AAAA", f"fd00::{high:x}:{i & 0xffff:x}"))
        records.append((name, "SRV", f"0 10 8080 {name}"))
        records.append((name, "TXT", f"version=1.2.3 zone=a id={i}"))
    (folder / "records.txt").write_text("".join(f"{' '.join(record)}\n" for record in records))
    dice = random.Random(7)
    with open(folder / "queries.txt", "w", encoding="ascii") as out:
        for _ in range(200_000 if names > 20_000 else 20_000):
            kind = dice.choices(("A", "AAAA", "SRV", "TXT"), (60, 20, 10, 10))[0]
            out.write(f"s{dice.randrange(names):04d}.svc {kind}\n")
    return records


def answers(address, port, name="s0000"):
    """Whether an address comes back for NAME.svc, or what an echo makes of the question."""
    label = bytes([len(name)]) + name.encode()
    query = struct.pack("!6H", 7, 0x100, 1, 0, 0, 0) + label + b"\x03svc\0\0\x01\0\x01"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.3)
        try:
            client.connect((address, port))
            client.send(query)
            answer = client.recv(512)
        except OSError:
            return False
    return answer[3] & 15 == 0 and (answer[6:8] != b"\0\0" or len(answer) == len(query))


def measure(place, process, port, *extra, queries=None):
    before, busy = lab.cpu_seconds(process.pid), lab.busy_seconds()
    sample = place.load([place.build / "bench/dns_load", "--server", f"127.0.0.1:{port}", "--queries",
                         queries or place.folder / "queries.txt", *extra])
    sample["cpu_us"] = (lab.cpu_seconds(process.pid) - before) * 1e6 / max(sample["answered"], 1)
    sample["busy"] = lab.busy_seconds() - busy
    return sample


def run(place, options):
    wanted = [name for name in options.servers.split(",") if name] or list(servers.ALL)
    if "limit" not in wanted:
        wanted.insert(0, "limit")
    records = make_data(place.folder, options.names)
    running = {}
    for i, name in enumerate(wanted):
        port = 5301 + i
        folder = place.folder / name
        folder.mkdir()
        command = servers.ALL[name](place, folder, port, records)
        if command is None:
            print(f"# {name}: not installed, left out")
            continue
        process = place.start(name, command)
        if lab.wait_until(lambda: process.poll() is not None or answers("127.0.0.1", port)) and process.poll() is None:
            running[name] = process, port
        else:
            print(f"# {name}: does not answer, left out: {(folder / 'output').read_text()[-300:]}")
    samples = {name: [] for name in running}
    for _ in range(options.rounds):
        for name, (process, port) in running.items():
            full = measure(place, process, port, "--seconds", options.seconds)
            calm = measure(place, process, port, "--seconds", options.seconds, "--rate", options.rate,
                           "--window", 2048)
            samples[name].append((full, calm))
    report(running, samples, options)


def report(running, samples, options):
    print(f"\n{options.names} names, {options.rounds} rounds of {options.seconds} s; "
          f"calm: {options.rate} queries a second\n")

    def ratio(name, which, key):
        return statistics.median(sample[which][key] / limit[which][key]
                                 for sample, limit in zip(samples[name], samples["limit"]))

    rows = []
    for name, (process, _) in running.items():
        def middle(which, key, of=name):
            return statistics.median(sample[which][key] for sample in samples[of])
        rows.append((name, f"{middle(0, 'qps'):,.0f}", f"{ratio(name, 0, 'qps'):.2f}", f"{middle(0, 'cpu_us'):.2f}",
                     f"{ratio(name, 0, 'cpu_us'):.2f}", f"{sum(s[0]['lost'] for s in samples[name]):.0f}",
                     f"{middle(1, 'p50_us'):.0f}", f"{middle(1, 'cpu_us'):.1f}", f"{ratio(name, 1, 'cpu_us'):.2f}",
                     f"{lab.status(process.pid, 'VmRSS') / 1024:.1f}"))
    lab.table(("server", "QPS", "of limit", "CPU us/query", "of limit", "lost", "calm: p50 us", "CPU us/query",
               "of limit", "RSS MB"), rows)
