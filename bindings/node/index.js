// SPDX-License-Identifier: Apache-2.0
'use strict';

const {Client} = require('./lib/client.js');
const {OutriderError} = require('./lib/errors.js');
const {Registration} = require('./lib/registration.js');
const {Watch} = require('./lib/watch.js');

module.exports = {Client, OutriderError, Registration, Watch};
