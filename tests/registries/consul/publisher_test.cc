// SPDX-License-Identifier: Apache-2.0
#include "registries/consul/publisher.h"

#include <cstdlib>

#include <unistd.h>

#include "base/text_file.h"
#include "tests/registries/consul/bed.h"

namespace outrider::registries::consul {
namespace {

using test::Bed;

/// A bed whose engine has written registration w1, and reads nothing.
struct Written : Bed {
  Written() {
    options.services.clear();
    start();
    engine->put(registration("w1"));
    CHECK(after(50ms) == "current");
    CHECK(status_of("w1") == "passing");
  }
};

TEST_CASE("a registration is written with a check that its heartbeats keep passing") {
  Written bed;
  CHECK(bed.consul.requests.size() == 2);
  CHECK(bed.consul.requests[0] == "GET /v1/agent/service/w1");
  CHECK(bed.consul.requests[1] == "PUT /v1/agent/service/register");
  CHECK(bed.consul.check("w1")->ttl == "15s");
  CHECK(bed.status().written == 1);
  const std::uint64_t index = bed.consul.index;
  bed.consul.requests.clear();
  bed.world.advance(1min);
  CHECK(bed.status_of("w1") == "passing");
  CHECK(bed.consul.index == index);  // no waiting query was answered
  CHECK(bed.consul.count("PUT /v1/agent/check/update/service%3Aw1") == 8);
  CHECK(bed.consul.requests.size() == 8);
  bed.world.advance(1min);
  CHECK(bed.consul.count("GET /v1/agent/service/w1") == 1);
  CHECK(bed.consul.requests.size() == 17);
  CHECK(bed.consul.connections() == 1);
  CHECK(bed.take() == "");
}

TEST_CASE("what is written is never read back") {
  Bed bed;
  bed.options.services = {"own"};
  bed.start();
  bed.engine->put(Bed::registration("w1"));
  CHECK(bed.after(100ms) == "list | current");
  CHECK(bed.status().written == 1);
  CHECK(bed.after(10min) == "");
}

TEST_CASE("heartbeats of all registrations come in one turn") {
  Bed bed;
  bed.options.services.clear();
  bed.start();
  for (int i = 0; i < 5; ++i)
    bed.engine->put(Bed::registration("w" + std::to_string(i)));
  bed.world.advance(100ms);
  CHECK(bed.status().written == 5);
  bed.consul.requests.clear();
  bed.world.advance(7'390ms);
  CHECK(bed.consul.requests.empty());
  bed.world.advance(20ms);
  CHECK(bed.consul.count("PUT /v1/agent/check/update/") == 5);
  bed.take();
}

TEST_CASE("a heartbeat that hangs is sent again before its TTL ends, however short that is") {
  for (const Duration ttl :
       {Duration(5s), Duration(11s), Duration(12s), Duration(15s), Duration(1h)}) {
    CAPTURE(format_duration(ttl));
    Bed bed;
    bed.options.services.clear();
    bed.options.ttl = ttl;
    bed.start();
    bed.engine->put(Bed::registration("w1"));
    bed.world.advance(ttl / 4);
    CHECK(bed.status_of("w1") == "passing");
    bed.consul.mute = true;
    CHECK(bed.world.run_until([&] { return bed.status().state == PlaceState::behind; }, ttl));
    bed.consul.mute = false;
    bed.world.advance(2 * ttl);
    CHECK(bed.status_of("w1") == "passing");
    CHECK(bed.consul.index == 2);  // it always was
    bed.take();
  }
}

TEST_CASE("health is reported at once, and only the check changes") {
  Written bed;
  Entry changed = Bed::registration("w1");
  changed.health = Health::warning;
  bed.consul.requests.clear();
  bed.engine->put(changed);
  bed.engine->put(changed);
  bed.world.advance(10ms);
  CHECK(bed.status_of("w1") == "warning");
  CHECK(bed.consul.requests.size() == 1);
  changed.health = Health::maintenance;
  changed.maintenance_reason = "new disk";
  bed.engine->put(changed);
  bed.world.advance(10ms);
  CHECK(bed.status_of("w1") == "critical");
  CHECK(bed.consul.check("w1")->output == "maintenance: new disk");
  bed.engine->put(Bed::registration("w1"));
  bed.world.advance(10ms);
  CHECK(bed.status_of("w1") == "passing");
}

TEST_CASE("a change is registered again, and its check keeps up") {
  Written bed;
  Entry changed = Bed::registration("w1");
  changed.version = "v2";
  changed.health = Health::warning;
  bed.engine->put(changed);
  bed.world.advance(10ms);
  CHECK(bed.status_of("w1") == "warning");
  const json::Value* tags = bed.consul.services["w1"].body.find("Tags");
  REQUIRE(tags != nullptr);
  CHECK(*tags->as_array()->front().as_string() == "version=v2");
  CHECK(bed.status().written == 1);
}

TEST_CASE("changes that meet a request under way are not lost") {
  for (int step = 0; step < 40; ++step) {
    CAPTURE(step);
    Bed bed;
    bed.options.services.clear();
    bed.start();
    bed.engine->put(Bed::registration("w1"));
    bed.world.advance(std::chrono::microseconds(25 * step));
    Entry changed = Bed::registration("w1");
    changed.version = "v2";
    changed.health = Health::warning;
    bed.engine->put(changed);
    bed.world.advance(std::chrono::microseconds(25 * (step % 7)));
    changed.health = Health::passing;
    bed.engine->put(changed);
    bed.world.advance(20ms);
    CHECK(bed.status_of("w1") == "passing");
    CHECK(*bed.consul.services["w1"].body.find("Tags")->as_array()->front().as_string() ==
          "version=v2");
    bed.engine->put(Bed::registration("w2"));
    bed.world.advance(std::chrono::microseconds(25 * step));
    bed.engine->remove("w2");
    bed.world.advance(20ms);
    CHECK(bed.consul.services.size() == 1);
    bed.engine->remove("w1");
    bed.world.advance(std::chrono::microseconds(25 * step));
    bed.engine->put(changed);
    bed.world.advance(20ms);
    CHECK(bed.status_of("w1") == "passing");
    CHECK(bed.status().written == 1);
    bed.take();
  }
}

TEST_CASE("what is no longer wanted is deregistered, and nothing more is asked") {
  Written bed;
  bed.engine->remove("w1");
  bed.engine->remove("w1");
  bed.engine->remove("never");
  bed.world.advance(10ms);
  CHECK(bed.consul.services.empty());
  CHECK(bed.consul.count("PUT /v1/agent/service/deregister/") == 1);
  bed.world.advance(10s);
  bed.consul.requests.clear();
  bed.world.advance(10min);
  CHECK(bed.consul.requests.empty());
  bed.engine->put(Bed::registration("w1"));
  bed.world.advance(1min);
  CHECK(bed.status_of("w1") == "passing");
}

TEST_CASE("nothing is written where publishing is off") {
  Bed bed;
  bed.options.publish = false;
  bed.start();
  bed.engine->put(Bed::registration("w1"));
  bed.world.advance(10s);
  CHECK(bed.consul.services.empty());
  bed.take();
}

TEST_CASE("what the agent has lost is registered again, for ever") {
  Written bed;
  bed.consul.old_errors = false;
  for (int i = 0; i < 6; ++i) {
    bed.consul.old_errors = i % 2 == 0;
    bed.consul.forget_all();
    const TimePoint from = bed.world.now();
    CHECK(bed.world.run_until([&] { return bed.status_of("w1") == "passing"; }, 10s));
    CHECK(bed.world.now() - from <= 7500ms + kEnrollDelayMax + 10ms);
  }
  bed.world.advance(10ms);
  CHECK(bed.status().written == 1);
  CHECK(bed.status().last_error == "w1: the Consul agent has lost it");
  const std::string heard = bed.take();
  CHECK(heard.starts_with("behind: w1: the Consul agent has lost it | current"));
  CHECK(heard.ends_with("current"));
}

TEST_CASE("a restart that keeps the data costs no registration") {
  Written bed;
  bed.consul.set_running(false);
  bed.world.advance(9s);
  CHECK(bed.status().state == PlaceState::behind);
  bed.consul.set_running(true);
  bed.world.advance(10s);
  CHECK(bed.status_of("w1") == "passing");
  CHECK(bed.status().state == PlaceState::current);
  CHECK(bed.consul.count("PUT /v1/agent/service/register") == 1);
  bed.take();
}

TEST_CASE("an agent that was away for long has everything back within seconds") {
  Written bed;
  bed.consul.set_running(false);
  bed.consul.forget_all();
  bed.world.advance(10min);
  bed.consul.set_running(true);
  CHECK(bed.world.run_until([&] { return bed.status_of("w1") == "passing"; }, 17s));
  bed.take();
}

TEST_CASE("an agent without servers is written all the same") {
  Bed bed;
  bed.consul.without_servers = true;
  bed.start();
  bed.engine->put(Bed::registration("w1"));
  bed.world.advance(1min);
  CHECK(bed.status_of("w1") == "passing");
  CHECK(bed.take() == "behind: No known Consul servers");
}

TEST_CASE("an id of another program is not overwritten, and taken when it is free") {
  Bed bed;
  bed.options.services.clear();
  bed.consul.add("w1", "theirs", "10.1.0.1");
  bed.start();
  bed.engine->put(Bed::registration("w1"));
  bed.engine->put(Bed::registration("w2"));
  CHECK(bed.after(100ms) ==
        "current | conflict w1 w1 <another program, for service theirs on port 80>");
  CHECK(bed.status_of("w2") == "passing");
  CHECK(bed.consul.services["w1"].name == "theirs");
  const std::size_t before = bed.consul.count("GET /v1/agent/service/w1");
  bed.world.advance(1min);
  CHECK(bed.consul.count("GET /v1/agent/service/w1") - before <= 3);
  CHECK(bed.take() == "");
  CHECK(bed.status().written == 1);
  SUBCASE("when it is deregistered") {
    bed.consul.remove("w1");
    CHECK(bed.after(kWriteRetry) == "conflict w1 w1 <>");
    CHECK(bed.status_of("w1") == "passing");
  }
  SUBCASE("but nothing more of it is said once it is not wanted") {
    bed.engine->remove("w1");
    CHECK(bed.after(1min) == "conflict w1 w1 <>");
    CHECK(bed.consul.services["w1"].name == "theirs");
  }
  SUBCASE("and is left alone at a stop") {
    bool done = false;
    bed.engine->stop([&] { done = true; });
    bed.world.advance(50ms);
    CHECK(done);
    CHECK(bed.consul.services.size() == 1);
    CHECK(bed.consul.services["w1"].name == "theirs");
  }
}

TEST_CASE("an id of ours that another program takes over is noticed and left to it") {
  Written bed;
  const char* more = R"(,"Meta":{"outrider-node":"other"})";
  bed.consul.add("w1", "theirs", "10.1.0.1", more);
  CHECK(bed.after(121s) == "conflict w1 w1 <the agent other>");
  CHECK(bed.consul.services["w1"].name == "theirs");
  CHECK(bed.status().written == 0);
}

TEST_CASE("a stop leaves an id alone that another program has taken over") {
  Written bed;
  bed.engine->put(Bed::registration("w2"));
  bed.world.advance(50ms);
  bed.consul.add("w1", "theirs", "10.1.0.1", R"(,"Meta":{"outrider-node":"other"})");
  bool done = false;
  bed.engine->stop([&] { done = true; });
  bed.world.advance(100ms);
  CHECK(done);
  CHECK(bed.consul.services.size() == 1);
  CHECK(bed.consul.services["w1"].name == "theirs");
  CHECK(bed.take() == "");
}

TEST_CASE("an id that the agent always has an error with holds up no other one") {
  Written bed;
  bed.engine->put(Bed::registration("bad"));
  bed.world.advance(50ms);
  CHECK(bed.status_of("bad") == "passing");
  const auto stays_passing = [&bed](const std::string& id) {
    for (int i = 0; i < 300; ++i) {
      bed.world.advance(1s);
      if (bed.status_of(id) != "passing") return false;
    }
    return true;
  };
  SUBCASE("in heartbeats") {
    bed.consul.failing = "Abad";  // service%3Abad
    CHECK(stays_passing("w1"));
    CHECK(bed.status().warnings == std::vector<std::string>{"bad cannot be written: rpc error"});
  }
  SUBCASE("in looks, which are no reason to let it end") {
    bed.consul.failing = "service/bad";
    CHECK(stays_passing("bad"));
    CHECK(bed.status_of("w1") == "passing");
  }
  SUBCASE("in its removal, which is tried again") {
    bed.consul.failing = "deregister/bad";
    bed.engine->remove("bad");
    bed.engine->remove("w1");
    bed.world.advance(100ms);
    CHECK(bed.status_of("w1") == "none");
    CHECK(bed.status_of("bad") != "none");
    bed.consul.failing.clear();
    bed.world.advance(kWriteRetry + 10ms);
    CHECK(bed.status_of("bad") == "none");
  }
  SUBCASE("at a stop") {
    bed.consul.failing = "deregister/bad";
    bool done = false;
    bed.engine->stop([&] { done = true; });
    bed.world.advance(100ms);
    CHECK(done);
    CHECK(bed.status_of("w1") == "none");
  }
  bed.take();
}

TEST_CASE("what is put again while its removal is looked up is not deregistered") {
  Written bed;
  bed.consul.requests.clear();
  bed.engine->remove("w1");
  CHECK(bed.world.run_until([&] { return bed.consul.requests.size() == 1; }, 1s));
  CHECK(bed.consul.requests.back() == "GET /v1/agent/service/w1");
  bed.engine->put(Bed::registration("w1"));
  SUBCASE("for good") {
    bed.world.advance(1min);
    CHECK(bed.consul.count("PUT /v1/agent/service/deregister") == 0);
    CHECK(bed.status_of("w1") == "passing");
  }
  SUBCASE("but it is once it is removed again") {
    bed.engine->remove("w1");
    bed.world.advance(50ms);
    CHECK(bed.status_of("w1") == "none");
  }
}

TEST_CASE("registrations of an earlier life of this agent are taken over") {
  Written bed;
  bed.engine.reset();  // as after kill -9
  bed.world.advance(20s);
  CHECK(bed.status_of("w1") == "critical");
  bed.start();
  bed.engine->put(Bed::registration("w1"));
  CHECK(bed.after(50ms) == "current");
  CHECK(bed.status_of("w1") == "passing");
  CHECK(bed.status().written == 1);
}

TEST_CASE("what the token may not write is said, tried rarely, and holds up nothing else") {
  Bed bed;
  bed.consul.writes_denied = true;
  bed.start();
  bed.engine->put(Bed::registration("w1"));
  bed.world.advance(1s);
  REQUIRE(bed.status().warnings.size() == 1);
  CHECK(bed.status().warnings[0] ==
        "w1 cannot be written: Permission denied: Missing service:write on own");
  CHECK(bed.status().state == PlaceState::current);
  bed.world.advance(1min);
  CHECK(bed.consul.count("PUT /v1/agent/service/register") <= 4);
  bed.consul.writes_denied = false;
  bed.world.advance(kWriteRetry);
  CHECK(bed.status_of("w1") == "passing");
  CHECK(bed.status().warnings.empty());
  // Heartbeats that are refused are tried before the TTL ends.
  bed.consul.writes_denied = true;
  bed.world.advance(8s);
  bed.consul.writes_denied = false;
  bed.world.advance(6s);
  CHECK(bed.status_of("w1") == "passing");
  CHECK(bed.status().warnings.empty());
  bed.take();
}

TEST_CASE("while a change is refused, what is there stays alive, and hears of health") {
  for (const int status : {400, 403, 500})
    for (const char* step : {"service/register", "service/w1"}) {
      CAPTURE(status);
      CAPTURE(step);
      Written bed;
      bed.consul.failing = step;
      bed.consul.failing_status = status;
      Entry changed = Bed::registration("w1");
      changed.version = "v2";
      bed.engine->put(changed);
      for (int i = 0; i < 300; ++i) {
        bed.world.advance(1s);
        REQUIRE(bed.status_of("w1") == "passing");
      }
      // The change is tried three times a minute, and is what people have to look at.
      CHECK(bed.consul.count("PUT /v1/agent/service/register") <= 17);
      CHECK(bed.consul.count("GET /v1/agent/service/w1") <= 17);
      CHECK(bed.consul.count("PUT /v1/agent/check/update/") <= 60);
      CHECK(bed.status().written == 1);
      REQUIRE(bed.status().warnings.size() == 1);
      CHECK(bed.status().warnings[0] == "w1 cannot be written: rpc error");
      changed.health = Health::warning;
      bed.engine->put(changed);
      bed.world.advance(10ms);
      CHECK(bed.status_of("w1") == "warning");
      // A heartbeat that fails meanwhile is sent again in time.
      bed.consul.mute = true;
      bed.world.advance(3s);
      bed.consul.mute = false;
      bed.world.advance(30s);
      CHECK(bed.status_of("w1") == "warning");
      bed.consul.failing.clear();
      bed.world.advance(kWriteRetry + 10ms);
      CHECK(bed.status().warnings.empty());
      CHECK(*bed.consul.services["w1"].body.find("Tags")->as_array()->front().as_string() ==
            "version=v2");
      CHECK(bed.status_of("w1") == "warning");
      bed.take();
    }
}

TEST_CASE("people are shown how a registration is at the Consul agent") {
  Written bed;
  const auto shown = [&](const char* id) {
    std::string text;
    for (const WrittenKey& key : bed.engine->keys_of(id)) {
      CHECK(key.where.endpoint == bed.options.address);
      text += key.where.key + ' ' + to_string(key.state);
      if (key.lease_time)
        text += ' ' +
                format_duration(std::chrono::floor<std::chrono::seconds>(key.lease_time->left)) +
                " of " + format_duration(key.lease_time->granted);
      if (!key.reason.empty()) text += " <" + key.reason + '>';
    }
    return text;
  };
  CHECK(shown("w1") == "w1 written 14s of 15s");
  bed.world.advance(7s);
  CHECK(shown("w1") == "w1 written 7s of 15s");
  bed.world.advance(500ms);
  CHECK(shown("w1") == "w1 written 14s of 15s");
  CHECK(shown("w2").empty());
  bed.consul.add("w2", "theirs", "10.1.0.1");
  bed.engine->put(Bed::registration("w2"));
  CHECK(shown("w2") == "w2 waiting");
  bed.world.advance(50ms);
  CHECK(shown("w2") == "w2 conflict <another program, for service theirs on port 80>");
  bed.consul.failing = "service/register";
  Entry changed = Bed::registration("w1");
  changed.version = "v2";
  bed.engine->put(changed);
  CHECK(shown("w1") == "w1 waiting 14s of 15s");
  bed.world.advance(50ms);
  CHECK(shown("w1") == "w1 refused 14s of 15s <rpc error>");
  bed.take();
}

TEST_CASE("what the agent has lost is not kept alive by heartbeats while its change is refused") {
  Written bed;
  bed.consul.failing = "service/register";
  Entry changed = Bed::registration("w1");
  changed.version = "v2";
  bed.engine->put(changed);
  bed.world.advance(1min);
  bed.consul.forget_all();
  bed.world.advance(20s);
  CHECK(bed.status().written == 0);
  const std::size_t beats = bed.consul.count("PUT /v1/agent/check/update/");
  bed.world.advance(1min);
  CHECK(bed.consul.count("PUT /v1/agent/check/update/") == beats);
  bed.consul.failing.clear();
  bed.world.advance(kWriteRetry);
  CHECK(bed.status_of("w1") == "passing");
  bed.take();
}

TEST_CASE("a token that is replaced counts from the next heartbeat on") {
  char name[] = "/tmp/outrider-token-XXXXXX";
  ::close(::mkstemp(name));
  REQUIRE(write_text_file(name, "first\n"));
  Bed bed;
  bed.options.services.clear();
  bed.options.token_file = name;
  bed.consul.token = "first";
  bed.start();
  bed.engine->put(Bed::registration("w1"));
  CHECK(bed.after(50ms) == "current");
  REQUIRE(write_text_file(name, "second\n"));
  bed.consul.token = "second";
  CHECK(bed.after(1min) == "");
  CHECK(bed.status_of("w1") == "passing");
  ::unlink(name);
}

TEST_CASE("metadata that Consul does not take is a warning") {
  Bed bed;
  bed.start();
  Entry entry = Bed::registration("w1");
  entry.metadata["k"] = std::string(600, 'v');
  bed.engine->put(entry);
  bed.world.advance(50ms);
  CHECK(bed.status_of("w1") == "passing");
  CHECK(bed.status().warnings.at(0).starts_with("metadata k of w1 is not written"));
  entry.addresses.clear();
  bed.engine->put(entry);
  bed.world.advance(50ms);
  CHECK(bed.consul.services.empty());
  bed.take();
}

TEST_CASE("a stop takes everything back") {
  Written bed;
  for (int i = 0; i < 20; ++i)
    bed.engine->put(Bed::registration("x" + std::to_string(i)));
  bed.world.advance(50ms);
  SUBCASE("at once") {}
  SUBCASE("of a registration that is under way") {
    bed.engine->put(Bed::registration("late"));
    bed.world.run_until(
        [&] { return bed.consul.requests.back() == "PUT /v1/agent/service/register"; }, 1s);
  }
  bool done = false;
  bed.engine->stop([&] { done = true; });
  CHECK(!done);
  bed.world.advance(100ms);
  CHECK(done);
  CHECK(bed.consul.services.empty());
  CHECK(bed.consul.connections() == 0);
}

TEST_CASE("a stop does not wait for an agent that does not answer") {
  Written bed;
  bed.consul.mute = true;
  bool done = false;
  bed.engine->stop([&] { done = true; });
  bed.world.advance(kTakeBackMax - 1ms);
  CHECK(!done);
  bed.world.advance(1ms);
  CHECK(done);
  bed.engine.reset();
  bed.world.advance(15s);
  CHECK(bed.status_of("w1") == "critical");
}

// --- copies ------------------------------------------------------------------------------------

/// As the exporting agent makes it.
Entry copy(const std::string& id, const std::string& via = "mdns") {
  Entry entry = Bed::registration(id);
  entry.key = "own/" + id;
  entry.metadata = {{std::string(kViaMark), via}, {"zone", "z1"}};
  return entry;
}

TEST_CASE("a copy has an id and a check of its own, beside a registration with the same id") {
  Written bed;
  bed.engine->put(copy("w1"));
  CHECK(bed.after(100ms) == "");
  CHECK(bed.consul.services.size() == 2);
  CHECK(bed.status_of("copy:own:w1") == "passing");
  CHECK(bed.consul.check("copy:own:w1")->ttl == "15s");
  bed.world.advance(10min);
  CHECK(bed.status_of("copy:own:w1") == "passing");
  Entry changed = copy("w1");
  changed.port = 9;
  bed.engine->put(changed);
  bed.world.advance(1s);
  CHECK(bed.consul.services.size() == 2);
  SUBCASE("withdrawn") {
    bed.engine->remove("own/w1");
    bed.world.advance(1s);
    CHECK(bed.status_of("copy:own:w1") == "none");
    CHECK(bed.status_of("w1") == "passing");
  }
  SUBCASE("stopped") {
    bed.engine->stop([] {});
    bed.world.advance(1s);
    CHECK(bed.consul.services.empty());
  }
}

TEST_CASE("a copy is read with its mark and the id of its original, but not by who wrote it") {
  Bed bed;
  bed.options.services = {"own"};
  bed.start();
  Entry full = copy("w1");
  for (int i = 0; i < 80; ++i)
    full.metadata["a" + std::to_string(i)] = "x";
  bed.engine->put(full);
  CHECK(bed.after(100ms) == "list | current");
  bed.options.writer = "other";
  ConsulEngine other(bed.us.env(), bed.options, nullptr);
  other.start(bed);
  CHECK(bed.after(100ms) == "list w1 | current");
  REQUIRE(bed.seen.size() == 1);
  // The marks come before all that Consul may not take.
  const Entry& read = bed.seen.front();
  CHECK(read.metadata.at(std::string(kViaMark)) == "mdns");
  CHECK(read.writer == "me");
  CHECK(read.where.key == "copy:own:w1");
}

TEST_CASE("the copy of another agent is left alone, unless it was left behind") {
  Bed bed;
  bed.options.services.clear();
  bed.start();
  bed.consul.add("copy:own:w1", "own", "10.1.0.1",
                 R"(,"Meta":{"outrider-node":"other","outrider_x2Evia":"mdns"})");
  bed.engine->put(copy("w1"));
  CHECK(bed.after(1min) == "current | conflict copy:own:w1 copy:own:w1 <the agent other>");
  CHECK(bed.consul.count("PUT") == 0);
  bed.consul.set_status("copy:own:w1", "c:copy:own:w1", "critical");
  CHECK(bed.after(kWriteRetry) == "conflict copy:own:w1 copy:own:w1 <>");
  CHECK(bed.status_of("copy:own:w1") == "passing");
}

TEST_CASE("the id of a copy that another program holds is a conflict, and is not fought for") {
  Bed bed;
  bed.options.services.clear();
  bed.start();
  bed.consul.add("copy:own:w1", "theirs", "10.1.0.1");
  bed.consul.set_status("copy:own:w1", "c:copy:own:w1", "critical");
  bed.engine->put(copy("w1"));
  CHECK(bed.after(50ms) ==
        "current | conflict copy:own:w1 copy:own:w1 <another program, for service theirs on port "
        "80>");
  CHECK(bed.after(5min) == "");
  CHECK(bed.consul.count("PUT") == 0);
  bed.consul.remove("copy:own:w1");
  bed.world.advance(kWriteRetry);
  CHECK(bed.status_of("copy:own:w1") == "passing");
  bed.take();
}

TEST_CASE("registrations beyond the limit are not written") {
  Bed bed;
  bed.options.services.clear();
  bed.start();
  for (std::size_t i = 0; i < kRegistrationsMax + 1; ++i)
    bed.engine->put(Bed::registration("w" + std::to_string(i)));
  CHECK(bed.status().last_error.starts_with("more than 1,024 registrations"));
  bed.world.advance(10s);
  CHECK(bed.status().written == kRegistrationsMax);
  CHECK(bed.consul.services.size() == kRegistrationsMax);
  // What is left of them while nothing answers ends with its TTL, beyond the limit.
  bed.consul.mute = true;
  for (std::size_t i = 0; i < kRegistrationsMax; ++i)
    bed.engine->remove("w" + std::to_string(i));
  bed.consul.mute = false;
  bed.world.advance(1min);
  CHECK(bed.consul.services.empty());
  bed.take();
}

}  // namespace
}  // namespace outrider::registries::consul
