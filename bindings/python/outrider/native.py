# SPDX-License-Identifier: Apache-2.0
"""The functions of outrider.h."""

from __future__ import annotations

import ctypes
import json
import os
import threading
from ctypes import c_char_p, c_int, c_int32, c_int64, c_size_t, c_uint32, c_void_p
from typing import Any, Dict, Optional, Tuple

from .errors import ClosedError, ForkedError, InvalidError, NoAgentError, NotPermittedError, OutriderError, error_of
from .sockets import find_sockets, make_folder

SONAME = "liboutrider.so.0"
THREAD, FD = 0, 1
HEALTHS = {"passing": 0, "warning": 1, "critical": 2}
ERROR_SIZE = 1024
FOREVER = 2 ** 63 - 1

TextCallback = ctypes.CFUNCTYPE(None, c_void_p, c_void_p, c_size_t)
NO_CALLBACK = ctypes.cast(0, TextCallback)


class Options(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t), ("name", c_char_p), ("config", c_char_p), ("socket", c_char_p),
        ("state_directory", c_char_p), ("uv_loop", c_void_p), ("log", c_void_p), ("closed", c_void_p),
        ("user", c_void_p), ("mode", c_uint32), ("flags", c_uint32), ("log_fd", c_int32), ("timeout_ms", c_int32),
    ]


_OUT = ctypes.POINTER(c_void_p)
_PROTOTYPES: Tuple[Tuple[str, Any, Tuple[Any, ...]], ...] = (
    ("version", c_uint32, ()),
    ("strerror", c_char_p, (c_int,)),
    ("free_text", None, (c_void_p,)),
    ("options_init", c_int, (ctypes.POINTER(Options), c_size_t)),
    ("start", c_int, (_OUT, ctypes.POINTER(Options), c_char_p, c_size_t)),
    ("connect", c_int, (_OUT, ctypes.POINTER(Options), c_char_p, c_size_t)),
    ("open", c_int, (_OUT, ctypes.POINTER(Options), c_char_p, c_size_t)),
    ("drain", c_int, (c_void_p, c_int)),
    ("free", None, (c_void_p,)),
    ("errmsg", c_int, (c_void_p, c_char_p, c_size_t)),
    ("fd", c_int, (c_void_p,)),
    ("deadline", c_int64, (c_void_p,)),
    ("process", c_int, (c_void_p,)),
    ("register", c_int, (c_void_p, c_char_p, _OUT)),
    ("deregister", c_int, (c_void_p, c_char_p)),
    ("set_health", c_int, (c_void_p, c_char_p, c_int, c_char_p)),
    ("set_maintenance", c_int, (c_void_p, c_char_p, c_int, c_char_p)),
    ("set_draining", c_int, (c_void_p, c_char_p, c_int)),
    ("get", c_int, (c_void_p, c_char_p, c_char_p, _OUT)),
    ("list", c_int, (c_void_p, c_char_p, _OUT)),
    ("select", c_int, (c_void_p, c_char_p, c_char_p, _OUT)),
    ("why", c_int, (c_void_p, c_char_p, _OUT)),
    ("manifest", c_int, (c_void_p, c_char_p, _OUT)),
    ("watch", c_int, (c_void_p, c_char_p, c_char_p, TextCallback, c_void_p, _OUT)),
    ("next", c_int, (c_void_p, c_int, _OUT)),
    ("unwatch", None, (c_void_p,)),
)

_library: Optional[ctypes.CDLL] = None


def library() -> ctypes.CDLL:
    """Loads liboutrider when it is first needed."""
    global _library
    if _library is None:
        loaded = ctypes.CDLL(SONAME)
        for name, result, arguments in _PROTOTYPES:
            function = getattr(loaded, f"outrider_{name}")
            function.restype, function.argtypes = result, arguments
        _library = loaded
    return _library


def bytes_of(text: Optional[str]) -> Optional[bytes]:
    if text is None:
        return None
    if "\0" in text:
        raise InvalidError(f"a zero character in {text!r}")
    return text.encode()


