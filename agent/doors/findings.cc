// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/findings.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "agent/registry/https_record.h"
#include "agent/registry/served.h"
#include "base/text.h"
#include "base/utf8.h"
#include "dns/wire/zone_error.h"

namespace outrider::doors {
namespace {

using registry::CheckState;
using registry::HostView;
using registry::Instance;
using registry::InstancePtr;
using registry::NameForm;
using registry::NameMeaning;

/// Octets of an output that are shown in a sentence.
constexpr std::size_t kSaidMax = 160;

/// The first line of an output, cut: bodies of pages do not belong into a sentence.
std::string said(std::string_view output) {
  const std::string_view line = first_line(output);
  return std::string(cut_text(line, kSaidMax)) + (line.size() > kSaidMax ? "..." : "");
}

/// The addresses of the bridge where the name has those, else null.
const std::vector<IpAddress>* bridge_of(const View& view, const Findings& found) {
  const registry::Bridged* const bridged = view.dns.bridged;
  const bool whole = found.name.meaning.form == NameForm::whole;
  return whole && is_bridged(found.name.meaning.service, found.answered, bridged)
             ? &bridged->addresses
             : nullptr;
}

void write_bridge(json::Writer& out, std::string_view key, const std::vector<IpAddress>& addresses,
                  IpAddress::Family family) {
  out.key(key).begin_array();
  for (const IpAddress& address : addresses)
    if (address.family() == family) out.value(address.to_string());
  out.end_array();
}

void write_data(json::Writer& out, std::string_view key, const std::vector<InstancePtr>& served,
                const HostView& host, IpAddress::Family family, std::size_t most) {
  out.key(key).begin_array();
  std::vector<IpAddress> told;
  for (const InstancePtr& instance : served) {
    for (const IpAddress& address : served_addresses(*instance, host)) {
      const bool there = std::find(told.begin(), told.end(), address) != told.end();
      if (there || address.family() != family || (most > 0 && told.size() >= most)) continue;
      out.value(address.to_string());
      told.push_back(address);
    }
  }
  out.end_array();
}

/// What people also ask for: an address with or without a port, or "box.local".
std::optional<Findings> look_for_place(const View& view, std::string_view name) {
  const HostView host = view.host;
  const auto endpoint = Endpoint::parse(name);
  const auto address = endpoint ? std::optional(endpoint->address) : IpAddress::parse(name);
  std::string host_name = lowered(name);
  if (host_name.ends_with('.')) host_name.pop_back();
  if (!address && !host_name.ends_with(".local")) return std::nullopt;
  const auto is_there = [&](const Instance& instance) {
    if (address)
      return std::ranges::count(served_addresses(instance, host), *address) > 0 &&
             (!endpoint || endpoint->port == instance.port);
    if (equal_fold(instance.local_name->name, host_name)) return true;
    if (instance.own()) return equal_fold(host.name + ".local", host_name);
    return std::ranges::any_of(instance.places, [&](const registry::SightedPlace& place) {
      return equal_fold(place.host, host_name);
    });
  };
  Findings found;
  found.place = address ? Findings::Place::address : Findings::Place::host;
  found.name = {{.form = NameForm::none}, std::string(name), {}};
  for (const std::string& label : view.registry.services())
    for (const InstancePtr& instance : view.registry.instances(label))
      if (is_there(*instance)) found.meant.push_back(instance);
  found.known = !found.meant.empty();
  std::ranges::copy_if(found.meant, std::back_inserter(found.answered),
                       [](const InstancePtr& instance) { return instance->served(); });
  return found;
}

/// "0 100 8080 hello-1.hello.svc", as SRV records have it.
void write_srv(json::Writer& out, const Findings& found, const std::string& domain,
               std::size_t most) {
  out.key("SRV").begin_array();
  std::size_t count = 0;
  for (const InstancePtr& instance : found.answered) {
    if (instance->port == 0 || (most > 0 && count++ >= most)) continue;
    out.value("0 " + std::to_string(srv_weight(*instance)) + ' ' + std::to_string(instance->port) +
              ' ' +
              write_name(NameForm::instance, found.name.meaning.service, instance->id.label()) +
              '.' + domain);
  }
  out.end_array();
}

/// HTTPS records (RFC 9460) of a service that speaks https, as the zone has them.
std::vector<std::string> https_records(const View& view, const Findings& found,
                                       const std::string& domain) {
  const NameMeaning& meaning = found.name.meaning;
  std::vector<std::string> texts;
  if (!has_addresses(meaning.form)) return texts;
  const std::size_t most =
      view.dns.answers > 0 ? view.dns.answers : registry::kBindingsPerNameMax + 1;
  registry::CommonBinding common;
  for (const InstancePtr& instance : found.answered) {
    const std::uint8_t rank = registry::answer_place(*instance, view.host, view.dns.order).rank;
    common.add(*instance, rank);
    const auto target = dns::Name::parse(
        dns_name(write_name(NameForm::instance, meaning.service, instance->id.label()), domain));
    if (!target || texts.size() == most) continue;
    auto binding = https_binding(*instance, served_addresses(*instance, view.host), *target);
    if (!binding) continue;
    binding->priority = registry::svc_priority(rank);
    texts.push_back(to_text(*binding));
  }
  const bool is_shared = meaning.form != NameForm::instance && bridge_of(view, found) == nullptr;
  const auto owner = dns::Name::parse(dns_name(found.name.relative, domain));
  if (const auto binding = is_shared && owner ? common.at(*owner) : std::nullopt)
    texts.insert(texts.begin(), to_text(*binding));
  if (texts.size() > most) texts.resize(most);
  return texts;
}

/// The addresses of ns.DOMAIN: those that our DNS listens on.
void write_name_server(json::Writer& out, const DnsView& dns, std::string_view key,
                       IpAddress::Family family) {
  out.key(key).begin_array();
  for (const std::string& on : dns.listen) {
    const auto endpoint = Endpoint::parse(on);
    if (endpoint && endpoint->address.family() == family) out.value(endpoint->address.to_string());
  }
  out.end_array();
}

const char* rcode_of(const Findings& found) {
  if (!found.answered.empty() || found.name.meaning.form == NameForm::zone) return "NOERROR";
  return found.known && !found.hidden ? "NODATA" : "NXDOMAIN";
}

/// The name as the zone has it. Of a large service that is much work, so it is only asked where an
/// extended error is possible.
std::optional<registry::ZoneUpdate> zone_entry(const View& view, const Findings& found,
                                               const std::string& domain) {
  const NameMeaning& meaning = found.name.meaning;
  if (meaning.form == NameForm::zone || meaning.form == NameForm::none) return std::nullopt;
  const auto origin = dns::Name::parse(domain);
  if (!origin) return std::nullopt;
  const auto owner = [&](const std::string& text) {
    const auto relative = dns::Name::parse(text);
    return relative ? origin->prepend(*relative) : std::nullopt;
  };
  // A name in another spelling gets the answer of the one that exists.
  const auto given = owner(found.name.relative);
  const auto usual = owner(write_name(meaning.form, meaning.service, meaning.selector));
  registry::ZoneProjection projection(
      {.origin = *origin,
       .serving = view.dns.serving,
       .write_txt = [](const auto&, auto, const auto&) { return std::vector<std::string>(); }});
  registry::Changes touched;
  touched.forgotten = {{.label = meaning.service, .note = {}}};
  if (meaning.form == NameForm::instance || meaning.form == NameForm::typed_instance)
    for (const InstancePtr& instance : found.meant)
      touched.list.push_back({nullptr, instance});
  std::optional<registry::ZoneUpdate> entry;
  projection.update(view.registry, view.host, touched, [&](registry::ZoneUpdate update) {
    if (!update.erase && (update.owner == given || (!entry && update.owner == usual)))
      entry = std::move(update);
  });
  return entry;
}

void write_error(json::Writer& out, const View& view, const Findings& found,
                 const std::string& domain) {
  const bool answered = !found.answered.empty();
  const bool stale = std::ranges::any_of(
      found.answered, [](const InstancePtr& instance) { return instance->stale; });
  if (answered ? !stale : !found.known) return;
  const auto entry = zone_entry(view, found, domain);
  if (!entry) return;
  const auto error = dns::zone_error({.answered = answered,
                                      .stale = entry->stale,
                                      .empty = entry->entries.empty(),
                                      .has_why = !entry->why.empty()});
  if (!error) return;
  out.key("ede").begin_object().member("code", std::uint64_t{static_cast<std::uint16_t>(*error)});
  out.member("text", cut_text(entry->why, dns::kWhyBytesMax)).end_object();
}

}  // namespace

View view_of(const Control& control) {
  return {control.registry(), control.host(), control.dns(), control.now()};
}

Findings look_for(const View& view, std::string_view name) {
  if (auto place = look_for_place(view, name)) return std::move(*place);
  const registry::Registry& registry = view.registry;
  const HostView host = view.host;
  Findings found{.name = read_given_name(name, view.dns.domains, registry)};
  const NameMeaning& meaning = found.name.meaning;
  found.all = registry.instances(meaning.service);
  found.service_known = registry.knows(meaning.service) || !found.all.empty();
  registry::ServedChoice choice = choose_served(found.all, view.dns.serving);
  found.last_resort = choice.last_resort;
  found.hidden = choice.hidden;
  std::vector<InstancePtr> answered = std::move(choice.served);
  for (const InstancePtr& instance : found.all)
    if (means(meaning, *instance)) found.meant.push_back(instance);
  std::erase_if(answered, [&](const InstancePtr& instance) {
    const bool has_records = has_addresses(meaning.form) || instance->port != 0;
    return !has_records || !is_reachable(*instance) || !means(meaning, *instance);
  });
  const registry::AnswerOrder* const order = view.dns.order;
  const auto place = [&](const InstancePtr& instance) {
    const registry::AnswerPlace at = registry::answer_place(*instance, host, order);
    return std::pair(at.rank, order == nullptr ? 0 : -int{at.odds});
  };
  std::ranges::stable_sort(answered, {}, place);
  found.answered = std::move(answered);
  const bool means_any = !found.meant.empty();
  found.known = exists(meaning.form, found.service_known, means_any);
  return found;
}

const CheckState* deciding_check(const Instance& instance) {
  const auto worst =
      std::max_element(instance.checks.begin(), instance.checks.end(),
                       [](const auto& a, const auto& b) { return a.health < b.health; });
  if (worst == instance.checks.end() || worst->health == CheckHealth::passing) return nullptr;
  return &*worst;
}

std::string why_stale(const Instance& instance) {
  if (instance.places.empty() || !is_remote(instance.source)) return "its network link is down";
  const registry::SightedPlace& place = instance.places.front();
  const registry::Staleness& stale = *place.stale;
  const auto clock = [](WallTime wall) { return format_wall_time(wall).substr(11, 8) + 'Z'; };
  std::string text =
      std::string(place.engine) + " has not confirmed it since " + clock(stale.since);
  if (!stale.reason.empty()) text += " (" + stale.reason + ')';
  return text + (stale.until ? "; kept until " + clock(*stale.until) : "; kept until it is back");
}

std::string check_says(const CheckState& check) {
  std::string text = "check " + check.spec.id;
  if (!check.output.empty()) text += ": " + said(check.output);
  return text;
}

std::string dns_name(const std::string& relative, const std::string& domain) {
  if (relative.empty()) return domain;
  return relative + (domain.empty() ? "" : '.' + domain);
}

void write_answer(json::Writer& out, const View& view, const Findings& found,
                  const std::string& domain) {
  const DnsView& dns = view.dns;
  const std::vector<InstancePtr> addressed =
      has_addresses(found.name.meaning.form) ? found.answered : std::vector<InstancePtr>();
  out.begin_object().member("name", dns_name(found.name.relative, domain));
  out.member("answer", rcode_of(found));
  out.member("ttl", format_duration(dns.ttl));
  if (found.name.relative == "ns") {
    write_name_server(out, dns, "A", IpAddress::Family::v4);
    write_name_server(out, dns, "AAAA", IpAddress::Family::v6);
  } else if (const auto* bridge = bridge_of(view, found)) {
    write_bridge(out, "A", *bridge, IpAddress::Family::v4);
    write_bridge(out, "AAAA", *bridge, IpAddress::Family::v6);
  } else {
    write_data(out, "A", addressed, view.host, IpAddress::Family::v4, dns.answers);
    write_data(out, "AAAA", addressed, view.host, IpAddress::Family::v6, dns.answers);
  }
  write_srv(out, found, domain, dns.answers);
  if (const auto records = https_records(view, found, domain); !records.empty()) {
    out.key("HTTPS").begin_array();
    for (const std::string& record : records)
      out.value(record);
    out.end_array();
  }
  write_error(out, view, found, domain);
  out.end_object();
}

}  // namespace outrider::doors
