#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""etcd beyond the LAN: agents of two networks that only share an etcd server find each other's
services by DNS, and programs that know etcd alone find theirs.

No multicast reaches from one agent to the other. Judges: dig, curl's view of the API, etcdctl and
python3-etcd3.
"""

import json
import re
import shutil
import time

import harness
import liars
from harness import check, equal, wait_for

PORT = 5370
LAYOUTS = {"kratos": {}, "goframe": {}, "forge": {},
           "gozero": {"keys": ["order.rpc", "payment.order.rpc", "prod/order.rpc"]}}


class Server:
    """One etcd server without TLS."""

    def __init__(self, host):
        self.host = host
        self.url = f"http://{host.ip4}:2379"
        self.program = None

    def start(self):
        self.program = self.host.start("etcd", [
            "etcd", "--name", "s1", "--data-dir", self.host.dir / "etcd-data",
            "--listen-client-urls", self.url, "--advertise-client-urls", self.url,
            "--listen-peer-urls", "http://127.0.0.1:2380", "--initial-advertise-peer-urls", "http://127.0.0.1:2380",
            "--initial-cluster", "s1=http://127.0.0.1:2380"])
        wait_for("etcd is ready", lambda: self.ctl("endpoint", "health", may_fail=True)[0] == 0)
        return self

    def ctl(self, *words, may_fail=False):
        return self.host.run(["etcdctl", "--endpoints", self.url, *words], may_fail=may_fail,
                             env={"ETCDCTL_API": "3"})

    def keys(self):
        return sorted(line for line in self.ctl("get", "", "--from-key", "--keys-only")[1].splitlines() if line)


def scenario(world):
    liars.try_all(world, 2379, lambda url: {"etcd": {"endpoints": [url], "layouts": {"kratos": {}}}})
    if not shutil.which("etcd") or not shutil.which("etcdctl"):
        with world.step("etcd"):
            raise harness.Skip("etcd-server and etcd-client are not installed")
    a, b, c = world.host("a"), world.host("b"), world.host("c")
    server = Server(c).start()

    def agent(host, services, **more):
        one = host.agent({"services": services, "mdns": {"provider": "off"}, "lifecycle": {"drain": "0s"},
                          "dns": {"domains": ["svc", "rpc"]},
                          "registries": [{"etcd": {"endpoints": [server.url], "ttl": "5s", "layouts": LAYOUTS,
                                                   **more}}]})
        one.wait_line("source_changed.*source=etcd.*state=current")
        return one

    def answer(host, name="hello.svc", rtype="A"):
        return host.dig(name, rtype, port=PORT).data(rtype)

    first = agent(a, [{"name": "hello", "port": 8000}, {"name": "order", "port": 9000}])
    second = agent(b, [])
    with world.step("a registration is in every layout, and in the DNS of the other network") as say:
        wait_for("the other network's DNS", lambda: answer(b) == [a.ip4])
        keys = server.keys()
        for start in ("/microservices/hello/", "/service/default/default/hello/", "/services/hello/", "order.rpc/"):
            check(any(key.startswith(start) for key in keys), f"{start}: {keys}")
        value = json.loads(server.ctl("get", "/microservices/hello/", "--prefix", "--print-value-only")[1])
        check(f"http://{a.ip4}:8000" in value["endpoints"], value)
    with world.step("a service that is registered later is there within a moment") as say:
        begun = time.monotonic()
        a.outrider("register", write(a, {"name": "late", "id": "late-1", "port": 8100}))
        wait_for("late", lambda: answer(b, "late.svc") == [a.ip4])
        say(f"{1000 * (time.monotonic() - begun):.0f} ms with the commands")
    with world.step("what a program wrote with etcdctl or Python is answered, and leaves with its lease"):
        value = {"id": "k1", "name": "users", "version": "v1", "metadata": {}, "endpoints": ["http://10.9.8.7:80"]}
        server.ctl("put", "/microservices/users/k1", json.dumps(value))
        wait_for("users", lambda: answer(b, "users.svc") == ["10.9.8.7"])
        lease = server.ctl("lease", "grant", "5")[1].split()[1]
        server.ctl("put", f"--lease={lease}", f"order.rpc/{int(lease, 16)}", "10.9.8.6:8080")
        wait_for("order.rpc", lambda: "10.9.8.6" in answer(b, "order.svc"))
        said = b.outrider("why", "order")[1]
        check(re.search(rf"lease {int(lease, 16):x} with [0-5]s of 5s left", said), said)
        wait_for("its end", lambda: "10.9.8.6" not in answer(b, "order.svc"), 15)
        server.ctl("del", "/microservices/users/k1")
        wait_for("users is gone", lambda: not answer(b, "users.svc"))
    with world.step("go-zero's names with dots and slashes are names of DNS as they are written"):
        for number, name in enumerate(("payment.order.rpc", "prod/order.rpc"), 1):
            server.ctl("put", f"{name}/{number}", f"10.9.8.{number}:8080")
            wait_for(name, lambda name=name, number=number: answer(b, name) == [f"10.9.8.{number}"])
            server.ctl("del", f"{name}/{number}")
            wait_for(f"the end of {name}", lambda name=name: not answer(b, name))
    with world.step("why, instances and registries say where it comes from"):
        said = b.outrider("why", "hello")[1]
        check("etcd" in said and server.url in said, said)
        found = json.loads(b.outrider("instances", "hello", "--json")[1])
        check("etcd" in json.dumps(found), json.dumps(found))
        status, said = b.outrider("registries")
        equal(status, 0, said)
        check("current" in said and server.url in said, said)
        said = a.outrider("registries")[1]
        check(re.search(r"[0-5]s of 5s", said), said)
    with world.step("why says where an own registration is written, and who holds a key of it"):
        taken = "/microservices/taken/taken-1"
        server.ctl("put", taken, json.dumps({"id": "taken-1", "name": "taken", "endpoints": ["http://10.9.8.4:80"]}))
        a.outrider("register", write(a, {"name": "taken", "id": "taken-1", "port": 8200}))
        wait_for("it is written elsewhere", lambda: any(key.startswith("/services/taken/") for key in server.keys()))

        def why(name):
            return a.outrider("why", name)[1]

        wait_for("the conflict", lambda: "which is held by" in why("taken"))
        said = why("taken")
        check(re.search(rf"not written to etcd: {taken} on {server.url}, which is held by a program", said), said)
        check(re.search(rf"written to etcd: /services/taken/taken-1 \(lease [0-9a-f]+ with [0-5]s of 5s left, "
                        rf"revision [0-9]+\) on {server.url}", said), said)
        found = json.loads(a.outrider("instances", "taken", "--json")[1])["instances"]
        states = {place["key"]: place["state"] for one in found for place in one.get("written_to", [])}
        equal(states.get(taken), "conflict", states)
        equal(states.get("/services/taken/taken-1"), "written", states)
        check("not in etcd" in a.outrider("instances", "taken")[1], "the table of instances")
        metrics = a.run(["curl", "-sS", "--unix-socket", a.dir / "outrider/agent.sock", "http://agent/metrics"])[1]
        check(re.search(r'outrider_registry_conflicts\{[^}]*registry="etcd"[^}]*\} 1\n', metrics), metrics)
        server.ctl("del", taken)
        wait_for("the key is taken once it is free", lambda: "which is held by" not in why("taken"), 30)
        a.outrider("deregister", "taken-1")
    with world.step("nothing that was read is written"):
        check(not any("users" in key for key in server.keys()), server.keys())
        written = [key for key in server.keys() if "hello" in key]
        equal(len(written), 4, f"keys of hello: {written}")
    with world.step("the server is gone: stale answers with EDE 3, then all is as before"):
        server.program.kill()
        wait_for("stale", lambda: "EDE: 3" in b.dig("hello.svc", port=PORT).text)
        equal(answer(b), [a.ip4], "answer while the server is gone")
        said = b.outrider("doctor")[1]
        check("etcd" in said, said)
        server.start()
        wait_for("fresh", lambda: "EDE: 3" not in b.dig("hello.svc", port=PORT).text, 15)
        equal(answer(b), [a.ip4], "answer afterwards")
    with world.step("what anyone can write under a registration's id, address or key takes nothing from it"):
        key = next(key for key in server.keys() if key.startswith("/microservices/hello/"))
        own_id = key.rpartition("/")[2]

        def forge(key, one_id, name, *urls):
            server.ctl("put", key, json.dumps({"id": one_id, "name": name, "endpoints": list(urls)}))

        forge(key, own_id, "hello", "http://6.6.6.6:99")
        forge("/microservices/hello/more", own_id, "hello", "http://6.6.6.7:99")
        forge("/microservices/hello/zz", "zz", "hello", f"http://{a.ip4}:8000")
        forge("/microservices/loop/loop-1", "loop-1", "loop", f"http://{b.ip4}:8000", "http://127.0.0.7:8000",
              "http://169.254.169.254:8000")
        # Changes come in their order.
        forge("/microservices/seen/s1", "s1", "seen", "http://10.9.8.5:80")
        wait_for("the last entry", lambda: answer(b, "seen.svc") == ["10.9.8.5"])
        check("6.6.6.6" in server.ctl("get", key)[1], "the forged entry was replaced")
        equal(answer(b), [a.ip4], "one entry under the same id moved the instance")
        equal(answer(b, f"{own_id}.hello.svc"), [a.ip4], "the instance under its own name")
        equal(answer(b, "zz.hello.svc"), [a.ip4], "another id at the same address and port")
        equal(answer(b, "loop.svc"), [b.ip4], "loopback and link-local addresses were taken from etcd")
        for forged in (key, "/microservices/hello/more", "/microservices/hello/zz", "/microservices/loop/loop-1",
                       "/microservices/seen/s1"):
            server.ctl("del", forged)
        wait_for("the forged entries are gone", lambda: not answer(b, "seen.svc"))
    with world.step("a stop takes the keys back at once"):
        equal(first.stop(), 0, "exit status")
        equal([key for key in server.keys() if "hello" in key], [], "keys")
        wait_for("gone from the other network", lambda: not answer(b))
    equal(second.stop(), 0, "exit status")


def write(host, service):
    file = host.dir / f"{service['id']}.json"
    file.write_text(json.dumps(service))
    return file


if __name__ == "__main__":
    harness.main(scenario)
