// SPDX-License-Identifier: Apache-2.0
#include "agent/bridge/client_hello.h"

#include <doctest/doctest.h>

namespace outrider::bridge {
namespace {

std::string u16(std::size_t value) {
  return {static_cast<char>(value >> 8), static_cast<char>(value)};
}
std::string name_extension(const std::string& name) {
  const std::string entry = std::string(1, '\0') + u16(name.size()) + name;
  const std::string list = u16(entry.size()) + entry;
  return u16(0) + u16(list.size()) + list;
}
std::string hello(const std::string& extensions) {
  const std::string body = "\x03\x03" + std::string(32, 'r') + std::string(1, '\0') + u16(2) +
                           "\x13\x01" + std::string("\x01\x00", 2) + u16(extensions.size()) +
                           extensions;
  return std::string("\x01\x00", 2) + u16(body.size()) + body;
}
std::string record(const std::string& fragment) {
  return "\x16\x03\x01" + u16(fragment.size()) + fragment;
}
std::string meaning(const std::string& bytes) {
  const auto name = read_server_name(as_bytes(bytes));
  if (name) return *name;
  switch (name.error()) {
    case HelloError::cut_short:
      return "(cut short)";
    case HelloError::malformed:
      return "(malformed)";
    case HelloError::no_name:
      return "(no name)";
  }
  return {};
}

const std::string kOther = u16(0x0a0a) + u16(3) + "abc";  // GREASE, of no meaning

TEST_CASE("the server name is found behind other extensions, in lower case") {
  CHECK(meaning(record(hello(name_extension("Hello.Svc")))) == "hello.svc");
  CHECK(meaning(record(hello(kOther + name_extension("a.svc") + kOther))) == "a.svc");
}

TEST_CASE("a greeting may be cut into records of any size, and what follows it is not read") {
  const std::string whole = hello(kOther + name_extension("hello.svc"));
  for (std::size_t size = 1; size <= whole.size(); ++size) {
    std::string records;
    for (std::size_t at = 0; at < whole.size(); at += size)
      records += record(whole.substr(at, size));
    CHECK(meaning(records) == "hello.svc");
    CHECK(meaning(records + "anything") == "hello.svc");
    for (std::size_t cut = 0; cut + 1 < records.size(); cut += 7)
      CHECK(meaning(records.substr(0, cut)) == "(cut short)");
  }
}

TEST_CASE("a greeting without a name differs from a malformed one") {
  CHECK(meaning(record(hello(kOther))) == "(no name)");
  CHECK(meaning(record(hello(""))) == "(no name)");
  CHECK(meaning("GET / HTTP/1.1\r\n") == "(malformed)");
  CHECK(meaning(std::string("\x16\x03\x01\x00\x00", 5)) == "(malformed)");       // an empty record
  CHECK(meaning(record(std::string("\x02\x00\x00\x01x", 5))) == "(malformed)");  // ServerHello
  std::string cut = hello(name_extension("hello.svc"));
  cut[cut.size() - 10] = '\x7f';  // the name is longer than its list
  CHECK(meaning(record(cut)) == "(malformed)");
  CHECK(meaning(record(hello(name_extension("a b")))) == "(malformed)");
  CHECK(meaning(record(hello(name_extension("")))) == "(malformed)");
}

TEST_CASE("a greeting that states more than the limit is refused at once") {
  const std::size_t most = kHelloBytesMax - 4;
  CHECK(meaning(record(std::string("\x01\x00", 2) + u16(most))) == "(cut short)");
  CHECK(meaning(record(std::string("\x01\x00", 2) + u16(most + 1))) == "(malformed)");
}

TEST_CASE("an alert is one whole record") {
  CHECK(write_alert(Alert::unrecognized_name) == std::string("\x15\x03\x03\x00\x02\x02\x70", 7));
}

}  // namespace
}  // namespace outrider::bridge
