// SPDX-License-Identifier: Apache-2.0
// The first octet says where in the rest a name is read; what is read survives wire and text. The
// rest is tried as text, too.
#include "base/assert.h"
#include "dns/wire/name.h"

using namespace outrider;
using dns::Name;

namespace {

void check(const Name& name) {
  OUTRIDER_ASSERT(name.wire().size() <= dns::kNameBytesMax);
  const auto from_wire = Name::from_wire(name.wire());
  OUTRIDER_ASSERT(from_wire && from_wire->same_case(name));
  const auto from_text = Name::parse(name.to_string());
  OUTRIDER_ASSERT(from_text && from_text->same_case(name));
  OUTRIDER_ASSERT(name.lowercase() == name && name.lowercase().hash(1) == name.hash(1));
  OUTRIDER_ASSERT(name.is_under(name.parent()) && (name <=> name.lowercase()) == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Bytes rest(data + 1, size - 1);
  ByteReader reader(rest);
  reader.seek(data[0]);
  if (const auto name = Name::read(reader)) check(*name);
  if (const auto name = Name::from_wire(rest)) check(*name);
  if (const auto name = Name::parse(as_text(rest))) check(*name);
  return 0;
}
