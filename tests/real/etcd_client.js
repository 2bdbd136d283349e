// SPDX-License-Identifier: Apache-2.0
// etcd_client.js KEY VALUE PREFIX: npm's etcd3 puts a key under a lease that it keeps alive, lists and watches a
// prefix, compares in a transaction, takes a lock, and leaves on SIGTERM. A line of output each.
'use strict';
const {Etcd3} = require('etcd3');

const [key, value, prefix] = process.argv.slice(2);
const client = new Etcd3({hosts: 'http://127.0.0.1:2379'});

async function main() {
  const watcher = await client.watch().prefix(prefix).create();
  watcher.on('put', (kv) => console.log(`PUT ${kv.key}`));
  watcher.on('delete', (kv) => console.log(`DELETE ${kv.key}`));
  const lease = client.lease(5);
  lease.on('lost', (error) => console.log(`lost ${error}`));
  lease.on('keepaliveSucceeded', () => console.log('alive'));
  await lease.put(key).value(value);
  console.log('put');
  console.log(`keys ${(await client.getAll().prefix(prefix).keys()).join(' ')}`);
  const done = await client.if(key, 'Version', '==', 1).then(client.get(key)).else(client.get('none')).commit();
  console.log(`txn ${done.succeeded}`);
  await client.lock('node').ttl(5).do(async () => console.log('locked'));
  await client.put('/microservices/x').value('no JSON').exec().catch((error) => console.log(`refused ${error.message}`));
  process.on('SIGTERM', async () => {
    await lease.revoke();
    await watcher.cancel();
    client.close();
    console.log('stopped');
  });
}

main().catch((error) => console.log(`FAILED ${error.stack}`));
