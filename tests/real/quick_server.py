#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""quick_server.py PORT NAME: answers every request with "page of NAME", thousands a second by one process, which a
signal stops or ends as a whole. SIGTERM ends it: what has been asked was answered at once.
"""

import asyncio
import signal
import sys

PAGE = f"page of {sys.argv[2]}\n".encode()
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n" % len(PAGE)


class Connection(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.rest = transport, b""

    def data_received(self, data):
        *heads, self.rest = (self.rest + data).split(b"\r\n\r\n")
        for head in heads:
            words = head.lower()
            kept = b"http/1.1" in words and b"connection: close" not in words
            self.transport.write(ANSWER + (b"\r\n" if kept else b"Connection: close\r\n\r\n") + PAGE)
            if not kept:
                self.transport.close()


async def main():
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, over.set)
    await loop.create_server(Connection, None, int(sys.argv[1]), backlog=1024)
    print("listening", flush=True)
    await over.wait()


asyncio.run(main())
