// SPDX-License-Identifier: Apache-2.0
// What the API does for many clients, or for a large request, is spread over turns of the loop.
#include <doctest/doctest.h>

#include "tests/agent/doors/api_fixture.h"

using namespace outrider;
using namespace outrider::doors;
using namespace outrider::test;

namespace {

std::string services(int count) {
  std::string out = R"({"services":[)";
  for (int i = 0; i < count; ++i)
    out += (i == 0 ? "" : ",") + (R"({"name":"s)" + std::to_string(i) + R"(","port":80})");
  return out + "]}";
}

/// The most that `count` grew by in one turn.
template <class Count>
std::size_t most_in_turn(sim::World& world, Duration time, const Count& count) {
  std::size_t before = count(), most = 0;
  world.run_until(
      [&] {
        const std::size_t now = count();
        most = std::max(most, now - std::exchange(before, now));
        return false;
      },
      time);
  return most;
}

}  // namespace

TEST_CASE("a long list of services is registered a few in each turn") {
  ApiFixture f;
  Client client(f.world);
  client.send(ApiFixture::request("PUT", "/v1/outrider/register", services(200)));
  CHECK(most_in_turn(f.world, 1s, [&] { return f.agent.registry().own().size(); }) <=
        kRegistrationsPerTurn);
  CHECK(f.agent.registry().own().size() == 200);
  const std::string answer = client.take();
  CHECK(status_of(answer) == "200");
  CHECK(size_of(*json::parse(body_of(answer), 1U << 20), "registered") == 200);
}

