// SPDX-License-Identifier: Apache-2.0
// The servers that queries are forwarded to, with the health of each, and which one to ask next. A
// server that failed is asked last for a while, longer with each failure in a row. Silence about
// one name is no failure: behind a healthy server that name's own servers may be slow.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/env.h"
#include "dns/limits.h"
#include "dns/wire/name.h"

namespace outrider::dns {

/// Whether a query to `server` reaches this agent, which listens on `own`.
bool is_own(Network& network, const std::vector<Endpoint>& own, const Endpoint& server);

class UpstreamServers {
 public:
  explicit UpstreamServers(Env& env) : env_(env) {}

  enum class Order : std::uint8_t { fixed, rotating };
  /// At most kUpstreamsMax are used. Servers that stay in the list keep their health.
  void set(std::vector<Endpoint> servers, Order order);
  const std::vector<Endpoint>& list() const { return servers_; }

  /// At which server a new lookup begins.
  std::size_t next_start() { return order_ == Order::rotating ? turn_++ : 0; }
  /// The server for the next message of a lookup that began at `start` and has tried `tried`: the
  /// first that was tried least and does not fail, else the one whose pause ends first. The list is
  /// not empty.
  Endpoint choose(std::size_t start, std::span<const Endpoint> tried) const;
  bool has_untried(std::span<const Endpoint> tried) const;

  /// It refuses, or cannot be reached.
  void note_failure(const Endpoint& server, const std::string& why);
  /// No answer in time to a message about `name`, sent at `sent`. Two different names that it left
  /// unanswered, and no answer between, are a failure.
  void note_silence(const Endpoint& server, const Name& name, TimePoint sent,
                    const std::string& why);
  /// Another server has answered what this one was asked at `sent` and left unanswered: a failure,
  /// unless it has answered anything since.
  void note_outrun(const Endpoint& server, TimePoint sent, const std::string& why);
  void note_answer(const Endpoint& server);

  /// Whether its answers do not repeat the case of the question.
  bool folds_case(const Endpoint& server) const;
  void note_folds_case(const Endpoint& server);

 private:
  struct Health {
    unsigned failures = 0;
    TimePoint ask_last_until{};
    std::optional<TimePoint> last_answer;
    std::optional<Name> silent_about;  // since the last answer
    bool folds_case = false;
  };

  bool answered_since(const Health& health, TimePoint sent) const;

  Env& env_;
  std::vector<Endpoint> servers_;
  Order order_ = Order::fixed;
  std::size_t turn_ = 0;
  std::map<Endpoint, Health> health_;
};

}  // namespace outrider::dns
