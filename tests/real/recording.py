#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The picture of the README is what its commands print today: docs/record.py makes it again, into build/pictures, and
the rows of its terminals are those of docs/recording.svg. Numbers, times and the ends of ids may differ."""

import html
import re
import sys

import harness
from harness import TOP, check, equal

sys.path.insert(0, str(TOP / "docs"))
import record  # noqa: E402

WINDOW = re.compile(r"<g transform.*?</g>", re.S)
PIECE = re.compile(r'<text class="[^"]*"(?: style="[^"]*")? x="([\d.]+)" y="([\d.]+)"[^>]*>(.*?)</text>', re.S)


def terminals(picture):
    """{title: lines}. A row that fills its terminal goes on in the next one."""
    found = {}
    for window in WINDOW.findall(picture):
        rows = {}
        for x, y, text in PIECE.findall(window):
            rows.setdefault(float(y), []).append((float(x), html.unescape(text)))
        title, *rest = ("".join(text for _, text in sorted(rows[y])) for y in sorted(rows))
        lines = found[title] = []
        full = False
        for row in rest:
            if full:
                lines[-1] += row
            else:
                lines.append(row)
            full = len(row) == record.COLUMNS
    return found


def shape(line):
    """What does not depend on the time, the processes and the places."""
    line = re.sub(r"\b\d+:\d+:\d+(\.\d+)?", "TIME", line)
    line = re.sub(r"\b\d+(\.\d)?m?s\b", "Ns", line)
    line = line.replace(", next probe in Ns", "")  # for as long as that is a second away
    line = re.sub(r"(laptop-\d+)-[0-9a-z]{6}\b", r"\1-SUFFIX", line)
    return re.sub(r"\d+", "N", re.sub(r" +", " ", line.replace("$ ", "$", 1))).strip()


def scenario(world):
    harness.need("curl", "dig")
    record.TYPE_S, record.THINK_S = 0.0, 0.1
    committed = terminals((TOP / "docs/recording.svg").read_text(encoding="utf-8"))
    with world.step("the session of docs/record.py runs to its end", vital=True):
        picture = record.session(world)
        file = TOP / "build/pictures/recording.svg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(picture, encoding="utf-8")
    made = terminals(picture)
    equal(list(made), list(committed), "terminals")
    for title, lines in made.items():
        with world.step(f"{title}: the lines of docs/recording.svg") as say:
            wanted = [shape(line) for line in committed[title]]
            got = [shape(line) for line in lines]
            check(any(line.startswith("$") and len(line) > 1 for line in wanted), wanted)
            # Events of one moment may change places.
            logged = {True: [], False: []}
            for line in got:
                logged[line.startswith("TIME")].append(line)
            for is_logged, some in logged.items():
                other = [line for line in wanted if line.startswith("TIME") == is_logged]
                some, other = (sorted(some), sorted(other)) if is_logged else (some, other)
                equal(some, other, "lines; docs/record.py makes the picture again")
            say(f"{len(got)} lines")


if __name__ == "__main__":
    harness.main(scenario)
