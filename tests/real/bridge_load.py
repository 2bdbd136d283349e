#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""bridge_load.py ADDRESS PORT HOST RATE: gets http://HOST/ RATE times a second, by a new connection each.

It does so until SIGTERM. Requests do not wait for each other, as those of many browsers. Each failure is a line; the
last line is the account, as JSON.
"""

import asyncio
import json
import signal
import sys
import time

PATIENCE_S = 15.0


async def get(address, port, host, account):
    begun = time.monotonic()
    try:
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection(address, port)
            try:
                writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                reply = await reader.read()
            finally:
                writer.close()
        head, _, body = reply.partition(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n", 1)[0] or not body:
            raise OSError(f"{reply[:40]!r} {body[:300]!r}")
        served = body.decode()
        account["served"][served] = account["served"].get(served, 0) + 1
    except (OSError, TimeoutError) as why:
        account["failures"] += 1
        print(f"failure after {time.monotonic() - begun:.3f} s: {why!r}", flush=True)
    account["slowest"] = max(account["slowest"], time.monotonic() - begun)


async def main():
    address, port, host, rate = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    account = {"tries": 0, "failures": 0, "slowest": 0.0, "served": {}}
    begun, tasks = time.monotonic(), set()
    print("begun", flush=True)
    while not over.is_set():
        account["tries"] += 1
        task = asyncio.create_task(get(address, port, host, account))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        wait = begun + account["tries"] / rate - time.monotonic()
        try:
            await asyncio.wait_for(over.wait(), max(0, wait))
        except TimeoutError:
            pass
    account["seconds"] = time.monotonic() - begun
    await asyncio.gather(*tasks)
    print(json.dumps(account), flush=True)


asyncio.run(main())
