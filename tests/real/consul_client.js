// SPDX-License-Identifier: Apache-2.0
// consul_client.js PORT: the consul package of npm registers with a TTL check, watches, beats, sets
// maintenance and deregisters. The last line of output is JSON: what it saw, in order.
'use strict';
const Consul = require('consul');
const consul = new Consul({host: '127.0.0.1', port: Number(process.argv[2])});

const seen = [];  // without repetitions: not every change of the index is one of the list
let wake = null;
const watch = consul.watch({
  method: consul.health.service,
  options: {service: 'js', passing: true, wait: '10s'},
  backoffFactor: 100,
});
watch.on('change', (entries) => {
  const ids = entries.map((entry) => entry.Service.ID).join();
  if (seen.length === 0 || seen[seen.length - 1] !== ids) seen.push(ids);
  if (wake) wake();
});
watch.on('error', (error) => seen.push(`error: ${error.message}`));

/// Until the watch has told of so many changes.
async function told(count) {
  while (seen.length < count) await new Promise((resolve) => (wake = resolve));
}

async function main() {
  await told(1);  // none there yet
  const service = {
    name: 'js', id: 'js-1', address: '127.0.0.1', port: 5001, tags: ['a', 'b'], meta: {k: 'v'},
    check: {ttl: '20s', deregistercriticalserviceafter: '1m'},
  };
  await consul.agent.service.register(service);
  await consul.agent.check.pass({id: 'service:js-1', note: 'well'});
  await told(2);
  await consul.agent.service.maintenance({id: 'js-1', enable: true, reason: 'test'});
  await told(3);
  await consul.agent.service.maintenance({id: 'js-1', enable: false});
  await told(4);
  const checks = await consul.agent.checks();
  const nodes = await consul.catalog.service.nodes('js');
  const services = await consul.agent.service.list();
  await consul.agent.service.deregister('js-1');
  await told(5);
  watch.end();
  let unknown = null;
  await consul.agent.service.deregister('js-1').catch((error) => (unknown = error.statusCode));
  console.log(JSON.stringify({
    seen, unknown, output: checks['service:js-1'].Output, tags: services['js-1'].Tags,
    meta: services['js-1'].Meta, port: nodes[0].ServicePort,
  }));
}
main().catch((error) => {
  console.error(error);
  process.exit(1);
});
