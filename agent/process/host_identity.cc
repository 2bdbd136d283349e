// SPDX-License-Identifier: Apache-2.0
#include "agent/process/host_identity.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>

#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/text_file.h"

namespace outrider {
namespace {

constexpr std::size_t kEthernetBytes = 6;

std::string hex(std::uint64_t value, std::size_t digits) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (std::size_t i = 0; i < digits; ++i, value >>= 4)
    out += kDigits[value & 15];
  return out;
}

using EthernetAddress = std::array<std::uint8_t, kEthernetBytes>;

bool is_zero(const EthernetAddress& address) {
  return std::ranges::all_of(address, [](std::uint8_t byte) { return byte == 0; });
}

/// The address that the card was made with, whatever it has now; zero if it has none.
EthernetAddress permanent_address(int fd, const char* link) {
  constexpr std::size_t kRoom = 32;  // MAX_ADDR_LEN of the kernel
  alignas(ethtool_perm_addr) std::array<std::uint8_t, sizeof(ethtool_perm_addr) + kRoom> query{};
  auto& head = *static_cast<ethtool_perm_addr*>(static_cast<void*>(query.data()));
  head.cmd = ETHTOOL_GPERMADDR;
  head.size = kRoom;
  ifreq request{};
  std::strncpy(request.ifr_name, link, IFNAMSIZ - 1);
  request.ifr_data = static_cast<char*>(static_cast<void*>(query.data()));
  EthernetAddress address{};
  if (::ioctl(fd, SIOCETHTOOL, &request) == 0 && head.size == kEthernetBytes)
    std::copy_n(query.begin() + sizeof head, kEthernetBytes, address.begin());
  return address;
}

struct Candidate {
  bool temporary = true;  // not the permanent address of a card
  int index = 0;
  EthernetAddress address{};
  auto operator<=>(const Candidate&) const = default;
};

std::optional<Candidate> first_link() {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return std::nullopt;
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(list, &::freeifaddrs);
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  std::optional<Candidate> best;
  for (const ifaddrs* each = list; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr || each->ifa_addr->sa_family != AF_PACKET) continue;
    const auto& link = *static_cast<const sockaddr_ll*>(static_cast<const void*>(each->ifa_addr));
    if (link.sll_hatype != ARPHRD_ETHER || link.sll_halen != kEthernetBytes) continue;
    Candidate candidate{.index = link.sll_ifindex};
    candidate.address = fd >= 0 ? permanent_address(fd, each->ifa_name) : EthernetAddress{};
    candidate.temporary = is_zero(candidate.address);
    if (candidate.temporary) std::copy_n(link.sll_addr, kEthernetBytes, candidate.address.begin());
    if (!is_zero(candidate.address) && (!best || candidate < *best)) best = candidate;
  }
  if (fd >= 0) ::close(fd);
  return best;
}

}  // namespace

HostFacts read_host_facts() {
  HostFacts facts;
  facts.machine_id = read_text_file("/etc/machine-id").value_or("");
  facts.machine_id.resize(std::min(facts.machine_id.find_first_of(" \n"), facts.machine_id.size()));
  struct stat netns {};
  if (::stat("/proc/self/ns/net", &netns) == 0) facts.namespace_id = netns.st_ino;
  if (const auto link = first_link()) {
    for (const std::uint8_t byte : link->address)
      facts.link_address += hex(byte, 2);
    facts.is_permanent = !link->temporary;
  }
  return facts;
}

std::string host_identity(const HostFacts& facts) {
  // The inode of a namespace may differ after each boot, and a card's address does not need it.
  const std::string space = facts.is_permanent ? "" : std::to_string(facts.namespace_id);
  return hex(fnv1a(facts.machine_id + '/' + space + '/' + facts.link_address), 16);
}

std::string namespace_identity(const HostFacts& facts) {
  return hex(fnv1a(facts.machine_id + '/' + std::to_string(facts.namespace_id)), 16);
}

}  // namespace outrider
