#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""zeroconf_resolve.py ADDRESS TYPE COUNT SECONDS: what python3-zeroconf resolves of TYPE, as JSON
by instance label.

ADDRESS is the interface to listen on. It ends when COUNT instances are resolved, or when SECONDS
are over.
"""

import json
import socket
import sys
import threading

from zeroconf import ServiceBrowser, ServiceListener, Zeroconf


def label_of(service_type, name):
    # Browsed by a subtype, instances have the names that they always have.
    return name[: -len(service_type.split("._sub.")[-1]) - 1]


class Seen(ServiceListener):
    def __init__(self, wanted):
        self.wanted, self.found, self.enough = wanted, {}, threading.Event()

    def add_service(self, zc, service_type, name):
        info = zc.get_service_info(service_type, name)
        if not info:
            return
        self.found[label_of(service_type, name)] = {
            "host": info.server,
            "port": info.port,
            "addresses": sorted(info.parsed_addresses()),
            "txt": {
                key.decode(): (value or b"").decode() for key, value in info.properties.items()
            },
        }
        if len(self.found) >= self.wanted:
            self.enough.set()

    update_service = add_service

    def remove_service(self, zc, service_type, name):
        self.found.pop(label_of(service_type, name), None)


def main():
    address, service_type, count, seconds = (
        sys.argv[1],
        sys.argv[2] + ".local.",
        int(sys.argv[3]),
        float(sys.argv[4]),
    )
    socket.inet_aton(address)
    zc, seen = Zeroconf(interfaces=[address]), Seen(count)
    browser = ServiceBrowser(zc, service_type, seen)
    seen.enough.wait(seconds)
    browser.cancel()
    zc.close()
    print(json.dumps(seen.found, indent=2))


if __name__ == "__main__":
    main()
