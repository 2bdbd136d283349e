// SPDX-License-Identifier: Apache-2.0
'use strict';

/** What went wrong: `code` for programs, `message` in the agent's own words. */
class OutriderError extends Error {
  /**
   * @param {string} code one of ERR_OUTRIDER_NO_AGENT, _NOT_PERMITTED, _NOT_FOUND, _REFUSED,
   *     _TIMEOUT, _INVALID, _BROKEN
   * @param {string} message
   * @param {{status?: number, cause?: unknown}} [more] `status` is that of the agent's answer
   */
  constructor(code, message, more = {}) {
    super(message, more.cause === undefined ? undefined : {cause: more.cause});
    this.name = 'OutriderError';
    this.code = `ERR_OUTRIDER_${code}`;
    if (more.status !== undefined) this.status = more.status;
  }
}

module.exports = {OutriderError};
