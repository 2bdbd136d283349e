// SPDX-License-Identifier: Apache-2.0
#include "mdns/native/questions.h"

#include <algorithm>

#include "mdns/native/limits.h"

namespace outrider::mdns {

using dns::RrType;

void Questions::schedule(const Key& key, Question& question, TimePoint due) {
  if (std::exchange(question.scheduled, true)) schedule_.erase({question.due, &key});
  question.due = due;
  schedule_.insert({due, &key});
}

void Questions::start(TimePoint now, const dns::Name& name, RrType type, unsigned tries) {
  const auto [at, fresh] = questions_.try_emplace({name, type});
  if (!fresh) return;
  Question& question = at->second;
  question.interval = kQuestionIntervalFirst;
  question.tries_left = tries;
  // §5.2: after a random delay, since one event may start many hosts; but together with what this
  // host is about to ask anyway.
  const TimePoint latest = now + kSharedDelayMax;
  TimePoint due = now + random_.between(kSharedDelayMin, kSharedDelayMax);
  if (!schedule_.empty() && schedule_.begin()->first >= now && schedule_.begin()->first <= latest)
    due = schedule_.begin()->first;
  schedule(at->first, question, due);
}

bool Questions::hurry(TimePoint now, const dns::Name& name, RrType type) {
  const auto known = questions_.find({name, type});
  if (known == questions_.end()) return false;
  schedule_soon(now, known->first, known->second);
  return true;
}

/// Now, or when the question may be asked again. §5.2: a peer that provokes questions gets one a
/// second.
void Questions::schedule_soon(TimePoint now, const Key& key, Question& question) {
  TimePoint due = std::max(now, question.asked + kQuestionIntervalFirst);
  if (question.scheduled) due = std::min(due, question.due);
  schedule(key, question, due);
}

void Questions::repeat(TimePoint now, const dns::Name& name, RrType type) {
  const Key key{name, type};
  const auto known = questions_.find(key);
  const bool for_ever = known != questions_.end() && known->second.tries_left == kAskForEver;
  const auto at = questions_.try_emplace(key).first;
  at->second.interval = kQuestionIntervalFirst;
  at->second.tries_left = for_ever ? kAskForEver : kReconfirmTries;
  schedule_soon(now, at->first, at->second);
}

void Questions::search(TimePoint now, const dns::Name& name, RrType type, TimePoint until) {
  const auto known = questions_.find({name, type});
  if (known == questions_.end() || known->second.tries_left != kAskForEver) return;
  known->second.searched_until = until;
  known->second.interval = kQuestionIntervalFirst;
  schedule_soon(now, known->first, known->second);
}

void Questions::restart(TimePoint now) {
  const TimePoint due = now + random_.between(kSharedDelayMin, kSharedDelayMax);
  for (auto& [key, question] : questions_) {
    if (question.tries_left == kAskForEver) question.interval = kQuestionIntervalFirst;
    schedule(key, question, due);
  }
}

// --- Questions that end -------------------------------------------------------------------------

void Questions::forget(const dns::Name& name, RrType type) {
  const auto found = questions_.find({name, type});
  if (found == questions_.end()) return;
  if (found->second.scheduled) schedule_.erase({found->second.due, &found->first});
  questions_.erase(found);
}

void Questions::forget_addresses(const dns::Name& host) {
  for (const RrType type : {RrType::a, RrType::aaaa})
    forget(host, type);
}

void Questions::forget_if_answered(TimePoint now, const dns::Name& name, RrType type) {
  const auto known = questions_.find({name, type});
  if (known == questions_.end() || known->second.tries_left == kAskForEver) return;
  for (const CachedRecord* record : cache_.find(name, type)) {
    // A record from another link, or from a set split over several datagrams, may still be due.
    if (record->expires - now <= std::chrono::seconds(record->ttl) / 2) return;
  }
  forget(name, type);
}

void Questions::forget_denied(const dns::Record& nsec) {
  const auto* data = std::get_if<dns::NsecData>(&nsec.data);
  if (data == nullptr || nsec.ttl == 0) return;
  for (const RrType type : {RrType::a, RrType::aaaa}) {
    if (std::find(data->types.begin(), data->types.end(), type) != data->types.end()) continue;
    const auto known = questions_.find({nsec.name, type});
    if (known != questions_.end() && known->second.tries_left != kAskForEver)
      forget(nsec.name, type);
  }
}

// --- Asking -------------------------------------------------------------------------------------

/// §7.3: counts as asked by us if we were about to ask, and if the other host knows no answer that
/// we do not know.
void Questions::on_heard(TimePoint now, const Link& link, IpAddress::Family family,
                         const dns::Question& question, const KnownRdata& known) {
  const auto ours = questions_.find({question.name, question.type});
  if (ours == questions_.end() || !ours->second.scheduled ||
      ours->second.due > now + kQuestionIntervalFirst)
    return;
  std::size_t shared = 0;
  for (const CachedRecord* record : cache_.find(question.name, question.type))
    if (record->link == link.index && !record->leaving && known.contains(record->rdata)) ++shared;
  if (shared < known.size()) return;
  auto& heard = ours->second.heard;
  const ChannelId channel = channel_id(link, family);
  std::erase_if(heard, [&](const auto& h) { return h.first == channel; });
  heard.emplace_back(channel, now);
}

bool Questions::was_heard(TimePoint now, const Key& key, ChannelId channel) const {
  const auto question = questions_.find(key);
  if (question == questions_.end()) return false;
  const auto& heard = question->second.heard;
  return std::any_of(heard.begin(), heard.end(), [&](const auto& h) {
    return h.first == channel && now - h.second < kQuestionIntervalFirst;
  });
}

std::vector<Questions::Key> Questions::take_due(TimePoint now) {
  std::vector<Key> due, later;
  while (!schedule_.empty() && schedule_.begin()->first <= now) {
    const Key& key = *schedule_.begin()->second;
    schedule_.erase(schedule_.begin());
    Question& question = questions_.find(key)->second;
    question.scheduled = false;
    // Questions that browse or refresh come first, for when there is not room for all.
    (question.tries_left <= 1 ? due : later).push_back(key);
    if (question.tries_left == 1) {
      questions_.erase(Key(key));
      continue;
    }
    if (question.tries_left > 1) --question.tries_left;
    question.asked = now;
    schedule(key, question, now + question.interval);
    const Duration most = now < question.searched_until ? kLostInterval : kQuestionIntervalMax;
    question.interval = std::min(question.interval * 2, most);
  }
  due.insert(due.end(), later.begin(), later.end());
  return due;
}

void Questions::run(TimePoint now, Outlet& outlet) {
  const std::vector<Key> due = take_due(now);
  pacer_.run(now, links_, outlet);
  if (!due.empty()) send(now, due, outlet);
}

void Questions::send(TimePoint now, const std::vector<Key>& keys, Outlet& outlet) {
  for (const Link& link : links_.all) {
    for (const auto family : {IpAddress::Family::v4, IpAddress::Family::v6}) {
      if (!link.has(family)) continue;
      std::vector<AskedQuestion> asked;
      for (const Key& key : keys)
        if (!was_heard(now, key, channel_id(link, family)))
          asked.push_back({{key.name, key.type}, known_answers(now, link, key)});
      Emit emit = [&](Bytes payload) { pacer_.send(now, link, family, payload, outlet); };
      pack_questions(asked, link.payload(family), pacer_.room(link, family), emit);
    }
  }
  for (const Key& key : keys)
    if (const auto question = questions_.find(key); question != questions_.end())
      question->second.heard.clear();
  has_asked_ = true;
}

std::vector<dns::Record> Questions::known_answers(TimePoint now, const Link& link,
                                                  const Key& key) const {
  std::vector<dns::Record> known;
  // §7.1 is for shared records; unique ones are asked for because they are about to expire.
  if (key.type != RrType::ptr) return known;
  for (const CachedRecord* record : cache_.find(key.name, key.type)) {
    if (record->link != link.index || record->leaving) continue;
    if (record->expires - now > std::chrono::seconds(record->ttl) / 2)
      known.push_back(Cache::to_record(*record, now));
  }
  return known;
}

std::optional<TimePoint> Questions::next_due() const {
  std::optional<TimePoint> due = pacer_.next_due();
  if (!schedule_.empty() && (!due || schedule_.begin()->first < *due))
    due = schedule_.begin()->first;
  return due;
}

}  // namespace outrider::mdns
