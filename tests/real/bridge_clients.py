#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The bridge with clients that ask more of it: a browser's WebSocket, stream and upload, HTTP/1.0, 100 MB, readers
that stop reading, Hosts of others, services that fail, and port 80 from a process manager."""

import base64
import hashlib
import json
import os
import re

import harness
from browser import Chromium
from harness import HERE, PYTHON, check, equal

PORT = 8000
URL = "http://hello.localhost:5380"
CHECK = {"http": "/health", "interval": "300ms", "timeout": "3s", "failures_before_critical": 1}
SLOW_CHECK = {**CHECK, "interval": "10m"}  # it has not been noticed yet that the service is gone
UPLOAD_BYTES = 100_000_000
GROWS_AT_MOST_KIB = 4_096  # the agent's memory, while it passes on more than it could keep
STALLED = 10
FORMS = {"text/html": "text/html; charset=utf-8", "application/json": "application/json",
         "*/*": "text/plain; charset=utf-8"}
# Of pages that let their own name point to this host, and what only looks like a name of ours.
REBOUND = ("evil.example", "hello.localhost.evil.example", "hello.svc.evil.example", "127.0.0.1.evil.example",
           "localhost.evil.example", "evil.example:5380", "hello", "svc", "10.77.0.1", "hello.localhost@evil.example",
           "hello.svc..", ".localhost", "")
TALK = """
import base64, socket, sys
s = socket.create_connection(("127.0.0.1", 5380))
s.settimeout(5)
data = b""
for text in sys.argv[1:]:
    s.sendall(base64.b64decode(text))
    data = b""
    while not data.endswith(b"</p>\\n") and (part := s.recv(65536)):
        data += part
    sys.stdout.buffer.write(data)
"""
# Connections that ask for much, read a little, and stay.
STALL = """
import signal, socket, sys
all = []
for _ in range(int(sys.argv[1])):
    s = socket.create_connection(("127.0.0.1", 5380))
    s.sendall(b"GET /big?20000000 HTTP/1.1\\r\\nHost: hello.localhost\\r\\n\\r\\n")
    all.append(s)
for s in all:
    s.recv(1000)
print("stalled", flush=True)
signal.pause()
"""
# Binds port 80, gives up the right to bind it, and becomes the agent: what a process manager does.
ACTIVATE = """
import ctypes, os, socket, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", 80))
s.listen(128)
s.set_inheritable(True)
if s.fileno() != 3:
    os.dup2(s.fileno(), 3)
