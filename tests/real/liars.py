#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What stands in for a server of a registry in the tests, and is none: liars.py HOW ADDRESS PORT.

`try_all` starts an agent beside each of them.
"""

import socket
import sys
import threading

import harness

OK = b"HTTP/1.1 200 OK\r\n"
DNS_PORT = 5370
# What each does, and how the agent words it.
LIES = {
    "silent": "no answer within",
    "garbage": "the answer is not valid HTTP/1.1",
    "page": "an answer that cannot be read: <html>",
    "endless": "an answer of more than",
    "deep": "an answer that cannot be read: [",
    "failing": "status 500",
}
GROWTH_KIB_MAX = 48 * 1024  # an answer of the longest kind, and no more


def try_all(world, port, registry):
    """`registry` makes the row of the configuration from a URL."""
    a, b = world.host("liar-a"), world.host("liar-b")
    config = {"services": [{"name": "hello", "port": 8000}], "mdns": {"provider": "off"},
              "lifecycle": {"drain": "0s"}, "registries": [registry(f"http://{b.ip4}:{port}")]}
    for how, words in LIES.items():
        with world.step(f"a server that is none ({how}): DNS answers, registries says why, the agent stops") as say:
            server = b.start(how, [harness.PYTHON, harness.HERE / "liars.py", how, b.ip4, port])
            server.wait_line("ready")
            agent = a.agent(config)
            agent.wait_line("dns_listening")
            before = agent.rss_kib()
            harness.wait_for(words, lambda: words in a.outrider("registries")[1])
            for _ in range(20):
                harness.equal(a.dig("hello.svc", port=DNS_PORT).data("A"), [a.ip4], "answer")
            grown = agent.rss_kib() - before
            say(f"resident {grown:+} KiB")
            harness.check(grown < GROWTH_KIB_MAX, f"grew by {grown} KiB")
            harness.equal(agent.stop(), 0, "exit status")
            server.kill()


def answer(how, client):
    if how == "garbage":
        client.sendall(b"\x00\xff" * 500)
        client.close()
    elif how == "page":
        client.sendall(OK + b"Content-Length: 13\r\n\r\n<html></html>")
    elif how == "endless":
        client.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n")
        while True:
            client.sendall(b"10000\r\n" + b"a" * 0x10000 + b"\r\n")
    elif how == "deep":
        body = b"[" * 100_000
        client.sendall(OK + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    elif how == "failing":
        client.sendall(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")


def serve(how, client):
    try:
        while client.recv(65536):
            answer(how, client)
    except OSError:
        pass


def main(how, address, port):
    server = socket.create_server((address, int(port)))
    print("ready", flush=True)
    while True:
        threading.Thread(target=serve, args=(how, server.accept()[0]), daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
