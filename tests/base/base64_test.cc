// SPDX-License-Identifier: Apache-2.0
#include "base/base64.h"

#include <doctest/doctest.h>

using namespace outrider;

TEST_CASE("base64 is that of RFC 4648, both ways") {
  const std::pair<std::string, std::string> pairs[] = {{"", ""},
                                                       {"f", "Zg=="},
                                                       {"fo", "Zm8="},
                                                       {"foo", "Zm9v"},
                                                       {"foob", "Zm9vYg=="},
                                                       {"fooba", "Zm9vYmE="},
                                                       {"foobar", "Zm9vYmFy"},
                                                       {"\xff\xfe", "//4="},
                                                       {std::string(1, '\0'), "AA=="}};
  for (const auto& [octets, text] : pairs) {
    CHECK(base64_encode(octets) == text);
    CHECK(base64_decode(text) == octets);
  }
  std::string all;
  for (int i = 0; i < 256; ++i)
    all += static_cast<char>(i);
  CHECK(base64_decode(base64_encode(all)) == all);
}

TEST_CASE("what is not base64 has no octets") {
  for (const char* text : {"Z", "Zg", "Zg=", "Zg===", "Z===", "====", "Zh==", "Zm9=", "Zm 9",
                           "Zm9-", "Zg==Zg==", "=Zg=", "Zm9v\n"})
    CHECK_MESSAGE(!base64_decode(text), text);
}
