#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`outrider run`: a program, its port, its name, its end, as quickstart has them."""

import os
import pathlib
import signal
import time

import harness
from harness import check, equal

EXAMPLES = harness.TOP / "packaging/examples"
HELLO = ["python3", EXAMPLES / "hello.py"]
# Says what it gets, and takes a while to go, so that the order of things can be seen.
SLOW = """
import http.server, os, signal, sys, threading
server = http.server.HTTPServer(("", int(os.environ["PORT"])), http.server.SimpleHTTPRequestHandler)
def end(*_):
    print("told to end", flush=True)
    threading.Thread(target=server.shutdown).start()
signal.signal(signal.SIGTERM, end)
print("serving", os.environ["PORT"], flush=True)
server.serve_forever()
sys.exit(5)
"""
# Says which signals it gets, and ends with the first SIGTERM.
COUNTING = """
import os, signal, socket, sys, time
server = socket.create_server(("", int(os.environ["PORT"])))
def got(number, _):
    print("got", number, flush=True)
    if number == signal.SIGTERM:
        time.sleep(0.3)
        os._exit(3)
for number in (signal.SIGTERM, signal.SIGUSR1): signal.signal(number, got)
print("serving", flush=True)
while True: server.accept()[0].close()
"""


def child_of(program):
    return int(pathlib.Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text())


def scenario(world):
    a, b = world.host("a"), world.host("b")
    outrider = [world.outrider, "run", "--set", "lifecycle.drain=1s"]
    b.agent()
    seen = b.watch_dns("hello.svc", port=5370)

    with world.step("picks a port, starts the program, and answers for it", vital=True) as say:
        run = a.start("run", [*outrider, "--name", "hello", "--health", "/health", "--", *HELLO])
        look = [harness.PYTHON, EXAMPLES / "first_look.py", "127.0.0.55", 5370, "hello.svc"]
        said = a.run(look, timeout=15)[1]
        check("Hello from a, process" in said, said)
    with world.step("another host sees it"):
        seen.wait_line(f"^0 {a.ip4}$")
    with world.step("a program that is killed is gone for everybody at once; the status is its own") as say:
        since, begun = seen.mark(), time.monotonic()
        os.kill(child_of(run), signal.SIGKILL)
        say(f"{seen.wait_line('^0$', 2, since)[0] - begun:.3f} s")
        equal(run.wait(), 128 + signal.SIGKILL, "exit status")

    with world.step("SIGTERM: out of DNS first, then the program; its exit status is ours") as say:
        run = a.start("run", [*outrider, "--name", "hello", "--", "python3", "-c", SLOW])
        run.wait_line("^serving [0-9]+$")
        seen.wait_line(f"^0 {a.ip4}$", since=seen.mark() - 1)
        since = seen.mark()
        run.send(signal.SIGTERM)
        told, _ = run.wait_line("^told to end$")
        gone, _ = seen.wait_line("^0$", since=since)
        say(f"gone {told - gone:.3f} s before the program is told")
        check(gone < told, f"gone {gone}, told {told}")
        equal(run.wait(), 5, "exit status")
    with world.step("a second SIGTERM ends the drain; the program gets one, and what else is sent") as say:
        patient = [world.outrider, "run", "--set", "lifecycle.drain=30s", "--name", "hello"]
        run = a.start("run", [*patient, "--", "python3", "-c", COUNTING])
        run.wait_line("^serving$")
        seen.wait_line(f"^0 {a.ip4}$", since=seen.mark() - 1)
        run.send(signal.SIGUSR1)
        run.wait_line("^got 10$")
        since, begun = seen.mark(), time.monotonic()
        run.send(signal.SIGTERM)
        gone, _ = seen.wait_line("^0$", since=since)
        check("got 15" not in run.text(), "told before the drain was over")
        run.send(signal.SIGTERM)
        equal(run.wait(), 3, "exit status")
        say(f"{time.monotonic() - gone:.2f} s after it")
        equal(run.text().count("got 15"), 1, "SIGTERMs that reached the program")
    with world.step("a program that ends during the drain ends it") as say:
        run = a.start("run", [*patient, "--", "python3", "-c", COUNTING])
        run.wait_line("^serving$")
        seen.wait_line(f"^0 {a.ip4}$", since=seen.mark() - 1)
        run.send(signal.SIGTERM)
        run.wait_line("draining")
        begun = time.monotonic()
        os.kill(child_of(run), signal.SIGTERM)
        equal(run.wait(), 3, "exit status")
        say(f"{time.monotonic() - begun:.2f} s")
    with world.step("a program that cannot be started, and one that ends by itself"):
        status, said = a.outrider("run", "--", "/nowhere/program")
        check(status != 0 and "/nowhere/program" in said, f"{status}: {said}")
        equal(a.outrider("run", "--", "sh", "-c", "exit 7")[0], 7, "exit status")


if __name__ == "__main__":
    harness.main(scenario)
