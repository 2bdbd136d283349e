#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Consul beyond the LAN: agents of two networks that share nothing but a Consul find each other's services by DNS, and
keep what they know while Consul is in trouble.

Each agent of Outrider has a Consul agent of its own, and both of these are nodes of one cluster: fake_consul.py, which
consul_facts.py holds to what a real one did. Judges: dig, and python3-consul. At last the Consul API of one agent is
the Consul of the other.
"""

import json
import re
import statistics
import time

import fake_consul
import harness
import liars
from consul_facts import Asker
from harness import check, equal, wait_for

PORT = 5370
FAKES = "10.77.0.254"  # of this process, on the bridge
OTHER = "10.9.8.{}"  # of instances that other programs register
LATENCY_MS = 100
TRIES = 3
PACE_S = 1.0  # more changes than this are read late, so that they are not read one by one
BURST = 40
STOP_S = 1.0
TTL_S = 5
NAMES = ["hello", "web", "probed", "late", "kept"]
FIRST_INDEX = 1000  # far above those of a server that was wiped
DOUBT_S = 15  # by then a list that suddenly lacks entries has been believed
TROUBLE_S = 20  # by then everything is as before


def config(services, url, **more):
    return {"services": services, "mdns": {"provider": "off"}, "lifecycle": {"drain": "0s"},
            "registries": [{"consul": {"address": url, "services": NAMES, "ttl": f"{TTL_S}s", **more}}]}


class Side:
    """A host, its agent, and the Consul agent that this one uses."""

    def __init__(self, host, consul):
        self.host, self.consul, self.asker, self.agent = host, consul, Asker(consul), None

    def start(self, services, **more):
        # Always the same file: it is part of what an agent is known by.
        file = self.host.dir / "outrider.json"
        file.write_text(json.dumps(config(services, self.consul.url, **more)))
        self.agent = self.host.agent(arguments=["--config", file])
        self.agent.wait_line("dns_listening")
        return self

    def answer(self, name="hello.svc"):
        return self.host.dig(name, port=PORT).data("A")

    def is_stale(self, name="hello.svc"):
        return "EDE: 3" in self.host.dig(name, port=PORT).text

    def place(self):
        """As `outrider registries` shows the Consul agent."""
        shown = json.loads(self.host.outrider("registries", "--json")[1])["registries"]
        return shown[0]["places"][0] if shown and shown[0]["places"] else {"state": "none"}

    def wait_state(self, wanted, deadline=TROUBLE_S):
        wait_for(wanted, lambda: self.place()["state"] == wanted, deadline)

    def watch(self, name="hello.svc"):
        watch = self.host.watch_dns(name, port=PORT)
        watch.wait_line(r"^\d")
        return watch


def service(number, name="web", **more):
    """What another program registers."""
    return {"ID": f"{name}-{number}", "Name": name, "Address": OTHER.format(number), "Port": 80,
            "Check": {"TTL": "600s", "Status": "passing"}, **more}


def register(side, number, **more):
    side.asker.must("/v1/agent/service/register", service(number, **more))


def state_lines(watch, since):
    return [text for _, text in watch.lines[since:]]


def scenario(world):
    try:
        __import__("consul")
    except ImportError:
        raise harness.Skip("python3-consul is not installed (tests/packages.txt)") from None
    harness.run(["ip", "address", "add", f"{FAKES}/24", "dev", "lan"])
    for name, part in PARTS.items():
        if not world.words or name in world.words:
            part(world)
            for program in world.programs:
                program.kill()


def pair(world, name):
    """Two hosts, and a cluster of two nodes. Ports differ, since both Consul agents are at this process' address."""
    cluster = fake_consul.Cluster()
    cluster.jump(FIRST_INDEX)
    base = 8500 + 10 * len(world.hosts)
    sides = []
    for number, word in enumerate(("a", "b")):
        consul = fake_consul.Agent(FAKES, base + number, f"n{number + 1}", cluster).start()
        sides.append(Side(world.host(f"{name}-{word}"), consul))
    return sides


# --- while all is well ---

