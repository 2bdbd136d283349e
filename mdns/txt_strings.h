// SPDX-License-Identifier: Apache-2.0
// The strings of a TXT record (RFC 1035 §3.3.14) in one block of memory. Thousands of sightings are
// kept, each with its TXT, and a vector of strings takes three times as much.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace outrider::mdns {

inline constexpr std::size_t kTxtStringMax = 255;  // RFC 1035 §3.3

class TxtStrings {
 public:
  TxtStrings() = default;
  /// Each of at most 255 octets; empty ones say nothing and are left out (RFC 6763 §6.1).
  TxtStrings(const std::vector<std::string>& strings);
  TxtStrings(std::initializer_list<std::string> strings)
      : TxtStrings(std::vector<std::string>(strings)) {}
  /// From RDATA; what does not parse is left out.
  static TxtStrings from_wire(Bytes rdata);

  std::vector<std::string> strings() const;
  bool operator==(const TxtStrings&) const = default;

 private:
  void add(std::string_view string);
  std::string wire_;  // as in RDATA, without empty strings
};

}  // namespace outrider::mdns
