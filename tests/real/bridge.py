#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The bridge: http://NAME.localhost:5380/ reaches a service on another host, in curl and in Chromium.

Nothing is rewritten, so uploads, server-sent events, WebSockets, HTTP/1.0, Expect and kept connections work. What
cannot be reached says why. A rolling restart and a stopped process under 300 requests a second cost none; what they
cost HAProxy, which reads SRV records, is counted beside it.
"""

import base64
import hashlib
import json
import os
import shutil
import signal

import harness
from harness import check, equal

PORT, QUICK_PORT = 8000, 8001
RATE = 300  # requests a second, each by a new connection
BRIDGE = "127.0.0.1:5380"
BY_SRV = "127.0.0.1:5390"
HAPROXY = f"""
resolvers agent
  nameserver agent 127.0.0.55:53
  accepted_payload_size 4096
  timeout resolve 1s
  hold valid 1s
defaults
  mode http
  timeout connect 2s
  timeout client 20s
  timeout server 20s
  retries 3
  option redispatch 1
  option http-server-close
listen quick
  bind {BY_SRV}
  server-template quick 4 _quick._tcp.svc resolvers agent resolve-prefer ipv4 init-addr none
"""
URL = "http://hello.localhost:5380"
LOAD_ENDS_WITHIN_S = 30  # one request has 15 s (bridge_load.py)
# One failure decides, so that a stopped process is noticed soon, but only after a time that a busy machine never needs.
CHECK = {"http": "/health", "interval": "500ms", "timeout": "3s", "failures_before_critical": 1}
CONFIG = {
    "dns": {"ttl": "1s"},
    "web": {"listen": []},
    "services": [{"name": "hello", "port": PORT, "checks": [CHECK]},
                 {"name": "quick", "port": QUICK_PORT, "checks": [CHECK]}],
}
WS_KEY = base64.b64encode(b"0123456789abcdef").decode()
TALK = """
import base64, socket, sys
s = socket.create_connection(("127.0.0.1", 5380))
s.settimeout(5)
s.sendall(base64.b64decode(sys.argv[1]))
if sys.argv[2] == "half":
    s.shutdown(socket.SHUT_WR)
data = b""
while sys.argv[3].encode() not in data and (part := s.recv(65536)):
    data += part
if len(sys.argv) > 4:
    s.sendall(base64.b64decode(sys.argv[4]))
    data += s.recv(65536)