TEST_CASE("a long list of services is registered whole even if its client leaves") {
  ApiFixture f;
  Client client(f.world);
  client.send(ApiFixture::request("PUT", "/v1/outrider/register", services(2'000)));
  f.world.run_until([&] { return !f.agent.registry().own().empty(); }, 1s);
  client.close();
  f.world.advance(1s);
  CHECK(f.agent.registry().own().size() == 2'000);
  CHECK(f.api->waiting() == 0);
}

TEST_CASE("hundreds of blocking queries are answered a few in each turn") {
  ApiFixture f;
  f.put(R"({"name":"web","port":80})");
  const std::string index = std::to_string(f.api->index_of(""));
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 200; ++i) {
    clients.push_back(std::make_unique<Client>(f.world));
    clients.back()->send(ApiFixture::request("GET", "/v1/catalog/services?wait=1m&index=" + index));
  }
  f.world.settle();
  REQUIRE(f.api->waiting() == 200);
  const auto answered = [&] { return 200 - f.api->waiting(); };

  SUBCASE("when something changes") {
    f.agent.see("web", "other", "192.168.1.20", 80);
    CHECK(most_in_turn(f.world, 1s, answered) <= kAnswersPerTurn);
  }
  SUBCASE("when their time is over together") {
    CHECK(most_in_turn(f.world, 2min, answered) <= kAnswersPerTurn);
  }
  SUBCASE("and one in each if that takes long") {
    f.agent.reading_takes = 1ms;
    f.agent.see("web", "other", "192.168.1.20", 80);
    CHECK(most_in_turn(f.world, 1s, answered) == 1);
  }
  CHECK(f.api->waiting() == 0);
  for (const auto& client : clients)
    CHECK(status_of(client->take()) == "200");
}

TEST_CASE("hundreds of streams get every change, in order") {
  ApiFixture f;
  std::vector<std::unique_ptr<Client>> clients;
  for (std::size_t i = 0; i < 3 * kStreamsPerTurn; ++i) {
    clients.push_back(std::make_unique<Client>(f.world));
    clients.back()->ask(ApiFixture::request("GET", "/v1/outrider/watch"));
  }
  for (int i = 0; i < 50; ++i) {
    f.agent.see("web", "i" + std::to_string(i), "192.168.1.20", 80);
    if (i % 5 == 0) f.world.advance(1ms);
  }
  f.world.advance(1s);
  for (const auto& client : clients) {
    const std::string text = client->take();
    std::size_t place = 0;
    for (int i = 0; i < 50 && place != std::string::npos; ++i)
      place = text.find("\"i" + std::to_string(i) + "\"", place);
    CHECK(place != std::string::npos);
  }
}

TEST_CASE("snapshots of thousands of instances are written one piece in each turn") {
  ApiFixture f;
  constexpr std::size_t kCount = 2 * kRowsPerTurn + 10;
  constexpr std::size_t kClients = 10;
  for (std::size_t i = 0; i < kCount; ++i)
    f.agent.see("web", "w" + std::to_string(i), "192.168.1.20", 80);
  std::vector<std::unique_ptr<Client>> clients;
  for (std::size_t i = 0; i < kClients; ++i)
    clients.push_back(std::make_unique<Client>(f.world));
  std::vector<std::string> texts(kClients);
  const auto whole = [&] {
    std::size_t count = 0;
    for (std::size_t i = 0; i < kClients; ++i) {
      texts[i] += clients[i]->take();
      count += texts[i].find("event: snapshot\n") != std::string::npos ? 1 : 0;
    }
    return count;
  };
  for (const auto& client : clients)
    client->send(ApiFixture::request("GET", "/v1/outrider/watch"));
  f.world.run_until([&] { return f.api->watching() == kClients; }, 1s);
  // Changes come before, amid and after the snapshots.
  std::size_t turns = 0, before = 0, late = 0;
  f.world.run_until(
      [&] {
        if (++turns % 4 == 0)
          f.agent.see("web", "late" + std::to_string(late++), "192.168.1.20", 80);
        const std::size_t now = whole();
        CHECK(now - std::exchange(before, now) <= 1);
        return now == kClients;
      },
      5s);
  CHECK(turns >= 3 * kClients);
  f.world.advance(1s);
  CHECK(whole() == kClients);
  for (const std::string& text : texts) {
    CHECK(text.find("\"w0\"") != std::string::npos);
    CHECK(text.find("\"w" + std::to_string(kCount - 1) + "\"") != std::string::npos);
    for (std::size_t i = 0; i < late; ++i) {  // in the snapshot, or as a change after it
      const std::string id = "\"id\":\"late" + std::to_string(i) + "\"";
      const std::size_t at = text.find(id);
      CHECK(at != std::string::npos);
      CHECK(text.find(id, at + 1) == std::string::npos);
    }
  }
}

TEST_CASE("what clients that resume have missed is written one piece in each turn, in order") {
  ApiFixture f;
  constexpr std::size_t kCount = 3 * kRowsPerTurn;
  f.put(R"({"name":"hello","id":"a","port":1})");
  const std::string since = std::to_string(f.agent.registry().revision());
  for (std::size_t i = 0; i < kCount; ++i)
    f.agent.see("web", "w" + std::to_string(i), "192.168.1.20", 80);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 5; ++i) {
    clients.push_back(std::make_unique<Client>(f.world));
    clients.back()->send(ApiFixture::request("GET", "/v1/outrider/watch?since=" + since));
  }
  std::vector<std::string> texts(clients.size());
  const auto events = [&] {
    std::size_t count = 0;
    for (std::size_t i = 0; i < texts.size(); ++i) {
      texts[i] += clients[i]->take();
      for (std::size_t at = 0; (at = texts[i].find("event: ", at)) != std::string::npos; ++at)
        ++count;
    }
    return count;
  };
  f.world.run_until([&] { return f.api->watching() == clients.size(); }, 1s);
  f.agent.see("web", "late", "192.168.1.20", 80);
  CHECK(most_in_turn(f.world, 1s, events) <= kRowsPerTurn + kStreamsPerTurn);
  CHECK(events() == clients.size() * (kCount + 1));
  for (const std::string& text : texts) {
    CHECK(text.find("event: snapshot") == std::string::npos);
    std::size_t place = 0;
    for (std::size_t i = 0; i < kCount && place != std::string::npos; ++i)
      place = text.find("\"w" + std::to_string(i) + "\"", place);
    CHECK(place != std::string::npos);
    CHECK(text.find("\"late\"", place) != std::string::npos);
  }
}

TEST_CASE(
    "a list of thousands of instances is written in several turns, as it was when asked for") {
  ApiFixture f;
  constexpr std::size_t kCount = 3 * kRowsPerTurn + 10;
  for (std::size_t i = 0; i < kCount; ++i)
    f.put(R"({"name":"web","id":"w)" + std::to_string(i) + R"(","port":80,"checks":[{"id":"c)" +
          std::to_string(i) + R"(","ttl":"1h"}]})");
  for (const char* target :
       {"/v1/outrider/instances/web", "/v1/agent/services", "/v1/agent/checks"}) {
    CAPTURE(target);
    Client client(f.world);
    client.send(ApiFixture::request("GET", target));
    std::size_t turns = 0;
    f.world.run_until(
        [&] {
          if (f.server->waiter_count() == 1 && turns++ == 0)
            REQUIRE(f.agent.remove("w" + std::to_string(kCount - 1)));
          return turns > 0 && f.server->waiter_count() == 0;
        },
        5s);
    CHECK(turns >= 3);
    f.world.advance(1s);
    const std::string answer = client.take();
    CHECK(status_of(answer) == "200");
    const auto document = json::parse(body_of(answer), 64U << 20);
    REQUIRE(document);
    CHECK(size_of(*document, document->find("instances") ? "instances" : "") == kCount);
    f.put(R"({"name":"web","id":"w)" + std::to_string(kCount - 1) +
          R"(","port":80,"checks":[{"ttl":"1h"}]})");
  }
}

