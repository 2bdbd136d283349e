#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""binding.py threads|asyncio: calls the package outrider as the lines of its standard input say (binding_contract.py).
"""

import asyncio
import inspect
import json
import sys
import threading

import outrider
import outrider.aio

KINDS = {outrider.NoAgentError: "NO_AGENT", outrider.NotPermittedError: "NOT_PERMITTED",
         outrider.NotFoundError: "NOT_FOUND", outrider.InvalidError: "REFUSED", outrider.RefusedError: "REFUSED",
         outrider.WaitTimeoutError: "TIMEOUT", outrider.ClosedError: "CLOSED"}
lock = threading.Lock()


def say(value):
    with lock:
        print(json.dumps(value), flush=True)


def short(instances):
    return sorted(f"{instance.id}:{instance.health}" for instance in instances)


class Driver:
    """The calls of both faces: those of asyncio return something to await."""

    def __init__(self, module):
        self.module, self.agent = module, None
        self.registrations, self.watches = [], []

    async def call(self, call, args):
        if self.agent is None:
            self.agent = self.module.connect(timeout=2)
        return await getattr(self, f"do_{call}")(**args)

    async def done(self, value):
        return await value if inspect.isawaitable(value) else value

    async def do_register(self, service, ttl_ms=None, **more):
        if ttl_ms is not None:
            more["ttl"] = None if ttl_ms < 0 else ttl_ms / 1000
        made = self.agent.register(service, on_lost=lambda error: say({"event": "lost", "text": str(error)}),
                                   on_restored=lambda id: say({"event": "restored", "id": id}), **more)
        self.registrations.append(await self.done(made))
        return self.registrations[-1].id

    async def do_set_health(self, reg, health, note=""):
        return await self.done(self.registrations[reg].set_health(health, note))

    async def do_set_maintenance(self, reg, on, reason=""):
        return await self.done(self.registrations[reg].set_maintenance(on, reason))

    async def do_set_draining(self, reg, on):
        return await self.done(self.registrations[reg].set_draining(on))

    async def do_deregister(self, reg):
        return await self.done(self.registrations[reg].deregister())

    async def do_get(self, name, filter=None):
        return short(await self.done(self.agent.get(name, **(filter or {}))))

    async def do_list(self):
        return [(one.name, one.instances, one.served) for one in await self.done(self.agent.list())]

    async def do_snapshot(self):
        snapshot = await self.done(self.agent.snapshot())
        return {"revision": snapshot.revision, "instances": short(snapshot.instances)}

    async def do_select(self, name, **how):
        selection = await self.done(self.agent.select(name, **how))
        return selection.endpoint, selection.instance.id

    async def do_url(self, name, scheme=None):
        return await self.done(self.agent.url(name, scheme))

    async def do_why(self, name):
        return (await self.done(self.agent.why(name))).summary

    async def do_manifest(self, id=None):
        return sorted(await self.done(self.agent.manifest(id)))

    async def do_wait(self, name, count, timeout_ms):
        return short(await self.done(self.agent.wait(name, count, timeout_ms / 1000)))

    async def do_watch(self, name, filter):
        watch, number = self.agent.watch(name, **filter), len(self.watches)
        self.watches.append(watch)
        if self.module is outrider:
            threading.Thread(target=self.follow, args=(watch, number), daemon=True).start()
        else:
            self.task = asyncio.create_task(self.follow_async(watch, number))
        return number

    def follow(self, watch, number):
        for instances in watch:
            say({"event": "list", "watch": number, "list": short(instances)})
        say({"event": "end", "watch": number})

    async def follow_async(self, watch, number):
        async for instances in watch:
            say({"event": "list", "watch": number, "list": short(instances)})
        say({"event": "end", "watch": number})

    async def do_unwatch(self, watch):
        self.watches[watch].close()

    async def answer(self, n, call, args):
        try:
            say({"n": n, "ok": await self.call(call, args)})
        except outrider.OutriderError as error:
            say({"n": n, "kind": KINDS.get(type(error), type(error).__name__), "text": str(error)})


def with_threads():
    driver = Driver(outrider)
    say({"event": "ready"})
    for line in sys.stdin:
        # Not the main thread, so that waiting does not block the other calls.
        answer = driver.answer(**json.loads(line))
        run = threading.Thread(target=asyncio.run, args=(answer,), daemon=True)
        run.start()
        if json.loads(line)["call"] != "wait":
            run.join()


async def with_asyncio():
    driver = Driver(outrider.aio)
    say({"event": "ready"})
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    tasks = set()
    while line := await reader.readline():
        task = asyncio.create_task(driver.answer(**json.loads(line)))
        tasks.add(task)


if __name__ == "__main__":
    if sys.argv[1:] == ["asyncio"]:
        asyncio.run(with_asyncio())
    else:
        with_threads()
