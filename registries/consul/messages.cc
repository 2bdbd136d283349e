// SPDX-License-Identifier: Apache-2.0
#include "registries/consul/messages.h"

#include <algorithm>

#include "base/http/url.h"
#include "base/json_members.h"
#include "base/percent.h"
#include "base/text.h"

namespace outrider::registries::consul {
namespace {

constexpr std::string_view kMark = "outrider-node";
constexpr std::string_view kVersionKey = "version";
constexpr std::string_view kSchemeKey = "scheme";
constexpr std::string_view kWeightKey = "weight";
constexpr std::string_view kVersionTag = "version=";
constexpr std::string_view kReserved = "consul-";
constexpr std::string_view kEscape = "_x";
/// Of an answer that is no list: what people are shown of it.
constexpr std::size_t kBeginningBytes = 100;
/// Mark, version, scheme and weight.
constexpr std::size_t kOwnKeys = 4;

const json::Value& at(const json::Value& object, std::string_view key) {
  static const json::Value kNone;
  const json::Value* member = object.find(key);
  return member != nullptr ? *member : kNone;
}

// --- keys of metadata ----------------------------------------------------------------------------

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-';
}

std::string escape_key(std::string_view key) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  const bool reserved = equal_fold(key.substr(0, kReserved.size()), kReserved);
  std::string out;
  for (std::size_t i = 0; i < key.size(); ++i) {
    const auto octet = static_cast<unsigned char>(key[i]);
    const bool is_mark = key.substr(i).starts_with(kEscape);
    if (is_plain(key[i]) && !is_mark && !(reserved && i == 0))
      out += key[i];
    else
      out += {'_', 'x', kHex[octet >> 4], kHex[octet & 15U]};
  }
  return out;
}

std::string plain_key(std::string_view key) {
  std::string out;
  while (!key.empty()) {
    if (key.starts_with(kEscape)) {
      const std::string escape = '%' + std::string(key.substr(kEscape.size(), 2));
      if (const auto octet = percent_octet(escape)) {
        out += static_cast<char>(*octet);
        key.remove_prefix(kEscape.size() + 2);
        continue;
      }
    }
    out += key.front();
    key.remove_prefix(1);
  }
  return out;
}

/// With the marks and keys that agents use elsewhere.
json::Value plain_metadata(const json::Value& meta) {
  const json::Object* members = meta.as_object();
  if (members == nullptr) return {};
  const bool marked = !text_at(meta, kMark).empty();
  json::Object out;
  for (const auto& [key, value] : *members) {
    std::string name = key == kMark ? std::string(kWriterMark) : marked ? plain_key(key) : key;
    out.emplace_back(std::move(name), value);
  }
  return json::Value(std::move(out));
}

// --- writing -------------------------------------------------------------------------------------

void write_tags(json::Writer& out, const Entry& entry) {
  out.key("Tags").begin_array();
  bool has_version = entry.version.empty();
  for (const std::string& tag : entry.tags) {
    has_version = has_version || tag.starts_with(kVersionTag);
    out.value(tag);
  }
  if (!has_version) out.value(std::string(kVersionTag) + entry.version);
  out.end_array();
}

std::vector<std::string> write_metadata(json::Writer& out, const Entry& entry,
                                        const std::string& writer) {
  std::vector<std::string> left_out;
  std::size_t count = kOwnKeys;
  out.key("Meta").begin_object();
  for (const std::string_view mark : {kViaMark, kIdMark})
    if (const auto found = entry.metadata.find(std::string(mark));
        found != entry.metadata.end() && is_copy(entry)) {
      ++count;
      out.member(escape_key(mark), found->second);
    }
  for (const auto& [key, value] : entry.metadata) {
    if (key == kWriterMark || key == kVersionKey || key == kSchemeKey || key == kWeightKey ||
        key == kViaMark || key == kIdMark)
      continue;
    const std::string escaped = escape_key(key);
    if (escaped.empty() || escaped.size() > kMetadataKeyBytesMax || escaped == kMark ||
        value.size() > kMetadataValueBytesMax || count == kMetadataMax) {
      left_out.push_back(key);
      continue;
    }
    ++count;
    out.member(escaped, value);
  }
  out.member(kSchemeKey, entry.protocol.empty() ? "http" : entry.protocol);
  out.member(kWeightKey, std::to_string(entry.weight));
  if (!entry.version.empty()) out.member(kVersionKey, entry.version);
  if (!writer.empty()) out.member(kMark, writer);
  out.end_object();
  return left_out;
}

