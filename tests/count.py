#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""count.py TREE: what the last `meson test` in the build tree TREE ran, in test cases rather than
in programs.

Prints a line for each program, the output of those that failed, and last `N passed, N failed, N
skipped`. count.py --known TREE [NAME...]: the names of the tests that the tree has, all or of
these.
"""

import json
import pathlib
import re
import subprocess
import sys

DOCTEST = re.compile(
    r"test cases:\s*\d+\s*\|\s*(\d+) passed\s*\|\s*(\d+) failed\s*\|\s*(\d+) skipped"
)
OWN = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", re.MULTILINE)
SHOWN_LINES = 60


def counts(run):
    """Passed, failed, skipped of one program."""
    if run["result"] == "SKIP":
        return 0, 0, 1
    said = DOCTEST.findall(run.get("stdout", "")) or OWN.findall(run.get("stdout", ""))
    passed, failed, skipped = (int(number) for number in said[-1]) if said else (1, 0, 0)
    if run["result"] not in ("OK", "EXPECTEDFAIL"):
        # A program that crashed, hung or was told off by a sanitizer failed, whatever it counted
        # until then.
        passed, failed = (passed, max(failed, 1)) if said else (0, 1)
    return passed, failed, skipped


def report(tree):
    total = [0, 0, 0]
    for line in (tree / "meson-logs" / "testlog.json").read_text().splitlines():
        run = json.loads(line)
        these = counts(run)
        total = [sum(pair) for pair in zip(total, these)]
        name = run["name"].split(" / ")[-1]
        words = [f"{n} {word}" for n, word in zip(these, ("passed", "failed", "skipped")) if n]
        print(f"{name:<24} {', '.join(words):<32} {run['duration']:6.1f} s")
        output = (run.get("stdout", "") + run.get("stderr", "")).splitlines()
        if these[1]:
            print(f"   {run['result']}, exit status {run['returncode']}")
            print("\n".join("   " + text for text in output[-SHOWN_LINES:]))
        elif these[2]:
            print("\n".join("   " + text for text in output if "skip" in text.lower()))
    print("{} passed, {} failed, {} skipped".format(*total))


def known(tree, names):
    tests = json.loads(subprocess.check_output(["meson", "introspect", "--tests", tree]))
    for test in tests:
        if not names or test["name"] in names:
            print(test["name"])


if __name__ == "__main__":
    if sys.argv[1] == "--known":
        known(sys.argv[2], sys.argv[3:])
    else:
        report(pathlib.Path(sys.argv[1]))
