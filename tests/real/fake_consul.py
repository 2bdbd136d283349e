#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A Consul 1.10 agent, as far as a client that registers services and follows them can tell.

It does what a real one was seen to do, on real sockets, in threads of the test; texts, headers and indexes included.

    Cluster  the servers: the catalog and its indexes
    Agent    one agent: its services, their checks, its port. `start`, `kill`, `terminate`, `pause` act on the process;
             `tokens` turns ACLs on, `mangle` decides which bytes of an answer reach the client, `requests` is what
             clients have sent

Checks other than TTL checks are accepted and never run. Sessions lock keys. There are no namespaces, no filters and no
queries of other datacenters. To try it by hand: fake_consul.py ADDRESS [PORT].
"""

import collections
import contextlib
import email.utils
import http.client
import json
import re
import signal
import socket
import sys
import threading
import time
import traceback
import urllib.parse

from fake_consul_locks import expire as expire_sessions
from fake_consul_routes import route
from fake_consul_state import Cluster, Gone, Refused

REAP_LEAST_S, REAP_EVERY_S = 60, 30
CHUNKED_BYTES = 2048  # Go sends longer bodies chunked

Request = collections.namedtuple("Request", "at method target path query headers body")


class Agent:
    """One agent on a port. Services and states of TTL checks outlive `kill` and `terminate`, as with a data directory;
    `start(fresh=True)` begins without."""

    def __init__(self, address, port=8500, node="n1", cluster=None, reap=(REAP_LEAST_S, REAP_EVERY_S)):
        self.address, self.port, self.node = address, port, node
        self.cluster = cluster or Cluster()
        self.cluster.agents[node] = self
        self.news = self.cluster.news
        self.reap_least_s, self.reap_every_s = reap
        self.services, self.checks = {}, {}  # by id
        self.tokens = None  # {token: rights of "agent", "read", "write"}, "" is who sends none; None: no ACLs
        self.says_filtered = False  # whether lists say that something was left out of them, as later versions do
        self.mangle = None  # function of a Request and the bytes of its answer: the pieces that are sent
        self.requests = []
        self.state, self.life = "down", 0
        self.paused = False
        self.blocked = 0  # queries that wait
        self._answering = 0  # requests, from their reading until their answer is sent
        self._connections = set()

    @property
    def url(self):
        return f"http://{self.address}:{self.port}"

    # --- the process ---

    def start(self, fresh=False):
        with self.news:
            if fresh:
                self.services, self.checks = {}, {}
                self.cluster.wipe()
            now = time.monotonic()
            for check in self.checks.values():
                if check.deadline and check.deadline <= now:
                    check.set("critical", "", now)
                check.begin(now)
            self.life += 1
            self.state, self.paused = "up", False
            self._listener = socket.create_server((self.address, self.port), backlog=256)
            self.cluster.sync(self)
        for run in (self._accept, self._run_timers):
            threading.Thread(target=run, args=(self.life,), daemon=True).start()
        return self

    def kill(self):
        """As by SIGKILL: connections end without an answer, new ones are refused."""
        with self.news:
            if self.state == "down":
                return
            self.state = "down"
            shut(self._listener)
            for connection in self._connections:
                shut(connection)
            self._connections.clear()
            self.news.notify_all()

    def terminate(self):
        """As by SIGTERM: blocked queries are answered with an error."""
        with self.news:
            self.state = "leaving"
            self.news.notify_all()
            self.news.wait_for(lambda: not self._answering, 2)
        self.kill()

    def pause(self, paused=True):
        """As by SIGSTOP and SIGCONT: the kernel still accepts connections and bytes."""
        with self.news:
            self.paused = paused
            self.news.notify_all()

    def drop_connections(self):
        """They end, and the agent lives on."""
        with self.news:
            for connection in self._connections:
                shut(connection)

    def _running(self, life):
        return self.life == life and self.state != "down"

    def _gate(self, life):
        """Waits while paused."""
        with self.news:
            self.news.wait_for(lambda: not self.paused or not self._running(life))
            if not self._running(life):
                raise Gone

    # --- connections ---

    def _accept(self, life):
        listener = self._listener
        while self._running(life):
            try:
                connection = listener.accept()[0]
            except OSError:
                break
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.news:
                if not self._running(life):
                    shut(connection)
                    break
                self._connections.add(connection)
            threading.Thread(target=self._serve, args=(life, connection), daemon=True).start()

    def _serve(self, life, connection):
        try:
            with connection.makefile("rb") as reader:
                while request := self._read(life, reader):
                    with self._counted():
                        if not self._answer(life, connection, request):
                            break
        except (Gone, OSError):
            pass
        except Exception:
            traceback.print_exc()  # a mistake of this file: the test shows it, and its client sees the end
        finally:
            with self.news:
                self._connections.discard(connection)
            shut(connection)

    @contextlib.contextmanager
    def _counted(self):
        with self.news:
            self._answering += 1
        try:
            yield
        finally:
            with self.news:
                self._answering -= 1
                self.news.notify_all()

    def _read(self, life, reader):
        line = reader.readline()
        self._gate(life)
        if not line.strip():
            return None
        method, target, _ = line.decode().split()
        headers = {name.lower(): value for name, value in http.client.parse_headers(reader).items()}
        body = reader.read(int(headers.get("content-length", 0)))
        path, _, query = target.partition("?")
        query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        request = Request(time.monotonic(), method, target, urllib.parse.unquote(path), query, headers, body)
        with self.news:
            self.requests.append(request)
        return request

    def _answer(self, life, connection, request):
        """False if the connection ends with it."""
        try:
            status = 200
            headers, document = route(self, life, request)
            body = b"" if document is None else json.dumps(document, separators=(",", ":")).encode()
            headers["Content-Type"] = "application/json"
        except Refused as refused:
            status, body = refused.status, refused.text.encode()
            headers = {"Content-Type": "text/plain; charset=utf-8", **refused.headers}
        self._gate(life)
        closing = self.state == "leaving" or request.headers.get("connection", "").lower() == "close"
        data = render(status, headers, body, closing)
        pieces = self.mangle(request, data) if self.mangle else [data]
        sent = 0
        for piece in pieces:
            connection.sendall(piece)
            sent += len(piece)
        return sent >= len(data) and not closing

    # --- checks ---

    def _run_timers(self, life):
        reap_at = time.monotonic() + self.reap_every_s
        with self.news:
            while self._running(life):
                now = time.monotonic()
                if not self.paused:
                    self._expire(now)
                    expire_sessions(self.cluster, now)
                    if now >= reap_at:
                        self._reap(now)
                        reap_at = now + self.reap_every_s
                dues = [check.deadline for check in self.checks.values() if check.deadline] + [reap_at]
                dues += [session.deadline for session in self.cluster.sessions.values() if session.deadline]
                self.news.wait(max(min(dues) - now, 0.001) if not self.paused else None)

    def _expire(self, now):
        for check in self.checks.values():
            if check.deadline and check.deadline <= now:
                check.deadline = None
                said = f" (last output before timeout follows): {check.output}" if check.output else ""
                check.set("critical", f"TTL expired{said}", now)
        self.cluster.sync(self)

    def _reap(self, now):
        for check in list(self.checks.values()):
            after = max(check.reap_after, self.reap_least_s)
            if check.reap_after and check.critical_since is not None and now - check.critical_since > after:
                self.remove(check.service["ID"])

    def remove(self, service_id):
        with self.news:
            self.services.pop(service_id, None)
            self.checks = {k: c for k, c in self.checks.items() if c.service["ID"] != service_id}
            self.cluster.sync(self)
            self.news.notify_all()

    # --- rights ---

    def rights(self, request):
        if self.tokens is None:
            return {"agent", "read", "write"}
        bearer = re.fullmatch(r"Bearer (.*)", request.headers.get("authorization", ""))
        token = request.query.get("token") or request.headers.get("x-consul-token") or (bearer and bearer[1]) or ""
        if token not in self.tokens and token:
            raise Refused(403, "ACL not found")
        return set(self.tokens.get(token, ()))

    def need_write(self, request, service):
        if "write" not in self.rights(request):
            raise Refused(403, f"Permission denied: Missing service:write on {service}")


def shut(connection):
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    connection.close()


def render(status, headers, body, closing):
    """The bytes of an answer, as Go writes them."""
    headers = {**headers, "Vary": "Accept-Encoding"}
    if not body:
        headers.pop("Content-Type")
    lines = [f"HTTP/1.1 {status} {http.client.responses[status]}"]
    lines += [f"{name}: {headers[name]}" for name in sorted(headers)]
    lines.append(f"Date: {email.utils.formatdate(usegmt=True)}")
    if len(body) > CHUNKED_BYTES:
        lines.append("Transfer-Encoding: chunked")
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    else:
        lines.append(f"Content-Length: {len(body)}")
    if closing:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode() + body


def main(address, port="8500"):
    ends = [signal.SIGTERM, signal.SIGINT]
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # before there are threads
    agent = Agent(address, int(port)).start()
    print(f"ready at {agent.url}", flush=True)
    signal.sigwait(ends)
    agent.terminate()


if __name__ == "__main__":
    main(*sys.argv[1:])
