// SPDX-License-Identifier: Apache-2.0
// consul_spin.js PORT SECONDS: watches of npm's consul, on what is there, on nothing, and on what
// the agent does not have. The last line of output is JSON: how often each told something.
'use strict';
const Consul = require('consul');
const consul = new Consul({host: '127.0.0.1', port: Number(process.argv[2])});
const methods = {
  service: [consul.health.service, {service: 'hello', passing: true, wait: '1s'}],
  nodes: [consul.catalog.node.list, {wait: '1s'}],
  services: [consul.catalog.service.list, {wait: '1s'}],
  state: [consul.health.state, {state: 'any', wait: '1s'}],
  key: [consul.kv.get, {key: 'x', wait: '1s'}],
};
const told = {};
for (const [name, [method, options]] of Object.entries(methods)) {
  told[name] = {changes: 0, errors: 0};
  const watch = consul.watch({method, options});
  watch.on('change', () => ++told[name].changes);
  watch.on('error', () => ++told[name].errors);
}
setTimeout(() => {
  console.log(JSON.stringify(told));
  process.exit(0);
}, Number(process.argv[3]) * 1000);
