#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""count.py TREE: what the last `meson test` in the build tree TREE ran, in test cases rather than
in programs.

Prints a line for each program, the output of those that failed, and last `N passed, N failed, N
skipped`. count.py --known TREE [NAME...]: the names of the tests that the tree has, all or of
these. Without a tree they are read from the meson.build files. Nothing is written.
"""

import json
import pathlib
import re
import sys

DOCTEST = re.compile(
    r"test cases:\s*\d+\s*\|\s*(\d+) passed\s*\|\s*(\d+) failed\s*\|\s*(\d+) skipped"
)
OWN = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", re.MULTILINE)
# What tests/support/skip.h prints: doctest counts such a case as passed.
SKIPPED = re.compile(r"^skipped: ", re.MULTILINE)
SHOWN_LINES = 60


def counts(run):
    """Passed, failed, skipped of one program."""
    if run["result"] == "SKIP":
        return 0, 0, 1
    said = DOCTEST.findall(run.get("stdout", "")) or OWN.findall(run.get("stdout", ""))
    passed, failed, skipped = (int(number) for number in said[-1]) if said else (1, 0, 0)
    unsaid = len(SKIPPED.findall(run.get("stdout", "")))
    passed, skipped = passed - min(unsaid, passed), skipped + unsaid
    if run["result"] not in ("OK", "EXPECTEDFAIL"):
        # A program that crashed, hung or was told off by a sanitizer failed, whatever it counted
        # until then.
        passed, failed = (passed, max(failed, 1)) if said else (0, 1)
    return passed, failed, skipped


def report(tree):
    total = [0, 0, 0]
    log = tree / "meson-logs" / "testlog.json"
    if not log.exists():
        print((tree / "test.log").read_text() if (tree / "test.log").exists() else "no test ran")
        print("0 passed, 1 failed, 0 skipped")
        return
    for line in log.read_text().splitlines():
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


def in_sources(folder):
    """The names in the meson.build files below a folder, in no order."""
    for file in sorted(folder.rglob("meson.build")):
        text = file.read_text()
        yield from re.findall(r"^\s*test\('([^']+)',", text, re.MULTILINE)
        # Tests made in a loop over rows, or over a dictionary.
        for prefix in re.findall(r"^\s*test\('([^']+)' \+ name,", text, re.MULTILINE):
            yield from (prefix + row for row in re.findall(r"^\s*\['(\w+)', \[", text, re.MULTILINE))
        if re.search(r"^\s*test\(title,", text, re.MULTILINE):
            yield from re.findall(r"^\s*'([^']+)': files\(", text, re.MULTILINE)


def in_tree(tree):
    """The names that meson has written into a build tree; none without one."""
    try:
        return [test["name"] for test in json.loads((tree / "meson-info/intro-tests.json").read_text())]
    except OSError:
        return []


def known(tree, names):
    for name in in_tree(tree) or in_sources(pathlib.Path(__file__).resolve().parent):
        if not names or name in names:
            print(name)


if __name__ == "__main__":
    if sys.argv[1] == "--known":
        known(pathlib.Path(sys.argv[2]), sys.argv[3:])
    else:
        report(pathlib.Path(sys.argv[1]))
