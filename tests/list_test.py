#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""list_test.py TREE: `./test --list` reads and does nothing else, and `need-packages` removes nothing.

The last line is `N passed, N failed, N skipped`.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import count

TOP = pathlib.Path(__file__).resolve().parent.parent
# What would install, build or ask the system.
TOOLS = ("apt-get", "sudo", "dpkg-query", "meson", "ninja", "cc", "c++")


def tools(folder, says=""):
    """Programs that write down how they are called, in front of the real ones."""
    folder.mkdir()
    for name in TOOLS:
        (folder / name).write_text(f'#!/bin/sh\necho "{name} $*" >>{folder}/calls\n{says}\n')
        (folder / name).chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "PYTHONDONTWRITEBYTECODE": "1"}


def calls(folder):
    file = folder / "calls"
    return file.read_text().splitlines() if file.exists() else []


def tree_of(folder):
    return sorted(str(path) for path in folder.rglob("*"))


def sources_name_every_test(scratch, build):
    """The names in the meson.build files are those that meson knows; sanitizers leave some tests out."""
    named, known = sorted(count.in_sources(TOP / "tests")), sorted(count.in_tree(build))
    options = json.loads((pathlib.Path(build) / "meson-info/intro-buildoptions.json").read_text())
    if any(option["name"] == "b_sanitize" and option["value"] != "none" for option in options):
        named = [name for name in named if name in known]
    assert named == known


def list_reads_only(scratch, build):
    """Without a build tree ./test --list prints all names, calls no tool and writes nothing."""
    copy = scratch / "copy"
    copy.mkdir()
    shutil.copy(TOP / "test", copy)
    for folder in ("tests", "packaging"):
        shutil.copytree(TOP / folder, copy / folder, symlinks=True,
                        ignore=shutil.ignore_patterns("corpus", "vectors", "__pycache__"))
    env, before = tools(scratch / "tools"), tree_of(copy)
    done = subprocess.run([copy / "test", "--list"], env=env, capture_output=True, text=True, check=True)
    names = done.stdout.splitlines()
    assert set(count.in_tree(build)) <= set(names), done.stdout
    assert "two_hosts" in names, done.stdout
    assert calls(scratch / "tools") == [], calls(scratch / "tools")
    assert tree_of(copy) == before


def installing_removes_nothing(scratch, build):
    """Each apt-get install has --no-remove, and a failure of it is passed on."""
    (scratch / "wanted.txt").write_text("no-such-package\n")
    for name, status in (("good", 0), ("bad", 1)):
        folder = scratch / name
        env = tools(folder, f'case "$0 $*" in *apt-get*install*) exit {status} ;; esac')
        if os.geteuid() != 0:  # sudo -> sh -c
            (folder / "sudo").write_text('#!/bin/sh\nexec "$@"\n')
        done = subprocess.run([TOP / "packaging/need-packages", scratch / "wanted.txt"], env=env,
                              capture_output=True)
        installs = [call for call in calls(folder) if " install " in call]
        assert installs and all(" --no-remove " in call for call in installs), calls(folder)
        assert (done.returncode == 0) == (status == 0), done
    said = (TOP / "packaging/need-packages").read_text().splitlines()
    assert all("--no-remove" in line for line in said if "apt-get install" in line)


def main():
    build = pathlib.Path(sys.argv[1])
    passed = failed = 0
    for test in (sources_name_every_test, list_reads_only, installing_removes_nothing):
        with tempfile.TemporaryDirectory() as scratch:
            try:
                test(pathlib.Path(scratch), build)
                passed += 1
            except (AssertionError, subprocess.CalledProcessError) as failure:
                failed += 1
                print(f"FAIL {test.__doc__} {failure}")
    print(f"{passed} passed, {failed} failed, 0 skipped")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
