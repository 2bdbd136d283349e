// SPDX-License-Identifier: Apache-2.0
// node find.js [NAME]: waits for a service, calls it, and then prints its instances as they change.
'use strict';

const {Client} = require('outrider');

const name = process.argv[2] ?? 'hello';

async function main() {
  const client = new Client();
  await client.wait(name, {timeout: '30s'});
  const url = await client.url(name, {strategy: 'p2c'});
  console.log(`${url}: ${(await (await fetch(url)).text()).trim()}`);

  for await (const instances of client.watch(name, {healthy: true})) {
    console.log(`${name}: ${instances.map(({id}) => id).join(' ') || 'nobody'}`);
  }
}

main().catch((error) => {
  console.error(`${error.code}: ${error.message}`);
  process.exitCode = 1;
});
