#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""serve.py [NAME]: serves HTTP on a free port, and registers itself until it is stopped."""

import http.server
import os
import signal
import socket
import sys
import threading

import outrider


class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"Hello from {socket.gethostname()}, process {os.getpid()}.\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def main():
    name = sys.argv[1] if len(sys.argv) > 1 else "hello"
    server = http.server.ThreadingHTTPServer(("", 0), Hello)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    with outrider.open(name="serve") as agent:
        service = {"name": name, "port": server.server_port, "metadata": {"language": "python"}}
        with agent.register(service, on_lost=lambda error: print("not renewed:", error, flush=True),
                            on_restored=lambda id: print("registered again:", id, flush=True)) as registration:
            print("registered:", registration.id, flush=True)
            stop.wait()
    server.shutdown()  # afterwards, so that clients are not sent here any more
    print("deregistered", flush=True)


if __name__ == "__main__":
    main()
