# SPDX-License-Identifier: Apache-2.0
"""DNS for the scenarios: a name server of this process by script, and questions to servers, with python3-dnspython."""

import contextlib
import ctypes
import os
import socket
import struct
import threading

import harness

try:
    import dns.edns
    import dns.exception
    import dns.flags
    import dns.message
    import dns.name
    import dns.opcode
    import dns.rcode
    import dns.rdatatype
    import dns.rrset
except ModuleNotFoundError:
    dns = None  # the scenario enters its namespaces with Debian's Python, which has it

UPSTREAM_NET = "10.77.0.{}"  # on the bridge, above the hosts
SOA = "ns.upstream.test. hostmaster.upstream.test. 1 3600 600 86400"


def records(owner, ttl, rtype, *data):
    return dns.rrset.from_text(owner, ttl, "IN", rtype, *data)


def reply_to(query, rcode="NOERROR", answer=(), soa=None, kept=0):
    """The reply of a recursive server, as a message; `soa` is the owner of the SOA of a negative one, which may be kept
    so many seconds."""
    reply = dns.message.make_response(query, recursion_available=True)
    reply.set_rcode(dns.rcode.from_text(rcode))
    reply.answer.extend(answer)
    if soa is not None:
        reply.authority.append(records(soa, kept, "SOA", f"{SOA} {kept}"))
    return reply


def nxdomain(query):
    return reply_to(query, "NXDOMAIN", soa=".")


def need_dnspython():
    if dns is None:
        raise harness.Skip("python3-dnspython is not installed (tests/packages.txt)")


def start_dnsmasq(host, port, upstreams, group_file):
    """dnsmasq on 127.0.0.1, which sends to `upstreams` (as its option --server has them) and nowhere else. Where it
    finds no group that it could change to, it does not try; a user namespace would not let it."""
    harness.need("dnsmasq")
    group_file.write_text("")
    upstreams = [upstreams] if isinstance(upstreams, str) else upstreams
    server = ["--no-resolv", "--no-hosts", f"--port={port}", "--listen-address=127.0.0.1"]
    server += [f"--server={upstream}" for upstream in upstreams]
    other = ["--bind-interfaces", "--user=root", "--pid-file=", "--log-facility=-", "--conf-file=/dev/null"]
    program = host.start("dnsmasq", ["dnsmasq", "-k", *server, *other])
    program.wait_line("started")
    return program


class Server:
    """A name server on an address of the bridge. `script(query, tcp)` gives the reply: a message, octets, or None for
    silence. `asked` holds (name in lower case, type, "udp" or "tcp"). With `tcp_filtered` nothing comes back to who
    connects, as behind a firewall."""

    def __init__(self, world, number, script=lambda query, tcp: nxdomain(query), port=53, address=None,
                 tcp_filtered=False):
        self.address, self.port, self.script = address or UPSTREAM_NET.format(number), port, script
        self._tcp_filtered = tcp_filtered
        self.asked = []
        self._running = None
        need_dnspython()
        nodad = ["nodad"] if ":" in self.address else []
        harness.run(["ip", "address", "add", f"{self.address}/{64 if nodad else 24}", "dev", "lan", *nodad])
        self.start()

    def start(self):
        stop = threading.Event()
        family, at = socket.AF_INET, (self.address, self.port)
        if ":" in self.address:
            family, at = socket.AF_INET6, (*at, 0, socket.if_nametoindex("lan"))
        udp = socket.socket(family, socket.SOCK_DGRAM)
        udp.bind(at)
        tcp = socket.create_server(at, family=family, backlog=0 if self._tcp_filtered else 64)
        for sock in (udp, tcp):
            sock.settimeout(0.05)
        threads = [threading.Thread(target=self._serve_udp, args=(udp, stop), daemon=True)]
        socks = [udp, tcp]
        if self._tcp_filtered:
            # One connection that is never accepted fills the queue: the kernel drops further ones.
            socks.append(socket.create_connection(at[:2]))
        else:
            threads.append(threading.Thread(target=self._serve_tcp, args=(tcp, stop), daemon=True))
        for thread in threads:
            thread.start()
        self._running = stop, threads, socks

    def stop(self):
        """No server listens there any more: the kernel refuses."""
        stop, threads, socks = self._running
        stop.set()
        for thread in threads:
            thread.join()
        for sock in socks:
            sock.close()

    def names(self):
        return [name for name, _, _ in self.asked]

    def _answer(self, wire, tcp):
        try:
            query = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            return None
        question = query.question[0]
        asked = question.name.to_text(omit_final_dot=True).lower()
        self.asked.append((asked, dns.rdatatype.to_text(question.rdtype), "tcp" if tcp else "udp"))
        reply = self.script(query, tcp)
        return reply.to_wire(max_size=65535) if isinstance(reply, dns.message.Message) else reply

    def _serve_udp(self, sock, stop):
        while not stop.is_set():
            with contextlib.suppress(TimeoutError, ConnectionError):
                wire, client = sock.recvfrom(65535)
                if reply := self._answer(wire, False):
                    sock.sendto(reply, client)

    def _serve_tcp(self, listener, stop):
        while not stop.is_set():
            with contextlib.suppress(TimeoutError, OSError):
                sock, _ = listener.accept()
                sock.settimeout(2)
                with sock:
                    while frame := receive_frame(sock):
                        if reply := self._answer(frame, True):
                            sock.sendall(struct.pack(">H", len(reply)) + reply)


@contextlib.contextmanager
def network_of(host):
    """Sockets that this thread makes meanwhile are in the host's network."""
    clone_newnet, libc = 0x40000000, ctypes.CDLL(None, use_errno=True)

    def enter(namespace):
        harness.check(libc.setns(namespace.fileno(), clone_newnet) == 0, lambda: os.strerror(ctypes.get_errno()))

    with open("/proc/thread-self/ns/net") as here, open(f"/proc/{host._anchor.pid}/ns/net") as there:
        enter(there)
        try:
            yield
        finally:
            enter(here)


def receive_frame(sock):
    """One message of a TCP connection; nothing at its end."""
    def take(size):
        data = b""
        while len(data) < size:
            part = sock.recv(size - len(data))
            if not part:
                return b""
            data += part
        return data

    length = take(2)
    return take(struct.unpack(">H", length)[0]) if length else b""
