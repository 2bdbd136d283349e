#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What stands in for an etcd server in etcd_agent.py and is none: lying_etcd.py HOW ADDRESS."""

import socket
import sys
import threading

OK = b"HTTP/1.1 200 OK\r\n"


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
        body = b'{"kvs":' + b"[" * 100_000
        client.sendall(OK + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    elif how == "failing":
        client.sendall(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")


def serve(how, client):
    try:
        while client.recv(65536):
            answer(how, client)
    except OSError:
        pass


def main(how, address):
    server = socket.create_server((address, 2379))
    print("ready", flush=True)
    while True:
        threading.Thread(target=serve, args=(how, server.accept()[0]), daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
