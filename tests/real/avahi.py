#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An agent that speaks mDNS through avahi-daemon, and one of another host that speaks it itself.

The daemon does not share port 5353. It is restarted, its bus is, and it is made to hang: what
was seen stays, what was announced is announced again, and DNS answers all the while. With --long
the daemon is restarted 100 times.
"""

import re
import signal
import time

import harness
from harness import check, equal

PORT = 5370
RESTARTS, RESTARTS_LONG = 5, 100
APPEAR_WITHIN_S = 10.0
BACK_WITHIN_S = 15.0
# The daemon hangs, and a call of its library waits 25 s: how many questions are asked meanwhile, and
# how slow the slowest answer may be on a busy machine.
QUESTIONS, ANSWER_WITHIN_MS = 30, 500
# Draining is cut short; then there is patience with the daemon, and a slow machine.
STOP_WITHIN_S = 8.0


def config(name, provider):
    return {
        "mdns": {"provider": provider},
        "lifecycle": {"drain": "100ms"},
        "services": [{"name": name, "port": 8000, "tags": ["v1"]}],
    }


def watch(host, name, other):
    """A program that says each change of what `name` answers on `host`, once it is `other`."""
    program = host.watch_dns(name, port=PORT)
    program.wait_line("^0 " + re.escape(other.ip4) + "$", APPEAR_WITHIN_S)
    return program


def label_of(host, type_, port=8000):
    """The labels that avahi-browse resolves on `host`."""
    return {seen.label for seen in host.avahi_resolve(type_) if seen.port == port}


def unchanged(program, mark):
    equal([text for _, text in program.lines[mark:]], [], f"changes that {program.name} saw")


def restart(host, daemon, number):
    daemon.stop(number)
    return host.avahi_daemon(bus=False, interfaces="eth0,lo", exclusive=True)


def slowest_answer(host, name, wanted):
    slowest = 0
    for _ in range(QUESTIONS):
        answer = host.dig(name, port=PORT, options=["+stats"])
        equal(answer.data("A"), [wanted], f"{name} on {host.name}")
        slowest = max(slowest, int(re.search(r"Query time: (\d+) msec", answer.text)[1]))
    return slowest


def scenario(world):
    harness.need("avahi-daemon", "avahi-browse", "dbus-daemon", "dig")
    a, b = world.host("a"), world.host("b")
    bus = a.system_bus()
    daemon = a.avahi_daemon(bus=False, interfaces="eth0,lo", exclusive=True)
    b.avahi_daemon()
    agent = a.agent(config("hello", "auto"))

    with world.step("where port 5353 cannot be shared, auto is avahi", vital=True) as say:
        text = agent.wait_line("mdns_port_held")[1]
        check("native" not in text, text)
        agent.wait_line("avahi_connected")
        agent.wait_line("announced")
        say(text)
    other = b.agent(config("world", "native"))
    with world.step("each agent answers for the other's service", vital=True):
        on_a, on_b = watch(a, "world.svc", b), watch(b, "hello.svc", a)
    with world.step("avahi-browse resolves it on both hosts"):
        for host in (a, b):
            seen = harness.wait_for("hello", lambda: host.avahi_resolve("_hello._tcp"))
            equal({one.port for one in seen}, {8000}, "port")
    with world.step("a service of this host only is on the loopback, and not on the LAN"):
        spec = a.dir / "secret.json"
        spec.write_text('{"name": "secret", "port": 9, "address": "127.0.0.1", "scope": "host"}')
        equal(a.outrider("register", spec)[0], 0, "exit status of register")
        seen = harness.wait_for("secret", lambda: a.avahi_resolve("_secret._tcp"))
        equal({(one.interface, one.address) for one in seen}, {("lo", "127.0.0.1")}, "where")
        equal(b.avahi_resolve("_secret._tcp"), [], "what the other host resolves")

    rounds = RESTARTS_LONG if world.long else RESTARTS
    with world.step(f"the daemon is restarted {rounds} times: nothing is lost") as say:
        mark_a, slowest = on_a.mark(), 0.0
        for round_number in range(rounds):
            running = agent.mark()
            begun = time.monotonic()
            number = signal.SIGKILL if round_number % 2 else signal.SIGTERM
            daemon = restart(a, daemon, number)
            agent.wait_line("avahi_connected", BACK_WITHIN_S, since=running)
            harness.wait_for(
                "hello on the LAN", lambda: label_of(b, "_hello._tcp"), BACK_WITHIN_S
            )
            slowest = max(slowest, time.monotonic() - begun)
        unchanged(on_a, mark_a)
        equal(b.dig("hello.svc", port=PORT).data("A"), [a.ip4], "hello.svc at the end")
        say(f"the slowest {slowest:.1f} s from its end to resolved by another daemon")

    with world.step("the bus is restarted: the same") as say:
        mark_a, running, begun = on_a.mark(), agent.mark(), time.monotonic()
        bus.kill()
        daemon.kill()
        a.run(["rm", "-f", "/run/dbus/system_bus_socket", "/run/dbus/pid"])
        bus = a.system_bus()
        daemon = a.avahi_daemon(bus=False, interfaces="eth0,lo", exclusive=True)
        agent.wait_line("avahi_connected", BACK_WITHIN_S, since=running)
        harness.wait_for("hello", lambda: label_of(b, "_hello._tcp"), BACK_WITHIN_S)
        unchanged(on_a, mark_a)
        say(f"{time.monotonic() - begun:.1f} s")

    with world.step("the daemon hangs: DNS answers as ever, the API too") as say:
        before = slowest_answer(a, "world.svc", b.ip4)
        daemon.send(signal.SIGSTOP)
        spec.write_text('{"name": "later", "port": 8001}')
        begun = time.monotonic()
        equal(a.outrider("register", spec)[0], 0, "exit status of register")
        took = time.monotonic() - begun
        during = slowest_answer(a, "world.svc", b.ip4)
        say(f"the slowest of {QUESTIONS}: {before} ms before, {during} ms while it hangs; "
            f"a registration {took * 1000:.0f} ms")
        check(during <= ANSWER_WITHIN_MS, f"{during} ms")
    with world.step("the agent reports that it does not answer, and continues where it was") as say:
        harness.wait_for("the status", lambda: "does not answer" in a.outrider("status")[1])
        begun = time.monotonic()
        daemon.send(signal.SIGCONT)
        harness.wait_for("later", lambda: label_of(b, "_later._tcp", 8001), BACK_WITHIN_S)
        say(f"registered {time.monotonic() - begun:.1f} s after it went on")

    with world.step("stopped while the daemon hangs, the agent ends all the same") as say:
        daemon.send(signal.SIGSTOP)
        begun = time.monotonic()
        equal(agent.stop(), 0, "exit status")
        took = time.monotonic() - begun
        daemon.send(signal.SIGCONT)
        check(took < STOP_WITHIN_S, f"{took:.1f} s")
        say(f"{took:.1f} s")
    with world.step("and the daemon says goodbye for it"):
        on_b.wait_line("^3|^0$", BACK_WITHIN_S, since=on_b.mark() - 1)

    with world.step("a clean stop: goodbye at once") as say:
        agent = a.agent(config("hello", "avahi"))
        on_b.wait_line("^0 " + re.escape(a.ip4) + "$", BACK_WITHIN_S, since=on_b.mark() - 1)
        mark, begun = on_b.mark(), time.monotonic()
        agent.send(signal.SIGTERM)
        at, _ = on_b.wait_line("^3|^0$", APPEAR_WITHIN_S, since=mark)
        say(f"gone from the other host's DNS after {at - begun:.2f} s")
        equal(agent.wait(), 0, "exit status")

    with world.step("without the module: the log says so, and DNS works"):
        agent = a.start(
            "agent-without",
            [world.outrider, "agent", "--set", "mdns.provider=avahi"],
            env={"OUTRIDER_MODULE_PATH": "/nowhere"},
        )
        agent.wait_line("avahi_missing.*outrider-mdns-avahi")
        harness.wait_for("DNS", lambda: a.dig("nobody.svc", port=PORT).status == "NXDOMAIN")
        equal(agent.stop(), 0, "exit status")
    other.stop()


if __name__ == "__main__":
    harness.main(scenario)
