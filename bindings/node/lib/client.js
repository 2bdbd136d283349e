// SPDX-License-Identifier: Apache-2.0
'use strict';

const {milliseconds} = require('./durations.js');
const {OutriderError} = require('./errors.js');
const {parametersOf, targetOf} = require('./filter.js');
const {Registration} = require('./registration.js');
const {ask} = require('./transport.js');
const {Watch} = require('./watch.js');

const VERBS = {passing: 'pass', warning: 'warn', critical: 'fail'};
const WAIT_MS = 30_000;

const segment = encodeURIComponent;

/**
 * The agent of this host. It has no state and needs no closing: each call looks for the agent
 * anew, so that the agent may be restarted at any time. Every call takes `signal`, an AbortSignal.
 */
class Client {
  #socket;

  /** @param {{socket?: string}} [options] `socket`: path; default: as outrider(1) finds it */
  constructor({socket} = {}) {
    this.#socket = socket;
  }

  /** Any request of outrider-api(7); resolves to the answer, parsed if it is an object. */
  request(method, target, body, {signal} = {}) {
    return ask(this.#socket, method, target,
        {signal, body: body === undefined ? undefined : JSON.stringify(body)});
  }

  /**
   * Registers a service, and renews it until it is deregistered or the process ends.
   * @param {object} service a service as in outrider.json(5)
   * @param {object} [options] `ttl`: how long it is served without a heartbeat, in milliseconds or
   *     as text, default "15s", null: for ever; `health`: at the beginning, default passing
   */
  async register(service, options = {}) {
    return new Registration(this, service, options).begin({signal: options.signal});
  }

  deregister(id, options) {
    return this.request('PUT', `/v1/outrider/deregister/${segment(id)}`, undefined, options);
  }

  /** A heartbeat of an instance with one TTL check, or of a check that /v1/outrider/checks lists. */
  async setHealth(id, health, note = '', options = {}) {
    if (!Object.hasOwn(VERBS, health)) {
      throw new OutriderError('INVALID',
          `health must be passing, warning or critical, not ${JSON.stringify(health)}`);
    }
    const path = `/v1/outrider/check/${VERBS[health]}/${segment(id)}`;
    return this.request('PUT', targetOf(path, [['note', note || undefined]]), undefined, options);
  }

  setMaintenance(id, on, reason = '', options = {}) {
    const path = `/v1/outrider/maintenance/${segment(id)}`;
    const parameters = [['enable', Boolean(on)], ['reason', reason || undefined]];
    return this.request('PUT', targetOf(path, parameters), undefined, options);
  }

  setDraining(id, on = true, options = {}) {
    const path = `/v1/outrider/drain/${segment(id)}`;
    return this.request('PUT', targetOf(path, [['enable', Boolean(on)]]), undefined, options);
  }

  /** The instances of a service; none if it is unknown. */
  async get(service, filter = {}) {
    try {
      const path = `/v1/outrider/instances/${segment(service)}`;
      const {signal} = filter;
      const answer = await this.request('GET', targetOf(path, parametersOf(filter)), undefined,
          {signal});
      return answer.instances;
    } catch (error) {
      if (error.status === 404) return [];
      throw error;
    }
  }

  /** All services, with counts of their instances. */
  async list(filter = {}) {
    const {signal} = filter;
    const target = targetOf('/v1/outrider/services', parametersOf(filter));
    return (await this.request('GET', target, undefined, {signal})).services;
  }

  /** All instances, and the revision of the list. */
  snapshot(filter = {}) {
    const {signal} = filter;
    return this.request('GET', targetOf('/v1/outrider/instances', parametersOf(filter)), undefined,
        {signal});
  }

  /** One healthy instance, by a strategy; rejects with the reason if there is none. */
  async select(service, {strategy, key, signal, ...filter} = {}) {
    const {prefix, healthy, ...rest} = filter; // it is always a healthy one of this service
    const parameters = [['strategy', strategy], ['key', key], ...parametersOf(rest)];
    const target = targetOf(`/v1/outrider/select/${segment(service)}`, parameters);
    return this.request('GET', target, undefined, {signal});
  }

  /** The URL of one healthy instance: `scheme`, by default its protocol, and its endpoint. */
  async url(service, {scheme, ...options} = {}) {
    const {endpoint, url} = await this.select(service, options);
    return scheme === undefined ? url : `${scheme}://${endpoint}`;
  }

  /** Follows a service, or all services if none is named. */
  watch(service, filter = {}) {
    return new Watch(this.#socket, service, filter);
  }

  /** Waits for healthy instances; resolves to them. */
  async wait(service, {count = 1, timeout = WAIT_MS, signal, ...filter} = {}) {
    const limit = milliseconds(timeout);
    const watch = this.watch(service, {healthy: true, ...filter, signal});
    let disconnected;
    watch.on('disconnect', (error) => { disconnected = error; });
    watch.on('connect', () => { disconnected = undefined; });
    const timer = setTimeout(() => watch.close(), limit);
    try {
      for await (const instances of watch) {
        if (instances.length >= count) return instances;
      }
    } finally {
      clearTimeout(timer);
      watch.close();
    }
    signal?.throwIfAborted();
    const summary = disconnected?.message ??
        await this.why(service).then((answer) => answer.summary, (error) => error.message);
    throw new OutriderError('TIMEOUT', `${watch.instances.length} of ${count} healthy instances ` +
        `of "${service}" after ${limit / 1000} s: ${summary}`, {cause: disconnected});
  }

  /** Why DNS answers for a name what it answers; `at`: a moment of the past. */
  why(name, {at, signal} = {}) {
    const target = targetOf(`/v1/outrider/why/${segment(name)}`, [['at', at]]);
    return this.request('GET', target, undefined, {signal});
  }

  /** The FARP manifest of a registration of the agent; without an id, of its only one. */
  manifest(id, {signal} = {}) {
    const target = targetOf('/v1/outrider/farp/manifest', [['id', id]]);
    return this.request('GET', target, undefined, {signal});
  }
}

module.exports = {Client};