/// Endpoints by scheme, as Kratos reads them, and the addresses of both families.
void write_tagged_addresses(json::Writer& out, const Entry& entry,
                            const std::vector<IpAddress>& addresses) {
  const auto member = [&](std::string_view name, const std::string& address) {
    out.key(name).begin_object();
    out.member("Address", address).member("Port", entry.port).end_object();
  };
  const std::string scheme = entry.protocol.empty() ? "http" : entry.protocol;
  out.key("TaggedAddresses").begin_object();
  member(scheme, scheme + "://" + Endpoint{addresses.front(), entry.port}.to_string());
  const auto v6 = std::ranges::find_if_not(addresses, &IpAddress::is_v4);
  if (addresses.front().is_v4()) member("lan_ipv4", addresses.front().to_string());
  if (v6 != addresses.end()) member("lan_ipv6", v6->to_string());
  out.end_object();
}

void write_check(json::Writer& out, const Entry& entry, Duration ttl) {
  out.key("Check").begin_object();
  out.member("CheckID", "service:" + entry.id);
  out.member("Name", "Health as the outrider agent sees it");
  out.member("TTL", seconds_text(ttl)).member("Status", to_string(check_health_of(entry.health)));
  out.member("DeregisterCriticalServiceAfter", seconds_text(kReapAfter)).end_object();
}

// --- reading -------------------------------------------------------------------------------------

/// Any other type is a status that a program reports: serfHealth, scripts.
std::string kind_of(const std::string& type) {
  for (const char* kind : {"http", "tcp", "grpc", "alias"})
    if (equal_fold(type, kind)) return kind;
  return "ttl";
}

CheckHealth health_of(std::string_view status) {
  if (status == "passing") return CheckHealth::passing;
  return status == "warning" ? CheckHealth::warning : CheckHealth::critical;
}

/// The worst check counts, those of the node included.
void read_checks(const json::Value& row, Entry& entry) {
  CheckHealth worst = CheckHealth::passing;
  bool maintenance = false;
  for (const json::Value& each : list_at(row, "Checks")) {
    const std::string id = text_at(each, "CheckID");
    const CheckHealth health = health_of(text_at(each, "Status"));
    worst = std::max(worst, health);
    if (id == "_node_maintenance" || id.starts_with("_service_maintenance:")) {
      maintenance = true;
      if (entry.maintenance_reason.empty())
        entry.maintenance_reason = text_at(each, "Notes").substr(0, kOutputBytesMax);
    }
    if (entry.checks.size() < kChecksPerEntryMax)
      entry.checks.push_back({.id = id,
                              .name = text_at(each, "Name"),
                              .kind = kind_of(text_at(each, "Type")),
                              .health = health,
                              .output = text_at(each, "Output").substr(0, kOutputBytesMax)});
  }
  entry.health = maintenance                      ? Health::maintenance
                 : worst == CheckHealth::critical ? Health::critical
                 : worst == CheckHealth::warning  ? Health::warning
                                                  : Health::passing;
}

void read_addresses(const json::Value& row, const json::Value& service, Entry& entry) {
  std::string address = text_at(service, "Address");
  if (address.empty()) address = text_at(at(row, "Node"), "Address");
  const auto add = [&](const std::string& text) {
    const auto parsed = IpAddress::parse(text);
    if (parsed && std::ranges::find(entry.addresses, *parsed) == entry.addresses.end())
      entry.addresses.push_back(*parsed);
  };
  add(address);
  const json::Value& tagged = at(service, "TaggedAddresses");
  for (const char* name : {"lan_ipv4", "lan_ipv6"})
    if (const json::Value& one = at(tagged, name); number_at(one, "Port") == entry.port)
      add(text_at(one, "Address"));
}

