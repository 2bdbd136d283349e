// SPDX-License-Identifier: Apache-2.0
'use strict';

const {OutriderError} = require('./errors.js');

const UNITS_MS = {d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000, ms: 1};

/** Milliseconds of a number of them, or of a text of the configuration such as "10s" or "1m30s". */
function milliseconds(duration) {
  if (typeof duration === 'number' && duration >= 0) return duration;
  const parts = /^(?:\d+(?:ms|[dhms]))+$/.test(duration) ?
      [...String(duration).matchAll(/(\d+)(ms|[dhms])/g)] : [];
  if (parts.length === 0) {
    throw new OutriderError('INVALID',
        `expected milliseconds or a duration such as "10s", not ${JSON.stringify(duration)}`);
  }
  return parts.reduce((sum, [, number, unit]) => sum + Number(number) * UNITS_MS[unit], 0);
}

module.exports = {milliseconds};
