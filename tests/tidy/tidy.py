#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tidy.py ROOT: what the compiler and clang-format do not see: layers, owners of libraries, banned words, shape.

Each finding is `path:line: [rule] what, and where it belongs`. Last comes `N passed, N failed, N skipped`, in rules.
"""

import sys

from rules import RULES
from source import read_tree


def main():
    sources = list(read_tree(sys.argv[1])) if len(sys.argv) == 2 else []
    if not sources:
        print("usage: tidy.py ROOT")
        return 2
    failed = 0
    for rule in RULES:
        findings = list(rule(sources))
        failed += bool(findings)
        for path, line, what in findings:
            print(f"{path}:{line}: [{rule.__name__}] {what}")
    print(f"{len(RULES) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
