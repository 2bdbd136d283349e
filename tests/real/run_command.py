#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`outrider run`: a program, its port, its name, its end, as quickstart has them."""

import fcntl
import os
import pathlib
import pty
import signal
import termios
import time

import harness
from harness import check, equal
from notify import Manager

EXAMPLES = harness.TOP / "packaging/examples"
HELLO = ["python3", EXAMPLES / "hello.py"]
# Each line in one piece, as the log writes to the same place.
SAY = """
import os
def say(text): os.write(1, f"{text}\\n".encode())
"""
# Says what it gets, and takes a while to go, so that the order of things can be seen.
SLOW = SAY + """
import http.server, os, signal, sys, threading
server = http.server.HTTPServer(("", int(os.environ["PORT"])), http.server.SimpleHTTPRequestHandler)
def end(*_):
    say("told to end")
    threading.Thread(target=server.shutdown).start()
signal.signal(signal.SIGTERM, end)
say("serving " + os.environ["PORT"])
server.serve_forever()
sys.exit(5)
"""
# Says which signals it gets, and ends with the first SIGTERM.
COUNTING = SAY + """
import os, signal, socket, sys, threading, time
server = socket.create_server(("", int(os.environ["PORT"])))
def read():
    for line in sys.stdin: say("read " + line.strip())
threading.Thread(target=read, daemon=True).start()
def got(number, _):
    say(f"got {number}")
    if number == signal.SIGTERM:
        time.sleep(0.3)
        os._exit(3)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1): signal.signal(number, got)
say("serving")
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
        systemd = Manager(a.dir / "notify")
        run = a.start("run", [*outrider, "--name", "hello", "--", "python3", "-c", SLOW],
                      env={"NOTIFY_SOCKET": systemd.path})
        run.wait_line("^serving [0-9]+$")
        seen.wait_line(f"^0 {a.ip4}$", since=seen.mark() - 1)
        since = seen.mark()
        run.send(signal.SIGTERM)
        told, _ = run.wait_line("^told to end")
        gone, _ = seen.wait_line("^0$", since=since)
        say(f"gone {told - gone:.3f} s before the program is told")
        check(gone < told, f"gone {gone}, told {told}")
        equal(run.wait(), 5, "exit status")
        times = [int(state["EXTEND_TIMEOUT_USEC"]) / 1e6 for _, state in systemd.all("EXTEND_TIMEOUT_USEC")]
        check(len(times) == 2 and times[1] > 10, f"the program has ten seconds, of which systemd heard {times}")
    with world.step("a second SIGTERM ends the drain; the program gets one, and what else is sent") as say:
        patient = [world.outrider, "run", "--set", "lifecycle.drain=30s", "--name", "hello"]
        run = a.start("run", [*patient, "--", "python3", "-c", COUNTING])
        run.wait_line("^serving$")
        seen.wait_line(f"^0 {a.ip4}$", since=seen.mark() - 1)
        for number in (signal.SIGUSR1, signal.SIGHUP):
            run.send(number)
            run.wait_line(f"^got {number}$")
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
        run.wait_line("agent_draining")
        begun = time.monotonic()
        os.kill(child_of(run), signal.SIGTERM)
        equal(run.wait(), 3, "exit status")
        say(f"{time.monotonic() - begun:.2f} s")
    with world.step("Ctrl-C at a terminal: out of DNS at once; the program, which has it too, gets no second") as say:
        keys, terminal = pty.openpty()
        run = a.start("run", [*outrider, "--name", "hello", "--", "python3", "-c", COUNTING], stdin=terminal,
                      preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY))
        os.close(terminal)
        run.wait_line("^serving$")
        seen.wait_line(f"^0 {a.ip4}$", since=seen.mark() - 1)
        os.write(keys, b"hello\n")
        run.wait_line("^read hello$")
        since = seen.mark()
        os.write(keys, b"\3")
        pressed, _ = run.wait_line("^got 2$")
        gone, _ = seen.wait_line("^0$", since=since)
        told, _ = run.wait_line("^got 15$")
        say(f"gone after {1000 * (gone - pressed):.0f} ms, asked to end after {told - pressed:.2f} s")
        check(told - pressed > 0.9, "asked to end before the drain was over")
        equal(run.wait(), 3, "exit status")
        equal(run.text().count("got 2"), 1, "SIGINTs that reached the program")
        os.close(keys)
    with world.step("a signal that comes at the very start still ends both"):
        for _ in range(5):
            status, said = a.outrider("run", "--", "sh", "-c", "kill $PPID; exec sleep 60")
            equal(status, 128 + signal.SIGTERM, f"exit status: {said}")
    with world.step("a program that cannot be started, and one that ends by itself"):
        status, said = a.outrider("run", "--", "/nowhere/program")
        check(status != 0 and "/nowhere/program" in said, f"{status}: {said}")
        equal(a.outrider("run", "--", "sh", "-c", "exit 7")[0], 7, "exit status")


if __name__ == "__main__":
    harness.main(scenario)
