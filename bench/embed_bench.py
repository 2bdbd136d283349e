# SPDX-License-Identifier: Apache-2.0
"""bench/run embed: what liboutrider costs a program: its size, the memory that it adds to the smallest one, and the
time until the first announcement is on the wire."""

import pathlib
import re
import socket
import statistics
import subprocess
import time

import idle_bench
import lab

PROGRAMS = ["agent/outrider", "agent/embed/liboutrider.so.0.1.0", "agent/embed/archive/liboutrider.a"]
SETTLE = 5  # seconds in which announcements are over
LINK = "bench0"
MDNS_PORT = 5353
ETHERTYPE_ALL = 3


def compile_host(place, name, *flags):
    out = place.folder / name
    source = lab.ROOT / "bench/src/embed_host.c"
    subprocess.run(["cc", "-std=c99", "-O2", "-o", out, source, f"-I{lab.ROOT / 'include'}", *flags], check=True)
    return out


def start(place, name, command):
    """The process, and when it began to start its agent."""
    process = place.start(name, command)
    output = place.folder / name / "output"
    if not lab.wait_until(lambda: "ready " in output.read_text(), 20):
        raise SystemExit(f"{name} does not come up: {output.read_text()}")
    return process, int(re.search(r"ready (\d+)", output.read_text())[1]) / 1e9


def is_announcement(frame):
    """A response with the service: Ethernet, IPv4 or IPv6, UDP to port 5353, DNS with QR set and answers."""
    at = 14 + (40 if frame[12:14] == b"\x86\xdd" else 20)
    udp, dns = frame[at:at + 8], frame[at + 8:]
    return (len(dns) > 12 and int.from_bytes(udp[2:4], "big") == MDNS_PORT and dns[2] & 0x80
            and dns[6:8] != b"\0\0" and b"\x09_embedded" in dns)


def announced_after(place, host, times=5):
    """Seconds from the call of outrider_start to the first announcement, of some runs."""
    seconds = []
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE_ALL))
    wire.bind((LINK, 0))
    wire.settimeout(10)
    for _ in range(times):
        output = place.folder / "announcing/output"
        output.unlink(missing_ok=True)
        process = place.start("announcing", [host, "thread"])
        while not is_announcement(wire.recv(1 << 16)):
            pass
        seen = time.monotonic()
        lab.wait_until(lambda: "ready " in output.read_text(), 5)
        seconds.append(seen - int(re.search(r"ready (\d+)", output.read_text())[1]) / 1e9)
        place.stop(process)
        wire.setblocking(False)
        try:
            while wire.recv(1 << 16):  # its goodbyes
                pass
        except BlockingIOError:
            wire.settimeout(10)
    wire.close()
    return statistics.median(seconds)


def sizes(place, path):
    """kB of the file without symbols, and of its code and data as they are loaded."""
    stripped = place.folder / "stripped"
    subprocess.run(["strip", "-o", stripped, path], check=True)
    said = subprocess.run(["size", path], check=True, capture_output=True, text=True).stdout
    text, data = said.splitlines()[1].split()[:2]
    return stripped.stat().st_size >> 10, int(text) >> 10, int(data) >> 10


def dirty_kb(pid):
    """What it has written to: memory that is its own in any case."""
    rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"Private_Dirty: +(\d+)", rollup)[1])


def run(place, _):
    idle_bench.quiet_network(place)
    folder = place.build / "agent/embed"
    bare = compile_host(place, "bare", "-DBARE")
    host = compile_host(place, "host", f"-L{folder}", f"-Wl,-rpath,{folder}", "-l:liboutrider.so.0")
    socket_path = place.folder / "agent.sock"
    agent = idle_bench.start_agent(place)
    lab.wait_until(socket_path.exists)
    programs = [("without the library", [bare]), ("linked with it, no agent", [host, "linked"]),
                ("connected to an agent", [host, "connect", socket_path]),
                ("agent inside, fd", [host, "fd"]), ("agent inside, thread", [host, "thread"])]
    rows = []
    for number, (name, command) in enumerate(programs):
        process, _ = start(place, f"host{number}", command)
        time.sleep(SETTLE)
        rows.append((name, lab.status(process.pid, "VmRSS"), dirty_kb(process.pid)))
        place.stop(process)
    place.stop(agent)
    base = rows[0]
    lab.table(("program", "RSS kB", "written kB", "added RSS", "added written"),
              [(name, rss, dirty, rss - base[1], dirty - base[2]) for name, rss, dirty in rows])
    print()
    files = [("liboutrider.so", folder / "liboutrider.so.0.1.0"),
             ("outrider, the agent", place.build / "agent/outrider")]
    lab.table(("file", "stripped kB", "code kB", "data kB"), [(name, *sizes(place, path)) for name, path in files])
    symbols = subprocess.run(["nm", files[1][1]], capture_output=True, text=True, check=False).stdout
    holds = re.search(r" [Tt] outrider_start$", symbols, re.M)
    print(f"\nThe agent's program holds {'the library' if holds else 'nothing of agent/embed'}")
    print(f"First announcement on the wire: {announced_after(place, host) * 1000:.0f} ms after the call of "
          "outrider_start (median of 5)")
