#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The etcd engine with Debian's etcd: one server, then a cluster of three, and everything that goes wrong with them.

etcdctl and python3-etcd3 judge: they write what frameworks write, and read what the engine has written.
"""

import json
import pathlib
import re
import signal
import time

import harness

PEER = None  # build/tests/real/etcd_peer, beside the outrider that is tested
OWN = "put=user-service,user-service-001,{},8000"
LAYOUTS = ("kratos", "goframe", "forge", "gozero=order.rpc,user-service.rpc")
KRATOS = "/microservices/user-service/i1"
MANY_KIB_MAX = 24 * 1024  # for 4,096 entries, with what the list itself took
KRATOS_VALUE = (
    '{"id":"i1","name":"user-service","version":"v1","metadata":null,'
    '"endpoints":["http://10.0.0.1:80","grpc://10.0.0.1:90"]}'
)
# A small program with another implementation of a client: key, value and lease of everything, as JSON.
ETCD3 = (
    "import etcd3,json,sys; c=etcd3.client(host=sys.argv[1]);"
    "print(json.dumps({m.key.decode():[v.decode(),m.lease_id] for v,m in c.get_all()}))"
)


class Server:
    """One etcd process on a host of its own."""

    def __init__(self, host, cluster=None, options=()):
        self.host, self.url = host, f"http://{host.ip4}:2379"
        self.cluster = cluster or f"{host.name}=http://{host.ip4}:2380"
        self.options, self.life = list(options), 0
        self.program = None

    def start(self, fresh=False, state="new"):
        self.life += fresh or not self.life
        peer = f"http://{self.host.ip4}:2380"
        self.program = self.host.start(
            "etcd",
            ["etcd", "--name", self.host.name, "--data-dir", self.host.dir / f"data{self.life}"]
            + ["--listen-client-urls", f"{self.url},http://127.0.0.1:2379", "--advertise-client-urls", self.url]
            + ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
            + ["--initial-cluster", self.cluster, "--initial-cluster-state", state, *self.options],
            env={"ETCD_UNSUPPORTED_ARCH": "arm64"},
        )
        return self

    def ready(self, deadline=20):
        harness.wait_for("etcd", lambda: self.ctl("get", "x", may_fail=True)[0] == 0, deadline)
        return self

    def ctl(self, *words, may_fail=False):
        argv = ["etcdctl", "--endpoints", self.url, "--command-timeout", "4s", *words]
        return self.host.run(argv, may_fail=may_fail, env={"ETCDCTL_API": "3"})

    def get(self, prefix=""):
        out = json.loads(self.ctl("get", "--prefix", prefix, "-w", "json")[1])
        return {kv["key"]: kv for kv in out.get("kvs", [])}

    def lines(self, prefix):
        """Key and value in turns."""
        return self.ctl("get", "--prefix", prefix)[1].splitlines()

    def leads(self):
        code, out = self.ctl("endpoint", "status", "-w", "json", may_fail=True)
        status = json.loads(out)[0]["Status"] if code == 0 else {}
        return bool(status) and status.get("leader") == status["header"]["member_id"]  # none during an election


def peer(host, servers, *words):
    return host.start("etcd_peer", [PEER, ",".join(s.url for s in servers), *words])


def own_keys(server):
    return server.lines("/microservices/user-service/user-service-001")


def wait_own(server, deadline=10):
    begun = time.monotonic()
    harness.wait_for("our key", lambda: own_keys(server), deadline)
    return time.monotonic() - begun


def status(engine):
    since = engine.mark()
    engine.send(signal.SIGUSR1)
    return engine.wait_line(" status ", since=since)[1]


def one_server(world):
    """Layouts, judged by two other clients; then trouble with a single server."""
    us, other = world.host("a0"), world.host("a1")
    server = Server(other).start().ready()
    engine = peer(us, [server], *LAYOUTS, "writer=us", OWN.format(us.ip4))
    with world.step("registrations are where each framework looks for them", vital=True):
        engine.wait_line("state current")
        wait_own(server)
        harness.wait_for("four keys", lambda: "written=4" in status(engine))
        lines = server.lines("")
        pairs = dict(zip(lines[::2], lines[1::2]))
        kratos = json.loads(pairs["/microservices/user-service/user-service-001"])
        wanted = {"id": "user-service-001", "name": "user-service", "version": "v1.0.0"}
        wanted |= {"metadata": {"weight": "100", "outrider.node": "us"}, "endpoints": [f"http://{us.ip4}:8000"]}
        harness.equal(kratos, wanted, "Kratos")
        goframe = json.loads(pairs[f"/service/default/default/user-service/latest/{us.ip4}:8000"])
        harness.equal((goframe["protocol"], goframe["insecure"], goframe["weight"]), ("http", True, 100), "GoFrame")
        forge = json.loads(pairs["/services/user-service/user-service-001"])
        harness.equal((forge["address"], forge["port"], forge["status"]), (us.ip4, 8000, "passing"), "Forge")
        gozero = [(k, v) for k, v in pairs.items() if k.startswith("user-service.rpc/")]
        harness.equal([v for _, v in gozero], [f"{us.ip4}:8000"], "go-zero")
        harness.check(gozero[0][0].split("/")[1].isdigit(), "go-zero's number")
        harness.equal(len(pairs), 4, "number of keys")
    with world.step("python3-etcd3 reads the same, all under one lease"):
        seen = json.loads(us.run([harness.PYTHON, "-c", ETCD3, other.ip4])[1])
        harness.equal(len(seen), 4, "keys")
        harness.equal(len({lease for _, lease in seen.values()} - {0}), 1, "leases")
    with world.step("what frameworks write is read within 100 ms") as note:
        for key, value, wanted in (
            (KRATOS, KRATOS_VALUE, r"entry user-service id=i1 version=v1 http .* 10\.0\.0\.1:80"),
            ("order.rpc/7668682524328950295", "10.0.0.1:8080", r"entry order id= .*grpc .* 10\.0\.0\.1:8080"),
            ("/service/default/default/a/latest/10.0.0.1:80,10.0.0.1:81", '{"protocol":"http"}', r"entry a .*:81"),
            ("/services/b/b1", '{"id":"b1","name":"b","address":"10.0.0.1","port":5}', r"entry b id=b1"),
        ):
            since = engine.mark()
            server.ctl("put", key, value)
            returned = time.monotonic()
            at = engine.wait_line(wanted, since=since)[0]
            harness.check(at - returned < 0.1, f"{key}: {at - returned:.3f} s after etcdctl")
        note(f"the last {1000 * (at - returned):.1f} ms after etcdctl had ended")
    with world.step("and its deletion"):
        since = engine.mark()
        server.ctl("del", KRATOS)
        engine.wait_line(f"lost .*{KRATOS}", since=since)
        harness.check("user-service-001" not in engine.text().replace("key=", ""), "our own entry was read back")
    with world.step("a key of ours that is deleted comes back") as note:
        server.ctl("del", "/microservices/user-service/user-service-001")
        note(f"{wait_own(server, 3):.3f} s")
    with world.step("a lease that is revoked is replaced") as note:
        lease = re.search(r"lease=(\d+)", status(engine))[1]
        server.ctl("lease", "revoke", f"{int(lease):x}")
        harness.wait_for("four keys", lambda: "written=4" in status(engine), 10)
        note(f"{wait_own(server):.3f} s")
    with world.step("a key that another program holds is left to it, and taken when it is free"):
        server.ctl("put", "/microservices/user-service/user-service-001", KRATOS_VALUE)
        engine.wait_line("conflict user-service-001 .* without a lease")
        harness.equal(own_keys(server)[1], KRATOS_VALUE, "value")
        since = engine.mark()
        server.ctl("del", "/microservices/user-service/user-service-001")
        engine.wait_line("conflict user-service-001 .* over", since=since)
        wait_own(server)
    trouble(world, server, engine)
    with world.step("a stop takes everything back at once") as note:
        begun = time.monotonic()
        harness.equal(engine.stop(), 0, "exit status")
        harness.equal(server.lines("/microservices/user-service/user-service-001"), [], "keys")
        note(f"{time.monotonic() - begun:.3f} s")
    killed(world, us, server)


def trouble(world, server, engine):
    with world.step("kill -9 of the server is noticed at once; after its restart nothing is lost") as note:
        since = engine.mark()
        begun = time.monotonic()
        server.program.kill()
        at = engine.wait_line("state behind", since=since)[0]
        note(f"noticed after {1000 * (at - begun):.0f} ms")
        server.start().ready()
        begun = time.monotonic()
        at = engine.wait_line("state current", since=since)[0]
        note(f"current {max(0, at - begun):.2f} s after the server was ready")
        harness.wait_for("our key", lambda: own_keys(server))
    with world.step("a compaction while it watches does no harm"):
        revision = str(json.loads(server.ctl("endpoint", "status", "-w", "json")[1])[0]["Status"]["header"]["revision"])
        server.ctl("compact", revision)
        since = engine.mark()
        server.ctl("put", KRATOS, KRATOS_VALUE)
        engine.wait_line("entry user-service id=i1", since=since)
    with world.step("a wiped server is a new life, and has our keys again") as note:
        since = engine.mark()
        server.program.kill()
        server.start(fresh=True).ready()
        begun = time.monotonic()
        engine.wait_line("restarted its revision went back", since=since, deadline=15)
        note(f"keys back after {wait_own(server, 25):.2f} s; told after {time.monotonic() - begun:.2f} s")
        engine.wait_line("state current", since=since)
    with world.step("SIGTERM of the server is noticed, too"):
        since = engine.mark()
        server.program.stop()
        engine.wait_line("state behind", since=since)
        server.start().ready()
        engine.wait_line("state current", since=since, deadline=15)
        wait_own(server)


def killed(world, us, server):
    with world.step("after kill -9 of the agent its keys end with the lease; the next life takes them over"):
        words = (*LAYOUTS, "writer=us", "ttl=5", OWN.format(us.ip4))
        first = peer(us, [server], *words)
        wait_own(server)
        first.kill()
        second = peer(us, [server], *words)
        second.wait_line("state current")
        harness.wait_for("four keys", lambda: "written=4" in status(second))
        harness.check("conflict" not in second.text(), "a conflict with its own keys")
        second.kill()
        harness.wait_for("no keys", lambda: not own_keys(server), 15)


def put_many(us, other, first, last):
    program = (
        "import etcd3,sys; c=etcd3.client(host=sys.argv[1], timeout=20)\n"
        f"v={KRATOS_VALUE!r}\n"
        f"for i in range({first}, {last}): c.put(f'/microservices/web/w{{i:05}}', v.replace('i1', f'w{{i:05}}'))"
    )
    us.run([harness.PYTHON, "-c", program, other.ip4], timeout=60)


def many(world):
    """Thousands of entries: time and memory."""
    us, other = world.host("b0"), world.host("b1")
    server = Server(other).start().ready()
    with world.step("3,000 keys are written", vital=True):
        put_many(us, other, 0, 3000)
    with world.step("and listed") as note:
        begun = time.monotonic()
        idle = peer(us, [server], "gozero=none.rpc", "quiet")
        idle.wait_line("state current")
        engine = peer(us, [server], "kratos", "quiet")
        at = engine.wait_line("listed 3000")[0]
        note(f"{at - begun:.2f} s, {engine.rss_kib()} KiB resident, {idle.rss_kib()} KiB without them")
    with world.step("a lease with 1,000 keys that ends is one message") as note:
        lease = server.ctl("lease", "grant", "600")[1].split()[1]
        program = (
            "import etcd3,sys; c=etcd3.client(host=sys.argv[1], timeout=20)\n"
            "l=etcd3.leases.Lease(int(sys.argv[2],16),600,etcd_client=c)\n"
            f"v={KRATOS_VALUE!r}\n"
            "for i in range(1000): c.put(f'/microservices/lease/l{i:05}', v.replace('i1', f'l{i}'), l)"
        )
        us.run([harness.PYTHON, "-c", program, other.ip4, lease], timeout=60)
        harness.wait_for("all of them", lambda: "read=4000 " in status(engine))
        server.ctl("lease", "revoke", lease)
        harness.wait_for("their end", lambda: "read=3000 " in status(engine))
        harness.check(engine.text().count("state behind") == 0, "the watch was lost")
    with world.step("of 5,000 keys 4,096 are followed as they are written, and it is said that there are more") as note:
        put_many(us, other, 3000, 5000)
        said = harness.wait_for("all", lambda: status(engine).count("skipped=904 ") and status(engine))
        harness.check("read=4096 " in said and "warning=more than 4096 entries" in said, said)
        harness.check(engine.text().count("state behind") == 0, "the watch was lost")
        note(f"{engine.rss_kib()} KiB resident")
    with world.step("and of 5,000 that are there 4,096 are listed") as note:
        begun = time.monotonic()
        fresh = peer(us, [server], "kratos", "quiet")
        at = fresh.wait_line("listed 4096")[0]
        harness.check("skipped=904 " in status(fresh), status(fresh))
        note(f"{at - begun:.2f} s, {fresh.rss_kib()} KiB resident, {idle.rss_kib()} KiB without them")
        harness.check(fresh.rss_kib() < idle.rss_kib() + MANY_KIB_MAX, f"{fresh.rss_kib()} KiB")
    with world.step("1,000 of them are deleted at once") as note:
        begun = time.monotonic()
        server.ctl("del", "--prefix", "/microservices/web/w00")
        for each in (engine, fresh):
            harness.wait_for("their end", lambda: "read=3096 " in status(each))  # noqa: B023
        note(f"{time.monotonic() - begun:.2f} s with etcdctl")


def cluster(world):
    """Three servers: the leader killed, and cut off."""
    us = world.host("c0")
    hosts = [world.host(f"c{i}") for i in (1, 2, 3)]
    names = ",".join(f"{host.name}=http://{host.ip4}:2380" for host in hosts)
    servers = [Server(host, names).start() for host in hosts]
    for server in servers:
        server.ready()
    engine = peer(us, servers, "kratos", "writer=us", OWN.format(us.ip4))
    engine.wait_line("state current")
    wait_own(servers[0])
    with world.step("the leader is killed: registrations stay, writes are back within seconds") as note:
        leader = next(s for s in servers if s.leads())
        rest = [s for s in servers if s is not leader]
        leader.program.kill()
        begun = time.monotonic()
        harness.wait_for("a new leader", lambda: any(s.leads() for s in rest), 20)
        elected = time.monotonic() - begun
        rest[0].ctl("put", KRATOS, KRATOS_VALUE)
        engine.wait_line("entry user-service id=i1")
        harness.wait_for("our key", lambda: own_keys(rest[0]))
        note(f"new leader after {elected:.1f} s")
        leader.start(state="existing").ready()
    with world.step("a server without its peers is left for another one, and no change is missed") as note:
        since = engine.mark()
        at = re.search(r"at (\S+)", status(engine))[1]
        ours = next(s for s in servers if s.url == at)
        rest = [s for s in servers if s is not ours]
        ours.host.run(["nft", "add table inet cut"])
        for chain, hook, port in (("in", "input", "dport"), ("out", "output", "dport")):
            ours.host.run(["nft", f"add chain inet cut {chain} {{ type filter hook {hook} priority 0 ; }}"])
            ours.host.run(["nft", f"add rule inet cut {chain} tcp {port} 2380 drop"])
            ours.host.run(["nft", f"add rule inet cut {chain} tcp sport 2380 drop"])
        begun = time.monotonic()
        left = engine.wait_line("state behind", since=since, deadline=20)[0]
        back = engine.wait_line("state current", since=since, deadline=20)[0]
        note(f"left after {left - begun:.1f} s, current after {back - begun:.1f} s")
        harness.wait_for("a leader", lambda: any(s.leads() for s in rest), 20)
        rest[0].ctl("del", KRATOS)
        engine.wait_line("lost .*i1", since=since)
        harness.wait_for("our key", lambda: own_keys(rest[0]))
        ours.host.run(["nft", "delete table inet cut"])
    with world.step("the registration is there after all of that"):
        ours.ready()
        harness.check(own_keys(servers[0]), "our key is missing")
        harness.equal(engine.stop(), 0, "exit status")
        harness.equal(own_keys(servers[0]), [], "keys after the stop")


def login(world):
    """Authentication with a user who may not do everything."""
    us, other = world.host("d0"), world.host("d1")
    server = Server(other, options=["--auth-token-ttl", "5"]).start().ready()
    secret = us.dir / "password"
    secret.write_text("secret\n")
    for words in (
        ("user", "add", "root:r"),
        ("user", "grant-role", "root", "root"),
        ("role", "add", "fleet"),
        ("role", "grant-permission", "fleet", "readwrite", "--prefix=true", "/microservices/"),
        ("user", "add", "agent:secret"),
        ("user", "grant-role", "agent", "fleet"),
        ("auth", "enable"),
    ):
        server.ctl(*words)
    root = ("--user", "root:r")
    engine = peer(us, [server], "kratos", "writer=us", f"user=agent,{secret}", OWN.format(us.ip4))
    with world.step("with user and password file it reads and writes what it may"):
        engine.wait_line("state current")
        harness.wait_for("our key", lambda: "user-service-001" in server.ctl(*root, "get", "--prefix", "/micro")[1])
    with world.step("tokens that have ended are renewed"):
        # Longer than a token lives: nothing but keepalives, which need none, keeps the connection busy.
        deadline = time.monotonic() + 7
        harness.wait_for("the time of a token", lambda: time.monotonic() > deadline, 10)
        since = engine.mark()
        server.ctl(*root, "del", "/microservices/user-service/user-service-001")
        harness.wait_for("our key", lambda: "user-service-001" in server.ctl(*root, "get", "--prefix", "/micro")[1])
        harness.check("state behind" not in "\n".join(t for _, t in engine.lines[since:]), "it was behind")
    with world.step("a right that is missing is said"):
        denied = peer(us, [server], "forge", "writer=us", f"user=agent,{secret}", OWN.format(us.ip4))
        denied.wait_line("state behind .*permission denied")
        harness.wait_for("the warnings", lambda: "cannot be written" in status(denied))
        harness.check("warning=keys cannot be read: etcdserver: permission denied" in status(denied), status(denied))
    with world.step("and a wrong password, and no user"):
        wrong = us.dir / "wrong"
        wrong.write_text("no\n")
        peer(us, [server], "kratos", f"user=agent,{wrong}").wait_line("state behind user agent cannot log in")
        peer(us, [server], "kratos").wait_line("state behind the cluster wants a user")


PARTS = {"one": one_server, "many": many, "cluster": cluster, "login": login}


def scenario(world):
    global PEER
    harness.need("etcd", "etcdctl", "nft")
    PEER = pathlib.Path(world.outrider).parent.parent / "tests/real/etcd_peer"
    if harness.run([harness.PYTHON, "-c", "import etcd3"], may_fail=True)[0] != 0:
        raise harness.Skip("python3-etcd3 is not installed (tests/packages.txt)")
    for name, part in PARTS.items():
        if not world.words or name in world.words:
            part(world)
            for program in world.programs:
                program.kill()


if __name__ == "__main__":
    harness.main(scenario)
