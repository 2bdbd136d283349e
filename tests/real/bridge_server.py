#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""bridge_server.py PORT NAME: a web service that does what a proxy may get wrong.

/ and /health say NAME; /slow takes half a second; PUT /upload answers with the digest of what it got; /events sends
server-sent events until the client leaves; /socket is a WebSocket that echoes; /big?N answers with N octets. SIGTERM
ends it as a good server does: it finishes what it has begun.
"""

import base64
import hashlib
import http.server
import signal
import sys
import threading
import time
import urllib.parse

NAME = sys.argv[2]
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, body, kind="text/plain"):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Saw-Headers", ",".join(self.headers.keys()))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        path, _, query = self.path.partition("?")
        if path.startswith("/from-"):
            print(f"asked for {path} by {self.headers['User-Agent']}", flush=True)
        if path == "/events":
            return self.events()
        if path == "/socket":
            return self.socket()
        if path == "/slow":
            time.sleep(0.5)
        if path == "/big":
            return self.answer(b"x" * int(query))
        page = f"<!doctype html><title>{NAME}</title><h1>page of {NAME}</h1><p>{urllib.parse.quote(self.path)}</p>\n"
        return self.answer(page.encode(), "text/html")

    do_HEAD = do_GET

    def do_PUT(self):
        digest, size = hashlib.sha256(), 0
        if self.headers.get("Transfer-Encoding") == "chunked":
            while chunk := int(self.rfile.readline(), 16):
                digest.update(self.rfile.read(chunk))
                size += chunk
                self.rfile.readline()
            self.rfile.readline()
        else:
            left = int(self.headers["Content-Length"])
            while left:
                part = self.rfile.read(min(left, 65536))
                digest.update(part)
                left, size = left - len(part), size + len(part)
        self.answer(f"{size} {digest.hexdigest()}\n".encode())

    def events(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        number = 0
        try:
            while True:
                number += 1
                self.wfile.write(f"data: {number}\n\n".encode())
                self.wfile.flush()
                time.sleep(0.05)
        except OSError:
            print(f"reader left after {number}", flush=True)

    def socket(self):
        key = hashlib.sha1((self.headers["Sec-WebSocket-Key"] + GUID).encode()).digest()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(key).decode())
        self.end_headers()
        self.close_connection = True
        while len(head := self.rfile.read(6)) == 6:  # short masked frames, as the test sends them
            length = head[1] & 0x7F
            data = bytes(octet ^ head[2 + i % 4] for i, octet in enumerate(self.rfile.read(length)))
            self.wfile.write(bytes([head[0], length]) + data)
            self.wfile.flush()

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = False
    block_on_close = True


server = Server(("0.0.0.0", int(sys.argv[1])), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
print("listening", flush=True)
server.serve_forever(poll_interval=0.05)
server.socket.close()
