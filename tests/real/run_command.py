#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`outrider run`: a program, its port, its name, its end, as quickstart has them."""

import fcntl
import os
import pathlib
import pty
import re
import shutil
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
# Says which signals it gets, and ends 0.3 s after the first SIGTERM. It waits for them instead of
# handling them: a handler can be interrupted by the next one before it has said anything.
COUNTING = SAY + """
import os, signal, socket, sys, threading, time
signals = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
server = socket.create_server(("", int(os.environ["PORT"])))
def accept():
    while True: server.accept()[0].close()
def read():
    for line in sys.stdin: say("read " + line.strip())
for thread in (accept, read): threading.Thread(target=thread, daemon=True).start()
say("serving")
end = None
while end is None or time.monotonic() < end:
    got = signal.sigtimedwait(signals, 3600 if end is None else max(0, end - time.monotonic()))
    if got: say(f"got {got.si_signo}")
    if got and got.si_signo == signal.SIGTERM and end is None: end = time.monotonic() + 0.3
os._exit(3)
"""


# Never healthy; cleans up for two seconds.
CLEANING = SAY + """
import os, signal, time
def end(*_):
    time.sleep(2)
    say("clean")
    os._exit(9)
signal.signal(signal.SIGINT, end)
say("working")
while True: signal.pause()
"""
DAEMON = "echo daemon $$; exec sleep 1000"


