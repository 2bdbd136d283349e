#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Probes against real servers: HTTPS with a CA of its own and every sort of wrong certificate, gRPC
servers by the gRPC C core and by grpc-js, nginx, and servers that misbehave over real sockets."""

import json
import os
import pathlib
import shutil

import harness
from authority import Authority
from harness import HERE, PYTHON, Skip, equal, check

NODE_MODULES = ("@grpc/grpc-js", "grpc-health-check")


def prober(world, host):
    program = pathlib.Path(world.outrider).parent.parent / "tests/real/probe_once"
    if not program.exists():
        raise Skip(f"{program} is not built")

    def probe(kind, target, **words):
        given = [f"{key}={value}" for key, value in words.items()]
        environment = {"http_proxy": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1"}
        _, said = host.run([program, kind, target, *given], may_fail=True, env=environment)
        return said.strip()

    return probe


def expect(world, what, said, wanted):
    with world.step(what) as note:
        first = said() if callable(said) else said
        check(wanted in first, f"got {first!r}, wanted {wanted!r}")
        note(first.splitlines()[0][:90])


def https(world, host, probe):
    made = Authority(world.dir / "ca")
    ca = made.ca[0]

    def server(port, pair, *more):
        argv = [PYTHON, HERE / "tls_server.py", port, *pair, *more]
        host.start(f"tls-{port}", argv).wait_line("^listening$")

    server(4430, made.signed("good", "DNS:app.test,IP:127.0.0.1"))
    server(4431, made.signed("expired", "IP:127.0.0.1", days=-1))
    server(4432, made.signed("other", "DNS:other.test"))
    server(4433, made.self_signed("self", "IP:127.0.0.1"))
    server(4434, made.signed("strict", "IP:127.0.0.1"), ca)
    client_cert, client_key = made.signed("client", "DNS:client.test")

    def step(what, wanted, port=4430, **words):
        expect(world, f"https: {what}", lambda: probe("https", f"127.0.0.1:{port}", **words), wanted)

    step("a certificate of our CA", "pass 200 HTTP 200: ok 127.0.0.1:4430", ca=ca)
    step("by name", "pass 200 HTTP 200: ok 127.0.0.1:4430", ca=ca, name="app.test")
    step("the name from the Host header", "pass 200 HTTP 200: ok app.test", ca=ca, host="app.test")
    step("identity and body", "pass", ca=ca, expect_header="X-Service: hello", expect_body="ok")
    step("wrong identity", "fail_identity", ca=ca, expect_header="X-Service: other")
    step("POST with a body", "pass", ca=ca, method="POST", body="{}")
    step("redirects are not followed", "fail_status 302", ca=ca, path="/moved")
    step("an unknown CA", "fail_tls 0 SSL certificate problem: unable to get local issuer")
    step("expired", "fail_tls 0 SSL certificate problem: certificate has expired", 4431, ca=ca)
    step("a wrong name", "fail_tls 0 SSL: no alternative certificate subject name", 4432, ca=ca)
    step("a wrong name, asked for by name", "fail_tls", 4430, ca=ca, name="other.test")
    step("self-signed", "fail_tls 0 SSL certificate problem: self-signed", 4433, ca=ca)
    step("self-signed, not verified", "pass 200", 4433, verify="no")
    # In TLS 1.3 the refusal comes after the handshake, as an alert or as a closed connection.
    step("no client certificate", "fail_", 4434, ca=ca)
    step("a client certificate", "pass 200 HTTP 200: client", 4434, ca=ca, cert=client_cert,
         key=client_key)
    step("a CA file that is not there", "fail_tls", 4430, ca="/nowhere.pem")
    step("no listener", "fail_refused", 4439, ca=ca)
    three = {"ca": ca, "reuse": "yes", "count": 3}
    with world.step("https: a kept connection, three times"):
        equal(probe("https", "127.0.0.1:4430", **three).count("pass 200"), 3, "passes")


def grpc_steps(world, server, probe, target):
    def step(what, wanted, service=""):
        expect(world, f"{server}: {what}", lambda: probe("grpc", target, service=service), wanted)

    step("the server itself", "pass 1 SERVING")
    step("a service", "pass 1 SERVING", "orders")
    step("a service that does not serve", "fail_status 2 NOT_SERVING", "stock")
    step("an unknown service", "fail_status 0 grpc-status 5", "nobody")
    with world.step(f"{server}: five probes, each on a connection of its own"):
        equal(probe("grpc", target, count=5).count("pass 1 SERVING"), 5, "passes")


def grpc(world, host, probe):
    with world.step("gRPC: the C core's server"):
        if host.run([PYTHON, "-c", "import grpc"], may_fail=True)[0] != 0:
            raise Skip("python3-grpcio is not installed (tests/packages.txt)")
        server = host.start("grpc", [PYTHON, HERE / "grpc_server.py", 5000])
        server.wait_line("^listening$")
        made = Authority(world.dir / "grpc-ca")
        pair = made.signed("grpc", "DNS:app.test,IP:127.0.0.1")
        host.start("grpcs", [PYTHON, HERE / "grpc_server.py", 5010, *pair]).wait_line("^listening$")
        strict = [PYTHON, HERE / "grpc_server.py", 5012, *pair, made.ca[0]]
        host.start("grpcs-strict", strict).wait_line("^listening$")
        cert, key = made.signed("client", "DNS:client.test")
        with_ca = {"ca": made.ca[0], "name": "app.test"}
        grpc_steps(world, "gRPC", probe, "127.0.0.1:5000")
        expect(world, "gRPC: over a Unix socket", lambda: probe("grpc", "/run/grpc.sock"), "pass 1")
        expect(world, "gRPC: a server without health checks",
               lambda: probe("grpc", "127.0.0.1:5001"), "fail_status 0 grpc-status 12")
        expect(world, "gRPC: over TLS",
               lambda: probe("grpcs", "127.0.0.1:5010", **with_ca), "pass 1")
        expect(world, "gRPC: over TLS, no client certificate",
               lambda: probe("grpcs", "127.0.0.1:5012", **with_ca), "fail_")
        expect(world, "gRPC: over TLS, a client certificate",
               lambda: probe("grpcs", "127.0.0.1:5012", cert=cert, key=key, **with_ca), "pass 1")
        expect(world, "gRPC: over TLS, an unknown CA",
               lambda: probe("grpcs", "127.0.0.1:5010"), "fail_tls")
        expect(world, "gRPC: to an HTTP/1 server",
               lambda: probe("grpc", "127.0.0.1:8000"), "fail_protocol")
        expect(world, "HTTP: to a gRPC server",
               lambda: probe("http", "127.0.0.1:5000"), "fail_protocol")

    with world.step("gRPC: grpc-js"):
        roots = [root for root in os.environ.get("NODE_PATH", "").split(":") if root]
        roots.append(str(harness.TOP / "build/npm/node_modules"))
        found = next((root for root in roots
                      if all((pathlib.Path(root) / name).is_dir() for name in NODE_MODULES)), None)
        if not shutil.which("node") or not found:
            raise Skip("no grpc-js: tests/real/run installs it where npm and its registry are")
        server = host.start("grpc-js", ["node", HERE / "grpc_server.js", 5020],
                            env={"NODE_PATH": found})
        server.wait_line("^listening$")
        grpc_steps(world, "grpc-js", probe, "127.0.0.1:5020")


NGINX = """
user root; daemon off; master_process off; pid {dir}/pid; error_log stderr crit;
events {{ worker_connections 64; }}
http {{
  access_log off; keepalive_requests 2;
  client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir};
  uwsgi_temp_path {dir}; scgi_temp_path {dir};
  server {{
    listen 8090; listen unix:/run/nginx.sock;
    location = /ok {{ return 200 "ok\\n"; }}
    location = /busy {{ return 429; }}
    location = /down {{ return 503 "no database\\n"; }}
    location = /host {{ return 200 $http_host; }}
  }}
}}
"""


def nginx(world, host, probe):
    if not shutil.which("nginx", path=host.env["PATH"]):
        with world.step("nginx"):
            raise Skip("nginx is not installed")
        return
    with world.step("nginx listens"):
        folder = host.dir / "nginx"
        folder.mkdir()
        (folder / "conf").write_text(NGINX.format(dir=folder))
        host.start("nginx", ["nginx", "-e", "stderr", "-c", folder / "conf"])
        harness.wait_for("nginx listens", lambda: probe("tcp", "127.0.0.1:8090").startswith("pass"))

    def step(what, wanted, target="127.0.0.1:8090", **words):
        expect(world, f"nginx: {what}", lambda: probe("http", target, **words), wanted)

    step("200", "pass 200 HTTP 200: ok", path="/ok")
    step("429", "warn 429", path="/busy")
    step("503", "fail_status 503 HTTP 503: no database", path="/down")
    step("Host", "pass 200 HTTP 200: app.test", path="/host", host="app.test")
    step("HEAD", "pass 200 HTTP 200", path="/ok", method="HEAD")
    step("over a Unix socket", "pass 200", target="/run/nginx.sock", path="/ok")
    with world.step("nginx: kept connections, which it closes after every second request"):
        said = probe("http", "127.0.0.1:8090", path="/ok", reuse="yes", count=7)
        equal(said.count("pass 200"), 7, "passes")


MISBEHAVING = r"""
import socket, struct, sys, threading, time
RESET = struct.pack("ii", 1, 0)
HEAD = b"HTTP/1.1 200 OK\r\n"
def reset(c): c.recv(100); c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET); c.close()
def half(c): c.recv(4096); c.sendall(HEAD); c.shutdown(socket.SHUT_WR); time.sleep(9)
def drip(c):
    c.recv(4096)
    for octet in HEAD * 99: c.sendall(bytes([octet])); time.sleep(0.05)
