// SPDX-License-Identifier: Apache-2.0
'use strict';

// Follows the instances of a service, or of all services, over a stream of server-sent events.

const {EventEmitter} = require('node:events');
const {setTimeout: sleep} = require('node:timers/promises');
const {OutriderError} = require('./errors.js');
const {readEvents} = require('./events.js');
const {targetOf, wants} = require('./filter.js');
const {findSockets} = require('./sockets.js');
const {AGENT_AFTER_MS, OTHER_AGENT_AFTER_MS, noAgent, readText, refusal, send} =
    require('./transport.js');

const SILENCE_MS = 60_000; // the agent sends a comment every 25 s
const SETTLE_MS = 3_000;   // an agent that has just started does not know its neighbours yet
const RETRY_MS = 100;      // after a lost stream; doubled up to the next
const RETRY_MS_MAX = 2_000;

const keyOf = (instance) => `${instance.service}\0${instance.id}`;

/** What does not change when an agent is restarted. */
function fingerprint(instance) {
  const {version, health, served, addresses, port, protocol, tags, metadata, weight} = instance;
  return JSON.stringify([version, health, served, addresses, port, protocol, tags, metadata, weight]);
}

/**
 * The list of instances: whole when there is a first one, and after every change. It is an
 * EventEmitter and an async iterable; an iterator that is slower than the changes gets the latest
 * list. It lives through restarts of the agent, and keeps the process running until it is closed.
 *
 * Events: `instances` (list), `change` ({kind, instance}), `connect` (path of the socket),
 * `disconnect` (error; it connects again by itself), `error` (it has ended), `close`.
 */
class Watch extends EventEmitter {
  #socket;
  #service;
  #filter;
  #abort = new AbortController();
  #known = new Map();       // by keyOf(), all that the agent sent, whether wanted or not
  #last;                    // {socketPath, revision} of the stream to resume
  #hasReported = false;
  #agent;                   // which run of an agent sent the last snapshot
  #settling;                // a timer
  #isIterated = false;
  #unread;                  // the latest list that the iterator has not yielded
  #waiting = [];            // iterators
  #error;

