// SPDX-License-Identifier: Apache-2.0
// What a name means to DNS: which instances that are, which of them are answered, and with what.
// `why` and `history` tell it, of the present and of the past alike.
//
//   View (the agent now, or as it was) + name ▸ look_for ▸ Findings ▸ write_answer
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/doors/control.h"
#include "agent/registry/name_grammar.h"

namespace outrider::doors {

/// What DNS answers are made of.
struct View {
  const registry::Registry& registry;
  registry::HostView host;
  DnsView dns;
  registry::Moment now;
};
/// The agent as it is.
View view_of(const Control& control);

/// What a name means, which instances that are, and which of them are answered.
struct Findings {
  registry::GivenName name;
  /// It is no name of a service but an address, or a host's name in mDNS.
  enum class Place : std::uint8_t { none, address, host } place = Place::none;
  bool service_known = false;
  bool known = false;                           // DNS has the name
  bool hidden = false;                          // NXDOMAIN because no instance is served
  bool last_resort = false;                     // critical instances are answered: none is healthy
  std::vector<registry::InstancePtr> all;       // of the service
  std::vector<registry::InstancePtr> meant;     // by the name
  std::vector<registry::InstancePtr> answered;  // of those meant, in the order of the answer
};

Findings look_for(const View& view, std::string_view name);
/// The check that decides, if the instance is worse than passing because of one.
const registry::CheckState* deciding_check(const registry::Instance& instance);
/// Of a stale instance: "its network link is down", "etcd has not confirmed it since 09:30:00Z
/// (connect timed out); kept until 09:40:00Z".
std::string why_stale(const registry::Instance& instance);
/// "check http: HTTP 503"
std::string check_says(const registry::CheckState& check);
/// The name as it was given, in `domain`.
std::string dns_name(const std::string& relative, const std::string& domain);
/// {"name":"hello.svc","answer":"NOERROR","ttl":"5s","A":[…],"AAAA":[…],"SRV":[…]}, with "HTTPS"
/// where the service speaks https, and "ede" where the answer has an extended error.
void write_answer(json::Writer& out, const View& view, const Findings& found,
                  const std::string& domain);

}  // namespace outrider::doors
