// SPDX-License-Identifier: Apache-2.0
#include "registries/consul/reader.h"

#include <cstdlib>

#include <unistd.h>

#include "base/text_file.h"
#include "tests/registries/consul/bed.h"

namespace outrider::registries::consul {
namespace {

using test::Bed;

/// A bed whose engine knows web a and b.
struct Read : Bed {
  Read() {
    consul.add("a", "web", "10.1.0.1");
    consul.add("b", "web", "10.1.0.2");
    start();
    CHECK(after(50ms) == "list a b | current");
  }
};

TEST_CASE("what is there is listed, and each change is followed at once") {
  Bed bed;
  bed.consul.add("a", "web", "10.1.0.1");
  bed.consul.add("x", "other", "10.1.0.1");
  bed.start();
  CHECK(bed.after(50ms) == "list a | current");
  CHECK(bed.seen.at(0).key == "http://127.0.0.1:8500 web n1/a");
  CHECK(bed.seen.at(0).where.key == "a");
  CHECK(bed.seen.at(0).where.endpoint == "http://127.0.0.1:8500");
  CHECK(bed.seen.at(0).where.revision == 2);
  CHECK(bed.status().revision == 2);
  bed.consul.add("b", "web", "10.1.0.2");
  CHECK(bed.after(1ms) == "has b");
  bed.consul.set_status("a", "c:a", "critical");
  CHECK(bed.after(1ms) == "has a");
  CHECK(bed.seen.back().health == Health::critical);
  bed.consul.set_maintenance("b", true);
  CHECK(bed.after(1ms) == "has b");
  CHECK(bed.seen.back().health == Health::maintenance);
  bed.consul.set_maintenance("b", false);
  CHECK(bed.after(1ms) == "has b");
  bed.consul.set_node_status("critical");
  CHECK(bed.after(1ms) == "has a | has b");
  CHECK(bed.seen.back().health == Health::critical);
  bed.consul.remove("a");
  bed.consul.remove("x");
  CHECK(bed.after(1ms) == "lost a");
  CHECK(bed.status().read == 1);
  CHECK(bed.status().state == PlaceState::current);
}

TEST_CASE("an idle service costs one request in 55 seconds, and a sign of life four a minute") {
  Read bed;
  bed.consul.requests.clear();
  CHECK(bed.after(10min) == "");
  const std::size_t lists = bed.consul.count("GET /v1/health/service/web?index=3&wait=55s");
  CHECK(lists <= 11);
  CHECK(lists >= 10);
  const std::size_t signs = bed.consul.count("GET /v1/agent/self");
  CHECK(signs <= 40);
  CHECK(signs >= 30);
  CHECK(bed.consul.requests.size() == lists + signs);
  CHECK(bed.consul.connections() == 2);
  // Heartbeats are such signs.
  bed.engine->put(Bed::registration("w1"));
  bed.world.advance(kProofInterval);
  bed.consul.requests.clear();
  CHECK(bed.after(10min) == "");
  CHECK(bed.consul.count("GET /v1/agent/self") == 0);
}

TEST_CASE("the first lists of all services are one list, a few asked at a time") {
  Bed bed;
  bed.options.services.clear();
  for (std::size_t i = 0; i < kServicesMax + 6; ++i)
    bed.options.services.push_back("s" + std::to_string(i));
  bed.options.services.insert(bed.options.services.begin(), "s0");  // twice
  for (const char* id : {"a", "b"})
    bed.consul.add(id, std::string("s") + (*id == 'a' ? "0" : "63"), "10.1.0.1");
  bed.start();
  bed.world.run_until([&] { return bed.consul.count("GET /v1/agent/self") == 1; }, 1s);
  bed.consul.mute = true;
  bed.world.advance(500ms);
  CHECK(bed.consul.connections() <= kListsAtOnce);
  bed.consul.mute = false;
  bed.take();
  bed.world.advance(30s);
  CHECK(bed.take() == "behind: no answer within 2s | list a b | current");
  CHECK(bed.consul.waiting() == kServicesMax);
  bed.consul.add("c", "s40", "10.1.0.1");
  CHECK(bed.after(1ms) == "has c");
}

TEST_CASE("without services nothing is read") {
  Bed bed;
  bed.options.services.clear();
  bed.start();
  CHECK(bed.after(1min) == "");
  CHECK(bed.consul.requests.empty());
}

TEST_CASE("a service that suddenly has nothing left is listed, for the caller to judge") {
  Read bed;
  bed.consul.add("x", "web", "10.1.0.3");
  CHECK(bed.after(1ms) == "has x");
  bed.consul.mute = true;
  bed.world.advance(1ms);
  bed.consul.services.clear();
  bed.consul.mute = false;
  bed.consul.add("other", "else", "10.1.0.1");
  bed.consul.add("y", "web", "10.1.0.1");
  bed.world.advance(1ms);
  CHECK(bed.take() == "lost a | lost b | lost x | has y");
  bed.consul.add("z", "web", "10.1.0.1");
  CHECK(bed.after(1ms) == "has z");
  bed.consul.services.clear();
  bed.consul.add("t", "web", "10.1.0.1");
  bed.consul.remove("t");
  // Either both changes in one answer, or one after the other.
  const std::string heard = bed.after(2ms);
  CHECK((heard == "list" || heard == "lost y | lost z | has t | lost t"));
}

TEST_CASE("an index that goes back means that everything is listed again") {
  Read bed;
  for (int i = 0; i < 40; ++i)
    bed.consul.set_status("a", "c:a", i % 2 == 0 ? "critical" : "passing");
  bed.world.advance(20s);
  bed.take();
  SUBCASE("when the agent was restarted") {
    bed.consul.set_running(false);
    CHECK(bed.after(10ms).starts_with("behind: "));
    bed.consul.wipe();
    bed.consul.add("b", "web", "10.1.0.2");
    bed.consul.set_running(true);
    CHECK(bed.after(15s) == "restarted: its index went back from 43 to 2 | list b | current");
  }
  SUBCASE("when it went on, after the wait for an index that is still to come") {
    bed.consul.wipe();
    bed.consul.services.clear();
    CHECK(bed.after(30s) == "");
    CHECK(bed.after(30s) == "restarted: its index went back from 43 to 1 | list");
  }
}

TEST_CASE("servers whose index goes back and forth are left alone for a while") {
  Read bed;
  bed.consul.alternates = true;
  bed.consul.add("c", "web", "10.1.0.1");
  bed.world.advance(10min);
  CHECK(bed.consul.requests.size() < 1'000);
  CHECK(bed.status().last_error == "its index went back from 99 to 4, again");
  std::size_t restarts = 0;
  for (const std::string& event : bed.events)
    restarts += event.starts_with("restarted: ") ? 1 : 0;
  CHECK(restarts > 0);
  CHECK(restarts <= 10min / kRestartInterval);
  bed.consul.alternates = false;
  bed.world.advance(2min);
  CHECK(bed.status().state == PlaceState::current);
  CHECK(bed.status().read == 3);
  bed.take();
}

TEST_CASE("a server that does not wait is asked once a second") {
  Bed bed;
  bed.consul.without_index = true;
  bed.consul.add("a", "web", "10.1.0.1");
  bed.start();
  CHECK(bed.after(50ms) == "list a | current");
  CHECK(bed.after(1min) == "");
  CHECK(bed.consul.count("GET /v1/health") <= 61 + kAnswersAtOnce);
  bed.consul.add("b", "web", "10.1.0.1");
  CHECK(bed.after(1s) == "has b");
}

TEST_CASE("a service that changes all the time is read once a second, and never late for long") {
  Read bed;
  for (int i = 0; i < 600; ++i) {
    bed.consul.set_status("a", "c:a", i % 2 == 0 ? "critical" : "passing");
    bed.world.advance(100ms);
  }
  CHECK(bed.consul.count("GET /v1/health") <= 60 + 2 * kAnswersAtOnce);
  bed.take();
  bed.consul.remove("b");
  CHECK(bed.after(kAnswerInterval + 1ms) == "lost b");
  // A rest earns quick answers again.
  bed.world.advance(1min);
  bed.consul.add("c", "web", "10.1.0.1");
  CHECK(bed.after(1ms) == "has c");
}

TEST_CASE("an agent that ends makes the place fall behind, and the gap is one list") {
  Read bed;
  SUBCASE("killed") {
    bed.consul.set_running(false);
    const std::string heard = bed.after(10ms);
    CHECK(heard.starts_with("behind: "));
  }
  SUBCASE("terminated") {
    bed.consul.terminate();
    CHECK(bed.after(10ms).starts_with("behind: rpc error: code = Canceled"));
    bed.consul.set_running(false);
  }
  CHECK(bed.status().state == PlaceState::behind);
  CHECK(bed.status().read == 2);
  bed.consul.remove("a");
  bed.consul.add("c", "web", "10.1.0.1");
  bed.world.advance(8s);
  bed.take();
  bed.consul.set_running(true);
  CHECK(bed.after(15s) == "list b c | current");
}

TEST_CASE("an agent without servers is behind until it finds them") {
  Bed bed;
  bed.consul.add("a", "web", "10.1.0.1");
  bed.consul.without_servers = true;
  bed.start();
  CHECK(bed.after(1min) == "behind: No known Consul servers");
  CHECK(bed.consul.count("GET /v1/health") < 20);
  bed.consul.without_servers = false;
  CHECK(bed.after(15s) == "list a | current");
}

TEST_CASE("an agent that is silent is noticed, in a first list at once, in a wait after it") {
  Read bed;
  bed.consul.mute = true;
  bed.consul.set_running(false);
  bed.consul.set_running(true);
  CHECK(bed.after(5s).starts_with("behind: "));
  bed.consul.mute = false;
  CHECK(bed.after(15s) == "list a b | current");
  // Its query waits, and what would end that never comes.
  bed.consul.mute = true;
  bed.us.set_fault(8500, {.kind = sim::Fault::Kind::silent});
  CHECK(bed.after(kProofInterval + kCallMax) == "behind: no answer within 2s");
  bed.world.advance(5min);
  bed.us.set_fault(8500, {});
  bed.consul.mute = false;
  bed.world.advance(15s);
  bed.take();
  CHECK(bed.status().state == PlaceState::current);
}

TEST_CASE(
    "an agent that is silent is noticed at the next heartbeat, and heartbeats come back at once") {
  Read bed;
  bed.engine->put(Bed::registration("w1"));
  bed.world.advance(50ms);
  bed.consul.mute = true;
  bed.us.set_fault(8500, {.kind = sim::Fault::Kind::silent});
  CHECK(bed.after(7500ms + kCallMax) == "behind: no answer within 2s");
  bed.world.advance(1min);
  bed.take();
  bed.us.set_fault(8500, {});
  bed.consul.mute = false;
  CHECK(bed.world.run_until([&] { return bed.status().state == PlaceState::current; }, 20s));
  bed.world.advance(10ms);
  CHECK(bed.status_of("w1") == "passing");
  CHECK(bed.take() == "list a b | current");
}

TEST_CASE("tries become rarer, up to ten seconds, and begin at once") {
  Bed bed;
  bed.consul.without_servers = true;
  bed.start();
  bed.world.advance(10ms);
  CHECK(bed.consul.count("GET /v1/agent/self") == 2);
  bed.world.advance(10min);
  const std::size_t before = bed.consul.count("GET /v1/agent/self");
  bed.world.advance(10min);
  const std::size_t more = bed.consul.count("GET /v1/agent/self") - before;
  CHECK(more >= 600 / 15);
  CHECK(more <= 600 / 5);
}

TEST_CASE("a token that may not read the agent is said, and its empty lists are not believed") {
  Read bed;
  bed.consul.self_denied = true;
  bed.consul.set_running(false);
  bed.consul.set_running(true);
  bed.world.advance(10ms);
  CHECK(bed.take().ends_with(" | list a b | current"));
  REQUIRE(bed.status().warnings.size() == 1);
  CHECK(bed.status().warnings[0].starts_with(
      "the token may not read /v1/agent/self (Permission denied)"));
  // A list that is not empty is believed.
  bed.consul.remove("a");
  CHECK(bed.after(1ms) == "lost a");
  bed.consul.reads_hidden = true;
  bed.consul.add("c", "web", "10.1.0.1");
  CHECK(bed.after(1ms) == "behind: what is known of web cannot be read any more | part list and 1");
  CHECK(bed.status().read == 1);
  CHECK(bed.status().warnings.size() == 2);
  CHECK(bed.after(10min) == "");
  bed.consul.reads_hidden = false;
  bed.consul.add("d", "web", "10.1.0.1");
  CHECK(bed.after(1ms) == "list b c d | current");
  CHECK(bed.status().state == PlaceState::current);
  CHECK(bed.status().warnings.size() == 1);
}

TEST_CASE("a service without instances is no reason to doubt another one") {
  Bed bed;
  bed.options.services = {"web", "db"};
  bed.consul.self_denied = true;
  bed.consul.add("a", "web", "10.1.0.1");
  bed.start();
  CHECK(bed.after(50ms) == "list a | current");
  bed.consul.add("b", "web", "10.1.0.1");
  CHECK(bed.after(1ms) == "has b");
  bed.consul.add("d", "db", "10.1.0.1");
  CHECK(bed.after(1ms) == "has d");
  CHECK(bed.status().state == PlaceState::current);
}

TEST_CASE("beside a service that cannot be read, lists of another one are still judged") {
  Bed bed;
  bed.options.services = {"ghost", "web"};
  for (const char* id : {"a", "b", "c"})
    bed.consul.add(id, "web", "10.1.0.1");
  bed.consul.refused = "ghost";
  bed.start();
  CHECK(bed.after(50ms) == "list a b c | current");
  SUBCASE("when it suddenly has nothing left") {
    bed.consul.mute = true;
    bed.consul.set_running(false);
    bed.consul.set_running(true);
    bed.world.advance(10ms);
    for (const char* id : {"a", "b", "c"})
      bed.consul.services.erase(id);
    bed.consul.mute = false;
    bed.world.advance(30s);
    CHECK(bed.take().ends_with("list | current"));
  }
  SUBCASE("when the servers lost their data") {
    bed.consul.set_running(false);
    bed.consul.wipe();
    bed.consul.add("b", "web", "10.1.0.2");
    bed.consul.set_running(true);
    CHECK(
        bed.after(30s).ends_with("restarted: its index went back from 4 to 2 | list b | current"));
  }
}

TEST_CASE("beside entries that are kept, a service that suddenly has nothing left is kept") {
  Bed bed;
  bed.options.services = {"db", "web"};
  bed.consul.add("d", "db", "10.1.0.1");
  for (const char* id : {"a", "b", "c"})
    bed.consul.add(id, "web", "10.1.0.1");
  bed.start();
  CHECK(bed.after(50ms) == "list d a b c | current");
  bed.consul.refused = "db";
  bed.consul.add("e", "db", "10.1.0.1");
  const std::string heard = bed.after(10ms);
  CHECK(heard.find("has e") != std::string::npos);
  CHECK(heard.find("behind: what is known of db cannot be read any more") != std::string::npos);
  bed.consul.reads_hidden = true;
  bed.consul.add("f", "web", "10.1.0.1");
  CHECK(bed.after(1ms) ==
        "behind: what is known of db, web cannot be read any more | part list and 5");
  CHECK(bed.after(5min).find("lost") == std::string::npos);
  CHECK(bed.status().read == 5);
  bed.consul.reads_hidden = false;
  bed.consul.refused.clear();
  CHECK(bed.after(2 * kServiceRetry).ends_with("list d e a b c f | current"));
}

TEST_CASE("an empty list that Consul says is filtered is not believed") {
  Read bed;
  bed.consul.says_filtered = bed.consul.reads_hidden = true;
  bed.consul.add("c", "web", "10.1.0.1");
  CHECK(bed.after(1ms) == "behind: what is known of web cannot be read any more | part list and 2");
  CHECK(bed.status().warnings.at(0).starts_with(
      "the list of web is empty, or hidden from this token; 2 instances known before"));
  bed.consul.says_filtered = bed.consul.reads_hidden = false;
  bed.consul.remove("a");
  CHECK(bed.after(1ms) == "list b c | current");
}

TEST_CASE("a token is read from its file again when it is refused") {
  char name[] = "/tmp/outrider-token-XXXXXX";
  ::close(::mkstemp(name));
  REQUIRE(write_text_file(name, "first\nnot this\n"));
  Bed bed;
  bed.options.token_file = name;
  bed.consul.token = "first";
  bed.consul.add("a", "web", "10.1.0.1");
  bed.start();
  CHECK(bed.after(50ms) == "list a | current");
  CHECK(bed.consul.last_token == "first");
  bed.consul.token = "second";
  bed.consul.add("b", "web", "10.1.0.1");
  const std::string heard = bed.after(50ms);
  CHECK(heard == "has b | behind: ACL not found");
  CHECK(bed.status().warnings.size() <= 1);
  REQUIRE(write_text_file(name, "second\n"));
  CHECK(bed.after(15s) == "list a b | current");
  bed.consul.token = "third";
  REQUIRE(write_text_file(name, "third\n"));
  bed.consul.add("c", "web", "10.1.0.1");
  CHECK(bed.after(50ms) == "has c");  // sent again with the new one
  for (const std::string& line : bed.us.log().lines())
    CHECK(line.find("third") == std::string::npos);
  for (const char* wrong : {"", "\n", "a\x01z\n"}) {
    REQUIRE(write_text_file(name, wrong));
    bed.consul.set_running(false);
    bed.consul.set_running(true);
    bed.world.advance(15s);
    CHECK(bed.status().reason == std::string(name) + ": its first line is no token");
  }
  ::unlink(name);
  bed.world.advance(15s);
  CHECK(bed.status().reason == std::string(name) + ": No such file or directory");
  bed.take();
}

TEST_CASE("an answer cut at any byte is no list") {
  Bed bed;
  bed.consul.add("a", "web", "10.1.0.1");
  bed.start();
  CHECK(bed.after(50ms) == "list a | current");
  const std::size_t whole = 2'000;
  for (std::size_t cut = 0; cut < whole; ++cut) {
    bed.consul.cut_at = cut;
    bed.consul.set_running(false);
    bed.consul.set_running(true);
    bed.world.advance(20ms);
    const std::string heard = bed.take();
    if (heard.ends_with("list a | current")) {
      CHECK(cut > 400);
      break;
    }
    CHECK(heard.find("list") == std::string::npos);
    CHECK(heard.find("lost") == std::string::npos);
    CHECK(heard.starts_with("behind: "));
    bed.consul.cut_at.reset();
    bed.world.advance(45s);  // the next try comes at once
    CHECK(bed.take() == "list a | current");
    CHECK(cut + 1 < whole);
  }
}

TEST_CASE("answers that are none are said, and change nothing") {
  Read bed;
  int number = 0;
  for (const std::string junk : {"<html></html>", "{}", "null", "[", " "}) {
    CAPTURE(junk);
    bed.consul.junk = junk;
    bed.consul.add("x" + std::to_string(++number), "web", "10.1.0.1");
    bed.world.advance(1s);
    CHECK(bed.take().starts_with("behind: an answer that cannot be read: "));
    CHECK(bed.status().read >= 2);
    bed.consul.junk.clear();
    bed.world.advance(15s);
    const std::string heard = bed.take();
    CAPTURE(heard);
    CHECK(heard.find("list a b x1") != std::string::npos);
    CHECK(heard.ends_with(" | current"));
  }
}

TEST_CASE("an agent that describes itself at length is still an agent") {
  Bed bed;
  bed.consul.self_more = R"(,"Coord":")" + std::string(kAnswerBytesMax, 'x') + '"';
  bed.consul.add("a", "web", "10.1.0.1");
  bed.start();
  CHECK(bed.after(100ms) == "list a | current");
  CHECK(bed.status().warnings.empty());
}

TEST_CASE("a list that is too long leaves its service out, and is tried again") {
  Bed bed;
  bed.options.services = {"web", "big"};
  bed.consul.add("a", "web", "10.1.0.1");
  for (int i = 0; i < 40; ++i)
    bed.consul.add("b" + std::to_string(i), "big", "10.1.0.1",
                   R"(,"Tags":[")" + std::string(500'000, 't') + "\"]");
  bed.start();
  CHECK(bed.after(2s) == "list a | current");
  CHECK(bed.status().warnings.at(0).starts_with(
      "big cannot be read: an answer of more than 16777216 bytes"));
  bed.consul.forget_all();
  bed.consul.add("a", "web", "10.1.0.1");
  bed.consul.add("b", "big", "10.1.0.1");
  CHECK(bed.after(10ms) == "lost a | has a");
  CHECK(bed.after(kServiceRetry) == "has b");
  CHECK(bed.status().warnings.empty());
}

TEST_CASE("services share the limit: what one leaves of its part others use until it needs it") {
  Bed bed;
  bed.options.services = {"big", "empty", "large", "small"};
  constexpr std::size_t kLarge = kEntriesMax / 2 + 50, kFew = 100;
  const auto add = [&](const std::string& service, std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < to; ++i)
      bed.consul.add(service + std::to_string(i), service, "10.1.0.1");
  };
  const auto known = [&](const std::string& service) {
    return std::ranges::count(bed.seen, service, &Entry::service);
  };
  add("big", 0, kLarge);
  add("large", 0, kLarge);
  add("small", 0, 4);
  bed.start();
  bed.world.advance(3s);
  CHECK(bed.status().read == kEntriesMax);
  CHECK(bed.status().skipped == 2 * kLarge + 4 - kEntriesMax);
  // Whichever list comes last.
  CHECK(known("small") == 4);
  CHECK(known("big") == kEntriesMax / 2 - 2);
  CHECK(known("large") == kEntriesMax / 2 - 2);
  CHECK(bed.status().warnings ==
        std::vector<std::string>{
            "52 instances of big left out: all services together have room for 4,096 instances; "
            "follow fewer services",
            "52 instances of large left out: all services together have room for 4,096 instances; "
            "follow fewer services"});
  SUBCASE("a service within its part is never cut, and takes from the larger ones alone") {
    bed.take();
    add("empty", 0, kFew);
    bed.world.advance(2s);
    CHECK(bed.status().read == kEntriesMax);
    const std::string heard = bed.take();
    CHECK(heard.find("has empty0") != std::string::npos);
    CHECK(heard.find("lost big") != std::string::npos);
    CHECK(heard.find("lost large") != std::string::npos);
    CHECK(heard.find("lost small") == std::string::npos);
    CHECK(heard.find("lost empty") == std::string::npos);
    bed.seen.clear();
    bed.engine->refresh();
    bed.world.advance(3s);
    CHECK(known("empty") == kFew);
    CHECK(known("small") == 4);
    CHECK(known("big") == known("large"));
  }
  SUBCASE("room that a service leaves is used a while later") {
    for (std::size_t i = 1; i < kLarge; ++i)
      bed.consul.services.erase("large" + std::to_string(i));
    bed.consul.remove("large0");
    bed.world.advance(3s);
    CHECK(bed.status().read == kEntriesMax / 2 + 2);
    CHECK(bed.status().skipped == 52);
    bed.world.advance(kRoomUsed + 3s);
    CHECK(bed.status().read == kLarge + 4);
    CHECK(bed.status().skipped == 0);
    CHECK(bed.status().warnings.empty());
  }
  bed.take();
}

