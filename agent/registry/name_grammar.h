// SPDX-License-Identifier: Apache-2.0
// The grammar of service names in DNS (DESIGN §4.3): which part of which service a name means.
//
//   NAME               every instance           ID.NAME          one instance
//   local.NAME         those of this host       TAG._tag.NAME    those with a tag
//   _PROTO._tcp.NAME   those of a protocol      _NAME._tcp       every instance with a port
//   ID._NAME._tcp      one instance
//
// write_name makes these names (for zone.cc), read_name takes them apart (for held queries, `why`
// and whatever else accepts a name). "Relative" names are without the domain. To add a form: an
// enumerator here, write_name, read_name, means, has_addresses and exists in name_grammar.cc, the
// records in zone.cc, and the sentence in doors/why.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/registry/registry.h"
#include "dns/wire/name.h"

namespace outrider::registry {

enum class NameForm : std::uint8_t {
  whole,           // NAME
  local,           // local.NAME
  instance,        // ID.NAME
  tag,             // TAG._tag.NAME
  protocol,        // _PROTO._tcp.NAME
  type,            // _NAME._tcp (RFC 6763 §4.1)
  typed_instance,  // ID._NAME._tcp
  zone,            // a name that the zone has whatever is registered
  none,            // no name of that form ever exists
};

struct NameMeaning {
  NameForm form = NameForm::whole;
  std::string service;   // its label as asked for, lower case; of `none` what comes nearest
  std::string selector;  // label of an instance or a tag, or a protocol
  bool operator==(const NameMeaning&) const = default;
};

/// The relative name; not for `zone` and `none`.
std::string write_name(NameForm form, std::string_view service, std::string_view selector = {});
NameMeaning read_name(std::string_view relative);
/// `name` is below `zone`.
NameMeaning read_name(const dns::Name& name, const dns::Name& zone);

/// Relative names that a name spelled as at registration may mean, the likeliest first: a '_' or
/// ' ' inside a label is folded as to_label() does, and the dots of a service's name ("a.b"), a tag
/// ("v1.2._tag.web") or an id become part of their label. Without the name itself.
std::vector<std::string> other_spellings(std::string_view relative);
std::vector<std::string> other_spellings(const dns::Name& name, const dns::Name& zone);
/// The same, and after them names of automatic ids without the suffix of their host, as the first
/// version chose them ("web-a-80.web"), in the form that they have now.
std::vector<std::string> other_spellings(std::string_view relative, const Registry& registry);
std::vector<std::string> other_spellings(const dns::Name& name, const dns::Name& zone,
                                         const Registry& registry);
/// Dots that are folded within one name.
inline constexpr std::size_t kDotsFoldedMax = 4;

/// A name as people and clients give it: in one of the agent's domains, or without a domain.
struct GivenName {
  NameMeaning meaning;
  std::string relative;
  std::string domain;  // the first one for a name without a domain; empty if there is none
};
GivenName read_given_name(std::string_view text, const std::vector<std::string>& domains,
                          const Registry& registry);

/// Whether the name means this instance, one of the service's; served or not.
bool means(const NameMeaning& name, const Instance& instance);
/// Forms with A and AAAA records; the others have SRV alone.
bool has_addresses(NameForm form);
/// Whether DNS has the name at all, and so answers NODATA rather than NXDOMAIN. `means_any`: at
/// least one known instance is meant.
bool exists(NameForm form, bool service_known, bool means_any);

/// The label of a service's name; of a text that is no such name, the text in lower case.
std::string label_of(std::string_view service);
/// An instance's tags that can be labels, each once.
std::set<std::string> tag_labels(const Instance& instance);
/// The labels of a service in a domain: its own, and for "order.rpc" in the domain "rpc" also
/// "order".
std::set<std::string> labels_in(std::string_view domain, const std::string& label,
                                const std::vector<InstancePtr>& instances);

}  // namespace outrider::registry
