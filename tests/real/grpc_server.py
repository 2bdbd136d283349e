# SPDX-License-Identifier: Apache-2.0
"""grpc_server.py PORT [CERTIFICATE KEY [CA]]: a gRPC server with grpc.health.v1 for "" and "orders"
(serving), "stock" (not serving) and nothing else; on PORT + 1 one without health checks; and on the
Unix socket /run/grpc.sock as on PORT. With a CA it insists on a client certificate of it."""

import sys
from concurrent import futures

import grpc

SERVING = {b"": b"\x08\x01", b"\x0a\x06orders": b"\x08\x01", b"\x0a\x05stock": b"\x08\x02"}


def check(request, context):
    if request not in SERVING:
        context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
    return SERVING[request]


def serve(*addresses, healthy=True, credentials=None):
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
    if healthy:
        method = grpc.unary_unary_rpc_method_handler(check)
        handlers = grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": method})
        server.add_generic_rpc_handlers((handlers,))
    for address in addresses:
        if credentials:
            server.add_secure_port(address, credentials)
        else:
            server.add_insecure_port(address)
    server.start()
    return server


port = int(sys.argv[1])
if len(sys.argv) > 2:
    certificate, key, *ca = (open(file, "rb").read() for file in sys.argv[2:5])
    tls = grpc.ssl_server_credentials([(key, certificate)], ca[0] if ca else None, bool(ca))
    servers = [serve(f"127.0.0.1:{port}", credentials=tls)]
else:
    servers = [
        serve(f"127.0.0.1:{port}", "unix:/run/grpc.sock"),
        serve(f"127.0.0.1:{port + 1}", healthy=False),
    ]
print("listening", flush=True)
servers[0].wait_for_termination()
