// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/why.h"

#include <algorithm>
#include <map>
#include <optional>

#include "agent/doors/instance_json.h"
#include "agent/registry/served.h"

namespace outrider::doors {
namespace {

using registry::CheckHealth;
using registry::CheckState;
using registry::Health;
using registry::HostView;
using registry::Instance;
using registry::InstancePtr;

/// Which part of which service a name means (DESIGN §4.3). Names of the forms `protocol`, `type`
/// and `typed_instance` have SRV records and no addresses.
struct Question {
  enum class Form : std::uint8_t {
    whole,           // NAME
    local,           // local.NAME
    instance,        // ID.NAME
    tag,             // TAG._tag.NAME
    protocol,        // _PROTO._tcp.NAME
    type,            // _NAME._tcp
    typed_instance,  // ID._NAME._tcp
    zone,            // a name that the zone has whatever is registered
    none,            // nothing of that form is ever there
  };
  Form form = Form::whole;
  std::string service_label;
  std::string selector;  // an instance's label, a tag's, a protocol
  std::string name;      // without the domain
  std::string domain;    // empty if the agent has none
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
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::vector<std::string> labels_of(std::string_view name) {
  std::vector<std::string> labels;
  for (std::size_t at = 0; at <= name.size();) {
    const std::size_t dot = std::min(name.find('.', at), name.size());
    labels.emplace_back(name.substr(at, dot - at));
    at = dot + 1;
  }
  return labels;
}

/// The label of "_x", without the underscore; empty for others.
std::string underscored(const std::string& label) {
  return label.size() > 1 && label.front() == '_' ? label.substr(1) : std::string();
}

/// `name` is lower case and relative to the domain.
Question read_relative(std::string_view name) {
  using Form = Question::Form;
  const std::vector<std::string> labels = labels_of(name);
  const std::size_t count = labels.size();
  if (name == "ns" || name.ends_with("_dns-sd._udp")) return {Form::zone, {}, {}, {}, {}};
  if (labels.back() == "_tcp") {
    const std::string service = count >= 2 ? underscored(labels[count - 2]) : std::string();
    if (count == 2 && !service.empty()) return {Form::type, service, {}, {}, {}};
    if (count == 3 && !service.empty()) return {Form::typed_instance, service, labels[0], {}, {}};
    return {Form::none, service, {}, {}, {}};
  }
  const std::string& service = labels.back();
  if (count == 1) return {Form::whole, service, {}, {}, {}};
  if (count == 2) {
    const bool local = labels[0] == "local";
    return {local ? Form::local : Form::instance, service, labels[0], {}, {}};
  }
  if (count == 3 && labels[1] == "_tag") return {Form::tag, service, labels[0], {}, {}};
  if (const std::string protocol = underscored(labels[0]);
      count == 3 && labels[1] == "_tcp" && !protocol.empty()) {
    return {Form::protocol, service, protocol, {}, {}};
  }
  return {Form::none, service, {}, {}, {}};
}

Question read_name(const Control& control, std::string_view name) {
  std::string text = lower(name);
  if (text.ends_with('.')) text.pop_back();
  const std::vector<std::string> domains = control.dns().domains;
  for (const std::string& domain : domains) {
    if (text == domain) return {Question::Form::zone, {}, {}, {}, domain};
    if (!text.ends_with('.' + domain)) continue;
    text.resize(text.size() - domain.size() - 1);
    Question question = read_relative(text);
    question.name = text;
    question.domain = domain;
    // "order.rpc" is a service of that name, in the domain "rpc" also called order.
    const std::string whole = label_of(question.service_label + '.' + domain);
    if (!control.registry().knows(question.service_label) && control.registry().knows(whole))
      question.service_label = whole;
    return question;
  }
  const std::string label = label_of(name);
  return {Question::Form::whole, label, {}, label, domains.empty() ? "" : domains.front()};
}

/// The instances of the service that the name stands for, served or not.
bool is_meant(const Question& question, const Instance& instance) {
  using Form = Question::Form;
  switch (question.form) {
    case Form::whole:
      return true;
    case Form::type:
      return instance.port != 0;
    case Form::local:
      return instance.on_this_host;
    case Form::instance:
      return instance.id.label() == question.selector;
    case Form::typed_instance:
      return instance.id.label() == question.selector && instance.port != 0;
    case Form::tag:
      return std::any_of(instance.tags.begin(), instance.tags.end(), [&](const auto& tag) {
        return registry::to_label(tag) == question.selector;
      });
    case Form::protocol:
      return lower(instance.protocol) == question.selector;
    case Form::zone:
    case Form::none:
      return false;
  }
  OUTRIDER_UNREACHABLE();
}

bool has_addresses(Question::Form form) {
  using Form = Question::Form;
  return form == Form::whole || form == Form::local || form == Form::instance || form == Form::tag;
}

/// Whether DNS has the name at all, so that it says NODATA rather than NXDOMAIN.
bool is_there(const Question& question, bool service_known, bool any_meant) {
  using Form = Question::Form;
  switch (question.form) {
    case Form::zone:
      return true;
    case Form::whole:
    case Form::local:
    case Form::type:
      return service_known;
    case Form::instance:
    case Form::typed_instance:
    case Form::tag:
    case Form::protocol:
      return any_meant;
    case Form::none:
      return false;
  }
  OUTRIDER_UNREACHABLE();
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

/// What is looked at, and what comes of it.
struct Findings {
  Question question;
  bool service_known = false;
  bool known = false;              // the name is one that DNS has
  bool hidden = false;             // it is NXDOMAIN while nobody is served
  bool last_resort = false;        // critical ones are answered, for there is nothing better
  std::vector<InstancePtr> all;    // of the service
  std::vector<InstancePtr> meant;  // by the name
  std::vector<InstancePtr> told;   // of these, in the answer, in its order
};

Findings look_for(const Control& control, std::string_view name) {
  const registry::Registry& registry = control.registry();
  const HostView host = control.host();
  Findings found{.question = read_name(control, name)};
  const Question& question = found.question;
  found.all = registry.instances(question.service_label);
  found.service_known = registry.knows(question.service_label) || !found.all.empty();
  registry::ServedChoice choice = choose_served(found.all, control.dns().serving);
  found.last_resort = choice.last_resort;
  found.hidden = choice.hidden;
  std::vector<InstancePtr> told = std::move(choice.served);
  for (const InstancePtr& instance : found.all)
    if (is_meant(question, *instance)) found.meant.push_back(instance);
  std::erase_if(told, [&](const InstancePtr& instance) {
    const bool reachable = has_addresses(question.form) ? !served_addresses(*instance, host).empty()
                                                        : instance->port != 0;
    return !reachable || !is_meant(question, *instance);
  });
  std::stable_sort(told.begin(), told.end(), [&](const auto& a, const auto& b) {
    return rank_of(*a, host) < rank_of(*b, host);
  });
  found.told = std::move(told);
  found.known = is_there(question, found.service_known, !found.meant.empty());
  return found;
}

std::string counted(std::size_t count) {
  return std::to_string(count) + (count == 1 ? " known instance" : " known instances");
}

/// "none of the 2 known instances of hello has the tag red"
std::string nobody_like(const Question& question, std::size_t known) {
  using Form = Question::Form;
  const std::string has =
      known == 1 ? "the one known instance of " + question.service_label + " has "
                 : "none of the " + counted(known) + " of " + question.service_label + " has ";
  const std::string other = known == 1 ? "another " : "the ";
  switch (question.form) {
    case Form::instance:
    case Form::typed_instance:
      return has + other + "id" + (known == 1 ? "" : ' ' + question.selector);
    case Form::tag:
      return has + (known == 1 ? "not the tag " : "the tag ") + question.selector;
    case Form::protocol:
      return has + other + "protocol" + (known == 1 ? "" : ' ' + question.selector);
    case Form::local:
      return "no instance of " + question.service_label + " is on this host";
    case Form::type:
      return "no instance of " + question.service_label + " has a port";
    case Form::whole:
    case Form::zone:
    case Form::none:
      return "no name of that form is ever there";
  }
  OUTRIDER_UNREACHABLE();
}

std::string summary(const Control& control, const Findings& found, const std::string& name) {
  const registry::Registry& registry = control.registry();
  const Question& question = found.question;
  if (question.form == Question::Form::zone) return name + " is there whatever is registered.";
  if (!found.told.empty()) {
    return name + " answers with " + std::to_string(found.told.size()) + " of " +
           counted(found.meant.size()) + '.' +
           (found.last_resort ? " None is healthy: they are answered as a last resort." : "");
  }
  const bool any_served = std::any_of(found.meant.begin(), found.meant.end(),
                                      [](const auto& instance) { return instance->served(); });
  if (any_served && !control.dns().serving.only_passing)
    return name + " has no address: none of its instances can be reached from this host.";
  if (!found.meant.empty()) {
    return name +
           (found.hidden ? " does not exist now: of " : " exists but has no address now: of ") +
           counted(found.meant.size()) + ", " + states_of(found.meant) + '.';
  }
  if (!found.all.empty()) {
    return name + (found.known ? " exists but is empty: " : " does not exist: ") +
           nobody_like(question, found.all.size()) + '.';
  }
  if (found.service_known) {
    return name + " was here a short while ago and has no instance now: " +
           registry.why(question.service_label) + '.';
  }
  std::string text = "Nothing is known of " + question.service_label +
                     ": it is not registered here and was not seen on the network.";
  const std::string near = nearest_service(registry, question.service_label);
  if (!near.empty()) text += " Did you mean " + near + "?";
  return text;
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

/// "0 100 8080 hello-1.hello.svc", as SRV records have it.
void write_srv(json::Writer& out, const Findings& found, const std::string& domain,
               std::size_t most) {
  out.key("SRV").begin_array();
  std::size_t count = 0;
  for (const InstancePtr& instance : found.told) {
    if (instance->port == 0 || (most > 0 && count++ >= most)) continue;
    out.value("0 " + std::to_string(srv_weight(*instance)) + ' ' + std::to_string(instance->port) +
              ' ' + instance->id.label() + '.' + found.question.service_label + '.' + domain);
  }
  out.end_array();
}

std::string dns_name(const Question& question, const std::string& domain) {
  if (question.name.empty()) return domain;
  return question.name + (domain.empty() ? "" : '.' + domain);
}

/// Who answers, since ns is there for it: our own addresses.
void write_name_server(json::Writer& out, const DnsView& dns, std::string_view key, bool v6) {
  out.key(key).begin_array();
  for (const std::string& on : dns.listen) {
    const auto endpoint = Endpoint::parse(on);
    if (endpoint && endpoint->address.is_v6() == v6) out.value(endpoint->address.to_string());
  }
  out.end_array();
}

const char* rcode_of(const Findings& found) {
  if (!found.told.empty() || found.question.form == Question::Form::zone) return "NOERROR";
  return found.known && !found.hidden ? "NODATA" : "NXDOMAIN";
}

void write_dns(json::Writer& out, const Control& control, const Findings& found) {
  const DnsView dns = control.dns();
  const HostView host = control.host();
  const std::vector<InstancePtr> addressed =
      has_addresses(found.question.form) ? found.told : std::vector<InstancePtr>();
  out.key("dns").begin_array();
  for (const std::string& domain : dns.domains) {
    out.begin_object().member("name", dns_name(found.question, domain));
    out.member("answer", rcode_of(found));
    out.member("ttl", format_duration(dns.ttl));
    if (found.question.name == "ns") {
      write_name_server(out, dns, "A", false);
      write_name_server(out, dns, "AAAA", true);
    } else {
      write_data(out, "A", addressed, host, IpAddress::Family::v4, dns.answers);
      write_data(out, "AAAA", addressed, host, IpAddress::Family::v6, dns.answers);
    }
    write_srv(out, found, domain, dns.answers);
    out.end_object();
  }
  out.end_array();
  out.key("listen").begin_array();
  for (const std::string& on : dns.listen)
    out.value(on);
  out.end_array();
}

std::string place_of(const Instance& instance, const HostView& host) {
  switch (nearness_of(instance, host)) {
    case registry::Nearness::this_host:
      return "this host";
    case registry::Nearness::same_subnet:
      return "this subnet";
    case registry::Nearness::elsewhere:
      return "elsewhere";
  }
  OUTRIDER_UNREACHABLE();
}

/// One instance's place in the answers, as a sentence: "in the answer: passing for 12s", "not in
/// the answer: critical for 3s, check http: HTTP 503".
std::string reason_for(const Instance& instance, bool told, const HostView& host, TimePoint now) {
  if (instance.shadowed) return "not in the answer: a newer instance has the same address and port";
  const std::string since = ago(now, instance.latest.at);
  const CheckState* check = deciding_check(instance);
  const std::string says = check != nullptr ? check_says(*check) : std::string();
  const std::string check_since = check != nullptr ? ago(now, check->since.at) : since;
  switch (instance.health) {
    case Health::passing:
      if (served_addresses(instance, host).empty())
        return "not in the answer: it has no address that can be reached from here";
      if (instance.stale) return "in the answer, but stale: its network link is down";
      if (instance.own()) {
        return instance.checks.empty() ? "in the answer: registered without checks"
                                       : "in the answer: passing for " + ago(now, instance.up.at);
      }
      return "in the answer: announced as healthy";
    case Health::warning:
      return (told ? "in the answer, behind passing ones: warning for "
                   : "not in the answer, where only passing ones are: warning for ") +
             check_since + (says.empty() ? "" : ", " + says);
    case Health::starting:
      return "not in the answer: no check has passed yet" + (says.empty() ? "" : "; " + says);
    case Health::critical:
      return (told ? "in the answer as a last resort: critical for "
                   : "not in the answer: critical for ") +
             check_since + (says.empty() ? "" : ", " + says);
    case Health::draining:
      return "not in the answer: draining";
    case Health::maintenance:
      return "not in the answer: in maintenance" +
             (instance.maintenance_reason.empty() ? "" : ": " + instance.maintenance_reason);
  }
  OUTRIDER_UNREACHABLE();
}

}  // namespace

Explanation explain(const Control& control, std::string_view name) {
  const HostView host = control.host();
  const TimePoint now = control.now().at;
  const Findings found = look_for(control, name);
  const Question& question = found.question;

  Explanation explanation;
  explanation.known = found.known;
  json::Writer out(explanation.json);
  out.begin_object();
  out.member("service", question.service_label).member("known", found.known);
  out.member("summary", summary(control, found, dns_name(question, question.domain)));
  write_dns(out, control, found);
  out.key("instances").begin_array();
  for (const InstancePtr& instance : found.meant) {
    const bool told = std::find(found.told.begin(), found.told.end(), instance) != found.told.end();
    out.begin_object();
    out.member("id", instance->id.text()).member("in_answer", told);
    out.member("reason", reason_for(*instance, told, host, now));
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
