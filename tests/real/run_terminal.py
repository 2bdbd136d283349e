#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`outrider run` and programs that use the terminal as theirs: they draw on the whole screen, take keys, are resized,
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
    with world.step("a pager gets its keys, also one that takes them from standard error"):
        text = a.dir / "text"
        text.write_text("".join(f"line {number}\n" for number in range(1, 1001)))
        for pager in filter(shutil.which, ("less", "more")):
            terminal = Tmux(a, [*run, "--", pager, text], lines=30)
            terminal.wait("^line 1$")
            terminal.type("Space")
            terminal.wait("^line 50$")
            terminal.type("q")
            terminal.wait("^status 0$")
            terminal.close()
    with world.step("standard error is the terminal itself, and has its size"):
        terminal = Tmux(a, [*run, "--", "sh", "-c", "tty <&2; stty size <&2; exec sleep 99"], columns=100, lines=30)
        shown = terminal.wait("^(/dev/pts/[0-9]+)\n([0-9]+ [0-9]+)$")
        equal((shown[1], shown[2]), (terminal.name(), "30 100"), "terminal")
        terminal.type("C-c")
        terminal.wait("status 130$")  # behind its ^C
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
