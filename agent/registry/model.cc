// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/model.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <span>

#include "base/utf8.h"

namespace outrider::registry {
namespace {

bool is_label_octet(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

char mapped(char c) {
  if (c >= 'A' && c <= 'Z') return static_cast<char>(c + ('a' - 'A'));
  return c == '_' || c == ' ' || c == '.' ? '-' : c;
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

/// FNV-1a: short, stable over versions and machines; nothing hangs on its strength.
std::string short_hash(std::string_view text) {
  std::uint32_t hash = 2'166'136'261U;
  for (const char c : text)
    hash = (hash ^ static_cast<std::uint8_t>(c)) * 16'777'619U;
  constexpr char kDigits[] = "0123456789abcdefghijklmnopqrstuv";
  std::string out;
  for (int i = 0; i < 6; ++i, hash >>= 5)
    out += kDigits[hash & 31];
  return out;
}

struct Reserved {
  std::string_view label, holder;
};
/// Of services. Other names that look special are not: local.svc and local.localhost lead to a
/// service "local", and a service may be called as a domain of the agent's is (read_given_name).
constexpr std::array<Reserved, 2> kReserved{{
    {"ns", "the agent's DNS server in its own domain"},
    // Clients take it for the loopback address without a question (RFC 6761 §6.3), and the bridge
    // for the status page.
    {"localhost", "this host itself, and the status page on it"},
}};
/// Of instances: local.NAME.svc.
constexpr std::array<Reserved, 1> kReservedId{{{"local", "the instances of this host"}}};

std::string_view holder_in(std::span<const Reserved> reserved, std::string_view label) {
  const auto found = std::ranges::find(reserved, label, &Reserved::label);
  return found == reserved.end() ? std::string_view() : found->holder;
}

/// A label of any text: what no label can have becomes '-', a label that is too long, empty or
/// `reserved` ends in a hash. `initial` begins one that would be empty.
std::string foreign_label(std::string_view text, std::size_t bytes_max,
                          std::span<const Reserved> reserved, const char* initial) {
  std::string label;
  for (const char c : text) {
    const char m = mapped(c);
    label += is_label_octet(m) ? m : '-';
  }
  const auto first = label.find_first_not_of('-');
  label = first == std::string::npos ? std::string()
                                     : label.substr(first, label.find_last_not_of('-') - first + 1);
  if (label.empty() || !holder_in(reserved, label).empty() || label.size() > bytes_max) {
    label = label.substr(0, bytes_max - 7);
    label += (label.empty() ? initial : label.back() == '-' ? "" : "-") + short_hash(text);
  }
  return label;
}

}  // namespace

std::optional<std::string> to_label(std::string_view text, std::size_t bytes_max) {
  if (text.empty() || text.size() > bytes_max) return std::nullopt;
  std::string label(text);
  for (char& c : label) {
    c = mapped(c);
    if (!is_label_octet(c)) return std::nullopt;
  }
  if (label.front() == '-' || label.back() == '-') return std::nullopt;
  return label;
}

std::optional<ServiceName> ServiceName::parse(std::string_view text) {
  auto label = to_label(text, kServiceLabelBytesMax);
  if (!label || !holder_in(kReserved, *label).empty()) return std::nullopt;
  ServiceName name;
  name.text_ = text;
  name.label_ = std::move(*label);
  return name;
}

std::string_view ServiceName::holder_of(std::string_view text) {
  const auto label = to_label(text, kServiceLabelBytesMax);
  return label ? holder_in(kReserved, *label) : std::string_view();
}

std::optional<ServiceName> ServiceName::from_foreign(std::string_view text) {
  if (text.empty() || text.size() > kIdBytesMax || has_control(text)) return std::nullopt;
  if (auto name = parse(text)) return name;
  ServiceName name;
  name.text_ = text;
  name.label_ = foreign_label(text, kServiceLabelBytesMax, kReserved, "s");
  return name;
}

std::optional<InstanceId> InstanceId::parse(std::string_view text) {
  auto label = to_label(text);
  if (!label || !holder_in(kReservedId, *label).empty()) return std::nullopt;
  InstanceId id;
  id.text_ = text;
  id.label_ = std::move(*label);
  return id;
}

std::optional<InstanceId> InstanceId::from_foreign(std::string_view text) {
  if (text.empty() || text.size() > kIdBytesMax || has_control(text)) return std::nullopt;
  if (auto id = parse(text)) return id;
  std::string label = foreign_label(text, kLabelBytesMax, kReservedId, "i");
  InstanceId id;
  id.text_ = text;
  id.label_ = std::move(label);
  return id;
}

InstanceId InstanceId::apart(std::string_view by) const {
  auto id = from_foreign(std::string(cut_text(text_, kIdBytesMax - 7)) + '-' + short_hash(by));
  OUTRIDER_ASSERT(id.has_value());
  return *id;
}

const char* to_string(Scope scope) {
  switch (scope) {
    case Scope::automatic:
      return "auto";
    case Scope::lan:
      return "lan";
    case Scope::host:
      return "host";
  }
  OUTRIDER_UNREACHABLE();
}

const char* to_string(Source source) {
  switch (source) {
    case Source::own:
      return "own";
    case Source::host:
      return "host";
    case Source::sighting:
      return "sighting";
    case Source::consul:
      return "consul";
    case Source::etcd:
      return "etcd";
  }
  OUTRIDER_UNREACHABLE();
}

std::string_view engine_of(Source source) {
  switch (source) {
    case Source::own:
    case Source::host:
      return "host";
    case Source::sighting:
      return "mdns";
    case Source::consul:
      return "consul";
    case Source::etcd:
      return "etcd";
  }
  OUTRIDER_UNREACHABLE();
}

std::string_view read_via(std::string_view mark) {
  if (mark.empty()) return {};
  for (const Source source : {Source::sighting, Source::consul, Source::etcd})
    if (engine_of(source) == mark) return engine_of(source);
  return "another registry";
}

std::string_view kind_name(const CheckSpec& check) {
  const CheckKindFacts& facts = facts_of(check.kind);
  return uses_tls(check.kind) ? facts.name_with_tls : facts.name;
}

InstanceId short_automatic_id(const ServiceSpec& spec, const HostId& host) {
  // The service's label leads, so that cutting a long host name keeps it apart from others.
  std::string text = spec.name.label();
  const std::string_view name = std::string_view(host.name).substr(0, host.name.find('.'));
  if (auto label = to_label(name)) text += '-' + *label;
  if (spec.port != 0) text += '-' + std::to_string(spec.port);
  auto id = InstanceId::from_foreign(text);
  OUTRIDER_ASSERT(id.has_value());
  return *id;
}

InstanceId automatic_id(const ServiceSpec& spec, const HostId& host) {
  const InstanceId id = short_automatic_id(spec, host);
  return host.identity.empty() ? id : id.apart(host.identity);
}

namespace {

/// "box" of "Box.example".
std::string machine_label(std::string_view host_name) {
  return to_label(host_name.substr(0, host_name.find('.'))).value_or("host");
}

}  // namespace

std::string node_name(const HostId& host) {
  if (host.identity.empty()) return host.name;
  return machine_label(host.name) + '-' + short_hash(host.identity);
}

std::string host_text(const HostId& host) {
  if (host.identity.empty()) return {};
  return host.identity + '.' + machine_label(host.name);
}

HostId read_host_text(std::string_view text) {
  const std::size_t dot = std::min(text.find('.'), text.size());
  HostId host{.name = {}, .identity = std::string(text.substr(0, dot))};
  const bool good =
      host.identity.size() <= kIdentityBytesMax &&
      std::ranges::all_of(host.identity, [](unsigned char c) { return std::isalnum(c) != 0; });
  if (!good || host.identity.empty()) return {};
  if (const std::string name(text.substr(std::min(dot + 1, text.size()))); to_label(name) == name)
    host.name = name;
  return host;
}

}  // namespace outrider::registry
