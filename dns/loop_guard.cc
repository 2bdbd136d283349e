// SPDX-License-Identifier: Apache-2.0
#include "dns/loop_guard.h"

#include <algorithm>
#include <set>

#include "dns/rebinding.h"

namespace outrider::dns {
namespace {

/// The longest domain that holds both.
Name common_domain(const Name& a, const Name& b) {
  Name domain = a;
  while (!b.is_under(domain))
    domain = domain.parent();
  return domain;
}

/// What is below the root, a public top-level domain or the tree of reverse names has nothing to do
/// with each other.
bool is_wide(const Name& domain) {
  static const Name kArpa = *Name::parse("arpa");
  return !may_be_excepted(domain) || (domain.label_count() == 2 && domain.is_under(kArpa));
}

/// The label of `name` below `domain`.
std::string_view branch(const Name& name, const Name& domain) {
  return name.label_count() == domain.label_count()
             ? std::string_view()
             : name.label(name.label_count() - domain.label_count() - 1);
}

}  // namespace

void LoopGuard::put(std::vector<Mark>& marks, std::size_t most, const Name& name, TimePoint until) {
  std::erase_if(marks, [&name](const Mark& mark) { return mark.name == name; });
  if (marks.size() >= most) marks.erase(marks.begin());
  marks.push_back({name, until});
}

bool LoopGuard::has_answered(const Name& domain, TimePoint now) const {
  return std::ranges::any_of(
      answered_, [&](const Mark& mark) { return mark.until > now && mark.name.is_under(domain); });
}

/// Whether what came back shows that all of `domain` loops, which holds `name` and another of them.
bool LoopGuard::is_proof_for(const Name& domain, const Name& name) const {
  if (!is_wide(domain)) return true;
  std::set<std::string, std::less<>> branches = {std::string(branch(name, domain))};
  for (const auto* marks : {&returned_, &looping_})
    for (const Mark& mark : *marks)
      if (mark.name.is_under(domain)) branches.emplace(branch(mark.name, domain));
  return branches.size() >= kLoopBranchesMin;
}

/// The smallest domain that `name` and one of the other names that came back have in common, if
/// nothing speaks against it.
std::optional<Name> LoopGuard::proven(const Name& name, TimePoint now) const {
  std::optional<Name> best;
  for (const auto* marks : {&returned_, &looping_}) {
    for (const Mark& mark : *marks) {
      if (mark.name == name) continue;
      Name common = common_domain(name, mark.name);
      if (best && common.label_count() <= best->label_count()) continue;
      if (!has_answered(common, now) && is_proof_for(common, name)) best = std::move(common);
    }
  }
  return best;
}

std::optional<Name> LoopGuard::on_return(const Name& cased, TimePoint now) {
  const Name name = cased.lowercase();
  const auto over = [now](const Mark& mark) { return mark.until <= now; };
  std::erase_if(returned_, over);
  std::erase_if(looping_, over);
  const auto domain = refuses(name, now) ? std::nullopt : proven(name, now);
  put(returned_, kLoopNamesMax, name, now + kLoopPause);
  if (!domain) return std::nullopt;
  std::erase_if(looping_, [&domain](const Mark& mark) { return mark.name.is_under(*domain); });
  put(looping_, kLoopDomainsMax, *domain, now + kLoopPause);
  return domain;
}

void LoopGuard::on_answer(const Name& name, TimePoint now) {
  if (!returned_.empty() || !looping_.empty()) {
    std::erase_if(returned_, [&name](const Mark& mark) { return mark.name == name; });
    std::erase_if(looping_, [&name](const Mark& mark) { return name.is_under(mark.name); });
  }
  Mark mark{name, now + kLoopPause};
  if (answered_.size() < kLoopAnsweredMax) return answered_.push_back(std::move(mark));
  answered_[next_answered_++ % kLoopAnsweredMax] = std::move(mark);
}

bool LoopGuard::refuses(const Name& name, TimePoint now) const {
  return std::ranges::any_of(
      looping_, [&](const Mark& mark) { return mark.until > now && name.is_under(mark.name); });
}

void LoopGuard::clear() {
  returned_.clear();
  looping_.clear();
  answered_.clear();
  next_answered_ = 0;
}

}  // namespace outrider::dns