sys.stdout.buffer.write(data)
"""


class Instance:
    """Two services, one that does what a proxy may get wrong and one for many requests, and the agent beside them."""

    def __init__(self, host):
        self.host = host
        self.start()

    def start(self):
        self.server = self.host.start(
            "server", [harness.PYTHON, harness.HERE / "bridge_server.py", PORT, self.host.name]
        )
        self.quick = self.host.start(
            "quick", [harness.PYTHON, harness.HERE / "quick_server.py", QUICK_PORT, self.host.name]
        )
        self.server.wait_line("listening")
        self.quick.wait_line("listening")
        self.agent = self.host.agent(CONFIG)

    def restart(self):
        equal(self.agent.stop(signal.SIGTERM, deadline=30), 0, "exit status of the agent")
        self.server.stop()
        self.quick.stop()
        self.start()


def curl(host, *words, status="200"):
    _, text = host.run(["curl", "-sS", "--noproxy", "*", "-w", "\n%{http_code}", *words], may_fail=True)
    body, _, code = text.rpartition("\n")
    equal(code, status, f"status of {words[-1]}: {body[:300]}")
    return body


def talk(host, request, until, half=False, then=b""):
    """What comes back for raw octets, until it holds `until` or ends."""
    words = [base64.b64encode(request), "half" if half else "open", until]
    if then:
        words.append(base64.b64encode(then))
    return host.run([harness.PYTHON, "-c", TALK, *[w.decode() if isinstance(w, bytes) else w for w in words]])[1]


def passing_through(world, c, a):
    with world.step("curl reaches a service of another host by its name"):
        check("page of a" in curl(c, f"{URL}/x?y=z"), "the page of a")
        check("page of a" in curl(c, "--http1.0", f"{URL}/"), "HTTP/1.0")
        check("Content-Length" in curl(c, "-I", f"{URL}/"), "HEAD")
    with world.step("no header is added or changed"):
        head = curl(c, "-sD-", "-o", "/dev/null", "-H", "X-Odd: 1", f"{URL}/")
        check("X-Saw-Headers: Host,User-Agent,Accept,X-Odd" in head, head)
    with world.step("uploads arrive whole: by length, in chunks, and after 100 Continue"):
        file = c.dir / "upload"
        file.write_bytes(os.urandom(5_000_000))
        wanted = f"5000000 {hashlib.sha256(file.read_bytes()).hexdigest()}"
        for words in ([], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect: 100-continue"]):
            equal(curl(c, *words, "-T", file, f"{URL}/upload").strip(), wanted, f"digest with {words}")
    with world.step("a long answer arrives whole, to a slow reader, too"):
        equal(len(curl(c, f"{URL}/big?20000000")), 20_000_000, "octets")
        equal(len(curl(c, "--limit-rate", "8M", f"{URL}/big?6000000")), 6_000_000, "octets, slowly")
    with world.step("a kept connection serves several requests"):
        said = c.run(["curl", "-sv", "--noproxy", "*", f"{URL}/1", f"{URL}/2", f"{URL}/3"])[1]
        equal(said.count("Re-using existing connection"), 2, "connections used again")
    with world.step("server-sent events come one by one, and the server hears that the reader left"):
        since = a.server.mark()
        got = talk(c, b"GET /events HTTP/1.1\r\nHost: hello.localhost\r\n\r\n", "data: 3")
        check("data: 1\n\ndata: 2\n\n" in got, got)
        a.server.wait_line("reader left", since=since)
    with world.step("a WebSocket echoes"):
        request = (
            "GET /socket HTTP/1.1\r\nHost: hello.localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {WS_KEY}\r\n\r\n"
        )
        got = talk(c, request.encode(), "\r\n\r\n", then=b"\x81\x82\0\0\0\0hi")
        check("101 Switching" in got and got.endswith("hi"), got)
    with world.step("a client that ends its side first gets its answer"):
        got = talk(c, b"GET /slow HTTP/1.1\r\nHost: hello.localhost\r\nConnection: close\r\n\r\n", "</p>", half=True)
        check("page of a" in got, got)


def refusals(world, c):
    with world.step("what cannot be reached says why"):
        check("Did you mean hello?" in curl(c, "http://helo.localhost:5380/", status="404"), "the near name")
        said = json.loads(curl(c, "-H", "Accept: application/json", "http://nothing.localhost:5380/", status="404"))
        check("Nothing is known of nothing" in said["error"], said)
        check("<h1>" in curl(c, "-H", "Accept: text/html", "http://nothing.localhost:5380/", status="404"), "a page")
        curl(c, "-H", "Host: evil.example", f"http://{BRIDGE}/", status="421")
    with world.step("localhost is the agent itself"):
        check('"ready"' in curl(c, "http://localhost:5380/v1/outrider/status"), "status")
        page = curl(c, "-H", "Accept: text/html", "http://localhost:5380/")
        check("<html" in page and "hello" in page, page[:300])
        curl(c, "-X", "PUT", f"http://{BRIDGE}/v1/agent/service/maintenance/x?enable=true", status="403")


def in_chromium(world, c):
    with world.step("Chromium opens the page by its name"):
        if not shutil.which("chromium"):
            raise harness.Skip("chromium is not installed (tests/packages-optional.txt)")
        words = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={c.dir}/chromium"]
        _, page = c.run([*words, "--virtual-time-budget=3000", "--dump-dom", f"{URL}/from-chromium"], timeout=60)
        check("<h1>page of a</h1>" in page or "<h1>page of b</h1>" in page, page[-600:])


def in_firefox(world, c, instances):
    with world.step("Firefox opens the page by its name"):
        if not shutil.which("firefox-esr"):
            raise harness.Skip("firefox-esr is not installed (tests/packages-optional.txt)")
        since = [instance.server.mark() for instance in instances]
        profile, picture = c.dir / "firefox", c.dir / "firefox.png"
        profile.mkdir()
        words = ["firefox-esr", "--headless", "--no-remote", "--profile", profile, "--screenshot", picture]
        c.run([*words, f"{URL}/from-firefox"], timeout=90, env={"HOME": str(profile)})
        said = [line for one, at in zip(instances, since) for _, line in one.server.lines[at:]]
        check(any("/from-firefox by" in line and "Firefox/" in line for line in said), said)
        check(picture.stat().st_size > 0, "a picture")


def by_server_name(world, c):
    with world.step("TLS passes through by its server name, and an unknown one gets an alert"):
        said = c.run(["openssl", "s_client", "-connect", "127.0.0.1:5443", "-servername", "nothing.svc"], may_fail=True)
        check("unrecognized name" in said[1], said[1][-400:])
        where = ["--resolve", "secure.svc:5443:127.0.0.1", "https://secure.svc:5443/index"]
        said = c.run(["curl", "-sk", "--noproxy", "*", *where])
        check("over TLS" in said[1], said)


def on_port_80(world, c):
    with world.step("with port 80, a plain URL works by way of the system's resolver"):
        equal(c.dig("hello.svc").data("A"), ["127.0.0.1"], "address of hello.svc")
        check("page of a" in curl(c, "http://hello.svc/"), "the page of a")


def srv_consumer(c):
    """HAProxy, which takes its servers from the SRV records: what a consumer of DNS makes of the same changes."""
    if not shutil.which("haproxy", path="/usr/sbin:/usr/bin"):
        return None
    (c.dir / "haproxy.cfg").write_text(HAPROXY)
    haproxy = c.start("haproxy", ["/usr/sbin/haproxy", "-db", "-f", c.dir / "haproxy.cfg"])
    harness.wait_for("HAProxy serves", lambda: "page of" in c.run(["curl", "-s", f"http://{BY_SRV}/"], True)[1], 30)
    return haproxy


def start_load(c, name, address):
    host, _, port = address.partition(":")
    load = c.start(name, [harness.PYTHON, harness.HERE / "bridge_load.py", host, port, "quick.localhost", RATE])
    load.wait_line("begun")
    return load


def failures(load, since):
    return sum(line.startswith("failure") for _, line in load.lines[since:])


def under_load(world, c, instances):
    loads = {"bridge": start_load(c, "load", BRIDGE)}
    if srv_consumer(c):
        loads["HAProxy by SRV"] = start_load(c, "load by SRV", BY_SRV)

    def count(say, marks):
        for name, load in loads.items():
            say(f"{name}: {failures(load, marks[name])} failed")
        text = loads["bridge"].text()[:800]
        equal(failures(loads["bridge"], marks["bridge"]), 0, f"failures through the bridge: {text}")

    with world.step(f"{RATE} requests a second through a rolling restart: none fails") as say:
        marks = {name: load.mark() for name, load in loads.items()}
        for instance in instances:
            instance.restart()
            harness.wait_for("both instances serve", lambda: both_answer(c), 30)
        count(say, marks)
    with world.step(f"{RATE} requests a second, and a process that is stopped: none fails") as say:
        marks = {name: load.mark() for name, load in loads.items()}
        instances[0].quick.send(signal.SIGSTOP)
        harness.wait_for("one instance is left", lambda: answers(c, "quick") == 1, 30)
        instances[0].quick.send(signal.SIGCONT)
        harness.wait_for("both instances serve", lambda: both_answer(c), 30)
        for load in loads.values():
            load.send(signal.SIGTERM)
        for load in loads.values():
            load.wait(deadline=LOAD_ENDS_WITHIN_S)
        count(say, marks)
        for name, load in loads.items():
            said = json.loads(load.lines[-1][1])
            say(f"{name}: {said['tries']} requests in {said['seconds']:.1f} s, slowest {said['slowest']:.1f} s")
            equal(len(said["served"]), 2, f"instances that served through {name}")
        said = json.loads(loads["bridge"].lines[-1][1])
        equal(said["failures"], 0, f"failures: {loads['bridge'].text()[:800]}")


def answers(c, service):
    """The address is the bridge's: instances differ by their SRV records."""
    return len(c.dig(f"{service}.svc", "SRV").data("SRV"))


