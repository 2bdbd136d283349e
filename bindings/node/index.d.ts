// SPDX-License-Identifier: Apache-2.0
/// <reference types="node" />

import {EventEmitter} from 'node:events';

/** Milliseconds, or a text such as "10s" or "1m30s". */
export type Duration = number | string;
export type Health =
    'starting' | 'passing' | 'warning' | 'critical' | 'draining' | 'maintenance';
/** How a program judges itself. */
export type OwnHealth = 'passing' | 'warning' | 'critical';
export type Strategy =
    'round_robin' | 'random' | 'weighted' | 'least_connections' | 'p2c' | 'consistent_hash';

/** A check as in outrider.json(5), which lists all its keys. */
export interface CheckSpec {
  http?: string;
  tcp?: string;
  grpc?: string;
  ttl?: string;
  alias?: string;
  id?: string;
  interval?: string;
  timeout?: string;
  deregister_critical_after?: string;
  [key: string]: unknown;
}

/** A service as in outrider.json(5). */
export interface Service {
  name: string;
  id?: string;
  version?: string;
  port?: number;
  address?: string[];
  protocol?: string;
  tags?: string[];
  subtypes?: string[];
  metadata?: Record<string, string>;
  weight?: number;
  scope?: 'auto' | 'lan' | 'host';
  local_name?: boolean;
  checks?: CheckSpec[];
  farp?: Record<string, unknown>;
}

export interface CheckState {
  id: string;
  name: string;
  kind: string;
  health: string;
  output: string;
  since: string;
}

/** One endpoint of a service, as /openapi.json describes it. */
export interface Instance {
  id: string;
  service: string;
  version: string;
  health: Health;
  /** Whether DNS may answer with it. */
  served: boolean;
  addresses: string[];
  port: number;
  protocol: string;
  tags: string[];
  subtypes?: string[];
  metadata: Record<string, string>;
  weight: number;
  scope: string;
  /** "own": registered with this agent. */
  source: string;
  this_host: boolean;
  /** Its source does not answer. */
  stale: boolean;
  shadowed: boolean;
  limit?: string;
  advice?: string;
  /** Its name in .local, while it has one. */
  local_name?: string;
  maintenance_reason?: string;
  seen_at: Array<Record<string, unknown>>;
  checks: CheckState[];
  registered: string;
  changed: string;
  revision: number;
}

export interface ServiceSummary {
  name: string;
  /** Its name in DNS. */
  label: string;
  instances: number;
  served: number;
  this_host: number;
  tags: string[];
}

export interface Selection {
  service: string;
  strategy: Strategy;
  candidates: number;
  /** ADDRESS:PORT */
  endpoint: string;
  /** PROTOCOL://ADDRESS:PORT */
  url: string;
  connections?: number;
  rtt_ms?: number;
  instance: Instance;
}

export interface Explanation {
  service: string;
  known: boolean;
  at: string;
  summary: string;
  dns: Array<{name: string; answer: string; ttl: string; [key: string]: unknown}>;
  listen: string[];
  instances: Array<{
    id: string; in_answer: boolean; reason: string; place: string; instance: Instance;
    probes: Array<Record<string, unknown>>; copies: Array<Record<string, unknown>>;
  }>;
}

export interface Change {
  kind: 'added' | 'changed' | 'removed';
  instance: Instance;
}

export interface CallOptions {
  signal?: AbortSignal;
}

export interface Filter extends CallOptions {
  version?: string;
  /** Instances with all of these. */
  tags?: string[];
  metadata?: Record<string, string>;
  /** Only those that DNS may answer with: passing or warning, with an address. */
  healthy?: boolean;
  passing?: boolean;
}

export interface ListFilter extends Filter {
  /** Only services whose name begins with this text. */
  prefix?: string;
}

export interface SelectOptions extends Filter {
  /** Default: round_robin. */
  strategy?: Strategy;
  /** What consistent_hash hashes, such as a user's id. */
  key?: string;
}

export interface RegisterOptions extends CallOptions {
  /** How long it is served without a heartbeat; default "15s", null: for ever. */
  ttl?: Duration | null;
  /** At the beginning; default: passing. */
  health?: OwnHealth;
}

export interface Done {
  /** What the caller may not expect of the change. */
  note?: string;
}

export class OutriderError extends Error {
  constructor(code: string, message: string, more?: {status?: number; cause?: unknown});
  readonly code: 'ERR_OUTRIDER_NO_AGENT' | 'ERR_OUTRIDER_NOT_PERMITTED' |
      'ERR_OUTRIDER_NOT_FOUND' | 'ERR_OUTRIDER_REFUSED' | 'ERR_OUTRIDER_TIMEOUT' |
      'ERR_OUTRIDER_INVALID' | 'ERR_OUTRIDER_BROKEN';
  /** That of the agent's answer. */
  readonly status?: number;
}

/** An instance that this program has registered; made by Client.register(). */
export class Registration extends EventEmitter {
  private constructor();
  readonly id: string;
  readonly service: string;
  setHealth(health: OwnHealth, note?: string): Promise<void>;
  /** Sends the heartbeats now; registers the instance again if the agent does not know it. */
  renew(): Promise<void>;
  setMaintenance(on: boolean, reason?: string): Promise<Done>;
  setDraining(on?: boolean): Promise<void>;
  deregister(options?: CallOptions): Promise<void>;
  on(event: 'lost', listener: (error: Error) => void): this;
  on(event: 'restored', listener: (id: string) => void): this;
}

/** The list of instances of a service, as it changes; made by Client.watch(). */
export class Watch extends EventEmitter implements AsyncIterable<Instance[]> {
  private constructor();
  readonly instances: Instance[];
  close(): void;
  [Symbol.asyncIterator](): AsyncIterator<Instance[]>;
  on(event: 'instances', listener: (instances: Instance[]) => void): this;
  on(event: 'change', listener: (change: Change) => void): this;
  on(event: 'connect', listener: (socketPath: string) => void): this;
  on(event: 'disconnect' | 'error', listener: (error: Error) => void): this;
  on(event: 'close', listener: () => void): this;
}

/** The agent of this host. */
export class Client {
  constructor(options?: {socket?: string});
  request(method: string, target: string, body?: unknown, options?: CallOptions): Promise<any>;
  register(service: Service, options?: RegisterOptions): Promise<Registration>;
  deregister(id: string, options?: CallOptions): Promise<Done>;
  setHealth(id: string, health: OwnHealth, note?: string, options?: CallOptions): Promise<Done>;
  setMaintenance(id: string, on: boolean, reason?: string, options?: CallOptions): Promise<Done>;
  setDraining(id: string, on?: boolean, options?: CallOptions): Promise<Done>;
  get(service: string, filter?: Filter): Promise<Instance[]>;
  list(filter?: ListFilter): Promise<ServiceSummary[]>;
  snapshot(filter?: ListFilter): Promise<{revision: number; instances: Instance[]}>;
  select(service: string, options?: SelectOptions): Promise<Selection>;
  url(service: string, options?: SelectOptions & {scheme?: string}): Promise<string>;
  watch(service?: string, filter?: Filter): Watch;
  wait(service: string,
      options?: Filter & {count?: number; timeout?: Duration}): Promise<Instance[]>;
  why(name: string, options?: CallOptions & {at?: string}): Promise<Explanation>;
  manifest(id?: string, options?: CallOptions): Promise<Record<string, unknown>>;
}
