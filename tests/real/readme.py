#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The commands in the README's section "Three uses", run as printed, one after another, on a host of their own. What
they print is compared with what stands there; numbers, addresses and the ends of ids may differ."""

import re
import signal

import harness
from harness import TOP, Failed, check, equal

SECTION = re.compile(r"^## Three uses\n(.*?)^## ", re.M | re.S)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
HOST = "vm"  # as the README has it
CONFIG = "shop.json"


def steps(block):
    """(command, what it prints) of a block."""
    found = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((re.sub(r" {2,}# .*", "", line[2:]), []))
        else:
            found[-1][1].append(line)
    return found


def shape(text):
    """What does not depend on the host and the time."""
    text = re.sub(r"\b\d+\.\d+\.\d+\.\d+\b", "ADDRESS", text.strip())
    text = re.sub(r"-[0-9a-z]{6}\b", "-SUFFIX", text)
    text = re.sub(r" {2,}", "  ", re.sub(r"\d+", "N", text))
    return re.sub(r" +$", "", text, flags=re.M)


class Shell:
    """A shell with job control; what is in the background goes to its end."""

    def __init__(self, host, folder):
        self.host, self.folder, self.jobs = host, folder, []
        self._number = 0

    def run(self, command, wanted):
        if command.endswith(" &"):
            # Its own process group, as a job of an interactive shell has.
            argv = ["sh", "-c", "exec " + self._known(command[:-2])]
            self.jobs.append(self.host.start(f"job{len(self.jobs) + 1}", argv, cwd=self.folder))
        elif job := re.fullmatch(r"kill %(\d)", command):
            self.jobs[int(job[1]) - 1].stop(signal.SIGTERM)
        elif wanted:
            harness.wait_for(f"{wanted!r}", lambda: self._prints(command, wanted))
        else:
            status, text = self.host.run(["sh", "-c", self._known(command)], may_fail=True)
            equal(status, 0, f"{command}: {text}")

    def _known(self, command):
        """`sudo` is not needed, and PORT=1 cannot be executed."""
        command = command.removeprefix("sudo ")
        return "env " + command if re.match(r"[A-Z]+=", command) else command

    def _prints(self, command, wanted):
        line = f"cd {self.folder} && {self._known(command)} 2>/dev/null"
        self.said = self.host.run(["sh", "-c", line], may_fail=True)[1]
        said, wanted = shape(self.said).splitlines(), shape("\n".join(wanted)).splitlines()
        return said[:len(wanted)] == wanted


def prepare(host, world):
    """A folder with what the commands name, and what they change as the host's own."""
    folder = host.dir / "home"
    (folder / "packaging").mkdir(parents=True)
    (folder / "packaging/examples").symlink_to(TOP / "packaging/examples")
    (host.dir / "bin").mkdir()
    (host.dir / "bin/outrider").symlink_to(world.outrider)
    host.env["PATH"] = f"{host.dir}/bin:{host.env['PATH']}"
    host.run(["mount", "-t", "tmpfs", "tmpfs", "/var/lib"])
    host.env["OUTRIDER_LIFECYCLE_DRAIN"] = "0s"  # no client keeps an address
    (host.dir / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    return folder


def scenario(world):
    harness.need("curl", "dig")
    host = world.host(HOST)
    folder = prepare(host, world)
    section = SECTION.search((TOP / "README.md").read_text())[1]
    blocks = BLOCK.findall(section)
    check(sum(kind == "console" for kind, _ in blocks) >= 3, blocks)
    for kind, block in blocks:
        if kind == "json":
            (folder / CONFIG).write_text(block)
            continue
        shell = Shell(host, folder)
        for command, wanted in steps(block):
            with world.step(command):
                try:
                    shell.run(command, wanted)
                except Failed as why:
                    raise Failed(f"{why}; it printed: {getattr(shell, 'said', '')}") from None
        for job in reversed(shell.jobs):
            if job.popen.poll() is None:
                job.stop(signal.SIGTERM)


if __name__ == "__main__":
    harness.main(scenario)
