// SPDX-License-Identifier: Apache-2.0
// The manual pages: generated parts equal the tables, and mandoc accepts them. To bring the pages
// up to date: OUTRIDER_WRITE_MAN=1 build/tests/agent/cli/test_cli -tc="*manual*"
#include "agent/cli/man.h"

#include <cstdlib>

#include <doctest/doctest.h>

#include "base/text_file.h"
#include "tests/skip.h"

using namespace outrider;
using namespace outrider::cli;

namespace {

void check_page(const std::string& path, const std::string& generated) {
  const auto page = read_text_file(path);
  REQUIRE(page.has_value());
  const std::string wanted = with_generated(*page, generated);
  REQUIRE_FALSE(wanted.empty());
  if (std::getenv("OUTRIDER_WRITE_MAN") != nullptr)
    REQUIRE(write_text_file(path, wanted).has_value());
  else
    CHECK(*page == wanted);
}

}  // namespace

TEST_CASE("the generated parts of the manual pages are up to date") {
  check_page("man/outrider.1", man_commands());
  check_page("man/outrider.json.5", man_options());
  check_page("man/outrider-agent.8", man_events());
}

TEST_CASE("manual pages are clean for mandoc, if it is installed") {
  if (std::system("command -v mandoc >/dev/null 2>&1") != 0)
    return test::skip("mandoc is not installed");
  for (const char* page : {"man/outrider.1", "man/outrider-agent.8", "man/outrider.json.5",
                           "man/outrider-dns.7", "man/outrider-api.7"}) {
    CAPTURE(page);
    CHECK(std::system((std::string("mandoc -T lint -W warning ") + page).c_str()) == 0);
  }
}
