// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/why.h"

#include <algorithm>
#include <map>
#include <optional>

#include "agent/doors/instance_json.h"

namespace outrider::doors {
namespace {

using registry::CheckHealth;
using registry::CheckState;
using registry::Health;
using registry::HostView;
using registry::Instance;
using registry::InstancePtr;

/// Which part of which service a name means.
struct Question {
  std::string service_label;
  std::string selector;  // "", "local", an instance's label
};

/// Octets of an output that are shown in a sentence.
constexpr std::size_t kSaidMax = 160;

/// "3s", "2m10s": rounded so that people read it at a glance.
std::string rounded(Duration gone) {
  gone = std::max(Duration::zero(), gone);
  const Duration unit = gone >= std::chrono::hours(1)     ? Duration(std::chrono::minutes(1))
                        : gone >= std::chrono::seconds(1) ? Duration(std::chrono::seconds(1))
                                                          : Duration(std::chrono::milliseconds(1));
  return format_duration(gone - gone % unit);
}
std::string ago(TimePoint now, TimePoint then) {
  return rounded(now - then);
}

/// The first line of an output, cut: bodies of pages do not belong into a sentence.
std::string first_line(std::string_view output) {
  const std::string line(output.substr(0, output.find_first_of("\r\n")));
  return line.size() <= kSaidMax ? line : line.substr(0, kSaidMax) + "...";
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

Question read_name(const Control& control, std::string_view name) {
  std::string text = lower(name);
  if (text.ends_with('.')) text.pop_back();
  for (const std::string& domain : control.dns().domains) {
    if (text.size() > domain.size() + 1 && text.ends_with('.' + domain)) {
      text.resize(text.size() - domain.size() - 1);
      if (const std::size_t dot = text.rfind('.'); dot != std::string::npos) {
        return {label_of(text.substr(dot + 1)), text.substr(0, dot)};
      }
      return {text, {}};
    }
  }
  return {label_of(name), {}};
}

/// The check that decides, if the instance is worse than passing because of one.
const CheckState* deciding_check(const Instance& instance) {
  const auto worst =
      std::max_element(instance.checks.begin(), instance.checks.end(),
                       [](const auto& a, const auto& b) { return a.health < b.health; });
  if (worst == instance.checks.end() || worst->health == CheckHealth::passing) return nullptr;
  return &*worst;
}

std::string check_says(const CheckState& check) {
  std::string text = "check " + check.spec.id;
  if (!check.output.empty()) text += ": " + first_line(check.output);
  return text;
}

void write_data(json::Writer& out, std::string_view key, const std::vector<InstancePtr>& served,
                const HostView& host, IpAddress::Family family, std::size_t most) {
  out.key(key).begin_array();
  std::size_t count = 0;
  for (const InstancePtr& instance : served) {
    for (const IpAddress& address : served_addresses(*instance, host)) {
      if (address.family() != family || (most > 0 && count >= most)) continue;
      out.value(address.to_string());
      ++count;
    }
  }
  out.end_array();
}

/// The names that it is near to, for a typing mistake.
std::string nearest_service(const registry::Registry& registry, std::string_view label) {
  const std::vector<std::string> labels = registry.services();
  const std::vector<std::string_view> known(labels.begin(), labels.end());
  return std::string(json::nearest(label, known));
}

/// "1 is in maintenance, 2 are critical"
std::string states_of(const std::vector<InstancePtr>& listed) {
  std::map<Health, std::size_t> counts;
  for (const InstancePtr& instance : listed)
    ++counts[instance->health];
  std::string text;
  for (const auto& [health, count] : counts) {
    text += (text.empty() ? "" : ", ") + std::to_string(count) + (count == 1 ? " is " : " are ") +
            (health == Health::maintenance ? "in maintenance" : to_string(health));
  }
  return text;
}

std::string summary(const Control& control, const Question& question, const std::string& name,
                    const std::vector<InstancePtr>& listed, std::size_t served,
                    std::size_t addresses) {
  const registry::Registry& registry = control.registry();
  if (addresses > 0) {
    return name + " answers with " + std::to_string(served) + " of " +
           std::to_string(listed.size()) +
           (listed.size() == 1 ? " known instance." : " known instances.");
  }
  if (served > 0) {
    return name + " has no address: none of its instances can be reached from this host.";
  }
  if (!listed.empty()) {
    return name + " exists but has no address now: of " + std::to_string(listed.size()) +
           (listed.size() == 1 ? " known instance, " : " known instances, ") + states_of(listed) +
           '.';
  }
  if (registry.knows(question.service_label)) {
    return name + " was here a short while ago and has no instance now: " +
           registry.why(question.service_label) + '.';
  }
  std::string text = "Nothing is known of " + question.service_label +
                     ": it is not registered here and was not seen on the network.";
  const std::string near = nearest_service(registry, question.service_label);
  if (!near.empty()) text += " Did you mean " + near + "?";
  return text;
}

const char* rcode_for(const Control& control, bool known, bool any) {
  if (any) return "NOERROR";
  if (!known) return "NXDOMAIN";
  return control.dns().all_unhealthy == registry::AllUnhealthy::nxdomain ? "NXDOMAIN" : "NODATA";
}

void write_probes(json::Writer& out, const Control& control, const Instance& instance) {
  out.key("probes").begin_array();
  for (const CheckState& check : instance.checks) {
    const CheckReport report = control.check_report(instance.id.text(), check.spec.id);
    out.begin_object();
    out.member("check", check.spec.id).member("kind", kind_name(check.spec));
    out.member("health", to_string(check.health)).member("output", check.output);
    out.member("passes_in_a_row", static_cast<std::uint64_t>(report.successes));
    out.member("failures_in_a_row", static_cast<std::uint64_t>(report.failures));
    out.member("flapping", report.flapping);
    if (report.next) out.member("next_in", rounded(*report.next));
    out.key("recent").begin_array();
    for (const ProbeReport& probe : report.probes) {
      out.begin_object();
      out.member("at", format_wall_time(probe.wall)).member("kind", probe.kind);
      out.member("passed", probe.passed).member("output", probe.output);
      out.member("latency_ms", static_cast<double>(probe.latency.count()) / 1e6);
      out.end_object();
    }
    out.end_array().end_object();
  }
  out.end_array();
}

void write_dns(json::Writer& out, const Control& control, const Question& question, bool known,
               const std::vector<InstancePtr>& served) {
  const DnsView dns = control.dns();
  const HostView host = control.host();
  out.key("dns").begin_array();
  for (const std::string& domain : dns.domains) {
    std::string name = question.service_label + '.' + domain;
    if (!question.selector.empty()) name = question.selector + '.' + name;
    out.begin_object().member("name", name);
    out.member("answer", rcode_for(control, known, !served.empty()));
    out.member("ttl", format_duration(dns.ttl));
    write_data(out, "A", served, host, IpAddress::Family::v4, dns.answers);
    write_data(out, "AAAA", served, host, IpAddress::Family::v6, dns.answers);
    out.end_object();
  }
  out.end_array();
  out.key("listen").begin_array();
  for (const std::string& on : dns.listen)
    out.value(on);
  out.end_array();
}

std::string place_of(const Instance& instance, const HostView& host) {
  const int rank = rank_of(instance, host) % 8;
  if (rank == 0) return "this host";
  return rank == 1 ? "this subnet" : "elsewhere";
}

}  // namespace

std::string reason_for(const Instance& instance, const HostView& host, TimePoint now) {
  if (instance.shadowed) {
    return "not in the answer: a newer instance has the same address and port";
  }
  const std::string since = ago(now, instance.latest.at);
  const CheckState* check = deciding_check(instance);
  const std::string says = check != nullptr ? check_says(*check) : std::string();
  const std::string check_since = check != nullptr ? ago(now, check->since.at) : since;
  switch (instance.health) {
    case Health::passing:
      if (served_addresses(instance, host).empty()) {
        return "not in the answer: it has no address that can be reached from here";
      }
      if (instance.stale) return "in the answer, but stale: its network link is down";
      if (instance.own()) {
        return instance.checks.empty() ? "in the answer: registered without checks"
                                       : "in the answer: passing for " + ago(now, instance.up.at);
      }
      return "in the answer: announced as healthy";
    case Health::warning:
      return "in the answer, behind passing ones: warning for " + check_since +
             (says.empty() ? "" : ", " + says);
    case Health::starting:
      return "not in the answer: no check has passed yet" + (says.empty() ? "" : "; " + says);
    case Health::critical:
      return "not in the answer: critical for " + check_since + (says.empty() ? "" : ", " + says);
    case Health::draining:
      return "not in the answer: draining";
    case Health::maintenance:
      return "not in the answer: in maintenance" +
             (instance.maintenance_reason.empty() ? "" : ": " + instance.maintenance_reason);
  }
  OUTRIDER_UNREACHABLE();
}

Explanation explain(const Control& control, std::string_view name) {
  const registry::Registry& registry = control.registry();
  const HostView host = control.host();
  const TimePoint now = control.now().at;
  const Question question = read_name(control, name);

  std::vector<InstancePtr> listed = registry.instances(question.service_label);
  if (question.selector == "local") {
    std::erase_if(listed, [](const InstancePtr& instance) { return !instance->on_this_host; });
  } else if (!question.selector.empty()) {
    std::erase_if(listed, [&](const InstancePtr& instance) {
      return instance->id.label() != question.selector;
    });
  }
  std::vector<InstancePtr> served;
  std::size_t addresses = 0;
  for (const InstancePtr& instance : listed) {
    if (!instance->served()) continue;
    served.push_back(instance);
    addresses += served_addresses(*instance, host).size();
  }
  const bool last_resort = served.empty() && !listed.empty() &&
                           control.dns().all_unhealthy == registry::AllUnhealthy::last_resort;
  if (last_resort) {
    served = listed;
    for (const InstancePtr& instance : served)
      addresses += served_addresses(*instance, host).size();
  }
  std::stable_sort(served.begin(), served.end(), [&](const auto& a, const auto& b) {
    return rank_of(*a, host) < rank_of(*b, host);
  });

  Explanation explanation;
  explanation.known = registry.knows(question.service_label) || !listed.empty();
  const std::vector<std::string> domains = control.dns().domains;
  std::string dns_name = question.selector.empty() ? "" : question.selector + '.';
  dns_name += question.service_label + (domains.empty() ? "" : '.' + domains.front());

  json::Writer out(explanation.json);
  out.begin_object();
  out.member("service", question.service_label).member("known", explanation.known);
  std::string text = summary(control, question, dns_name, listed, served.size(), addresses);
  if (last_resort) text += " None is healthy: they are answered as a last resort.";
  out.member("summary", text);
  write_dns(out, control, question, explanation.known,
            addresses > 0 ? served : std::vector<InstancePtr>{});
  out.key("instances").begin_array();
  for (const InstancePtr& instance : listed) {
    out.begin_object();
    out.member("id", instance->id.text());
    out.member("in_answer",
               (instance->served() || last_resort) && !served_addresses(*instance, host).empty());
    out.member("reason", reason_for(*instance, host, now));
    out.member("place", place_of(*instance, host));
    out.key("instance");
    write_instance(out, *instance, host);
    write_probes(out, control, *instance);
    out.end_object();
  }
  out.end_array().end_object();
  return explanation;
}

}  // namespace outrider::doors
