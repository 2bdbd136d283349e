# SPDX-License-Identifier: Apache-2.0
"""The face for asyncio: the agent works in the program's own loop, by its descriptor, without a thread.

    async with outrider.aio.open(name="shop") as agent:
        await agent.register({"name": "orders", "port": 8080})
        async for instances in agent.watch("payments", healthy=True):
            print([instance.id for instance in instances])

An agent of the program's own answers from memory. A connection blocks the loop for the round trip of a request over
the Unix socket, at most `timeout`; watching does not block.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import time
from ctypes import c_void_p
from typing import Any, AsyncIterator, Callable, Dict, List, Mapping, Optional, Sequence

from .agent import _DEFAULT, TIMEOUT, Log, log_fd_of, too_few
from .errors import ClosedError, NotFoundError, OutriderError, WaitTimeoutError
from .heartbeat import DEFAULT_TTL, EMBEDDED_TTL, Kept
from .model import Everything, Explanation, Filter, Instance, Selection, ServiceSummary, Snapshot, instances_of
from .native import FD, FOREVER, Handle, TextCallback, bytes_of, make


def start(name: str, *, config: Optional[Mapping[str, Any]] = None, state_directory: Optional[str] = None,
          log: Log = None, timeout: float = TIMEOUT) -> Agent:
    """As outrider.start(); called while the loop runs."""
    return Agent(make("start", FD, name=name, config=config, socket=None, state_directory=state_directory,
                      log_fd=log_fd_of(log), timeout=timeout), EMBEDDED_TTL)


def connect(socket: Optional[str] = None, *, timeout: float = TIMEOUT) -> Agent:
    """As outrider.connect(); called while the loop runs."""
    return Agent(make("connect", FD, name=None, config=None, socket=socket, state_directory=None, log_fd=-1,
                      timeout=timeout), DEFAULT_TTL)


def open(name: str, socket: Optional[str] = None, *, config: Optional[Mapping[str, Any]] = None,
         state_directory: Optional[str] = None, log: Log = None, timeout: float = TIMEOUT) -> Agent:
    """As outrider.open(); called while the loop runs."""
    return Agent(make("open", FD, name=name, config=config, socket=socket, state_directory=state_directory,
                      log_fd=log_fd_of(log), timeout=timeout), DEFAULT_TTL)


class Agent:
    """Made by start(), connect() or open(), in the thread of a running loop, and used there."""

    def __init__(self, handle: Handle, ttl: float) -> None:
        self._handle = handle
        self._ttl = ttl
        self._loop = asyncio.get_running_loop()
        self._timer: Optional[asyncio.TimerHandle] = None
        self._watches: List[Watch] = []
        self._beats: Dict[Kept, asyncio.TimerHandle] = {}
        self._fd = handle.call("fd")
        self._loop.add_reader(self._fd, self._work)
        self._arm()

    async def __aenter__(self) -> Agent:
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Deregisters what this program has registered, and ends in bounded time. Legal twice."""
        if self._handle.is_closed:
            return
        self._loop.remove_reader(self._fd)
        for timer in (self._timer, *self._beats.values()):
            if timer:
                timer.cancel()
        for watch in list(self._watches):
            watch.close()
        self._handle.free()

    def _work(self) -> None:
        if not self._handle.is_closed:
            self._handle.call("process")
            self._arm()

    def _arm(self) -> None:
        """After every call: the deadline may be another one."""
        if self._handle.is_closed:
            return
        if self._timer:
            self._timer.cancel()
        deadline = self._handle.deadline()
        self._timer = None
        if deadline != FOREVER:
            pause = deadline / 1e9 - time.clock_gettime(time.CLOCK_MONOTONIC)
            self._timer = self._loop.call_later(max(0.0, pause), self._work)

    def _call(self, call: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return call(*arguments)
        finally:
            self._arm()

    async def register(self, service: Mapping[str, Any], *, ttl: Optional[float] = _DEFAULT, health: str = "passing",
                       on_lost: Optional[Callable[[Exception], None]] = None,
                       on_restored: Optional[Callable[[str], None]] = None) -> Registration:
        """As outrider.Agent.register(); the callbacks come in the loop."""
        kept = Kept(self._handle, service, self._ttl if ttl is _DEFAULT else ttl, health, on_lost, on_restored)
        try:
            self._call(kept.register)
        except OutriderError:
            if kept.id:  # its first heartbeat has failed
                self._call(kept.deregister)
            raise
        if kept.period is not None:
            self._beats[kept] = self._loop.call_later(kept.period, self._beat, kept)
        return Registration(self, kept)

    def _beat(self, kept: Kept) -> None:
        pause = self._call(kept.beat_in_background)
        if kept.is_over:
            del self._beats[kept]
        else:
            self._beats[kept] = self._loop.call_later(pause, self._beat, kept)

    async def get(self, service: str, *, version: Optional[str] = None, tags: Sequence[str] = (),
                  metadata: Mapping[str, str] = {}, healthy: bool = False, passing: bool = False) -> List[Instance]:
        """The instances of a service; none if it is unknown."""
        query = Filter(version, tags, metadata, healthy, passing).query()
        try:
            return instances_of(self._call(self._handle.fetch_json, "get", bytes_of(service), bytes_of(query)))
        except NotFoundError:
            return []

    async def list(self, prefix: Optional[str] = None) -> List[ServiceSummary]:
        """All services, with counts of their instances."""
        answer = self._call(self._handle.fetch_json, "list", bytes_of(Filter().query(prefix=prefix)))
        return [ServiceSummary.from_json(one) for one in answer["services"]]

    async def snapshot(self) -> Snapshot:
        """All instances of all services."""
        return Snapshot.from_json(self._call(self._handle.fetch_json, "get", None, None))

    async def select(self, service: str, *, strategy: Optional[str] = None, key: Optional[str] = None,
                     version: Optional[str] = None, tags: Sequence[str] = (), metadata: Mapping[str, str] = {},
                     passing: bool = False) -> Selection:
        """As outrider.Agent.select()."""
        query = Filter(version, tags, metadata, False, passing).query(strategy=strategy, key=key)
        answer = self._call(self._handle.fetch_json, "select", bytes_of(service), bytes_of(query))
        return Selection.from_json(answer)

    async def url(self, service: str, scheme: Optional[str] = None, **how: Any) -> str:
        """The URL of one healthy instance; `how` is that of select()."""
        return (await self.select(service, **how)).with_scheme(scheme)

    def _why(self, name: str) -> Explanation:
        return Explanation.from_json(self._call(self._handle.fetch_json, "why", bytes_of(name)))

    async def why(self, name: str) -> Explanation:
        """What DNS answers for a name, and why."""
        return self._why(name)

    async def manifest(self, id: Optional[str] = None) -> Dict[str, Any]:
        """The FARP manifest of a registration of the agent; without an id, of its only one."""
        manifest: Dict[str, Any] = self._call(self._handle.fetch_json, "manifest", bytes_of(id))
        return manifest

    def watch(self, service: Optional[str] = None, *, version: Optional[str] = None, tags: Sequence[str] = (),
              metadata: Mapping[str, str] = {}, healthy: bool = False, passing: bool = False) -> Watch:
        """Follows a service, or all services if none is named."""
        return Watch(self, self._handle, service, Filter(version, tags, metadata, healthy, passing))

    async def wait(self, service: str, count: int = 1, timeout: Optional[float] = 30.0) -> List[Instance]:
        """Waits for healthy instances, and returns them."""
        instances: List[Instance] = []

        async def enough(watch: Watch) -> None:
            nonlocal instances
            while len(instances) < count:
                instances = await watch.next()

        watch = self.watch(service, healthy=True)
        try:
            await asyncio.wait_for(enough(watch), timeout)
        except asyncio.TimeoutError:
            raise WaitTimeoutError(too_few(len(instances), count, service, timeout, self._why)) from None
        finally:
            watch.close()
        return instances


class Registration:
    """An instance that this program has registered; as a context manager, deregistered at its end."""

    def __init__(self, agent: Agent, kept: Kept) -> None:
        self._agent, self._kept = agent, kept

    async def __aenter__(self) -> Registration:
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.deregister()

    @property
    def id(self) -> str:
        return self._kept.id

    async def set_health(self, health: str, note: str = "") -> None:
        """passing, warning or critical: as the program judges itself. The note is for people."""
        self._agent._call(self._kept.set_health, health, note)

    async def renew(self) -> None:
        """Sends the heartbeats now; registers the instance again if the agent does not know it."""
        self._agent._call(self._kept.renew)

    async def set_maintenance(self, on: bool, reason: str = "") -> None:
        """Maintenance takes the instance out of all answers; the reason is for people."""
        self._agent._call(self._kept.set_maintenance, on, reason)

    async def set_draining(self, on: bool = True) -> None:
        """Draining takes it out of all answers, while connections that exist go on."""
        self._agent._call(self._kept.set_draining, on)

    async def deregister(self) -> None:
        """Legal twice."""
        self._agent._call(self._kept.deregister)


class Watch:
    """The list of instances: whole as soon as it is not empty, and after every change. Of lists that were not
    fetched, only the latest is kept. It goes on over restarts of the agent."""

    def __init__(self, agent: Agent, handle: Handle, service: Optional[str], wanted: Filter) -> None:
        self._agent, self._handle = agent, handle
        self._everything = Everything(wanted) if service is None else None
        self._latest: Optional[List[Instance]] = None
        self._settling: Optional[asyncio.TimerHandle] = None
        self._news = asyncio.Event()
        self._watcher: Optional[c_void_p] = c_void_p()
        self._callback = TextCallback(self._on_document)  # lives as long as the watcher
        query = None if service is None else wanted.query()
        agent._call(handle.call, "watch", bytes_of(service), bytes_of(query), self._callback, None,
                    ctypes.byref(self._watcher))
        agent._watches.append(self)

    def _on_document(self, _: Any, text: int, length: int) -> None:
        document = json.loads(ctypes.string_at(text, length))
        if self._everything is None:
            return self._report(instances_of(document))
        self._report(self._everything.take(document, time.monotonic()))
        if self._settling:
            self._settling.cancel()
        if self._everything.settles_at is not None:
            pause = self._everything.settles_at - time.monotonic()
            self._settling = self._agent._loop.call_later(max(0.0, pause), self._settle, self._everything)

    def _settle(self, everything: Everything) -> None:
        self._report(everything.settle(float("inf")))  # the timer may be a little early

    def _report(self, instances: Optional[List[Instance]]) -> None:
        if instances is not None and self._watcher is not None:
            self._latest = instances
            self._news.set()

    async def next(self) -> List[Instance]:
        """The next list. ClosedError: close() was called."""
        while self._latest is None:
            if self._watcher is None:
                raise ClosedError("the watch was closed")
            self._news.clear()
            await self._news.wait()
        latest, self._latest = self._latest, None
        return latest

    async def __aiter__(self) -> AsyncIterator[List[Instance]]:
        while True:
            try:
                yield await self.next()
            except ClosedError:
                return

    def close(self) -> None:
        """Ends the iteration, too. Legal twice."""
        watcher, self._watcher = self._watcher, None
        self._latest = None
        self._news.set()
        if self._settling:
            self._settling.cancel()
        if watcher is not None:
            self._agent._watches.remove(self)
            self._agent._call(self._handle.unwatch, watcher)