def well(world):
    a, b = pair(world, "well")
    a.host.http_server(8100)
    a.start([{"name": "hello", "id": "hello-1", "port": 8000, "tags": ["blue"], "metadata": {"farp.enabled": "true"}},
             {"name": "probed", "id": "probed-1", "port": 8100, "checks": [{"http": "/", "interval": "1s"}]}])
    b.start([])
    with world.step("a registration is a service with a TTL check, and in the DNS of the other network", vital=True):
        wait_for("the other network's DNS", lambda: b.answer() == [a.host.ip4])
        _, entries = a.asker.judge.health.service("hello", passing=True)
        equal(len(entries), 1, "entries")
        shown = entries[0]["Service"]
        equal((shown["ID"], shown["Address"], shown["Port"]), ("hello-1", a.host.ip4, 8000), "service")
        check("blue" in shown["Tags"], shown)
        equal([(c["CheckID"], c["Type"]) for c in entries[0]["Checks"]],
              [("serfHealth", ""), ("service:hello-1", "ttl")], "checks")
        equal(entries[0]["Node"]["Node"], "n1", "node")
        wait_for("probed", lambda: b.answer("probed.svc") == [a.host.ip4])
    with world.step("heartbeats keep it, and wake nobody") as say:
        beats = lambda: len([r for r in a.consul.requests if r.path.endswith("check/update/service:hello-1")])
        index, begun, before = a.asker.index("hello"), time.monotonic(), beats()
        wait_for("beats for more than a TTL",
                 lambda: beats() > before and time.monotonic() - begun > TTL_S + 1, TTL_S * 3)
        equal(a.asker.index("hello"), index, "index")
        equal(b.answer(), [a.host.ip4], "answer")
        say(f"{beats() - before} in {time.monotonic() - begun:.1f} s")
    with world.step("a service that is registered later is there within a moment") as say:
        begun = time.monotonic()
        a.host.outrider("register", write(a.host, {"name": "late", "id": "late-1", "port": 8101}))
        wait_for("late", lambda: b.answer("late.svc") == [a.host.ip4])
        say(f"{1000 * (time.monotonic() - begun):.0f} ms with the commands")
    changes_of_others(world, a, b)
    with world.step("a check of ours that fails is critical in Consul, and gone from the other network"):
        server = next(p for p in world.programs if p.name.endswith("http.server"))
        server.kill()
        wait_for("critical", lambda: a.asker.judge.health.service("probed", passing=True)[1] == [])
        wait_for("gone", lambda: not b.answer("probed.svc"))
        a.host.http_server(8100)
        wait_for("back", lambda: b.answer("probed.svc") == [a.host.ip4])
    with world.step("why, instances and registries say where it comes from"):
        said = b.host.outrider("why", "hello")[1]
        check("consul" in said.lower() and b.consul.url in said, said)
        found = b.host.outrider("instances", "hello", "--json")[1]
        check("consul" in found, found)
        status, said = b.host.outrider("registries")
        check(status == 0 and "current" in said and b.consul.url in said, said)
    with world.step("nothing that was read is written; no parameter that only Consul Enterprise has"):
        equal(b.consul.services, {"web-1": b.consul.services.get("web-1")}, "services of the other agent")
        equal(sorted(a.consul.services), ["hello-1", "late-1", "probed-1"], "services")
        for request in a.consul.requests + b.consul.requests:
            check(not {"ns", "partition", "dc", "stale"} & set(request.query), request)
    with world.step("killed: critical when its TTL is over") as say:
        since, watch = 0, b.watch("late.svc")
        begun = time.monotonic()
        a.agent.kill()
        watch.wait_line(r"^[03]$", deadline=TTL_S + 5, since=since)
        say(f"{time.monotonic() - begun:.1f} s with a TTL of {TTL_S} s")
    with world.step("a restart takes its registrations over; a stop takes them back at once") as say:
        a.start([{"name": "hello", "id": "hello-1", "port": 8000}])
        wait_for("hello", lambda: b.answer() == [a.host.ip4])
        begun = time.monotonic()
        a.agent.send(harness.signal.SIGTERM)
        wait_for("deregistered", lambda: "hello-1" not in a.consul.services)
        took = time.monotonic() - begun
        say(f"{1000 * took:.0f} ms")
        check(took < STOP_S, f"{took:.2f} s")
        equal(a.agent.wait(), 0, "exit status")
        wait_for("gone from the other network", lambda: not b.answer())


