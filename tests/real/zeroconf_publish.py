#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""zeroconf_publish.py ADDRESS TYPE LABEL PORT [KEY=VALUE]...: a service of python3-zeroconf, until
SIGTERM, which says goodbye. Prints `registered` once it is.
"""

import signal
import socket
import sys
import threading

from zeroconf import ServiceInfo, Zeroconf


def main():
    address, service_type, label, port = sys.argv[1:5]
    txt = dict(pair.split("=", 1) for pair in sys.argv[5:])
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    info = ServiceInfo(
        f"{service_type}.local.",
        f"{label}.{service_type}.local.",
        addresses=[socket.inet_aton(address)],
        port=int(port),
        properties=txt,
        server=f"{label}-zeroconf.local.",
    )
    zc = Zeroconf(interfaces=[address])
    zc.register_service(info)
    print("registered", flush=True)
    over.wait()
    zc.unregister_service(info)
    zc.close()


if __name__ == "__main__":
    main()
