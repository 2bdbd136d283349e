#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The smallest service worth announcing: answers / and /health on the port given in $PORT."""

import http.server
import os
import socket
import sys


class Hello(http.server.BaseHTTPRequestHandler):
    server_version = "hello"
    sys_version = ""

    def do_GET(self):
        known = {
            "/": f"Hello from {socket.gethostname()}, process {os.getpid()}.\n",
            "/health": "ok\n",
        }
        body = known.get(self.path, "not here\n").encode()
        self.send_response(200 if self.path in known else 404)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass  # the health checks would fill the screen


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):  # a client that did not wait
            super().handle_error(request, client_address)


if __name__ == "__main__":
    address = ("", int(os.environ.get("PORT", "8080")))
    Server(address, Hello).serve_forever()
