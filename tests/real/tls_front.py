# SPDX-License-Identifier: Apache-2.0
"""tls_front.py ADDRESS PORT TO CERTIFICATE KEY [CA]: takes TLS at ADDRESS:PORT and passes the bytes to 127.0.0.1:TO.
With a CA, clients must have a certificate of it."""

import socket
import ssl
import sys
import threading

ADDRESS, PORT, TO, CERTIFICATE, KEY = sys.argv[1:6]
CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
CONTEXT.load_cert_chain(CERTIFICATE, KEY)
if len(sys.argv) > 6:
    CONTEXT.load_verify_locations(sys.argv[6])
    CONTEXT.verify_mode = ssl.CERT_REQUIRED


def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    for end in (source, target):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(raw):
    try:
        client = CONTEXT.wrap_socket(raw, server_side=True)
    except OSError:
        return  # the client says why
    server = socket.create_connection(("127.0.0.1", int(TO)))
    threading.Thread(target=pump, args=(server, client), daemon=True).start()
    pump(client, server)


def main():
    listener = socket.create_server((ADDRESS, int(PORT)))
    print("ready", flush=True)
    while True:
        raw, _ = listener.accept()
        threading.Thread(target=serve, args=(raw,), daemon=True).start()


main()
