// SPDX-License-Identifier: Apache-2.0
#include "tests/scenarios/mdns/pattern.h"

#include <algorithm>
#include <charconv>

#include "base/text.h"
#include "tests/rr_type.h"

namespace outrider::mdns {
namespace {

using dns::RrType;

bool is_marker(const std::string& word) {
  const std::string_view bare = std::string_view(word).substr(word.starts_with('-') ? 1 : 0);
  return bare.size() == 1 && std::string_view("?=!+&").find(bare[0]) != std::string_view::npos;
}

bool number(std::string_view text, std::uint32_t& out) {
  const auto value = parse_number<std::uint32_t>(text);
  if (value) out = *value;
  return value.has_value();
}

std::string parse_item(const Words& words, Item& item) {
  item.absent = words[0].starts_with('-');
  item.section = words[0].back();
  const bool asks = item.section == '?';
  std::size_t at = 1;
  const auto next = [&] { return at < words.size() ? words[at++] : std::string(); };
  item.owner = next();
  if (!asks) item.ttl = next();
  if (!asks && at < words.size() && (words[at] == "flush" || words[at] == "noflush"))
    item.flush = next();
  const std::string type = next();
  item.any_type = type == "*";
  if (!item.any_type && !test::parse_type(type, item.type))
    return "no type of record: \"" + type + '"';
  if (asks && at < words.size() && words[at] == "QU") {
    item.unicast = true;
    ++at;
  }
  item.data.assign(words.begin() + static_cast<std::ptrdiff_t>(at), words.end());
  if (asks && !item.data.empty()) return "after a question: " + item.data[0];
  if (!asks && item.data.empty()) item.data = {"*"};
  return {};
}

bool name_matches(const std::string& wanted, const dns::Name& found, Names& names) {
  if (wanted == "*") return true;
  if (wanted.starts_with('$')) return names.emplace(wanted, found).first->second == found;
  const auto parsed = dns::Name::parse(wanted);
  return parsed && *parsed == found;
}

bool number_matches(const std::string& wanted, std::uint32_t found) {
  if (wanted == "*") return true;
  std::uint32_t value = 0;
  if (wanted.starts_with(">"))
    return number(std::string_view(wanted).substr(1), value) && found > value;
  if (wanted.starts_with("<="))
    return number(std::string_view(wanted).substr(2), value) && found <= value;
  return number(wanted, value) && found == value;
}

bool types_match(const Words& wanted, const std::vector<RrType>& found) {
  std::vector<RrType> types;
  for (std::size_t i = 1; i < wanted.size(); ++i) {
    if (wanted[i] == "*") return true;
    RrType type{};
    if (!test::parse_type(wanted[i], type)) return false;
    types.push_back(type);
  }
  std::sort(types.begin(), types.end());
  return types == found;
}

bool data_matches(const Words& wanted, const dns::Record& record, Names& names) {
  if (wanted[0] == "*" && wanted.size() == 1) return true;
  if (const auto* name = std::get_if<dns::NameData>(&record.data))
    return wanted.size() == 1 && name_matches(wanted[0], name->name, names);
  if (const auto* address = std::get_if<dns::AddressData>(&record.data))
    return wanted.size() == 1 && IpAddress::parse(wanted[0]) == address->address;
  if (const auto* srv = std::get_if<dns::SrvData>(&record.data))
    return wanted.size() == 4 && number_matches(wanted[0], srv->priority) &&
           number_matches(wanted[1], srv->weight) && number_matches(wanted[2], srv->port) &&
           name_matches(wanted[3], srv->target, names);
  if (const auto* txt = std::get_if<dns::TxtData>(&record.data)) return wanted == txt->strings;
  if (const auto* nsec = std::get_if<dns::NsecData>(&record.data))
    return name_matches(wanted[0], nsec->next, names) && types_match(wanted, nsec->types);
  return false;
}

bool matches(const Item& item, const dns::Record& record, Names& names) {
  if (!item.any_type && record.type != item.type) return false;
  if (item.flush == "flush" && !record.cache_flush) return false;
  if (item.flush == "noflush" && record.cache_flush) return false;
  if (!number_matches(item.ttl, record.ttl)) return false;
  // Only a record that agrees in all may give a name its meaning.
  Names tried = names;
  if (!name_matches(item.owner, record.name, tried) || !data_matches(item.data, record, tried))
    return false;
  names = std::move(tried);
  return true;
}

bool present(const Item& item, const Message& message, Names& names) {
  const auto in = [&](const std::vector<dns::Record>& section) {
    return std::any_of(section.begin(), section.end(),
                       [&](const dns::Record& record) { return matches(item, record, names); });
  };
  if (item.section == '?')
    return std::any_of(message.questions.begin(), message.questions.end(), [&](const auto& q) {
      return (item.any_type || q.type == item.type) && (!item.unicast || q.unicast_response) &&
             name_matches(item.owner, q.name, names);
    });
  if (item.section == '=') return in(message.answers);
  if (item.section == '!') return in(message.authorities);
  if (item.section == '+') return in(message.additionals);
  return in(message.answers) || in(message.additionals);
}

// --- What is sent -------------------------------------------------------------------------------

std::string resolve(const std::string& text, const Names& names, dns::Name& out) {
  if (text.starts_with('$')) {
    const auto known = names.find(text);
    if (known == names.end()) return text + " has not been heard of";
    out = known->second;
    return {};
  }
  const auto parsed = dns::Name::parse(text);
  if (!parsed) return "no name: \"" + text + '"';
  out = *parsed;
  return {};
}

std::string octets(const Words& words, dns::Rdata& data) {
  dns::RawData raw;
  for (const std::string& word : words) {
    if (word.size() % 2 != 0) return "no octets: " + word;
    for (std::size_t i = 0; i < word.size(); i += 2) {
      std::uint8_t octet = 0;
      const auto [end, error] = std::from_chars(word.data() + i, word.data() + i + 2, octet, 16);
      if (error != std::errc() || end != word.data() + i + 2) return "no octets: " + word;
      raw.bytes.push_back(octet);
    }
  }
  data = std::move(raw);
  return {};
}

std::string said_last(const dns::Record& like, const std::vector<Message>& heard,
                      dns::Rdata& data) {
  for (auto message = heard.rbegin(); message != heard.rend(); ++message) {
    const dns::Record* found = message->find(like.name.to_string(), like.type);
    if (found == nullptr) continue;
    data = found->data;
    return {};
  }
  return "the device has not said its " + dns::to_string(like.type) + " of " +
         like.name.to_string();
}

std::string srv_of(const Words& words, const Names& names, dns::Rdata& data) {
  std::uint32_t priority = 0, weight = 0, port = 0;
  if (words.size() != 4 || !number(words[0], priority) || !number(words[1], weight) ||
      !number(words[2], port))
    return "an SRV record is PRIORITY WEIGHT PORT NAME";
  dns::SrvData srv{static_cast<std::uint16_t>(priority),
                   static_cast<std::uint16_t>(weight),
                   static_cast<std::uint16_t>(port),
                   {}};
  const std::string wrong = resolve(words[3], names, srv.target);
  data = std::move(srv);
  return wrong;
}

std::string data_of(const Item& item, const Names& names, const std::vector<Message>& heard,
                    dns::Record& record) {
  const Words& words = item.data;
  if (words[0] == "same") return said_last(record, heard, record.data);
  if (item.type == RrType::ptr || item.type == RrType::cname || item.type == RrType::dname) {
    dns::NameData name;
    const std::string wrong = resolve(words[0], names, name.name);
    record.data = std::move(name);
    return wrong;
  }
  if (item.type == RrType::srv) return srv_of(words, names, record.data);
  if (item.type == RrType::a || item.type == RrType::aaaa) {
    const auto address = IpAddress::parse(words[0]);
    if (!address || address->is_v4() != (item.type == RrType::a)) return "no address: " + words[0];
    record.data = dns::AddressData{*address};
    return {};
  }
  if (item.type != RrType::txt) return octets(words, record.data);
  record.data = dns::TxtData{words[0] == "-" ? Words{""} : words};
  return {};
}

std::string describe(const std::vector<dns::Record>& section, char marker) {
  std::string out;
  for (const dns::Record& record : section) {
    const std::string text = dns::to_string(record);
    out += std::string("\n        ") + marker + ' ' + text.substr(0, 120) +
           (record.cache_flush ? " (flush)" : "");
  }
  return out;
}

}  // namespace

std::string parse_items(const Words& words, std::size_t at, std::vector<Item>& items) {
  while (at < words.size()) {
    if (!is_marker(words[at])) return "no such word: \"" + words[at] + '"';
    std::size_t end = at + 1;
    while (end < words.size() && !is_marker(words[end]))
      ++end;
    const Words own(words.begin() + static_cast<std::ptrdiff_t>(at),
                    words.begin() + static_cast<std::ptrdiff_t>(end));
    Item item;
    if (std::string wrong = parse_item(own, item); !wrong.empty()) return wrong;
    items.push_back(std::move(item));
    at = end;
  }
  return {};
}

bool matches(const Item& item, const Message& message, Names& names) {
  if (!item.absent) return present(item, message, names);
  Names unchanged = names;
  return !present(item, message, unchanged);
}

std::string build(const Item& item, const Names& names, const std::vector<Message>& heard,
                  Sent& sent) {
  dns::Name owner;
  if (std::string wrong = resolve(item.owner, names, owner); !wrong.empty()) return wrong;
  if (item.section == '?') {
    sent.questions.push_back({owner, item.type, dns::RrClass::in, item.unicast});
    return {};
  }
  if (item.any_type || item.absent || item.section == '&') return "that can only be looked for";
  dns::Record record;
  record.name = owner;
  record.type = item.type;
  record.cache_flush = item.flush == "flush";
  // RFC 6891 §6.1.2: its class is the size of datagrams that the sender takes.
  if (record.type == dns::RrType::opt) record.rr_class = static_cast<dns::RrClass>(1'440);
  if (!number(item.ttl, record.ttl)) return "no TTL: \"" + item.ttl + '"';
  if (std::string wrong = data_of(item, names, heard, record); !wrong.empty()) return wrong;
  (item.section == '='   ? sent.answers
   : item.section == '!' ? sent.authorities
                         : sent.additionals)
      .push_back(std::move(record));
  return {};
}

std::string to_string(const Message& message) {
  std::string out = message.response() ? "response" : is_probe(message) ? "probe" : "query";
  out += " to " + message.to.to_string() + ", " + std::to_string(message.bytes) + " octets";
  for (const dns::Question& q : message.questions)
    out += "\n        ? " + q.name.to_string() + ' ' + dns::to_string(q.type) +
           (q.unicast_response ? " QU" : "");
  return out + describe(message.answers, '=') + describe(message.authorities, '!') +
         describe(message.additionals, '+');
}

}  // namespace outrider::mdns