def changes_of_others(world, a, b):
    """A change in Consul is in DNS soon: the median of a few, with one instance that stays."""
    register(b, 1)
    watch = b.watch("web.svc")
    one, two = OTHER.format(1), OTHER.format(2)
    watch.wait_line(f"^0 {re.escape(one)}$")
    put = a.asker.must
    kinds = {
        "registered and deregistered": (lambda: register(a, 2), lambda: put("/v1/agent/service/deregister/web-2")),
        "passing and critical": (lambda: put("/v1/agent/check/pass/service:web-2"),
                                 lambda: put("/v1/agent/check/fail/service:web-2")),
        "in maintenance and out of it": (lambda: put("/v1/agent/service/maintenance/web-2?enable=false"),
                                         lambda: put("/v1/agent/service/maintenance/web-2?enable=true&reason=disk")),
        "its node dead and alive": (lambda: a.consul.cluster.set_alive("n1", True),
                                    lambda: a.consul.cluster.set_alive("n1", False)),
    }
    for what, (comes, leaves) in kinds.items():
        with world.step(f"an instance of another program is {what}: DNS within {LATENCY_MS} ms") as say:
            if what != "registered and deregistered":
                register(a, 2)
                wait_for("web-2", lambda: len(b.answer("web.svc")) == 2)
                took(watch, leaves, one)
            times = {"comes": [], "leaves": []}
            for _ in range(TRIES):
                times["comes"].append(took(watch, comes, f"{one} {two}"))
                times["leaves"].append(took(watch, leaves, one))
            comes()
            for word, some in times.items():
                say(f"{word} {statistics.median(some):.0f} ms, at most {max(some):.0f}")
                check(statistics.median(some) < LATENCY_MS, f"{word}: {some}")
    with world.step("a warning is an answer; a TTL that ends is none"):
        register(a, 2)
        put("/v1/agent/check/warn/service:web-2")
        warned = lambda: [e for e in a.asker.judge.health.service("web")[1] if e["Checks"][1]["Status"] == "warning"]
        wait_for("both", lambda: warned() and b.answer("web.svc") == [one, two])
        register(a, 3, Check={"TTL": "1s", "Status": "passing"})
        watch.wait_line(re.escape(OTHER.format(3)))
        since = watch.mark()
        watch.wait_line(f"^0 {re.escape(one)} {re.escape(two)}$", since=max(0, since - 1))
        for number in (2, 3):
            put(f"/v1/agent/service/deregister/web-{number}")
        wait_for("one again", lambda: b.answer("web.svc") == [one])
    with world.step(f"{BURST} changes in a moment: the last one counts, and not each is asked for") as say:
        before = len(b.consul.requests)
        for number in range(BURST):
            register(a, 2, Port=81 + number)
        ports = lambda: [row.split()[2] for row in b.host.dig("web.svc", "SRV", port=PORT).data("SRV")]
        wait_for("the last one", lambda: str(80 + BURST) in ports())
        lists = len([r for r in b.consul.requests[before:] if r.path == "/v1/health/service/web"])
        say(f"{lists} lists")
        check(lists < BURST / 2, f"{lists} lists for {BURST} changes")
        put("/v1/agent/service/deregister/web-2")
        wait_for("one again", lambda: b.answer("web.svc") == [one])
    watch.kill()


def took(watch, act, wanted):
    """Milliseconds from `act` to the answer with these addresses; not too soon after the last change."""
    begun = time.monotonic()
    wait_for("the time of a change", lambda: time.monotonic() - begun > PACE_S)
    since, begun = watch.mark(), time.monotonic()
    act()
    return 1000 * (watch.wait_line(f"^0 {re.escape(wanted)}$", since=since)[0] - begun)


# --- while Consul is in trouble ---

