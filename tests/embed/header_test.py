#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What programs in C and C++ get: the headers in every version of both languages, the layout of the structure, the
symbols, both ways to link, the programs in the header's first comment, the examples, and the manual page."""

import argparse
import difflib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import manual

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
HEADER = TOP / "include/outrider.h"
ABI = TOP / "tests/embed/outrider.abi"
MANUAL = TOP / "man/outrider.3"
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]
C_VERSIONS = ("c99", "c11", "c17")
CXX_VERSIONS = ("c++11", "c++14", "c++17", "c++20")
FUNCTIONS_MAX = 30

# Where members are on a 64-bit system: what a program of an earlier version relies on.
LAYOUT = {
    "size": 0, "name": 8, "config": 16, "socket": 24, "state_directory": 32, "uv_loop": 40, "log": 48, "closed": 56,
    "user": 64, "mode": 72, "flags": 76, "log_fd": 80, "timeout_ms": 84,
}
SIZE = 88
ERRORS = ("EINVAL", "ENOMEM", "ENOTFOUND", "EREFUSED", "ETIMEDOUT", "EWOULDBLOCK", "EWRONGTHREAD", "EFORKED",
          "ENOAGENT", "EPERM", "EFAILED", "ECLOSED")


def sanitizers_of(build):
    """A program is linked with those that its library was built with."""
    options = json.loads((build / "meson-info/intro-buildoptions.json").read_text())
    wanted = next(option["value"] for option in options if option["name"] == "b_sanitize")
    return [] if wanted == "none" else [f"-fsanitize={wanted}"]


class Bench:
    def __init__(self, build, folder):
        self.build, self.folder = build, folder
        self.library = build / "agent/embed"
        self.sanitizers = sanitizers_of(build)
        self.counts = {"passed": 0, "failed": 0, "skipped": 0}

    def step(self, what, body):
        try:
            body()
        except AssertionError as failure:
            self.counts["failed"] += 1
            print(f"FAILED {what}: {failure}", flush=True)
        except LookupError as missing:
            self.counts["skipped"] += 1
            print(f"skipped {what}: {missing}", flush=True)
        else:
            self.counts["passed"] += 1
            print(f"passed {what}", flush=True)

    def run(self, *argv, **options):
        done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, timeout=120, **options)
        assert done.returncode == 0, f"{' '.join(map(str, argv))}: {done.stdout}{done.stderr}"
        return done.stdout

    def compile(self, language, version, text, *options):
        compiler = os.environ.get("CC", "cc") if language == "c" else os.environ.get("CXX", "c++")
        return self.run(compiler, "-x", language, f"-std={version}", *WARNINGS, f"-I{TOP / 'include'}", "-", *options,
                        *self.sanitizers, input=text)


def functions():
    return sorted(re.findall(r"^OUTRIDER_API [^;]*?\b(outrider_\w+)\(", HEADER.read_text(), re.M))


def every_version(bench):
    text = "#include <outrider.h>\n"
    for version in C_VERSIONS:
        bench.compile("c", version, text, "-fsyntax-only")
    for version in CXX_VERSIONS:
        bench.compile("c++", version, text, "-fsyntax-only")
        bench.compile("c++", version, "#include <outrider.hpp>\n", "-fsyntax-only")


def layout(bench):
    rows = [f'_Static_assert(offsetof(outrider_options, {name}) == {at}, "{name}");' for name, at in LAYOUT.items()]
    rows.append(f'_Static_assert(sizeof(outrider_options) == {SIZE}, "size");')
    rows += [f'_Static_assert(OUTRIDER_{name} == {-number}, "{name}");' for number, name in enumerate(ERRORS, 1)]
    rows.append('_Static_assert(OUTRIDER_THREAD == 0 && OUTRIDER_FD == 1 && OUTRIDER_LOOP == 2, "modes");')
    bench.compile("c", "c11", "#include <outrider.h>\n" + "\n".join(rows) + "\n", "-fsyntax-only")


def symbols(bench):
    listed = sorted(re.findall(r"^    (outrider_\w+);", (TOP / "agent/embed/outrider.map").read_text(), re.M))
    assert listed == functions(), f"outrider.map and outrider.h differ: {set(listed) ^ set(functions())}"
    assert len(listed) <= FUNCTIONS_MAX, f"{len(listed)} functions"
    lines = bench.run("nm", "-D", "--defined-only", bench.library / "liboutrider.so").splitlines()
    found = sorted(line.split()[2] for line in lines if line.split()[1] != "A")
    assert found == [f"{name}@@OUTRIDER_0" for name in listed], f"exported: {found}"
    dynamic = bench.run("readelf", "-d", bench.library / "liboutrider.so")
    assert "[liboutrider.so.0]" in dynamic, "soname"


