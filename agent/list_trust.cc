// SPDX-License-Identifier: Apache-2.0
#include "agent/list_trust.h"

namespace outrider {

bool ListTrust::believes(const List& list, TimePoint now) {
  if (list.missing == 0) {
    looks_.clear();
    return true;
  }
  if (!looks_.empty() && list.missing <= missing_) {
    missing_ = list.missing;
    if (looks_.front() <= now) looks_.erase(looks_.begin());
    return looks_.empty();
  }
  const bool emptied = list.service_emptied || (list.known >= 2 && list.listed == 0);
  const bool new_life = now < new_life_until_;
  if (looks_.empty() && !emptied && !new_life) return true;
  missing_ = list.missing;
  looks_.clear();
  if (emptied || list.missing * 2 > list.known) looks_ = {now + kFirstDoubt, now + kLastDoubt};
  if (new_life && (looks_.empty() || looks_.back() < new_life_until_))
    looks_.push_back(new_life_until_);
  if (looks_.empty()) looks_ = {now + kFirstDoubt, now + kLastDoubt};
  return false;
}

}  // namespace outrider
