// SPDX-License-Identifier: Apache-2.0
#include "mdns/txt_strings.h"

namespace outrider::mdns {
namespace {

/// Those that are not empty.
template <typename Take>
void each_string(Bytes rdata, Take take) {
  ByteReader reader(rdata);
  while (reader.ok() && reader.left() > 0) {
    const Bytes string = reader.take(reader.u8());
    if (!string.empty()) take(as_text(string));
  }
}

}  // namespace

TxtStrings::TxtStrings(const std::vector<std::string>& strings) {
  std::size_t size = 0;
  for (const std::string& string : strings)
    size += 1 + string.size();
  wire_.reserve(size);
  for (const std::string& string : strings)
    add(string);
}

TxtStrings TxtStrings::from_wire(Bytes rdata) {
  TxtStrings out;
  out.wire_.reserve(rdata.size());
  each_string(rdata, [&](std::string_view string) { out.add(string); });
  return out;
}

void TxtStrings::add(std::string_view string) {
  OUTRIDER_ASSERT(string.size() <= kTxtStringMax);
  if (string.empty()) return;
  wire_ += static_cast<char>(string.size());
  wire_ += string;
}

std::vector<std::string> TxtStrings::strings() const {
  std::vector<std::string> out;
  each_string(as_bytes(wire_), [&](std::string_view string) { out.emplace_back(string); });
  return out;
}

}  // namespace outrider::mdns
