#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 and gRPC with other people's clients: curl, nghttp, h2load, and Python's grpcio. The server is grpc_peer."""

import pathlib
import re
import subprocess

import harness

PORT = 2379
URL = f"http://127.0.0.1:{PORT}"
ECHO = f"{URL}/outrider.test.Peer/Echo"
# A unary message "hello" with its prefix.
MESSAGE = b"\0\0\0\0\5hello"
HEADERS = ("content-type: application/grpc", "te: trailers")

# Each call of grpcio in a program of its own: its threads do not survive a fork.
GRPCIO = """
import sys, threading, grpc
channel = grpc.insecure_channel("127.0.0.1:%d")
same = lambda octets: octets
unary = lambda name: channel.unary_unary("/outrider.test.Peer/" + name, same, same)
stream = lambda name: channel.stream_stream("/outrider.test.Peer/" + name, same, same)
def refused(call, *arguments, **options):
    try:
        call(*arguments, **options)
    except grpc.RpcError as error:
        return error.code().name + " " + error.details()
    return "not refused"
""" % PORT


def grpcio(host, program):
    return host.run([harness.PYTHON, "-c", GRPCIO + program], timeout=30)[1].strip()


def with_curl(host):
    got = host.run(["curl", "-s", f"{URL}/x"])[1]
    harness.equal(got, "HTTP/1.1 /x\n", "HTTP/1.1 on the same port")
    message = host.dir / "message"
    message.write_bytes(MESSAGE)
    argv = ["curl", "-s", "--http2-prior-knowledge", "-D", "-", "-o", host.dir / "answer"]
    argv += ["--data-binary", f"@{message}", *(word for header in HEADERS for word in ("-H", header))]
    heads = host.run([*argv, ECHO])[1]
    harness.check(heads.startswith("HTTP/2 200") and "grpc-status: 0" in heads, f"curl got {heads!r}")
    harness.equal((host.dir / "answer").read_bytes(), MESSAGE, "the message")
    got = host.run(["curl", "-s", "--http2-prior-knowledge", "-w", "%{http_code}", f"{URL}/health"])[1]
    harness.check(got.endswith("415") and "HTTP/1.1" in got, f"what is not gRPC: {got!r}")


def with_nghttp(host):
    out = host.run(["nghttp", "-nv", "-d", host.dir / "message", *(f"-H{header}" for header in HEADERS), ECHO])[1]
    plain = re.sub(r"\x1b\[[0-9;]*m", "", out)
    harness.check("grpc-status: 0" in plain, f"nghttp got {plain}")
    harness.check("recv GOAWAY" not in plain, "nghttp was told to go away")


def with_grpcio(host):
    got = grpcio(host, 'print(unary("Echo")(b"x" * 500000) == b"x" * 500000)')
    harness.equal(got, "True", "an echo of 500 kB")
    got = grpcio(host, 'print(refused(unary("Fail"), b"")); print(refused(unary("No"), b""))')
    harness.equal(got.splitlines(), ["PERMISSION_DENIED not allowed, and 100 % sure",
                                     "UNIMPLEMENTED not here: /outrider.test.Peer/No"], "statuses")
    got = grpcio(host, 'print(refused(unary("Echo"), b"x" * 1100000))')
    harness.check(got.startswith("RESOURCE_EXHAUSTED"), f"a long message: {got}")
    got = grpcio(host, 'print(refused(unary("Echo"), b"x" * 5000, compression=grpc.Compression.Gzip))')
    harness.check(got.startswith("UNIMPLEMENTED compressed"), f"a compressed message: {got}")
    got = grpcio(host, 'print(len(list(stream("Chat")(iter([b"m"] * 3000)))))')
    harness.equal(got, "3000", "messages of a stream")
    got = grpcio(host, 'call = stream("Pour")(iter([b""]), timeout=1)\n'
                       "count = 0\n"
                       "try:\n    for _ in call: count += 1\n"
                       "except grpc.RpcError as error: print(error.code().name, count > 1000)")
    harness.equal(got, "DEADLINE_EXCEEDED True", "a stream that ends by its deadline")


def rate(host, words):
    words = ["h2load", *words, *(f"-H{header}" for header in HEADERS), "-d", host.dir / "message", ECHO]
    out = host.run(words, timeout=60)[1]
    done = re.search(r"requests: \d+ total.* (\d+) succeeded, (\d+) failed", out)
    harness.check(done and int(done[2]) == 0, f"h2load: {out}")
    return float(re.search(r"finished in [^,]*, ([\d.]+) req/s", out)[1]), int(done[1])


