#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The Python package of bindings/python: installed by pip without a network, connected to a real agent from threads
and from asyncio, and with an agent of the program's own."""

import os
import pathlib
import re
import shutil
import subprocess

import binding_contract
import harness
from harness import HERE, PYTHON, Skip, check, equal

PACKAGE = harness.TOP / "bindings/python"
# A parent and a forked child, which may not say goodbye for its parent.
FORKED = """
import os, sys, outrider
with outrider.start("forker") as agent:
    registration = agent.register({"name": "forked", "port": 83})
    child = os.fork()
    if child == 0:
        for call in agent.list, registration.deregister:
            try:
                call()
            except outrider.ForkedError as error:
                print(f"child: {error}", flush=True)
        agent.close()
        os._exit(0)
    os.waitpid(child, 0)
    print("parent:", *(one.health for one in agent.get("forked")), flush=True)
    sys.stdin.read()
print("closed", flush=True)
"""


def install(world):
    site = world.dir / "site"
    with world.step("pip installs the package from its folder without a network", vital=True):
        if harness.run([PYTHON, "-m", "pip", "--version"], may_fail=True)[0] != 0:
            shutil.copytree(PACKAGE / "outrider", site / "outrider")
            raise Skip("python3-pip is not installed")
        words = ["install", "--quiet", "--no-index", "--no-cache-dir", "--disable-pip-version-check"]
        words += ["--root-user-action=ignore", "--target", str(site), str(PACKAGE)]
        made = subprocess.run([PYTHON, "-m", "pip", *words], capture_output=True, text=True, timeout=60,
                              env={**os.environ, "HOME": str(world.dir)}, stdin=subprocess.DEVNULL)
        equal((made.returncode, made.stderr), (0, ""), made.stdout)
        check((site / "outrider/py.typed").exists(), "py.typed")
        check(not (PACKAGE / "build").exists(), "pip has left something behind")
    return site


def start_mypy(world, site):
    """It takes its time."""
    argv = ["mypy", "--strict", "--cache-dir", world.dir / "mypy", site / "outrider"]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) if shutil.which("mypy") else None


def types(world, mypy):
    with world.step("mypy finds nothing to complain about, with --strict"):
        if mypy is None:
            raise Skip("mypy is not installed (tests/packages-optional.txt)")
        said = mypy.communicate(timeout=100)[0]
        equal(mypy.returncode, 0, said)


def embedded(world, host, env):
    with world.step("an agent of the program's own announces on the LAN; a forked child cannot use it"):
        other = world.host("d")
        other.agent(binding_contract.CONFIG).wait_line("event=api_listening")
        program = host.start("forked", [PYTHON, "-c", FORKED], env=env, stdin=subprocess.PIPE)
        program.wait_line("^child: the agent belongs to the parent process$")
        program.wait_line("^parent: passing$")
        harness.wait_for("the other host finds it", lambda: other.dig("forked.svc").data("A") == [host.ip4])
        program.popen.stdin.close()
        program.wait_line("^closed$")
        harness.wait_for("it has said goodbye", lambda: other.dig("forked.svc").data("A") == [])


def scenario(world):
    harness.need("curl")
    library = pathlib.Path(world.outrider).parent / "embed"
    if not (library / "liboutrider.so.0").exists():
        raise Skip(f"{library}/liboutrider.so.0 is not built")
    site = install(world)
    mypy = start_mypy(world, site)
    world.dir.chmod(0o755)  # for the other user
    paths = {"PYTHONPATH": str(site), "LD_LIBRARY_PATH": str(library), "PYTHONDONTWRITEBYTECODE": "1"}

    def start(host, prefix, env=None, face="threads"):
        argv = [*prefix, PYTHON, HERE / "clients/binding.py", face]
        return binding_contract.Driver(host, argv, {**paths, **(env or {})})

    binding_contract.contract(world, start, connects=True)
    host = world.host("e")
    with world.step("asyncio: the same calls in the program's loop"):
        agent = host.agent(binding_contract.CONFIG)
        agent.wait_line("event=api_listening")
        driver = start(host, [], face="asyncio")
        binding_contract.watch_both(driver)
    binding_contract.finding(world, host, driver)
    binding_contract.health(world, host, driver)
    binding_contract.renewals(world, host, agent, driver)
    agent = binding_contract.restarts(world, host, agent, driver)
    binding_contract.endings(world, host, agent, driver)

    serve, find = ([PYTHON, PACKAGE / "example" / name] for name in ("serve.py", "find.py"))
    host = binding_contract.examples(world, serve, find, env=paths)
    embedded(world, host, paths)
    with world.step("the programs of the README run as printed, connected and with an agent of their own"):
        text = (PACKAGE / "README.md").read_text()
        programs = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        equal(len(programs), 2, "programs")
        check(len(programs[0].splitlines()) <= 10, "ten lines")
        for place in (host, world.host("f")):
            said = place.run([PYTHON, "-c", programs[0]], env=paths)[1]
            check(re.fullmatch(rf"hello-\S+ is passing\nhttp://{place.ip4}:8000\n", said), said)
            equal(place.run([PYTHON, "-c", programs[1]], env=paths)[1], f"1 http://{place.ip4}:8000\n", "asyncio")
    types(world, mypy)


if __name__ == "__main__":
    harness.main(scenario)