def trouble(world):
    a, b = pair(world, "bad")
    a.start([{"name": "hello", "id": "hello-1", "port": 8000}])
    b.start([])
    for number in (1, 2):
        register(b, number, name="kept")
    both = sorted(OTHER.format(number) for number in (1, 2))
    wait_for("kept", lambda: sorted(b.answer("kept.svc")) == both)
    wait_for("hello", lambda: b.answer() == [a.host.ip4])
    watches = b.watch(), b.watch("kept.svc")

    def outage(what, begin, end, stale=True):
        """Entries stay, stale; nothing that DNS says changes, then all is fresh."""
        with world.step(f"{what}: entries stay, stale with EDE 3; afterwards all is as before") as say:
            marks = [watch.mark() for watch in watches]
            begin()
            if stale:
                wait_for("stale", b.is_stale, TROUBLE_S)
                said = b.host.outrider("doctor")[1]
                check("consul" in said.lower(), said)
                check(b.place()["state"] != "current" and b.place()["reason"], b.place())
                equal((b.answer(), sorted(b.answer("kept.svc"))), ([a.host.ip4], both), "answers")
            begun = time.monotonic()
            end()
            wait_for("fresh", lambda: not b.is_stale() and not b.is_stale("kept.svc"), TROUBLE_S)
            b.wait_state("current")
            say(f"fresh {time.monotonic() - begun:.1f} s afterwards")
            wait_for("hello-1", lambda: "hello-1" in a.consul.services, TROUBLE_S)
            for watch, mark in zip(watches, marks):
                equal(state_lines(watch, mark), [], "changes of DNS")

    both_agents = (a.consul, b.consul)
    outage("killed while queries wait, and restarted with its data", b.consul.kill, b.consul.start)
    outage("terminated, which answers 500, and restarted", b.consul.terminate, b.consul.start)
    outage("an agent without servers", lambda: b.consul.cluster.set_reachable(False),
           lambda: b.consul.cluster.set_reachable(True))

    def wipe():
        for one in both_agents:
            one.kill()
        for one in both_agents:
            one.start(fresh=True)
        for number in (1, 2):  # other programs come back, too
            register(b, number, name="kept")

    outage("a server that was wiped, its index below", wipe, lambda: None, stale=False)
    outage("connections that end, without another sign", b.consul.drop_connections, lambda: None, stale=False)
    with world.step("an instance that leaves while Consul is away is gone when it is back") as say:
        b.consul.kill()
        wait_for("stale", lambda: b.is_stale("kept.svc"), TROUBLE_S)
        b.consul.remove("kept-2")
        b.consul.start()
        begun = time.monotonic()
        wait_for("gone", lambda: b.answer("kept.svc") == both[:1], TROUBLE_S)
        say(f"{time.monotonic() - begun:.1f} s")
        register(b, 2, name="kept")
        wait_for("both", lambda: sorted(b.answer("kept.svc")) == both)
    with world.step("a registration that the agent has forgotten, or that its TTL has ended, is made again"):
        a.asker.must("/v1/agent/service/deregister/hello-1")
        wait_for("again", lambda: "hello-1" in a.consul.services, TROUBLE_S)
        wait_for("in DNS", lambda: b.answer() == [a.host.ip4])
    with world.step("a Consul agent that is silent (paused): said by registries; passing again afterwards") as say:
        a.consul.pause()
        wait_for("its error", lambda: "no answer within" in a.place()["last_error"], TROUBLE_S)
        equal(a.answer(), [a.host.ip4], "its own answer")
        due = a.consul.checks["service:hello-1"].deadline
        wait_for("the end of the TTL", lambda: time.monotonic() > due, 2 * TTL_S)
        a.consul.pause(False)
        begun = time.monotonic()
        wait_for("passing", lambda: a.asker.judge.health.service("hello", passing=True)[1], TROUBLE_S)
        wait_for("hello", lambda: b.answer() == [a.host.ip4], TROUBLE_S)
        say(f"{time.monotonic() - begun:.1f} s")
    with world.step("both stop in time while Consul is paused"):
        for side in (a, b):
            side.consul.pause()
            begun = time.monotonic()
            equal(side.agent.stop(), 0, "exit status")
            check(time.monotonic() - begun < STOP_S + 1, f"{time.monotonic() - begun:.1f} s")
            side.consul.pause(False)


# --- rights, and other programs ---

