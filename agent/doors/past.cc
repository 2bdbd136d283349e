// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/past.h"

#include <set>

#include "base/text.h"
#include "base/wall_time.h"

namespace outrider::doors {

std::optional<std::vector<std::string>> labels_meant(std::string_view name,
                                                     const std::vector<std::string>& domains) {
  std::string whole = lowered(name);
  if (whole.ends_with('.')) whole.pop_back();
  if (Endpoint::parse(name) || IpAddress::parse(name) || whole.ends_with(".local"))
    return std::nullopt;
  std::set<std::string> labels;
  const auto add = [&](const std::string& relative) {
    labels.insert(registry::label_of(relative));
    labels.insert(registry::read_name(relative).service);
    for (const std::string& spelling : registry::other_spellings(relative))
      labels.insert(registry::read_name(spelling).service);
  };
  add(whole);
  for (const std::string& domain : domains) {
    if (!whole.ends_with('.' + domain)) continue;
    const std::string relative = whole.substr(0, whole.size() - domain.size() - 1);
    add(relative);
    labels.insert(registry::label_of(registry::read_name(relative).service + '.' + domain));
  }
  return std::vector<std::string>(labels.begin(), labels.end());
}

PastMoment::PastMoment(const Control& control, registry::History::Place place, WallTime when,
                       const std::optional<std::vector<std::string>>& labels)
    : past_(control.history()->past(place, control.registry(), labels)),
      view_{past_.registry, past_.surroundings.host, control.dns(), control.now()} {
  view_.dns.listen = past_.surroundings.listen;
  view_.dns.order = nullptr;  // loads of the past are not known
  view_.now = {view_.now.at - (view_.now.wall - when), when};
}

std::optional<WallTime> parse_moment(std::string_view text, WallTime now) {
  if (const auto ago = parse_duration(text)) return now - *ago;
  return parse_wall_time(text);
}

}  // namespace outrider::doors
