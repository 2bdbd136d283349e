// SPDX-License-Identifier: Apache-2.0
// Instances as our own JSON, and which of them a request wants: prefix, name, version, metadata
// (GoFrame's Search), tags (Forge's DiscoverWithTags), healthy only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/registry/host_view.h"
#include "agent/registry/registry.h"
#include "base/http/parser.h"
#include "base/json.h"

namespace outrider::doors {

void write_instance(json::Writer& out, const registry::Instance& instance,
                    const registry::HostView& host);
/// {"revision":…,"instances":[…]}
std::string snapshot_json(const registry::Registry& registry, std::string_view service_label,
                          const registry::HostView& host);
/// {"revision":…,"changes":[{"kind":"added","instance":{…}}]}; empty when none concerns the label.
std::string changes_json(const registry::Changes& changes, std::string_view service_label,
                         const registry::HostView& host);

struct Search {
  std::string prefix, name, version;
  std::vector<std::string> tags;                              // all of them
  std::vector<std::pair<std::string, std::string>> metadata;  // a subset of the instance's
  bool healthy = false;                                       // passing and warning
  bool passing = false;                                       // passing alone

  /// From ?prefix= name= version= tag=… metadata=KEY=VALUE… healthy passing. The error is for
  /// people.
  static Result<Search, std::string> parse(const http::Target& target);
  bool wants(const registry::Instance& instance) const;
};

/// Every listed instance that `search` wants, by service and then as the registry has them.
std::vector<registry::InstancePtr> find(const registry::Registry& registry, const Search& search);
/// "true", "1" or present without a value.
bool is_set(const http::Target& target, std::string_view key);
/// The label of a service's name; the lower-cased text itself where it is none.
std::string label_of(std::string_view service);

}  // namespace outrider::doors
