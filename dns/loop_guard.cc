// SPDX-License-Identifier: Apache-2.0
#include "dns/loop_guard.h"

#include <algorithm>
#include <set>

namespace outrider::dns {
namespace {

/// The longest domain that holds both.
Name common_domain(const Name& a, const Name& b) {
  Name domain = a;
  while (!b.is_under(domain))
    domain = domain.parent();
  return domain;
}

std::string_view top_label(const Name& name) {
  return name.is_root() ? std::string_view() : name.label(name.label_count() - 1);
}

}  // namespace

void LoopGuard::put(std::vector<Mark>& marks, std::size_t most, const Name& name, TimePoint until) {
  std::erase_if(marks, [&name](const Mark& mark) { return mark.name == name; });
  if (marks.size() >= most) marks.erase(marks.begin());
  marks.push_back({name, until});
}

/// The smallest domain that `name` and one of the other names that came back have in common.
std::optional<Name> LoopGuard::proven(const Name& name) const {
  Name best;
  std::set<std::string, std::less<>> tops = {std::string(top_label(name))};
  for (const auto* marks : {&returned_, &looping_}) {
    for (const Mark& mark : *marks) {
      if (mark.name == name) continue;
      tops.emplace(top_label(mark.name));
      Name common = common_domain(name, mark.name);
      if (common.label_count() > best.label_count()) best = std::move(common);
    }
  }
  if (best.is_root() && tops.size() < kLoopTopDomainsMin) return std::nullopt;
  return best;
}

std::optional<Name> LoopGuard::on_return(const Name& cased, TimePoint now) {
  const Name name = cased.lowercase();
  const auto over = [now](const Mark& mark) { return mark.until <= now; };
  std::erase_if(returned_, over);
  std::erase_if(looping_, over);
  const auto domain = refuses(name, now) ? std::nullopt : proven(name);
  put(returned_, kLoopNamesMax, name, now + kLoopPause);
  if (!domain) return std::nullopt;
  std::erase_if(looping_, [&domain](const Mark& mark) { return mark.name.is_under(*domain); });
  put(looping_, kLoopDomainsMax, *domain, now + kLoopPause);
  return domain;
}

bool LoopGuard::refuses(const Name& name, TimePoint now) const {
  return std::ranges::any_of(
      looping_, [&](const Mark& mark) { return mark.until > now && name.is_under(mark.name); });
}

void LoopGuard::clear() {
  returned_.clear();
  looping_.clear();
}

}  // namespace outrider::dns
