# SPDX-License-Identifier: Apache-2.0
"""The face for programs with threads, or with nothing at all."""

from __future__ import annotations

import ctypes
import threading
import time
import weakref
from ctypes import c_void_p
from typing import IO, Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Union

from .errors import ClosedError, NotFoundError, OutriderError, WaitTimeoutError
from .heartbeat import DEFAULT_TTL, EMBEDDED_TTL, Kept
from .model import (Everything, Explanation, Filter, Instance, Selection, ServiceSummary, Snapshot, instances_of)
from .native import NO_CALLBACK, THREAD, Handle, bytes_of, make

Log = Union[None, int, IO[Any]]
SLICE_MS = 250  # after which a call that waits looks for Ctrl-C and close()
TIMEOUT = 5.0
_DEFAULT: Any = object()


def log_fd_of(log: Log) -> int:
    if log is None:
        return -1
    return log if isinstance(log, int) else log.fileno()


def start(name: str, *, config: Optional[Mapping[str, Any]] = None, state_directory: Optional[str] = None,
          log: Log = None, timeout: float = TIMEOUT) -> Agent:
    """Starts an agent in this program. `name` tells it apart from others of the host and stays the same; `config`
    is that of outrider.json(5); registrations are kept in `state_directory`; `log` is a file for its log."""
    handle = make("start", THREAD, name=name, config=config, socket=None, state_directory=state_directory,
                  log_fd=log_fd_of(log), timeout=timeout)
    return Agent(handle, EMBEDDED_TTL)


def connect(socket: Optional[str] = None, *, timeout: float = TIMEOUT) -> Agent:
    """Connects to an agent that runs; without a path, to the one that outrider(1) finds."""
    handle = make("connect", THREAD, name=None, config=None, socket=socket, state_directory=None, log_fd=-1,
                  timeout=timeout)
    return Agent(handle, DEFAULT_TTL)


def open(name: str, socket: Optional[str] = None, *, config: Optional[Mapping[str, Any]] = None,
         state_directory: Optional[str] = None, log: Log = None, timeout: float = TIMEOUT) -> Agent:
    """Connects to an agent that runs, or starts one that others can connect to."""
    handle = make("open", THREAD, name=name, config=config, socket=socket, state_directory=state_directory,
                  log_fd=log_fd_of(log), timeout=timeout)
    return Agent(handle, DEFAULT_TTL)


