#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The Go module of bindings/go: built with the standard library alone, and used against a real agent."""

import os
import pathlib
import re
import shutil
import subprocess

import binding_contract
import harness
from harness import HERE, Skip, check, equal

MODULE = harness.TOP / "bindings/go"
MOD = """module try

go 1.19

require outrider v0.0.0

replace outrider => {}
"""


class Builder:
    """Builds programs that require the module, without a network."""

    def __init__(self, world):
        if not shutil.which("go"):
            raise Skip("golang-go is not installed (tests/packages.txt)")
        self.folder = world.dir / "go"
        cache = pathlib.Path(os.environ.get("GOCACHE", pathlib.Path.home() / ".cache/go-build"))
        self.env = {**os.environ, "GO111MODULE": "on", "GOPROXY": "off", "GOFLAGS": "-buildvcs=false",
                    "CGO_ENABLED": "0", "GOCACHE": str(cache), "GOPATH": str(self.folder / "path")}

    def go(self, folder, *words):
        made = subprocess.run(["go", *words], cwd=folder, env=self.env, capture_output=True, text=True, timeout=240)
        equal((made.returncode, made.stderr), (0, ""), " ".join(map(str, words)))
        return made.stdout

    def program(self, name, source):
        folder = self.folder / name
        folder.mkdir(parents=True)
        (folder / "go.mod").write_text(MOD.format(MODULE))
        (folder / "main.go").write_text(source)
        self.go(folder, "build", "-o", name, ".")
        return folder / name


def readme_program():
    body = "".join(f"\t{line}\n" for line in binding_contract.readme("go", "go").splitlines())
    imports = "".join(f'\t"{name}"\n' for name in ("context", "fmt", "log", "outrider"))
    return f"package main\n\nimport (\n{imports})\n\nfunc main() {{\n{body}}}\n"


def scenario(world):
    harness.need("curl")
    builder = Builder(world)
    with world.step("the module and a program that requires it build with the standard library alone", vital=True):
        driver = builder.program("binding", (HERE / "clients/binding.go").read_text())
        equal(builder.go(MODULE, "vet", "./..."), "", "go vet")
        equal(builder.go(MODULE, "list", "-m", "all"), "outrider\n", "modules")
        if shutil.which("gofmt"):
            equal(harness.run(["gofmt", "-l", str(MODULE)])[1], "", "gofmt")
        for name in ("serve", "find"):
            builder.go(MODULE, "build", "-o", builder.folder / name, f"./example/{name}")

    def start(host, prefix, env=None):
        return binding_contract.Driver(host, [*prefix, driver], env)

    world.dir.chmod(0o755)  # for the other user
    binding_contract.contract(world, start)
    host = binding_contract.examples(world, [builder.folder / "serve"], [builder.folder / "find"])
    with world.step("the program of the README runs as printed"):
        said = host.run([builder.program("readme", readme_program())])[1]
        check(re.fullmatch(rf"1 <nil>\nhttp://{host.ip4}:8000 <nil>\n", said), said)


if __name__ == "__main__":
    harness.main(scenario)
