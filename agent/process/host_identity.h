// SPDX-License-Identifier: Apache-2.0
// What tells this host apart from every other one, and stays the same over restarts. Cloned
// machines share their host name and often /etc/machine-id, but not the address of their network
// card; the containers of one machine share its cards' driver, but not the network namespace.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace outrider {

/// Cards of one host that are looked at.
inline constexpr std::size_t kCardsMax = 16;

struct HostFacts {
  std::string machine_id;          // empty: the host has none
  std::uint64_t namespace_id = 0;  // inode of the network namespace
  std::string link_address;        // see read_host_facts; empty: none
  bool is_permanent = false;       // the link address is a card's, which one namespace alone has
  std::vector<std::string> cards;  // permanent addresses of all cards, the first one first
  std::string boot_id;             // of the running kernel; empty: unknown
  std::string serial_number;       // of the board; empty on most machines
};
/// Of this process. `link_address` is the permanent address of the first card, or where no card has
/// one (containers) the address of the first link that is not loopback.
HostFacts read_host_facts();

/// 16 hexadecimal digits. A hash: a machine id must not be published (machine-id(5)). Without a
/// card it is one of this boot alone: clones that start without a network share all else.
std::string host_identity(const HostFacts& facts);
/// The same for all processes of one network namespace, whatever cards come and go meanwhile.
std::string namespace_identity(const HostFacts& facts);

}  // namespace outrider