class Agent:
    """Made by start(), connect() or open(). All methods may be called on every thread."""

    def __init__(self, handle: Handle, ttl: float) -> None:
        self._handle = handle
        self._ttl = ttl
        self._renewer = _Renewer()
        # At the latest when the program ends: what it has registered says goodbye.
        self._end = weakref.finalize(self, _end, self._renewer, handle)

    def __enter__(self) -> Agent:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Deregisters what this program has registered, and ends in bounded time. Legal twice."""
        self._end()

    def drain(self, timeout: float = 5.0) -> None:
        """Takes all registrations of this program out of every answer, and waits until clients have forgotten
        them."""
        self._handle.call("drain", int(timeout * 1000))

    def register(self, service: Mapping[str, Any], *, ttl: Optional[float] = _DEFAULT, health: str = "passing",
                 on_lost: Optional[Callable[[Exception], None]] = None,
                 on_restored: Optional[Callable[[str], None]] = None) -> Registration:
        """Registers a service of outrider.json(5), and renews it until it is deregistered or the program ends.

        With a connection, it is served for `ttl` seconds without a heartbeat (default: 15; None: for ever).
        `on_lost` is called when it cannot be renewed, which is tried again, and `on_restored` after that; both on
        a thread of their own.
        """
        kept = Kept(self._handle, service, self._ttl if ttl is _DEFAULT else ttl, health, on_lost, on_restored)
        try:
            kept.register()
        except OutriderError:
            if kept.id:  # its first heartbeat has failed
                kept.deregister()
            raise
        self._renewer.add(kept)
        return Registration(self, kept)

    def get(self, service: str, *, version: Optional[str] = None, tags: Sequence[str] = (),
            metadata: Mapping[str, str] = {}, healthy: bool = False, passing: bool = False) -> List[Instance]:
        """The instances of a service; none if it is unknown."""
        query = Filter(version, tags, metadata, healthy, passing).query()
        try:
            return instances_of(self._handle.fetch_json("get", bytes_of(service), bytes_of(query)))
        except NotFoundError:
            return []

    def list(self, prefix: Optional[str] = None) -> List[ServiceSummary]:
        """All services, with counts of their instances."""
        answer = self._handle.fetch_json("list", bytes_of(Filter().query(prefix=prefix)))
        return [ServiceSummary.from_json(one) for one in answer["services"]]

    def snapshot(self) -> Snapshot:
        """All instances of all services."""
        return Snapshot.from_json(self._handle.fetch_json("get", None, None))

    def select(self, service: str, *, strategy: Optional[str] = None, key: Optional[str] = None,
               version: Optional[str] = None, tags: Sequence[str] = (), metadata: Mapping[str, str] = {},
               passing: bool = False) -> Selection:
        """One healthy instance. The strategies are round_robin (default), random, weighted, least_connections, p2c,
        and consistent_hash of a `key`. NotFoundError says why there is none."""
        query = Filter(version, tags, metadata, False, passing).query(strategy=strategy, key=key)
        return Selection.from_json(self._handle.fetch_json("select", bytes_of(service), bytes_of(query)))

    def url(self, service: str, scheme: Optional[str] = None, **how: Any) -> str:
        """The URL of one healthy instance; `how` is that of select()."""
        return self.select(service, **how).with_scheme(scheme)

    def why(self, name: str) -> Explanation:
        """What DNS answers for a name, and why."""
        return Explanation.from_json(self._handle.fetch_json("why", bytes_of(name)))

    def manifest(self, id: Optional[str] = None) -> Dict[str, Any]:
        """The FARP manifest of a registration of the agent; without an id, of its only one."""
        manifest: Dict[str, Any] = self._handle.fetch_json("manifest", bytes_of(id))
        return manifest

    def watch(self, service: Optional[str] = None, *, version: Optional[str] = None, tags: Sequence[str] = (),
              metadata: Mapping[str, str] = {}, healthy: bool = False, passing: bool = False) -> Watch:
        """Follows a service, or all services if none is named."""
        return Watch(self, self._handle, service, Filter(version, tags, metadata, healthy, passing))

    def wait(self, service: str, count: int = 1, timeout: Optional[float] = 30.0) -> List[Instance]:
        """Waits for healthy instances, and returns them."""
        until = None if timeout is None else time.monotonic() + timeout
        instances: List[Instance] = []
        with self.watch(service, healthy=True) as watch:
            while len(instances) < count:
                try:
                    instances = watch.next(None if until is None else until - time.monotonic())
                except WaitTimeoutError:
                    raise WaitTimeoutError(too_few(len(instances), count, service, timeout, self.why)) from None
        return instances


def too_few(known: int, count: int, service: str, timeout: Optional[float],
            why: Callable[[str], Explanation]) -> str:
    try:
        summary = why(service).summary
    except OutriderError as error:
        summary = str(error)
    return f'{known} of {count} healthy instances of "{service}" after {timeout} s: {summary}'


def _end(renewer: _Renewer, handle: Handle) -> None:
    if not handle.is_forked:
        renewer.stop()
        handle.free()


class Registration:
    """An instance that this program has registered; as a context manager, deregistered at its end."""

    def __init__(self, agent: Agent, kept: Kept) -> None:
        self._agent, self._kept = agent, kept  # the agent ends with the last reference to it

    def __enter__(self) -> Registration:
        return self

    def __exit__(self, *_: Any) -> None:
        self.deregister()

    @property
    def id(self) -> str:
        return self._kept.id

    def set_health(self, health: str, note: str = "") -> None:
        """passing, warning or critical: as the program judges itself. The note is for people."""
        self._kept.set_health(health, note)

    def renew(self) -> None:
        """Sends the heartbeats now; registers the instance again if the agent does not know it."""
        self._kept.renew()

    def set_maintenance(self, on: bool, reason: str = "") -> None:
        """Maintenance takes the instance out of all answers; the reason is for people."""
        self._kept.set_maintenance(on, reason)

    def set_draining(self, on: bool = True) -> None:
        """Draining takes it out of all answers, while connections that exist go on."""
        self._kept.set_draining(on)

    def deregister(self) -> None:
        """Legal twice."""
        self._kept.deregister()


class _Renewer:
    """A thread that sends the heartbeats of an agent's registrations."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._due: Dict[Kept, float] = {}
        self._is_over = False
        self._thread: Optional[threading.Thread] = None

    def add(self, kept: Kept) -> None:
        if kept.period is None:
            return
        with self._news:
            self._due[kept] = time.monotonic() + kept.period
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="outrider heartbeats", daemon=True)
                self._thread.start()
            self._news.notify_all()

    def stop(self) -> None:
        with self._news:
            self._is_over = True
            self._news.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(TIMEOUT)

    def _run(self) -> None:
        while True:
            with self._news:
                if self._is_over:
                    return
                now = time.monotonic()
                due = [kept for kept, at in self._due.items() if at <= now]
                if not due:
                    first = min(self._due.values(), default=None)
                    self._news.wait(None if first is None else min(first - now, threading.TIMEOUT_MAX))
                    continue
            for kept in due:
                pause = kept.beat_in_background()
                with self._news:
                    if kept.is_over:
                        self._due.pop(kept, None)
                    else:
                        self._due[kept] = time.monotonic() + pause


