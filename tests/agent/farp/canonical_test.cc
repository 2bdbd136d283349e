// SPDX-License-Identifier: Apache-2.0
#include "agent/farp/canonical.h"

#include <doctest/doctest.h>

namespace outrider::farp {
namespace {

json::Value document(std::string_view text) {
  auto value = json::parse_foreign(text, 64U << 10);
  REQUIRE(value);
  return std::move(*value);
}

// Computed with Go's encoding/json and crypto/sha256.
TEST_CASE("schema hashes are those of the reference library") {
  struct Row {
    const char* text;
    const char* canonical;
    const char* hash;
  };
  const Row rows[] = {
      {R"({"foo":"bar"})", R"({"foo":"bar"})",
       "7a38bf81f383f69433ad6e900d35b3e2385593f76a7b7ab5d4355b8ba41ee24b"},
      {"{}", "{}", "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},
      {R"({"b":1,"a":2})", R"({"a":2,"b":1})",
       "d3626ac30a87e6f7a6428233b3c68299976865fa5508e4267c5415c76af7a772"},
      {R"({"d":"a<b>&c"})", R"({"d":"a\u003cb\u003e\u0026c"})",
       "1aff7cb7e751332af47696a840468ae12e6b1ef3e055744cb18c56beda519666"},
      {R"({"u":"\u2028é"})", "{\"u\":\"\\u2028é\"}",
       "d09d27cc86cf319e9ff2093eef2cd6c4d27c0190d1df888972ed911645e28a4f"},
      {R"({"n":1.0,"e":1e21,"i":9007199254740993,"s":0.000001,"t":0.0000001})",
       R"({"e":1e+21,"i":9007199254740992,"n":1,"s":0.000001,"t":1e-7})",
       "33f1fd6535f949ad500bb354f76b325ae8fc6be850e0a18c0833affa50c1ffae"},
      {R"({"limit":18446744073709551615,"least":-9223372036854775809,)"
       R"("big":123456789012345678901234567890})",
       R"({"big":1.2345678901234568e+29,"least":-9223372036854776000,)"
       R"("limit":18446744073709552000})",
       "47c50d7fed03e498524fadaa36265c1a9e1f55045a464cb797941c065c6e8b34"},
      {"[90071992547409933,100000000000000000000,123456789012345680000,9223372036854775807]",
       "[90071992547409940,100000000000000000000,123456789012345680000,9223372036854776000]",
       "e393bf262cb74e0d9469a877a3b855465cd1b2d33b40881f80cb560062fbcc08"},
      {R"({"openapi":"3.1.0","info":{"title":"user-service","version":"1.0.0"},"paths":{}})",
       R"({"info":{"title":"user-service","version":"1.0.0"},"openapi":"3.1.0","paths":{}})",
       "4ac73838182ebd5b7f1631604ccb69e776ac9a41b9295c42dba284d1ec523c9b"},
      {R"({"asyncapi":"3.0.0","info":{"title":"user-service","version":"1.0.0"},"channels":{},)"
       R"("operations":{}})",
       R"({"asyncapi":"3.0.0","channels":{},"info":{"title":"user-service","version":"1.0.0"},)"
       R"("operations":{}})",
       "d555a6639c51dca628febd4b1c38770ed5d547499bc91f84ef84dbf0b4e0748b"}};
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const json::Value value = document(row.text);
    CHECK(go_canonical(value) == row.canonical);
    CHECK(schema_hash(value) == row.hash);
  }
}

TEST_CASE("the canonical form is a fixed point") {
  for (const char* text : {R"([null,true,false,"\n\r\t\u0001\u007f\"\\/",[],{}])",
                           R"({"z":[{"b":1.5e300,"a":-0.25}],"A":-1e-9})"}) {
    const std::string once = go_canonical(document(text));
    CHECK(go_canonical(document(once)) == once);
  }
}

TEST_CASE("a manifest's checksum joins hashes by type and does not depend on their order") {
  const std::string a(64, 'a');
  const std::string b(64, 'b');
  CHECK(manifest_checksum({}).empty());
  CHECK(manifest_checksum({{"openapi", a}}) ==
        "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb");
  const char* both = "85bd847f072a1a7c2d0a0497416c0d823b478aeb77dccddadbb37bd0f51c47a2";
  CHECK(manifest_checksum({{"openapi", a}, {"asyncapi", b}}) == both);
  CHECK(manifest_checksum({{"asyncapi", b}, {"openapi", a}}) == both);
}

}  // namespace
}  // namespace outrider::farp
