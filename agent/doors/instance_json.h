// SPDX-License-Identifier: Apache-2.0
// Instances as our own JSON, and the search that selects them: prefix, name, version, metadata
// (GoFrame's Search), tags (Forge's DiscoverWithTags), healthy only.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/doors/control.h"
#include "agent/registry/host_view.h"
#include "agent/registry/name_grammar.h"
#include "agent/registry/registry.h"
#include "base/http/router.h"
#include "base/json.h"

namespace outrider::doors {

/// The preferred address; "" if none can be reached.
std::string address_of(const registry::Instance& instance, const registry::HostView& host);
/// `times`: what is left of leases, where that was asked; `written`: where this agent writes it,
/// which streams of changes do not have, as it has no revision.
void write_instance(json::Writer& out, const registry::Instance& instance,
                    const registry::HostView& host, const LeaseTimes& times = {},
                    const std::vector<WrittenPlace>& written = {});
/// Members of an open object.
void write_lease_time(json::Writer& out, const LeaseTime& time);
/// Which instances a stream of changes has.
struct WatchFilter {
  std::string service_label;  // empty: of every service
  bool own_only = false;      // registrations of this agent
  auto operator<=>(const WatchFilter&) const = default;
  bool wants(const registry::Instance& instance) const;
};
/// {"revision":…,"agent":…,"host":…,"instances":[…]}, as they are at the time of the construction;
/// written in portions, since there may be thousands. With "dropped", where there are such.
class SnapshotWriter {
 public:
  SnapshotWriter(const Control& control, const WatchFilter& filter);
  /// {"revision":…,"instances":[…]} of these.
  SnapshotWriter(const Control& control, std::vector<registry::InstancePtr> instances);
  SnapshotWriter(const SnapshotWriter&) = delete;
  /// False: there are more.
  bool write(std::size_t instances);
  std::uint64_t revision() const { return revision_; }
  /// Once everything is written.
  const std::string& text() const { return text_; }

 private:
  std::uint64_t revision_;
  registry::HostView host_;
  std::vector<registry::InstancePtr> instances_;
  std::vector<registry::InstancePtr> dropped_;  // of the registrations that are not listed
  std::size_t next_ = 0;
  std::string text_;
  json::Writer out_{text_};
};
/// {"revision":…,"changes":[{"kind":"added","instance":{…}}]}; empty if `filter` wants none. What
/// is dropped is "removed", with "dropped"; "ended" has what was deregistered after that.
std::string changes_json(const registry::Changes& changes, const WatchFilter& filter,
                         const registry::HostView& host);

struct Search {
  std::string prefix, name, version;
  std::vector<std::string> tags;                              // the instance has all of them
  std::vector<std::pair<std::string, std::string>> metadata;  // the same
  bool healthy = false;                                       // that DNS may answer with
  bool passing = false;                                       // the same, without warnings
  /// Of the path: the name as it was given, which may mean some of the service's instances.
  std::optional<registry::NameMeaning> meaning;

  /// From ?prefix= name= version= tag=… metadata=KEY=VALUE… healthy passing. The error is a
  /// sentence for a 400.
  static Result<Search, std::string> parse(const http::Target& target);
  bool wants(const registry::Instance& instance) const;
};

/// Every listed instance that `search` wants, by service, then in the registry's order.
std::vector<registry::InstancePtr> find_instances(const registry::Registry& registry,
                                                  const Search& search);
/// The id of a lease as etcdctl shows it, in hexadecimal; "" for none. It has 63 bits, more than
/// numbers of JSON.
std::string lease_text(std::int64_t id);
/// Whether a flag of the query is there and on (http::flag_of).
bool is_set(const http::Target& target, std::string_view key);
using registry::label_of;

}  // namespace outrider::doors
