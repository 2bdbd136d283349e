// SPDX-License-Identifier: Apache-2.0
#include "dns/waiting.h"

#include <utility>

namespace outrider::dns {
namespace {

std::vector<std::uint8_t> copy_of(const Query& query) {
  return {query.message.begin(), query.message.end()};
}

}  // namespace

WaitingQueries::Place WaitingQueries::add(const Query& query, const ReturnPath& path) {
  return entries_.insert(entries_.end(), Entry{path, copy_of(query), nullptr});
}

WaitingQueries::Entry WaitingQueries::take(Place place) {
  Entry entry = std::move(*place);
  entries_.erase(place);
  return entry;
}

void HeldQueries::hold(const Query& query, const ReturnPath& path, Duration time) {
  const Place place = entries_.insert(entries_.end(), Entry{path, copy_of(query), Timer()});
  place->timer = env_.after(time, [this, place] { release(place); });
}

void HeldQueries::release(Place place) {
  const Entry entry = std::move(*place);
  entries_.erase(place);
  sink_.on_released(entry.message, entry.path);
}

void HeldQueries::recheck_soon() {
  if (entries_.empty() || recheck_.pending()) return;
  recheck_ = env_.after(Duration::zero(), [this] { recheck(); });
}

void HeldQueries::recheck() {
  for (auto place = entries_.begin(); place != entries_.end();) {
    const Place at = place++;
    Query query;
    if (query.parse(at->message) == QueryFault::none && sink_.is_answerable(query)) release(at);
  }
}

void HeldQueries::release_all() {
  while (!entries_.empty())
    release(entries_.begin());
}

}  // namespace outrider::dns
