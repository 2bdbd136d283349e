#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""relay.py ADDRESS PORT TO-ADDRESS TO-PORT: what listens on loopback only, for another host of the tests."""

import socket
import sys
import threading


def copy(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    for one in (source, target):
        try:
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(client, to):
    try:
        server = socket.create_connection(to, 5)
    except OSError:
        client.close()
        return
    server.settimeout(None)
    for one in (client, server):
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    threading.Thread(target=copy, args=(client, server), daemon=True).start()
    copy(server, client)


def main(address, port, to_address, to_port):
    listener = socket.create_server((address, int(port)))
    print("ready", flush=True)
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0], (to_address, int(to_port))), daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