def both_answer(c):
    return answers(c, "hello") == answers(c, "quick") == 2


def scenario(world):
    harness.need("curl", "openssl")
    a, b, c = world.host("a"), world.host("b"), world.host("c")
    first = Instance(a)
    web = {"listen": ["127.0.0.1:5380", "127.0.0.1:80"], "tls_listen": "127.0.0.1:5443", "names": ["hello"]}
    tls = {"name": "secure", "port": 8443, "scope": "host"}
    pem = c.dir / "pem"
    c.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
           "-subj", "/CN=secure.svc", "-keyout", pem, "-out", f"{pem}.crt"])
    command = ["openssl", "s_server", "-accept", "8443", "-cert", f"{pem}.crt", "-key", pem, "-WWW"]
    secure = c.start("s_server", command, cwd=c.dir)
    (c.dir / "index").write_text("over TLS\n")
    secure.wait_line("ACCEPT")
    agent = c.agent(
        {"dns": {"listen": ["127.0.0.55:53"], "ttl": "1s"}, "web": web, "services": [tls]}
    )
    with world.step("the bridge is open, and the service is there", vital=True):
        agent.wait_line("web_listening.*127.0.0.1:5380")
        harness.wait_for("hello.svc", lambda: answers(c, "hello") == 1, 30)
    passing_through(world, c, first)
    refusals(world, c)
    by_server_name(world, c)
    on_port_80(world, c)
    second = Instance(b)
    harness.wait_for("both instances", lambda: both_answer(c), 30)
    under_load(world, c, [first, second])
    in_chromium(world, c)
    in_firefox(world, c, [first, second])


if __name__ == "__main__":
    harness.main(scenario)
