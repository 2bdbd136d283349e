#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""One client that asks again and again for a service, each time with a socket of its own.

    restart_client.py udp|tcp|http ADDRESS PORT FILE

It ends when FILE is there, and prints how often each outcome came, as JSON.
"""

import collections
import json
import os
import socket
import struct
import sys
import time

PATIENCE_S = 5
PAUSE_S = 0.002
REQUEST = b"GET / HTTP/1.0\r\nHost: hello.localhost\r\n\r\n"


def question(number):
    header = struct.pack(">HHHHHH", number & 0xFFFF, 0x100, 1, 0, 0, 0)
    return header + b"\x05hello\x03svc\x00\x00\x01\x00\x01"


def outcome(reply):
    if len(reply) < 12:
        return "nothing"
    rcode, answers = reply[3] & 15, struct.unpack(">H", reply[6:8])[0]
    return "answer" if rcode == 0 and answers else f"rcode {rcode} without an answer"


def read_all(connection):
    data = b""
    while part := connection.recv(4096):
        data += part
    return data


def ask_udp(to, number):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE_S)
        client.connect(to)
        client.send(question(number))
        return outcome(client.recv(4096))


def ask_tcp(to, number):
    with socket.create_connection(to, timeout=PATIENCE_S) as client:
        message = question(number)
        client.sendall(struct.pack(">H", len(message)) + message)
        client.shutdown(socket.SHUT_WR)
        return outcome(read_all(client)[2:])


def ask_http(to, _number):
    with socket.create_connection(to, timeout=PATIENCE_S) as client:
        client.sendall(REQUEST)
        line = read_all(client).split(b"\r\n")[0].decode()
        return "answer" if " 200 " in line else line or "nothing"


def main(way, address, port, file):
    ask = {"udp": ask_udp, "tcp": ask_tcp, "http": ask_http}[way]
    seen = collections.Counter()
    number = 0
    while not os.path.exists(file):
        number += 1
        try:
            seen[ask((address, int(port)), number)] += 1
        except OSError as why:
            seen[f"{type(why).__name__}: {why}"] += 1
        time.sleep(PAUSE_S)
    print(json.dumps(seen), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