def make(way: str, mode: int, *, name: Optional[str], config: Any, socket: Optional[str],
         state_directory: Optional[str], log_fd: int, timeout: float) -> Handle:
    """An agent or a connection; `way` is start, connect or open."""
    texts: Dict[str, Any] = {
        "name": bytes_of(name), "config": None if config is None else json.dumps(config).encode(),
        "state_directory": bytes_of(state_directory)}
    numbers: Dict[str, Any] = {"mode": mode, "log_fd": log_fd, "timeout_ms": max(1, int(timeout * 1000))}

    def attempt(function: str, path: Optional[str]) -> Handle:
        options, agent, error = Options(), c_void_p(), ctypes.create_string_buffer(ERROR_SIZE)
        lib = library()
        lib.outrider_options_init(ctypes.byref(options), ctypes.sizeof(options))
        for key, value in {**texts, **numbers, "socket": bytes_of(path)}.items():
            setattr(options, key, value)
        code = getattr(lib, f"outrider_{function}")(ctypes.byref(agent), ctypes.byref(options), error, ERROR_SIZE)
        if code < 0:
            raise error_of(code, error.value.decode("utf-8", "replace"))
        return Handle(lib, agent)

    if way == "start":
        return attempt("start", None)
    found = find_sockets(socket)
    last: Optional[OutriderError] = None
    for path in found.sockets:
        try:
            return attempt("connect", path)
        except (NoAgentError, NotPermittedError) as error:
            last = error
            if isinstance(error, NotPermittedError):
                last = NotPermittedError(f"not permitted to use the agent in {path}; join the group of that file, "
                                         "or ask its owner")
    if way == "open":
        make_folder(found.own)
        return attempt("open", found.own)
    if last is None and found.closed:
        last = NotPermittedError(f"not permitted to use the agent in {found.closed[0]}; join the group of that file, "
                                 "or ask its owner")
    if last is None and found.passed_over:
        raise NoAgentError(f"no other agent is running; {found.passed_over}")
    raise last or NoAgentError("no agent is running; start one with: outrider agent")


class Handle:
    """An outrider_agent, which is not freed while a call of another thread is in it."""

    def __init__(self, lib: ctypes.CDLL, agent: c_void_p) -> None:
        self._lib, self._agent = lib, agent
        self._calls = 0
        self._is_closed = False
        self._idle = threading.Condition()
        self._pid = os.getpid()

    @property
    def is_forked(self) -> bool:
        """Then another thread of the parent may have held any lock: none may be taken."""
        return os.getpid() != self._pid

    def check_process(self) -> None:
        if self.is_forked:
            raise ForkedError(self._lib.outrider_strerror(ForkedError.code).decode())

    def __enter__(self) -> c_void_p:
        self.check_process()
        with self._idle:
            if self._is_closed:
                raise ClosedError("the agent was closed")
            self._calls += 1
        return self._agent

    def __exit__(self, *_: Any) -> None:
        with self._idle:
            self._calls -= 1
            self._idle.notify_all()

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    def raise_error(self, agent: c_void_p, code: int) -> None:
        text = ctypes.create_string_buffer(ERROR_SIZE)
        self._lib.outrider_errmsg(agent, text, ERROR_SIZE)
        said = text.value or self._lib.outrider_strerror(code)
        raise error_of(code, said.decode("utf-8", "replace"))

    def call(self, function: str, *arguments: Any) -> int:
        with self as agent:
            code: int = getattr(self._lib, f"outrider_{function}")(agent, *arguments)
            if code < 0:
                self.raise_error(agent, code)
            return code

    def fetch(self, function: str, *arguments: Any) -> str:
        """A call that returns a text."""
        out = c_void_p()
        self.call(function, *arguments, ctypes.byref(out))
        return self.taken(out)

    def fetch_json(self, function: str, *arguments: Any) -> Any:
        return json.loads(self.fetch(function, *arguments))

    def taken(self, text: c_void_p) -> str:
        try:
            return ctypes.string_at(text).decode()
        finally:
            self._lib.outrider_free_text(text)

    def next(self, watcher: c_void_p, timeout_ms: int) -> Any:
        """The next document of a watcher."""
        out = c_void_p()
        with self as agent:
            code = self._lib.outrider_next(watcher, timeout_ms, ctypes.byref(out))
            if code < 0:
                self.raise_error(agent, code)
        return json.loads(self.taken(out))

    def unwatch(self, watcher: c_void_p) -> None:
        try:
            with self:
                self._lib.outrider_unwatch(watcher)
        except ClosedError:
            pass  # the watcher went with the agent

    def deadline(self) -> int:
        with self as agent:
            return int(self._lib.outrider_deadline(agent))

    def free(self) -> None:
        """Legal twice."""
        if self.is_forked:
            return
        with self._idle:
            if self._is_closed:
                return
            self._is_closed = True
            self._idle.wait_for(lambda: self._calls == 0)
        self._lib.outrider_free(self._agent)
