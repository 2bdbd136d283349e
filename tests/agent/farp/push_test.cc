// SPDX-License-Identifier: Apache-2.0
#include "agent/farp/push.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "base/http/parser.h"
#include "base/http/url.h"
#include "tests/sim/world.h"

namespace outrider::farp {
namespace {

// A gateway that writes down what it is told and answers as it is set.
class Gateway final : Listener::Sink {
 public:
  Gateway(Env& env, std::uint16_t port) : env_(env) {
    auto listener =
        env.network.listen({.on = Endpoint{IpAddress::any(IpAddress::Family::v4), port}}, *this);
    REQUIRE(listener);
    listener_ = std::move(*listener);
  }
  std::vector<std::string> log;     // "POST /_farp/v1/register"
  std::vector<std::string> bodies;  // of the same
  int register_status = 201;
  int heartbeat_status = 200;
  bool is_slow = false;  // takes a registration, and answers it only when told to
  void answer_slow() {
    is_slow = false;
    for (const auto& client : clients_)
      if (client->unanswered) client->answer(register_status);
  }

 private:
  struct Client final : Stream::Sink {
    Client(Gateway& g, std::unique_ptr<Stream> s) : gateway(g), stream(std::move(s)) {
      stream->start(*this);
    }
    void on_data(Bytes data) override {
      REQUIRE(parser.feed(data));
      if (!parser.complete()) return;
      const http::Request request = parser.take();
      gateway.log.push_back(request.method + ' ' + request.target);
      gateway.bodies.push_back(request.body);
      const int status = request.method == "POST"  ? gateway.register_status
                         : request.method == "PUT" ? gateway.heartbeat_status
                                                   : 200;
      unanswered = gateway.is_slow && request.method == "POST";
      if (!unanswered) answer(status);
    }
    void answer(int status) {
      unanswered = false;
      if (!stream) return;
      REQUIRE(stream->write(as_bytes(http::write_response(status, {}, "{}", false))));
      stream->finish();
    }
    void on_end() override { stream.reset(); }
    void on_broken(NetError) override { stream.reset(); }
    Gateway& gateway;
    std::unique_ptr<Stream> stream;
    http::RequestParser parser{64U << 10};
    bool unanswered = false;
  };
  void on_accept(std::unique_ptr<Stream> stream) override {
    clients_.push_back(std::make_unique<Client>(*this, std::move(stream)));
  }
  Env& env_;
  std::unique_ptr<Listener> listener_;
  std::vector<std::unique_ptr<Client>> clients_;
};

struct Fixture {
  sim::World world{5};
  Gateway gateway{world.env(), 9000};
  PushClient client{world.env(), *http::parse_url("http://127.0.0.1:9000/"),
                    *Endpoint::parse("127.0.0.1:9000")};

