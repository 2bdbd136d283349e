#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A gateway that takes FARP pushes: prints one line a request, "METHOD PATH SERVICE"."""

import http.server
import json
import sys


class Gateway(http.server.BaseHTTPRequestHandler):
    def _answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        service = body.get("instance", {}).get("service_name", "-")
        print(f"{self.command} {self.path} {service}", flush=True)
        self.send_response(201 if self.command == "POST" else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_POST = do_PUT = do_DELETE = _answer

    def log_message(self, *_):
        pass


server = http.server.HTTPServer(("0.0.0.0", int(sys.argv[1])), Gateway)
print("ready", flush=True)
server.serve_forever()
