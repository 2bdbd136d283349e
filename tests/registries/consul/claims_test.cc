// SPDX-License-Identifier: Apache-2.0
#include "registries/consul/claims.h"

#include "tests/registries/consul/bed.h"

namespace outrider::registries::consul {
namespace {

using test::Bed;

constexpr const char* kName = "export/consul/mdns/hello";

/// Another agent beside the bed's, at the same Consul.
struct Other : Engine::Sink {
  explicit Other(Bed& bed) : bed_(bed) {
    options_.writer = "other";
    options_.services.clear();
    start();
  }
  void start() {
    engine = std::make_unique<ConsulEngine>(bed_.us.env(), options_, nullptr);
    engine->start(*this);
  }
  void on_listed(const std::string&, std::vector<Entry>) override {}
  void on_sighting(Entry) override {}
  void on_lost(const std::string&, const std::string&) override {}
  void on_state(const std::string&, PlaceState, const std::string&) override {}
  void on_claim(const std::string&, bool now_held, const std::string& why) override {
    held = now_held;
    reason = why;
  }

  std::unique_ptr<ConsulEngine> engine;
  bool held = false;
  std::string reason;

 private:
  Bed& bed_;
  Options options_ = bed_.options;
};

/// A bed that reads nothing.
struct Claiming : Bed {
  Claiming() {
    options.services.clear();
    start();
  }
  /// Until the engine has nothing more to say.
  std::string claim() {
    CHECK(engine->claim(kName));
    return after(100ms);
  }
};

TEST_CASE("a claim is held by one agent, and by another one when it is given up") {
  Claiming bed;
  Other other(bed);
  CHECK(bed.claim() == "claim export/consul/mdns/hello held");
  CHECK(bed.consul.holder(kName) == "me");
  CHECK(other.engine->claim(kName));
  bed.world.advance(2s);
  CHECK_FALSE(other.held);
  CHECK(other.reason == "the agent me holds it");
  SUBCASE("when it is not wanted any more: at first what was done under it is withdrawn") {
    bed.engine->unclaim(kName);
    bed.world.advance(kSurrenderDelay - 1ms);
    CHECK(bed.consul.holder(kName) == "me");
    bed.world.advance(kLockDelay + kClaimRetry + kLocksInterval);
    CHECK(other.held);
    CHECK(bed.consul.sessions.size() == 1);
  }
  SUBCASE("when other claims are kept") {
    CHECK(bed.engine->claim("export/consul/mdns/other"));
    bed.world.advance(1s);
    bed.engine->unclaim(kName);
    bed.world.advance(kSurrenderDelay + kLocksInterval + 100ms);
    CHECK(other.held);
    CHECK(bed.consul.holder("export/consul/mdns/other") == "me");
    CHECK(bed.consul.sessions.size() == 2);
  }
  SUBCASE("when the agent stops") {
    bool done = false;
    bed.engine->stop([&] { done = true; });
    bed.world.advance(100ms);
    CHECK(done);
    bed.world.advance(kLockDelay + kClaimRetry + kLocksInterval);
    CHECK(other.held);
  }
  SUBCASE("when the agent is killed: not before its session has ended") {
    bed.engine.reset();
    bed.world.advance(14s);
    CHECK_FALSE(other.held);
    bed.world.advance(15s);
    CHECK(other.held);
    CHECK(bed.consul.holder(kName) == "other");
  }
  SUBCASE("not when it is wanted again at once") {
    bed.take();
    bed.engine->unclaim(kName);
    CHECK(bed.engine->claim(kName));
    CHECK(bed.after(10s) == "claim export/consul/mdns/hello held");
    CHECK_FALSE(other.held);
  }
  bed.take();
}

TEST_CASE("a session is renewed for as long as there are claims, and rarely") {
  Claiming bed;
  CHECK(bed.after(1min) == "");
  CHECK(bed.consul.requests.empty());
  CHECK(bed.claim() == "claim export/consul/mdns/hello held");
  bed.consul.requests.clear();
  CHECK(bed.after(10min) == "");
  CHECK(bed.consul.count("PUT /v1/session/renew/session-1") == 80);
  CHECK(bed.consul.requests.size() <= 80 + 13);
  CHECK(bed.consul.holder(kName) == "me");
  bed.engine->unclaim(kName);
  bed.world.advance(kSurrenderDelay + 100ms);
  CHECK(bed.consul.keys.empty());
  CHECK(bed.consul.sessions.empty());
  bed.consul.requests.clear();
  bed.world.advance(10min);
  CHECK(bed.consul.requests.empty());
}

TEST_CASE("a claim whose session has ended is lost, and claimed again") {
  Claiming bed;
  Other other(bed);
  bed.claim();
  SUBCASE("in a list of claims") {
    bed.consul.end_session("session-1");
    const std::string heard = bed.after(5s);
    CHECK(heard.starts_with("claim export/consul/mdns/hello not held: its session has ended"));
    CHECK(heard.ends_with("held"));
    CHECK(bed.consul.holder(kName) == "me");
  }
  SUBCASE("taken by another agent meanwhile") {
    CHECK(other.engine->claim(kName));
    bed.world.advance(2s);
    bed.consul.end_session("session-1");
    bed.world.advance(5s);
    const std::string holder = bed.consul.holder(kName);
    CHECK((holder == "me" || holder == "other"));
    CHECK(other.held == (holder == "other"));
    CHECK(bed.take().ends_with(" held") == (holder == "me"));
  }
  SUBCASE("the servers lost their data") {
    bed.consul.set_running(false);
    bed.consul.wipe();
    bed.consul.set_running(true);
    CHECK(bed.after(20s).ends_with("claim export/consul/mdns/hello held"));
    CHECK(bed.consul.holder(kName) == "me");
  }
  SUBCASE("a person deleted the key") {
    bed.consul.remove_key(std::string("outrider/") + kName);
    CHECK(bed.after(10s) == "");  // had again before anything was lost
    CHECK(bed.consul.holder(kName) == "me");
  }
  bed.take();
}

TEST_CASE("without an answer a claim is given up before Consul can end the session") {
  Claiming bed;
  bed.claim();
  SUBCASE("silent") {
    bed.consul.mute = true;
  }
  SUBCASE("down") {
    bed.consul.set_running(false);
  }
  SUBCASE("without servers") {
    bed.consul.without_servers = true;
  }
  // The last renewal was between now and half a TTL ago.
  const std::string heard = bed.after(15s - kSessionMargin);
  CHECK(heard.find("not held: its session could not be renewed") != std::string::npos);
  CHECK(bed.consul.holder(kName) == "me");
  bed.consul.mute = bed.consul.without_servers = false;
  bed.consul.set_running(false);
  bed.consul.set_running(true);
  // The old session is destroyed, so that it holds up no agent.
  CHECK(bed.after(15s).ends_with("claim export/consul/mdns/hello held"));
  CHECK(bed.consul.sessions.size() == 1);
}

TEST_CASE("where there are no sessions, nothing is held, and the status says why") {
  Claiming bed;
  bed.consul.without_sessions = true;
  CHECK(bed.claim() ==
        "claim export/consul/mdns/hello not held: this Consul has no sessions, by which agents "
        "elect one of them");
  CHECK(bed.status().warnings ==
        std::vector<std::string>{"services cannot be exported: this Consul has no sessions, by "
                                 "which agents elect one of them"});
  bed.consul.requests.clear();
  CHECK(bed.after(5min) == "");
  CHECK(bed.consul.requests.size() == 5);
  bed.consul.without_sessions = false;
  CHECK(bed.after(kSessionsRetry) == "claim export/consul/mdns/hello held");
  CHECK(bed.status().warnings.empty());
}

TEST_CASE("a token that may open no session is said with the words of Consul") {
  Claiming bed;
  bed.consul.sessions_denied = true;
  CHECK(bed.claim() ==
        "claim export/consul/mdns/hello not held: no session: Permission denied: Missing "
        "session:write on n1");
  bed.consul.sessions_denied = false;
  CHECK(bed.after(kWriteRetry) == "claim export/consul/mdns/hello held");
}

TEST_CASE("claims beyond the limit are not taken") {
  Claiming bed;
  for (std::size_t i = 0; i < kClaimsMax; ++i)
    CHECK(bed.engine->claim("n" + std::to_string(i)));
  CHECK_FALSE(bed.engine->claim("one-more"));
  CHECK(bed.engine->claim("n1"));
  bed.world.advance(1min);
  CHECK(bed.consul.keys.size() == kClaimsMax);
  bed.take();
}

}  // namespace
}  // namespace outrider::registries::consul
