#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""etcd_proxy.py ADDRESS [blind]: passes port 2378 on to etcd's 2379 of the same address.

blind: takes the header out of requests by which a watch hears that its server has lost its leader.
SIGUSR1: the next watch is held back, which is said with a line; SIGUSR2 lets it go.
"""

import signal
import socket
import sys
import threading

HEADER = b"Grpc-Metadata-hasleader: true\r\n"
holding, released = threading.Event(), threading.Event()


def passed(data, blind):
    if data.startswith(b"POST /v3/watch ") and holding.is_set():
        holding.clear()
        print("held", flush=True)
        released.wait()
    return data.replace(HEADER, b"") if blind else data


def copy(source, sink, change):
    try:
        while data := source.recv(1 << 16):
            sink.sendall(change(data))
    except OSError:
        pass
    for end in (source, sink):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(client, address, blind):
    try:
        server = socket.create_connection((address, 2379))
    except OSError:
        client.close()
        return
    threading.Thread(target=copy, args=(server, client, lambda data: data), daemon=True).start()
    copy(client, server, lambda data: passed(data, blind))


def hold(*_):
    released.clear()
    holding.set()


def main(address, blind=""):
    signal.signal(signal.SIGUSR1, hold)
    signal.signal(signal.SIGUSR2, lambda *_: released.set())
    server = socket.create_server((address, 2378))
    print("ready", flush=True)
    while True:
        threading.Thread(target=serve, args=(server.accept()[0], address, blind == "blind"), daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
