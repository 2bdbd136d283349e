// SPDX-License-Identifier: Apache-2.0
// Forwarding loops: an upstream server that sends some names, or all, back to this agent. One query
// that came back may be chance; two different names prove that the domain above both loops. For the
// root, public top-level domains and the trees of reverse names, that takes names in
// kLoopBranchesMin branches. A name that is answered does not loop, nor does a domain that holds
// it. A domain that loops is refused for kLoopPause; all other names are forwarded as before.
#pragma once

#include <optional>
#include <vector>

#include "base/time.h"
#include "dns/limits.h"
#include "dns/query.h"
#include "dns/wire/name.h"

namespace outrider::dns {

class LoopGuard {
 public:
  /// A query for `name` that was sent upstream came back. Returns the domain that this proves to
  /// loop, unless it was refused already.
  std::optional<Name> on_return(const Name& name, TimePoint now);
  /// An upstream server answered a query for `name`.
  void on_answer(const Name& name, TimePoint now);
  /// Whether `name` is in a domain that loops.
  bool refuses(const Name& name, TimePoint now) const;
  bool refuses(const Query& query, TimePoint now) const {
    return !looping_.empty() && refuses(query.to_name(), now);
  }
  /// Other servers are asked from now on.
  void clear();

 private:
  struct Mark {
    Name name;
    TimePoint until;
  };
  static void put(std::vector<Mark>& marks, std::size_t most, const Name& name, TimePoint until);
  std::optional<Name> proven(const Name& name, TimePoint now) const;
  bool is_proof_for(const Name& domain, const Name& name) const;
  bool has_answered(const Name& domain, TimePoint now) const;

  std::vector<Mark> returned_;  // names that came back, the oldest first
  std::vector<Mark> looping_;   // domains, the oldest first
  std::vector<Mark> answered_;  // the latest names that were answered, in a ring
  std::size_t next_answered_ = 0;
};

}  // namespace outrider::dns
