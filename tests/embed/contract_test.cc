// SPDX-License-Identifier: Apache-2.0
// The same calls, and the same answers, from an agent of the program's own in each mode and over
// the socket of another one.
#include "tests/embed/subject.h"

namespace outrider::test {
TEST_CASE("a service is registered, found in every way, and withdrawn") {
  on_each([](Subject& agent) {
    Text id, json;
    REQUIRE(outrider_register(agent, kOrders, &id) == 0);
    CHECK(id.str() == "o1");
    CHECK(outrider_renew(agent, "o1") == 0);
    REQUIRE(outrider_get(agent, "orders", nullptr, &json) == 0);
    CHECK(json.has("\"id\":\"o1\""));
    CHECK(json.has("\"health\":\"passing\""));
    REQUIRE(outrider_get(agent, "orders", "passing&tag=web&version=2&metadata=zone%3Da", &json) ==
            0);
    CHECK(json.has("\"id\":\"o1\""));
    REQUIRE(outrider_get(agent, "orders", "tag=blue", &json) == 0);
    CHECK(json.has("\"instances\":[]"));
    REQUIRE(outrider_get(agent, nullptr, "prefix=ord", &json) == 0);
    CHECK(json.has("\"id\":\"o1\""));
    REQUIRE(outrider_list(agent, nullptr, &json) == 0);
    CHECK(json.has("\"name\":\"orders\""));
    REQUIRE(outrider_select(agent, "orders", "strategy=random", &json) == 0);
    CHECK(json.has("\"url\":\"http://"));
    REQUIRE(outrider_why(agent, "orders", &json) == 0);
    CHECK(json.has("o1"));
    REQUIRE(outrider_why(agent, "nothing", &json) == 0);
    CHECK(json.has("\"known\":false"));
    REQUIRE(outrider_snapshot(agent, &json) == 0);
    CHECK(json.has("\"id\":\"o1\""));
    CHECK(agent.wait("orders", 1, kLong) == 0);
    CHECK(outrider_deregister(agent, "o1") == 0);
    CHECK(outrider_deregister(agent, "o1") == OUTRIDER_ENOTFOUND);
    CHECK(outrider_get(agent, "nothing", nullptr, &json) == OUTRIDER_ENOTFOUND);
    CHECK(outrider_select(agent, "nothing", nullptr, &json) == OUTRIDER_ENOTFOUND);
    CHECK(outrider_manifest(agent, "nothing", &json) == OUTRIDER_ENOTFOUND);
  });
}

TEST_CASE("health, maintenance and drain change what is served") {
  on_each([](Subject& agent) {
    Text json;
    REQUIRE(outrider_register(agent, kOrders, nullptr) == 0);
    const auto health = [&](const std::string& wanted) {
      REQUIRE(outrider_get(agent, "orders", nullptr, &json) == 0);
      return json.has("\"health\":\"" + wanted + "\",\"served\"");
    };
    CHECK(outrider_set_health(agent, "o1", OUTRIDER_WARNING, "disk 90% full") == 0);
    CHECK(health("warning"));
    CHECK(json.has("disk 90% full"));
    CHECK(outrider_set_health(agent, "o1/alive", OUTRIDER_CRITICAL, nullptr) == 0);
    CHECK(health("critical"));
    CHECK(outrider_renew(agent, "o1") == 0);
    CHECK(outrider_set_maintenance(agent, "o1", 1, "new disk") == 0);
    CHECK(health("maintenance"));
    CHECK(json.has("new disk"));
    CHECK(outrider_set_maintenance(agent, "o1", 0, nullptr) == 0);
    CHECK(outrider_set_draining(agent, "o1", 1) == 0);
    CHECK(health("draining"));
    CHECK(outrider_set_draining(agent, "o1", 0) == 0);
    CHECK(health("passing"));
    CHECK(outrider_drain(agent, agent.drain_ms()) == 0);
    CHECK(health("draining"));
    CHECK(outrider_set_health(agent, "o1", 3, nullptr) == OUTRIDER_EINVAL);
    CHECK(outrider_set_maintenance(agent, "o2", 1, nullptr) == OUTRIDER_ENOTFOUND);
  });
}

TEST_CASE("a watcher gets the whole list, first when it is not empty, then after every change") {
  on_each([](Subject& agent) {
    outrider_watcher* watcher = nullptr;
    Text json;
    REQUIRE(outrider_watch(agent, "orders", "passing", nullptr, nullptr, &watcher) == 0);
    CHECK(agent.next(watcher, 0, &json) == OUTRIDER_ETIMEDOUT);
    REQUIRE(outrider_register(agent, kOrders, nullptr) == 0);
    REQUIRE(outrider_renew(agent, "o1") == 0);
    REQUIRE(agent.next(watcher, kLong, &json) == 0);
    CHECK(json.has("\"id\":\"o1\""));
    REQUIRE(outrider_set_health(agent, "o1", OUTRIDER_CRITICAL, nullptr) == 0);
    REQUIRE(agent.next(watcher, kLong, &json) == 0);
    CHECK(json.has("\"instances\":[]"));
    REQUIRE(outrider_register(agent, R"({"name": "other", "port": 1})", nullptr) == 0);
    CHECK(agent.next(watcher, 50, &json) == OUTRIDER_ETIMEDOUT);
    outrider_unwatch(watcher);
  });
}

TEST_CASE("waiting ends when a client can be given an instance, which needs an address") {
  on_each([](Subject& agent) {
    Text json;
    const char* const early =
        R"({"name": "orders", "id": "o1", "port": 8080, "address": ["fe80::1"]})";
    REQUIRE(outrider_register(agent, early, nullptr) == 0);
    CHECK(outrider_select(agent, "orders", nullptr, &json) == OUTRIDER_ENOTFOUND);
    CHECK(agent.wait("orders", 1, 0) == OUTRIDER_ETIMEDOUT);
    CHECK(agent.wait("orders", 1, 50) == OUTRIDER_ETIMEDOUT);
    const char* const known =
        R"({"name": "orders", "id": "o1", "port": 8080, "address": ["10.0.0.7"]})";
    REQUIRE(outrider_register(agent, known, nullptr) == 0);
    CHECK(agent.wait("orders", 1, kLong) == 0);
    CHECK(outrider_select(agent, "orders", nullptr, &json) == 0);
    CHECK(json.has("\"endpoint\":\"10.0.0.7:8080\""));
  });
}

TEST_CASE("events of all services begin with what is known") {
  on_each([](Subject& agent) {
    outrider_watcher* watcher = nullptr;
    Text json;
    REQUIRE(outrider_watch(agent, nullptr, nullptr, nullptr, nullptr, &watcher) == 0);
    REQUIRE(agent.next(watcher, kLong, &json) == 0);
    CHECK(json.has("\"instances\":["));
    REQUIRE(outrider_register(agent, kOrders, nullptr) == 0);
    REQUIRE(agent.next(watcher, kLong, &json) == 0);
    CHECK(json.has("\"changes\":[{\"kind\":\"added\""));
    outrider_unwatch(watcher);
    CHECK(outrider_watch(agent, nullptr, "passing", nullptr, nullptr, &watcher) == OUTRIDER_EINVAL);
  });
}

TEST_CASE("what is wrong is refused with a sentence") {
  on_each([](Subject& agent) {
    Text json;
    outrider_watcher* watcher = nullptr;
    const auto error = [&] {
      char text[512];
      outrider_errmsg(agent, text, sizeof text);
      return std::string(text);
    };
    CHECK(outrider_register(agent, "{", &json) == OUTRIDER_EINVAL);
    CHECK_FALSE(error().empty());
    CHECK(outrider_register(agent, R"({"name": "orders", "prot": 1})", &json) == OUTRIDER_EINVAL);
    CHECK(error().find("port") != std::string::npos);
    CHECK(outrider_get(agent, "orders", "colour=red", &json) == OUTRIDER_EINVAL);
    CHECK(outrider_select(agent, "orders", "strategy=best", &json) == OUTRIDER_EINVAL);
    CHECK(error().find("round_robin") != std::string::npos);
    CHECK(outrider_watch(agent, "orders", "colour=red", nullptr, nullptr, &watcher) ==
          OUTRIDER_EINVAL);
    CHECK(error().find("colour") != std::string::npos);
    CHECK(outrider_renew(agent, "nothing") == OUTRIDER_ENOTFOUND);
    CHECK(outrider_register(agent, nullptr, &json) == OUTRIDER_EINVAL);
    CHECK(agent.wait("nothing", 1, 20) == OUTRIDER_ETIMEDOUT);
  });
}

TEST_CASE("a filter is part of one line, whatever it holds") {
  on_each([](Subject& agent) {
    Text json;
    outrider_watcher* watcher = nullptr;
    REQUIRE(outrider_register(agent, kOrders, nullptr) == 0);
    const char* const filters[] = {
        "tag=a HTTP/1.1\r\nHost: agent\r\n\r\nPUT /v1/outrider/deregister/o1 HTTP/1.1\r\n"
        "Host: agent\r\nContent-Length: 0\r\n\r\n",
        "tag=a b", "tag=a\nb", "tag=%zz"};
    for (const char* filter : filters) {
      CAPTURE(filter);
      CHECK(outrider_get(agent, "orders", filter, &json) == OUTRIDER_EINVAL);
      CHECK(outrider_select(agent, "orders", filter, &json) == OUTRIDER_EINVAL);
      CHECK(outrider_watch(agent, "orders", filter, nullptr, nullptr, &watcher) == OUTRIDER_EINVAL);
    }
    CHECK(outrider_deregister(agent, "o1") == 0);
  });
}

}  // namespace outrider::test
