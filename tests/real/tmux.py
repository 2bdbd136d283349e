# SPDX-License-Identifier: Apache-2.0
"""Terminals, as people have them: tmux, which types and shows the screen."""

import fcntl
import os
import re
import struct
import termios

import harness


class Tmux:
    """A terminal of so many columns and lines, in which a command runs, and then `after`, a line of shell."""

    def __init__(self, host, command, columns=110, lines=50, env=None, after=":"):
        self.host = host
        host.terminals = getattr(host, "terminals", 0) + 1
        self._tmux = ["tmux", "-S", host.dir / f"tmux-{host.terminals}", "-f", "/dev/null"]
        words = " ".join(f"'{word}'" for word in command)
        # What it has written stays to be read after its end.
        shell = f"trap : INT; {words}; echo status $?; {after}; exec sleep 1000"
        host.run([*self._tmux, "new-session", "-d", "-x", columns, "-y", lines, shell],
                 env={"TERM": "xterm-256color", **(env or {})})

    def screen(self):
        return self.host.run([*self._tmux, "capture-pane", "-J", "-p"])[1]

    def wait(self, pattern, meanwhile=lambda: None):
        """The match on the screen; until there is one, `meanwhile` is done again and again."""
        return harness.wait_for(pattern, lambda: (meanwhile(), re.search(pattern, self.screen(), re.MULTILINE))[1])

    def pid(self):
        """Of the command."""
        shell = int(self.host.run([*self._tmux, "display-message", "-p", "#{pane_pid}"])[1])
        return harness.child_of(shell)

    def name(self):
        """Of its device."""
        return self.host.run([*self._tmux, "display-message", "-p", "#{pane_tty}"])[1].strip()

    def unread(self):
        """Octets of whole lines that were typed and no program has read."""
        device = os.open(self.name(), os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            return struct.unpack("i", fcntl.ioctl(device, termios.FIONREAD, struct.pack("i", 0)))[0]
        finally:
            os.close(device)

    def resize(self, columns, lines):
        self.host.run([*self._tmux, "resize-window", "-x", columns, "-y", lines])

    def type(self, *keys):
        self.host.run([*self._tmux, "send-keys", *keys])

    def close(self):
        self.host.run([*self._tmux, "kill-server"], may_fail=True)
