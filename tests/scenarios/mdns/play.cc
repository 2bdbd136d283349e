// SPDX-License-Identifier: Apache-2.0
#include "tests/scenarios/mdns/play.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <stdexcept>

#include "mdns/limits.h"
#include "mdns/native/limits.h"
#include "tests/scenarios/mdns/expectation.h"

namespace outrider::mdns {
namespace {

/// SETTLE: nothing was announced for so long; at most so long.
constexpr Duration kQuiet = 2'200ms;
constexpr Duration kSettleMax = 15s;
constexpr std::size_t kShownMax = 6;

/// For people: no finer than that.
std::string brief(Duration duration) {
  return format_duration(
      std::chrono::floor<std::chrono::duration<std::int64_t, std::ratio<1, 100'000>>>(duration));
}

Words split(const std::string& text) {
  std::istringstream in(text);
  Words out;
  for (std::string word; in >> word;)
    out.push_back(word);
  return out;
}

class Play {
 public:
  explicit Play(Bed& bed) : bed_(bed), tester_(bed.env()) { mark(); }

  /// Steps first to last (not included); empty, or the complaint.
  std::string run(const std::vector<test::Step>& steps, std::size_t first, std::size_t last);
  std::string finish() const;

 private:
  TimePoint now() const { return bed_.env().now(); }
  std::string step(const std::string& text);
  std::string send(const Words& words);
  std::string expect(const Words& words);
  std::string every(const Words& words);
  std::string advance(const Words& words);
  std::string settle();
  std::string deny(const Words& words);
  std::string spread(const Words& words);
  std::string legal(const Words& words) const;
  std::string device(const Words& words);

  void mark();
  std::string shown() const;
  std::string judge(const Expectation& wanted, const std::vector<const Message*>& found) const;
  std::vector<const Message*> find(const Expectation& wanted);

  Bed& bed_;
  Tester tester_;
  Names names_;
  TimePoint mark_{};           // EXPECT counts from here …
  std::size_t first_ = 0;      // … in what was heard since
  bool pinned_ = false;        // … whatever comes
  bool marked_by_it_ = false;  // by a message of the device, which may have been noticed late
  std::optional<std::size_t> last_found_;
  std::vector<Duration> delays_;
};

// --- Steps --------------------------------------------------------------------------------------

std::string Play::run(const std::vector<test::Step>& steps, std::size_t first, std::size_t last) {
  for (std::size_t i = first; i < last; ++i) {
    const Words words = split(steps[i].text);
    if (words[0] != "REPEAT") {
      const std::string wrong = step(steps[i].text);
      if (wrong.starts_with(kCannot)) return wrong;
      if (!wrong.empty()) return test::complaint(steps[i], wrong);
      continue;
    }
    const auto end = std::find_if(steps.begin() + static_cast<std::ptrdiff_t>(i), steps.end(),
                                  [](const test::Step& s) { return s.text == "END"; });
    if (end == steps.end() || words.size() != 2) return test::complaint(steps[i], "no END");
    const auto after = static_cast<std::size_t>(end - steps.begin());
    for (int round = 1; round <= std::stoi(words[1]); ++round) {
      std::vector<test::Step> body(steps.begin() + static_cast<std::ptrdiff_t>(i) + 1, end);
      for (test::Step& each : body)
        for (std::size_t at; (at = each.text.find("$N")) != std::string::npos;)
          each.text.replace(at, 2, std::to_string(round));
      if (std::string wrong = run(body, 0, body.size()); !wrong.empty()) return wrong;
    }
    i = after;
  }
  return {};
}

std::string Play::step(const std::string& text) {
  const Words words = split(text);
  const std::string& verb = words[0];
  if (verb == "SEND") return send(words);
  if (verb == "EXPECT") return expect(words);
  if (verb == "EVERY") return every(words);
  if (verb == "ADVANCE") return advance(words);
  if (verb == "SETTLE") return settle();
  if (verb == "DENY") return deny(words);
  if (verb == "SPREAD") return spread(words);
  if (verb == "LEGAL") return legal(words);
  if (verb == "PIN") {
    pinned_ = false;
    mark();
    pinned_ = true;
    return {};
  }
  if (verb != "THEN") return device(words);
  if (!last_found_) return "nothing was found before";
  mark_ = tester_.heard()[*last_found_].at;
  first_ = *last_found_ + 1;
  marked_by_it_ = true;
  return {};
}

std::string Play::device(const Words& words) {
  mark();
  Words told = words;
  for (std::string& word : told)
    if (const auto known = names_.find(word); known != names_.end())
      word = known->second.to_display();
  return bed_.device(told);
}

std::string Play::finish() const {
  return tester_.damaged() == 0 ? "" : "the device has sent datagrams that are no DNS messages";
}

void Play::mark() {
  bed_.run_until([] { return false; }, now());  // what has come already has come before
  if (pinned_) return;
  mark_ = now();
  first_ = tester_.heard().size();
  marked_by_it_ = false;
}

std::string Play::advance(const Words& words) {
  const auto duration = parse_duration(words.size() == 2 ? words[1] : "");
  if (!duration) return "no duration";
  bed_.run_until([] { return false; }, now() + *duration);
  mark();
  return {};
}

std::string Play::send(const Words& words) {
  Sent sent;
  IpAddress from = Prefix::parse(kTesterAddresses[0])->address;
  Endpoint to{kGroupV4, kMdnsPort};
  std::uint16_t port = kMdnsPort;
  std::size_t at = 1;
  for (; at + 1 < words.size(); ++at) {
    const std::string& word = words[at];
    const std::string& next = words[at + 1];
    if (word == "response") {
      sent.flags.response = sent.flags.authoritative = true;
    } else if (word == "tc") {
      sent.flags.truncated = true;
    } else if (word == "from" || word == "to") {
      const auto address = IpAddress::parse(next);
      if (!address) return "no address: " + next;
      (word == "from" ? from : to.address) = *address;
      ++at;
    } else if (word == "port" || word == "id") {
      (word == "port" ? port : sent.id) = static_cast<std::uint16_t>(std::stoul(next));
      ++at;
    } else if (word != "query" && word != "probe") {
      break;
    }
  }
  std::vector<Item> items;
  if (std::string wrong = parse_items(words, at, items); !wrong.empty()) return wrong;
  for (const Item& item : items)
    if (std::string wrong = build(item, names_, tester_.heard(), sent); !wrong.empty())
      return wrong;
  mark();
  tester_.send(sent, from, port, to);
  return {};
}

// --- What comes back ----------------------------------------------------------------------------

std::vector<const Message*> Play::find(const Expectation& wanted) {
  std::vector<const Message*> found;
  const TimePoint end = mark_ + wanted.until + (wanted.whole_window ? Duration{} : bed_.slack());
  for (std::size_t i = first_; i < tester_.heard().size(); ++i) {
    const Message& message = tester_.heard()[i];
    if (message.at > end) break;
    if (!wanted.concerns(message)) continue;
    // Only what is found once for all gives names their meaning.
    Names tried = names_;
    if (!wanted.holds(message, tried)) continue;
    if (!wanted.whole_window) names_ = std::move(tried);
    found.push_back(&message);
    last_found_ = i;
    if (!wanted.whole_window) break;
  }
  return found;
}

std::string Play::expect(const Words& words) {
  Expectation wanted;
  if (std::string wrong = parse_expectation(words, wanted); !wrong.empty()) return wrong;
  if (wanted.until == Duration{}) return "within what time?";
  const TimePoint end = mark_ + wanted.until + (wanted.whole_window ? Duration{} : bed_.slack());
  std::vector<const Message*> found;
  const auto done = [&] {
    if (wanted.whole_window) return false;
    found = find(wanted);
    return !found.empty();
  };
  if (!done()) bed_.run_until(done, end);
  found = find(wanted);
  const std::string wrong = judge(wanted, found);
  if (!wrong.empty()) return wrong + shown();
  // The names of the last one of several are those that are meant.
  if (wanted.whole_window && !found.empty()) (void)wanted.holds(*found.back(), names_);
  if (!found.empty()) delays_.push_back(found.front()->at - mark_);
  return {};
}

std::string Play::judge(const Expectation& wanted, const std::vector<const Message*>& found) const {
  const Duration early = marked_by_it_ ? bed_.slack() : Duration{};
  if (!found.empty() && found.front()->at - mark_ < wanted.from - early)
    return "came after " + brief(found.front()->at - mark_);
  if (wanted.at_least_one && found.empty()) return "did not come";
  if (!wanted.at_least_one && (found.size() < wanted.least || found.size() > wanted.most))
    return "came " + std::to_string(found.size()) + " times";
  if (!wanted.apart) return {};
  for (std::size_t i = 1; i < found.size(); ++i) {
    const Duration gap = found[i]->at - found[i - 1]->at;
    if (gap < wanted.apart->first - bed_.slack() || gap > wanted.apart->second + bed_.slack())
      return "came " + brief(gap) + " after the one before";
  }
  return {};
}

std::string Play::every(const Words& words) {
  Expectation wanted;
  if (std::string wrong = parse_expectation(words, wanted); !wrong.empty()) return wrong;
  std::size_t count = 0;
  for (std::size_t i = first_; i < tester_.heard().size(); ++i) {
    const Message& message = tester_.heard()[i];
    if (!wanted.concerns(message)) continue;
    ++count;
    Names names = names_;
    if (!wanted.holds(message, names)) return "does not hold of:\n      " + to_string(message);
  }
  return count == 0 ? "there was none" : "";
}

std::string Play::shown() const {
  std::string out;
  std::size_t count = 0;
  for (std::size_t i = first_; i < tester_.heard().size() && count < kShownMax; ++i, ++count)
    out += "\n      " + brief(tester_.heard()[i].at - mark_) + ' ' + to_string(tester_.heard()[i]);
  const std::size_t more = tester_.heard().size() - first_ - count;
  if (more > 0) out += "\n      and " + std::to_string(more) + " more";
  return out.empty() ? "\n      (silence)" : out;
}

// --- Steps that take many messages --------------------------------------------------------------

std::string Play::settle() {
  std::size_t looked = first_;
  bool announced = false;
  TimePoint quiet_since = now();
  const auto look = [&] {
    for (; looked < tester_.heard().size(); ++looked) {
      const Message& message = tester_.heard()[looked];
      if (!message.response() && !is_probe(message)) continue;
      quiet_since = message.at;
      for (const dns::Record& record : message.answers) {
        const auto* srv = std::get_if<dns::SrvData>(&record.data);
        if (srv == nullptr || record.ttl == 0) continue;
        announced = true;
        names_["$HOST"] = srv->target;
      }
    }
    return false;
  };
  const TimePoint most = now() + kSettleMax;
  while (now() < most) {
    bed_.run_until(look, std::min(most, quiet_since + kQuiet));
    if (announced && now() >= quiet_since + kQuiet) {
      mark();
      return {};
    }
    if (!announced) quiet_since = now();
  }
  return (announced ? "it does not come to rest" : "nothing was announced") + shown();
}

/// DENY SUFFIX COUNT: whatever name below SUFFIX it probes for is another host's. RFC 6762
/// §8.1: after 15 conflicts within 10 s at most one attempt per 5 s.
std::string Play::deny(const Words& words) {
  if (words.size() != 3) return "DENY SUFFIX COUNT";
  const auto suffix = dns::Name::parse(words[1]);
  const auto count = static_cast<std::size_t>(std::stoul(words[2]));
  std::set<dns::Name> denied;
  std::vector<TimePoint> attempts;
  std::size_t looked = first_;
  const auto look = [&] {
    for (; looked < tester_.heard().size(); ++looked) {
      const Message message = tester_.heard()[looked];
      if (!is_probe(message) || !message.from.address.is_v4()) continue;
      for (const dns::Question& q : message.questions) {
        if (q.name.parent() != *suffix || !denied.insert(q.name).second) continue;
        attempts.push_back(message.at);
        Sent no;
        no.flags.response = no.flags.authoritative = true;
        no.answers = {srv(q.name.to_string(), "other.local.", 9999, 120)};
        tester_.send(no, Prefix::parse(kTesterAddresses[0])->address, kMdnsPort,
                     {kGroupV4, kMdnsPort});
      }
    }
    return attempts.size() >= count;
  };
  bed_.run_until(look, now() + std::chrono::seconds(6 * count));
  if (attempts.size() < count)
    return "it has tried " + std::to_string(attempts.size()) + " names" + shown();
  for (std::size_t i = kConflictsMax; i < attempts.size(); ++i) {
    if (attempts[i - 1] - attempts[i - kConflictsMax] > kConflictWindow) continue;
    const Duration pause = attempts[i] - attempts[i - 1];
    if (pause < kConflictPause - bed_.slack())
      return "attempt " + std::to_string(i + 1) + " came " + brief(pause) + " after the one before";
  }
  mark();
  return {};
}

/// SPREAD LOW HIGH: of the delays that EXPECT has measured since the last SPREAD, the least is
/// below LOW and the most above HIGH.
std::string Play::spread(const Words& words) {
  const auto low = parse_duration(words.size() == 3 ? words[1] : "");
  const auto high = parse_duration(words.size() == 3 ? words[2] : "");
  if (!low || !high || delays_.empty()) return "SPREAD LOW HIGH, after some EXPECT";
  const auto [least, most] = std::minmax_element(delays_.begin(), delays_.end());
  const std::string range = brief(*least) + ".." + brief(*most);
  const bool holds = *least<*low&& * most> * high;
  delays_.clear();
  return holds ? "" : "the delays are " + range;
}

/// LEGAL $NAME: its first label is a host name (RFC 952, RFC 1123 §2.1).
std::string Play::legal(const Words& words) const {
  const auto known = words.size() == 2 ? names_.find(words[1]) : names_.end();
  if (known == names_.end()) return "has not been heard of";
  const std::string label(known->second.label(0));
  const bool good = label.find_first_not_of(
                        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                        "0123456789-") == std::string::npos &&
                    label.front() != '-' && label.back() != '-';
  return good ? "" : "it is " + known->second.to_string();
}

}  // namespace

Verdict play(const std::string& file, Bed& bed) {
  using Kind = Verdict::Kind;
  std::vector<test::Step> steps;
  std::string wrong;
  if (!test::read_script(file, steps, wrong)) return {Kind::failed, wrong};
  if (steps.empty()) return {Kind::failed, file + ": says nothing"};
  const bool simulator_only = steps[0].text.starts_with("SIMULATOR ");
  if (simulator_only && !bed.simulated())
    return {Kind::not_here, steps[0].text.substr(std::string("SIMULATOR ").size())};
  try {
    Play one(bed);
    wrong = one.run(steps, simulator_only ? 1 : 0, steps.size());
    if (wrong.empty()) wrong = one.finish();
  } catch (const std::exception& error) {
    wrong = file + ": " + error.what();
  }
  if (wrong.starts_with(kCannot)) return {Kind::not_here, wrong};
  return wrong.empty() ? Verdict{} : Verdict{Kind::failed, wrong};
}

}  // namespace outrider::mdns
