# SPDX-License-Identifier: Apache-2.0
"""crowd.py KIND SOCKET COUNT: many clients of an agent's API at once.

watchers   COUNT event streams that are opened and never read, while 200 registrations come and go
mute       COUNT connections on which nothing is said, for 2 s
drip       COUNT requests of which an octet comes each 10 ms, for 2 s
hang-up    COUNT connections with 50 requests each in one piece, closed at once
garbage    COUNT connections with octets that are no request
register   COUNT registrations, each with its end
"""

import contextlib
import json
import random
import socket
import sys
import time


def connect(path):
    """Waits while the agent's backlog is full."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(path)
    sock.settimeout(2)
    return sock


def request(method, path, body=""):
    return (f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n{body}").encode()


def register(path, count):
    with connect(path) as sock:
        for number in range(count):
            body = json.dumps({"id": f"crowd-{number}", "name": "crowd", "port": 9, "address": ["10.1.2.3"]})
            for message in (request("PUT", "/v1/outrider/register", body),
                            request("PUT", f"/v1/outrider/deregister/crowd-{number}")):
                sock.sendall(message)
                if not sock.recv(65536):
                    return number
    return count


def watchers(path, count):
    held = []
    for _ in range(count):
        with contextlib.suppress(OSError):
            held.append(connect(path))
            held[-1].sendall(request("GET", "/v1/outrider/watch"))
    register(path, 200)
    for sock in held:
        sock.close()
    return len(held)


def mute(path, count):
    held = []
    for _ in range(count):
        with contextlib.suppress(OSError):
            held.append(connect(path))
    time.sleep(2)
    return len(held)


def drip(path, count):
    held = [connect(path) for _ in range(count)]
    message = request("GET", "/v1/outrider/services")
    for octet in message[:-1]:
        for sock in held:
            with contextlib.suppress(OSError):
                sock.send(bytes([octet]))
        time.sleep(0.01)
    return len(held)


def hang_up(path, count):
    for _ in range(count):
        with contextlib.suppress(OSError), connect(path) as sock:
            sock.sendall(request("GET", "/v1/outrider/instances") * 50)
    return count


def garbage(path, count):
    chance = random.Random(7)
    for _ in range(count):
        with contextlib.suppress(OSError), connect(path) as sock:
            sock.sendall(chance.randbytes(chance.randrange(1, 4000)))
    return count


KINDS = {"watchers": watchers, "mute": mute, "drip": drip, "hang-up": hang_up, "garbage": garbage,
         "register": register}

if __name__ == "__main__":
    print(KINDS[sys.argv[1]](sys.argv[2], int(sys.argv[3])))
