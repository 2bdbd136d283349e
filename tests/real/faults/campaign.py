# SPDX-License-Identifier: Apache-2.0
"""Faults by name, and how long each is felt.

A fault is a generator over a Scene: what comes before its `yield` brings the fault about, what comes after takes the
cause away. From then on the clock runs until every observer gives the right answer again. What an observer answered
from the beginning to that moment, and was neither right nor allowed while the fault lasted, counts as wrong.

    @fault(right_within=5, meanwhile=one_host)
    def agent_killed(scene):
        scene.agent["b"].kill()
        yield
        scene.start_agent("b")
"""

import contextlib
import dataclasses
import time
import typing

import harness

PORT = 8000
STUB = 5370
UPSTREAM_NAME, UPSTREAM_ADDRESS = "*.example", "192.0.2.80"
CHECK = {"http": "/", "interval": "500ms", "edge_interval": "250ms", "timeout": "400ms"}
HELLO = {"name": "hello", "port": PORT, "checks": [CHECK]}
LIFECYCLE = {"drain": "0s"}
SETTLE_S = 20.0  # for the scene to be right before a fault begins
SLACK = 3  # the bounds of the quick run are so many times as long: the machine may be building meanwhile


@dataclasses.dataclass
class Fault:
    name: str
    run: typing.Callable
    right_within: float  # seconds after the cause is gone
    wrong_for: float  # seconds of wrong answers, from the beginning of the fault
    meanwhile: typing.Callable  # scene: the states that are allowed while it lasts
    quick: bool


FAULTS = []


def nothing_else(_scene):
    return set()


def one_host(scene):
    """b is gone."""
    return {scene.state("a")}


def one_or_none(scene):
    """A host that is cut off knows itself, or none."""
    alone = {scene.state("a"), scene.state("b"), "0 127.0.0.1", "0", "3"}
    return alone | {" ".join(["0", *sorted([scene.host["b"].ip4, "127.0.0.1"])])}


def silence(scene):
    """There is no answer, since the agent that would give it is what fails."""
    return {*one_or_none(scene), "2", "none"}


def server_failure(_scene):
    """Of a name that only the upstream server knows."""
    return {"2"}


def fault(right_within, wrong_for=1.0, meanwhile=nothing_else, quick=True):
    def listed(run):
        name = run.__name__.replace("_", " ")
        FAULTS.append(Fault(name, run, right_within, wrong_for, meanwhile, quick))
        return run

    return listed


def room_of(fault):
    return fault.run.__module__.rpartition(".")[2]


def pause(seconds):
    """The fault itself lasts so long."""
    time.sleep(seconds)


