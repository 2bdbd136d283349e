// SPDX-License-Identifier: Apache-2.0
'use strict';

// A service that this program has registered, and its heartbeats.

const {EventEmitter} = require('node:events');
const {milliseconds} = require('./durations.js');
const {OutriderError} = require('./errors.js');

const RETRY_MS = 1_000;        // while no agent answers
const DEFAULT_TTL_MS = 15_000;
const OWN_CHECK = 'program';   // the id of the check that register() adds

/** The service as it is sent to the agent: with a TTL check, unless it has one or wants none. */
function withHeartbeat(service, ttl, health) {
  const checks = service.checks ?? [];
  if (ttl === null || checks.some((check) => check.ttl !== undefined)) return service;
  const own = {ttl: `${milliseconds(ttl ?? DEFAULT_TTL_MS)}ms`, id: OWN_CHECK, initial: health};
  return {...service, checks: [...checks, own]};
}

/**
 * An instance that this program has registered. It is renewed for as long as this object is not
 * deregistered and the process lives, and registered again if the agent has lost it. The heartbeats
 * do not keep the process running. If the process dies, the agent takes the instance out of its
 * answers when the TTL is over, and deregisters it a minute later.
 *
 * Events: `lost` (error: it cannot be renewed; it is tried again), `restored` (its id).
 */
class Registration extends EventEmitter {
  #client;
  #service;
  #health;
  #note = '';
  #beats;           // the TTL checks
  #period;
  #timer;
  #isBegun = false;
  #renewing = Promise.resolve();
  #isLost = false;
  #maintenance;     // {reason} while it is on
  #isDraining = false;
  #abort = new AbortController();

  /** Call Client.register() instead. */
  constructor(client, service, {ttl, health = 'passing'} = {}) {
    super();
    this.#client = client;
    this.#health = health;
    this.#service = withHeartbeat(service, ttl, health);
    this.#beats = (this.#service.checks ?? []).filter((check) => check.ttl !== undefined);
    if (this.#beats.length > 1 && this.#beats.some((check) => !check.id)) {
      throw new OutriderError('INVALID', 'of several TTL checks, each needs an id');
    }
    this.#period = Math.min(...this.#beats.map((check) => milliseconds(check.ttl))) / 3;
    /** The id of the instance. */
    this.id = '';
  }

  get service() {
    return this.#service.name;
  }

  /** Registers the service; Client.register() has awaited it. */
  async begin(options) {
    try {
      await this.#register(options);
    } catch (error) {
      if (this.id) await this.deregister().catch(() => {}); // its first heartbeat has failed
      throw error;
    }
    this.#isBegun = true;
    this.#schedule(this.#period);
    return this;
  }

  /** passing, warning or critical: as the program judges itself. */
  async setHealth(health, note = '') {
    this.#health = health;
    this.#note = note;
    if (this.#beats.length === 0) return this.#client.setHealth(this.id, health, note);
    await this.renew();
  }

  /** Sends the heartbeats now; registers the instance again if the agent does not know it. */
  renew() {
    const renewing = this.#renewing.catch(() => {}).then(async () => {
      try {
        await this.#beat();
      } catch (error) {
        if (error.status !== 404) throw error;
        await this.#register({signal: this.#abort.signal});
      }
    });
    this.#renewing = renewing;
    return renewing;
  }

  /** Maintenance takes the instance out of all answers; `reason` is for people. */
  async setMaintenance(on, reason = '') {
    const done = await this.#client.setMaintenance(this.id, on, reason);
    this.#maintenance = on ? {reason} : undefined;
    return done;
  }

  /** Draining takes it out of all answers, while connections that exist go on. */
  async setDraining(on = true) {
    await this.#client.setDraining(this.id, on);
    this.#isDraining = on;
  }

  /** Ends the heartbeats, and deregisters the instance. Legal twice. */
  async deregister(options) {
    if (this.#abort.signal.aborted) return;
    this.#abort.abort();
    clearTimeout(this.#timer);
    await this.#renewing.catch(() => {});
    try {
      await this.#client.deregister(this.id, options);
    } catch (error) {
      if (error.status !== 404) throw error; // the agent has evicted it
    }
  }

  async #register(options) {
    const body = this.#service.checks === undefined ? this.#service : {...this.#service,
      checks: this.#service.checks.map((check) => (
        check.id === OWN_CHECK ? {...check, initial: this.#health} : check))};
    const answer = await this.#client.request('PUT', '/v1/outrider/register', body, options);
    this.id = answer.registered[0];
    if (this.#isBegun || this.#beats.some((check) => check.id !== OWN_CHECK)) await this.#beat();
    if (this.#maintenance) await this.setMaintenance(true, this.#maintenance.reason);
    if (this.#isDraining) await this.setDraining(true);
  }

  async #beat() {
    const ids = this.#beats.length === 1 ? [this.id] :
      this.#beats.map((check) => `service:${this.id}:${check.id}`);
    for (const id of ids) {
      await this.#client.setHealth(id, this.#health, this.#note, {signal: this.#abort.signal});
    }
  }

  #schedule(milliseconds) {
    if (this.#beats.length === 0 || this.#abort.signal.aborted) return;
    this.#timer = setTimeout(() => this.#onTimer(), milliseconds).unref();
  }

  async #onTimer() {
    let next = this.#period;
    try {
      await this.renew();
      if (this.#isLost) this.emit('restored', this.id);
      this.#isLost = false;
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      next = Math.min(RETRY_MS, this.#period);
      if (!this.#isLost) this.emit('lost', error);
      this.#isLost = true;
    }
    this.#schedule(next);
  }
}

if (Symbol.asyncDispose) {
  Registration.prototype[Symbol.asyncDispose] = Registration.prototype.deregister;
}

module.exports = {Registration};
