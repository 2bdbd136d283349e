#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What `why --at` says of the past is what DNS answered then.

An independent program asks for every kind of name, all the time, and writes down each answer with its times, while
programs are killed, drained, deregistered and cut off. For random moments the agent then tells the past: set, status
and extended error are those of the answer. Between a question and its answer something may have changed; there the
moment of either is right.
"""

import datetime
import http.client
import json
import os
import random
import re
import socket
import time
import urllib.parse

import harness
from harness import check, equal

CHAOS_S, CHAOS_LONG_S = 12, 60
MOMENTS, MOMENTS_LONG = 250, 1_000
PORT = 8000
CHECK = {"http": "/", "interval": "200ms", "edge_interval": "200ms", "failures_before_critical": 1,
         "success_before_passing": 1}
NAMES = ["web.svc", "local.web.svc", "a-1.web.svc", "a-2.web.svc", "b-1.web.svc", "blue._tag.web.svc", "solo.svc",
         "b-solo.solo.svc", "guest.svc", "nobody.svc"]


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("agent")
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Api:
    def __init__(self, host):
        self.connection = Connection(host.dir / "outrider/agent.sock")

    def ask(self, method, target, body=None):
        self.connection.request(method, target, json.dumps(body) if body is not None else None)
        response = self.connection.getresponse()
        return response.status, json.loads(response.read())

    def put(self, target, body=None):
        status, said = self.ask("PUT", "/v1/outrider/" + target, body)
        check(status in (200, 404), f"PUT {target}: {status} {said}")

    def why(self, name, moment):
        """As an answer of DNS: status, set, extended error."""
        at = urllib.parse.quote(written(moment))
        status, said = self.ask("GET", f"/v1/outrider/why/{name}?at={at}")
        check(status in (200, 404) and "dns" in said, f"why {name} at {written(moment)}: {status} {said}")
        dns = said["dns"][0]
        answer = dns["answer"] if dns["A"] or dns["answer"] != "NOERROR" else "NODATA"
        error = dns.get("ede")
        return answer, sorted(dns["A"]), [error["code"], error["text"]] if error else None


def written(moment):
    seconds, rest = divmod(moment, 10**9)
    whole = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return whole.strftime("%Y-%m-%dT%H:%M:%S") + f".{rest:09}Z"


class Chaos:
    """What goes wrong, and right again, on two hosts."""

    def __init__(self, a, b, dice):
        self.a, self.b, self.dice, self.api = a, b, dice, Api(a)
        self.programs = {port: None for port in (PORT, PORT + 1)}
        self.peer, self.plugged = None, {a: True, b: True}

    def serve(self, port):
        code = f"import http.server as h; h.HTTPServer(('', {port}), h.SimpleHTTPRequestHandler).serve_forever()"
        self.programs[port] = self.a.start("service", [harness.PYTHON, "-c", code])

    def start_peer(self):
        services = [{"name": "web", "id": "b-1", "port": 9000, "tags": ["blue"]},
                    {"name": "solo", "id": "b-solo", "port": 9001}]
        self.peer = self.b.agent({"services": services, "dns": {"listen": ["127.0.0.55:53"]},
                                  "lifecycle": {"drain": "0s"}})

    def program(self):
        port = self.dice.choice(list(self.programs))
        if self.programs[port]:
            self.programs[port].kill()
            self.programs[port] = None
        else:
            self.serve(port)

    def drain(self):
        self.api.put(f"drain/{self.dice.choice(['a-1', 'a-2'])}?enable={self.dice.choice(['true', 'false'])}")

    def maintenance(self):
        on = self.dice.choice(["true&reason=a+disk+is+full", "false"])
        self.api.put(f"maintenance/{self.dice.choice(['a-1', 'a-2'])}?enable={on}")

    def guest(self):
        if self.dice.random() < 0.5:
            self.api.put("deregister/guest-1")
        else:
            number = self.dice.randrange(2)
            self.api.put("register", {"name": "guest", "id": "guest-1", "port": 7000,
                                      "address": [f"10.9.9.{number}"]})

    def peer_ends(self):
        if self.peer:
            self.peer.kill() if self.dice.random() < 0.5 else self.peer.stop()
            self.peer = None
        else:
            self.start_peer()

    def cable(self):
        host = self.dice.choice([self.a, self.b])
        self.plugged[host] = not self.plugged[host]
        host.cable(self.plugged[host])

    def run(self, seconds):
        kinds = [self.program, self.program, self.drain, self.maintenance, self.guest, self.peer_ends, self.cable]
        until, count = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            # Each kind at least once, then by chance.
            (kinds[count] if count < len(kinds) else self.dice.choice(kinds))()
            count += 1
            time.sleep(self.dice.uniform(0.05, 0.7))
        return count


def scenario(world):
    seed = random.SystemRandom().randrange(2**32)
    dice = random.Random(seed)
    a, b = world.host("a"), world.host("b")
    chaos = Chaos(a, b, dice)
    chaos.serve(PORT)
    chaos.serve(PORT + 1)
    before = time.time_ns()
    own = [{"name": "web", "id": f"a-{number + 1}", "port": PORT + number, "checks": [CHECK]} for number in range(2)]
    agent = a.agent({"services": own, "dns": {"listen": ["127.0.0.55:53"]}})
    agent.wait_line("dns_listening")
    agent.wait_line("api_listening")
    chaos.start_peer()
    recorder = a.start("recorder", [harness.PYTHON, harness.HERE / "dns_recorder.py", "127.0.0.55", 53, *NAMES])
    agent.wait_line("instance_added .*instance=b-solo")

    with world.step(f"chaos (seed {seed})", vital=True) as say:
        # What is asked about below has happened, whatever chance brings.
        agent.wait_line("event=health_changed .*instance=a-1 .*to=passing")
        chaos.programs[PORT].kill()
        chaos.programs[PORT] = None
        agent.wait_line("event=health_failed .*instance=a-1 .*from=passing")
        count = chaos.run(CHAOS_LONG_S if world.long else CHAOS_S)
        recorder.stop()
        answers = [json.loads(line) for line in recorder.text().splitlines() if line.startswith("{")]
        kinds = {(one["name"], one["status"], tuple(one["A"]), str(one["ede"])) for one in answers}
        check(len(answers) > 1_000 and len(kinds) > 15, f"{len(answers)} answers of {len(kinds)} kinds")
        say(f"{count} blows, {len(answers)} answers of {len(kinds)} kinds")

    moments = MOMENTS_LONG if world.long else MOMENTS
    with world.step(f"{moments} random moments: the past is what was answered") as say:
        exact = changing = 0
        wrong = []
        # Each kind of answer as often as every other one: the dull ones would be chosen nearly always.
        by_kind = {}
        for one in answers:
            by_kind.setdefault((one["name"], one["status"], tuple(one["A"]), str(one["ede"])), []).append(one)
        for _ in range(moments):
            one = dice.choice(by_kind[dice.choice(sorted(by_kind))])
            moment = dice.randint(one["sent"], one["got"])
            answer = (one["status"], one["A"], one["ede"])
            told = chaos.api.why(one["name"], moment)
            if told == answer:
                exact += 1
                continue
            sides = [chaos.api.why(one["name"], one[side]) for side in ("sent", "got")]
            if answer in sides:
                changing += 1
                continue
            wrong.append(f"{one['name']} at {written(moment)}: answered {answer}, told {told}; "
                         f"sent {written(one['sent'])}, got {written(one['got'])}: {sides}")
        say(f"{exact} equal, {changing} while something changed")
        check(not wrong, f"{len(wrong)} of {moments} moments were told wrongly:\n" + "\n".join(wrong[:5]))
        check(changing < moments / 10, f"{changing} of {moments} moments in a change")

    with world.step("the command tells the same, in local time and as a duration"):
        # The command takes milliseconds: nothing changes around the moment that is chosen.
        of_web = [one for one in answers if one["name"] == "web.svc"]
        calm = [one for before, one, after in zip(of_web, of_web[1:], of_web[2:])
                if one["A"] and before["A"] == one["A"] == after["A"]
                and one["got"] - before["got"] > 10**6 and after["got"] - before["got"] < 10**8]
        one = calm[-1]
        os.environ.pop("TZ", None)  # the command has none either
        time.tzset()
        local = time.strftime("%H:%M:%S", time.localtime(one["got"] // 10**9)) + f".{one['got'] // 10**6 % 1000:03}"
        status, text = a.outrider("why", "web", "--at", local, "--json")
        equal(status, 0, text)
        equal(sorted(json.loads(text)["dns"][0]["A"]), one["A"], f"set at {local}")
        live = json.loads(a.outrider("why", "web", "--json")[1])
        equal(sorted(json.loads(text)), sorted(live), "members of why --at and why")
        ago = f"{(time.time_ns() - one['got']) // 10**6}ms"
        check(a.outrider("why", "web", "--at", ago)[1].startswith("At "), f"--at {ago}")
        equal(a.outrider("why", "web", "--at", "noon")[0], 2, "exit status of --at noon")
        status, text = a.outrider("why", "web", "--at", written(before - 10**9))
        equal(status, 4, text)
        check("the history begins at" in text, text)

    with world.step("the history lists changes with answers and reasons, oldest first"):
        status, text = a.outrider("history", "web", "--last", "1000")
        equal(status, 0, text)
        check(re.search(r"a-[12] +passing -> critical .*check http: ", text), text)
        events = json.loads(a.outrider("history", "web", "--json", "--last", "1000")[1])["events"]
        equal([one["at"] for one in events], sorted(one["at"] for one in events), "order")
        check({"added", "changed", "host"} <= {one["kind"] for one in events}, text)
        chaos.api.put("register", {"name": "guest", "id": "guest-1", "port": 7000})
        chaos.api.put("deregister/guest-1")
        last = json.loads(a.outrider("history", "guest.svc", "--json", "--last", "1")[1])["events"]
        equal([(one["kind"], one["from"], one["reason"], one["dns"]["answer"]) for one in last],
              [("removed", "passing", "deregistered", "NODATA")], "the last event of guest")
        # What each says of DNS holds until the next one.
        for one, after in zip(events, events[1:]):
            if one["at"] < after["at"]:
                moment = datetime.datetime.fromisoformat(after["at"].replace("Z", "+00:00"))
                told = chaos.api.why("web", round(moment.timestamp() * 1000) * 10**6)
                equal(sorted(one["dns"]["A"]), told[1], f"set before {after['at']}")


if __name__ == "__main__":
    harness.main(scenario)