def rights(world):
    a, b = pair(world, "acl")
    token = "3b1c0e2e-6c7a-4f58-9b7e-5d1f4c9a7e11"
    files = {side: side.host.dir / "token" for side in (a, b)}
    for side, file in files.items():
        file.write_text(token + "\n")
        side.consul.tokens = {"": set(), token: {"agent", "read", "write"}}
        side.asker.token = token
    whole = {"agent", "read", "write"}
    register(b, 1, name="kept")
    register(b, 2, name="kept")
    both = sorted(OTHER.format(number) for number in (1, 2))
    a.start([{"name": "hello", "id": "hello-1", "port": 8000}], token_file=str(files[a]))
    b.start([], token_file=str(files[b]))

    def says(side, pattern):
        text = side.host.outrider("registries")[1]
        return re.search(pattern, text, re.I) and text

    with world.step("with the token of its file it reads and writes", vital=True):
        wait_for("hello", lambda: b.answer() == [a.host.ip4])
        wait_for("kept", lambda: sorted(b.answer("kept.svc")) == both)
    for filtered, left in ((False, {"write"}), (True, {"agent", "write"})):
        with world.step("a token that may not read: its empty lists take nothing out, and people are told"
                        + (" (a Consul that says so)" if filtered else "")):
            watch = b.watch("kept.svc")
            since = watch.mark()
            b.consul.says_filtered = filtered
            b.consul.tokens[token] = left
            asked = len(b.consul.requests)
            b.consul.drop_connections()
            wait_for("registries", lambda: says(b, r"token|right|permi|403"), TROUBLE_S)
            said = b.host.outrider("doctor")[1]
            check("consul" in said.lower() and re.search(r"token|right|permi|403", said, re.I), said)
            wait_for("its list", lambda: any(r.path.endswith("/kept") for r in b.consul.requests[asked:]), TROUBLE_S)
            begun = time.monotonic()
            wait_for("the end of any doubt", lambda: time.monotonic() - begun > DOUBT_S, DOUBT_S + 5)
            equal((state_lines(watch, since), b.answer()), ([], [a.host.ip4]), "changes of DNS, and the other service")
            b.consul.tokens[token] = whole
            b.consul.drop_connections()
            b.wait_state("current", 2 * TROUBLE_S)
            equal(state_lines(watch, since), [], "changes of DNS")
            watch.kill()
    with world.step("a token that Consul does not know: said; another one in the file is used without a restart"):
        watch = b.watch("kept.svc")
        since = watch.mark()
        new = token.replace("3b1c", "77aa")
        for side in (a, b):
            side.consul.tokens = {"": set(), new: whole}
            side.consul.drop_connections()
        wait_for("registries", lambda: says(b, "ACL not found"), TROUBLE_S)
        for file in files.values():
            file.write_text(new + "\n")
        for side in (a, b):
            side.asker.token = new
            side.wait_state("current", 2 * TROUBLE_S)
        equal(state_lines(watch, since), [], "changes of DNS")
        watch.kill()
    with world.step("a token that may not write: said, with the words of Consul; written when it may"):
        a.consul.tokens[new] = {"agent", "read"}
        a.host.outrider("register", write(a.host, {"name": "late", "id": "late-1", "port": 8101}))
        wait_for("registries", lambda: says(a, "service:write on late"), TROUBLE_S)
        a.consul.tokens[new] = whole
        wait_for("late", lambda: b.answer("late.svc") == [a.host.ip4], 3 * TROUBLE_S)
    with world.step("tokens are in no log and no answer"):
        for side in (a, b):
            for text in (side.agent.text(), side.host.outrider("registries", "--json")[1],
                         side.host.outrider("doctor")[1], side.host.outrider("status", "--json")[1]):
                check(token not in text and new not in text, text)
    with world.step("an id that another program holds: said, not overwritten; ours when it has left"):
        a.asker.must("/v1/agent/service/register", service(7, Check=None))
        a.host.outrider("register", write(a.host, {"name": "web", "id": "web-7", "port": 8102}))
        wait_for("conflict", lambda: says(a, "web-7.*held by"), TROUBLE_S)
        said = a.host.outrider("doctor")[1]
        check("web-7" in said, said)
        said = a.host.outrider("why", "web-7.web")[1]
        check(f"not written to consul: web-7 on {a.consul.url}, which is held by" in said, said)
        said = a.host.outrider("why", "late")[1]
        check(re.search(rf"written to consul: late-1 \(TTL with [0-5]s of {TTL_S}s left\) on", said), said)
        begun, requests = time.monotonic(), len(a.consul.requests)
        wait_for("two more TTLs", lambda: time.monotonic() - begun > 2 * TTL_S, 3 * TTL_S)
        equal(a.consul.services["web-7"]["Address"], OTHER.format(7), "address")
        written = [r for r in a.consul.requests[requests:] if r.method == "PUT" and "web-7" in r.target]
        equal(written, [], "what was written meanwhile")
        a.asker.must("/v1/agent/service/deregister/web-7")
        wait_for("ours", lambda: a.consul.services.get("web-7", {}).get("Address") == a.host.ip4, 2 * TROUBLE_S)
        wait_for("no conflict", lambda: not says(a, "web-7.*held by"), TROUBLE_S)


# --- answers in pieces ---

