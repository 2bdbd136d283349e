#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The smallest service worth announcing: answers / and /health on the port given in $PORT."""

import http.server
import os
import socket


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


if __name__ == "__main__":
    address = ("", int(os.environ.get("PORT", "8080")))
    http.server.ThreadingHTTPServer(address, Hello).serve_forever()
