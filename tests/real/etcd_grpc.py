#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The etcd door over gRPC, with clients that know nothing but etcd: etcdctl, Go's clientv3, python3-etcd3, curl."""

import base64
import functools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import harness
from harness import check, equal, wait_for

URL = "http://127.0.0.1:2379"
CONFIG = {"api": {"etcd_listen": ["127.0.0.1:2379"]}, "mdns": {"provider": "off"}, "lifecycle": {"drain": "0s"}}
PORT = 5370
HERE = pathlib.Path(__file__).resolve().parent
KEY = "/microservices/{0}/{0}-1"

# Another implementation of a client: gRPC of Google's C core.
PYTHON_CLIENT = """
import etcd3, threading, sys
client = etcd3.client(host="127.0.0.1", port=2379)
seen = threading.Event()
client.add_watch_prefix_callback("/microservices/snake/", lambda response: seen.set())
lease = client.lease(5)
value = '{"id":"snake-1","name":"snake","version":"v1","metadata":null,"endpoints":["http://127.0.0.1:7002"]}'
client.put("/microservices/snake/snake-1", value, lease=lease)
print("seen", seen.wait(10))
print("keys", [meta.key.decode() for _, meta in client.get_prefix("/microservices/snake/")])
print("alive", [answer.TTL for answer in lease.refresh()])
done, _ = client.transaction(
    compare=[client.transactions.version("/microservices/snake/snake-1") == 1],
    success=[client.transactions.delete("/microservices/snake/snake-1")], failure=[])
print("deleted", done)
with client.lock("snake", ttl=5) as lock:
    print("locked", lock.is_acquired())
try:
    client.put("/elsewhere/" + "x" * 10, "y" * 70000)
except Exception as error:
    print("refused", type(error).__name__)
"""


WATCHERS, CONNECTIONS, KEEPALIVES = 1000, 4, 20000
# Watches a prefix on many streams, and says when all have been told of the first change.
WATCH_MANY = f"""
import selectors, socket, h2.connection
text = lambda field, octets: bytes([field << 3 | 2, len(octets)]) + octets
create = text(1, text(1, b"/microservices/") + text(2, b"/microservices0"))
message = b"\\0\\0\\0\\0" + bytes([len(create)]) + create
head = [(":method", "POST"), (":scheme", "http"), (":authority", "x"), (":path", "/etcdserverpb.Watch/Watch"),
        ("content-type", "application/grpc"), ("te", "trailers")]
selector = selectors.DefaultSelector()
for _ in range({CONNECTIONS}):
    s = socket.create_connection(("127.0.0.1", 2379))
    c = h2.connection.H2Connection()
    c.initiate_connection()
    for _ in range({WATCHERS} // {CONNECTIONS}):
        stream = c.get_next_available_stream_id()
        c.send_headers(stream, head)
        c.send_data(stream, message)
    s.sendall(c.data_to_send())
    selector.register(s, selectors.EVENT_READ, c)
created, told = set(), set()
def wait(seen):
    while len(seen) < {WATCHERS}:
        for key, _ in selector.select():
            s, c = key.fileobj, key.data
            for event in c.receive_data(s.recv(1 << 20)):
                if type(event).__name__ == "DataReceived":
                    seen.add((s.fileno(), event.stream_id))
                    c.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                if type(event).__name__ in ("StreamReset", "ConnectionTerminated"):
                    raise SystemExit(event)
            s.sendall(c.data_to_send())
wait(created)
print("watching", flush=True)
wait(told)
print("told", flush=True)
"""


def value(name, port):
    endpoints = [f"http://127.0.0.1:{port}"]
    return json.dumps({"id": f"{name}-1", "name": name, "version": "v1", "metadata": None, "endpoints": endpoints})


def ctl(host, *words, **options):
    return host.run(["etcdctl", "--endpoints", URL, *words], env={"ETCDCTL_API": "3"}, **options)[1]


def answers(host, name):
    return host.dig(f"{name}.svc", "SRV", port=PORT).data("SRV")


def with_etcdctl(host, note):
    lease = ctl(host, "lease", "grant", "2").split()[1]
    ctl(host, "put", f"--lease={lease}", KEY.format("ctl"), value("ctl", 7000))
    wait_for("DNS", lambda: answers(host, "ctl"))
    equal(ctl(host, "get", KEY.format("ctl"), "--print-value-only").strip(), value("ctl", 7000), "the value")
    keep = host.start("keepalive", ["etcdctl", "--endpoints", URL, "lease", "keep-alive", lease],
                      env={"ETCDCTL_API": "3"})
    for _ in range(3):
        keep.wait_line("keepalived", since=keep.mark())
    check(answers(host, "ctl"), "it is kept alive")
    keep.kill()
    wait_for("the end of the lease", lambda: not answers(host, "ctl"), 10)
    equal(ctl(host, "get", "/microservices/", "--prefix", "--keys-only").strip(), "", "what is left")
    note(ctl(host, "endpoint", "status", "-w", "fields").replace("\n", " ")[:60])
    check(URL in ctl(host, "member", "list"), "the member is where the client connected to")
    equal(ctl(host, "lock", "name", "echo", "held").strip(), "held", "a lock")
    failed = host.run(["etcdctl", "--endpoints", URL, "compaction", "5"], env={"ETCDCTL_API": "3"}, may_fail=True)
    check("Unimplemented" in failed[1] or failed[0] != 0, failed)


