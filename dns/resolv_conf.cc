// SPDX-License-Identifier: Apache-2.0
#include "dns/resolv_conf.h"

#include <algorithm>

#include "base/text.h"

namespace outrider::dns {
namespace {

constexpr std::uint16_t kDnsPort = 53;
constexpr int kNdotsMax = 15;  // as libc has it

std::string_view without_comment(std::string_view line) {
  return line.substr(0, line.find_first_of("#;"));
}

void read_option(std::string_view word, ResolvConf& conf) {
  constexpr std::string_view kNdots = "ndots:";
  if (word == "rotate") conf.rotate = true;
  if (!word.starts_with(kNdots)) return;
  if (const auto number = parse_number<int>(word.substr(kNdots.size())))
    conf.ndots = std::clamp(*number, 0, kNdotsMax);
}

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

std::optional<std::string_view> nameserver_in(std::string_view line) {
  line = without_comment(line);
  if (take_word(line) != "nameserver") return std::nullopt;
  const std::string_view address = take_word(line);
  return address.empty() ? std::nullopt : std::optional(address);
}

ResolvConf parse_resolv_conf(std::string_view text, const InterfaceIndex& index_of) {
  ResolvConf conf;
  while (const auto whole = take_line(text)) {
    if (const auto server = nameserver_in(*whole)) {
      const auto address = parse_server_address(*server, index_of);
      if (address && conf.servers.size() < kUpstreamsMax)
        conf.servers.push_back({*address, kDnsPort});
    }
    std::string_view line = without_comment(*whole);
    const std::string_view keyword = take_word(line);
    if (keyword == "search" || keyword == "domain") {
      conf.search.clear();
      for (std::string_view word = take_word(line); !word.empty(); word = take_word(line)) {
        const auto domain = Name::parse(word);
        if (domain && !domain->is_root() && conf.search.size() < kSearchDomainsMax)
          conf.search.push_back(*domain);
      }
    } else if (keyword == "options") {
      for (std::string_view word = take_word(line); !word.empty(); word = take_word(line))
        read_option(word, conf);
    }
  }
  return conf;
}

}  // namespace outrider::dns
