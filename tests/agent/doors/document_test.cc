// SPDX-License-Identifier: Apache-2.0
// docs/API.md equals the route tables. To bring it up to date:
// OUTRIDER_WRITE_MAN=1 build/tests/agent/doors/test_doors -tc="*document*"
#include <cstdlib>

#include <doctest/doctest.h>

#include "base/text.h"
#include "base/text_file.h"
#include "tests/agent/doors/api_fixture.h"

using namespace outrider;
using namespace outrider::doors;
using namespace outrider::test;

namespace {

constexpr const char* kDocument = "docs/API.md";
constexpr const char* kIntroduction =
    "# The HTTP API\n\n"
    "Every route that the agent answers, made from its tables by a test. What the answers contain "
    "and who may\n"
    "change things is in outrider-agent(8). A path that is not listed gets 404, another method 405 "
    "with `Allow`.\n"
    "`/api/*` and `/discovery/*` need the options `api.article` and `api.bilibili`.\n";

/// A cell of a table: a bar would end it.
std::string cell(std::string_view text) {
  return replace_all(std::string(text), "|", "\\|");
}

void write(const doors::Route& route, std::string& out) {
  out += "\n## `" + std::string(route.method) + ' ' + std::string(route.pattern) + "`\n\n";
  out += std::string(route.summary) + '.';
  if (!route.body.empty()) out += " Body: " + std::string(route.body) + '.';
  out += '\n';
  if (route.parameters.empty()) return;
  out += "\n| parameter | meaning |\n|---|---|\n";
  for (const http::Parameter& parameter : route.parameters)
    out += "| `" + std::string(parameter.name) + "` | " + cell(parameter.summary) + " |\n";
}

}  // namespace

TEST_CASE("the document of the API is up to date") {
  ApiFixture f({.article = true, .bilibili = true});
  std::string wanted = kIntroduction;
  for (const auto& table : f.api->router().tables())
    for (const doors::Route& route : table)
      write(route, wanted);
  if (std::getenv("OUTRIDER_WRITE_MAN") != nullptr)
    REQUIRE(write_text_file(kDocument, wanted).has_value());
  else
    CHECK(read_text_file(kDocument) == wanted);
}
