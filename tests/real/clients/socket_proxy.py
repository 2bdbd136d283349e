#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""socket_proxy.py LISTEN TO: joins each client of the Unix socket LISTEN to the Unix socket TO.

Prints `stream ID` for each request of a stream, with its Last-Event-ID or "-". SIGUSR1 cuts all streams, and lets new
ones wait until SIGUSR2."""

import re
import signal
import socket
import sys
import threading

streams = []
is_open = threading.Event()
is_open.set()


def copy(source, sink):
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
    except OSError:
        pass
    for end in (source, sink):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(client, to):
    head = client.recv(1 << 16)
    if b" /v1/outrider/watch" in head:
        resumes = re.search(rb"(?i)^last-event-id: (\S+)", head, re.MULTILINE)
        is_open.wait()
        streams.append(client)
        print(f"stream {resumes[1].decode() if resumes else '-'}", flush=True)
    server = socket.socket(socket.AF_UNIX)
    server.connect(to)
    server.sendall(head)
    threading.Thread(target=copy, args=(server, client), daemon=True).start()
    copy(client, server)


def cut(*_):
    is_open.clear()
    for stream in streams:
        try:
            stream.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
    streams.clear()
    print("cut", flush=True)


def main():
    signal.signal(signal.SIGUSR1, cut)
    signal.signal(signal.SIGUSR2, lambda *_: is_open.set())
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[1])
    listener.listen(16)
    print("ready", flush=True)
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0], sys.argv[2]), daemon=True).start()


if __name__ == "__main__":
    main()
