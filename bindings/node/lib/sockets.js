// SPDX-License-Identifier: Apache-2.0
'use strict';

// Where agents keep their sockets. The rules are those of the command outrider(1): the option, else
// $OUTRIDER_API_SOCKET, else the runtime directory of this user, /run/outrider, and the folders of
// /run/outrider, in this order.

const fs = require('node:fs');
const path = require('node:path');
const {OutriderError} = require('./errors.js');

const SYSTEM_DIR = '/run/outrider';
const SOCKETS_MAX = 64;      // agent.sock, agent-2.sock, ... in a directory
const NAMED_AGENTS_MAX = 64; // folders of SYSTEM_DIR

/** The directory of this user's agents. */
function runtimeDir(env = process.env) {
  // systemd lists several directories with colons; the first is the agent's.
  if (env.RUNTIME_DIRECTORY) return env.RUNTIME_DIRECTORY.split(':')[0];
  const user = env.XDG_RUNTIME_DIR;
  if (user && !isOfAnotherUser(user)) return `${user}/outrider`;
  if (process.geteuid() === 0) return SYSTEM_DIR;
  return `/tmp/outrider-${process.geteuid()}`;
}

function isOfAnotherUser(file) {
  try {
    return fs.statSync(file).uid !== process.geteuid();
  } catch {
    return false;
  }
}

/** In /tmp anyone can make the directory of another user, and play this user's agent in it. */
function whyDistrusted(dir) {
  let info;
  try {
    info = fs.lstatSync(dir);
  } catch {
    return '';
  }
  if (info.isSymbolicLink()) return 'is a symbolic link';
  if (!info.isDirectory()) return 'is not a directory';
  if (info.uid !== 0 && info.uid !== process.geteuid()) {
    return `belongs to the user with id ${info.uid}`;
  }
  if (info.mode & 0o002) return 'is writable for all users';
  return info.mode & 0o020 ? 'is writable for its group' : '';
}

function lookInto(dir, found) {
  for (let number = 1; number <= SOCKETS_MAX; ++number) {
    const file = `${dir}/agent${number < 2 ? '' : `-${number}`}.sock`;
    try {
      if (fs.statSync(file, {throwIfNoEntry: false})?.isSocket()) found.sockets.push(file);
    } catch (error) {
      if (error.code === 'EACCES') {
        found.closed.push(dir);
        return;
      }
    }
  }
}

function foldersOf(dir) {
  try {
    return fs.readdirSync(dir, {withFileTypes: true})
        .filter((entry) => entry.isDirectory()).map((entry) => entry.name)
        .sort().slice(0, NAMED_AGENTS_MAX);
  } catch {
    return [];
  }
}

/**
 * The sockets to try in turn, the directories that this user may not enter, and why the agents of
 * this user are not used, if so.
 * @param {string} [given] the option `socket`
 * @returns {{sockets: string[], closed: string[], passedOver?: string}}
 */
function findSockets(given, env = process.env) {
  // A leading '@' would mean an abstract socket, which anybody may have made.
  if (given) return {sockets: [given.startsWith('@') ? `./${given}` : given], closed: []};
  const variable = env.OUTRIDER_API_SOCKET;
  if (variable?.startsWith('/')) return {sockets: [variable], closed: []};
  // The variable is an option of the agent, too, whose other values name no socket.
  if (variable && variable !== 'auto' && variable !== 'off') {
    throw new OutriderError('INVALID',
        `OUTRIDER_API_SOCKET: expected an absolute path, not "${variable}"`);
  }
  const found = {sockets: [], closed: []};
  const own = runtimeDir(env);
  // What is below SYSTEM_DIR, root has made for the user of the host's agents.
  const why = `${own}/`.startsWith(`${SYSTEM_DIR}/`) ? '' : whyDistrusted(own);
  if (why) found.passedOver = `agents in ${own} are not used: that directory ${why}`;
  else lookInto(own, found);
  if (own !== SYSTEM_DIR) lookInto(SYSTEM_DIR, found);
  for (const name of foldersOf(SYSTEM_DIR)) {
    const dir = path.join(SYSTEM_DIR, name);
    if (dir !== own) lookInto(dir, found);
  }
  return found;
}

module.exports = {findSockets, runtimeDir};
