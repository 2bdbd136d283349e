// SPDX-License-Identifier: Apache-2.0
// What we ask, and when: back-off (RFC 6762 §5.2), known answers (§7.1) and the suppression of
// questions that another host has just asked (§7.3). The callers decide why.
#pragma once

#include <set>
#include <string>
#include <unordered_map>

#include "mdns/native/cache.h"
#include "mdns/native/outlet.h"
#include "mdns/native/pacer.h"
#include "mdns/native/packer.h"

namespace outrider::mdns {

/// Tries of a question that is repeated until it is forgotten.
inline constexpr unsigned kAskForEver = 0;

using KnownRdata = std::set<std::string, std::less<>>;

class Questions {
 public:
  Questions(const Links& links, Random& random, const Cache& cache)
      : links_(links), random_(random), cache_(cache), questions_(0, KeyHash{cache.name_hash()}) {}

  /// Asks `tries` times, each interval twice as long as the one before. A question that is being
  /// asked already stays as it is.
  void start(TimePoint now, const dns::Name& name, dns::RrType type, unsigned tries);
  /// Asks a question that is being asked out of turn. False if it is not being asked.
  bool hurry(TimePoint now, const dns::Name& name, dns::RrType type);
  /// Asks from the beginning, at once: for ever if it is asked for ever, else kReconfirmTries
  /// times. As with hurry(), a second passes between two questions (§5.2), whatever the reason.
  void repeat(TimePoint now, const dns::Name& name, dns::RrType type);
  /// The same for a question that is asked for ever, with intervals of at most kLostInterval until
  /// `until`.
  void search(TimePoint now, const dns::Name& name, dns::RrType type, TimePoint until);
  bool is_asking(const dns::Name& name, dns::RrType type) const {
    return questions_.contains({name, type});
  }
  /// Asks everything from the beginning, as after the start.
  void restart(TimePoint now);

  void forget(const dns::Name& name, dns::RrType type);
  void forget_addresses(const dns::Name& host);
  /// The cache has a new answer. A question with a limited number of tries is over if all of its
  /// answers are fresh, even if another host asked for them: else all hosts ask what one has asked.
  void forget_if_answered(TimePoint now, const dns::Name& name, dns::RrType type);
  /// §6.1: the record says which types its owner does not have; no answer will come for these.
  void forget_denied(const dns::Record& nsec);

  /// Another host asks this question, with these known answers.
  void on_heard(TimePoint now, const Link& link, IpAddress::Family family,
                const dns::Question& question, const KnownRdata& known);

  void run(TimePoint now, Outlet& outlet);
  std::optional<TimePoint> next_due() const;
  /// True once the first questions have been sent.
  bool has_asked() const { return has_asked_; }

 private:
  struct Key {
    dns::Name name;
    dns::RrType type;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    dns::NameHash name;
    std::size_t operator()(const Key& key) const {
      return name(key.name) * 31 + static_cast<std::size_t>(key.type);
    }
  };
  struct Question {
    TimePoint due{};
    Duration interval{};
    TimePoint asked = TimePoint::min();  // last
    TimePoint searched_until{};          // see search()
    unsigned tries_left = kAskForEver;
    bool scheduled = false;
    std::vector<std::pair<ChannelId, TimePoint>> heard;  // §7.3: from other hosts, and when
  };

  void schedule(const Key& key, Question& question, TimePoint due);
  void schedule_soon(TimePoint now, const Key& key, Question& question);
  std::vector<Key> take_due(TimePoint now);
  void send(TimePoint now, const std::vector<Key>& keys, Outlet& outlet);
  bool was_heard(TimePoint now, const Key& key, ChannelId channel) const;
  std::vector<dns::Record> known_answers(TimePoint now, const Link& link, const Key& key) const;

  const Links& links_;
  Random& random_;
  const Cache& cache_;
  std::unordered_map<Key, Question, KeyHash> questions_;
  std::set<std::pair<TimePoint, const Key*>> schedule_;
  Pacer pacer_;
  bool has_asked_ = false;
};

}  // namespace outrider::mdns
