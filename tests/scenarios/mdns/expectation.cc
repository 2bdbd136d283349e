// SPDX-License-Identifier: Apache-2.0
#include "tests/scenarios/mdns/expectation.h"

#include <algorithm>

#include "base/text.h"

namespace outrider::mdns {
namespace {

using Condition = std::function<bool(const Message&)>;

std::vector<dns::Record> records(const Message& message) {
  std::vector<dns::Record> all = message.answers;
  all.insert(all.end(), message.authorities.begin(), message.authorities.end());
  all.insert(all.end(), message.additionals.begin(), message.additionals.end());
  return all;
}

template <typename Predicate>
Condition every_record(Predicate predicate) {
  return [predicate](const Message& message) {
    const auto all = records(message);
    return std::all_of(all.begin(), all.end(), predicate);
  };
}

bool without_repeats(const Message& message) {
  std::vector<dns::Record> all = message.answers;
  all.insert(all.end(), message.additionals.begin(), message.additionals.end());
  for (std::size_t i = 0; i < all.size(); ++i)
    for (std::size_t j = i + 1; j < all.size(); ++j)
      if (all[i].same_as(all[j])) return false;
  return true;
}

/// Everything but what other hosts may say as well; an address has one host, as a rule.
bool flushes_if_unique(const dns::Record& record) {
  static const dns::Name reverse = name("arpa.");
  if (record.name.is_under(reverse)) return true;
  return record.cache_flush == (record.type != dns::RrType::ptr);
}

/// "answers=1", "bytes<=1472", …
std::optional<Condition> comparison(const std::string& word) {
  const std::size_t sign = word.find_first_of("<=");
  if (sign == std::string::npos) return std::nullopt;
  const bool most = word.compare(sign, 2, "<=") == 0;
  const std::string key = word.substr(0, sign), value = word.substr(sign + (most ? 2 : 1));
  if (key == "whole")
    return [value](const Message& message) { return !assemble_per_packet(message, value).empty(); };
  const auto limit = parse_number<std::uint32_t>(value);
  if (!limit) return std::nullopt;
  const auto test = [most, limit = *limit](std::size_t found) {
    return most ? found <= limit : found == limit;
  };
  if (key == "ttl")
    return every_record([test](const dns::Record& record) { return test(record.ttl); });
  if (key == "id") return [test](const Message& m) { return test(m.header.id); };
  if (key == "questions") return [test](const Message& m) { return test(m.questions.size()); };
  if (key == "answers") return [test](const Message& m) { return test(m.answers.size()); };
  if (key == "additionals") return [test](const Message& m) { return test(m.additionals.size()); };
  if (key == "bytes") return [test](const Message& m) { return test(m.bytes); };
  if (key == "hops")
    return [test](const Message& m) { return test(static_cast<std::size_t>(m.hop_limit)); };
  if (key == "port") return [test](const Message& m) { return test(m.to.port); };
  return std::nullopt;
}

std::optional<Condition> condition(const std::string& word) {
  if (word == "multicast") return [](const Message& m) { return m.to.address.is_multicast(); };
  if (word == "unicast") return [](const Message& m) { return !m.to.address.is_multicast(); };
  if (word == "aa") return [](const Message& m) { return m.header.flags.authoritative; };
  if (word == "tc") return [](const Message& m) { return m.header.flags.truncated; };
  if (word == "qm")
    return [](const Message& m) {
      return std::none_of(m.questions.begin(), m.questions.end(),
                          [](const dns::Question& q) { return q.unicast_response; });
    };
  if (word == "unique") return without_repeats;
  if (word == "noflush")
    return every_record([](const dns::Record& record) { return !record.cache_flush; });
  if (word == "flush-unique") return every_record(flushes_if_unique);
  return comparison(word);
}

/// "no", "2x", "1..3x", "0..2x".
bool parse_count(const std::string& word, Expectation& out) {
  if (word == "no") {
    out.least = out.most = 0;
  } else {
    if (!word.ends_with('x')) return false;
    const std::string_view bare = std::string_view(word).substr(0, word.size() - 1);
    const std::size_t dots = bare.find("..");
    const auto least = parse_number<std::uint32_t>(bare.substr(0, dots));
    const auto most =
        dots == std::string_view::npos ? least : parse_number<std::uint32_t>(bare.substr(dots + 2));
    if (!least || !most) return false;
    out.least = *least;
    out.most = *most;
  }
  out.at_least_one = false;
  out.whole_window = true;
  return true;
}

}  // namespace

bool Expectation::concerns(const Message& message) const {
  if (message.from.address.is_v6() != v6) return false;
  if (kind == "probe") return is_probe(message);
  if (kind == "response") return message.response();
  if (kind == "query") return !message.response() && !is_probe(message);
  return true;
}

bool Expectation::holds(const Message& message, Names& names) const {
  for (const Condition& condition : conditions)
    if (!condition(message)) return false;
  Names tried = names;
  for (const Item& item : items)
    if (!matches(item, message, tried)) return false;
  names = std::move(tried);
  return true;
}

std::string parse_range(const std::string& text, Duration& from, Duration& until) {
  const std::size_t dots = text.find("..");
  const auto first = parse_duration(text.substr(0, dots));
  const auto last = dots == std::string::npos ? first : parse_duration(text.substr(dots + 2));
  if (!first || !last || *last < *first) return "no range of time: \"" + text + '"';
  from = *first;
  until = *last;
  return {};
}

std::string parse_expectation(const Words& words, Expectation& out) {
  std::size_t at = 1;
  for (; at < words.size(); ++at) {
    const std::string& word = words[at];
    const std::string next = at + 1 < words.size() ? words[at + 1] : "";
    std::string wrong;
    Duration from{}, until{};
    if (word == "probe" || word == "query" || word == "response" || word == "message") {
      out.kind = word;
    } else if (word == "within" || word == "after") {
      wrong = parse_range(next, from, until);
      out.from = word == "after" ? from : Duration{};
      out.until = until;
      ++at;
    } else if (word == "apart") {
      wrong = parse_range(next, from, until);
      out.apart = {from, until};
      ++at;
    } else if (word == "v6") {
      out.v6 = true;
    } else if (const auto holds = condition(word)) {
      out.conditions.push_back(*holds);
    } else if (!parse_count(word, out)) {
      break;
    }
    if (!wrong.empty()) return wrong;
  }
  return parse_items(words, at, out.items);
}

}  // namespace outrider::mdns
