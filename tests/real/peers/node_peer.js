// SPDX-License-Identifier: Apache-2.0
// node_peer.js LIBRARY ADDRESS TYPE LABEL PORT [KEY=VALUE]...: a service, and a browser of its type,
// by bonjour-service, multicast-dns or @homebridge/ciao. Every event is a line of JSON. SIGUSR2: the
// TXT has changed=yes too, where the library lets it change. SIGTERM: its goodbye, and the end.
'use strict';

const os = require('os');

const [library, address, type, label, port, ...pairs] = process.argv.slice(2);
const txt = Object.fromEntries(pairs.map((pair) => {
  const at = pair.indexOf('=');
  return [pair.slice(0, at), pair.slice(at + 1)];
}));
const say = (event, fields) => console.log(JSON.stringify({ event, ...fields }));
const stem = type.slice(1, type.indexOf('.'));

function bonjourService() {
  const bonjour = new (require('bonjour-service').Bonjour)();
  const seen = (service) => ({
    label: service.name, port: service.port, host: service.host, addresses: service.addresses,
    txt: service.txt,
  });
  const browser = bonjour.find({ type: stem });
  browser.on('up', (service) => say('up', seen(service)));
  browser.on('txt-update', (service) => say('up', seen(service)));
  browser.on('down', (service) => say('down', { label: service.name }));
  bonjour.publish({ name: label, type: stem, port: Number(port), txt })
      .on('up', () => say('registered'));
  return () => bonjour.unpublishAll(() => bonjour.destroy(() => process.exit(0)));
}

function ciao() {
  const responder = require('@homebridge/ciao').getResponder({ interface: 'eth0' });
  const service = responder.createService({ name: label, type: stem, port: Number(port), txt });
  service.advertise().then(() => say('registered'));
  process.on('SIGUSR2', () => service.updateTxt({ ...txt, changed: 'yes' }));
  return () => responder.shutdown().then(() => process.exit(0));
}

// A library of datagrams: the service and the browser are made here, as its users make them. One
// datagram has all of an instance, or it is not there.
function multicastDns() {
  const mdns = require('multicast-dns')();
  const [owner, host] = [`${type}.local`, `${os.hostname()}-node.local`];
  const instance = `${label}.${owner}`;
  const records = (ttl) => [
    { name: owner, type: 'PTR', ttl, data: instance },
    { name: instance, type: 'SRV', ttl, data: { port: Number(port), target: host } },
    { name: instance, type: 'TXT', ttl, data: pairs },
    { name: host, type: 'A', ttl, data: address },
  ];
  mdns.on('query', (query) => {
    const wanted = (question) => records(120).some((record) => record.name === question.name);
    if (query.questions.some(wanted)) mdns.respond(records(120));
  });
  mdns.on('response', (response) => {
    const all = [...response.answers, ...response.additionals];
    for (const ptr of all.filter((record) => record.type === 'PTR' && record.name === owner)) {
      const name = ptr.data.slice(0, -owner.length - 1);
      if (ptr.ttl === 0) {
        say('down', { label: name });
        continue;
      }
      const of = (rtype, at) => all.find((record) => record.type === rtype && record.name === at);
      const [srv, text] = [of('SRV', ptr.data), of('TXT', ptr.data)];
      const a = srv && of('A', srv.data.target);
      if (!text || !a) continue;
      const strings = text.data.map((string) => string.toString().split(/=(.*)/s).slice(0, 2));
      say('up', {
        label: name, port: srv.data.port, host: srv.data.target, addresses: [a.data],
        txt: Object.fromEntries(strings),
      });
    }
  });
  mdns.on('ready', () => {
    mdns.query(owner, 'PTR');
    mdns.respond(records(120), () => say('registered'));
  });
  process.on('SIGUSR2', () => {
    pairs.push('changed=yes');
    mdns.respond(records(120));
  });
  return () => mdns.respond(records(0), () => mdns.destroy(() => process.exit(0)));
}

const libraries = {
  'bonjour-service': bonjourService,
  'multicast-dns': multicastDns,
  '@homebridge/ciao': ciao,
};
process.on('SIGTERM', libraries[library]());
