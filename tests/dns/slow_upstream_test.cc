// SPDX-License-Identifier: Apache-2.0
// Servers that take their time, names that no host answers, and what of that is a server's fault.
#include <doctest/doctest.h>

#include "tests/dns/scripted_upstream.h"

using namespace outrider;
using namespace outrider::dns;
using namespace outrider::test;

namespace {

using Sent = ScriptedUpstream::Sent;
using Script = std::function<ScriptedUpstream::Reply(const Sent&)>;

bool asks_for(const Sent& sent, std::string_view text) {
  return name(sent.ask.name).is_under(name(text));
}

/// Answers with `text`, names below "dead" never.
Script healthy_but_for_dead(std::string_view text) {
  return [text](const Sent& sent) -> ScriptedUpstream::Reply {
    if (asks_for(sent, "dead")) return std::nullopt;
    return reply_to(sent, {.answer = {address(sent.ask.name, text)}});
  };
}

std::size_t failures(Forwarding& f) {
  return f.bed.world.host("here").log().count("upstream_failed");
}

}  // namespace

TEST_CASE("an answer that comes late is an answer, as long as the client waits") {
  for (const std::size_t servers : {1U, 2U}) {
    for (const Duration delay : {1'600ms, 2'000ms, 3'000ms, 4'400ms}) {
      CAPTURE(delay.count());
      Forwarding f;
      f.resolver.set_upstreams(servers == 1 ? std::vector{kFirst} : std::vector{kFirst, kSecond});
      f.upstream.delay = delay;
      const TimePoint begin = f.bed.world.now();
      const Answer answer = f.ask({"www.example.com"});
      CHECK(answer.answer == Texts{"www.example.com. 60 IN A 198.51.100.7"});
      CHECK(f.bed.world.now() - begin < delay + 20ms);
      CHECK(f.resolver.counters().sent <= kAttemptsMax);
      // What comes for the other messages of the lookup is not waited for.
      CHECK(f.upstream.open == 0);
      CHECK(f.ask({"www.example.com"}).outcome() == "NOERROR");
      CHECK(f.resolver.counters().hits == 1);
      CHECK(failures(f) == 0);
    }
  }
}

TEST_CASE("each message has its own id and case, and any of them may be answered") {
  Forwarding f;
  f.resolver.set_upstreams({kFirst});
  const std::string owner = "a.name.of.many.letters.example.com";
  f.upstream.script = [&](const Sent& sent) -> ScriptedUpstream::Reply {
    if (f.upstream.sent.size() != 2) return std::nullopt;
    f.upstream.delay = 2s;  // while the third is under way
    return reply_to(sent, {.answer = {address(sent.ask.name, "198.51.100.7")}});
  };
  CHECK(f.ask({owner}).answer.size() == 1);
  REQUIRE(f.upstream.sent.size() == 3);
  CHECK(f.upstream.sent[0].id != f.upstream.sent[1].id);
  CHECK(f.upstream.sent[0].ask.name != f.upstream.sent[1].ask.name);
  CHECK(f.resolver.counters().bad_answers == 0);
}

TEST_CASE("a late answer beats a SERVFAIL of another server") {
  Forwarding f;
  f.upstream.script = [&](const Sent& sent) -> ScriptedUpstream::Reply {
    f.upstream.delay = sent.server == kFirst ? 2s : 10ms;
    if (sent.server == kSecond) return reply_to(sent, {.rcode = Rcode::servfail});
    return reply_to(sent, {.answer = {address(sent.ask.name, "198.51.100.7")}});
  };
  CHECK(f.ask({"www.example.com"}).answer.size() == 1);
  // But it is not waited for as long as for the first answer of all.
  f.upstream.script = [](const Sent& sent) -> ScriptedUpstream::Reply {
    if (sent.server == kSecond) return reply_to(sent, {.rcode = Rcode::servfail});
    return std::nullopt;
  };
  const TimePoint begin = f.bed.world.now();
  CHECK(f.ask({"ww2.example.com"}).rcode == Rcode::servfail);
  CHECK(f.bed.world.now() - begin <= 2 * kAttemptTimeout + 10ms);
}

