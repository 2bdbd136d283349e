# SPDX-License-Identifier: Apache-2.0
"""consul_watch.py PORT SECONDS: watches of python-consul, each in a loop that asks again as soon as it is answered. The
last line of output is JSON: requests of each."""

import json
import sys
import threading
import time

import consul

WAIT = "1s"


def watch(counts, name, ask, until):
    index = None
    while time.monotonic() < until:
        counts[name] += 1
        index, _ = ask(index)


def main():
    client = consul.Consul(port=int(sys.argv[1]))
    health, catalog = client.health, client.catalog
    plans = {
        "service": lambda index: health.service("hello", index=index, wait=WAIT, passing=True),
        "unknown": lambda index: health.service("nobody", index=index, wait=WAIT),
        "checks": lambda index: health.checks("hello", index=index, wait=WAIT),
        "state": lambda index: health.state("any", index=index, wait=WAIT),
        "services": lambda index: catalog.services(index=index, wait=WAIT),
        "nodes": lambda index: catalog.nodes(index=index, wait=WAIT),
    }
    counts = dict.fromkeys(plans, 0)
    until = time.monotonic() + float(sys.argv[2])
    threads = [threading.Thread(target=watch, args=(counts, name, ask, until)) for name, ask in plans.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(counts))


main()
