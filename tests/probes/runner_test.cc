// SPDX-License-Identifier: Apache-2.0
#include "probes/runner.h"

#include <map>

#include <doctest/doctest.h>

#include "tests/sim/http_server.h"
#include "tests/sim/world.h"

using namespace outrider;
using namespace outrider::probes;
using Answer = sim::HttpServer::Answer;

namespace {

/// The key of a check of the one instance that these tests have.
CheckKey key(std::string check) {
  return {"hello-1", std::move(check)};
}

CheckSpec web(const std::string& id, std::uint16_t port = 8080) {
  return {key(id),
          HttpCheck{.target = Endpoint{IpAddress::v4(127, 0, 0, 1), port}, .path = "/health"},
          {},
          {}};
}

/// The simulated network, but for connections: this process may have no descriptor left.
struct Exhaustible final : Network {
  explicit Exhaustible(Env& env) : env_(env) {}
  bool exhausted = false;
  std::size_t tries = 0;

  Result<std::unique_ptr<UdpSocket>, NetError> open_udp(const UdpOptions& options,
                                                        UdpSocket::Sink& sink) override {
    return env_.network.open_udp(options, sink);
  }
  std::unique_ptr<Pending> connect(const ConnectOptions& options,
                                   ConnectCallback callback) override {
    if (!exhausted) return env_.network.connect(options, std::move(callback));
    ++tries;
    struct Later final : Pending {
      Timer timer;
    };
    auto later = std::make_unique<Later>();
    later->timer = env_.after(Duration::zero(), [callback = std::move(callback)]() mutable {
      callback(failure(NetError::no_resources));
    });
    return later;
  }
  Result<std::unique_ptr<Listener>, NetError> listen(const ListenOptions& options,
                                                     Listener::Sink& sink) override {
    return env_.network.listen(options, sink);
  }
  Result<std::unique_ptr<FdWatch>, NetError> watch_fd(int fd, FdEvents interest,
                                                      Callback<void(FdEvents)> call) override {
    return env_.network.watch_fd(fd, interest, std::move(call));
  }
  std::vector<Interface> interfaces() override { return env_.network.interfaces(); }
  std::unique_ptr<Pending> watch_interfaces(Callback<void()> callback) override {
    return env_.network.watch_interfaces(std::move(callback));
  }

 private:
  Env& env_;
};

struct Scene : Runner::Sink {
  sim::World world;
  sim::Host& host = world.host("here");
  Env& env = host.env();
  sim::HttpServer server{env, 8080};
  std::vector<std::string> changes;  // "web critical"
  std::size_t outcomes = 0;
  std::function<void(const CheckKey&, CheckHealth)> then;
  std::function<void(const CheckKey&)> ended;
  std::optional<Runner> runner{std::in_place, env, static_cast<Runner::Sink&>(*this)};

  Scene() { server.set("/health", {}); }

  void on_health(const CheckKey& check, CheckHealth health, const Outcome&) override {
    changes.push_back(check.check + " " + to_string(health));
    if (then) then(check, health);
  }
  void on_outcome(const CheckKey& check, CheckHealth, const Outcome&) override {
    ++outcomes;
    if (ended) ended(check);
  }

  std::string health(const std::string& id) {
    const auto status = runner->status(key(id));
    return status ? to_string(status->health) : "none";
  }
  std::string last(const std::string& id) {
    const auto status = runner->status(key(id));
    return status && !status->outcomes.empty() ? status->outcomes[0].output : "none";
  }
};

}  // namespace

TEST_CASE("a probe that could not be made is no outcome: the health stays, and it is tried again") {
  Scene scene;
  Exhaustible network(scene.host.env());
  Env env{scene.env.clock, scene.env.timers, network, scene.env.random, scene.env.log};
  scene.runner.emplace(env, static_cast<Runner::Sink&>(scene));
  CheckSpec tcp{key("tcp"), TcpCheck{Endpoint{IpAddress::v4(127, 0, 0, 1), 8080}}, {}, {}};
  REQUIRE(scene.runner->add(web("web")));
  REQUIRE(scene.runner->add(tcp));
  scene.world.advance(2s);
  REQUIRE(scene.health("web") == "passing");
  REQUIRE(scene.health("tcp") == "passing");
  const std::size_t before = scene.outcomes;
  network.exhausted = true;
  scene.world.advance(10min);
  CHECK(scene.health("web") == "passing");
  CHECK(scene.health("tcp") == "passing");
  CHECK(scene.outcomes == before);
  CHECK(network.tries > 100);
  CHECK(scene.host.log().count("check_not_probed") == 2);
  CHECK(scene.host.log().last("check_not_probed").find("cannot connect") != std::string::npos);
  // The service has failed meanwhile, which is seen as soon as it can be.
  scene.server.set("/health", {.status = 503});
  network.exhausted = false;
  scene.world.advance(5s);
  CHECK(scene.health("web") == "critical");
  CHECK(scene.health("tcp") == "passing");
  scene.runner.reset();
}

