# SPDX-License-Identifier: Apache-2.0
"""tls_front.py ADDRESS PORT TO CERTIFICATE KEY [CA]: takes TLS at ADDRESS:PORT and passes the bytes to 127.0.0.1:TO.
With a CA, clients must have a certificate of it."""

import ssl
import sys

import relay

ADDRESS, PORT, TO, CERTIFICATE, KEY = sys.argv[1:6]
CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
CONTEXT.load_cert_chain(CERTIFICATE, KEY)
CONTEXT.set_alpn_protocols(["http/1.1"])  # Firefox drops a connection without the protocol that an HTTPS record names
if len(sys.argv) > 6:
    CONTEXT.load_verify_locations(sys.argv[6])
    CONTEXT.verify_mode = ssl.CERT_REQUIRED


def serve(raw):
    try:
        client = CONTEXT.wrap_socket(raw, server_side=True)
    except OSError:
        return  # the client says why
    relay.join(client, ("127.0.0.1", int(TO)))


relay.listen(ADDRESS, PORT, serve)