def pieces(world):
    a, _ = pair(world, "cut")
    register(a, 1)
    with world.step("answers that come one byte at a time"):
        a.consul.mangle = lambda request, data: (data[at:at + 1] for at in range(len(data)))
        a.start([{"name": "hello", "id": "hello-1", "port": 8000}])
        wait_for("web", lambda: a.answer("web.svc") == [OTHER.format(1)])
        wait_for("hello-1", lambda: "hello-1" in a.consul.services)
        equal(a.agent.stop(), 0, "exit status")
        a.consul.mangle = None
    sizes = []
    a.consul.mangle = lambda request, data: [sizes.append(len(data)) or data]
    a.asker.ask("GET", "/v1/health/service/web")
    size = sizes[0]
    step = 1 if world.long else 53
    with world.step("a list that ends too early, at many bytes: it is asked for again") as say:
        places = range(0, size, step)
        for at in places:
            cut = []

            def mangle(request, data):
                if request.path != "/v1/health/service/web" or cut or at >= len(data):
                    return [data]
                cut.append(at)
                return [data[:at]]

            a.consul.mangle = mangle
            a.start([], publish=False)
            wait_for(f"web, cut at {at}", lambda: a.answer("web.svc") == [OTHER.format(1)])
            check(cut, f"no cut at {at} of about {size} bytes")
            a.agent.kill()
        say(f"{len(places)} places")
        a.consul.mangle = None


def lies(world):
    liars.try_all(world, 8500, lambda url: {"consul": {"address": url, "services": ["hello", "web"]}})


# --- between Consul and the link ---

def exported(world):
    a, b = pair(world, "exp")
    c = world.host("exp-c")  # knows the link alone
    rules = [{"from": "consul", "to": "mdns", "names": ["web"]}, {"from": "mdns", "to": "consul", "names": ["lamp"]}]
    claim = "outrider/export/consul/mdns/web"
    judge = b.asker.judge

    def start(side):
        side.agent = side.host.agent({**config([], side.consul.url), "export": rules, "mdns": {"provider": "native"}})
        side.agent.wait_line("dns_listening")

    def lamps():
        return [(each["Service"]["ID"], each["Service"]["Address"], each["Service"]["Meta"].get("outrider_x2Evia"))
                for each in judge.health.service("lamp", passing=True)[1]]

    def on_link(name="web.svc"):
        return c.dig(name, port=PORT).data("A")

    plain = c.agent({"mdns": {"provider": "native"}, "lifecycle": {"drain": "0s"},
                     "services": [{"name": "lamp", "id": "l1", "port": 9000}]})
    plain.wait_line("dns_listening")
    register(a, 1)
    start(a)
    a.agent.wait_line("export_changed.*service=web.*state=exporting")
    start(b)
    b.agent.wait_line("export_changed.*service=web.*state=waiting.*holds it")
    with world.step("what another program registers in Consul is found on the link, and leaves it"):
        wait_for("web", lambda: on_link() == [OTHER.format(1)], TROUBLE_S)
        register(b, 2)
        wait_for("both", lambda: sorted(on_link()) == [OTHER.format(1), OTHER.format(2)], TROUBLE_S)
        b.asker.must("/v1/agent/service/deregister/web-2")
        wait_for("one", lambda: on_link() == [OTHER.format(1)])
    with world.step("what is on the link is in Consul, with a TTL check, a mark and an id of its own"):
        wait_for("lamp", lambda: lamps() == [("copy:lamp:l1", c.ip4, "mdns")], TROUBLE_S)
        equal([each["Type"] for each in judge.health.service("lamp")[1][0]["Checks"]], ["", "ttl"], "checks")
        equal(list(a.consul.services), ["web-1", "copy:lamp:l1"], "services of the first Consul agent")
        equal(list(b.consul.services), [], "services of the other one")
    with world.step("python3-consul sees the key that the session of one agent locks"):
        key = judge.kv.get(claim)[1]
        check(key["Session"] in a.consul.cluster.sessions, key)
        said = b.host.outrider("registries")[1]
        check("waiting" in said and key["Value"].decode() in said, said)
    with world.step("a session that a person destroys: elected again, and copied by one"):
        since = a.agent.mark(), b.agent.mark()
        judge.session.destroy(key["Session"])
        wait_for("a holder", lambda: (judge.kv.get(claim)[1] or key)["Session"] != key["Session"], TROUBLE_S)
        a.agent.wait_line("export_changed.*service=web.*state=waiting", since=since[0])
        wait_for("web", lambda: on_link() == [OTHER.format(1)], TROUBLE_S)
        wait_for("lamp", lambda: [found[0] for found in lamps()] == ["copy:lamp:l1"], TROUBLE_S)
    first, other = (a, b) if "copy:lamp:l1" in a.consul.services else (b, a)
    with world.step("when one agent stops, the other one copies") as say:
        begun = time.monotonic()
        equal(first.agent.stop(), 0, "exit status")
        wait_for("lamp at the other Consul agent", lambda: "copy:lamp:l1" in other.consul.services, TROUBLE_S)
        wait_for("web", lambda: on_link() == [OTHER.format(1)], TROUBLE_S)
        say(f"{time.monotonic() - begun:.1f} s")
        check("copy:lamp:l1" not in first.consul.services, first.consul.services)
    with world.step("the last one takes everything back"):
        equal(other.agent.stop(), 0, "exit status")
        wait_for("nothing on the link", lambda: on_link() == [])
        equal((lamps(), judge.kv.get("outrider/", recurse=True)[1], b.consul.cluster.sessions), ([], None, {}), "left")
    equal(plain.stop(), 0, "exit status")