TEST_CASE("a name that no host answers says nothing about its server, nor about other names") {
  Forwarding f;
  f.resolver.set_upstreams({kFirst});
  f.upstream.script = healthy_but_for_dead("198.51.100.7");
  f.ask({"one.example.com"});
  f.ask({"two.example.com"});
  f.bed.world.advance(100s);
  // An expired name is refreshed, both while the other is asked for and afterwards.
  f.upstream.script = healthy_but_for_dead("198.51.100.8");
  f.bed.send(Ask{"www.dead"}.wire());
  f.bed.world.advance(2s);
  CHECK(f.bed.take_replies().empty());
  CHECK(f.ask({"one.example.com"}).answer == Texts{"one.example.com. 60 IN A 198.51.100.8"});
  f.bed.world.advance(3s);
  CHECK(f.bed.take_replies().size() == 1);
  CHECK(f.ask({"two.example.com"}).answer == Texts{"two.example.com. 60 IN A 198.51.100.8"});
  CHECK(f.resolver.counters().stale == 0);
  CHECK(failures(f) == 0);
}

TEST_CASE("of two servers the first stays the first after a name that neither answers") {
  Forwarding f;
  f.upstream.script = healthy_but_for_dead("198.51.100.7");
  CHECK(f.ask({"www.dead"}).rcode == Rcode::servfail);
  f.upstream.sent.clear();
  f.ask({"www.example.com"});
  REQUIRE(f.upstream.sent.size() == 1);
  CHECK(f.upstream.sent[0].server == kFirst);
  CHECK(failures(f) == 0);
}

TEST_CASE("two names without an answer, and none between, are the server's failure") {
  Forwarding f;
  f.resolver.set_upstreams({kFirst});
  f.upstream.script = healthy_but_for_dead("198.51.100.7");
  f.ask({"one.dead"});
  f.ask({"one.dead", RrType::aaaa});
  CHECK(failures(f) == 0);
  f.ask({"www.example.com"});
  f.ask({"two.dead"});
  CHECK(failures(f) == 0);
  f.ask({"three.dead"});
  CHECK(failures(f) == 1);
  f.ask({"ww2.example.com"});
  CHECK(f.bed.world.host("here").log().count("upstream_recovered") == 1);
}

TEST_CASE("an old answer is given only after this name could not be refreshed") {
  Forwarding f;
  f.resolver.set_upstreams({kFirst});
  f.ask({"www.example.com"});
  f.bed.world.advance(100s);
  f.upstream.script = nullptr;
  f.bed.send(Ask{"www.example.com"}.wire());
  f.bed.world.advance(kStaleAfter - 10ms);
  CHECK(f.bed.take_replies().empty());
  f.bed.world.advance(20ms);
  CHECK(f.bed.take_replies().size() == 1);
  // The lookup goes on; who asks meanwhile does not wait again.
  CHECK(f.bed.ask({"www.example.com"}).answer.size() == 1);
  CHECK(f.resolver.lookups() == 1);
  f.bed.world.advance(kLookupMax);
  CHECK(f.resolver.lookups() == 0);
  // Neither do clients for a while after it has failed, and then it is tried again.
  const std::size_t before = f.upstream.sent.size();
  CHECK(f.bed.ask({"www.example.com"}).answer.size() == 1);
  CHECK(f.upstream.sent.size() == before);
  f.bed.world.advance(kStaleRecheck);
  f.answer_with({.answer = {address("www.example.com", "198.51.100.8")}});
  CHECK(f.bed.world.now().time_since_epoch() > 0s);
  CHECK(f.ask({"www.example.com"}).answer == Texts{"www.example.com. 60 IN A 198.51.100.8"});
}

TEST_CASE("messages that are waited for are bounded, and each lookup has one") {
  Forwarding f;
  f.upstream.script = nullptr;
  for (std::size_t i = 0; i < kLookupsMax; ++i) {
    f.bed.send(Ask{"n" + std::to_string(i) + ".example.com"}.wire());
    if (i % 50 == 0) f.bed.world.advance(100us);
  }
  f.bed.world.advance(4s);
  CHECK(f.resolver.lookups() == kLookupsMax);
  CHECK(f.resolver.counters().sent == kAttemptsMax * kLookupsMax);
  CHECK(f.upstream.open == kOpenMessagesMax);
  CHECK(f.upstream.open_most <= kOpenMessagesMax + 1);
  f.bed.world.advance(1s);
  CHECK(f.bed.take_replies().size() == kLookupsMax);
  CHECK(f.upstream.open == 0);
}

TEST_CASE("a truncated answer that TCP does not complete is passed on with TC") {
  Forwarding f;
  f.answer_with({.answer = {address("www.example.com", "198.51.100.7")}, .truncated = true});
  for (int i = 0; i < 2; ++i) {
    const Answer answer = f.ask({"www.example.com"});
    CHECK(answer.flags.truncated);
    CHECK(answer.rcode == Rcode::noerror);
    CHECK(answer.answer.size() == 1);
  }
  CHECK(f.upstream.sent.size() == 2);  // each time: it is not the whole answer
  CHECK(f.resolver.cached() == 0);
  CHECK(failures(f) == 0);
}