TEST_CASE("first probe at once, first pass suffices") {
  Scene scene;
  REQUIRE(scene.runner->add(web("web")));
  CHECK(scene.health("web") == "starting");
  scene.world.advance(510ms);
  CHECK(scene.health("web") == "passing");
  CHECK(scene.changes == std::vector<std::string>{"web passing"});
  scene.world.advance(60s);
  CHECK(scene.outcomes >= 6);
  CHECK(scene.outcomes <= 8);
  CHECK(scene.changes.size() == 1);
}

TEST_CASE("a failure is looked at again soon: critical after 10 + 2 + 2 seconds") {
  Scene scene;
  scene.runner->add(web("web"));
  scene.world.advance(1s);
  scene.server.set("/health", {.status = 503});
  const TimePoint broken = scene.env.now();
  REQUIRE(scene.world.run_until([&] { return scene.health("web") == "critical"; }, 1min));
  CHECK(scene.env.now() - broken <= 16s);
  CHECK(scene.runner->status(key("web"))->failures == 3);
  scene.server.set("/health", {});
  const TimePoint repaired = scene.env.now();
  REQUIRE(scene.world.run_until([&] { return scene.health("web") == "passing"; }, 1min));
  CHECK(scene.env.now() - repaired <= 14s);
  REQUIRE(scene.changes.size() == 4);
  CHECK(scene.changes[1].ends_with("warning"));
  CHECK(scene.changes[2].ends_with("critical"));
  CHECK(scene.changes[3].ends_with("passing"));
}

TEST_CASE("a service that starts late is found within a second or so") {
  Scene scene;
  scene.server.set_listening(false);
  scene.runner->add(web("web"));
  scene.world.advance(30s);
  CHECK(scene.health("web") == "critical");
  CHECK(scene.outcomes >= 25);
  scene.server.set_listening(true);
  const TimePoint up = scene.env.now();
  REQUIRE(scene.world.run_until([&] { return scene.health("web") == "passing"; }, 1min));
  CHECK(scene.env.now() - up <= 3s);

  // After start_timeout the plain interval is enough.
  scene.server.set_listening(false);
  CheckSpec never = web("never", 8081);
  scene.runner->add(never);
  scene.world.advance(61s);
  const std::size_t before = scene.outcomes;
  scene.runner->remove(key("web"));
  scene.world.advance(100s);
  CHECK(scene.outcomes - before <= 12);

  scene.runner->restart(key("never"));
  const std::size_t restarted = scene.outcomes;
  scene.world.advance(30s);
  CHECK(scene.outcomes - restarted >= 25);
}

TEST_CASE("each kind of failure reaches the verdict") {
  struct Row {
    const char* name;
    sim::Fault fault;
    Answer answer;
    OutcomeKind kind;
  };
  using Kind = sim::Fault::Kind;
  const Row rows[] = {
      {"refused", {.kind = Kind::refuse}, {}, OutcomeKind::fail_refused},
      {"reset", {.reset_after = 3}, {}, OutcomeKind::fail_reset},
      {"black hole", {.kind = Kind::black_hole}, {}, OutcomeKind::fail_timeout},
      {"half-open", {.kind = Kind::silent}, {}, OutcomeKind::fail_timeout},
      {"drip", {.drip = 1s}, {}, OutcomeKind::fail_timeout},
      {"status", {}, {.status = 500}, OutcomeKind::fail_status},
      {"another protocol", {}, {.raw = "+PONG\r\n"}, OutcomeKind::fail_protocol},
      {"wrong identity", {}, {.headers = {"X-Id: b"}}, OutcomeKind::fail_identity},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    Scene scene;
    CheckSpec spec = web("web");
    std::get<HttpCheck>(spec.kind).options.expect.header = {"X-Id", "a"};
    scene.server.set("/health", {.headers = {"X-Id: a"}});
    scene.runner->add(spec);
    scene.world.advance(1s);
    REQUIRE(scene.health("web") == "passing");
    scene.host.set_fault(8080, row.fault);
    if (!row.answer.headers.empty() || row.answer.status != 200 || !row.answer.raw.empty()) {
      scene.server.set("/health", row.answer);
      if (row.kind == OutcomeKind::fail_status)
        scene.server.set("/health", {.status = 500, .headers = {"X-Id: a"}});
    }
    // 11 s to the next probe, then three of them with 5 s of timeout and a rest after each.
    REQUIRE(scene.world.run_until([&] { return scene.health("web") == "critical"; }, 28s));
    CHECK(scene.runner->status(key("web"))->outcomes[0].kind == row.kind);
    scene.host.set_fault(8080, {});
    scene.server.set("/health", {.headers = {"X-Id: a"}});
    CHECK(scene.world.run_until([&] { return scene.health("web") == "passing"; }, 20s));
  }
}

