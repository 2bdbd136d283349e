// SPDX-License-Identifier: Apache-2.0
'use strict';

// Requests to the agents of this host over their Unix sockets.

const http = require('node:http');
const {getSystemErrorMap} = require('node:util');
const {OutriderError} = require('./errors.js');
const {findSockets} = require('./sockets.js');

const OTHER_AGENT_AFTER_MS = 2_000; // a suspended agent holds its socket and never answers
const AGENT_AFTER_MS = 30_000;      // where there is no other agent to ask

const CODES = {403: 'NOT_PERMITTED', 404: 'NOT_FOUND'};

/** The error of an answer of 400 and above. */
function refusal(status, body) {
  let text = body.trim();
  try {
    text = JSON.parse(body).error ?? text;
  } catch {
    // An answer of plain text is the reason itself.
  }
  return new OutriderError(CODES[status] ?? 'REFUSED', text || `HTTP ${status}`, {status});
}

/** The error for when no agent could be asked; `last` is what the last socket said. */
function noAgent(found, last) {
  if (last === undefined && found.closed.length === 0) {
    if (found.passedOver) {
      return new OutriderError('NO_AGENT', `no other agent is running; ${found.passedOver}`);
    }
    return new OutriderError('NO_AGENT', 'no agent is running; start one with: outrider agent');
  }
  if (last === undefined || last.code === 'EACCES' || last.code === 'EPERM') {
    const where = last?.address ?? found.closed[0];
    return new OutriderError('NOT_PERMITTED', `not permitted to use the agent in ${where}; ` +
        'join the group of that file, or ask its owner', {cause: last});
  }
  return new OutriderError('NO_AGENT',
      `no agent answers on ${last.address ?? found.sockets[0]}: ` +
          (getSystemErrorMap().get(last.errno)?.[1] ?? last.message), {cause: last});
}

/** Sends a request; resolves to node's response once its head is there. */
function send(socketPath, method, target, {body, headers, timeout, signal}) {
  return new Promise((resolve, reject) => {
    const request = http.request({socketPath, method, path: target, agent: false, signal, headers: {
      Host: 'agent',
      ...(body === undefined ? {} : {
        'Content-Type': 'application/json',
        'Content-Length': Buffer.byteLength(body),
      }),
      ...headers,
    }});
    let response;
    const timer = setTimeout(() => {
      (response ?? request).destroy(Object.assign(new Error(`no answer in ${timeout / 1000} s`),
          {code: 'ETIMEDOUT', address: socketPath}));
    }, timeout);
    request.on('error', (error) => {
      clearTimeout(timer);
      error.address ??= socketPath;
      reject(error);
    });
    request.on('response', (begun) => {
      response = begun;
      response.once('close', () => clearTimeout(timer));
      resolve({response, stopTimer: () => clearTimeout(timer)});
    });
    request.end(body);
  });
}

async function readText(response) {
  response.setEncoding('utf8');
  let text = '';
  for await (const piece of response) text += piece;
  return text;
}

/** A file of an agent that has ended, or an agent that is not ours to use: another may be there. */
function isAboutThisSocket(error) {
  return ['ECONNREFUSED', 'ENOENT', 'EACCES', 'EPERM', 'ENOTSOCK', 'ECONNRESET', 'EPIPE']
      .includes(error.code);
}

/**
 * Asks the agents in turn, and resolves to the first answer, parsed. A question goes to the next
 * agent if one does not answer; a change goes to the next one only if an agent cannot be reached or
 * does not know what is to be changed.
 */
async function ask(given, method, target, {body, signal} = {}) {
  const found = findSockets(given);
  let last;
  let notFound;
  for (const [index, socketPath] of found.sockets.entries()) {
    const isQuestion = method === 'GET';
    const another = isQuestion && index + 1 < found.sockets.length;
    const timeout = another ? OTHER_AGENT_AFTER_MS : AGENT_AFTER_MS;
    try {
      const {response} = await send(socketPath, method, target, {body, timeout, signal});
      const text = await readText(response);
      const isAnswer = response.statusCode < 400 ||
          // The explanation of an unknown name is one, too.
          response.statusCode === 404 && text.startsWith('{') && JSON.parse(text).summary;
      if (isAnswer) return text.startsWith('{') ? JSON.parse(text) : text;
      const error = refusal(response.statusCode, text);
      if (isQuestion || response.statusCode !== 404) throw error;
      notFound ??= error;
    } catch (error) {
      if (error instanceof OutriderError) throw error;
      if (signal?.aborted) throw signal.reason;
      last = error;
      if (!(another && error.code === 'ETIMEDOUT') && !isAboutThisSocket(error)) break;
    }
  }
  throw notFound ?? noAgent(found, last);
}

module.exports = {AGENT_AFTER_MS, OTHER_AGENT_AFTER_MS, ask, noAgent, readText, refusal, send};
