# SPDX-License-Identifier: Apache-2.0
"""Where agents keep their sockets, by the rules of the command outrider(1)."""

from __future__ import annotations

import os
import stat
from typing import List, NamedTuple, Optional

from .errors import InvalidError

SYSTEM_DIR = "/run/outrider"
SOCKETS_MAX = 64  # agent.sock, agent-2.sock, ... in a directory
NAMED_AGENTS_MAX = 64  # folders of SYSTEM_DIR


class Found(NamedTuple):
    sockets: List[str]  # to try in turn
    closed: List[str]  # directories that this user may not enter
    own: str  # where an agent of this user has its socket
    passed_over: str = ""  # why the agents of this user are not used, a sentence; "": they are


def runtime_dir() -> str:
    """The directory of this user's agents."""
    # systemd lists several directories with colons; the first is the agent's.
    service = os.environ.get("RUNTIME_DIRECTORY")
    if service:
        return service.split(":")[0]
    user = os.environ.get("XDG_RUNTIME_DIR")
    if user and not _is_of_another_user(user):
        return f"{user}/outrider"
    return SYSTEM_DIR if os.geteuid() == 0 else f"/tmp/outrider-{os.geteuid()}"


def _is_of_another_user(path: str) -> bool:
    try:
        return os.stat(path).st_uid != os.geteuid()
    except OSError:
        return False


def _why_distrusted(path: str) -> str:
    """In /tmp anyone can make the directory of another user, and play this user's agent in it."""
    try:
        info = os.lstat(path)
    except OSError:
        return ""
    if stat.S_ISLNK(info.st_mode):
        return "is a symbolic link"
    if not stat.S_ISDIR(info.st_mode):
        return "is not a directory"
    if info.st_uid not in (0, os.geteuid()):
        return f"belongs to the user with id {info.st_uid}"
    if info.st_mode & stat.S_IWOTH:
        return "is writable for all users"
    return "is writable for its group" if info.st_mode & stat.S_IWGRP else ""


def _look_into(folder: str, found: Found) -> None:
    for number in range(1, SOCKETS_MAX + 1):
        path = f"{folder}/agent.sock" if number == 1 else f"{folder}/agent-{number}.sock"
        try:
            if stat.S_ISSOCK(os.stat(path).st_mode):
                found.sockets.append(path)
        except PermissionError:
            found.closed.append(folder)
            return
        except OSError:
            pass


def find_sockets(given: Optional[str]) -> Found:
    """The option, else $OUTRIDER_API_SOCKET, else the runtime directory of this user, /run/outrider, and its
    folders."""
    if given:
        # A leading '@' would mean an abstract socket, which anybody may have made.
        path = f"./{given}" if given.startswith("@") else given
        return Found([path], [], path)
    variable = os.environ.get("OUTRIDER_API_SOCKET", "")
    if variable.startswith("/"):
        return Found([variable], [], variable)
    # The variable is an option of the agent, too, whose other values name no socket.
    if variable not in ("", "auto", "off"):
        raise InvalidError(f'OUTRIDER_API_SOCKET: expected an absolute path, not "{variable}"')
    own = runtime_dir()
    # What is below SYSTEM_DIR, root has made for the user of the host's agents.
    why = "" if f"{own}/".startswith(f"{SYSTEM_DIR}/") else _why_distrusted(own)
    passed_over = f"agents in {own} are not used: that directory {why}" if why else ""
    found = Found([], [], f"{own}/agent.sock", passed_over)
    if not why:
        _look_into(own, found)
    if own != SYSTEM_DIR:
        _look_into(SYSTEM_DIR, found)
    try:
        names = sorted(entry.name for entry in os.scandir(SYSTEM_DIR) if entry.is_dir())
    except OSError:
        names = []
    for name in names[:NAMED_AGENTS_MAX]:
        folder = f"{SYSTEM_DIR}/{name}"
        if folder != own:
            _look_into(folder, found)
    return found


def make_folder(path: str) -> None:
    """For the socket of an agent of this user."""
    folder = os.path.dirname(path)
    try:
        os.mkdir(folder, 0o700 if folder.startswith("/tmp/") else 0o750)
    except FileExistsError:
        pass