/// Kratos names an endpoint by its scheme; GoFrame has JSON in its metadata.
std::string read_protocol(const json::Value& service, const Entry& entry) {
  if (const json::Object* tagged = at(service, "TaggedAddresses").as_object())
    for (const auto& [scheme, one] : *tagged)
      if (number_at(one, "Port") == entry.port &&
          text_at(one, "Address").starts_with(scheme + "://"))
        return scheme;
  for (const char* key : {"scheme", "protocol"})
    if (const auto found = entry.metadata.find(key); found != entry.metadata.end())
      return found->second;
  if (const auto found = entry.metadata.find("metadata"); found != entry.metadata.end())
    if (const auto nested = json::parse_foreign(found->second, json::kBodyBytesMax))
      return text_at(*nested, "protocol");
  return {};
}

void read_version(Entry& entry) {
  const auto in_metadata = entry.metadata.find(std::string(kVersionKey));
  const std::string stated = in_metadata != entry.metadata.end() ? in_metadata->second : "";
  if (!entry.writer.empty()) {
    entry.version = stated;
    if (in_metadata != entry.metadata.end()) entry.metadata.erase(in_metadata);
    if (!entry.tags.empty() && entry.tags.back() == std::string(kVersionTag) + stated)
      entry.tags.pop_back();
    return;
  }
  for (const std::string& tag : entry.tags)
    if (tag.starts_with(kVersionTag)) entry.version = tag.substr(kVersionTag.size());
  if (entry.version.empty()) entry.version = stated;
}

std::optional<Entry> read_entry(const json::Value& row) {
  const json::Value& service = at(row, "Service");
  Entry entry;
  entry.service = text_at(service, "Service");
  entry.id = text_at(service, "ID");
  const std::int64_t port = number_at(service, "Port");
  if (entry.service.empty() || entry.id.empty() || port < 1 || port > 0xffff) return std::nullopt;
  entry.port = static_cast<std::uint16_t>(port);
  read_addresses(row, service, entry);
  if (entry.addresses.empty()) return std::nullopt;
  entry.key = text_at(at(row, "Node"), "Node") + '/' + entry.id;
  entry.where.key = entry.id;
  entry.where.revision = number_at(service, "ModifyIndex");
  entry.tags = read_tags(list_at(service, "Tags"));
  read_checks(row, entry);
  const std::int64_t weight =
      number_at(at(service, "Weights"), entry.health == Health::warning ? "Warning" : "Passing");
  if (weight > 0)
    entry.weight = static_cast<std::uint16_t>(std::min<std::int64_t>(weight, 0xffff / kWeightUnit) *
                                              kWeightUnit);
  const json::Value metadata = plain_metadata(at(service, "Meta"));
  read_metadata(&metadata, entry);
  if (const std::string original = text_at(metadata, kIdMark); is_copy(entry) && !original.empty())
    entry.id = original;
  entry.protocol = read_protocol(service, entry);
  if (entry.protocol.empty()) entry.protocol = "http";
  if (!entry.writer.empty()) entry.metadata.erase(std::string(kSchemeKey));
  read_version(entry);
  return entry;
}

}  // namespace

std::string seconds_text(Duration duration) {
  return std::to_string(std::chrono::ceil<std::chrono::seconds>(duration).count()) + 's';
}

std::string copy_id(std::string_view key) {
  std::string id = "copy:" + std::string(key);
  std::ranges::replace(id, '/', ':');
  return id;
}

std::string list_target(std::string_view service, std::uint64_t index) {
  std::string target = "/v1/health/service/" + http::percent_encode(service);
  if (index != 0) target += "?index=" + std::to_string(index) + "&wait=" + seconds_text(kWait);
  return target;
}

std::string service_target(std::string_view id) {
  return "/v1/agent/service/" + http::percent_encode(id);
}

std::string health_target(std::string_view id) {
  return "/v1/agent/health/service/id/" + http::percent_encode(id);
}

std::string deregister_target(std::string_view id) {
  return "/v1/agent/service/deregister/" + http::percent_encode(id);
}

std::string update_target(std::string_view id) {
  return "/v1/agent/check/update/" + http::percent_encode("service:" + std::string(id));
}

