// SPDX-License-Identifier: Apache-2.0
// A stub server and a resolver on the simulated machine, an upstream by script.
#pragma once

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "dns/resolver.h"
#include "tests/dns/bed.h"

namespace outrider::test {

using Texts = std::vector<std::string>;
using Message = std::vector<std::uint8_t>;

/// Keeps what was sent; answers as `script` says: a message, an error, or nothing within time.
class ScriptedUpstream final : public dns::Upstream {
 public:
  struct Sent {
    Endpoint server;
    Message message;
    Ask ask;
    std::uint16_t id;
    dns::Flags flags;
  };
  using Reply = std::optional<Result<Message, dns::UpstreamError>>;

  explicit ScriptedUpstream(Env& env) : env_(env) {}

  std::unique_ptr<Pending> send(const Endpoint& server, Bytes message, Duration timeout,
                                Answer answer) override {
    const auto view = dns::MessageView::parse(message);
    REQUIRE(view.has_value());
    REQUIRE(view->edns().has_value());
    const dns::Question& question = view->question();
    sent.push_back({server,
                    {message.begin(), message.end()},
                    {question.name.to_string(), question.type},
                    view->header().id,
                    view->header().flags});
    auto token = std::make_unique<Token>();
    const Reply reply = script ? script(sent.back()) : Reply();
    const bool in_time = reply && delay < timeout;
    const Duration after = in_time ? delay : timeout;
    const Result<Message, dns::UpstreamError> result =
        in_time ? *reply : failure(dns::UpstreamError::timed_out);
    open_most = std::max(open_most, ++open);
    token->open = &open;
    token->timer = env_.after(after, [result, answer = std::move(answer)]() mutable {
      if (result)
        answer(Bytes(*result));
      else
        answer(failure(result.error()));
    });
    return token;
  }

  std::vector<Sent> sent;
  std::function<Reply(const Sent&)> script;
  Duration delay = 10ms;  // of each reply; a script may set it for the one that it returns
  std::size_t open = 0, open_most = 0;

 private:
  struct Token final : Pending {
    ~Token() override { --*open; }
    std::size_t* open = nullptr;
    Timer timer;
  };
  Env& env_;
};

inline dns::Record make(std::string_view owner, dns::RrType type, dns::Rdata data, dns::Ttl ttl) {
  dns::Record record;
  record.name = name(owner);
  record.type = type;
  record.ttl = ttl;
  record.data = std::move(data);
  return record;
}
inline dns::Record address(std::string_view owner, std::string_view text, dns::Ttl ttl = 60) {
  const dns::ZoneRecord zone_record = a(text);
  return make(owner, zone_record.type, zone_record.data, ttl);
}
inline dns::Record soa(std::string_view owner, dns::Ttl ttl, dns::Ttl minimum) {
  return make(owner, dns::RrType::soa,
              dns::SoaData{name("ns.test"), name("h.test"), 1, 2, 3, 4, minimum}, ttl);
}

struct Build {
  std::vector<dns::Record> answer = {}, authority = {}, additional = {};
  dns::Rcode rcode = dns::Rcode::noerror;
  bool authentic = false;
  bool truncated = false;
  std::vector<std::uint8_t> options = {};
};
inline Message reply_to(const ScriptedUpstream::Sent& sent, const Build& build) {
  Message buffer(65'535);
  dns::MessageBuilder builder(buffer);
  builder.set_id(sent.id);
  builder.set_flags({.response = true,
                     .truncated = build.truncated,
                     .recursion_desired = true,
                     .recursion_available = true,
                     .authentic_data = build.authentic,
                     .rcode = static_cast<std::uint8_t>(build.rcode)});
  REQUIRE(builder.add_question({name(sent.ask.name), sent.ask.type}));
  for (const dns::Record& record : build.answer)
    REQUIRE(builder.add(dns::Section::answer, record));
  for (const dns::Record& record : build.authority)
    REQUIRE(builder.add(dns::Section::authority, record));
  for (const dns::Record& record : build.additional)
    REQUIRE(builder.add(dns::Section::additional, record));
  REQUIRE(builder.add_opt({.udp_size = 4'096,
                           .extended_rcode = dns::upper_bits(build.rcode),
                           .options = build.options}));
  const Bytes message = builder.finish();
  return {message.begin(), message.end()};
}

inline const Endpoint kFirst = *Endpoint::parse("192.0.2.1:53");
inline const Endpoint kSecond = *Endpoint::parse("192.0.2.2:53");

struct Forwarding {
  Bed bed;
  ScriptedUpstream upstream{bed.world.env()};
  dns::Resolver resolver;

  explicit Forwarding(dns::ForwardOptions options = {})
      : resolver(bed.world.env(), upstream, std::move(options)) {
    resolver.set_upstreams({kFirst, kSecond});
    bed.server.set_forwarder(&resolver);
    answer_with({.answer = {address("www.example.com", "198.51.100.7")}});
  }
  ~Forwarding() {
    bed.world.advance(10s);
    CHECK(resolver.lookups() == 0);
    bed.server.set_forwarder(nullptr);
  }
  void answer_with(const Build& build) {
    upstream.script = [build](const ScriptedUpstream::Sent& sent) { return reply_to(sent, build); };
  }
  /// Asks and waits as long as a client would.
  Answer ask(const Ask& question, Duration most = 5s) {
    bed.send(question.wire());
    std::vector<Message> got;
    bed.world.run_until(
        [&] {
          for (auto& reply : bed.take_replies())
            got.push_back(std::move(reply));
          return !got.empty();
        },
        most);
    REQUIRE(got.size() == 1);
    return Answer::read(got[0]);
  }
};

}  // namespace outrider::test
