# SPDX-License-Identifier: Apache-2.0
"""What the agent knows, as objects. `raw` holds the whole JSON of each, as /openapi.json describes it."""

from __future__ import annotations

import dataclasses
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Set, TypeVar, cast
from urllib.parse import quote

T = TypeVar("T")


def _from_json(kind: Callable[..., T], raw: Mapping[str, Any], **others: Any) -> T:
    names = {field.name for field in dataclasses.fields(cast(Any, kind))}
    known = {key: value for key, value in raw.items() if key in names and key not in others}
    return kind(**known, **others, raw=raw)


@dataclasses.dataclass(frozen=True)
class CheckState:
    """What a check of an instance has seen."""

    id: str
    name: str
    kind: str
    health: str
    output: str
    since: str
    raw: Mapping[str, Any] = dataclasses.field(repr=False, compare=False, default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Instance:
    """One endpoint of a service."""

    id: str
    service: str
    version: str
    health: str  # starting, passing, warning, critical, draining or maintenance
    served: bool  # whether DNS may answer with it
    addresses: Sequence[str]
    port: int
    protocol: str
    tags: Sequence[str]
    metadata: Mapping[str, str]
    weight: int
    source: str  # "own": registered with this agent
    this_host: bool
    stale: bool  # its source does not answer
    checks: Sequence[CheckState] = dataclasses.field(repr=False)
    maintenance_reason: str = ""
    raw: Mapping[str, Any] = dataclasses.field(repr=False, compare=False, default_factory=dict)

    @staticmethod
    def from_json(raw: Mapping[str, Any]) -> Instance:
        checks = [_from_json(CheckState, check) for check in raw["checks"]]
        return _from_json(Instance, raw, checks=checks)


@dataclasses.dataclass(frozen=True)
class ServiceSummary:
    """A service, with counts of its instances."""

    name: str
    label: str  # its name in DNS
    instances: int
    served: int
    this_host: int
    tags: Sequence[str]
    raw: Mapping[str, Any] = dataclasses.field(repr=False, compare=False, default_factory=dict)

    @staticmethod
    def from_json(raw: Mapping[str, Any]) -> ServiceSummary:
        return _from_json(ServiceSummary, raw)


@dataclasses.dataclass(frozen=True)
class Selection:
    """The instance that was selected."""

    service: str
    strategy: str
    candidates: int
    endpoint: str  # ADDRESS:PORT
    url: str  # PROTOCOL://ADDRESS:PORT
    instance: Instance
    raw: Mapping[str, Any] = dataclasses.field(repr=False, compare=False, default_factory=dict)

    @staticmethod
    def from_json(raw: Mapping[str, Any]) -> Selection:
        return _from_json(Selection, raw, instance=Instance.from_json(raw["instance"]))

    def with_scheme(self, scheme: Optional[str]) -> str:
        """The URL; its scheme is by default the instance's protocol."""
        return f"{scheme}://{self.endpoint}" if scheme else self.url


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """All that is known."""

    revision: int
    instances: Sequence[Instance]
    raw: Mapping[str, Any] = dataclasses.field(repr=False, compare=False, default_factory=dict)

    @staticmethod
    def from_json(raw: Mapping[str, Any]) -> Snapshot:
        return _from_json(Snapshot, raw, instances=instances_of(raw))


@dataclasses.dataclass(frozen=True)
class Explanation:
    """What DNS answers for a name, and why."""

    service: str
    known: bool
    summary: str
    raw: Mapping[str, Any] = dataclasses.field(repr=False, compare=False, default_factory=dict)

    @staticmethod
    def from_json(raw: Mapping[str, Any]) -> Explanation:
        return _from_json(Explanation, raw)


def instances_of(raw: Mapping[str, Any]) -> List[Instance]:
    return [Instance.from_json(instance) for instance in raw["instances"]]


@dataclasses.dataclass(frozen=True)
class Filter:
    """Which instances are wanted; `query` is how the API takes it."""

    version: Optional[str] = None
    tags: Sequence[str] = ()
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    healthy: bool = False
    passing: bool = False

    def query(self, **others: Optional[str]) -> str:
        pairs: List[tuple[str, str]] = [("tag", tag) for tag in self.tags]
        pairs += [("metadata", f"{key}={value}") for key, value in self.metadata.items()]
        if self.version:
            pairs.append(("version", self.version))
        pairs += [(key, "true") for key in ("healthy", "passing") if getattr(self, key)]
        pairs += [(key, value) for key, value in others.items() if value]
        return "&".join(f"{key}={quote(value, safe='')}" for key, value in pairs)

    def wants(self, instance: Instance) -> bool:
        return ((not self.version or instance.version == self.version)
                and (not (self.healthy or self.passing) or instance.served)
                and (not self.passing or instance.health == "passing")
                and set(self.tags) <= set(instance.tags)
                and all(instance.metadata.get(key) == value for key, value in self.metadata.items()))


# An agent that has just started does not know its neighbours yet.
SETTLE_TIME = 3.0


class Everything:
    """The whole list of all services, from the first document of a stream and its changes. What was known before a
    restart of the agent stays in the list until the new one has had the time to find it."""

    def __init__(self, wanted: Filter) -> None:
        self._wanted = wanted
        self._known: Dict[tuple[str, str], Instance] = {}
        self._missing: Set[tuple[str, str]] = set()
        self._agent: Optional[str] = None  # which run of an agent sent the latest snapshot
        self._has_reported = False
        self.settles_at: Optional[float] = None

    def take(self, document: Mapping[str, Any], now: float) -> Optional[List[Instance]]:
        """The new list, or nothing if the document changes nothing that is wanted."""
        before = self._list()
        if "instances" in document:
            self._take_snapshot(document, now)
        for change in document.get("changes", ()):
            instance = Instance.from_json(change["instance"])
            key = instance.service, instance.id
            self._missing.discard(key)
            if change["kind"] == "removed":
                self._known.pop(key, None)
            else:
                self._known[key] = instance
        return self._news(before)

    def settle(self, now: float) -> Optional[List[Instance]]:
        """From `settles_at` on: the new list without what a new agent has not found again, if that changes it."""
        if self.settles_at is None or now < self.settles_at:
            return None
        before = self._list()
        self._forget_missing()
        return self._news(before)

    def _take_snapshot(self, document: Mapping[str, Any], now: float) -> None:
        found = {(one.service, one.id): one for one in instances_of(document)}
        self._missing = self._known.keys() - found.keys()
        self._known.update(found)
        agent = document.get("agent")
        if self._missing and agent != self._agent:
            self.settles_at = now + SETTLE_TIME
        else:
            self._forget_missing()
        self._agent = agent

    def _forget_missing(self) -> None:
        for key in self._missing:
            del self._known[key]
        self._missing = set()
        self.settles_at = None

    def _news(self, before: List[Instance]) -> Optional[List[Instance]]:
        after = self._list()
        if after == before:
            return None
        self._has_reported = self._has_reported or bool(after)
        return after if self._has_reported else None

    def _list(self) -> List[Instance]:
        return [self._known[key] for key in sorted(self._known) if self._wanted.wants(self._known[key])]