  static PushSubject subject(std::string status = "healthy") {
    PushSubject made;
    made.id = "u-1";
    made.service = "users";
    made.version = "1.0.0";
    made.endpoint = *Endpoint::parse("10.0.0.1:8080");
    made.status = std::move(status);
    made.manifest.service_name = "users";
    made.manifest.instance_id = "u-1";
    return made;
  }
  std::size_t count(std::string_view line) const {
    return static_cast<std::size_t>(std::count(gateway.log.begin(), gateway.log.end(), line));
  }
};
constexpr const char* kRegister = "POST /_farp/v1/register";
constexpr const char* kBeat = "PUT /_farp/v1/heartbeat/u-1";
constexpr const char* kLeave = "DELETE /_farp/v1/deregister/u-1";

TEST_CASE_FIXTURE(Fixture, "register, a heartbeat every 10 s, deregister by id") {
  client.put(subject());
  CHECK(gateway.log.empty());
  world.advance(1s);
  CHECK(client.state("u-1") == PushState::registered);
  const auto body = json::parse(gateway.bodies.at(0), 64U << 10);
  REQUIRE(body);
  CHECK(*body->find("instance")->find("service_name")->as_string() == "users");
  CHECK(*body->find("instance")->find("port")->as_int() == 8080);
  CHECK(*body->find("manifest")->find("instance_id")->as_string() == "u-1");
  world.advance(60s);
  CHECK(count(kRegister) == 1);
  CHECK(count(kBeat) == 6);
  client.forget("u-1");
  world.advance(1s);
  CHECK(count(kLeave) == 1);
  world.advance(60s);
  CHECK(count(kBeat) == 6);
}

TEST_CASE_FIXTURE(Fixture,
                  "what left while it was being registered leaves no ghost at the gateway") {
  gateway.is_slow = true;
  client.put(subject());
  world.advance(1s);
  REQUIRE(count(kRegister) == 1);
  client.forget("u-1");
  world.advance(1s);
  CHECK(count(kLeave) == 0);  // it could overtake the registration
  gateway.answer_slow();
  world.advance(1s);
  CHECK(gateway.log.back() == kLeave);
  world.advance(1min);
  CHECK(gateway.log.size() == 2);
}

TEST_CASE_FIXTURE(Fixture, "a registration whose answer was lost is deregistered") {
  gateway.is_slow = true;
  client.put(subject());
  world.advance(kPushTimeout + 1s);
  CHECK(client.state("u-1") == PushState::waiting);
  client.forget("u-1");
  world.advance(1s);
  CHECK(gateway.log.back() == kLeave);
}

TEST_CASE_FIXTURE(Fixture, "what was never sent is not deregistered") {
  client.put(subject());
  client.forget("u-1");
  world.advance(1min);
  CHECK(gateway.log.empty());
}

TEST_CASE_FIXTURE(Fixture, "what comes back while it leaves is registered in the end") {
  client.put(subject());
  world.advance(1s);
  client.forget("u-1");
  client.put(subject());
  world.advance(1s);
  CHECK(gateway.log == std::vector<std::string>{kRegister, kLeave, kRegister});
  CHECK(client.state("u-1") == PushState::registered);
  // While its registration is under way, it leaves and comes back: that is no change.
  PushSubject changed = subject();
  changed.tags = {"v2"};
  gateway.is_slow = true;
  client.put(changed);
  world.advance(1s);
  client.forget("u-1");
  client.put(changed);
  gateway.answer_slow();
  world.advance(1s);
  CHECK(count(kRegister) == 3);
  CHECK(count(kLeave) == 1);
  CHECK(client.state("u-1") == PushState::registered);
  // The registration that a newer one replaced is not waited for.
  changed.tags = {"v3"};
  gateway.is_slow = true;
  client.put(changed);
  world.advance(1s);
  changed.tags = {"v4"};
  client.put(changed);
  client.forget("u-1");
  world.advance(1s);
  CHECK(gateway.log.back() == kLeave);
}

TEST_CASE_FIXTURE(Fixture, "an acknowledgement without routes_checksum does not loop") {
  gateway.register_status = 200;
  client.put(subject());
  world.advance(5min);
  CHECK(count(kRegister) == 1);
}

TEST_CASE_FIXTURE(Fixture, "404 to a heartbeat registers again, with the manifest") {
  client.put(subject());
  world.advance(5s);
  gateway.heartbeat_status = 404;
  world.advance(10s);
  CHECK(count(kRegister) == 2);
  CHECK(gateway.bodies.back().find("manifest") != std::string::npos);
  gateway.heartbeat_status = 200;
  world.advance(30s);
  CHECK(count(kRegister) == 2);
}

TEST_CASE_FIXTURE(Fixture,
                  "a gateway that refuses or is away is tried with back-off up to a minute") {
  gateway.register_status = 503;
  client.put(subject());
  world.advance(5min);
  CHECK(client.trouble() == "HTTP 503");
  const std::size_t refused = count(kRegister);
  CHECK(refused >= 7);
  CHECK(refused <= 11);
  world.host("here").set_fault(9000, {.kind = sim::Fault::Kind::refuse});
  world.advance(2min);
  CHECK(client.trouble().find("refused") != std::string::npos);
  world.host("here").set_fault(9000, {});
  gateway.register_status = 200;
  world.advance(70s);
  CHECK(client.state("u-1") == PushState::registered);
}

TEST_CASE_FIXTURE(Fixture, "a changed status goes at once; a changed manifest registers again") {
  client.put(subject());
  world.advance(1s);
  client.put(subject("degraded"));
  world.advance(1s);
  CHECK(count(kBeat) == 1);
  CHECK(gateway.bodies.back().find("degraded") != std::string::npos);
  PushSubject changed = subject("degraded");
  changed.manifest.checksum = std::string(64, 'c');
  client.put(changed);
  world.advance(1s);
  CHECK(count(kRegister) == 2);
}

TEST_CASE_FIXTURE(Fixture, "a gateway hears of everything that changes, but not twice of nothing") {
  PushSubject latest = subject();
  client.put(latest);
  world.advance(1s);
  std::size_t registrations = 1;
  const auto change = [&](auto&& edit) {
    edit(latest);
    client.put(latest);
    world.advance(1s);
    CHECK(count(kRegister) == ++registrations);
    client.put(latest);
    world.advance(1s);
    CHECK(count(kRegister) == registrations);
  };
  change([](PushSubject& s) { s.tags = {"v2"}; });
  change([](PushSubject& s) { s.metadata = {{"region", "eu"}}; });
  change([](PushSubject& s) { s.version = "1.0.1"; });
  change([](PushSubject& s) { s.endpoint.port = 8081; });
  change([](PushSubject& s) { s.manifest.capabilities = {"rest"}; });
  change([](PushSubject& s) { s.manifest.endpoints.health = "/healthz"; });
  change([](PushSubject& s) { s.manifest.endpoints.openapi = "/openapi.json"; });
  change([](PushSubject& s) {
    s.manifest.schemas.push_back({.type = "graphql", .url = "http://a/"});
  });
  change(
      [](PushSubject& s) { s.manifest.instance = InstanceMetadata{.address = "10.0.0.1:8080"}; });
  // When and how an instance is, heartbeats say.
  latest.manifest.updated_at = 99;
  latest.manifest.instance->status = "degraded";
  client.put(latest);
  world.advance(1s);
  CHECK(count(kRegister) == registrations);
}

TEST_CASE_FIXTURE(Fixture, "what a gateway knows is deregistered, also while it is being changed") {
  client.put(subject());
  world.advance(1s);
  gateway.register_status = 503;
  PushSubject changed = subject();
  changed.tags = {"v2"};
  client.put(changed);
  world.advance(1s);
  client.put(subject("degraded"));  // and does not lose the change to a heartbeat
  world.advance(1s);
  CHECK(client.state("u-1") == PushState::registered);
  client.forget("u-1");
  world.advance(1s);
  CHECK(count(kLeave) == 1);
}

TEST_CASE_FIXTURE(Fixture, "leaving deregisters what was registered, and nothing else") {
  client.put(subject());
  world.advance(1s);
  PushSubject never = subject();
  never.id = "u-2";
  gateway.register_status = 503;
  client.put(never);
  world.advance(1s);
  client.forget_all();
  world.advance(1min);
  CHECK(count(kLeave) == 1);
  CHECK(count("DELETE /_farp/v1/deregister/u-2") == 0);
  CHECK(count(kBeat) == 0);
}

}  // namespace
}  // namespace outrider::farp
