#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""etcd with TLS: certificates of a CA of its own, of clients too, with users on top, and everything that is wrong with
them, as `outrider registries` and `doctor` say it.

Judges: Debian's etcd and etcdctl, openssl, dig.
"""

import json
import pathlib
import shutil

import harness
from authority import Authority
from harness import check, equal, wait_for

PORT = 5370


class Server:
    """One etcd process, whose certificate is a pair of files that may be replaced."""

    def __init__(self, host, made, options=(), scheme="https"):
        self.host, self.made, self.options = host, made, list(options)
        self.url = f"{scheme}://{host.ip4}:2379"
        self.files = [host.dir / "server.pem", host.dir / "server.key"]
        self.flags = ["--cacert", made.ca[0]] if scheme == "https" else []
        if scheme == "https":
            self.options += ["--cert-file", self.files[0], "--key-file", self.files[1]]
            self.show("good", f"IP:{host.ip4},IP:127.0.0.1")
        self.program = None

    def show(self, name, san, days=2):
        """The certificate from now on; etcd reads it at each handshake."""
        for made, file in zip(self.made.signed(f"{self.host.name}-{name}", san, days), self.files):
            shutil.copy(made, file)

    def start(self, more=()):
        self.program = self.host.start("etcd", [
            "etcd", "--name", "s1", "--data-dir", self.host.dir / "etcd-data",
            "--listen-client-urls", self.url, "--advertise-client-urls", self.url,
            "--listen-peer-urls", "http://127.0.0.1:2380", "--initial-advertise-peer-urls", "http://127.0.0.1:2380",
            "--initial-cluster", "s1=http://127.0.0.1:2380", *self.options])
        self.flags += more
        self.program.wait_line("serving.*client|serving client|serving insecure client|ready to serve", 20)
        return self

    def restart(self):
        self.program.kill()
        self.start()

    def ctl(self, *words, may_fail=False):
        argv = ["etcdctl", "--endpoints", self.url, "--command-timeout", "4s", *self.flags, *words]
        return self.host.run([str(word) for word in argv], may_fail=may_fail, env={"ETCDCTL_API": "3"})


def configuration(url, services=(), tls=None, **more):
    return {"services": list(services), "mdns": {"provider": "off"}, "lifecycle": {"drain": "0s"},
            "registries": [{"etcd": {"endpoints": [url], "ttl": "5s", "layouts": {"kratos": {}}, "tls": tls, **more}}]}


def current(agent, since=0):
    agent.wait_line("source_changed.*source=etcd.*state=current", 15, since=since)
    return agent


def says(host, words):
    """Both commands, in the same words."""
    wait_for(words, lambda: words in host.outrider("registries")[1], 15)
    said = host.outrider("doctor")[1]
    check(words in said, f"doctor: {said}")


def refused(world, host, what, words, config):
    with world.step(f"{what}: registries and doctor say so") as note:
        agent = host.agent(config)
        agent.wait_line("dns_listening")
        says(host, words)
        note(words)
        equal(agent.stop(), 0, "exit status")


def mistakes(world, host):
    with world.step("files that cannot be read, and a missing module, are refused with their option") as note:
        cases = [("tls.ca_file: /nowhere.pem: No such file", {"ca_file": "/nowhere.pem"}, {}),
                 ("tls.cert_file: /: a directory, not a file", {"cert_file": "/"}, {}),
                 ("endpoints: registries with https URLs need the module", None, {"OUTRIDER_MODULE_PATH": "/nowhere"})]
        for words, tls, env in cases:
            config = host.dir / "mistake.json"
            config.write_text(json.dumps(configuration("https://10.0.0.1:2379", tls=tls)))
            for command in (["config", "check"], ["agent"]):
                status, said = host.outrider(*command, "--config", config, env=env)
                equal(status, 2, f"exit status: {said}")
                check(f"registries[0].etcd.{words}" in said, said)
            note(said.strip()[-60:])


def server_certificate(world, made, a, b, c):
    server = Server(c, made).start()
    trusted = {"ca_file": str(made.ca[0])}
    first = current(a.agent(configuration(server.url, [{"name": "hello", "port": 8000}], trusted)))
    second = current(b.agent(configuration(server.url, tls=trusted)))

    def answer():
        return b.dig("hello.svc", port=PORT).data("A")

    with world.step("a registration goes over TLS to the DNS of another network", vital=True):
        wait_for("hello", lambda: answer() == [a.ip4])
        check("https://" in b.outrider("why", "hello")[1], "why")
    with world.step("a watch stays open, and tells what etcdctl writes and deletes"):
        value = {"id": "k1", "name": "users", "version": "v1", "metadata": {}, "endpoints": ["http://10.9.8.7:80"]}
        since = second.mark()
        for _ in range(3):
            server.ctl("put", "/microservices/users/k1", json.dumps(value))
            wait_for("users", lambda: b.dig("users.svc", port=PORT).data("A") == ["10.9.8.7"])
            server.ctl("del", "/microservices/users/k1")
            wait_for("its end", lambda: not b.dig("users.svc", port=PORT).data("A"))
        check("behind" not in "\n".join(text for _, text in second.lines[since:]), second.text())
    with world.step("another certificate is taken without a word, when the server shows one"):
        server.show("renewed", f"IP:{c.ip4}")
        since = first.mark(), second.mark()
        server.restart()
        for agent, at in zip((first, second), since):
            agent.wait_line("source=etcd.*state=behind", since=at)
            current(agent, at)
        equal(answer(), [a.ip4], "answer")
    for what, san, days, words in (
            ("an expired certificate", f"IP:{c.ip4}", -1, "the certificate of the server has expired"),
            ("a certificate for another name", "DNS:other.test", 2,
             f"the certificate of the server is not for {c.ip4}; tls.server_name")):
        with world.step(f"{what} is refused; what was known is answered, and a good one is taken at once") as note:
            server.show("wrong", san, days)
            server.restart()
            says(b, words)
            equal(answer(), [a.ip4], "answer")
            check("EDE: 3" in b.dig("hello.svc", port=PORT).text, "stale")
            server.show("good", f"IP:{c.ip4},IP:127.0.0.1")
            since = second.mark()
            current(second, since)
            note(words)
    with world.step("a stop takes the keys back at once"):
        equal(first.stop(), 0, "exit status")
        wait_for("no keys", lambda: "hello" not in server.ctl("get", "--prefix", "/microservices/hello/")[1], 2)
    equal(second.stop(), 0, "exit status")
    refused(world, b, "an unknown authority",
            "the certificate of the server is not trusted (unable to get local issuer certificate)",
            configuration(server.url))
    refused(world, b, "plain HTTP to a port with TLS", "a server with TLS needs an https:// URL",
            configuration(server.url.replace("https", "http")))
    with world.step("server_name stands in for the host of the URL"):
        server.show("named", "DNS:etcd.test")
        current(b.agent(configuration(server.url, tls={**trusted, "server_name": "etcd.test"}))).stop()
    server.program.kill()


def client_certificates(world, made, a, c):
    server = Server(c, made, ["--trusted-ca-file", made.ca[0], "--client-cert-auth"])
    cert, key = made.signed("client", "DNS:client.test")
    server.start(["--cert", cert, "--key", key])
    trusted = {"ca_file": str(made.ca[0])}
    own = {**trusted, "cert_file": str(cert), "key_file": str(key)}
    hello = [{"name": "hello", "port": 8000}]
    refused(world, a, "a server that wants a client certificate",
            "the server wants a client certificate; set tls.cert_file and tls.key_file",
            configuration(server.url, hello, trusted))
    stranger = made.self_signed("stranger", "DNS:stranger.test")
    refused(world, a, "one that refuses ours", f"the server refuses the client certificate {stranger[0]}",
            configuration(server.url, hello, {**trusted, "cert_file": str(stranger[0]), "key_file": str(stranger[1])}))
    with world.step("with one it reads and writes"):
        agent = current(a.agent(configuration(server.url, hello, own)))
        wait_for("our key", lambda: "hello" in server.ctl("get", "--prefix", "/microservices/")[1])
        equal(agent.stop(), 0, "exit status")
    with world.step("and with user and password on top"):
        for words in (("user", "add", "root:r"), ("user", "grant-role", "root", "root"), ("role", "add", "fleet"),
                      ("role", "grant-permission", "fleet", "readwrite", "--prefix=true", "/microservices/"),
                      ("user", "add", "agent:secret"), ("user", "grant-role", "agent", "fleet"), ("auth", "enable")):
            server.ctl(*words)
        secret = a.dir / "password"
        secret.write_text("secret\n")
        login = {"user": "agent", "password_file": str(secret)}
        agent = a.agent(configuration(server.url, hello, own, **login))
        # etcd 3.4 has users, or common names of client certificates, but not both over its gateway.
        agent.wait_line("state=behind.*CommonName of client")
        equal(agent.stop(), 0, "exit status")
        cert, key = made.signed("nameless", "DNS:client.test", subject="/O=Agents")
        own = {**own, "cert_file": str(cert), "key_file": str(key)}
        agent = current(a.agent(configuration(server.url, hello, own, **login)))
        wait_for("our key", lambda: "hello" in server.ctl("--user", "root:r", "get", "--prefix", "/microservices/")[1])
        equal(agent.stop(), 0, "exit status")
    server.program.kill()


def plain_server(world, made, a, c):
    server = Server(c, made, scheme="http").start()
    refused(world, a, "TLS to a port without it", "one without TLS needs an http:// URL",
            configuration(server.url.replace("http", "https")))


def scenario(world):
    harness.need("etcd", "etcdctl", "openssl")
    module = pathlib.Path(world.outrider).parent.parent / "base/curl/module/outrider-curl.so"
    installed = pathlib.Path(world.outrider).parent.parent / "lib/outrider/outrider-curl.so"
    if not module.exists() and not installed.exists():
        raise harness.Skip("no libcurl when it was built")
    made = Authority(world.dir / "ca")
    hosts = [world.host(name) for name in ("a", "b", "c", "d", "e")]
    mistakes(world, hosts[0])
    server_certificate(world, made, *hosts[:3])
    client_certificates(world, made, hosts[0], hosts[3])
    plain_server(world, made, hosts[0], hosts[4])


if __name__ == "__main__":
    harness.main(scenario)
