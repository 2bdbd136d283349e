// SPDX-License-Identifier: Apache-2.0
'use strict';

/** A filter as parameters of the API. */
function parametersOf({prefix, version, tags = [], metadata = {}, healthy, passing} = {}) {
  const parameters = [];
  if (prefix !== undefined) parameters.push(['prefix', prefix]);
  if (version !== undefined) parameters.push(['version', version]);
  for (const tag of tags) parameters.push(['tag', tag]);
  for (const [key, value] of Object.entries(metadata)) {
    parameters.push(['metadata', `${key}=${value}`]);
  }
  if (healthy) parameters.push(['healthy', 'true']);
  if (passing) parameters.push(['passing', 'true']);
  return parameters;
}

/** Path and query. */
function targetOf(path, parameters = []) {
  const query = parameters
      .filter(([, value]) => value !== undefined)
      .map(([key, value]) => `${key}=${encodeURIComponent(value)}`).join('&');
  return query ? `${path}?${query}` : path;
}

/** Whether an instance of a stream, which the agent does not filter, is one that is asked for. */
function wants({version, tags = [], metadata = {}, healthy, passing}, instance) {
  return (!version || instance.version === version)
      && tags.every((tag) => instance.tags.includes(tag))
      && Object.entries(metadata).every(([key, value]) => instance.metadata[key] === String(value))
      && (!(healthy || passing) || instance.served)
      && (!passing || instance.health === 'passing');
}

module.exports = {parametersOf, targetOf, wants};
