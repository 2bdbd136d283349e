#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""docs/record.py [--outrider PROGRAM]: makes docs/recording.svg from a session on three terminals of two hosts.

The hosts are namespaces of tests/real/harness.py. The terminals are real: a shell on a pseudo-terminal, into which the
commands below are typed. What comes back is drawn with its times. The picture moves by CSS alone and ends with
everything shown; without animations everything is shown at once. tests/real/recording.py makes it again, and compares.
"""

import fcntl
import html
import os
import pathlib
import re
import select
import struct
import subprocess
import sys
import termios
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP / "tests/real"))
import harness  # noqa: E402

COLUMNS, CHAR_W, LINE_H = 84, 7.25, 16
BAR_H, PAD, GAP = 26, 10, 12
CONFIG = """{"services": [{"name": "hello", "port": 8080,
  "checks": [{"http": "/health", "interval": "1s", "timeout": "500ms"}]}]}
"""
TYPE_S, THINK_S = 0.045, 0.7
SGR = {"": "", "0": "", "1": "s", "2": "f", "31": "r", "32": "g", "33": "y", "36": "c", "90": "f"}
STYLE = """
text { font: 12px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: #d6deeb; white-space: pre; }
.b { fill: #8796b0; } .p { fill: #7fdbca; } .s { font-weight: bold; } .f { fill: #8796b0; }
.r { fill: #ff6b6b; } .g { fill: #8bd649; } .y { fill: #ffcb6b; } .c { fill: #82aaff; }
.e { animation: hidden steps(1) 1; }
@keyframes hidden { from, to { opacity: 0; } }
@media (prefers-reduced-motion: reduce) { .e { animation: none; } }
""".strip()


class Terminal:
    """A shell on a host; `pieces` are (seconds, row, column, text, class)."""

    def __init__(self, host, title, begun):
        self.title, self.begun = title, begun
        self.pieces, self._row, self._column, self._class = [], 0, 0, ""
        self._fd, its = os.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
        env = {**host.env, "PS1": "$ ", "TERM": "xterm"}
        self._shell = subprocess.Popen([*host._enter(host.dir), "setsid", "--ctty", "sh", "-i"], stdin=its, stdout=its,
                                       stderr=its, env=env)
        os.close(its)

    def read(self, seconds=0.0):
        """Draws what comes within so many seconds."""
        until = time.monotonic() + seconds
        while select.select([self._fd], [], [], max(0, until - time.monotonic()))[0]:
            self._draw(os.read(self._fd, 65536).decode("utf-8", "replace"))

    def _draw(self, text):
        now = time.monotonic() - self.begun
        for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", text):
            if part == "\n":
                self._row += 1
            elif part == "\r":
                self._column = 0
            elif part.startswith("\x1b["):
                if part.endswith("m"):
                    self._class = " ".join(filter(None, (SGR.get(code, "") for code in part[2:-1].split(";"))))
            else:
                self._put(now, part)

    def _put(self, now, text):
        while text:
            here = text[:COLUMNS - self._column]
            self.pieces.append((now, self._row, self._column, here, self._class))
            self._column += len(here)
            text = text[len(here):]
            if text:
                self._row, self._column = self._row + 1, 0

    def type(self, command):
        self.read(THINK_S)
        for at in range(0, len(command), 2):
            os.write(self._fd, command[at:at + 2].encode())
            self.read(2 * TYPE_S)
        os.write(self._fd, b"\n")
        self.read(0.3)

    def wait(self, wanted):
        """Until a line has this pattern; its match."""
        until = time.monotonic() + harness.DEADLINE_S
        while time.monotonic() < until:
            self.read(0.05)
            rows = {}
            for _, row, _, text, _ in self.pieces:
                rows[row] = rows.get(row, "") + text
            if found := next((m for row in rows.values() if (m := re.search(wanted, row))), None):
                return found
        raise harness.Failed(f"{self.title}: no {wanted}")

    def close(self):
        os.close(self._fd)
        self._shell.wait()

    def rows(self):
        return max(row for _, row, _, _, _ in self.pieces) + 1


def window(terminal, x, y, rows):
    """The SVG of a terminal at a place."""
    width, height = COLUMNS * CHAR_W + 2 * PAD, BAR_H + rows * LINE_H + PAD
    out = [f'<g transform="translate({x:g} {y:g})">',
           f'<rect width="{width:g}" height="{height:g}" rx="6" fill="#10182b" stroke="#2b3a55"/>',
           f'<text class="b" x="{PAD}" y="17">{html.escape(terminal.title)}</text>']
    for when, row, column, text, kind in terminal.pieces:
        if not text.strip():
            continue
        place = f'x="{PAD + column * CHAR_W:g}" y="{BAR_H + (row + 0.8) * LINE_H:g}"'
        length = f'textLength="{len(text) * CHAR_W:g}"'
        kinds = f"e {kind}".strip()
        out.append(f'<text class="{kinds}" style="animation-duration:{when:.2f}s" {place} {length}>'
                   f"{html.escape(text)}</text>")
    return out + ["</g>"]


def picture(left, right):
    """The terminals in two columns."""
    heights = {terminal: BAR_H + terminal.rows() * LINE_H + PAD for terminal in left + right}
    tall = max(sum(heights[t] + GAP for t in side) for side in (left, right)) - GAP
    side_w = COLUMNS * CHAR_W + 2 * PAD
    body = []
    for x, side in ((0, left), (side_w + GAP, right)):
        y = 0
        spare = tall - sum(heights[t] + GAP for t in side) + GAP
        for terminal in side:
            rows = terminal.rows() + (spare / LINE_H if terminal is side[-1] else 0)
            body += window(terminal, x, y, rows)
            y += heights[terminal] + GAP
    width = 2 * side_w + GAP
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-1 -1 {width + 2:g} {tall + 2:g}" role="img">',
        "<title>A service is started, found by its name on another host, and explained when it hangs</title>",
        f"<style>\n{STYLE}\n</style>", *body, "</svg>", ""])


def session(world):
    """The picture of the session."""
    laptop, other = world.host("laptop"), world.host("other")
    for host in (laptop, other):
        (host.dir / "bin").mkdir()
        (host.dir / "bin/outrider").symlink_to(world.outrider)
        host.env["XDG_RUNTIME_DIR"] = "/run"
        host.env["PATH"] = f"{host.dir}/bin:{host.env['PATH']}"
    (laptop.dir / "hello.json").write_text(CONFIG)
    (laptop.dir / "hello.py").symlink_to(TOP / "packaging/examples/hello.py")
    other.agent({"dns": {"listen": ["127.0.0.55:53"]}}).wait_line("event=agent_ready")
    begun = time.monotonic()
    run, kill, look = (Terminal(host, title, begun) for host, title in (
        (laptop, "laptop: a service"), (laptop, "laptop: another terminal"),
        (other, "other: any host of the network")))

    def other_finds(count):
        harness.wait_for("DNS", lambda: [t.read(0.02) for t in (run, kill, look)]
                         and len(other.dig("hello.svc").data("A")) == count)

    run.type("cat hello.json")
    run.type("PORT=8080 python3 hello.py &")
    run.type("outrider agent --config hello.json")
    other_finds(1)
    look.type("dig +short hello.svc")
    look.type("curl http://hello.localhost:5380/   # on whatever host and port it is")
    process = look.wait(r"process (\d+)")[1]
    kill.type(f"kill -STOP {process}   # the program hangs")
    other_finds(0)
    look.type("dig +short hello.svc")
    kill.type("outrider why hello")
    kill.wait("not in the answer")
    kill.type(f"kill -CONT {process}   # and goes on")
    other_finds(1)
    look.type("dig +short hello.svc")
    for terminal in (run, kill, look):
        terminal.read(0.3)
        terminal.close()
    return picture([run], [look, kill])


def scenario(world):
    (TOP / "docs/recording.svg").write_text(session(world), encoding="utf-8")


if __name__ == "__main__":
    harness.main(scenario)