TEST_CASE("beside entries that are kept, losses of a list are reported together") {
  Bed bed;
  bed.options.services = {"db", "web"};
  bed.consul.add("d", "db", "10.1.0.1");
  for (const char* id : {"a", "b", "c", "e"})
    bed.consul.add(id, "web", "10.1.0.1");
  bed.start();
  CHECK(bed.after(50ms) == "list d a b c e | current");
  bed.consul.refused = "db";
  const auto restart = [&] {
    bed.consul.set_running(false);
    bed.consul.set_running(true);
  };
  bed.consul.services.erase("a");
  bed.consul.services.erase("b");
  restart();
  CHECK(bed.after(10s).ends_with(
      "behind: what is known of db cannot be read any more | part list c e and 1"));
  bed.consul.add("f", "web", "10.1.0.1");
  CHECK(bed.after(1s) == "has f");
  bed.consul.services.erase("c");
  bed.consul.remove("e");
  CHECK(bed.after(1s) == "part list f and 1");
  CHECK(bed.status().read == 2);
}

TEST_CASE("entries of this agent are not reported, those of others are") {
  Bed bed;
  bed.consul.add("mine", "web", "10.0.0.1", R"(,"Meta":{"outrider-node":"me"})");
  bed.consul.add("theirs", "web", "10.0.0.2", R"(,"Meta":{"outrider-node":"other"})");
  bed.start();
  CHECK(bed.after(50ms) == "list theirs | current");
  CHECK(bed.seen.at(0).writer == "other");
  CHECK(bed.status().skipped == 0);
}

TEST_CASE("without a mark, own entries are known by id and Consul agent") {
  Bed bed;
  bed.options.writer.clear();
  bed.start();
  bed.engine->put(Bed::registration("w1", "web"));
  CHECK(bed.after(100ms) == "list | current");
  CHECK(bed.status().written == 1);
  bed.engine->refresh();
  CHECK(bed.after(50ms) == "list");
}

TEST_CASE("a refresh lists again without falling behind") {
  Read bed;
  bed.engine->refresh();
  CHECK(bed.after(50ms) == "list a b");
  bed.consul.add("c", "web", "10.1.0.1");
  CHECK(bed.after(1ms) == "has c");
  CHECK(bed.consul.connections() == 1);
}

TEST_CASE("nothing is reported once it is stopped") {
  Read bed;
  bool done = false;
  bed.engine->stop([&] { done = true; });
  CHECK(!done);
  bed.consul.add("c", "web", "10.1.0.1");
  CHECK(bed.after(1min) == "");
  CHECK(done);
  CHECK(bed.consul.connections() == 0);
}

}  // namespace
}  // namespace outrider::registries::consul