PR_CAPBSET_DROP, CAP_NET_BIND_SERVICE = 24, 10
ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_NET_BIND_SERVICE, 0, 0, 0)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "web"}
os.execv(sys.argv[1], sys.argv[1:])
"""
IN_BROWSER = """
(async () => {
  const socket = new WebSocket('ws://' + location.host + '/socket');
  const echo = new Promise((done, failed) => { socket.onmessage = (m) => done(m.data); socket.onerror = failed; });
  socket.onopen = () => socket.send('through the bridge');
  const events = new EventSource('/events');
  const third = new Promise((done) => {
    events.onmessage = (e) => { if (e.data === '3') events.close(), done(e.data); };
  });
  const upload = await fetch('/upload', { method: 'PUT', body: 'x'.repeat(1000000) });
  return [await echo, await third, await upload.text()];
})()
"""


def curl(host, *words):
    """Status, head and body; no head for those who write it elsewhere."""
    text = host.run(["curl", "-sS", "-i", "--noproxy", "*", *words], timeout=60)[1].replace("\r\n", "\n")
    while re.match(r"HTTP/1\.1 100 ", text):
        text = text.partition("\n\n")[2]
    head, _, body = text.partition("\n\n")
    return int(head.split()[1]), head, body


def talk(host, *requests):
    """The last answers of a connection, to requests that wait for each other."""
    return host.run([PYTHON, "-c", TALK, *(base64.b64encode(r.encode()).decode() for r in requests)])[1]


def in_chromium(world, c):
    with world.step("Chromium: a WebSocket echoes, events arrive one by one, an upload arrives whole"):
        with Chromium(c, 800, 600) as page:
            page.go(f"{URL}/")
            page.wait("document.querySelector('h1').innerText.startsWith('page of')")
            digest = hashlib.sha256(b"x" * 1_000_000).hexdigest()
            equal(page.evaluate(IN_BROWSER), ["through the bridge", "3", f"1000000 {digest}\n"], "what came back")


def kept(world, c):
    request = "GET /{} HTTP/1.{}\r\nHost: {}\r\n{}\r\n"
    with world.step("HTTP/1.0 with a kept connection: two requests, two answers"):
        keep = "Connection: keep-alive\r\n"
        said = talk(c, *(request.format(i, 0, "hello.localhost", keep) for i in (1, 2)))
        check(all(f"<p>/{i}</p>" in said for i in (1, 2)), said)
    with world.step("a kept connection stays with the service of its first request, as the manual says"):
        said = talk(c, request.format("1", 1, "hello.localhost", ""), request.format("2", 1, "other.localhost", ""))
        check("<p>/2</p>" in said and said.count("page of a") == 2, said)
    with world.step("curl opens another connection for another name"):
        said = c.run(["curl", "-sv", "--noproxy", "*", f"{URL}/1", "http://other.localhost:5380/2"])[1]
        check("page of a" in said and "page of b" in said and "Re-using" not in said, said)
    with world.step("a client that takes the bridge for a proxy is told that it is none"):
        status, _, body = curl(c, "-x", "http://127.0.0.1:5380", "--noproxy", "", "http://hello.svc/proxied")
        check(status == 400 and "the absolute form is for proxies" in body, body)


def much(world, c, agent):
    file = c.dir / "upload"
    with open(file, "wb") as out:
        for _ in range(UPLOAD_BYTES // 1_000_000):
            out.write(os.urandom(1_000_000))
    wanted = hashlib.sha256(file.read_bytes()).hexdigest()
    before = agent.rss_kib()
    with world.step("100 MB arrive whole, by length and in chunks, and are not kept in memory") as say:
        for words in ((), ("-H", "Transfer-Encoding: chunked")):
            equal(curl(c, *words, "-T", file, f"{URL}/upload")[2].strip(), f"{UPLOAD_BYTES} {wanted}", "digest")
        grown = agent.rss_kib() - before
        check(grown <= GROWS_AT_MOST_KIB, f"{grown} KiB more")
        say(f"{grown} KiB more")
    with world.step(f"{STALLED} readers that stop reading cost no memory, and delay nobody") as say:
        stall = c.start("stall", [PYTHON, "-c", STALL, STALLED])
        stall.wait_line("stalled")
        check("page of a" in curl(c, f"{URL}/")[2], "another reader")
        grown = agent.rss_kib() - before
        check(grown <= GROWS_AT_MOST_KIB, f"{grown} KiB more")
        say(f"{grown} KiB more")
        stall.stop()


def hosts_of_others(world, c, a_server):
    with world.step("names that a foreign page lets point to this host reach nothing"):
        since = a_server.mark()
        for host in REBOUND:
            status, head, body = curl(c, "-H", f"Host: {host}" if host else "Host;", f"{URL}/from-{host or 'nowhere'}")
            check(status in (400, 421), f"{host!r}: {head}")
            check("page of" not in body, body)
        equal([line for _, line in a_server.lines[since:] if "asked for" in line], [], "requests that came through")
    with world.step("HTTP/2 without TLS is refused with an answer"):
        status = c.run(["curl", "-sS", "--http2-prior-knowledge", "--max-time", "5", f"{URL}/"], may_fail=True)[0]
        check(status not in (0, 28), f"curl ended with {status}")


def in_each_form(c, name, status, words):
    for accept, kind in FORMS.items():
        got, head, body = curl(c, "-H", f"Accept: {accept}", f"http://{name}.localhost:5380/")
        equal(got, status, f"{name} as {accept}")
        check(f"Content-Type: {kind}\n" in head + "\n", head)
        if kind == "application/json":
            said = json.loads(body)
            equal(said.get("service"), name, "service")
            body = said["error"] + str(said["instances"])
        for word in words:
            check(word in body, f"{word!r} is not in {body!r}")


def failing(world, a, c, a_server):
    with world.step("404 as a page, as JSON and as text"):
        in_each_form(c, "helo", 404, ["Did you mean hello?"])
    with world.step("502, when the instance is gone before a check has noticed, in each form"):
        in_each_form(c, "gone", 502, ["gone-c", "refused"])
    with world.step("503 with the reason, when no instance passes, in each form"):
        a_server.stop()
        harness.wait_for("503", lambda: curl(c, f"{URL}/")[0] == 503)
        in_each_form(c, "hello", 503, ["last: hello-a left at"])
        in_each_form(c, "down", 503, ["down-c", "critical", "refused"])
        check("Retry-After: " in curl(c, f"{URL}/")[1], "when to come again")
    with world.step("it is reached again once it passes"):
        start_server(a)
        harness.wait_for("200", lambda: curl(c, f"{URL}/")[0] == 200)


def on_port_80(world, d):
    """A host whose agent has port 80 from a process manager, and no right to bind it."""
    with world.step("port 80 comes from a process manager: http://NAME.svc/ reaches a service with bridge=true"):
        config = d.dir / "web.json"
        config.write_text(json.dumps({"dns": {"listen": ["127.0.0.55:5370"]}, "web": {"listen": ["127.0.0.1:80"]}}))
        agent = d.start("agent", [PYTHON, "-c", ACTIVATE, world.outrider, "agent", "--config", config])
        agent.wait_line("web_listening.*127.0.0.1:80")
        answer = lambda: d.dig("bridged.svc", port=5370).data("A")
        harness.wait_for("the address of the bridge", lambda: answer() == ["127.0.0.1"], 30)
        where = ["--resolve", f"bridged.svc:80:{answer()[0]}"]
        check("page of a" in curl(d, *where, "http://bridged.svc/")[2], "the page of a")
        equal(d.dig("hello.svc", port=5370).data("A") == ["127.0.0.1"], False, "hello is not bridged")
        agent.stop()
    with world.step("without that socket the agent may not bind port 80, and says so"):
        agent = d.start("agent", [PYTHON, "-c", ACTIVATE.replace('"LISTEN_FDS": "1"', '"LISTEN_FDS": "0"')
                                  .replace("s.set_inheritable(True)", "s.close()").replace("!= 3", "> 3"),
                                  world.outrider, "agent", "--config", config])
        agent.wait_line("web_listen_failed.*127.0.0.1:80.*permi")
        agent.stop()


def start_server(host):
    server = host.start("server", [PYTHON, HERE / "bridge_server.py", PORT, host.name])
    server.wait_line("listening")
    return server


def scenario(world):
    harness.need("curl")
    a, b, c, d = (world.host(name) for name in "abcd")
    servers = [start_server(host) for host in (a, b)]
    a.agent({"web": {"listen": []}, "services": [
        {"name": "hello", "id": "hello-a", "port": PORT, "checks": [CHECK]},
        {"name": "bridged", "id": "bridged-a", "port": PORT, "metadata": {"bridge": "true"}}]})
    b.agent({"web": {"listen": []}, "services": [{"name": "other", "id": "other-b", "port": PORT, "checks": [CHECK]}]})
    gone = c.http_server(9000)
    agent = c.agent({"dns": {"listen": ["127.0.0.55:53"]}, "services": [
        {"name": "gone", "id": "gone-c", "port": 9000, "checks": [{**SLOW_CHECK, "http": "/"}]},
        {"name": "down", "id": "down-c", "port": 9001, "checks": [CHECK]}]})
    with world.step("the services of other hosts are known", vital=True):
        for name in ("hello", "other", "gone"):
            harness.wait_for(name, lambda: c.dig(f"{name}.svc").data("A"), 30)
    gone.stop()
    in_chromium(world, c)
    kept(world, c)
    much(world, c, agent)
    hosts_of_others(world, c, servers[0])
    failing(world, a, c, servers[0])
    on_port_80(world, d)


if __name__ == "__main__":
    harness.main(scenario)
