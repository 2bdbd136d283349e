#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""find.py [NAME]: waits for a service, calls it, and then prints its instances as they change."""

import asyncio
import sys
import urllib.request

import outrider.aio


def call(url):
    with urllib.request.urlopen(url) as page:
        return page.read().decode().strip()


async def main():
    name = sys.argv[1] if len(sys.argv) > 1 else "hello"
    async with outrider.aio.open(name="find") as agent:
        await agent.wait(name, timeout=30)
        url = await agent.url(name, strategy="p2c")
        print(f"{url}: {await asyncio.to_thread(call, url)}", flush=True)
        async for instances in agent.watch(name, healthy=True):
            print(f"{name}:", " ".join(instance.id for instance in instances) or "nobody", flush=True)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except outrider.OutriderError as error:
        sys.exit(str(error))