class Watch:
    """The list of instances: whole as soon as it is not empty, and after every change. Of lists that were not
    fetched, only the latest is kept. It goes on over restarts of the agent."""

    def __init__(self, agent: Agent, handle: Handle, service: Optional[str], wanted: Filter) -> None:
        self._agent, self._handle = agent, handle  # the agent ends with the last reference to it
        self._everything = Everything(wanted) if service is None else None
        query = None if service is None else wanted.query()
        self._watcher: Optional[c_void_p] = c_void_p()
        self._is_closed = False
        self._lock = threading.Lock()
        handle.call("watch", bytes_of(service), bytes_of(query), NO_CALLBACK, None, ctypes.byref(self._watcher))

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def __iter__(self) -> Iterator[List[Instance]]:
        while True:
            try:
                yield self.next()
            except ClosedError:
                return

    def next(self, timeout: Optional[float] = None) -> List[Instance]:
        """The next list. WaitTimeoutError: not within so many seconds; ClosedError: close() was called."""
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            settled = None if self._everything is None else self._everything.settle(time.monotonic())
            if settled is not None:
                return settled
            left_ms = SLICE_MS if until is None else max(0, int((until - time.monotonic()) * 1000))
            try:
                document = self._next(min(SLICE_MS, left_ms))
            except WaitTimeoutError:
                if until is not None and time.monotonic() >= until:
                    raise
                continue
            if self._everything is None:
                return instances_of(document)
            instances = self._everything.take(document, time.monotonic())
            if instances is not None:
                return instances

    def _next(self, timeout_ms: int) -> Any:
        self._handle.check_process()
        with self._lock:
            if self._is_closed or self._watcher is None:
                raise ClosedError("the watch was closed")
            return self._handle.next(self._watcher, timeout_ms)

    def close(self) -> None:
        """Ends the iteration of another thread, too. Legal twice."""
        if self._handle.is_forked:
            return
        self._is_closed = True  # the other thread takes the lock again and again
        with self._lock:
            watcher, self._watcher = self._watcher, None
        if watcher:
            self._handle.unwatch(watcher)
