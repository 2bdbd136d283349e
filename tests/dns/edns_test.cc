// SPDX-License-Identifier: Apache-2.0
#include "dns/wire/edns.h"

#include <algorithm>
#include <array>

#include <doctest/doctest.h>

#include "tests/dns/hex.h"

namespace outrider::dns {
namespace {

using test::hex;

std::array<std::uint8_t, 128> buffer;

ByteWriter room(std::size_t size) {
  return ByteWriter(MutableBytes(buffer).first(size));
}

TEST_CASE("an OPT record reads as it was written") {
  const auto cookie = hex("000a 0008 0102030405060708");
  ByteWriter out = room(buffer.size());
  write_opt(out, {.udp_size = 1'232,
                  .extended_rcode = upper_bits(Rcode::badvers),
                  .version = 0,
                  .dnssec_ok = true,
                  .options = cookie});
  CHECK(std::ranges::equal(out.written(), hex("00 0029 04d0 01 00 8000 000c"
                                              "000a 0008 0102030405060708")));
  ByteReader reader(out.written());
  reader.skip(3);  // the root and the type
  const Edns edns = read_opt(reader);
  CHECK(reader.ok());
  CHECK(edns.udp_size == 1'232);
  CHECK(edns.extended_rcode == 1);
  CHECK(edns.dnssec_ok);
  CHECK(std::ranges::equal(edns.options, cookie));
}

TEST_CASE("an OPT record that is cut off fails its reader") {
  const auto bytes = hex("04d0 00 00 0000 0005 000a 00");
  ByteReader reader(bytes);
  CHECK(read_opt(reader).options.empty());
  CHECK_FALSE(reader.ok());
}

TEST_CASE("an explanation is cut to the room, and left out where there is none") {
  const Explanation why{ExtendedError::stale_answer, "no check passes"};
  ByteWriter whole = room(buffer.size());
  write_opt(whole, {.udp_size = 1'232}, why);
  CHECK(std::ranges::equal(whole.written(), hex("00 0029 04d0 00 00 0000 0015 000f 0011 0003"
                                                "6e6f20636865636b20706173736573")));
  for (std::size_t size = kOptBytes; size <= whole.size(); ++size) {
    CAPTURE(size);
    ByteWriter out = room(size);
    write_opt(out, {.udp_size = 1'232}, why);
    REQUIRE(out.ok());
    ByteReader reader(out.written());
    reader.skip(3);
    const Edns edns = read_opt(reader);
    CHECK(reader.ok());
    CHECK(reader.left() == 0);
    CHECK(options_fit(edns.options));
    const auto found = find_explanation(edns.options);
    REQUIRE(found.has_value() == (size >= kOptBytes + 6));
    if (!found) continue;
    CHECK(found->code == ExtendedError::stale_answer);
    CHECK(found->text == why.text.substr(0, size - kOptBytes - 6));
  }
}

TEST_CASE("the first extended error among the options counts") {
  const auto options = hex("000a 0002 0102  000f 0001 00  000f 0004 0016 6e6f  000f 0002 0000");
  const auto found = find_explanation(options);
  REQUIRE(found);
  CHECK(found->code == ExtendedError::no_reachable_authority);
  CHECK(found->text == "no");
  CHECK_FALSE(find_explanation(hex("000a 0000")));
  CHECK_FALSE(find_explanation(hex("000f 0004 0016")));
}

TEST_CASE("options fill their record exactly") {
  CHECK(options_fit({}));
  CHECK(options_fit(hex("000a 0002 0102 0003 0000")));
  for (const char* bad : {"00", "000a 00", "000a 0002 01", "000a 0000 00"}) {
    CAPTURE(bad);
    CHECK_FALSE(options_fit(hex(bad)));
  }
}

}  // namespace
}  // namespace outrider::dns
