// SPDX-License-Identifier: Apache-2.0
// Names of the DNS-SD layer (RFC 6763 §4, §7) as DNS names, and the checks of announcements.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "dns/wire/name.h"
#include "mdns/provider.h"

namespace outrider::mdns {

/// "local."
const dns::Name& local_domain();
/// "_services._dns-sd._udp.local." (RFC 6763 §9)
const dns::Name& services_name();

/// "_hello._tcp" as "_hello._tcp.local."; nullopt if it is not a service type.
std::optional<dns::Name> type_name(std::string_view type);
/// "_v1._sub._hello._tcp.local." (RFC 6763 §7.1)
std::optional<dns::Name> subtype_name(std::string_view subtype, const dns::Name& type);
/// "box" or "box.local" as "box.local."; nullopt outside .local.
std::optional<dns::Name> host_name(std::string_view host);

/// The reverse of type_name(), in lower case; nullopt if it is not a service type.
std::optional<ServiceType> type_of(const dns::Name& name);
/// "hello" of "_hello._tcp".
std::string bare_type(std::string_view type);
/// Type and label of an instance name; nullopt if it is not one.
std::optional<SightingKey> key_of(const dns::Name& instance);

/// Why an announcement cannot be published; nullopt if it can.
std::optional<PublishError> check(const Announcement& announcement);

/// "<host>-<hash>": letters, digits and hyphens, at most 63 octets; `host` is cut and cleaned.
/// Never the machine's own name, which may belong to another responder on this host.
std::string host_label(std::string_view host, std::string_view cookie);
/// The host label of an announcement with addresses of its own: a different one per set of
/// addresses, and the same as above for an empty set.
std::string host_label(std::string_view host, std::string_view cookie,
                       const std::vector<IpAddress>& addresses);

/// Replaces every kAddressMark in the strings; IPv6 is put in brackets, without its scope.
std::vector<std::string> with_address(std::vector<std::string> txt, const IpAddress& address);

/// "hello" → "hello-2", "hello-2" → "hello-3"; cut to 63 octets without splitting UTF-8.
std::string next_label(const std::string& base, unsigned number);
/// `label`, or the first of "base-<number>", "base-<number + 1>", … if it is taken.
template <class IsTaken>
std::string free_label(std::string label, const std::string& base, unsigned number,
                       const IsTaken& is_taken) {
  while (is_taken(label))
    label = next_label(base, number++);
  return label;
}

}  // namespace outrider::mdns
