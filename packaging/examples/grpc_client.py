#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A gRPC client that finds the service "greeter" by DNS and balances over its instances.

    outrider example grpc > grpc_client.py && python3 grpc_client.py

It needs grpcio (Debian: python3-grpcio), and calls the standard health check once a second.
"""

import time

import grpc

# The address before the name makes gRPC ask the agent directly. If this host's resolver knows the
# agent (`outrider dns install`), "dns:///greeter.svc:50051" is enough. gRPC reads no ports from DNS: all
# instances must have the port that is given here.
TARGET = "dns://127.0.0.55:5370/greeter.svc:50051"

OPTIONS = [
    ("grpc.lb_policy_name", "round_robin"),  # the default is to stay with the first instance
    # gRPC asks DNS again only after a connection was lost, and then at most every 30 seconds.
    ("grpc.dns_min_time_between_resolutions_ms", 1000),
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # A host that is gone without a word is noticed by these pings.
    ("grpc.keepalive_time_ms", 10000),
    ("grpc.keepalive_timeout_ms", 2000),
]
# New instances are found when a server closes old connections: set grpc.max_connection_age_ms there.


def main():
    with grpc.insecure_channel(TARGET, options=OPTIONS) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        while True:
            try:
                answer = check(b"", timeout=2)
                print("serving" if answer == b"\x08\x01" else "not serving", flush=True)
            except grpc.RpcError as error:
                print(error.code().name, error.details(), flush=True)
            time.sleep(1)


if __name__ == "__main__":
    main()
