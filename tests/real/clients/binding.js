// SPDX-License-Identifier: Apache-2.0

// Calls the package outrider as the lines of its standard input say (see binding_contract.py).
'use strict';

const readline = require('node:readline');
const {Client, OutriderError} = require('outrider');

const client = new Client();
const registrations = [];
const watches = [];

const print = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const short = (instances) => instances.map(({id, health}) => `${id}:${health}`).sort();

async function follow(watch, number) {
  watch.on('connect', () => print({event: 'connect', watch: number}));
  for await (const instances of watch) {
    print({event: 'list', watch: number, list: short(instances)});
  }
  print({event: 'end', watch: number});
}

const CALLS = {
  async register({service, ttl_ms: ttl, health}) {
    const registration = await client.register(service, {ttl: ttl === -1 ? null : ttl, health});
    registration.on('lost', (error) => print({event: 'lost', text: error.message}));
    registration.on('restored', (id) => print({event: 'restored', id}));
    registrations.push(registration);
    return registration.id;
  },
  set_health: ({reg, health, note}) => registrations[reg].setHealth(health, note),
  set_maintenance: ({reg, on, reason}) => registrations[reg].setMaintenance(on, reason),
  set_draining: ({reg, on}) => registrations[reg].setDraining(on),
  deregister: ({reg}) => registrations[reg].deregister(),
  async get({name, filter}) {
    return short(await client.get(name, filter));
  },
  async list() {
    return (await client.list()).map(({name, instances, served}) => [name, instances, served]);
  },
  async snapshot() {
    const {revision, instances} = await client.snapshot();
    return {revision, instances: short(instances)};
  },
  async select({name, strategy, key}) {
    const {endpoint, instance} = await client.select(name, {strategy, key});
    return [endpoint, instance.id];
  },
  url: ({name, scheme}) => client.url(name, {scheme}),
  async why({name}) {
    return (await client.why(name)).summary;
  },
  async manifest({id}) {
    return Object.keys(await client.manifest(id)).sort();
  },
  watch({name, filter}) {
    watches.push(client.watch(name, filter));
    follow(watches.at(-1), watches.length - 1).catch((error) => (
      print({event: 'failed', watch: watches.length - 1, text: error.message})));
    return watches.length - 1;
  },
  unwatch: ({watch}) => watches[watch].close(),
  async wait({name, count, timeout_ms: timeout}) {
    return short(await client.wait(name, {count, timeout}));
  },
};

const lines = readline.createInterface({input: process.stdin});
lines.on('line', async (line) => {
  const {n, call, args} = JSON.parse(line);
  try {
    print({n, ok: await CALLS[call](args) ?? null});
  } catch (error) {
    if (!(error instanceof OutriderError)) throw error;
    print({n, kind: error.code.replace('ERR_OUTRIDER_', ''), text: error.message});
  }
});
lines.on('close', () => watches.forEach((watch) => watch.close()));
print({event: 'ready'});
