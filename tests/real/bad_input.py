#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Configurations that are wrong, a port that is taken, and messages that are malformed or too many.

A wrong configuration is refused with exit status 2 and one look at the message says what to change;
everything else is reported, counted and survived.
"""

import json
import time

import harness
from harness import check, equal

# Of the agent's resident memory over a flood: what is well formed is kept, up to the limits of the
# cache and the registry; what is not, leaves nothing behind.
GROWTH_KIB_MAX = 16 * 1024
# The same of a flood of instances: for each, and for all of them together.
INSTANCE_KIB_MAX = 6000 / 1024  # 6 kB
INSTANCES_KIB_MAX = 4 * 1024
RETRY_S = 5  # between two tries to bind a port that was taken

HELLO = {"name": "hello", "port": 8000}

# What is wrong, the configuration, and what the message must say besides the file's name.
WRONG = [
    ("an unknown key", {"services": [{**HELLO, "prot": 1}]}, ["services[0].prot", '"port"']),
    ("an unknown section", {"dsn": {}}, ["dsn", '"dns"']),
    ("a wrong type", {"services": [{**HELLO, "port": "http"}]}, ["services[0].port"]),
    (
        "a port out of range",
        {"services": [{**HELLO, "port": 65536}]},
        ["services[0].port", "65535"],
    ),
    ("a negative port", {"services": [{**HELLO, "port": -1}]}, ["services[0].port"]),
    ("no label", {"services": [{"name": "hello!", "port": 1}]}, ["services[0].name", "hello!"]),
    ("an empty name", {"services": [{"name": "", "port": 1}]}, ["services[0].name"]),
    ("too long a name", {"services": [{"name": "h" * 64, "port": 1}]}, ["services[0].name"]),
    ("no name", {"services": [{"port": 1}]}, ["services[0]", "name"]),
    ("the same id twice", {"services": [{**HELLO, "id": "x"}] * 2}, ["services[1]", "x"]),
    (
        "no duration",
        {"services": [{**HELLO, "checks": [{"http": "/", "interval": 5}]}]},
        ["services[0].checks[0].interval", "duration"],
    ),
    ("no address", {"dns": {"listen": ["localhost:banana"]}}, ["dns.listen", "banana"]),
    ("a list that is none", {"services": {}}, ["services"]),
    ("an unknown word", {"mdns": {"provider": "nativ"}}, ["mdns.provider", "native"]),
    ("cut off", '{"services": [', [":1:"]),
    ("a key twice", '{"dns": {},\n "dns": {}}', ["dns"]),
    ("no JSON at all", "services = hello\n", [":1:"]),
    ("nothing", "", []),
]


def unreachable_checks(world, host):
    service = {**HELLO, "checks": [{"tcp": "10.99.99.99:80"}]}
    file = host.dir / "remote.json"

    def judged(service):
        file.write_text(json.dumps({"services": [service]}))
        return host.outrider("config", "check", "--config", file)

    with world.step("config check refuses what the agent would not probe"):
        for wrong, why in ((service, "10.99.99.99:80: not an address of this host"),
                           ({**service, "checks": [{"http": "http://100.100.100.200/"}]}, "metadata")):
            status, said = judged(wrong)
            equal(status, 2, said)
            check("services[0]: check" in said and why in said, said)
        check("allow_remote" in judged(service)[1], "no advice")
        allowed = {**service, "checks": [{"tcp": "10.99.99.99:80", "allow_remote": True}]}
        equal(judged(allowed)[0], 0, "with allow_remote")
        equal(judged({**service, "checks": [{"tcp": f"{host.ip4}:80"}]})[0], 0, "its own address")


def configurations(world, host):
    for what, config, said in WRONG:
        with world.step(f"configuration: {what}"):
            agent = host.agent(config)
            status = agent.wait(2)
            file = agent.popen.args[-1].rsplit("/", 1)[-1]
            equal(status, 2, f"exit status, with {agent.text()!r}")
            for word in [file, *said]:
                check(word in agent.text(), f"{word!r} is not in {agent.text()!r}")
            check("terminate" not in agent.text(), agent.text())
    with world.step("configuration: a file that is not there"):
        agent = host.agent(arguments=["--config", "/nowhere/outrider.json"])
        equal(agent.wait(2), 2, "exit status")
        check("/nowhere/outrider.json" in agent.text(), agent.text())
    with world.step("configuration: an unknown flag and an unknown command"):
        for words in (["agent", "--confg", "x"], ["agnet"]):
            status, text = host.outrider(*words)
            equal(status, 2, f"exit status of {words}")
            check(words[-2 if len(words) > 1 else -1] in text, text)


def port_taken(world, host, other):
    holder = host.start(
        "holder",
        [
            harness.PYTHON,
            "-c",
            "import socket, time\n"
            "u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
            "t = socket.socket(socket.AF_INET, socket.SOCK_STREAM)\n"
            "u.bind(('127.0.0.55', 5370)); t.bind(('127.0.0.55', 5370)); t.listen()\n"
            "print('held', flush=True)\n"
            "time.sleep(600)\n",
        ],
    )
    holder.wait_line("held")
    agent = host.agent({"services": [HELLO]})
    with world.step("a port that is taken is named") as say:
        say(agent.wait_line(r"127\.0\.0\.55:5370")[1][:90])
    with world.step("the rest runs: another host sees the service"):
        harness.wait_for(
            "hello.svc there", lambda: other.dig("hello.svc").data("A") == [host.ip4], 10
        )
        check(agent.running(), "the agent has ended")
    with world.step("DNS starts by itself once the port is free") as say:
        begun = time.monotonic()
        holder.kill()
        harness.wait_for(
            "an answer",
            lambda: host.dig("hello.svc", port=5370).data("A") == [host.ip4],
            RETRY_S + 1,
        )
        say(f"{time.monotonic() - begun:.1f} s")
    return agent


def mdns_port_taken(world, host, other):
    """UDP 5353 held by a program that does not share it, at the moment when the agent starts."""
    hold = "import socket,time; s=socket.socket(2,2); s.bind(('',5353)); print('held',flush=True); time.sleep(600)"
    holder = host.start("holder", [harness.PYTHON, "-c", hold])
    holder.wait_line("held")
    agent = host.agent({"services": [HELLO], "lifecycle": {"drain": "0s"}})
    with world.step("mDNS: a port that is held is named, and DNS answers meanwhile"):
        agent.wait_line("mdns_port_held")
        harness.wait_for("an answer", lambda: host.dig("hello.svc", port=5370).data("A") == [host.ip4])
    with world.step("mDNS: it starts by itself once the port is free, without avahi-daemon") as say:
        begun = time.monotonic()
        holder.kill()
        harness.wait_for("hello.svc there", lambda: other.dig("hello.svc").data("A") == [host.ip4], RETRY_S + 3)
        say(f"{time.monotonic() - begun:.1f} s")
    agent.stop()


def floods(world, host, other, agent):
    def answers():
        return host.dig("hello.svc", port=5370).data("A") == [host.ip4]

    plan = [
        ("malformed DNS over UDP", host, "udp", "127.0.0.55", 5370),
        ("malformed DNS over TCP", host, "tcp", "127.0.0.55", 5370),
        ("malformed mDNS from the link", other, "mdns", other.ip4, 5353),
        ("10 000 instances at once from the link", other, "names", other.ip4, 5353),
    ]
    for what, source, kind, address, port in plan:
        with world.step(f"{what}: still answers, in bounded memory") as say:
            before = agent.rss_kib()
            flood = source.start(
                "flood", [harness.PYTHON, harness.HERE / "flood.py", kind, address, port]
            )
            equal(flood.wait(60), 0, f"exit status of the flood: {flood.text()}")
            harness.wait_for("an answer", answers, 5)
            check(agent.running(), "the agent has ended")
            grown = agent.rss_kib() - before
            seen = 0
            if kind == "names":
                services = json.loads(host.outrider("services", "--json")[1])
                seen = sum(s["instances"] for s in services["services"] if s["name"] == "flood")
                check(seen > 100, f"{seen} of them got through")
            say(f"{flood.text()} messages, {seen} kept, resident {before} KiB {grown:+} KiB")
            most = GROWTH_KIB_MAX
            if kind == "names":
                most = INSTANCES_KIB_MAX + seen * INSTANCE_KIB_MAX
            check(grown < most, f"grew by {grown} KiB; {most:.0f} KiB would do for {seen} instances")
    with world.step("the agent that was flooded ends with status 0"):
        equal(agent.stop(), 0, "exit status")
        check("Sanitizer" not in agent.text(), agent.text()[-2000:])


def forged(world, host, other):
    """100,000 forged records a minute, and a few true ones among them."""
    seconds = 60 if world.long else 6
    with world.step(f"forged records for {seconds} s: own ones answered all the while") as say:
        agent = host.agent({"services": [HELLO]})
        agent.wait_line("announced")
        before, cpu = agent.rss_kib(), agent.cpu_seconds()
        argv = [harness.PYTHON, harness.HERE / "flood.py", "forged", other.ip4, 5353, seconds]
        flood = other.start("forged", argv)
        equal(flood.wait(seconds + 20), 0, f"exit status of the flood: {flood.text()}")
        spent = agent.cpu_seconds() - cpu
        records, asked, answered = map(int, flood.text().split())
        grown = agent.rss_kib() - before
        say(
            f"{records} records, {answered} of {asked} questions answered, "
            f"{100 * spent / seconds:.0f} % of a core, resident {before} KiB {grown:+} KiB"
        )
        check(records >= seconds * 1600, f"{records} records are no flood")
        equal(answered, asked, "questions answered")
        check(grown < GROWTH_KIB_MAX, f"grew by {grown} KiB")
        equal(host.dig("hello.svc", port=5370).status, "NOERROR", "hello.svc")
    agent.stop()


def scenario(world):
    harness.need("dig")
    host, other = world.host("a"), world.host("b")
    with world.step("the agent is running", vital=True):
        status, text = host.outrider("version")
        equal(status, 0, f"exit status, with {text!r}")
    configurations(world, host)
    unreachable_checks(world, host)
    other.agent({"dns": {"listen": ["127.0.0.55:53"]}})
    mdns_port_taken(world, host, other)
    agent = port_taken(world, host, other)
    floods(world, host, other, agent)
    forged(world, host, other)


if __name__ == "__main__":
    harness.main(scenario)
