// SPDX-License-Identifier: Apache-2.0
// The interfaces that have addresses, without netlink: SIOCGIFCONF for IPv4 and /proc/net/if_inet6
// for IPv6.
#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>
#include <memory>
#include <cstring>

#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>

#include "base/uv/netlink.h"

namespace outrider::uv {
namespace {

constexpr std::size_t kAddressesMax = 256;
// Flags of /proc/net/if_inet6 (IFA_F_*; linux/if_addr.h does not go with net/if.h everywhere).
constexpr unsigned kTentative = 0x40, kDeprecated = 0x20, kFailed = 0x08, kOptimistic = 0x04;

ifreq request_for(const std::string& name) {
  ifreq request{};
  name.copy(request.ifr_name, sizeof request.ifr_name - 1);
  return request;
}

class Reader {
 public:
  explicit Reader(int fd) : fd_(fd) {}

  std::vector<Interface> read() {
    read_v4();
    read_v6();
    std::ranges::sort(interfaces_, {}, &Interface::index);
    return std::move(interfaces_);
  }

 private:
  /// The named interface, asked for once; null when it is gone.
  Interface* find(const std::string& name) {
    const auto at = std::ranges::find(interfaces_, name, &Interface::name);
    if (at != interfaces_.end()) return &*at;
    Interface interface;
    interface.name = name;
    ifreq request = request_for(name);
    if (::ioctl(fd_, SIOCGIFINDEX, &request) != 0) return nullptr;
    interface.index = static_cast<std::uint32_t>(request.ifr_ifindex);
    if (::ioctl(fd_, SIOCGIFFLAGS, &request) != 0) return nullptr;
    const int flags = request.ifr_flags;
    interface.up = (flags & IFF_UP) != 0 && (flags & IFF_RUNNING) != 0;
    interface.loopback = (flags & IFF_LOOPBACK) != 0;
    interface.multicast = (flags & IFF_MULTICAST) != 0;
    interface.point_to_point = (flags & IFF_POINTOPOINT) != 0;
    if (::ioctl(fd_, SIOCGIFMTU, &request) == 0)
      interface.mtu = static_cast<std::uint32_t>(request.ifr_mtu);
    return &interfaces_.emplace_back(std::move(interface));
  }

  static IpAddress v4_of(const sockaddr& address) {
    sockaddr_storage storage{};
    std::memcpy(&storage, &address, sizeof address);
    return load_endpoint(storage).address;
  }

  void read_v4() {
    std::array<ifreq, kAddressesMax> requests{};
    ifconf list{};
    list.ifc_len = sizeof requests;
    list.ifc_req = requests.data();
    if (::ioctl(fd_, SIOCGIFCONF, &list) != 0) return;
    const auto count = static_cast<std::size_t>(list.ifc_len) / sizeof(ifreq);
    for (ifreq request : std::span(requests).first(count)) {
      // "eth0:1" is an alias: an address of eth0.
      std::string name(request.ifr_name, ::strnlen(request.ifr_name, sizeof request.ifr_name));
      const IpAddress address = v4_of(request.ifr_addr);
      std::uint8_t length = 32;
      if (::ioctl(fd_, SIOCGIFNETMASK, &request) == 0) {
        const IpAddress mask = v4_of(request.ifr_netmask);
        int bits = 0;
        for (const std::uint8_t byte : mask.bytes())
          bits += std::popcount(byte);
        length = static_cast<std::uint8_t>(bits);
      }
      if (Interface* interface = find(name.substr(0, name.find(':'))))
        interface->addresses.push_back({address, length});
    }
  }

  void read_v6() {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(
        std::fopen("/proc/net/if_inet6", "re"), &std::fclose);
    if (file == nullptr) return;
    char digits[33], name[IFNAMSIZ + 1];
    unsigned index, length, scope, flags;
    while (std::fscanf(file.get(), "%32s %x %x %x %x %16s", digits, &index, &length, &scope, &flags,
                       name) == 6) {
      const bool tentative = (flags & kTentative) != 0 && (flags & kOptimistic) == 0;
      if (tentative || (flags & (kDeprecated | kFailed)) != 0) continue;
      std::string address;
      for (std::size_t i = 0; i < 32; i += 4) {
        if (i != 0) address += ':';
        address.append(digits + i, 4);
      }
      const auto parsed = IpAddress::parse(address);
      Interface* interface = parsed ? find(name) : nullptr;
      if (interface == nullptr) continue;
      interface->addresses.push_back(
          {parsed->with_scope(index), static_cast<std::uint8_t>(length)});
    }
  }

  int fd_;
  std::vector<Interface> interfaces_;
};

}  // namespace

std::vector<Interface> interfaces_by_ioctl() {
  const auto fd = open_socket(AF_INET, SOCK_DGRAM);
  return fd ? Reader(fd->get()).read() : std::vector<Interface>{};
}

}  // namespace outrider::uv