TEST_CASE("long lists for many clients are written one piece in each turn") {
  ApiFixture f;
  for (std::size_t i = 0; i < 2 * kRowsPerTurn; ++i)
    f.agent.see("web", "w" + std::to_string(i), "192.168.1.20", 80);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 20; ++i)
    clients.push_back(std::make_unique<Client>(f.world));
  for (const auto& client : clients)
    client->send(ApiFixture::request("GET", "/v1/outrider/instances/web"));
  f.world.run_until([&] { return f.server->waiter_count() > 0; }, 1s);
  std::size_t turns = 0;
  f.world.run_until([&] { return ++turns, f.server->waiter_count() == 0; }, 5s);
  CHECK(turns >= 40);
  f.world.advance(1s);
  for (const auto& client : clients)
    CHECK(status_of(client->take()) == "200");
}

TEST_CASE("why of a service with many instances takes several turns, and shows one moment") {
  ApiFixture f;
  constexpr std::size_t kCount = 2 * kRowsPerTurn + 1;
  for (std::size_t i = 0; i < kCount; ++i)
    f.put(R"({"name":"big","id":"b)" + std::to_string(i) + R"(","port":)" +
          std::to_string(1'000 + i) + '}');
  f.world.advance(1s);
  for (const char* when : {"", "?at=1ms"}) {
    CAPTURE(when);
    Client client(f.world);
    client.send(ApiFixture::request("GET", std::string("/v1/outrider/why/big") + when));
    std::size_t turns = 0;
    f.world.run_until(
        [&] {
          if (f.server->waiter_count() == 1 && turns++ == 0)
            REQUIRE(f.agent.remove("b7").has_value());
          return turns > 0 && f.server->waiter_count() == 0;
        },
        5s);
    CHECK(turns >= 3);
    f.world.advance(1s);
    const std::string answer = client.take();
    CHECK(status_of(answer) == "200");
    const auto told = json::parse(body_of(answer), 64U << 20);
    REQUIRE(told.has_value());
    CHECK(size_of(*told, "instances") == kCount);
    CHECK(at(*told, "instances/" + std::to_string(kCount - 1) + "/in_answer") == "true");
    f.put(R"({"name":"big","id":"b7","port":1007})");
    f.world.advance(1s);
  }
  CHECK(f.status("GET", "/v1/outrider/why/small") == "404");
}
