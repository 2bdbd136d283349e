# SPDX-License-Identifier: Apache-2.0
"""bench/run faults: the fault campaign of tests/real as a table: until right again, and what was wrong meanwhile."""

import pathlib
import re
import subprocess
import sys

PROGRAMS = ["agent/outrider"]
CAMPAIGN = pathlib.Path(__file__).resolve().parent.parent / "tests/real/fault_campaign.py"
LINE = re.compile(r"  (ok|FAIL) +[\d.]+ s (\w+): (.*?)(?: \((.*)\))?$")
NOTICED, RIGHT = re.compile(r"noticed after ([\d.]+) s"), re.compile(r"right after ([\d.]+) s, wrong for ([\d.]+) s")
ANSWERS = re.compile(r"answers (\[.*\])")


def row(room, name, note):
    def found(pattern, group=1):
        match = pattern.search(note)
        return match[group] if match else ""

    return f"| {room}: {name} | {found(NOTICED)} | {found(RIGHT)} | {found(RIGHT, 2)} | {found(ANSWERS)} |"


def run(options):
    print("| fault | noticed after s | right again after s | wrong for s | answers meanwhile |")
    print("|---|---:|---:|---:|---|", flush=True)
    argv = [sys.executable, CAMPAIGN, "--long", "--outrider", pathlib.Path(options.build) / "agent/outrider",
            *options.words]
    last = ""
    with subprocess.Popen([str(word) for word in argv], stdout=subprocess.PIPE, text=True) as campaign:
        for line in campaign.stdout:
            match = LINE.match(line.rstrip())
            if match and match[1] == "ok":
                print(row(match[2], match[3], match[4] or ""), flush=True)
            elif match:
                print(f"| {match[2]}: {match[3]} | | not as it should be | | |", flush=True)
            elif line.startswith("      "):
                print(f"  {line.strip()}", flush=True)
            last = line
    print(f"\n{last}", end="")
