#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""etcd_proxy.py ADDRESS [blind]: passes port 2378 on to etcd's 2379 of the same address.

blind: takes the header out of requests by which a watch hears that its server has lost its leader.
SIGUSR1: the next watch is held back, which is said with a line; SIGUSR2 lets it go.
"""

import signal
import sys
import threading

import relay

HEADER = b"Grpc-Metadata-hasleader: true\r\n"
holding, released = threading.Event(), threading.Event()


def passed(data, blind):
    if data.startswith(b"POST /v3/watch ") and holding.is_set():
        holding.clear()
        print("held", flush=True)
        released.wait()
    return data.replace(HEADER, b"") if blind else data


def hold(*_):
    released.clear()
    holding.set()


def main(address, blind=""):
    signal.signal(signal.SIGUSR1, hold)
    signal.signal(signal.SIGUSR2, lambda *_: released.set())
    relay.listen(address, 2378,
                 lambda client: relay.join(client, (address, 2379), lambda data: passed(data, blind == "blind")))


if __name__ == "__main__":
    main(*sys.argv[1:])
