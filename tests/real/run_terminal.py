#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`outrider run` and programs that use the terminal as theirs: they draw on the whole screen, write much, are resized,
are killed. And the end of programs where there is no terminal."""

import os
import re
import shutil
import signal
import subprocess

import harness
from harness import PYTHON, Skip, check, equal
from tmux import Tmux

# Draws with curses, and serves meanwhile. "q" ends the drawing and goes on as a plain server.
DRAWING = """
import curses, http.server, os, sys, threading
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        state = open(sys.argv[1]).read().strip()
        self.send_response(200 if state == "ok" else 503)
        self.end_headers()
        self.wfile.write(state.encode())
    def log_message(self, *args): pass
server = http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
def draw(screen):
    key = None
    while key != ord("q"):
        lines, columns = screen.getmaxyx()
        screen.erase()
        for line in range(lines - 1): screen.addstr(line, 0, "#" * columns)
        screen.addstr(0, 0, f"drawing {columns} {lines} ")
        screen.refresh()
        key = screen.getch()
curses.wrapper(draw)
print("plain again", flush=True)
threading.Event().wait()
"""
# Lines to both, less than a terminal holds; much more to standard error; then its size, as that has it.
FLOOD = """
import os, signal, sys
for number in range(400):
    os.write(1 + number % 2, b"%06d %s\\n" % (number, b"x" * 60))
sys.stdin.readline()
for number in range(20000):
    os.write(2, b"%06d %s\\n" % (number, b"y" * 60))
signal.signal(signal.SIGWINCH, lambda *_: print("size", *os.get_terminal_size(2), flush=True))
os.write(2, b"over\\n")
while True: signal.pause()
"""
MODES = "stty -a | tr ';' '\\n' | grep -E 'icanon|onlcr'"


def scenario(world):
    if not shutil.which("tmux"):
        raise Skip("no tmux")
    a = world.host("a")
    state = a.dir / "state"
    state.write_text("ok")
    run = [world.outrider, "run", "--set", "lifecycle.drain=0s", "--name", "web", "--id", "web"]
    drawing = [*run, "--health", "/", "--", PYTHON, "-c", DRAWING, state]

    def probe():
        """At once; the interval of its check is ten seconds."""
        a.run(["curl", "-sS", "-X", "PUT", "--unix-socket", a.dir / "outrider/agent.sock",
               "http://agent/v1/outrider/probe/web"])

    def modes(terminal):
        """Of a terminal whose program has ended."""
        said = terminal.wait(r"(?s)^status .*icanon.*onlcr|^status .*onlcr.*icanon")[0]
        return sorted(re.findall(r"-?(?:icanon|onlcr)\b", said))

    with world.step("what draws on the whole screen is left alone; what was to be said comes when it ends", vital=True):
        terminal = Tmux(a, drawing, columns=100, lines=30)
        terminal.wait(r"^drawing 100 30 #")
        equal(a.outrider("wait", "web", "--timeout", "20s")[0], 0, "wait")
        state.write_text("db down")
        harness.wait_for("critical", lambda: (probe(), a.outrider("status", "web")[0] == 1)[1])
        screen = terminal.screen()
        check(len(set(screen.splitlines()[1:29])) == 1, f"torn:\n{screen}")
        terminal.resize(80, 20)
        terminal.wait(r"^drawing 80 20 #")
        terminal.type("q")
        terminal.wait("^plain again")
        terminal.wait(r"web  critical .*db down")
        check(re.search(r"^ +here +http://127", terminal.screen(), re.MULTILINE), "the block did not come")
        state.write_text("ok")
        terminal.type("C-c")
        terminal.wait("^status ")
        terminal.close()
    with world.step("a drawing program that is killed leaves no terminal without echo and line feeds"):
        terminal = Tmux(a, drawing, after=MODES)
        terminal.wait(r"^drawing ")
        os.kill(harness.child_of(terminal.pid()), signal.SIGKILL)
        equal(modes(terminal), ["icanon", "onlcr"], "modes")
        check("was ended by signal 9 (Killed)" in terminal.screen(), terminal.screen())
        terminal.close()
    with world.step("SIGTERM to outrider while its program draws: the terminal is as it was"):
        terminal = Tmux(a, drawing, after=MODES)
        terminal.wait(r"^drawing ")
        os.kill(terminal.pid(), signal.SIGTERM)
        equal(modes(terminal), ["icanon", "onlcr"], "modes")
        terminal.close()
    with world.step("a program that writes much: every line is whole; its standard error follows the size"):
        terminal = Tmux(a, [*run, "--", PYTHON, "-c", FLOOD], columns=100, lines=30)
        def written(letter, last):
            """Once the last one is there."""
            harness.wait_for(last, lambda: last in terminal.history())
            lines = [line for line in terminal.history() if 3 * letter in line]
            torn = [line for line in lines if not re.fullmatch(rf"\d{{6}} {letter}{{60}}", line)]
            check(not torn, f"torn: {torn[:3]}")
            return lines

        for number in (398, 399):
            lines = written("x", f"{number:06} " + 60 * "x")
        equal(len(lines), 400, "lines to both")
        terminal.type("Enter")
        lines = written("y", "over")
        check(len(lines) > 1000 and lines == sorted(lines), f"{len(lines)} lines to standard error")
        terminal.resize(90, 25)
        terminal.wait("^size 90 25")
        terminal.type("C-c")
        terminal.wait("^status ")
        terminal.close()

    with world.step("without a terminal, the last line is the status, also where the reader of a full pipe is slow"):
        fill = "echo words >&2; dd if=/dev/zero bs=1 count=65000 >&2 2>/dev/null; exit 3"
        reading, writing = os.pipe()
        words = [*a._enter(), *map(str, run), "--", "sh", "-c", fill]
        popen = subprocess.Popen(words, env=a.env, stdin=subprocess.DEVNULL, stdout=writing, stderr=writing)
        os.close(writing)
        harness.wait_for("the end of the program", lambda: harness.child_of(popen.pid) is None)
        said = b""
        while piece := os.read(reading, 65536):
            said += piece
        os.close(reading)
        equal(popen.wait(), 3, "exit status")
        check(said.count(b"\0") == 65000 and said.count(b"words") == 1, "the program's own was changed")
        check(said.endswith(b"outrider: sh ended with status 3\n"), said[-300:])


if __name__ == "__main__":
    harness.main(scenario)