std::optional<Registration> register_request(const Entry& entry, const std::string& writer,
                                             Duration ttl) {
  const std::vector<IpAddress> addresses = public_addresses(entry);
  if (addresses.empty() || entry.service.empty() || entry.id.empty()) return std::nullopt;
  Registration made;
  json::Writer out(made.body);
  out.begin_object().member("ID", entry.id).member("Name", entry.service);
  write_tags(out, entry);
  out.member("Address", addresses.front().to_string()).member("Port", entry.port);
  write_tagged_addresses(out, entry, addresses);
  made.left_out = write_metadata(out, entry, writer);
  if (const std::uint32_t weight = entry.weight / kWeightUnit; weight > 1)
    out.key("Weights").begin_object().member("Passing", weight).member("Warning", 1).end_object();
  write_check(out, entry, ttl);
  out.end_object();
  return made;
}

std::string update_request(const Entry& entry) {
  std::string text;
  json::Writer out(text);
  out.begin_object().member("Status", to_string(check_health_of(entry.health)));
  std::string output = to_string(entry.health);
  if (!entry.maintenance_reason.empty()) output += ": " + entry.maintenance_reason;
  out.member("Output", output.substr(0, kOutputBytesMax)).end_object();
  return text;
}

std::uint64_t read_index(std::string_view header) {
  return std::max<std::uint64_t>(1, parse_number<std::uint64_t>(header).value_or(1));
}

void ListReader::feed(std::string_view piece) {
  constexpr std::string_view kBlanks = " \t\r\n";
  if (beginning_.size() < kBeginningBytes)
    beginning_ += piece.substr(0, kBeginningBytes - beginning_.size());
  for (const char c : piece) {
    if (depth_ > 0) {
      feed_row(c);
    } else if (kBlanks.find(c) != std::string_view::npos) {
      continue;
    } else if (state_ == State::before && c == '[') {
      state_ = State::rows;
    } else if (state_ == State::rows && c == '{') {
      row_.clear();
      feed_row(c);
    } else if (state_ == State::rows && c == ']') {
      state_ = State::after;
    } else if (state_ != State::rows || c != ',') {
      state_ = State::bad;
    }
  }
}

void ListReader::feed_row(char c) {
  row_ += c;
  if (in_string_) {
    if (escaped_)
      escaped_ = false;
    else if (c == '\\')
      escaped_ = true;
    else
      in_string_ = c != '"';
    return;
  }
  if (c == '"') in_string_ = true;
  if (c == '{' || c == '[') ++depth_;
  if ((c == '}' || c == ']') && --depth_ == 0) end_row();
}

void ListReader::end_row() {
  const auto row = json::parse_foreign(row_, kListBytesMax);
  if (!row)
    state_ = State::bad;
  else if (auto entry = read_entry(*row))
    list_.entries.push_back(std::move(*entry));
  else
    ++list_.skipped;
}

std::optional<List> ListReader::finish() {
  if (state_ != State::after) return std::nullopt;
  return std::move(list_);
}

std::optional<List> read_list(std::string_view body) {
  ListReader reader;
  reader.feed(body);
  return reader.finish();
}

std::optional<Registered> read_registered(std::string_view body) {
  const auto document = json::parse_foreign(body, kAnswerBytesMax);
  if (!document || document->as_object() == nullptr) return std::nullopt;
  const json::Value metadata = plain_metadata(at(*document, "Meta"));
  return Registered{.service = text_at(*document, "Service"),
                    .writer = text_at(metadata, kWriterMark),
                    .via = text_at(metadata, kViaMark),
                    .port = number_at(*document, "Port")};
}

std::string read_node(std::string_view body) {
  const auto document = json::parse_foreign(body, kAnswerBytesMax);
  return document ? text_at(at(*document, "Config"), "NodeName") : "";
}

std::string read_refusal(int status, std::string_view body) {
  std::string text(first_line(body).substr(0, 200));
  return text.empty() ? "status " + std::to_string(status) : text;
}

bool is_unknown_check(int status, std::string_view text) {
  return status == 404 ||
         (status == 500 && (text.find("associated TTL") != std::string_view::npos ||
                            text.find("nknown check") != std::string_view::npos));
}

}  // namespace outrider::registries::consul