class Scene:
    """Hosts a and b with a service and an agent each, and c, which looks for them; "up" is its name server, and "liar"
    is where bad neighbours speak from."""

    def __init__(self, world):
        self.world = world
        self.slack = 1 if world.long else SLACK
        self.host, self.agent, self.service, self.watch = {}, {}, {}, {}
        for name in ("a", "b", "c", "up", "liar"):
            self.host[name] = world.host(name)
        self.start_upstream()
        for name in "abc":
            if name != "c":
                self.service[name] = self.host[name].http_server(PORT)
            self.start_agent(name)
        c = self.host["c"]
        self.watch = {
            "c": c.watch_dns("hello.svc"),
            "a": self.host["a"].watch_dns("hello.svc", port=STUB),
            "up": c.watch_dns(UPSTREAM_NAME),
        }
        self.expect("a", "b")

    def start_upstream(self):
        up = self.host["up"]
        self.upstream_mode = up.dir / "mode"
        self.upstream_mode.write_text("right")
        self.upstream = up.start("upstream", [harness.PYTHON, harness.HERE / "faults/upstream.py", up.ip4,
                                              self.host["c"].ip4, self.upstream_mode])
        self.upstream.wait_line("^listening$")

    def expect(self, *names):
        """From now on it is right that these hosts have the service."""
        state = self.state(*names)
        self.right = {"c": state, "a": state, "up": f"0 {UPSTREAM_ADDRESS}"}

    def config(self, name):
        if name == "c":
            dns = {"listen": ["127.0.0.55:53"], "forward": "on", "upstream": [self.host["up"].ip4]}
            return {"dns": dns, "lifecycle": LIFECYCLE}
        return {"services": [{**HELLO, "id": f"hello-{name}"}], "lifecycle": LIFECYCLE}

    def start_agent(self, name, more=None, wait=True):
        config = {**self.config(name), **(more or {})}
        self.agent[name] = self.host[name].agent(config)
        if wait:
            self.agent[name].wait_line("api_listening")
        return self.agent[name]

    def restart_agent(self, name, more=None):
        if self.agent[name].running():
            self.agent[name].kill()
        return self.start_agent(name, more)

    def socket(self, name):
        return self.host[name].dir / "outrider" / "agent.sock"

    def state(self, *names):
        return " ".join(["0", *sorted(self.host[name].ip4 for name in names)])

    def wait_right(self, seconds):
        """Waits until each observer's last answer is right; the seconds that took."""
        begun = time.monotonic()

        def wrong():
            last = {name: watch.lines[-1][1] if watch.lines else None for name, watch in self.watch.items()}
            return {name: text for name, text in last.items() if text != self.right[name]}

        while wrong():
            if time.monotonic() > begun + seconds:
                raise harness.Failed(f"not right within {seconds} s: {wrong()}, wanted {self.right}")
            time.sleep(harness.POLL_S)
        return max(0.0, max(watch.lines[-1][0] for watch in self.watch.values()) - begun)

    def wait_gone(self, seconds):
        """The fault is to be noticed: everybody sees a alone, within so many seconds."""
        self.expect("a")
        limit = self.slack * seconds
        self.gone_after = self.wait_right(2 * limit)
        self.expect("a", "b")
        harness.check(self.gone_after <= limit, f"noticed after {self.gone_after:.2f} s, not within {limit} s")

    def wrong_since(self, begun, allowed, of_upstream):
        """The longest time that one observer's answers were neither right nor allowed, and these answers."""
        now, most, seen = time.monotonic(), 0.0, []
        for name, watch in self.watch.items():
            if name == "up" and not of_upstream:
                continue  # without a link there is no name server
            lines = [*watch.lines, (now, "")]
            wrong = 0.0
            for (at, text), (until, _) in zip(lines, lines[1:]):
                if until <= begun or text == self.right[name] or text in allowed:
                    continue
                wrong += until - max(at, begun)
                seen.append(text)
            most = max(most, wrong)
        return most, sorted(set(seen))

    def repair(self):
        """Everything again, after a fault that was not survived."""
        self.upstream_mode.write_text("right")
        for name in "abc":
            self.host[name].cable(True)
            self.restart_agent(name)
        for name, service in self.service.items():
            service.kill()
            self.service[name] = self.host[name].http_server(PORT)


@dataclasses.dataclass
class Outcome:
    gone_after: float | None  # until it was noticed, where that is to be
    right_after: float
    wrong: float
    seen: list


def undergo(scene, fault):
    """Brings the fault about in a scene that is right; what was measured. Raises Failed when it never ends."""
    scene.expect("a", "b")
    scene.gone_after = None
    scene.wait_right(SETTLE_S)
    begun = time.monotonic()
    course = fault.run(scene)
    next(course)
    allowed = fault.meanwhile(scene)
    with contextlib.suppress(StopIteration):
        next(course)
    # Twice the bound is waited for, so that the table shows what a fault takes that exceeds it.
    right_after = scene.wait_right(2 * scene.slack * fault.right_within + 5)
    wrong, seen = scene.wrong_since(begun, allowed, room_of(fault) == "upstreams")
    return Outcome(scene.gone_after, right_after, wrong, seen)
