#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""relay.py ADDRESS PORT TO-ADDRESS TO-PORT: makes what listens on loopback only reachable for another host.

tls_front.py and etcd_proxy.py are relays that do more."""

import socket
import sys
import threading


def copy(source, sink, change=lambda data: data):
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


def join(client, to, change=lambda data: data):
    """Until one of them ends; `change` is for what the client sends."""
    try:
        server = socket.create_connection(to, 5)
    except OSError:
        client.close()
        return
    server.settimeout(None)
    for end in (client, server):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    threading.Thread(target=copy, args=(server, client), daemon=True).start()
    copy(client, server, change)


def listen(address, port, serve):
    listener = socket.create_server((address, int(port)))
    print("ready", flush=True)
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


if __name__ == "__main__":
    ADDRESS, PORT, TO_ADDRESS, TO_PORT = sys.argv[1:]
    listen(ADDRESS, PORT, lambda client: join(client, (TO_ADDRESS, int(TO_PORT))))
