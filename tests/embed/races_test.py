#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The tests of the library under ThreadSanitizer, with clang, in a tree of its own: building it takes minutes, so that
it is done only on demand.

  OUTRIDER_RACES=1 tests/embed/races_test.py BUILD    BUILD/races is the tree
"""

import os
import pathlib
import shutil
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
CLANGS = ("clang++-16", "clang++-17", "clang++-18", "clang++-19")  # earlier ones lack parts of C++20
BUILD_S, RUN_S = 3600, 600


def compiler():
    return next((name for name in CLANGS if shutil.which(name)), None)


def build(tree, cxx):
    tree.mkdir(exist_ok=True)
    if not (tree / "build.ninja").exists():
        options = ["--buildtype=plain", "-Doptimization=0", "-Db_sanitize=thread", "-Db_lundef=false",
                   "-Dcpp_args=-g1 -w"]
        subprocess.run(["meson", "setup", tree, TOP, *options], check=True, stdout=subprocess.DEVNULL,
                       env={**os.environ, "CXX": cxx})
    subprocess.run(["ninja", "-C", tree, "tests/embed/test_embed"], check=True, stdout=subprocess.DEVNULL,
                   timeout=BUILD_S)


def main():
    if not os.environ.get("OUTRIDER_RACES"):
        return skip("OUTRIDER_RACES=1 builds the library with ThreadSanitizer and runs its tests, which takes minutes")
    cxx = compiler()
    if not cxx:
        return skip("clang-16 and libclang-rt-16-dev are not installed")
    tree = pathlib.Path(sys.argv[1]).resolve() / "races"
    build(tree, cxx)
    done = subprocess.run([tree / "tests/embed/test_embed"], env={**os.environ, "TSAN_OPTIONS": "exitcode=66"},
                          capture_output=True, text=True, timeout=RUN_S, check=False)
    print(done.stdout, done.stderr)
    failed = int(done.returncode != 0)
    print(f"{1 - failed} passed, {failed} failed, 0 skipped")
    return failed


def skip(why):
    print(f"skipped the library under ThreadSanitizer: {why}")
    print("0 passed, 0 failed, 1 skipped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