  /** @param {string | undefined} socket @param {string | undefined} service */
  constructor(socket, service, filter = {}) {
    super();
    this.#socket = socket;
    this.#service = service;
    this.#filter = filter;
    const {signal} = filter;
    signal?.addEventListener('abort', () => this.close(), {once: true, signal: this.#abort.signal});
    if (signal?.aborted) this.close();
    // The caller has added listeners by then.
    setImmediate(() => this.#run().catch((error) => this.#fail(error)));
  }

  /** The instances as they are known now. */
  get instances() {
    return [...this.#known.values()].filter((instance) => wants(this.#filter, instance))
        .sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  }

  /** Ends the stream and the iteration. */
  close() {
    if (this.#abort.signal.aborted) return;
    this.#abort.abort();
    clearTimeout(this.#settling);
    this.#wake();
    this.emit('close');
  }

  [Symbol.asyncIterator]() {
    this.#isIterated = true;
    return {
      next: async () => {
        while (!this.#unread && !this.#abort.signal.aborted) {
          await new Promise((resolve) => { this.#waiting.push(resolve); });
        }
        const [value, error] = [this.#unread, this.#error];
        this.#unread = this.#error = undefined;
        if (error) throw error;
        return this.#abort.signal.aborted ? {done: true, value: undefined} : {done: false, value};
      },
      return: async () => {
        this.close();
        return {done: true, value: undefined};
      },
    };
  }

  #wake() {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #fail(error) {
    if (this.#abort.signal.aborted) return;
    if (this.#isIterated) this.#error = error;
    if (!this.#isIterated || this.listenerCount('error') > 0) this.emit('error', error);
    this.close();
  }

  async #run() {
    let wait = RETRY_MS;
    while (!this.#abort.signal.aborted) {
      let error;
      try {
        const {response, socketPath} = await this.#connect();
        this.emit('connect', socketPath);
        wait = RETRY_MS;
        await this.#follow(response, socketPath);
        error = new OutriderError('BROKEN', 'the agent closed the connection');
      } catch (caught) {
        error = caught;
      }
      if (this.#abort.signal.aborted) return;
      const isBusy = error.status === 429 || error.status >= 500;
      if (error.code === 'ERR_OUTRIDER_INVALID' || (error.status && !isBusy)) throw error;
      this.emit('disconnect', error);
      if (this.#abort.signal.aborted) return;
      await sleep(wait * (0.75 + Math.random() / 2), undefined, {signal: this.#abort.signal})
          .catch(() => {}); // closed meanwhile
      wait = Math.min(2 * wait, RETRY_MS_MAX);
    }
  }

  async #connect() {
    const found = findSockets(this.#socket);
    const target = targetOf('/v1/outrider/watch' +
        (this.#service ? `/${encodeURIComponent(this.#service)}` : ''));
    let last;
    for (const [index, socketPath] of found.sockets.entries()) {
      // Revisions are those of one agent.
      const headers = this.#last?.socketPath === socketPath ?
          {'Last-Event-ID': this.#last.revision} : {};
      const another = index + 1 < found.sockets.length;
      const timeout = another ? OTHER_AGENT_AFTER_MS : AGENT_AFTER_MS;
      try {
        const {response, stopTimer} = await send(socketPath, 'GET', target,
            {headers, timeout, signal: this.#abort.signal});
        if (response.statusCode !== 200) {
          throw refusal(response.statusCode, await readText(response));
        }
        stopTimer();
        return {response, socketPath};
      } catch (error) {
        if (error instanceof OutriderError || this.#abort.signal.aborted) throw error;
        last = error;
      }
    }
    throw noAgent(found, last);
  }

  async #follow(response, socketPath) {
    response.socket.setTimeout(SILENCE_MS, () => response.destroy(
        new OutriderError('BROKEN', `nothing heard of the agent for ${SILENCE_MS / 1000} s`)));
    response.setEncoding('utf8');
    for await (const event of readEvents(response)) {
      if (this.#abort.signal.aborted) return;
      if (event?.event === 'snapshot') this.#takeSnapshot(JSON.parse(event.data));
      else if (event?.event === 'change') this.#takeChanges(JSON.parse(event.data).changes);
      else continue;
      if (event.id) this.#last = {socketPath, revision: event.id};
    }
  }

  #takeSnapshot({agent, instances}) {
    const missing = new Map(this.#known);
    const changes = [];
    for (const instance of instances) {
      const key = keyOf(instance);
      const old = missing.get(key);
      missing.delete(key);
      if (!old || fingerprint(old) !== fingerprint(instance)) changes.push({kind: 'added', instance});
      else this.#known.set(key, instance);
    }
    const gone = () => this.#takeChanges([...missing.entries()]
        .filter(([key, instance]) => this.#known.get(key) === instance)
        .map(([, instance]) => ({kind: 'removed', instance})));
    clearTimeout(this.#settling);
    this.#settling = undefined;
    if (agent !== this.#agent && missing.size > 0) this.#settling = setTimeout(gone, SETTLE_MS);
    this.#agent = agent;
    this.#takeChanges(changes);
    if (!this.#settling) gone();
  }

  #takeChanges(changes) {
    let concerns = false;
    for (const {kind, instance} of changes) {
      const key = keyOf(instance);
      const old = this.#known.get(key);
      if (kind === 'removed') this.#known.delete(key);
      else this.#known.set(key, instance);
      concerns = this.#tell(kind, instance, old) || concerns;
    }
    if (concerns) this.#report();
  }

  /** A change as it looks through the filter; false if it does not show. */
  #tell(kind, instance, old) {
    const had = old !== undefined && wants(this.#filter, old);
    const has = kind !== 'removed' && wants(this.#filter, instance);
    if (!had && !has) return false;
    this.emit('change', {kind: had && has ? 'changed' : has ? 'added' : 'removed', instance});
    return true;
  }

  #report() {
    const list = this.instances;
    if (list.length === 0 && !this.#hasReported) return;
    this.#hasReported = true;
    this.#unread = list;
    this.#wake();
    this.emit('instances', list);
  }
}

module.exports = {Watch};
