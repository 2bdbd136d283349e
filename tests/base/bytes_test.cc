// SPDX-License-Identifier: Apache-2.0
#include "base/bytes.h"

#include <array>

#include <doctest/doctest.h>

namespace outrider {
namespace {

TEST_CASE("numbers are big-endian and errors stick") {
  const std::array<std::uint8_t, 7> bytes{1, 2, 3, 4, 5, 6, 7};
  ByteReader reader(bytes);
  CHECK(reader.u8() == 1);
  CHECK(reader.u16() == 0x0203);
  CHECK(reader.u32() == 0x04050607);
  CHECK(reader.ok());
  CHECK(reader.u8() == 0);
  CHECK(!reader.ok());
  CHECK(reader.position() == 7);
}

TEST_CASE("a failed read leaves the position and fails all that follow") {
  const std::array<std::uint8_t, 3> bytes{1, 2, 3};
  ByteReader reader(bytes);
  CHECK(reader.u32() == 0);
  CHECK(reader.position() == 0);
  CHECK(reader.u8() == 0);
  reader.seek(2);
  CHECK(reader.position() == 0);
}

TEST_CASE("a write that does not fit leaves the buffer as it was, until rolled back") {
  std::array<std::uint8_t, 4> buffer{};
  ByteWriter writer(buffer);
  writer.u16(0xabcd);
  writer.u32(1);
  CHECK(!writer.ok());
  CHECK(writer.size() == 2);
  writer.u8(1);
  CHECK(writer.size() == 2);
  writer.rollback(2);
  writer.u16(0x0102);
  CHECK(writer.ok());
  CHECK(writer.left() == 0);
  writer.patch_u16(0, 0xffff);
  CHECK(buffer == std::array<std::uint8_t, 4>{0xff, 0xff, 1, 2});
}

}  // namespace
}  // namespace outrider
