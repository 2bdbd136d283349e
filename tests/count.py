#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""count.py TREE: what the last `meson test` in the build tree TREE ran, in test cases rather than
in programs.

Prints a line for each program, the output of those that failed, and last `N passed, N failed, N
skipped`. Nothing is written by any of these:

count.py --known TREE [NAME...]   the names of the tests that the tree has, all or of these; without
                                  a tree they are read from the meson.build files
count.py --plain TREE [NAME...]   of these, those in the suite `plain`
count.py --targets TREE           what ninja has to build for the suite `plain` and for tests/real
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
TESTS = pathlib.Path(__file__).resolve().parent


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


def introspected(tree, what):
    """What meson has written into a build tree; empty without one."""
    try:
        return json.loads((tree / f"meson-info/intro-{what}.json").read_text())
    except OSError:
        return []


def is_plain(test):
    return any(suite.endswith(":plain") for suite in test["suite"])


def in_tree(tree):
    return [test["name"] for test in introspected(tree, "tests")]


def known(tree, names):
    return [name for name in in_tree(tree) or in_sources(TESTS) if not names or name in names]


def plain(tree, names):
    return [test["name"] for test in introspected(tree, "tests")
            if is_plain(test) and (not names or test["name"] in names)]


def targets(tree):
    """All but the programs of other unit tests."""
    wanted = {one for test in introspected(tree, "tests") if is_plain(test) for one in test["depends"]}
    for target in introspected(tree, "targets"):
        folder = pathlib.Path(target["defined_in"]).parent
        is_unit = folder.is_relative_to(TESTS) and folder != TESTS / "real"
        if target["build_by_default"] and (not is_unit or target["id"] in wanted):
            yield from (str(pathlib.Path(file).relative_to(tree.resolve())) for file in target["filename"])


def main(words):
    lists = {"--known": known, "--plain": plain}
    if words[0] in lists:
        for name in lists[words[0]](pathlib.Path(words[1]), words[2:]):
            print(name)
    elif words[0] == "--targets":
        for name in targets(pathlib.Path(words[1])):
            print(name)
    else:
        report(pathlib.Path(words[0]))


if __name__ == "__main__":
    main(sys.argv[1:])
