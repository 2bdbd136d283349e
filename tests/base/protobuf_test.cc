// SPDX-License-Identifier: Apache-2.0
#include "base/protobuf.h"

#include <vector>

#include <doctest/doctest.h>

using namespace outrider;
using namespace outrider::protobuf;
using namespace std::string_view_literals;

namespace {

/// The only field of a message as a number; -1: malformed.
std::int64_t number(std::string_view bytes) {
  Reader reader(as_bytes(bytes));
  std::int64_t value = 0;
  while (reader.next())
    value = reader.i64();
  return reader.ok() ? value : -1;
}

bool is_malformed(std::string_view bytes) {
  Reader reader(as_bytes(bytes));
  while (reader.next()) {
  }
  return !reader.ok();
}

/// A message within a message, and so on.
std::string nested(int depth) {
  std::string message;
  for (int i = 0; i < depth; ++i) {
    Writer writer;
    writer.each_text(1, message);
    message = writer.take();
  }
  return message;
}
void descend(Reader& reader) {
  while (reader.next())
    reader.message([](Reader& inner) { descend(inner); });
}

}  // namespace

TEST_CASE("numbers of every length are written and read") {
  for (int bit = 0; bit < 64; ++bit) {
    for (const std::uint64_t value : {std::uint64_t{1} << bit, (std::uint64_t{1} << bit) - 1}) {
      Writer writer;
      writer.each_u64(1, value);
      const std::string bytes = writer.take();
      Reader reader(as_bytes(bytes));
      REQUIRE(reader.next());
      CHECK(reader.field() == 1);
      CHECK(reader.u64() == value);
      CHECK_FALSE(reader.next());
      CHECK(reader.ok());
    }
  }
}

TEST_CASE("the octets are those of the specification") {
  Writer writer;
  writer.i64(1, 150);
  writer.text(2, "testing");
  writer.i64(3, -2);
  writer.message(64, [](Writer& inner) { inner.boolean(1, true); });
  CHECK(writer.take() ==
        "\x08\x96\x01\x12\x07testing\x18\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"
        "\x82\x04\x02\x08\x01"sv);
}

TEST_CASE("zero and empty are left out where the field stands alone") {
  Writer writer;
  writer.u64(1, 0);
  writer.boolean(2, false);
  writer.text(3, "");
  CHECK(writer.take().empty());
  writer.each_u64(1, 0);
  writer.each_text(3, "");
  writer.message(4, [](Writer&) {});
  CHECK(writer.take() == "\x08\x00\x1a\x00\x22\x00"sv);
}

TEST_CASE("nested messages have lengths of one octet and of several") {
  for (const std::size_t size : {0U, 1U, 120U, 125U, 126U, 127U, 128U, 16'400U}) {
    CAPTURE(size);
    Writer writer;
    writer.message(1, [&](Writer& outer) {
      outer.message(2, [&](Writer& inner) { inner.text(3, std::string(size, 'x')); });
      outer.u64(4, 5);
    });
    writer.u64(6, 7);
    const std::string bytes = writer.take();
    Reader reader(as_bytes(bytes));
    std::string found;
    std::uint64_t within = 0, behind = 0;
    while (reader.next()) {
      if (reader.field() == 6) behind = reader.u64();
      if (reader.field() != 1) continue;
      reader.message([&](Reader& outer) {
        while (outer.next()) {
          if (outer.field() == 4) within = outer.u64();
          if (outer.field() != 2) continue;
          outer.message([&](Reader& inner) {
            while (inner.next())
              found = inner.text();
          });
        }
      });
    }
    CHECK(reader.ok());
    CHECK(found.size() == size);
    CHECK(within == 5);
    CHECK(behind == 7);
  }
}

TEST_CASE("fields that are not known are skipped, whatever their type") {
  const auto bytes =
      "\x08\x05"                              // 1: 5
      "\x11\x01\x02\x03\x04\x05\x06\x07\x08"  // 2: eight octets
      "\x1a\x02hi"                            // 3: text
      "\x25\x01\x02\x03\x04"                  // 4: four octets
      "\xfa\xff\xff\xff\x0f\x01x"             // the highest field number
      "\x08\x06"sv;                           // 1 again: the last one counts
  Reader reader(as_bytes(bytes));
  std::uint64_t one = 0;
  while (reader.next())
    if (reader.field() == 1) one = reader.u64();
  CHECK(reader.ok());
  CHECK(one == 6);
}

TEST_CASE("what is no message is refused") {
  CHECK(is_malformed("\x08"));        // no value
  CHECK(is_malformed("\x08\x80"));    // half a value
  CHECK(is_malformed("\x00\x01"sv));  // field 0
  CHECK(is_malformed("\x0b\x0c"));    // a group
  CHECK(is_malformed("\x0e\x01"));    // a type that is none
  CHECK(is_malformed("\x12\x05hi"));  // longer than what is there
  CHECK(is_malformed("\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
  CHECK(is_malformed("\x11\x01\x02"));                // not eight octets
  CHECK(is_malformed("\x80\x80\x80\x80\x10\x00"sv));  // a field number beyond 29 bits
  CHECK(number("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01") == -1);  // the number -1 itself
  CHECK(is_malformed("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"));  // 65 bits
  CHECK(is_malformed("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"sv));
}

TEST_CASE("a value of another type than asked for is an error, and stays one") {
  Reader text(as_bytes("\x0a\x01x\x10\x01"sv));
  CHECK(text.next());
  CHECK(text.u64() == 0);
  CHECK_FALSE(text.ok());
  CHECK_FALSE(text.next());
  Reader number(as_bytes("\x08\x01"sv));
  CHECK(number.next());
  CHECK(number.text().empty());
  CHECK_FALSE(number.ok());
}

TEST_CASE("an error within a nested message is one of the whole") {
  Reader reader(as_bytes("\x0a\x02\x08\x80"sv));
  descend(reader);
  CHECK_FALSE(reader.ok());
}

TEST_CASE("messages are nested to kDepthMax") {
  const std::string deepest = nested(kDepthMax), deeper = nested(kDepthMax + 1);
  Reader fits(as_bytes(deepest));
  descend(fits);
  CHECK(fits.ok());
  Reader beyond(as_bytes(deeper));
  descend(beyond);
  CHECK_FALSE(beyond.ok());
}

TEST_CASE("enumerators come one by one or packed, and only those that exist") {
  enum class Color : std::uint8_t { red, green };
  const auto colors = [](std::string_view bytes) {
    Reader reader(as_bytes(bytes));
    std::vector<Color> all;
    while (reader.next())
      reader.enumerators<Color>(2, [&](Color color) { all.push_back(color); });
    return std::pair(all, reader.ok());
  };
  CHECK(colors("\x08\x01\x08\x00"sv) == std::pair(std::vector{Color::green, Color::red}, true));
  CHECK(colors("\x0a\x02\x01\x00"sv) == std::pair(std::vector{Color::green, Color::red}, true));
  CHECK(colors("\x0a\x00"sv) == std::pair(std::vector<Color>{}, true));
  CHECK_FALSE(colors("\x08\x02"sv).second);
  CHECK_FALSE(colors("\x0a\x01\x02"sv).second);
  CHECK_FALSE(colors("\x0a\x01\x80"sv).second);
  CHECK_FALSE(colors("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"sv).second);
}
