// SPDX-License-Identifier: Apache-2.0
// eureka_client.js PORT ADDRESS: eureka-js-client registers the application "node", renews every second, polls, and
// deregisters on SIGTERM. Each poll that changes what is known of "web" is a line of output, as JSON.
'use strict';
const {Eureka} = require('eureka-js-client');

const client = new Eureka({
  instance: {
    app: 'node', instanceId: 'node-1', hostName: 'node-host', ipAddr: process.argv[3], vipAddress: 'node',
    port: {$: 7001, '@enabled': true}, statusPageUrl: 'http://node-host/',
    dataCenterInfo: {'@class': 'com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo', name: 'MyOwn'},
  },
  eureka: {
    host: '127.0.0.1', port: Number(process.argv[2]), servicePath: '/eureka/v2/apps/', heartbeatInterval: 1000,
    registryFetchInterval: 500, maxRetries: 1, fetchMetadata: false,
  },
});
client.logger.level('warn');

let last = null;
client.on('registryUpdated', () => {
  const web = client.getInstancesByAppId('WEB').map((one) => `${one.instanceId} ${one.status} ${one.ipAddr}:${one.port.$}`);
  const own = client.getInstancesByVipAddress('node').map((one) => one.instanceId);
  const line = JSON.stringify({web: web.sort(), own});
  if (line !== last) console.log(last = line);
});
client.on('heartbeat', () => console.log('heartbeat'));
client.start((error) => console.log(error ? `error ${error}` : 'started'));
process.on('SIGTERM', () => client.stop((error) => {
  console.log(error ? `error ${error}` : 'stopped');
  process.exit(0);
}));
