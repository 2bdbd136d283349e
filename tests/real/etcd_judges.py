#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What three other clients of etcd write, the agent answers in DNS; what the agent has written, they read.

Judges: etcd's own Go client (the library of Kratos, GoFrame and go-zero), python3-etcd3 and etcdctl, each in the
layouts of Kratos, GoFrame, go-zero and Forge.
"""

import json
import os
import pathlib
import shutil
import subprocess

import harness
from etcd_agent import PORT, Server
from harness import check, equal, wait_for

JUDGES = {"go": "10.9.1.1", "python": "10.9.2.1", "etcdctl": "10.9.3.1"}
LAYOUTS = {"kratos": {}, "goframe": {}, "forge": {},
           "gozero": {"keys": ["user-service.rpc", *(f"{name}.rpc" for name in JUDGES)]}}
GOPATH = pathlib.Path("/usr/share/gocode")
# Without a word about frameworks: pairs come as JSON, and leave with the lease at SIGTERM.
PYTHON_WRITE = """
import etcd3, json, signal, sys
client = etcd3.client(host=sys.argv[1])
lease = client.lease(15)
for key, value in json.loads(sys.argv[2]).items(): client.put(key, value, lease)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("written", flush=True)
signal.sigwait([signal.SIGTERM])
lease.revoke()
"""
PYTHON_READ = """
import etcd3, json, sys
print(json.dumps({meta.key.decode(): value.decode() for value, meta in etcd3.client(host=sys.argv[1]).get_all()}))
"""


def pairs(name, ip):
    """One instance in each layout."""
    kratos = {"id": "k1", "name": f"{name}-kratos", "version": "v1", "metadata": None, "endpoints": [f"http://{ip}:80"]}
    forge = {"id": "f1", "name": f"{name}-forge", "version": "1", "address": ip, "port": 82, "status": "passing"}
    forge |= {"last_heartbeat": 1795896038, "tags": None}
    return {f"/microservices/{name}-kratos/k1": json.dumps(kratos),
            f"/service/default/default/{name}-goframe/latest/{ip}:81": '{"protocol":"http","insecure":true}',
            f"/services/{name}-forge/f1": json.dumps(forge),
            f"{name}.rpc/7587883212297104659": f"{ip}:83"}


def endpoints(found, service):
    """Of a service in what a judge has read, as the Go program prints them."""
    lines = []
    for key, value in sorted(found.items()):
        if key.startswith(f"/microservices/{service}/"):
            lines.append("kratos " + " ".join(json.loads(value)["endpoints"]))
        elif key.startswith(f"/service/default/default/{service}/latest/"):
            lines.append(f"goframe {json.loads(value)['protocol']}://{key.rsplit('/', 1)[1]}")
        elif key.startswith(f"/services/{service}/"):
            lines.append("forge {status} {address}:{port}".format(**json.loads(value)))
        elif key.startswith(f"{service}.rpc/"):
            lines.append(f"gozero {value}")
    return lines


class Go:
    def __init__(self, world, host, server):
        if not shutil.which("go") or not (GOPATH / "src/go.etcd.io/etcd/clientv3").exists():
            raise harness.Skip("golang-go or golang-etcd-server-dev is not installed (tests/packages.txt)")
        self.host, self.url, self.program = host, server.url, world.dir / "etcd_client"
        cache = pathlib.Path(os.environ.get("GOCACHE", pathlib.Path.home() / ".cache/go-build"))
        subprocess.run(["go", "build", "-o", str(self.program), str(harness.HERE / "etcd_client.go")], check=True,
                       env={**os.environ, "GO111MODULE": "off", "GOPATH": str(GOPATH), "GOCACHE": str(cache)})

    def write(self, ip):
        program = self.host.start("etcd_client", [self.program, "write", self.url, ip])
        program.wait_line("^written$")
        return program.stop

    def read(self, service):
        return self.host.run([self.program, "read", self.url, service])[1].splitlines()


class Python:
    def __init__(self, _, host, server):
        if harness.run([harness.PYTHON, "-c", "import etcd3"], may_fail=True)[0] != 0:
            raise harness.Skip("python3-etcd3 is not installed (tests/packages.txt)")
        self.host, self.ip = host, server.host.ip4

    def write(self, ip):
        argv = [harness.PYTHON, "-c", PYTHON_WRITE, self.ip, json.dumps(pairs("python", ip))]
        program = self.host.start("python3-etcd3", argv)
        program.wait_line("^written$")
        return program.stop

    def read(self, service):
        return endpoints(json.loads(self.host.run([harness.PYTHON, "-c", PYTHON_READ, self.ip])[1]), service)


class Etcdctl:
    def __init__(self, _, __, server):
        self.server = server

    def write(self, ip):
        lease = self.server.ctl("lease", "grant", "15")[1].split()[1]
        for key, value in pairs("etcdctl", ip).items():
            self.server.ctl("put", f"--lease={lease}", key, value)
        return lambda: self.server.ctl("lease", "revoke", lease)

    def read(self, service):
        lines = self.server.ctl("get", "", "--from-key")[1].splitlines()
        return endpoints(dict(zip(lines[::2], lines[1::2])), service)


def scenario(world):
    harness.need("etcd", "etcdctl")
    a, b, c = world.host("a"), world.host("b"), world.host("c")
    server = Server(c).start()
    for host, services in ((a, [{"name": "user-service", "id": "u1", "port": 8000}]), (b, [])):
        agent = host.agent({"services": services, "mdns": {"provider": "off"}, "lifecycle": {"drain": "0s"},
                            "registries": [{"etcd": {"endpoints": [server.url], "layouts": LAYOUTS}}]})
        agent.wait_line("source_changed.*source=etcd.*state=current")

    def answers(name, number):
        reply = b.dig(f"{name}.svc", "SRV", port=PORT)
        return [(data.split()[2], address) for data in reply.data("SRV")
                for address in reply.data("A", "ADDITIONAL")] if number else reply.data("SRV")

    for (name, ip), judge_type in zip(JUDGES.items(), (Go, Python, Etcdctl)):
        wanted = {f"{name}-kratos": "80", f"{name}-goframe": "81", f"{name}-forge": "82", name: "83"}
        judge = revoke = None
        with world.step(f"what {name} writes in four layouts is answered in DNS, with address and port") as say:
            judge = judge_type(world, b, server)
            revoke = judge.write(ip)
            for service, port in wanted.items():
                got = wait_for(service, lambda: answers(service, True))  # noqa: B023
                equal(got, [(port, ip)], service)
            say(", ".join(wanted))
        if revoke is None:
            continue
        with world.step(f"and leaves with the lease that {name} revokes"):
            revoke()
            for service in wanted:
                wait_for(f"{service} is gone", lambda: not answers(service, False))  # noqa: B023
        with world.step(f"what the agent has written, {name} reads in four layouts"):
            got = sorted(judge.read("user-service"))
            equal(got, [f"forge passing {a.ip4}:8000", f"goframe http://{a.ip4}:8000", f"gozero {a.ip4}:8000",
                        f"kratos http://{a.ip4}:8000 http://[{a.ip6}]:8000"], "endpoints")
    with world.step("the values of one framework are no entries of another one"):
        check("etcd" in b.outrider("why", "user-service")[1], "why does not name etcd")
        found = json.loads(b.outrider("instances", "user-service", "--json")[1])
        equal(len(found["instances"] if isinstance(found, dict) else found), 1, "instances of user-service")


if __name__ == "__main__":
    harness.main(scenario)
