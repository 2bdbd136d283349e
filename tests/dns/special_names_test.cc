// SPDX-License-Identifier: Apache-2.0
#include "dns/special_names.h"

#include <array>

#include <doctest/doctest.h>

#include "dns/wire/message_builder.h"
#include "tests/dns/bed.h"

namespace outrider::dns {
namespace {

struct Asked {
  std::array<std::uint8_t, 512> buffer{};
  Query query;

  explicit Asked(std::string_view name, RrType type = RrType::a) {
    MessageBuilder builder(buffer);
    REQUIRE(builder.add_question({test::name(name), type}));
    REQUIRE(query.parse(builder.finish()) == QueryFault::none);
  }
};

TEST_CASE("special names are known by their last labels, in any case") {
  CHECK(special_use(Asked("localhost").query) == SpecialUse::loopback);
  CHECK(special_use(Asked("web.LocalHost").query) == SpecialUse::loopback);
  CHECK(special_use(Asked("box.local").query) == SpecialUse::multicast);
  CHECK(special_use(Asked("x.invalid").query) == SpecialUse::nonexistent);
  CHECK(special_use(Asked("abc.onion").query) == SpecialUse::nonexistent);
  CHECK(special_use(Asked("1.0.0.10.in-addr.arpa").query) == SpecialUse::reverse);
}

TEST_CASE("names that only look like special ones are not") {
  for (const char* text : {".", "local.example.com", "xlocal", "notlocalhost", "localhos", "arp"}) {
    CAPTURE(text);
    CHECK_FALSE(special_use(Asked(text).query).has_value());
  }
}

TEST_CASE("the version is asked for by two names, as TXT or ANY") {
  CHECK(asks_version(Asked("Version.Bind", RrType::txt).query));
  CHECK(asks_version(Asked("version.server", RrType::any).query));
  CHECK_FALSE(asks_version(Asked("version.bind", RrType::a).query));
  CHECK_FALSE(asks_version(Asked("a.version.bind", RrType::txt).query));
}

}  // namespace
}  // namespace outrider::dns
