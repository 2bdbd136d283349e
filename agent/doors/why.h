// SPDX-License-Identifier: Apache-2.0
// What DNS answers for a name, and why: the same facts that the answer is made of, told instance
// by instance.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/doors/findings.h"

namespace outrider::doors {

/// Each is a question to a registry.
inline constexpr std::size_t kLeasesAskedMax = 16;

/// `name` is a service, or a DNS name under one of our domains ("hello", "hello.svc",
/// "hello-1.hello.svc", "local.hello.svc", "blue._tag.hello.svc", "_hello._tcp.svc").
struct Explanation {
  bool known = false;
  std::string json;
};
Explanation explain(const Control& control, std::string_view name);

/// The sentences of an explanation: of the name, and of its instances, the first `most`.
struct Reasons {
  struct Line {
    std::string id, reason;
  };
  std::string summary;
  std::vector<Line> lines;
};
Reasons reasons_for(const View& view, const Findings& found, std::size_t most);

/// Writes an explanation a few instances at a time, for services that have very many.
class Explaining {
 public:
  /// Only the constructor reads the registry of the view, which may be that of any moment.
  /// `probes` (optional) knows the probes of the checks up to then, and outlives this.
  Explaining(const View& view, std::string_view name, const Control* probes);

  /// Of the places of its instances: the first kLeasesAskedMax.
  std::vector<LeaseName> leases() const;
  /// What is left of them, before the first write().
  void set_lease_times(LeaseTimes times) { lease_times_ = std::move(times); }
  std::size_t left() const { return found_.meant.size() - next_; }
  /// Writes at most `most` instances; with the last one, the document is complete.
  void write(std::size_t most);
  Explanation take() { return {found_.known, std::move(*text_)}; }

 private:
  Findings found_;
  std::set<registry::InstancePtr> answered_;
  registry::HostView host_;
  TimePoint now_;
  const Control* probes_;
  LeaseTimes lease_times_;
  std::size_t next_ = 0;
  std::unique_ptr<std::string> text_ = std::make_unique<std::string>();
  json::Writer out_{*text_};
};

}  // namespace outrider::doors