def with_h2load(host, peer, note):
    before = peer.cpu_seconds()
    calls_per_second, done = rate(host, ["-n", "50000", "-c", "4", "-m", "50"])
    used = peer.cpu_seconds() - before
    note(f"{calls_per_second:.0f} calls/s beside h2load, {done / used:.0f} per CPU second of the server")
    rate(host, ["-n", "2000", "-c", "1", "-m", "1000"])
    rate(host, ["-n", "2000", "-c", "100", "-m", "1"])


# Opens streams with the h2 library and leaves them open until its input ends.
OPEN_STREAMS = """
import socket, sys, h2.connection
s = socket.create_connection(("127.0.0.1", %d))
c = h2.connection.H2Connection()
c.initiate_connection()
s.sendall(c.data_to_send())
head = [(":method", "POST"), (":scheme", "http"), (":authority", "x"), (":path", "/outrider.test.Peer/Chat"),
        ("content-type", "application/grpc")]
for _ in range(1000):
    stream = c.get_next_available_stream_id()
    c.send_headers(stream, head)
    c.send_data(stream, b"\\0\\0\\0\\0\\1x")
s.sendall(c.data_to_send())
seen = set()
while len(seen) < 1000:
    for event in c.receive_data(s.recv(65536)):
        if type(event).__name__ == "DataReceived":
            seen.add(event.stream_id)
            c.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        if type(event).__name__ == "StreamReset":
            sys.exit("a stream was reset")
    s.sendall(c.data_to_send())
print("open", flush=True)
sys.stdin.read()
""" % PORT


def thousand_streams(host, peer, note):
    before = peer.rss_kib()
    client = host.start("streams", [harness.PYTHON, "-c", OPEN_STREAMS], stdin=subprocess.PIPE)
    client.wait_line("open", 20)
    grown = peer.rss_kib() - before
    note(f"{grown} KiB for 1,000 streams")
    harness.check(grown < 6000, f"1,000 streams cost {grown} KiB")
    client.stop()


# Asks and resets in one write, as fast as it can, until the server says GOAWAY, and why.
RAPID_RESET = """
import socket, struct
s = socket.create_connection(("127.0.0.1", %d))
u32 = lambda number: struct.pack(">I", number)
frame = lambda type, flags, id, body: u32(len(body))[1:] + bytes([type, flags]) + u32(id) + body
text = lambda words: bytes([len(words)]) + words
head = b"\\x83\\x86\\x01" + text(b"x") + b"\\x04" + text(b"/outrider.test.Peer/Chat")
head += b"\\x0f\\x10" + text(b"application/grpc")
s.sendall(b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n" + frame(4, 0, 0, b""))
def code(got):
    while len(got) >= 9:
        size = 9 + int.from_bytes(got[:3], "big")
        if got[3] == 7 and len(got) >= size:
            return got[16]
        got = got[size:]
sent, got = 0, b""
while code(got) is None and sent < 100000:
    s.sendall(frame(1, 4, 2 * sent + 1, head) + frame(3, 0, 2 * sent + 1, b"\\0\\0\\0\\x08"))
    sent += 1
    try:
        got += s.recv(65536, socket.MSG_DONTWAIT)
    except BlockingIOError:
        pass
print(sent < 100000, code(got))
""" % PORT


def scenario(world):
    harness.need("curl", "nghttp", "h2load")
    program = pathlib.Path(world.outrider).parent.parent / "tests/real/grpc_peer"
    host = world.host("a")
    peer = host.start("grpc_peer", [program, str(PORT)])
    with world.step("the module is loaded, and the peer listens", vital=True):
        peer.wait_line("listening")
    with world.step("curl speaks HTTP/1.1 and HTTP/2 to one port"):
        with_curl(host)
    with world.step("nghttp makes a call"):
        with_nghttp(host)
    with world.step("a thousand streams at once") as note:
        thousand_streams(host, peer, note)
    with world.step("h2load makes many") as note:
        with_h2load(host, peer, note)
    try:
        host.run([harness.PYTHON, "-c", "import grpc"])
        have_grpcio = True
    except Exception:  # not installed
        have_grpcio = False
    if have_grpcio:
        with world.step("grpcio: messages, statuses, limits, streams, deadlines"):
            with_grpcio(host)
    with world.step("a client that resets what it asks is sent away, and the others are served"):
        out = host.run([harness.PYTHON, "-c", RAPID_RESET], timeout=60)[1].strip()
        harness.equal(out, "True 11", "an early end with ENHANCE_YOUR_CALM")
        with_curl(host)
    with world.step("a stop ends what is open"):
        peer.send(15)
        line = peer.wait_line("stopped")
        harness.check("1 violations" in str(line), line)
        peer.wait()


if __name__ == "__main__":
    harness.main(scenario)
