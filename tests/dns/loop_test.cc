// SPDX-License-Identifier: Apache-2.0
// Queries of ours that come back, and queries of clients that only look like it.
#include <set>

#include <doctest/doctest.h>

#include "dns/loop_guard.h"
#include "tests/dns/scripted_upstream.h"

using namespace outrider;
using namespace outrider::dns;
using namespace outrider::test;

namespace {

/// Names for which `loops` holds are sent back to the agent as they are; the others are answered.
struct Loop {
  Forwarding f;
  std::function<bool(const Name&)> loops = [](const Name&) { return true; };
  std::vector<Message> back;

  Loop() {
    f.resolver.set_upstreams({kFirst});
    f.upstream.script = [this](const ScriptedUpstream::Sent& sent) -> ScriptedUpstream::Reply {
      if (!loops(name(sent.ask.name)))
        return reply_to(sent, {.answer = {address(sent.ask.name, "198.51.100.7")}});
      back.push_back(sent.message);
      return reply_to(sent, {.rcode = Rcode::refused});  // as the server will be
    };
  }
  /// Asks for the name; what comes back gets an answer, too, which is returned.
  Answer ask(const std::string& owner, RrType type = RrType::a) {
    f.bed.send(Ask{owner, type, 1'232}.wire());
    f.bed.world.advance(1ms);
    for (const Message& message : std::exchange(back, {}))
      f.bed.send(message);
    f.bed.world.advance(5ms);
    const auto got = f.bed.take_replies();
    REQUIRE(!got.empty());
    f.bed.world.advance(1s);
    f.bed.take_replies();
    return Answer::read(got[0]);
  }
  std::size_t events() { return f.bed.world.host("here").log().count("forwarding_looped"); }
};

}  // namespace

TEST_CASE("a name that comes back is refused, and two prove that their domain loops") {
  Loop l;
  l.loops = [](const Name& asked) { return asked.is_under(name("corp.example")); };
  Answer answer = l.ask("one.corp.example");
  CHECK(answer.rcode == Rcode::refused);
  CHECK(answer.error == 18U);
  CHECK(l.f.resolver.counters().loops == 1);
  CHECK(l.events() == 0);
  // One name proves nothing, however often it comes back.
  l.ask("one.corp.example", RrType::aaaa);
  CHECK(l.events() == 0);
  l.ask("two.corp.example");
  CHECK(l.events() == 1);
  // From here on its names are not even asked for; all others are.
  const std::size_t before = l.f.upstream.sent.size();
  answer = l.f.bed.ask({"three.corp.example", RrType::a, 1'232});
  CHECK(answer.rcode == Rcode::refused);
  CHECK(answer.error_text == "our own query came back: an upstream server forwards to this agent");
  CHECK(l.f.upstream.sent.size() == before);
  CHECK(l.f.ask({"www.example"}).outcome() == "NOERROR");
  CHECK(l.f.ask({"www.example.org"}).outcome() == "NOERROR");
  CHECK(l.events() == 1);
  // And it is tried again.
  l.f.bed.world.advance(kLoopPause);
  l.loops = [](const Name&) { return false; };
  CHECK(l.f.ask({"three.corp.example"}).outcome() == "NOERROR");
}

TEST_CASE("reverse names come back as well") {
  Loop l;
  CHECK(l.ask("7.100.51.203.in-addr.arpa", RrType::ptr).rcode == Rcode::refused);
  CHECK(l.ask("8.100.51.203.in-addr.arpa", RrType::ptr).rcode == Rcode::refused);
  CHECK(l.events() == 1);
  CHECK(l.ask("1.0.0.0.7.4.0.1.0.0.2.ip6.arpa", RrType::ptr).rcode == Rcode::refused);
  CHECK(l.f.resolver.counters().loops == 3);
}

TEST_CASE("where everything loops, everything is refused after three top-level domains") {
  Loop l;
  l.ask("www.example.com");
  l.ask("www.example.org");
  CHECK(l.events() == 0);
  l.ask("www.example.net");
  CHECK(l.events() == 1);
  CHECK(l.f.bed.ask({"www.example.test"}).rcode == Rcode::refused);
  l.f.resolver.set_upstreams({kSecond});  // who may be another matter
  l.loops = [](const Name&) { return false; };
  CHECK(l.f.ask({"www.example.test"}).outcome() == "NOERROR");
}

TEST_CASE("two domains that loop do not take along what is answered beside them") {
  Loop l;
  l.loops = [](const Name& asked) {
    return asked.is_under(name("one.com")) || asked.is_under(name("two.com")) ||
           asked.is_under(name("corp.example")) || asked.is_under(name("51.203.in-addr.arpa"));
  };
  CHECK(l.f.ask({"www.other.com"}).outcome() == "NOERROR");
  CHECK(l.f.ask({"www.sub.corp.test"}).outcome() == "NOERROR");
  for (const char* owner :
       {"a.one.com", "b.one.com", "a.two.com", "b.two.com", "a.corp.example", "b.corp.example"})
    CHECK(l.ask(owner).rcode == Rcode::refused);
  for (const char* owner : {"7.100.51.203.in-addr.arpa", "7.101.51.203.in-addr.arpa"})
    CHECK(l.ask(owner, RrType::ptr).rcode == Rcode::refused);
  CHECK(l.events() == 4);  // for each of the domains
  const std::size_t before = l.f.upstream.sent.size();
  CHECK(l.f.bed.ask({"c.two.com", RrType::a, 1'232}).rcode == Rcode::refused);
  CHECK(l.f.upstream.sent.size() == before);
  for (const char* owner : {"www.example.com", "www.example.org", "www.example"})
    CHECK(l.f.ask({owner}).outcome() == "NOERROR");
  CHECK(l.f.ask({"8.8.8.8.in-addr.arpa", RrType::ptr}).outcome() == "NOERROR");
}

TEST_CASE("names of a public domain, and reverse names, prove little about each other") {
  LoopGuard guard;
  const TimePoint now{};
  CHECK(!guard.on_return(name("www.one.com"), now));
  CHECK(!guard.on_return(name("www.two.com"), now));
  CHECK(guard.on_return(name("www.three.com"), now) == name("com"));
  CHECK(!guard.on_return(name("1.1.51.198.in-addr.arpa"), now));
  CHECK(!guard.on_return(name("1.1.51.203.in-addr.arpa"), now));
  CHECK(guard.on_return(name("1.1.51.192.in-addr.arpa"), now) == name("in-addr.arpa"));
}

TEST_CASE("what is answered does not loop") {
  LoopGuard guard;
  TimePoint now{};
  // Chance, or a client that guesses: the names that came back are answered in the end.
  CHECK(!guard.on_return(name("a.x.example"), now));
  guard.on_answer(name("A.x.example"), now);
  CHECK(!guard.on_return(name("b.x.example"), now));
  // Nor does a domain with a name that is answered, until that is long ago.
  CHECK(!guard.on_return(name("c.x.example"), now));
  now += kLoopPause;
  CHECK(!guard.on_return(name("d.x.example"), now));
  CHECK(guard.on_return(name("e.x.example"), now) == name("x.example"));
  // An answer that was on its way ends the refusal.
  guard.on_answer(name("f.x.example"), now);
  CHECK_FALSE(guard.refuses(name("g.x.example"), now));
  // The oldest of many is forgotten.
  guard.clear();
  for (std::size_t i = 0; i <= kLoopAnsweredMax; ++i)
    guard.on_answer(name("n" + std::to_string(i) + ".d" + std::to_string(i) + ".example"), now);
  CHECK(!guard.on_return(name("a.d0.example"), now));
  CHECK(guard.on_return(name("b.d0.example"), now) == name("d0.example"));
  CHECK(!guard.on_return(name("a.d1.example"), now));
  CHECK(!guard.on_return(name("b.d1.example"), now));
}

TEST_CASE("no case is drawn that a client wrote, or would write") {
  Forwarding f;
  f.resolver.set_upstreams({kFirst});
  f.upstream.script = [](const ScriptedUpstream::Sent& sent) -> ScriptedUpstream::Reply {
    return reply_to(sent, {.answer = {address(sent.ask.name, "198.51.100.7", 0)}});
  };
  std::set<std::string> cases;
  for (int i = 0; i < 300; ++i)
    f.ask({"Ab.c"});
  for (const auto& sent : f.upstream.sent)
    cases.insert(sent.ask.name);
  CHECK(cases == std::set<std::string>{"aB.c.", "ab.C.", "aB.C.", "Ab.C.", "AB.c."});
}

TEST_CASE("a repeated query joins, in whatever case it comes") {
  Forwarding f;
  f.upstream.script = nullptr;
  for (int i = 0; i < 300; ++i) {
    const std::string owner = "n" + std::to_string(i) + ".ab.example";
    f.bed.send(Ask{owner}.wire());
    f.bed.send(Ask{owner}.wire());
  }
  f.bed.world.advance(5ms);
  CHECK(f.bed.take_replies().empty());
  CHECK(f.resolver.counters().joined == 300);
  CHECK(f.resolver.counters().loops == 0);
}

TEST_CASE("a client that tries many cases proves nothing") {
  Forwarding f;
  f.upstream.script = nullptr;
  const std::string owner = "a.name.of.letters.example";
  f.bed.send(Ask{owner}.wire());
  f.bed.world.advance(1ms);
  REQUIRE(f.upstream.sent.size() == 1);
  for (unsigned i = 0; i <= kCaseGuessesMax; ++i) {
    std::string other = owner;
    other[7 + i] = static_cast<char>(other[7 + i] == '.' ? '.' : other[7 + i] - 32);
    other[2] = 'N';
    if (other != f.upstream.sent[0].ask.name) f.bed.send(Ask{other}.wire());
  }
  f.bed.send(f.upstream.sent[0].message);
  f.bed.world.advance(5ms);
  CHECK(f.bed.take_replies().empty());
  CHECK(f.resolver.counters().loops == 0);
}

TEST_CASE("what is kept of loops is bounded and ends") {
  LoopGuard guard;
  const TimePoint now{};
  // The names that came back: the oldest goes.
  CHECK(!guard.on_return(name("a.first.test"), now));
  for (std::size_t i = 0; i < kLoopNamesMax; ++i)
    (void)guard.on_return(name("a.n" + std::to_string(i)), now);
  CHECK(guard.refuses(name("anything"), now));  // of many top-level domains
  guard.clear();
  CHECK_FALSE(guard.refuses(name("anything"), now));
  // The domains.
  for (std::size_t i = 0; i <= kLoopDomainsMax; ++i) {
    const std::string domain = ".d" + std::to_string(i) + ".example";
    guard.clear();
    CHECK(!guard.on_return(name("a" + domain), now));
    CHECK(guard.on_return(name("B" + domain), now) == name(domain.substr(1)));
    CHECK(guard.refuses(name("x" + domain), now));
    CHECK_FALSE(guard.refuses(name("example"), now));
    CHECK_FALSE(guard.refuses(name("x" + domain), now + kLoopPause));
  }
  // A name of another branch widens the domain, and what it covers is kept once.
  guard.clear();
  (void)guard.on_return(name("a.x.example"), now);
  CHECK(guard.on_return(name("b.x.example"), now) == name("x.example"));
  CHECK(!guard.on_return(name("c.x.example"), now));
  CHECK(guard.on_return(name("c.y.example"), now) == name("example"));
  // Evidence grows old.
  guard.clear();
  (void)guard.on_return(name("a.x.example"), now);
  CHECK(!guard.on_return(name("b.x.example"), now + kLoopPause));
}