def endless(c):
    c.recv(4096); c.sendall(HEAD + b"\r\n")
    while True: c.sendall(b"x" * 65536)
def chunks(c):
    c.recv(4096); c.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while True: c.sendall(b"1;" + b"e" * 60000)
def ssh(c): c.sendall(b"SSH-2.0-OpenSSH_9.2\r\n"); time.sleep(9)
def silent(c): time.sleep(9)
kinds = [reset, half, drip, endless, chunks, ssh, silent]
def guard(kind, c):
    try: kind(c)
    except OSError: pass
def serve(kind, port):
    s = socket.create_server(("127.0.0.1", port))
    while True: threading.Thread(target=guard, args=(kind, s.accept()[0]), daemon=True).start()
for n, kind in enumerate(kinds):
    threading.Thread(target=serve, args=(kind, 6000 + n), daemon=True).start()
full = socket.socket(); full.bind(("127.0.0.1", 6100)); full.listen(0)
fill = [socket.socket() for _ in range(4)]
for s in fill: s.setblocking(False); s.connect_ex(("127.0.0.1", 6100))
time.sleep(0.2); print("listening", flush=True); time.sleep(600)
"""


def trouble(world, host, probe):
    host.start("trouble", [PYTHON, "-c", MISBEHAVING]).wait_line("^listening$")

    def step(what, wanted, port, **words):
        words.setdefault("timeout", 400)
        expect(world, f"trouble: {what}", lambda: probe("http", f"127.0.0.1:{port}", **words), wanted)

    step("refused", "fail_refused", 6099)
    step("reset", "fail_reset", 6000)
    step("half an answer, then the end", "fail_protocol", 6001)
    step("a slow drip", "fail_timeout", 6002)
    step("an endless body", "pass 200", 6003)
    step("an endless chunk extension", "fail_protocol", 6004)
    step("another protocol", "fail_protocol", 6005)
    step("accepts, and says nothing", "fail_timeout 0 timeout: connected, no answer", 6006)
    step("a black hole", "fail_timeout 0 timeout: no connection", 6100)
    with world.step("trouble: the same over libcurl ends within the timeout too"):
        for port in (6000, 6001, 6002, 6003, 6005, 6006, 6100):
            said = probe("https", f"127.0.0.1:{port}", timeout=400)
            check(said.startswith("fail_"), f"{port}: {said}")


def without_module(world, host):
    """Its absence is a mistake of the configuration, told before anything is started."""
    for kind, check_of in (("http", {"http": "/", "tls": {}}), ("grpc", {"grpc": ""})):
        with world.step(f"without the module a {kind} check that needs it is refused: exit status 2") as note:
            config = host.dir / f"needs-module-{kind}.json"
            plain = {"name": "plain", "port": 1, "checks": [{"tcp": "auto"}]}
            config.write_text(json.dumps(
                {"services": [plain, {"name": "web", "port": 1, "checks": [check_of]}]}))
            for command in (["config", "check"], ["agent"]):
                status, said = host.outrider(*command, "--config", config,
                                             env={"OUTRIDER_MODULE_PATH": "/nowhere"})
                equal(status, 2, f"exit status of {command}")
                check(f"services[1].checks[0].{kind}: " in said and "outrider-curl" in said, said)
            note(said.strip()[:90])


def scenario(world):
    host = world.host("a")
    probe = prober(world, host)
    without_module(world, host)
    host.http_server(8000)
    with world.step("HTTP: python3 -m http.server, which speaks HTTP/1.0"):
        equal(probe("http", "127.0.0.1:8000")[:8], "pass 200", "outcome")
    nginx(world, host, probe)
    trouble(world, host, probe)
    if "needs the module" in probe("https", "127.0.0.1:4430") or not shutil.which("openssl"):
        with world.step("https and gRPC"):
            raise Skip("no libcurl when it was built, or no openssl")
        return
    https(world, host, probe)
    grpc(world, host, probe)


if __name__ == "__main__":
    harness.main(scenario)
