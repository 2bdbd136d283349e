// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include "base/percent.h"
#include "base/utf8.h"

namespace outrider {
namespace {

TEST_CASE("lines and words of a table") {
  std::string_view text = "  sl  local\r\n\n0: \t00:1F 07\nlast";
  auto line = take_line(text);
  REQUIRE(line.has_value());
  CHECK(take_word(*line) == "sl");
  CHECK(take_word(*line) == "local");
  CHECK(take_word(*line).empty());
  CHECK(take_line(text) == "");
  line = take_line(text);
  CHECK(take_word(*line) == "0:");
  CHECK(take_word(*line) == "00:1F");
  CHECK(take_line(text) == "last");
  CHECK_FALSE(take_line(text).has_value());
}

TEST_CASE("a number with its noun agrees, and has its thousands marked") {
  CHECK(counted(0, "service") == "0 services");
  CHECK(counted(1, "service") == "1 service");
  CHECK(counted(2, "pass") == "2 passes");
  CHECK(counted(999, "name") == "999 names");
  CHECK(counted(1'024, "name") == "1,024 names");
  CHECK(counted(1'234'567, "octet") == "1,234,567 octets");
}

TEST_CASE("case is that of ASCII") {
  CHECK(lowered("_HTTP._Tcp \xc3\x84") == "_http._tcp \xc3\x84");
  CHECK(equal_fold("Content-Type", "content-TYPE"));
  CHECK_FALSE(equal_fold("a", "ab"));
  CHECK_FALSE(equal_fold("[", "{"));  // neighbours of the letters, 32 apart as well
}

TEST_CASE("a number is the whole text, and fits") {
  CHECK(parse_number<std::uint16_t>("65535") == 65535);
  CHECK(parse_number<int>("-7") == -7);
  CHECK(parse_number<std::uint64_t>("18446744073709551615") == ~std::uint64_t{0});
  for (const char* text : {"", " 1", "1 ", "+1", "-1", "0x10", "1.0", "65536", "one"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_number<std::uint16_t>(text).has_value());
  }
}

TEST_CASE("lists with something between their elements") {
  const std::vector<std::string> words{"", "a", "", "b"};
  CHECK(join(words, ", ") == ", a, , b");
  CHECK(join(std::vector<std::string>{}, ",").empty());
  CHECK(join(std::vector<int>{1, 20}, " ", [](int n) { return std::to_string(n); }) == "1 20");
}

TEST_CASE("replacing goes on behind what was put in") {
  CHECK(replace_all("{a}:{a}", "{a}", "::1") == "::1:::1");
  CHECK(replace_all("xx", "x", "xx") == "xxxx");
  CHECK(replace_all("none", "{a}", "b") == "none");
}

TEST_CASE("an escape is a percent sign and two hexadecimal digits") {
  CHECK(percent_octet("%2f") == 0x2f);
  CHECK(percent_octet("%Fe and more") == 0xfe);
  CHECK(percent_octet("%00") == 0);
  for (const char* other : {"", "%", "%2", "%2g", "%g2", "%-1", "%+1", "% 1", "%0x", "2f", "%%2f"})
    CHECK_FALSE(percent_octet(other).has_value());
  CHECK(percent_decode("a%2Fb%%41%4%") == "a/b%A%4%");
}

TEST_CASE("the first line of an output") {
  CHECK(first_line("refused\r\nat once") == "refused");
  CHECK(first_line("refused") == "refused");
  CHECK(first_line("\nlate").empty());
}

TEST_CASE("text is cut between characters") {
  const std::string text = "a\u00e9\u20ac\U0001f600z";  // 1, 2, 3, 4 and 1 octets
  const std::size_t wholes[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};
  for (std::size_t most = 0; most < std::size(wholes); ++most) {
    CAPTURE(most);
    CHECK(cut_text(text, most).size() == wholes[most]);
  }
  // What is no UTF-8 is cut where asked.
  CHECK(cut_text("\x80\x80\x80\x80\x80\x80", 5).size() == 5);
  CHECK(cut_text("", 3).empty());
}

}  // namespace
}  // namespace outrider
