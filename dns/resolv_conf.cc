// SPDX-License-Identifier: Apache-2.0
#include "dns/resolv_conf.h"

#include "base/text.h"

namespace outrider::dns {
namespace {

constexpr std::uint16_t kDnsPort = 53;

}  // namespace

std::optional<IpAddress> parse_server_address(std::string_view word,
                                              const InterfaceIndex& index_of) {
  const std::size_t percent = word.find('%');
  if (percent != std::string_view::npos && index_of) {
    const auto address = IpAddress::parse(word.substr(0, percent));
    const std::uint32_t index = index_of(std::string(word.substr(percent + 1)));
    if (address && index != 0) return address->with_scope(index);
  }
  return IpAddress::parse(word);
}

ResolvConf parse_resolv_conf(std::string_view text, const InterfaceIndex& index_of) {
  ResolvConf conf;
  while (const auto whole = take_line(text)) {
    std::string_view line = whole->substr(0, whole->find_first_of("#;"));
    const std::string_view keyword = take_word(line);
    if (keyword == "nameserver") {
      const auto address = parse_server_address(take_word(line), index_of);
      if (address && conf.servers.size() < kUpstreamsMax)
        conf.servers.push_back({*address, kDnsPort});
    } else if (keyword == "search" || keyword == "domain") {
      conf.search.clear();
      for (std::string_view word = take_word(line); !word.empty(); word = take_word(line)) {
        const auto domain = Name::parse(word);
        if (domain && !domain->is_root() && conf.search.size() < kSearchDomainsMax)
          conf.search.push_back(*domain);
      }
    } else if (keyword == "options") {
      for (std::string_view word = take_word(line); !word.empty(); word = take_word(line))
        conf.rotate = conf.rotate || word == "rotate";
    }
  }
  return conf;
}

}  // namespace outrider::dns