# --- the Consul API of an agent as the Consul of another one ---

def door(world):
    a, b = world.host("door-a"), world.host("door-b")
    first = a.agent({"api": {"consul_listen": "127.0.0.1:8500", "token": False}, "mdns": {"provider": "off"},
                     "lifecycle": {"drain": "0s"}, "services": [{"name": "hello", "id": "hello-1", "port": 8000}]})
    first.wait_line("dns_listening")
    for host, words in ((a, [a.ip4, 8600, "127.0.0.1", 8500]), (b, ["127.0.0.1", 8500, a.ip4, 8600])):
        host.start("relay", [harness.PYTHON, harness.HERE / "relay.py", *words]).wait_line("ready")
    second = b.agent(config([{"name": "web", "id": "web-1", "port": 8001}], "http://127.0.0.1:8500"))
    second.wait_line("dns_listening")
    answer = lambda host, name: host.dig(name, port=PORT).data("A")
    with world.step("the agent whose Consul is another agent: each answers what the other has"):
        wait_for("hello", lambda: answer(b, "hello.svc") == [a.ip4])
        wait_for("web", lambda: answer(a, "web.svc") == [b.ip4])
    with world.step("heartbeats keep it for longer than its TTL; changes arrive"):
        begun = time.monotonic()
        wait_for("more than a TTL", lambda: time.monotonic() - begun > TTL_S + 2, TTL_S * 3)
        equal((answer(b, "hello.svc"), answer(a, "web.svc")), ([a.ip4], [b.ip4]), "answers")
        a.outrider("maintenance", "hello-1", "on")
        wait_for("maintenance", lambda: not answer(b, "hello.svc"))
        a.outrider("maintenance", "hello-1", "off")
        wait_for("back", lambda: answer(b, "hello.svc") == [a.ip4])
        a.outrider("register", write(a, {"name": "late", "id": "late-1", "port": 8101}))
        wait_for("late", lambda: answer(b, "late.svc") == [a.ip4])
    with world.step("its restart: stale meanwhile, and registered again"):
        first.kill()
        wait_for("stale", lambda: "EDE: 3" in b.dig("hello.svc", port=PORT).text, TROUBLE_S)
        first = a.agent({"api": {"consul_listen": "127.0.0.1:8500", "token": False}, "mdns": {"provider": "off"},
                         "lifecycle": {"drain": "0s"}, "services": [{"name": "hello", "id": "hello-1", "port": 8000}]})
        wait_for("fresh", lambda: "EDE: 3" not in b.dig("hello.svc", port=PORT).text, TROUBLE_S)
        wait_for("web", lambda: answer(a, "web.svc") == [b.ip4], TROUBLE_S)
    with world.step("a stop deregisters"):
        equal(second.stop(), 0, "exit status")
        wait_for("gone", lambda: not answer(a, "web.svc"), STOP_S)
    equal(first.stop(), 0, "exit status")


def write(host, one):
    file = host.dir / f"{one['id']}.json"
    file.write_text(json.dumps(one))
    return file


PARTS = {"well": well, "trouble": trouble, "rights": rights, "pieces": pieces, "lies": lies, "exported": exported,
         "door": door}

if __name__ == "__main__":
    harness.main(scenario)