TEST_CASE("never two runs of one check at once, whatever the timing") {
  Scene scene;
  scene.server.set("/health", {.after = 3s});
  CheckSpec spec = web("web");
  spec.timing = {.interval = 200ms, .timeout = 5s, .start_interval = 200ms, .edge_interval = 200ms};
  scene.runner->add(spec);
  std::size_t most = 0;
  scene.world.run_until(
      [&] {
        most = std::max({most, scene.server.connections(), scene.runner->in_flight()});
        return false;
      },
      60s);
  CHECK(most == 1);
  CHECK(scene.outcomes >= 18);
  CHECK(scene.health("web") == "passing");
}

TEST_CASE("runs under way are bounded; the rest waits its turn") {
  Scene scene;
  scene.host.set_fault(8080, {.kind = sim::Fault::Kind::black_hole});
  for (int i = 0; i < 1'000; ++i)
    REQUIRE(scene.runner->add(web("web" + std::to_string(i))));
  std::size_t most = 0;
  std::map<std::string, int> done;
  scene.world.run_until(
      [&] {
        most = std::max(most, scene.runner->in_flight());
        return scene.outcomes >= 1'000;
      },
      60s);
  CHECK(most == kProbesInFlightMax);
  CHECK(scene.outcomes >= 1'000);
  // In turn: no check has two runs before all have one.
  for (int i = 0; i < 1'000; ++i)
    CHECK(scene.runner->status(key("web" + std::to_string(i)))->outcomes.size() <= 2);
  for (int i = 0; i < 1'000; i += 2)
    scene.runner->remove(key("web" + std::to_string(i)));
  CHECK(scene.runner->size() == 500);
  CHECK(scene.runner->in_flight() <= kProbesInFlightMax);
  scene.world.advance(30s);
  scene.runner.reset();
  CHECK(scene.world.leftovers().find("pending") == std::string::npos);
}

TEST_CASE("a place that gets free goes to who has waited longest, not to who becomes due then") {
  Scene scene;
  CheckSpec late = web("late");
  late.timing = {.interval = 1min, .timeout = 5s, .start_interval = 1min, .edge_interval = 1min};
  REQUIRE(scene.runner->add(late));
  REQUIRE(scene.world.run_until([&] { return scene.outcomes == 1; }, 1s));
  scene.world.advance(3s);

  scene.host.set_fault(8080, {.kind = sim::Fault::Kind::black_hole});
  constexpr std::size_t kChecks = kProbesInFlightMax + 10;
  for (std::size_t i = 0; i < kChecks; ++i) {
    CheckSpec spec = late;
    spec.key = key("web" + std::to_string(i));
    REQUIRE(scene.runner->add(spec));
  }
  std::vector<std::string> ends;
  scene.ended = [&](const CheckKey& check) {
    if (ends.empty()) scene.runner->set_interval(key("late"), 1ns);  // due at once
    ends.push_back(check.check);
  };
  REQUIRE(scene.world.run_until([&] { return ends.size() > kChecks; }, 15s));
  CHECK(ends.back() == "late");
}

TEST_CASE("heartbeats") {
  Scene scene;
  REQUIRE(scene.runner->add({key("beat"), TtlCheck{20s}, {}, {}}));
  CHECK(scene.health("beat") == "starting");
  const auto beat = [&](OutcomeKind kind) {
    Outcome outcome;
    outcome.kind = kind;
    outcome.output = "note";
    return scene.runner->renew(key("beat"), std::move(outcome));
  };
  CHECK(beat(OutcomeKind::pass));
  CHECK(scene.health("beat") == "passing");  // before renew returned
  scene.world.advance(19s);
  CHECK(beat(OutcomeKind::pass));
  scene.world.advance(19s);
  CHECK(scene.health("beat") == "passing");
  CHECK(beat(OutcomeKind::warn));
  CHECK(scene.health("beat") == "warning");
  CHECK(scene.last("beat") == "note");
  CHECK(beat(OutcomeKind::fail_other));
  CHECK(scene.health("beat") == "critical");
  CHECK(beat(OutcomeKind::pass));
  CHECK(scene.health("beat") == "passing");
  scene.world.advance(20s);
  CHECK(scene.health("beat") == "critical");
  CHECK(scene.last("beat") == "no heartbeat for 20s");
  scene.world.advance(1h);
  CHECK(scene.runner->status(key("beat"))->outcomes[0].output == "no heartbeat for 20s");
  CHECK(scene.changes.size() == 5);

  REQUIRE(scene.runner->add({key("late"), TtlCheck{20s}, {}, {}}));
  scene.world.advance(20s);
  CHECK(scene.health("late") == "critical");

  scene.runner->add(web("web"));
  CHECK_FALSE(scene.runner->renew(key("web"), {}));
  CHECK_FALSE(scene.runner->renew(key("nobody"), {}));
  Outcome big;
  big.output.assign(2 * kOutputBytesMax, 'x');
  CHECK(scene.runner->renew(key("beat"), big));
  CHECK(scene.last("beat").size() == kOutputBytesMax);
}

TEST_CASE("aliases follow an instance") {
  Scene scene;
  scene.runner->add({key("follow"), AliasCheck{"db-1"}, {}, {}});
  scene.runner->add({key("other"), AliasCheck{"db-2"}, {}, {}});
  scene.runner->set_instance_health("db-1", CheckHealth::starting);
  CHECK(scene.health("follow") == "starting");
  for (const CheckHealth health :
       {CheckHealth::passing, CheckHealth::critical, CheckHealth::warning, CheckHealth::passing}) {
    scene.runner->set_instance_health("db-1", health);
    CHECK(scene.health("follow") == to_string(health));
  }
  CHECK(scene.last("follow") == "instance db-1 is passing");
  scene.runner->set_instance_health("db-1", CheckHealth::starting);
  CHECK(scene.health("follow") == "critical");
  CHECK(scene.health("other") == "starting");
}

TEST_CASE("what is not added, and why") {
  Scene scene;
  std::string why;
  CHECK(scene.runner->add(web("web")));
  CHECK_FALSE(scene.runner->add(web("web"), &why));
  CHECK(why == "the check id is taken");
  CheckSpec bad = web("bad");
  std::get<HttpCheck>(bad.kind).path = "x";
  CHECK_FALSE(scene.runner->add(bad, &why));
  CHECK(why.starts_with("path"));
  CHECK_FALSE(scene.runner->add(bad));
  CHECK(scene.runner->size() == 1);
  CHECK_FALSE(scene.runner->status(key("bad")));

  for (std::size_t i = 1; i < kChecksMax; ++i)
    scene.runner->add({key("ttl" + std::to_string(i)), TtlCheck{1h}, {}, {}});
  CHECK(scene.runner->size() == kChecksMax);
  CHECK_FALSE(scene.runner->add(web("more"), &why));
  CHECK(why == "too many checks");
  scene.runner->remove(key("nobody"));
  scene.runner->set_interval(key("nobody"), 1s);
  scene.runner->restart(key("nobody"));
}

TEST_CASE("the interval may be stretched and given back") {
  Scene scene;
  scene.runner->add(web("web"));
  scene.world.advance(1s);
  scene.runner->set_interval(key("web"), 30s);
  const std::size_t before = scene.outcomes;
  scene.world.advance(5min);
  CHECK(scene.outcomes - before >= 9);
  CHECK(scene.outcomes - before <= 12);
  scene.runner->set_interval(key("web"), std::nullopt);
  const std::size_t after = scene.outcomes;
  scene.world.advance(101s);
  CHECK(scene.outcomes - after >= 9);
}

TEST_CASE("after a sleep counts start anew and everything is looked at at once") {
  Scene scene;
  CheckSpec keeping = web("web");
  std::get<HttpCheck>(keeping.kind).options.reuse = true;
  scene.runner->add(keeping);
  scene.runner->add({key("beat"), TtlCheck{20s}, {}, {}});
  scene.runner->renew(key("beat"), {.kind = OutcomeKind::pass});
  scene.world.advance(1s);
  scene.server.set("/health", {.status = 500});
  REQUIRE(
      scene.world.run_until([&] { return scene.runner->status(key("web"))->failures == 2; }, 30s));
  scene.runner->renew(key("beat"), {.kind = OutcomeKind::pass});
  scene.world.advance(10ms);
  scene.host.sleep();
  scene.world.advance(1h);
  scene.host.wake();
  SUBCASE("because it is told") {
    scene.runner->resume();
  }
  SUBCASE("because it looks before the next probe") {
    REQUIRE(
        scene.world.run_until([&] { return scene.host.log().count("probes_resumed") == 1; }, 3s));
  }
  CHECK(scene.health("web") == "warning");
  CHECK(scene.runner->status(key("web"))->failures == 0);
  const std::size_t before = scene.outcomes;
  scene.world.advance(600ms);
  CHECK(scene.outcomes == before + 1);
  CHECK(scene.health("web") == "warning");
  CHECK(scene.health("beat") == "passing");
  scene.world.advance(20s);
  CHECK(scene.health("beat") == "critical");
}

TEST_CASE("what came while we were stopped is not missed for being read late") {
  Scene scene;
  CheckSpec check = web("web");
  check.thresholds.failures_before_critical = 1;
  scene.runner->add(check);
  scene.runner->add({key("beat"), TtlCheck{20s}, {}, {}});
  scene.runner->renew(key("beat"), {.kind = OutcomeKind::pass});
  scene.world.advance(1s);
  REQUIRE(scene.health("web") == "passing");
  scene.host.set_fault(8080, {.kind = sim::Fault::Kind::silent});
  REQUIRE(scene.world.run_until([&] { return scene.runner->in_flight() == 1; }, 30s));
  scene.host.sleep();
  scene.world.advance(30s);
  scene.host.set_fault(8080, {});
  scene.host.go_on();
  const std::size_t before = scene.outcomes;
  scene.world.advance(500ms);
  CHECK(scene.health("beat") == "passing");
  CHECK(scene.health("web") == "passing");
  CHECK(scene.outcomes == before + 1);
  SUBCASE("a heartbeat that waited to be read") {
    scene.runner->renew(key("beat"), {.kind = OutcomeKind::pass});
    scene.world.advance(19s);
    CHECK(scene.health("beat") == "passing");
  }
  SUBCASE("none that waited") {
    scene.world.advance(kLateGrace);
    CHECK(scene.health("beat") == "critical");
  }
}

TEST_CASE("the sink may remove and add while it is told, even end the runner") {
  Scene scene;
  scene.then = [&](const CheckKey& check, CheckHealth) {
    scene.runner->remove(check);
    if (scene.changes.size() < 5) scene.runner->add(web("web"));
  };
  scene.runner->add(web("web"));
  scene.world.advance(1min);
  CHECK(scene.changes.size() == 5);
  CHECK(scene.runner->size() == 0);
  CHECK(scene.outcomes == 0);

  scene.then = [&](const CheckKey&, CheckHealth) { scene.runner->set_interval(key("web"), 30s); };
  scene.runner->add(web("web"));
  scene.world.advance(40s);
  CHECK(scene.outcomes == 2);

  scene.then = [&](const CheckKey&, CheckHealth) { scene.runner.reset(); };
  scene.server.set("/health", {.status = 503});
  scene.world.advance(2min);
  CHECK_FALSE(scene.runner);

  Scene told;
  told.runner->add({key("beat"), TtlCheck{20s}, {}, {}});
  told.runner->add({key("a"), AliasCheck{"x"}, {}, {}});
  told.runner->add({key("b"), AliasCheck{"x"}, {}, {}});
  told.then = [&](const CheckKey& check, CheckHealth) {
    told.runner->remove(check);
    told.runner->remove(key("b"));
  };
  told.runner->set_instance_health("x", CheckHealth::passing);
  CHECK(told.changes == std::vector<std::string>{"a passing"});
  told.then = [&](const CheckKey&, CheckHealth) { told.runner.reset(); };
  CHECK(told.runner->renew(key("beat"), {.kind = OutcomeKind::pass}));
  CHECK_FALSE(told.runner);
}

TEST_CASE("ten thousand checks for a simulated day") {
  Scene scene;
  for (int i = 0; i < 10'000; ++i) {
    CheckSpec spec = web("web" + std::to_string(i));
    spec.timing.interval = 12h;
    REQUIRE(scene.runner->add(spec));
  }
  scene.world.advance(24h);
  CHECK(scene.outcomes >= 20'000);
  CHECK(scene.outcomes <= 40'000);
  CHECK(scene.changes.size() == 10'000);
}

TEST_CASE("one check for a simulated day") {
  Scene scene;
  scene.runner->add(web("web"));
  scene.world.advance(24h);
  CHECK(scene.outcomes > 8'400);
  CHECK(scene.outcomes < 8'900);
  CHECK(scene.changes.size() == 1);
}