def with_go(host):
    if not shutil.which("go") or not os.path.isdir("/usr/share/gocode/src/go.etcd.io/etcd/clientv3"):
        raise harness.Skip("golang-go and golang-etcd-server-dev are not installed")
    env = {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOCACHE": str(harness.TOP / "build/go")}
    program = host.dir / "etcd_session"
    subprocess.run(["go", "build", "-o", program, HERE / "clients/etcd_session.go"], env={**os.environ, **env},
                   check=True)
    out = host.run([program, "127.0.0.1:2379"], timeout=60, may_fail=True)[1]
    check(out.rstrip().endswith("done"), out)
    check(f"member {URL}" in out and "version 3.5." in out, out)


def with_python(host):
    status, out = host.run([harness.PYTHON, "-c", PYTHON_CLIENT], timeout=60, may_fail=True)
    if status and "ModuleNotFoundError" in out:
        raise harness.Skip("python3-etcd3 is not installed")
    for line in ("seen True", "keys ['/microservices/snake/snake-1']", "alive [5]", "deleted True", "locked True",
                 "refused"):
        check(line in out, f"{line}: {out}")


def thousand_watchers(host, agent, note):
    before = agent.rss_kib()
    watchers = host.start("watchers", [harness.PYTHON, "-c", WATCH_MANY])
    watchers.wait_line("^watching$", 60)
    grown = agent.rss_kib() - before
    began = time.monotonic()
    ctl(host, "put", KEY.format("seen"), value("seen", 7005))
    at, _ = watchers.wait_line("^told$", 30)
    note(f"{WATCHERS} told {1000 * (at - began):.0f} ms after etcdctl began to put, {grown} KiB for them")
    ctl(host, "del", KEY.format("seen"))
    watchers.stop()


def many_keepalives(host, agent, note):
    lease = int(ctl(host, "lease", "grant", "60").split()[1], 16)
    number = b""
    while lease > 127:
        number, lease = number + bytes([lease & 127 | 128]), lease >> 7
    request = b"\x08" + number + bytes([lease])
    message = host.dir / "keepalive"
    message.write_bytes(b"\0\0\0\0" + bytes([len(request)]) + request)
    before = agent.cpu_seconds()
    out = host.run(["h2load", "-n", KEEPALIVES, "-c", "4", "-m", "50", "-d", message, "-H",
                    "content-type: application/grpc", "-H", "te: trailers",
                    f"{URL}/etcdserverpb.Lease/LeaseKeepAlive"], timeout=60)[1]
    used = agent.cpu_seconds() - before
    check(f"{KEEPALIVES} succeeded, 0 failed" in out, out)
    rate = float(re.search(r"finished in [^,]*, ([\d.]+) req/s", out)[1])
    note(f"{rate:.0f} keepalives/s beside h2load, {KEEPALIVES / used:.0f} per CPU second of the agent")
    said = json.loads(host.outrider("status", "--json")[1])["etcd_door"]
    check(said["requests"] >= KEEPALIVES and said["streams"] < 10, said)


def with_curl(host):
    body = json.dumps({"key": base64.b64encode(b"/microservices/").decode(), "range_end": "AA=="})
    out = host.run(["curl", "-s", "-d", body, f"{URL}/v3/kv/range"])[1]
    check("header" in json.loads(out), out)


def scenario(world):
    harness.need("etcdctl", "dig", "curl")
    host = world.host("a")
    # What an agent keeps belongs to its configuration file.
    file = host.dir / "agent.json"
    file.write_text(json.dumps(CONFIG))
    start = functools.partial(host.agent, arguments=["--config", file])
    agent = start()
    with world.step("the agent listens where etcd would", vital=True):
        agent.wait_line("api_listening.*2379")
    with world.step("etcdctl: a registration lives as long as its lease is kept alive") as note:
        with_etcdctl(host, note)
    with world.step("Go's clientv3: every call, a session with a mutex and an election"):
        with_go(host)
    with world.step("python3-etcd3: lease, watch, transaction, lock"):
        with_python(host)
    with world.step("curl finds the JSON gateway on the same port"):
        with_curl(host)
        for _ in range(10):  # an answer before the end of the request would be lost now and then
            out = host.run(["curl", "-s", "--http2-prior-knowledge", "-d", "{}", f"{URL}/v3/kv/range"])[1]
            check("use HTTP/1.1 for JSON" in out, out)
    with world.step("a thousand watchers hear of a change") as note:
        if host.run([harness.PYTHON, "-c", "import h2"], may_fail=True)[0]:
            raise harness.Skip("python3-h2 is not installed")
        thousand_watchers(host, agent, note)
    with world.step("h2load keeps a lease alive, many times") as note:
        harness.need("h2load")
        many_keepalives(host, agent, note)
    with world.step("a watch ends when the agent does, and at once"):
        watch = host.start("watch", ["etcdctl", "--endpoints", URL, "watch", "--prefix", "/microservices/"],
                           env={"ETCDCTL_API": "3"})
        lease = ctl(host, "lease", "grant", "60").split()[1]
        ctl(host, "put", f"--lease={lease}", KEY.format("last"), value("last", 7003))
        watch.wait_line("last-1")
        agent.stop(signal.SIGTERM)
    with world.step("after a restart the key is there, and etcdctl goes on watching"):
        mark = watch.mark()
        agent = start()
        agent.wait_line("api_listening.*2379")
        wait_for("the key", lambda: "last-1" in ctl(host, "get", "/microservices/", "--prefix", "--keys-only"))
        ctl(host, "lease", "revoke", lease)
        watch.wait_line("DELETE", 20, since=mark)
        watch.kill()
        agent.stop()
    with world.step("without the module the log says so, and the JSON gateway works"):
        agent = start(env={"OUTRIDER_MODULE_PATH": "/nonexistent"})
        agent.wait_line("api_grpc_missing.*outrider-http2")
        agent.wait_line("api_listening.*2379")
        with_curl(host)


if __name__ == "__main__":
    harness.main(scenario)