def wait_main(pid, until):
    """Until this process has ended its dynamic linking: it holds SIGHUP back, or `until` if later."""
    held = 1 << (signal.SIGHUP - 1)
    def ready():
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        masks = dict(re.findall(r"^(Sig\w+):\t(\w+)$", status, re.MULTILINE))
        return (int(masks["SigBlk"], 16) | int(masks["SigCgt"], 16)) & held and time.monotonic() >= until
    harness.wait_for("the start of the agent", ready)


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
        os.kill(harness.child_of(run.pid), signal.SIGKILL)
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
        os.kill(harness.child_of(run.pid), signal.SIGTERM)
        equal(run.wait(), 3, "exit status")
        say(f"{time.monotonic() - begun:.2f} s")
    def at_terminal(name, argv):
        keys, terminal = pty.openpty()
        run = a.start(name, argv, stdin=terminal, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY))
        os.close(terminal)
        return run, keys

    with world.step("Ctrl-C at a terminal: out of DNS at once; the program, which has it too, gets no second") as say:
        run, keys = at_terminal("run", [*outrider, "--name", "hello", "--", "python3", "-c", COUNTING])
        run.wait_line("^serving$")
        seen.wait_line(f"^0 {a.ip4}$", since=seen.mark() - 1)
        os.write(keys, b"hello\n")
        run.wait_line("^read hello$")
        since = seen.mark()
        os.write(keys, b"\3")
        pressed, _ = run.wait_line("^got 2$")
        gone, _ = seen.wait_line("^0$", since=since)
        say(f"gone after {1000 * (gone - pressed):.0f} ms")
        run.wait_line("agent_stopped")
        check("got 15" not in run.text(), "asked to end while it cleans up")
        equal(run.text().count("got 2"), 1, "SIGINTs that reached the program")
    with world.step("a second Ctrl-C asks it to end at once"):
        os.write(keys, b"\3")
        run.wait_line("^got 15$", deadline=3)
        equal(run.wait(), 3, "exit status")
        equal(run.text().count("got 2"), 2, "SIGINTs that reached the program")
        os.close(keys)
    with world.step("Ctrl-C ends `python3 -m http.server` as it ends without us: status 0"):
        run, keys = at_terminal("run", [*outrider, "--port", "8123", "--", "python3", "-m", "http.server", "8123"])
        run.wait_line("Serving HTTP")
        a.run(["curl", "-s", "http://127.0.0.1:8123/"])  # from here on it handles the signal
        os.write(keys, b"\3")
        run.wait_line("Keyboard interrupt")
        equal(run.wait(), 0, "exit status")
        os.close(keys)
    with world.step("a program that was never healthy has its time to clean up after a Ctrl-C"):
        run, keys = at_terminal("run", [*outrider, "--health", "/", "--", "python3", "-c", CLEANING])
        run.wait_line("^working$")
        os.write(keys, b"\3")
        run.wait_line("^clean$")
        equal(run.wait(), 9, "exit status")
        os.close(keys)

    def ends_with(argv, pids, number=signal.SIGTERM, deadline=8):
        """Everything that said its pid is gone when `outrider run` is."""
        run = a.start("run", [*outrider, "--", *argv])
        found = [int(run.wait_line(f"^{pid} [0-9]+$")[1].split()[1]) for pid in pids]
        run.send(number)
        run.wait(deadline)
        for pid in found:
            harness.wait_for(f"the end of {pid}", lambda: not alive(pid), 3)
        return run

    def alive(pid):
        try:
            return "State:\tZ" not in pathlib.Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return False

    server = ("python3 -c 'import os, socket; print(\"server\", os.getpid()); "
              "s = socket.create_server((\"\", int(os.environ[\"PORT\"]))); "
              "[s.accept() for _ in iter(int, 1)]'")
    with world.step("the whole tree ends: what a shell has started"):
        ends_with(["sh", "-c", f"{server}; echo more"], ["server"])
    with world.step("the whole tree ends: what leads a session of its own"):
        ends_with(["sh", "-c", f"setsid sh -c '{DAEMON}' & {server}"], ["daemon", "server"])
    with world.step("a program that goes into the background ends with its parent"):
        run = a.start("run", [*outrider, "--", "sh", "-c", f"setsid sh -c '{DAEMON}' & sleep 0.5; exit 4"])
        pid = int(run.wait_line("^daemon [0-9]+$")[1].split()[1])
        run.wait_line("left behind by the program")
        equal(run.wait(), 4, "exit status")
        check(not alive(pid), "it lives on")
    with world.step("the whole tree ends: npm start"):
        if not shutil.which("npm"):
            raise harness.Skip("no npm")
        folder = a.dir / "app"
        folder.mkdir()
        (folder / "package.json").write_text('{"name": "app", "scripts": {"start": "node server.js"}}')
        (folder / "server.js").write_text(
            'require("http").createServer().listen(process.env.PORT, () => console.log(`server ${process.pid}`))')
        run = a.start("npm", [*outrider, "--", "npm", "--prefix", folder, "start"])
        pid = int(run.wait_line("^server [0-9]+$", deadline=20)[1].split()[1])
        run.send(signal.SIGTERM)
        run.wait(15)
        check(not alive(pid), "node lives on")
    with world.step("what ignores SIGTERM is killed after ten seconds, and the log says so") as say:
        begun = time.monotonic()
        stubborn = 'trap "" TERM; echo stubborn $$; while :; do sleep 1; done'
        run = ends_with(["sh", "-c", stubborn], ["stubborn"], deadline=25)
        stopped, _ = run.wait_line("program_stopping.*SIGTERM.*duration=10s")
        killed, _ = run.wait_line("program_killed")
        say(f"killed {killed - stopped:.1f} s after it was asked, {time.monotonic() - begun:.1f} s in all")
        check(9.5 < killed - stopped < 12, f"killed after {killed - stopped:.1f} s")
    with world.step("kill -9 of outrider ends the program too"):
        ends_with(["sh", "-c", f"exec {server}"], ["server"], number=signal.SIGKILL)
    with world.step("what a service manager tells the agent is not passed to the program"):
        env = {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}
        said = a.run([*outrider, "--", "env"], may_fail=True, env=env)[1]
        check("PORT=" in said and "NOTIFY_SOCKET" not in said and "WATCHDOG" not in said, said)
    with world.step("under nohup, a hang-up ends neither"):
        run = a.start("nohup", ["nohup", *outrider, "--", "sh", "-c", f"exec {server}"])
        pid = int(run.wait_line("^server [0-9]+$")[1].split()[1])
        for one in (run.pid, pid):
            os.kill(one, signal.SIGHUP)
        run.wait_line("agent_ready")
        check(run.running() and alive(pid), "ended")
        run.stop()
    with world.step("a registration of the configuration is not replaced"):
        config = a.dir / "twin.json"
        config.write_text('{"services": [{"name": "hello", "id": "h", "port": 1}]}')
        status, said = a.outrider("run", "--config", config, "--name", "hello", "--id", "h", "--", "true")
        equal(status, 2, said)
        check("already registers hello with the id h" in said, said)
    with world.step("localhost is no name for a service: refused as --name, and left out as that of a folder"):
        for name in ("localhost", "LOCALHOST"):
            status, said = a.outrider("run", "--name", name, "--", "true")
            equal(status, 2, said)
            check(f'--name: expected another name: "{name}" is this host itself, and the status page' in said, said)
        folder = a.dir / "localhost"
        folder.mkdir()
        said = a.run(["env", "-C", folder, *outrider, "--", "sh", "-c", "echo name=$OUTRIDER_NAME"], may_fail=True)[1]
        check("name=sh\n" in said, said)
    with world.step("a SIGHUP that comes early does not end an agent"):
        for number in range(10):
            agent = a.agent({"dns": {"listen": []}, "mdns": {"provider": "off"}})
            until = time.monotonic() + number * 0.003
            wait_main(agent.pid, until)
            agent.send(signal.SIGHUP)
            agent.wait_line("config_reloaded")
            agent.kill()
    with world.step("a signal that comes at the very start still ends both"):
        for _ in range(5):
            status, said = a.outrider("run", "--", "sh", "-c", "kill $PPID; exec sleep 60")
            equal(status, 128 + signal.SIGTERM, f"exit status: {said}")
    with world.step("a port that another program has is not given out as the program's own"):
        a.http_server(8777)
        status, said = a.run([*outrider, "--port", "8777", "--", "sleep", "100"], may_fail=True, timeout=10)[:2]
        equal((status, "another program listens on port 8777" in said), (1, True), said)
    with world.step("a program that cannot be started, and one that ends by itself"):
        plain = a.dir / "plain"
        plain.write_text("#!/bin/sh\n")
        for words, wanted in ((["/nowhere/program"], 127), (["no-such-program"], 127), ([plain], 126), ([a.dir], 126)):
            status, said = a.outrider("run", "--", *words)
            equal(status, wanted, said)
            check(f"cannot run {words[0]}: " in said, said)
        equal(a.outrider("run", "--", "sh", "-c", "exit 7")[0], 7, "exit status")
        equal(a.outrider("run", "--", "sh", "-c", "kill -9 $$")[0], 128 + 9, "exit status")


if __name__ == "__main__":
    harness.main(scenario)
