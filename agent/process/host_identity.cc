// SPDX-License-Identifier: Apache-2.0
#include "agent/process/host_identity.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
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

/// Ethernet links; those with a permanent address first, then by index.
std::vector<Candidate> ethernet_links() {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return {};
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(list, &::freeifaddrs);
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  std::vector<Candidate> links;
  for (const ifaddrs* each = list; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr || each->ifa_addr->sa_family != AF_PACKET) continue;
    const auto& link = *static_cast<const sockaddr_ll*>(static_cast<const void*>(each->ifa_addr));
    if (link.sll_hatype != ARPHRD_ETHER || link.sll_halen != kEthernetBytes) continue;
    Candidate candidate{.index = link.sll_ifindex};
    candidate.address = fd >= 0 ? permanent_address(fd, each->ifa_name) : EthernetAddress{};
    candidate.temporary = is_zero(candidate.address);
    if (candidate.temporary) std::copy_n(link.sll_addr, kEthernetBytes, candidate.address.begin());
    if (!is_zero(candidate.address)) links.push_back(candidate);
  }
  if (fd >= 0) ::close(fd);
  std::ranges::sort(links);
  return links;
}

std::string first_word_of(const char* path) {
  std::string text = read_text_file(path).value_or("");
  text.resize(std::min(text.find_first_of(std::string_view(" \n\0", 3)), text.size()));
  return text;
}

std::string hex(const EthernetAddress& address) {
  std::string out;
  for (const std::uint8_t byte : address)
    out += hex(byte, 2);
  return out;
}

}  // namespace

HostFacts read_host_facts() {
  HostFacts facts;
  facts.machine_id = first_word_of("/etc/machine-id");
  facts.boot_id = first_word_of("/proc/sys/kernel/random/boot_id");
  facts.serial_number = first_word_of("/sys/firmware/devicetree/base/serial-number");
  struct stat netns {};
  if (::stat("/proc/self/ns/net", &netns) == 0) facts.namespace_id = netns.st_ino;
  const std::vector<Candidate> links = ethernet_links();
  if (!links.empty()) {
    facts.link_address = hex(links.front().address);
    facts.is_permanent = !links.front().temporary;
  }
  for (const Candidate& link : links)
    if (!link.temporary && facts.cards.size() < kCardsMax) facts.cards.push_back(hex(link.address));
  return facts;
}

std::string host_identity(const HostFacts& facts) {
  // The inode of a namespace may differ after each boot, and a card's address does not need it.
  const std::string space =
      facts.is_permanent ? "" : std::to_string(facts.namespace_id) + facts.boot_id;
  return hex(fnv1a(facts.machine_id + '/' + space + '/' + facts.link_address), 16);
}

std::string namespace_identity(const HostFacts& facts) {
  return hex(fnv1a(facts.machine_id + '/' + std::to_string(facts.namespace_id)), 16);
}

}  // namespace outrider
