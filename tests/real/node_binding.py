#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The npm package of bindings/node: packed, installed in a clean folder, and used against a real agent."""

import json
import os
import re
import shutil
import subprocess

import binding_contract
import harness
from harness import HERE, Skip, check, equal

PACKAGE = harness.TOP / "bindings/node"
MODULES = harness.TOP / "build/npm/node_modules"  # made by tests/real/run


def npm(folder, *words):
    made = subprocess.run(["npm", *words], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60, env={**os.environ, "HOME": str(folder), "npm_config_update_notifier": "false"})
    equal(made.returncode, 0, made.stderr)
    return made.stdout


def install(world):
    """The folder of a program that has the package installed."""
    app = world.dir / "app"
    app.mkdir()
    with world.step("npm packs the package, and installs it in a clean folder without a network", vital=True) as say:
        if not shutil.which("npm"):
            shutil.copytree(PACKAGE, app / "node_modules/outrider")
            raise Skip("npm is not installed")
        packed = json.loads(npm(app, "pack", "--json", "--pack-destination", str(app), str(PACKAGE)))[0]
        files = {file["path"] for file in packed["files"]}
        check({"index.js", "index.d.ts", "README.md", "LICENSE", "lib/client.js"} <= files, files)
        npm(app, "install", "--offline", "--no-audit", "--no-fund", str(app / packed["filename"]))
        say(f"{packed['filename']}, {packed['size']} octets")
    return app


def compile_types(app):
    """Starts the compiler, which takes its time."""
    tsc = MODULES / "typescript/bin/tsc"
    if not tsc.exists():
        return None
    shutil.copy(HERE / "clients/binding_types.ts", app / "types.ts")
    argv = ["node", tsc, "--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "--moduleResolution",
            "nodenext", "--typeRoots", MODULES / "@types", "--types", "node", "types.ts"]
    return subprocess.Popen(argv, cwd=app, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)


def types(world, compiler):
    with world.step("its types agree with a program that uses all of them (tsc)"):
        if compiler is None:
            raise Skip("typescript is not installed: tests/real/run does it where npm's registry is to be had")
        equal((compiler.communicate(timeout=60)[0], compiler.returncode), ("", 0), "tsc")


def scenario(world):
    harness.need("node", "curl")
    app = install(world)
    shutil.copy(HERE / "clients/binding.js", app)
    shutil.copytree(app / "node_modules/outrider/example", app / "example")
    compiler = compile_types(app)
    node = shutil.which("node")

    def start(host, prefix, env=None):
        return binding_contract.Driver(host, [*prefix, node, app / "binding.js"], env)

    world.dir.chmod(0o755)  # for the other user
    binding_contract.contract(world, start)
    host = binding_contract.examples(world, [node, app / "example/serve.js"], [node, app / "example/find.js"])
    with world.step("the program of the README runs as printed, also as a module"):
        program = binding_contract.readme("node", "js")
        wanted = rf"hello-\S+ is passing\nhttp://{host.ip4}:8000\n"
        for name, text in (("readme.js", program), ("readme.mjs", program.replace(
                "const {Client} = require('outrider');", "import {Client} from 'outrider';"))):
            said = host.run([node, binding_contract.write(app / name, text)])[1]
            check(re.fullmatch(wanted, said), f"{name}: {said}")
    types(world, compiler)


if __name__ == "__main__":
    harness.main(scenario)
