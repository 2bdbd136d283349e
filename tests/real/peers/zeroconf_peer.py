#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""zeroconf_peer.py ADDRESS TYPE LABEL PORT [KEY=VALUE]...: a service, and a browser of its type, by
python3-zeroconf. Every event is a line of JSON. SIGUSR2: the TXT has changed=yes too. SIGTERM:
goodbye, and the end.
"""

import json
import queue
import signal
import socket
import sys

from zeroconf import ServiceBrowser, ServiceInfo, ServiceListener, Zeroconf


def say(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


class Seen(ServiceListener):
    def add_service(self, zc, service_type, name):
        info = zc.get_service_info(service_type, name)
        if info:
            pairs = info.properties.items()
            txt = {key.decode(): (value or b"").decode() for key, value in pairs}
            say("up", label=name[: -len(service_type) - 1], port=info.port,
                addresses=info.parsed_addresses(), txt=txt)

    update_service = add_service

    def remove_service(self, zc, service_type, name):
        say("down", label=name[: -len(service_type) - 1])


def main():
    address, service_type, label, port = sys.argv[1:5]
    service_type += ".local."
    txt = dict(pair.split("=", 1) for pair in sys.argv[5:])
    signals = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGUSR2):
        signal.signal(number, lambda number, _: signals.put(number))

    def described(more):
        return ServiceInfo(
            service_type,
            f"{label}.{service_type}",
            addresses=[socket.inet_aton(address)],
            port=int(port),
            properties={**txt, **more},
            server=f"{label}-zeroconf.local.",
        )

    info = described({})
    zc = Zeroconf(interfaces=[address])
    browser = ServiceBrowser(zc, service_type, Seen())
    zc.register_service(info)
    say("registered")
    while signals.get() == signal.SIGUSR2:
        info = described({"changed": "yes"})
        zc.update_service(info)
    browser.cancel()
    zc.unregister_service(info)
    zc.close()


if __name__ == "__main__":
    main()
