# SPDX-License-Identifier: Apache-2.0
"""What is sent to keep a registration; shared by both faces of the library."""

from __future__ import annotations

import json
import re
import threading
from typing import Any, Callable, Dict, List, Mapping, Optional

from .errors import ClosedError, ForkedError, InvalidError, NotFoundError, OutriderError
from .native import HEALTHS, Handle, bytes_of

DEFAULT_TTL = 15.0
EMBEDDED_TTL = 30 * 86400.0  # the agent ends with the program: heartbeats prove nothing
RETRY = 1.0  # seconds, while no agent answers
OWN_CHECK = "program"  # the id of the check that is added
_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def seconds(text: str) -> float:
    """Of a duration of the configuration, such as "1m30s"."""
    if not re.fullmatch(r"(\d+(ms|[dhms]))+", text):
        raise InvalidError(f'ttl: expected a duration such as "10s", not {json.dumps(text)}')
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)(ms|[dhms])", text))


class Kept:
    """A registration, and what it takes to make it again."""

    def __init__(self, handle: Handle, service: Mapping[str, Any], ttl: Optional[float], health: str,
                 on_lost: Optional[Callable[[Exception], None]],
                 on_restored: Optional[Callable[[str], None]]) -> None:
        self.id = ""
        self._handle = handle
        self._lock = threading.Lock()  # one change at a time
        self._service = dict(service)
        self._health, self._note = self._valid(health), ""
        self._maintenance: Optional[str] = None
        self._is_draining = False
        self._is_lost = False
        self.is_over = False
        self._on_lost, self._on_restored = on_lost, on_restored
        checks: List[Dict[str, Any]] = [dict(check) for check in service.get("checks", ())]
        if ttl is not None and not any("ttl" in check for check in checks):
            checks.append({"ttl": f"{max(1, round(ttl * 1000))}ms", "id": OWN_CHECK})
        if checks:
            self._service["checks"] = checks
        self._beats = [check for check in checks if "ttl" in check]
        if len(self._beats) > 1 and not all("id" in check for check in self._beats):
            raise InvalidError("of several TTL checks, each needs an id")
        self.period = min((seconds(check["ttl"]) / 3 for check in self._beats), default=None)

    @staticmethod
    def _valid(health: str) -> str:
        if health not in HEALTHS:
            raise InvalidError(f'health must be passing, warning or critical, not "{health}"')
        return health

    def register(self, is_first: bool = True) -> None:
        for check in self._service.get("checks", ()):
            if check.get("id") == OWN_CHECK:
                check["initial"] = self._health
        self.id = self._handle.fetch("register", json.dumps(self._service).encode())
        if not is_first or any(check.get("id") != OWN_CHECK for check in self._beats):
            self._beat()
        if self._maintenance is not None:
            self.set_maintenance(True, self._maintenance)
        if self._is_draining:
            self.set_draining(True)

    def _beat(self) -> None:
        note = bytes_of(self._note or None)
        ids = [self.id] if len(self._beats) == 1 else [f"service:{self.id}:{check['id']}" for check in self._beats]
        for name in ids:
            self._handle.call("set_health", bytes_of(name), HEALTHS[self._health], note)

    def renew(self) -> None:
        self._handle.check_process()
        with self._lock:
            if self.is_over:
                raise ClosedError("the instance was deregistered")
            try:
                self._beat()
            except NotFoundError:
                self.register(is_first=False)

    def set_health(self, health: str, note: str) -> None:
        self._health, self._note = self._valid(health), note
        if self._beats:
            self.renew()
        else:
            self._handle.call("set_health", bytes_of(self.id), HEALTHS[health], bytes_of(note or None))

    def set_maintenance(self, on: bool, reason: str) -> None:
        self._handle.call("set_maintenance", bytes_of(self.id), int(on), bytes_of(reason or None))
        self._maintenance = reason if on else None

    def set_draining(self, on: bool) -> None:
        self._handle.call("set_draining", bytes_of(self.id), int(on))
        self._is_draining = on

    def deregister(self) -> None:
        self._handle.check_process()
        with self._lock:
            if self.is_over:
                return
            self.is_over = True
            try:
                self._handle.call("deregister", bytes_of(self.id))
            except (NotFoundError, ClosedError):
                pass  # evicted, or gone with the agent

    def beat_in_background(self) -> float:
        """Renews it; how long to wait for the next time."""
        period = self.period or EMBEDDED_TTL
        try:
            self.renew()
        except (ClosedError, ForkedError):
            self.is_over = True
        except OutriderError as error:
            if not self._is_lost and self._on_lost:
                self._on_lost(error)
            self._is_lost = True
            return min(RETRY, period)
        else:
            if self._is_lost and self._on_restored:
                self._on_restored(self.id)
            self._is_lost = False
        return period
