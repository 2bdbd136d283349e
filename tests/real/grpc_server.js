// SPDX-License-Identifier: Apache-2.0
// grpc_server.js PORT: grpc.health.v1 by @grpc/grpc-js and grpc-health-check, as Node services have
// it: "" and "orders" serve, "stock" does not.
const grpc = require('@grpc/grpc-js');
const { HealthImplementation } = require('grpc-health-check');

const server = new grpc.Server();
new HealthImplementation({ '': 'SERVING', orders: 'SERVING', stock: 'NOT_SERVING' })
    .addToServer(server);
server.bindAsync(`127.0.0.1:${process.argv[2]}`, grpc.ServerCredentials.createInsecure(), () => {
  console.log('listening');
});