def abi(bench):
    """No release holds the library yet; ABI is what the first one will have. Built from the declarations: the compiler
    refuses definitions that differ."""
    if not shutil.which("abidiff"):
        raise LookupError("abigail-tools is not installed")
    declared = re.findall(r"^OUTRIDER_API ([^;]*);", HEADER.read_text(), re.M)
    bodies = [f"{each} {{ {'' if each.startswith('void ') else 'return 0;'} }}\n" for each in declared]
    library = bench.folder / "liboutrider.so.0"
    source = bench.folder / "declared.c"
    source.write_text("#include <outrider.h>\n" + "".join(bodies))
    bench.run("cc", "-std=c99", "-g", "-shared", "-fPIC", f"-I{TOP / 'include'}", source, "-o", library,
              "-Wl,-soname,liboutrider.so.0", f"-Wl,--version-script={TOP / 'agent/embed/outrider.map'}")
    if os.environ.get("OUTRIDER_WRITE_ABI"):
        bench.run("abidw", "--no-architecture", "--no-corpus-path", "--no-comp-dir-path", "--no-show-locs",
                  "--no-elf-needed", library, "--out-file", ABI)
    done = subprocess.run(["abidiff", "--no-architecture", "--no-added-syms", ABI, library], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, ("programs that are linked with the library would not run with this one (only if they "
                                  f"do: OUTRIDER_WRITE_ABI=1): {done.stdout}{done.stderr}")


def documented(_):
    """Each function of the header says what it is for; those that may fail say how."""
    text = HEADER.read_text()
    for name in functions():
        comment = re.search(r"/\* ((?:(?!\*/).)*)\*/\nOUTRIDER_API [^;]*\b" + name + r"\(", text, re.S)
        assert comment, f"{name} has no comment"


def pkg_config(bench, *options):
    if not shutil.which("pkg-config"):
        raise LookupError("no pkg-config")
    env = os.environ | {"PKG_CONFIG_PATH": str(bench.build / "meson-uninstalled")}
    return bench.run("pkg-config", *options, "outrider", env=env).split()


VERSION = "#include <outrider.h>\nint main(void) { return outrider_version() != OUTRIDER_VERSION_NUMBER; }\n"


def link_shared(bench):
    flags = pkg_config(bench, "--libs")
    program = bench.folder / "shared"
    bench.compile("c", "c99", VERSION, "-o", program, "-x", "none", *flags)
    bench.run(program, env={"LD_LIBRARY_PATH": str(bench.library)})


def link_static(bench):
    flags = [flag for flag in pkg_config(bench, "--libs", "--static") if flag != "-loutrider"]
    archive = bench.library / "archive/liboutrider.a"
    if not archive.exists():
        raise LookupError("liboutrider.a is not built")
    program = bench.folder / "static"
    bench.compile("c", "c99", VERSION, "-o", program, "-x", "none", archive, *flags)
    bench.run(program, env={})
    assert "liboutrider" not in bench.run("ldd", program), "it needs the shared library"


def programs():
    """Those in the first comment of the header."""
    lines = [line.removeprefix(" *").removeprefix("   ") for line in HEADER.read_text().split("*/")[0].splitlines()]
    found, current = [], None
    for line in lines:
        if line.startswith("#include <outrider.h>"):
            current = []
            found.append(current)
        if current is not None:
            current.append(line)
            if line == "}" and any("int main" in one for one in current):
                current = None
    return ["\n".join(one) + "\n" for one in found]


def manual_page(bench):
    old = MANUAL.read_text() if MANUAL.exists() else ""
    date = re.search(r"^\.Dd (.*)", old, re.M)
    new = manual.manual(HEADER.read_text(), programs(), date[1] if date else "November 28, 2026")
    if os.environ.get("OUTRIDER_WRITE_MAN"):
        MANUAL.write_text(new)
        old = new
    difference = "\n".join(difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=1))
    assert not difference, f"man/outrider.3 is not up to date (OUTRIDER_WRITE_MAN=1): {difference}"
    if not shutil.which("mandoc"):
        raise LookupError("no mandoc")
    bench.run("mandoc", "-T", "lint", "-W", "warning", MANUAL)


def build_programs(bench):
    texts = programs()
    assert len(texts) == 3, f"{len(texts)} programs"
    for number, text in enumerate(texts, 1):
        bench.compile("c", "c99", text, "-D_POSIX_C_SOURCE=200809L", "-o", bench.folder / f"program{number}", "-x",
                      "none", f"-L{bench.library}", "-loutrider")


def build_examples(bench, out):
    """They are run by tests/real/embedded.py."""
    out.mkdir(exist_ok=True)
    link = [f"-I{TOP / 'include'}", f"-L{bench.library}", f"-Wl,-rpath,{bench.library}"]
    for name, package in (("epoll.c", None), ("libuv.c", "libuv"), ("glib.c", "glib-2.0"), ("service.cc", None)):
        flags = []
        if package:
            if subprocess.run(["pkg-config", "--exists", package], check=False).returncode != 0:
                print(f"skipped {name}: no {package}")
                continue
            flags = bench.run("pkg-config", "--cflags", "--libs", package).split()
        compiler = ["cc", "-std=gnu99"] if name.endswith(".c") else ["c++", "-std=c++11"]
        bench.run(*compiler, "-Wall", "-Wextra", "-Werror", TOP / "examples" / name, "-o",
                  out / name.partition(".")[0], *link, "-loutrider", *flags, *bench.sanitizers)
    for number, text in enumerate(programs(), 1):
        bench.compile("c", "c99", text, "-D_POSIX_C_SOURCE=200809L", "-o", out / f"program{number}", "-x", "none",
                      *link, "-loutrider")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--examples", type=pathlib.Path, help="only builds the examples, into this folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(arguments.build.resolve(), pathlib.Path(folder))
        if arguments.examples:
            build_examples(bench, arguments.examples)
            return 0
        bench.step("the headers compile in every version of C and C++", lambda: every_version(bench))
        bench.step("members and errors are where they were", lambda: layout(bench))
        bench.step("the library exports the functions of the header, and nothing else", lambda: symbols(bench))
        bench.step("programs of an earlier version run with it (abidiff)", lambda: abi(bench))
        bench.step("each function is documented", lambda: documented(bench))
        bench.step("a program links the shared library with one line", lambda: link_shared(bench))
        bench.step("a program links the static library with one line", lambda: link_static(bench))
        bench.step("the manual page says what the header says", lambda: manual_page(bench))
        bench.step("the programs in the header's comment are built", lambda: build_programs(bench))
        bench.step("the examples are built", lambda: build_examples(bench, bench.folder / "examples"))
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**bench.counts))
    return 1 if bench.counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
