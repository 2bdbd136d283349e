// SPDX-License-Identifier: Apache-2.0
// node serve.js [NAME]: serves HTTP on a free port, and registers itself until it is stopped.
'use strict';

const http = require('node:http');
const os = require('node:os');
const {Client} = require('outrider');

const name = process.argv[2] ?? 'hello';

const server = http.createServer((request, response) => {
  response.end(`Hello from ${os.hostname()}, process ${process.pid}.\n`);
});

server.listen(0, async () => {
  const {port} = server.address();
  const registration = await new Client().register({name, port, metadata: {language: 'node'}});
  registration.on('lost', (error) => console.log(`not renewed: ${error.message}`));
  registration.on('restored', (id) => console.log(`registered again: ${id}`));
  console.log(`registered: ${registration.id}`);

  const stop = async () => {
    await registration.deregister(); // first, so that clients are not sent here any more
    server.close();
    server.closeIdleConnections();
    console.log('deregistered');
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
});
