# SPDX-License-Identifier: Apache-2.0
"""The ground of the benchmarks: a network of their own, programs pinned to cores, CPU counted from /proc."""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

SERVER_CORE, LOAD_CORE = "0", "1"
ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tests/real"))

import harness  # noqa: E402


def build(folder, programs):
    """Quick when nothing has changed."""
    if not os.path.exists(os.path.join(folder, "build.ninja")):
        subprocess.run(["meson", "setup", folder, str(ROOT), "--buildtype=release", "-Db_lto=true",
                        "-Dbench=true", "-Dtests=false"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", folder, *programs], check=True, stdout=subprocess.DEVNULL)


def cpu_seconds(pid):
    """Of all threads of a process and of its children, to the nanosecond."""
    total = 0
    for process in [pid, *children(pid)]:
        for task in pathlib.Path(f"/proc/{process}/task").glob("*/schedstat"):
            try:
                total += int(task.read_text().split()[0])
            except (FileNotFoundError, ProcessLookupError):
                pass
    return total / 1e9


def children(pid):
    found = []
    for path in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        for child in path.read_text().split():
            found += [int(child), *children(int(child))]
    return found


def status(pid, key):
    """A number of /proc/PID/status, summed over the process and its children; kB for sizes."""
    total = 0
    for process in [pid, *children(pid)]:
        for path in pathlib.Path(f"/proc/{process}/task").glob("*/status") if "ctxt" in key else \
                [pathlib.Path(f"/proc/{process}/status")]:
            for line in path.read_text().splitlines():
                if line.startswith(key + ":"):
                    total += int(line.split()[1])
    return total


def private_kb(pid):
    """The resident memory that no other process maps."""
    total = 0
    for process in [pid, *children(pid)]:
        for line in pathlib.Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith(("Private_Clean:", "Private_Dirty:")):
                total += int(line.split()[1])
    return total


def busy_seconds():
    """CPU that everything on the two cores has taken."""
    ticks = 0
    for line in pathlib.Path("/proc/stat").read_text().splitlines():
        if line.startswith(("cpu0 ", "cpu1 ")):
            fields = [int(field) for field in line.split()[1:]]
            ticks += sum(fields[:3]) + sum(fields[5:8])
    return ticks / os.sysconf("SC_CLK_TCK")


class Lab:
    """A folder and the programs started in it; leaving it ends them."""

    def __init__(self, build_folder):
        self.build = pathlib.Path(build_folder).resolve()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="outrider-bench-"))
        self.folder.chmod(0o755)
        self.started = []

    def __enter__(self):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return self

    def __exit__(self, *_):
        for process in self.started:
            self.stop(process)
        harness.remove_folder(self.folder)

    def start(self, name, command, core=SERVER_CORE, env=None):
        """In a folder of its own, where it also leaves what it prints."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        with open(folder / "output", "wb") as output:
            process = subprocess.Popen(["taskset", "-c", core, *map(str, command)], cwd=folder, stdout=output,
                                       stderr=output, stdin=subprocess.DEVNULL, start_new_session=True,
                                       env={**os.environ, **(env or {})})
        self.started.append(process)
        return process

    def stop(self, process):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(3)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def load(self, command):
        """What a load generator prints, as {key: number}."""
        done = subprocess.run(["taskset", "-c", LOAD_CORE, *map(str, command)], check=True, capture_output=True,
                              text=True)
        return {key: float(value) for key, value in (pair.split("=") for pair in done.stdout.split())}


def wait_until(ready, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if ready():
            return True
        time.sleep(0.01)
    return False


def table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|---|" + "---:|" * (len(head) - 1))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
