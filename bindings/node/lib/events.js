// SPDX-License-Identifier: Apache-2.0
'use strict';

/** Yields {event, id, data} for each server-sent event of a stream of text, and null for comments. */
async function* readEvents(pieces) {
  let text = '';
  for await (const piece of pieces) {
    let from = Math.max(0, text.length - 1); // before it, no event ends
    text += piece;
    for (let end; (end = text.indexOf('\n\n', from)) >= 0; from = 0) {
      yield parseEvent(text.slice(0, end));
      text = text.slice(end + 2);
    }
  }
}

function parseEvent(text) {
  const event = {event: 'message', id: undefined, data: []};
  for (const line of text.split('\n')) {
    const colon = line.indexOf(':');
    if (colon <= 0) continue; // a comment
    const value = line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    const field = line.slice(0, colon);
    if (field === 'data') event.data.push(value);
    else if (field === 'event' || field === 'id') event[field] = value;
  }
  return event.data.length === 0 ? null : {...event, data: event.data.join('\n')};
}

module.exports = {readEvents};
