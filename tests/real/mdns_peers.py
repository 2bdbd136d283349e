#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Our agents on a LAN with other people's mDNS: each registers a service that we must see, and
looks for ours, and each says goodbye in its own way.

Three agents: `a` has a service with every FARP key, `n` only looks, and `v` looks through
avahi-daemon. What the peers cannot do is said in the names of the steps.
"""

import json
import os
import pathlib
import shutil
import signal
import time

import harness
from harness import PYTHON, Skip, check, equal

PEERS = harness.HERE / "peers"
TYPE = "_hello._tcp"
TXT = {"k": "v", "path": "/x=y z"}
PAIRS = [f"{key}={value}" for key, value in TXT.items()]
PORT = 8000
FRAME_BYTES = 1472  # of UDP payload in an Ethernet frame
APPEAR_WITHIN_S = 35.0  # avahi-daemon asks after 1, 3, 7, 15 and 31 s
COMPILED_WITHIN_S = 60.0
AT_ONCE_S = 1.0
AVAHI_GOODBYE_S = 1.0  # it keeps a record for a second after its goodbye (RFC 6762, 10.1)
UNANSWERED_WITHIN_S = 12.0  # ten seconds for two unanswered questions (RFC 6762, 10.5), and more

HELLO = {
    "name": "hello", "id": "hello-a",
    "version": "1.0.0",
    "port": PORT,
    "tags": ["http", "v1"],
    "metadata": {"region": "us-west"},
    "farp": {"openapi": "/openapi.json", "capabilities": ["rest"], "strategy": "push"},
}


def jar(name):
    return f"/usr/share/java/{name}.jar"


class Peer:
    """Another project's program on a host of its own: `name` is the host's, and in its label."""

    title = None
    port = 9090
    sees_ours = True  # it can browse
    says_goodbye = True
    changes_txt = False  # on SIGUSR2
    forgets_within = AT_ONCE_S  # what has said goodbye, where it tells of it by itself

    def __init__(self, world, name):
        self.world, self.name, self.label = world, name, f"by-{name}"
        self.missing = self.why_missing()
        if not self.missing:
            self.host = world.host(name)
            self.program = self.start()

    def why_missing(self):
        """What is not installed, if anything."""

    def start(self):
        raise NotImplementedError

    def found(self, label):
        """What it has found under a label, or None: port, addresses, txt. This kind asks once."""
        raise NotImplementedError

    def sees(self, label):
        return harness.wait_for(f"{label} in {self.title}", lambda: self.found(label))

    def mark(self):
        """From here on, for `loses`."""
        return self.program.mark()

    def loses(self, label, since):
        """Waits until it says so, or finds it no more; the time of that."""
        del since
        harness.wait_for(f"no {label} in {self.title}", lambda: not self.found(label))
        return time.monotonic()

    def leave(self):
        self.program.send(signal.SIGTERM)


class Talker(Peer):
    """One that says what comes and goes, in lines of JSON."""

    def event(self, kind, label, within, since=0, **txt):
        def wanted(line):
            if not line.startswith("{"):
                return False
            said = json.loads(line)
            # Some resolve in steps, and tell each.
            there = said.get("txt")
            return (said["event"] == kind and said.get("label") == label and there != {}
                    and all(there.get(key) == value for key, value in txt.items()))

        return self.program.wait_line(wanted, within, since, what=f"{kind} {label}")

    def sees(self, label):
        return json.loads(self.event("up", label, APPEAR_WITHIN_S)[1])

    def loses(self, label, since):
        return self.event("down", label, self.forgets_within, since)[0]


class Node(Talker):
    changes_txt = True

    def __init__(self, world, name, library):
        self.title = self.library = library
        super().__init__(world, name)

    def why_missing(self):
        if not shutil.which("node", path="/usr/sbin:/usr/bin:/sbin:/bin"):
            return "node is not installed"
        self.modules = harness.TOP / "build/npm/node_modules"
        if not (self.modules / self.library).is_dir():
            return "not installed: tests/real/run does it where npm and its registry are to be had"
        return None

    def start(self):
        argv = ["node", PEERS / "node_peer.js", self.library, self.host.ip4, TYPE, self.label,
                self.port, *PAIRS]
        return self.host.start("node", argv, env={"NODE_PATH": str(self.modules)})


class Bonjour(Node):
    changes_txt = False


class Ciao(Node):
    sees_ours = False


class Jmdns(Talker):
    title = "jmdns"
    forgets_within = 25.0  # it looks through its cache every ten seconds, when it is idle

    def why_missing(self):
        if not shutil.which("javac", path="/usr/sbin:/usr/bin:/sbin:/bin"):
            return "javac is not installed"
        if not os.path.exists(jar("jmdns")):
            return "libjmdns-java is not installed (tests/packages-optional.txt)"
        return None

    def start(self):
        jars = ":".join(jar(name) for name in ("jmdns", "slf4j-api", "slf4j-nop"))
        argv = ["java", "-XX:TieredStopAtLevel=1", "-cp", jars, PEERS / "JmdnsPeer.java",
                self.host.ip4, TYPE, self.label, self.port, *PAIRS]
        return self.host.start("java", argv)


class Hashicorp(Peer):
    """It answers every question by unicast to the asker's port, multicast ones too. On port 5353
    that is luck (another stack of the host may get it): only the daemon's socket hears it.
    """

    title = "hashicorp/mdns"
    says_goodbye = False
    sources = "/usr/share/gocode"

    def why_missing(self):
        if not shutil.which("go", path="/usr/sbin:/usr/bin:/sbin:/bin"):
            return "golang-go is not installed (tests/packages-optional.txt)"
        if not os.path.isdir(f"{self.sources}/src/github.com/hashicorp/mdns"):
            return "golang-github-hashicorp-mdns-dev is not installed (tests/packages-optional.txt)"
        return None

    def start(self):
        build = pathlib.Path(self.world.outrider).parent.parent
        self.binary = build / "tests/real/hashicorp_peer"
        env = {"GO111MODULE": "off", "GOPATH": self.sources, "GOCACHE": str(build / "go"),
               "GOFLAGS": "-buildvcs=false"}
        script = 'go build -o "$0" "$1" && shift && exec "$0" publish "$@"'
        argv = ["sh", "-c", script, self.binary, PEERS / "hashicorp_peer.go", self.host.ip4, TYPE,
                self.label, self.port, *PAIRS]
        return self.host.start("go", argv, env=env)

    def found(self, label):
        lines = self.host.run([self.binary, "browse", TYPE])[1].splitlines()
        return next((seen for seen in map(json.loads, lines) if seen["label"] == label), None)


class Mdnsd(Peer):
    """mquery knows names only: it is asked for PTR, and shows their targets."""

    title = "mdnsd"
    says_goodbye = False

    def why_missing(self):
        if not shutil.which("mdnsd", path="/usr/sbin:/usr/bin:/sbin:/bin"):
            return "mdnsd is not installed (tests/packages-optional.txt)"
        return None

    def start(self):
        folder = self.host.dir / "services"
        folder.mkdir()
        text = f"name {self.label}\ntype {TYPE}\nport {self.port}\n"
        (folder / "hello.service").write_text(text + "".join(f"txt {pair}\n" for pair in PAIRS))
        return self.host.start("mdnsd", ["mdnsd", "-n", "-i", "eth0", folder])

    def query(self, host, rtype, name):
        return host.run(["mquery", "-s", "-i", "eth0", "-w", "1", "-t", rtype, name])[1]

    def found(self, label):
        said = self.query(self.host, 12, f"{TYPE}.local.")
        return {"label": label} if f"to {label}.{TYPE}.local." in said else None


class Zeroconf(Talker):
    title = "python3-zeroconf"
    changes_txt = True

    def start(self):
        argv = [PYTHON, PEERS / "zeroconf_peer.py", self.host.ip4, TYPE, self.label, self.port]
        return self.host.start("zeroconf", [*argv, *PAIRS])


class Avahi(Peer):
    title = "avahi"

    def start(self):
        self.host.avahi_daemon()
        self.browser = self.host.avahi_browse(TYPE)
        argv = ["avahi-publish", "-s", self.label, TYPE, self.port, *PAIRS]
        return self.host.start("publish", argv)

    def mark(self):
        return self.browser.mark()

    def line(self, event, label, since=0):
        def wanted(line):
            return line.startswith(f"{event};eth0;IPv4;") and harness.Browsed(line).label == label

        return self.browser.wait_line(wanted, since=since, what=f"{event} {label}")

    def sees(self, label):
        seen = harness.Browsed(self.line("=", label)[1])
        return {"port": seen.port, "addresses": [seen.address], "txt": seen.txt}

    def loses(self, label, since):
        return self.line("-", label, since)[0] - AVAHI_GOODBYE_S


def config(provider, services=()):
    return {
        "mdns": {"provider": provider, "browse": [TYPE]},
        "lifecycle": {"drain": "100ms"},
        "services": list(services),
    }


def instances(host):
    """Of `hello`, by id."""
    status, text = host.outrider("instances", "hello", "--json")
    return {one["id"]: one for one in json.loads(text)["instances"]} if status == 0 else {}


def seen_here(host, peer, deadline=APPEAR_WITHIN_S):
    """Through the API and through DNS, with all that the peer has said of it."""
    def there():
        # Some say their addresses in several datagrams, one family each.
        seen = instances(host).get(peer.label)
        return seen if seen and peer.host.ip4 in seen["addresses"] else None

    seen = harness.wait_for(f"{peer.label} on {host.name}", there, deadline)
    equal(seen["port"], peer.port, "port")
    equal(seen["metadata"], TXT, "TXT")
    name = f"{peer.label}.hello.svc"
    equal(host.dig(name, port=5370).data("A"), [peer.host.ip4], "A")
    srv = host.dig(name, "SRV", port=5370).data("SRV")
    equal([data.split()[2] for data in srv], [str(peer.port)], "port in SRV")
    txt = host.dig(name, "TXT", port=5370).data("TXT")
    check(all(f'"{pair}"' in " ".join(txt) for pair in PAIRS), f"TXT by DNS: {txt}")


def lost_here(host, peer, deadline=AT_ONCE_S):
    begun = time.monotonic()
    harness.wait_for(f"no {peer.label}", lambda: peer.label not in instances(host), deadline)
    equal(host.dig(f"{peer.label}.hello.svc", port=5370).data("A"), [], "A")
    return time.monotonic() - begun


def txt_of_ours(host, label):
    where = f"http://{host.ip4}:{PORT}"
    return {
        "name": "hello",
        "id": label,
        "version": "1.0.0",
        "tags": "http,v1",
        "mdns.service_type": TYPE,
        "farp.enabled": "true",
        "farp.manifest": f"http://{host.ip4}:5371/_farp/hello/{label}/manifest",
        "farp.openapi": f"{where}/openapi.json",
        "farp.openapi.path": "/openapi.json",
        "farp.capabilities": "rest",
        "farp.strategy": "push",
        "farp.id": label,
        "farp.service": "hello",
        "farp.status": "healthy",
        "farp.version": "1.0.0",
        "region": "us-west",
    }


def as_registered(seen, host, label, version="1.0.0"):
    equal(seen["port"], PORT, "port")
    # avahi-browse shows one address of the host, of either family.
    check({host.ip4, host.ip6} & set(seen["addresses"]), f"addresses {seen['addresses']}")
    txt = dict(seen["txt"])
    check(txt.pop("outrider", ""), "no key of our own")
    equal(txt, {**txt_of_ours(host, label), "version": version}, "TXT")


def registered_there(world, peers, agents):
    for peer in peers:
        unheard = isinstance(peer, Hashicorp)
        and_so = ", which answers by unicast alone: heard through avahi-daemon" if unheard else ""
        with world.step(f"registered with {peer.title}, seen here{and_so}") as say:
            if peer.missing:
                raise Skip(peer.missing)
            begun = time.monotonic()
            if unheard:
                peer.program.wait_line("registered", COMPILED_WITHIN_S)
            for host in agents[-1:] if unheard else agents:
                seen_here(host, peer)
            say(f"{time.monotonic() - begun:.1f} s")


def registered_here(world, peers, a, label):
    for peer in peers:
        if not peer.sees_ours:
            continue
        names_only = isinstance(peer, Mdnsd)
        with world.step(f"registered here, found with {peer.title}{', its name' * names_only}"):
            if peer.missing:
                raise Skip(peer.missing)
            seen = peer.sees(label)
            if not names_only:
                as_registered(seen, a, label)


def txt_changes(world, peers, a, n, agent, config_file, label):
    for peer in peers:
        if not peer.changes_txt:
            continue
        with world.step(f"its TXT changes with {peer.title}, seen here") as say:
            if peer.missing:
                raise Skip(peer.missing)
            begun = time.monotonic()
            peer.program.send(signal.SIGUSR2)
            harness.wait_for(
                "the change",
                lambda: instances(n)[peer.label]["metadata"] == {**TXT, "changed": "yes"},
            )
            say(f"{time.monotonic() - begun:.3f} s")
    listening = [peer for peer in peers if isinstance(peer, Talker) and peer.sees_ours]
    marks = {peer: peer.mark() for peer in listening if not peer.missing}
    config_file.write_text(json.dumps(config("native", [{**HELLO, "version": "1.0.1"}])))
    begun = time.monotonic()
    agent.send(signal.SIGHUP)
    for peer in listening:
        with world.step(f"ours changes, seen with {peer.title}") as say:
            if peer.missing:
                raise Skip(peer.missing)
            at, line = peer.event("up", label, APPEAR_WITHIN_S, marks[peer], version="1.0.1")
            as_registered(json.loads(line), a, label, version="1.0.1")
            say(f"{at - begun:.3f} s")


def assembler(host, source, *words):
    argv = [PYTHON, PEERS / "assembler.py", host.ip4, source.ip4, *words]
    return host.run(argv)[1] if words else host.start("assembler", argv)


def from_one_datagram(world, a, n, label, mdnsd, listener):
    """The rule of the usual Go library: one datagram has all of an instance, or it is not there."""
    for how in ("ask", "legacy"):
        with world.step(f"one answer has all of an instance ({how})") as say:
            for service_type in (TYPE, "_farp._tcp"):
                seen = json.loads(assembler(n, a, service_type, how))
                equal(seen["lacking"], {}, "lacking")
                one = seen["whole"][f"{label}.{service_type}.local"]
                if service_type == TYPE:
                    as_registered({**one, "addresses": [one["address"]]}, a, label)
                check(seen["bytes"] <= FRAME_BYTES, f"{seen['bytes']} octets")
                say(f"{service_type} {seen['bytes']} octets")
    with world.step("so do the answers to a question for SRV alone"):
        if mdnsd.missing:
            raise Skip(mdnsd.missing)
        mark = listener.mark()
        mdnsd.query(n, 33, f"{label}.{TYPE}.local.")
        seen = json.loads(listener.wait_line("^{", since=mark)[1])
        equal(seen["lacking"], {}, "lacking")
        check(f"{label}.{TYPE}.local" in seen["whole"], f"{seen}")


def all_of_it(listener, say):
    said = [json.loads(line) for _, line in listener.lines if line.startswith("{")]
    equal([one["lacking"] for one in said if one["lacking"]], [], "lacking")
    whole = sum(bool(one["whole"]) for one in said)
    check(whole > 0, "nothing was heard")
    say(f"{whole} datagrams with an instance in them")


def ours_gone(world, peers, label, marks, begun):
    for peer in peers:
        with world.step(f"stopped here, gone with {peer.title}") as say:
            took = peer.loses(label, marks[peer]) - begun
            # Those that answer a question were asked one after the other.
            if isinstance(peer, (Talker, Avahi)):
                check(took < peer.forgets_within, f"{took:.3f} s")
                say(f"{took:.3f} s")


def theirs_gone(world, peers, n, v):
    for peer in peers:
        if not peer.says_goodbye:
            continue
        with world.step(f"taken back with {peer.title}, gone here at once") as say:
            if peer.missing:
                raise Skip(peer.missing)
            peer.leave()
            native = lost_here(n, peer)
            through_avahi = lost_here(v, peer, AVAHI_GOODBYE_S + 2 * AT_ONCE_S)
            say(f"{native:.3f} s, through avahi {through_avahi:.3f} s")


def scenario(world):
    harness.need("avahi-daemon", "avahi-publish", "avahi-browse", "dbus-daemon", "dig")
    # The slowest to start come first.
    hashicorp, jmdns = Hashicorp(world, "hashicorp"), Jmdns(world, "jmdns")
    mdnsd = Mdnsd(world, "mdnsd")
    quick = [
        Avahi(world, "avahi"),
        Zeroconf(world, "zeroconf"),
        Bonjour(world, "bonjour", "bonjour-service"),
        Node(world, "mcast", "multicast-dns"),
        Ciao(world, "ciao", "@homebridge/ciao"),
        mdnsd,
        hashicorp,
    ]
    peers = [*quick, jmdns]
    a, n, v = world.host("a"), world.host("n"), world.host("v")
    v.avahi_daemon()
    listener = assembler(n, a)
    listener.wait_line("listening")
    n.agent(config("native"))
    v.agent(config("avahi"))
    config_file = a.dir / "hello.json"
    config_file.write_text(json.dumps(config("native", [HELLO])))
    agent = a.agent(arguments=["--config", config_file])
    label = HELLO["id"]
    with world.step("our own agents see each other", vital=True):
        for host in (a, n, v):
            harness.wait_for("hello", lambda: label in instances(host), APPEAR_WITHIN_S)
    registered_there(world, peers, (a, n, v))
    registered_here(world, peers, a, label)
    from_one_datagram(world, a, n, label, mdnsd, listener)
    txt_changes(world, peers, a, n, agent, config_file, label)
    with world.step("each announcement and each answer to others had all of an instance, up to here") as say:
        all_of_it(listener, say)

    browsers = {peer: peer.mark() for peer in peers if peer.sees_ours and not peer.missing}
    begun = time.monotonic()
    agent.send(signal.SIGTERM)
    ours_gone(world, [peer for peer in browsers if peer is not jmdns], label, browsers, begun)
    with world.step("and here, and the agent has ended well"):
        harness.wait_for("no instance", lambda: label not in instances(n))
        equal(agent.wait(), 0, "exit status")
    left_behind = False
    if not mdnsd.missing:
        mdnsd.leave()
        mdnsd.program.wait()
        left_behind = mdnsd.label in instances(n)
        # From its second question on, mquery sends known answers that cannot be parsed. One that
        # comes within a second of another counts as the same.
        for _ in range(3):
            mdnsd.query(n, 12, f"{TYPE}.local.")
    theirs_gone(world, quick, n, v)
    with world.step("mdnsd ended without a goodbye: gone here when others ask in vain"):
        if mdnsd.missing:
            raise Skip(mdnsd.missing)
        check(left_behind, "it did say goodbye")
        lost_here(n, mdnsd, UNANSWERED_WITHIN_S)
    ours_gone(world, [peer for peer in browsers if peer is jmdns], label, browsers, begun)
    theirs_gone(world, [jmdns], n, v)


if __name__ == "__main__":
    harness.main(scenario)
