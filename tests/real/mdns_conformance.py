#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The mDNS conformance cases (tests/scenarios/mdns) on real links, several side by side: an agent must
pass all that can be seen on the wire. With --long avahi-daemon plays them too, and the table of both
is printed.
"""

import concurrent.futures
import itertools
import json
import pathlib
import queue
import subprocess
import time

import harness
from harness import check

CASES = harness.TOP / "tests/scenarios/mdns"
LANES = 12  # pairs of device and tester; they mostly wait
CASE_LIMIT_S = 120
DEVICE = "192.168.1.2/24"
TESTER = ["192.168.1.9/24", "192.168.1.10/24", "192.168.1.20/24", "203.0.113.9/32"]


class Cannot(Exception):
    """This device does not do such things."""


class Device:
    """What a case asks of the device: a method a word, in small letters."""

    def __init__(self, host):
        self.host = host

    def cable(self, way):
        self.host.cable(way == "in")

    def address(self, what, prefix):
        if prefix.startswith("fe80"):
            return  # Linux has given it one
        words = {"add": "add", "remove": "del"}
        self.host.run(["ip", "address", words[what], prefix, "dev", "eth0"])

    def rename(self, old, *new):
        self.withdraw(old)
        self.register(*new)

    def options(self, *words):
        raise Cannot("has no options " + " ".join(words))


class Agent(Device):
    """`outrider agent`, told by its command line."""

    def begin(self):
        self.numbers = itertools.count()
        config = {"lifecycle": {"drain": "0s"}, "mdns": {"shared_types": []}}
        self.agent = self.host.agent(config)
        ready = lambda: self.host.outrider("status")[0] == 0
        harness.wait_for("the agent", ready)

    def end(self):
        self.agent.kill()

    def stop(self):
        self.agent.stop()

    def register(self, label, service_type, port, *txt):
        name = service_type.split(".")[0].lstrip("_")
        spec = self.host.dir / f"spec-{next(self.numbers)}.json"
        pairs = [word.split("=", 1) for word in txt]
        fields = {
            "name": name,
            "id": label,
            "port": int(port),
            "subtypes": [value for key, value in pairs if key == "sub"],
            "metadata": {key: value for key, value in pairs if key not in ("sub", "version")},
        }
        spec.write_text(json.dumps(fields))
        status, text = self.host.outrider("register", spec)
        check(status == 0, text)

    def withdraw(self, label):
        status, text = self.host.outrider("deregister", label)
        check(status == 0, text)


class Avahi(Device):
    """avahi-daemon and avahi-publish. The bus outlives the daemons."""

    def __init__(self, host):
        super().__init__(host)
        host.system_bus()

    def begin(self):
        self.published = {}
        self.daemon = self.host.avahi_daemon(bus=False, carrier=True)

    def end(self):
        for program in self.published.values():
            program.send(9)
        self.daemon.kill()
        self.host.run(["rm", "-f", "/run/avahi-daemon/pid"])

    def stop(self):
        self.daemon.stop()

    def register(self, label, service_type, port, *txt):
        subtypes = [
            f"--subtype={word[4:]}._sub.{service_type}" for word in txt if word.startswith("sub=")
        ]
        strings = [word for word in txt if not word.startswith("sub=")]
        argv = ["avahi-publish", "-s", *subtypes, label, service_type, port, *strings]
        self.published[label] = self.host.start("publish", argv)

    def withdraw(self, label):
        self.published.pop(label).stop()


class Lane:
    """A link of its own with a device and a tester."""

    def __init__(self, world, number, tester_program):
        self.program = tester_program
        self.bridge = f"lan{number}"
        world.bridge(self.bridge)
        self.host = world.host(f"d{number}", bridge=self.bridge)
        self.tester = world.host(f"t{number}", bridge=self.bridge)
        for host in (self.host, self.tester):
            host.run(["ip", "-6", "address", "del", f"{host.ip6}/64", "dev", "eth0"])
        self.readdress(self.tester, TESTER)

    @staticmethod
    def readdress(host, prefixes):
        commands = "echo 1 >/proc/sys/net/ipv4/conf/all/promote_secondaries\n"
        commands += "ip -4 address flush dev eth0\n"
        commands += "".join(f"ip address add {prefix} dev eth0\n" for prefix in prefixes)
        commands += "ip route replace default dev eth0\n"
        host.run(["sh", "-e", "-c", commands])

    def play(self, case, device):
        """(passed, failed or not_here; why; seconds)"""
        self.host.cable(True)
        self.readdress(self.host, [DEVICE])
        begun = time.monotonic()
        try:
            device.begin()
            verdict = self.converse(case, device)
        except Exception as failure:  # whatever it is, this case is lost and the others are not
            verdict = ("failed", f"{type(failure).__name__}: {failure}")
        finally:
            device.end()
        return (*verdict, time.monotonic() - begun)

    def converse(self, case, device):
        play = self.tester.start("tester", [self.program, case], stdin=subprocess.PIPE)
        try:
            mark = 0
            while True:
                _, line = play.wait_line("^(DO|VERDICT) ", CASE_LIMIT_S, since=mark)
                mark = 1 + next(i for i in range(mark, len(play.lines)) if play.lines[i][1] == line)
                word, *rest = line.split(" ")
                if word == "VERDICT":
                    play.wait()
                    more = [text for _, text in play.lines[mark:]]
                    return rest[0], "\n      ".join([" ".join(rest[1:]), *more])
                play.popen.stdin.write((self.carry_out(device, rest) + "\n").encode())
                play.popen.stdin.flush()
        finally:
            play.send(9)

    @staticmethod
    def carry_out(device, words):
        act = getattr(device, words[0].lower(), None)
        if act is None:
            return f"cannot {words[0]}"
        try:
            act(*words[1:])
        except Cannot as why:
            return f"cannot: {why}"
        except harness.Failed as why:
            return " ".join(str(why).split())
        return "ok"


def play_all(lanes, kind, cases):
    """{case: verdict}"""
    verdicts, waiting = {}, queue.SimpleQueue()
    for case in cases:
        waiting.put(case)

    def work(lane):
        device = kind(lane.host)
        while True:
            try:
                case = waiting.get_nowait()
            except queue.Empty:
                return
            verdicts[case.stem] = lane.play(case, device)

    with concurrent.futures.ThreadPoolExecutor(len(lanes)) as pool:
        for done in [pool.submit(work, lane) for lane in lanes]:
            done.result()
    return verdicts


def table(agent, avahi, version):
    sign = {"passed": "pass", "failed": "**fail**", "not_here": "–"}
    print(f"\n| case | outrider agent | {version} |\n|---|---|---|")
    for name in sorted(agent):
        print(f"| {name} | {sign[agent[name][0]]} | {sign[avahi[name][0]]} |")
    print()
    for name in sorted(avahi):
        if avahi[name][0] == "failed":
            print(f"  {name}: {avahi[name][1][:600]}\n")


def on_the_wire(case):
    return "\nSIMULATOR " not in "\n" + case.read_text()


def scenario(world):
    program = pathlib.Path(world.outrider).parent.parent / "tests/real/mdns_conformance"
    check(program.exists(), f"{program} is not built")
    # Those that take long begin first.
    first = ("probe_rate_limiting", "shared_reply_timing", "hundred_instances_of_one_type")
    cases = sorted(filter(on_the_wire, CASES.glob("*.scn")), key=lambda c: (c.stem not in first, c))
    lanes = [Lane(world, number, program) for number in range(LANES)]
    begun = time.monotonic()
    agent = play_all(lanes, Agent, cases)
    for name, (kind, why, seconds) in sorted(agent.items()):
        if kind == "not_here":
            print(f"  –              {name}: {why}")
            continue
        with world.step(name) as note:
            note(f"{seconds:.1f} s")
            check(kind == "passed", why)
    print(f"  {len(cases)} cases in {time.monotonic() - begun:.1f} s")
    if not world.long:
        return
    with world.step("the same against avahi-daemon") as note:
        harness.need("avahi-daemon", "avahi-publish", "dbus-daemon")
        version = lanes[0].host.run(["avahi-daemon", "--version"])[1].strip()
        avahi = play_all(lanes, Avahi, cases)
        passed = sum(verdict[0] == "passed" for verdict in avahi.values())
        note(f"{version}: {passed} of {len(cases)} passed")
        table(agent, avahi, version)


if __name__ == "__main__":
    harness.main(scenario)
