// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/live_table.h"

#include <doctest/doctest.h>

namespace outrider::cli {
namespace {

std::string instance(const std::string& service, const std::string& id, const std::string& health,
                     const std::string& output = "ok") {
  const bool served = health == "passing" || health == "warning";
  return R"({"service": ")" + service + R"(", "id": ")" + id + R"(", "health": ")" + health +
         R"(", "served": )" + (served ? "true" : "false") +
         R"(, "addresses": ["10.0.0.1"], "port": 80, "checks": [{"health": ")" + health +
         R"(", "output": ")" + output + R"(", "since": "2026-01-31T09:30:00Z"}]})";
}

void apply(LiveTable& table, std::string_view event, const std::string& text) {
  const auto value = json::parse(text, json::kBodyBytesMax);
  REQUIRE(value);
  table.apply(event, *value);
}

std::string change(const std::string& kind, const std::string& instance) {
  return R"({"changes": [{"kind": ")" + kind + R"(", "instance": )" + instance + "}]}";
}

LiveTable two_services() {
  LiveTable table;
  apply(table, "snapshot",
        R"({"instances": [)" + instance("api", "a1", "passing") + ',' +
            instance("api", "a2", "passing") + ',' +
            instance("web", "w1", "critical", R"(HTTP 503: db\u001b[2J down\nmore)") + "]}");
  return table;
}

TEST_CASE("the failing services come first, with the first line of their reason") {
  const std::string text = two_services().screen({120, 24}, "12:03:10");
  const std::size_t web = text.find("\nweb "), api = text.find("\napi ");
  REQUIRE(web != std::string::npos);
  REQUIRE(api != std::string::npos);
  CHECK(web < api);
  CHECK(text.starts_with("outrider  12:03:10  2 services, 2 of 3 instances healthy"));
  CHECK(text.find("HTTP 503: db\\x1b[2J down\n") != std::string::npos);
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK(text.find("0 of 1") != std::string::npos);
  CHECK(text.find("2 of 2") != std::string::npos);
}

TEST_CASE("a screen is no wider and no higher than the terminal") {
  LiveTable table;
  std::string all;
  for (int i = 0; i < 50; ++i)
    all += (all.empty() ? "" : ",") +
           instance("s" + std::to_string(i), "i", "critical", std::string(300, 'x'));
  apply(table, "snapshot", R"({"instances": [)" + all + "]}");
  const std::string text = table.screen({60, 24}, "12:03:10");
  std::size_t lines = 0, at = 0;
  while (at < text.size()) {
    const std::size_t end = text.find('\n', at);
    CHECK(end - at <= 60);
    at = end + 1;
    ++lines;
  }
  CHECK(lines == 24);
  CHECK(text.ends_with("and 29 more\n"));
}

TEST_CASE("changes are followed: health, new and removed instances") {
  LiveTable table = two_services();
  CHECK(table.served() == 2);
  apply(table, "changes", change("changed", instance("web", "w1", "passing")));
  CHECK(table.served() == 3);
  CHECK(table.instances() == 3);
  apply(table, "changes", change("added", instance("web", "w2", "passing")));
  CHECK(table.instances() == 4);
  apply(table, "changes", change("removed", instance("web", "w1", "passing")));
  apply(table, "changes", change("removed", instance("web", "w2", "passing")));
  CHECK(table.instances() == 2);
  CHECK(table.screen({80, 24}, "").find("web") == std::string::npos);
  apply(table, "snapshot", R"({"instances": []})");
  CHECK(table.empty());
}

TEST_CASE("an instance counts when its address is known, which may come after its name") {
  const std::string known = instance("web", "w1", "passing");
  std::string early = known;
  early.replace(early.find(R"("10.0.0.1")"), std::string_view(R"("10.0.0.1")").size(), "");
  LiveTable table;
  apply(table, "changes", change("added", early));
  CHECK(table.served() == 0);
  CHECK(table.instances() == 1);
  apply(table, "changes", change("changed", known));
  CHECK(table.served() == 1);
  CHECK(table.instances() == 1);
}

TEST_CASE("what is critical for too long to be an instance stays, until it is deregistered") {
  LiveTable table = two_services();
  const std::string web = instance("web", "w1", "critical", "HTTP 503");
  std::string dropped = change("removed", web);
  dropped.insert(dropped.find("\"kind\""), "\"dropped\": true, ");
  apply(table, "change", dropped);
  CHECK(table.instances() == 3);
  CHECK(table.screen({120, 24}, "").find("0 of 1     critical") != std::string::npos);
  apply(table, "change", change("added", instance("web", "w1", "passing")));
  CHECK(table.screen({120, 24}, "").find("1 of 1     passing") != std::string::npos);
  apply(table, "snapshot", R"({"instances": [], "dropped": [)" + web + "]}");
  CHECK(table.screen({120, 24}, "").find("HTTP 503") != std::string::npos);
  apply(table, "change", R"({"changes": [], "ended": [)" + web + "]}");
  CHECK(table.empty());
}

TEST_CASE("what has no checks looks different from what passes them") {
  LiveTable table;
  apply(table, "snapshot",
        R"({"instances": [{"service": "db", "id": "d", "health": "passing", "served": true,
            "unchecked": true, "addresses": ["10.0.0.1"], "port": 80, "checks": []},)" +
            instance("web", "w", "passing") + "]}");
  const std::string text = table.screen({120, 24}, "");
  CHECK(text.find("10.0.0.1:80            no check\n") != std::string::npos);
  CHECK(text.find("no check") == text.rfind("no check"));
}

}  // namespace
}  // namespace outrider::cli
