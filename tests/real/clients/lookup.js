// SPDX-License-Identifier: Apache-2.0
// lookup.js NAME...: as lookup.c; 4 and 6 by c-ares (dns.resolve4, resolve6), any by getaddrinfo (dns.lookup), names with
// an underscore by resolveSrv.
'use strict';
const dns = require('node:dns').promises;

const ways = {
  4: (name) => dns.resolve4(name),
  6: (name) => dns.resolve6(name),
  any: async (name) => (await dns.lookup(name, { all: true })).map((found) => found.address),
  srv: async (name) => (await dns.resolveSrv(name)).map((found) => `${found.name}:${found.port}`),
};

async function lookUp(name, which) {
  const begun = Date.now();
  let texts;
  try {
    texts = await ways[which](name);
  } catch (failed) {
    texts = ['!', failed.code];
  }
  console.log([name, which, Date.now() - begun, ...texts].join(' '));
}

(async () => {
  for (const name of process.argv.slice(2)) {
    for (const which of name.startsWith('_') ? ['srv'] : ['4', '6', 'any']) await lookUp(name, which);
  }
})();
