// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/why.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <set>

#include "agent/doors/findings.h"
#include "agent/doors/instance_json.h"
#include "agent/registry/dropped.h"
#include "agent/registry/name_grammar.h"
#include "agent/registry/served.h"
#include "base/rounded_duration.h"
#include "base/text.h"
#include "base/utf8.h"

namespace outrider::doors {
namespace {

using registry::CheckState;
using registry::GivenName;
using registry::Health;
using registry::HostView;
using registry::Instance;
using registry::InstancePtr;
using registry::NameForm;
using registry::NameMeaning;

/// Never negative: the moment of a past view may be before what it shows.
std::string rounded(Duration gone) {
  return format_rounded(std::max(Duration::zero(), gone));
}
std::string ago(TimePoint now, TimePoint then) {
  return rounded(now - then);
}

/// The service whose name is most like `label`, for a typing mistake; empty if none is.
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

/// "none of the 2 known instances of hello has the tag red"
std::string nobody_like(const NameMeaning& name, std::size_t known) {
  const std::string some =
      known == 1 ? "the one known instance of " + name.service
                 : "none of the " + counted(known, "known instance") + " of " + name.service;
  const std::string has = some + " has ";
  const std::string other = known == 1 ? "another " : "the ";
  switch (name.form) {
    case NameForm::instance:
    case NameForm::typed_instance:
      return has + other + "id" + (known == 1 ? "" : ' ' + name.selector);
    case NameForm::tag:
      return some + (known == 1 ? " does not have the tag " : " has the tag ") + name.selector;
    case NameForm::protocol:
      return has + other + "protocol" + (known == 1 ? "" : ' ' + name.selector);
    case NameForm::local:
      return "no instance of " + name.service + " is on this host";
    case NameForm::type:
      return "no instance of " + name.service + " has a port";
    case NameForm::whole:
    case NameForm::zone:
    case NameForm::none:
      return "no such form of name exists";
  }
  OUTRIDER_UNREACHABLE();
}

std::string summary(const View& view, const Findings& found, const std::string& name) {
  const registry::Registry& registry = view.registry;
  const NameMeaning& meaning = found.name.meaning;
  if (found.place != Findings::Place::none) {
    const bool address = found.place == Findings::Place::address;
    return name +
           (address ? " is an address, not the name of a service"
                    : " is the name of a host in mDNS, not of a service") +
           (found.meant.empty() ? "; no known instance is there."
                                : "; " + counted(found.meant.size(), "known instance") +
                                      (found.meant.size() == 1 ? " is" : " are") + " there.");
  }
  if (meaning.form == NameForm::zone) return name + " always exists, whatever is registered.";
  if (!found.answered.empty()) {
    return name + " answers with " + std::to_string(found.answered.size()) + " of " +
           counted(found.meant.size(), "known instance") + '.' +
           (meaning.form == NameForm::whole &&
                    is_bridged(meaning.service, found.answered, view.dns.bridged)
                ? " Its address is that of the bridge on this host, which passes connections on."
                : "") +
           (found.last_resort ? " None is healthy: they are answered as a last resort." : "");
  }
  const bool any_served = std::any_of(found.meant.begin(), found.meant.end(),
                                      [](const auto& instance) { return instance->served(); });
  if (any_served && !view.dns.serving.only_passing)
    return name + " has no address: none of its instances can be reached from this host.";
  if (!found.meant.empty()) {
    return name +
           (found.hidden ? " does not exist now: of " : " exists but has no address now: of ") +
           counted(found.meant.size(), "known instance") + ", " + states_of(found.meant) + '.';
  }
  if (!found.all.empty()) {
    return name + (found.known ? " exists but is empty: " : " does not exist: ") +
           nobody_like(meaning, found.all.size()) + '.';
  }
  if (found.service_known) {
    return name +
           " was here a short while ago and has no instance now: " + registry.why(meaning.service) +
           '.';
  }
  std::string text = "Nothing is known of " + meaning.service +
                     ": it is not registered here and was not seen on the network.";
  const std::string near = nearest_service(registry, meaning.service);
  if (!near.empty()) text += " Did you mean " + near + "?";
  return text;
}

void write_probes(json::Writer& out, const Control* probes, const Instance& instance) {
  out.key("probes").begin_array();
  for (const CheckState& check : instance.checks) {
    const CheckReport report =
        probes != nullptr ? probes->check_report(instance.id.text(), check.spec.id) : CheckReport();
    out.begin_object();
    out.member("check", check.spec.id).member("kind", kind_name(check.spec));
    out.member("health", to_string(check.health)).member("output", check.output);
    out.member("passes_in_a_row", static_cast<std::uint64_t>(report.successes));
    out.member("failures_in_a_row", static_cast<std::uint64_t>(report.failures));
    out.member("flapping", report.flapping);
    // Nothing probes a heartbeat: this is when it will have been missed.
    const bool heartbeat = std::holds_alternative<TtlCheck>(check.spec.kind);
    if (report.next) out.member(heartbeat ? "expires_in" : "next_in", rounded(*report.next));
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

/// Where it is copied to. A past moment does not tell.
void write_copies(json::Writer& out, const Control* control, const Instance& instance) {
  const auto copies = control != nullptr ? control->copies_of(instance) : std::vector<CopyView>();
  out.key("copies").begin_array();
  for (const CopyView& copy : copies)
    out.begin_object()
        .member("from", copy.from)
        .member("to", copy.to)
        .member("by", copy.by)
        .end_object();
  out.end_array();
}

void write_dns(json::Writer& out, const View& view, const Findings& found) {
  out.key("dns").begin_array();
  if (found.place == Findings::Place::none)  // else it is no name of ours
    for (const std::string& domain : view.dns.domains)
      write_answer(out, view, found, domain);
  out.end_array();
  out.key("listen").begin_array();
  for (const std::string& on : view.dns.listen)
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

/// Until the last place where it was seen expires, unless it is seen again; nothing if one of them
/// does not expire.
std::optional<Duration> time_left(const Instance& instance, TimePoint now) {
  if (instance.places.empty()) return std::nullopt;
  const auto last = std::ranges::max(instance.places, {}, &registry::SightedPlace::expires).expires;
  return last == TimePoint::max() ? std::nullopt : std::optional(last - now);
}

/// Names of others that the summary quotes.
constexpr std::size_t kClashesNamed = 8;

/// " another.host announces an instance with the id web too: it is shown as web-1a2b3c."
std::string clashes_of(const Findings& found) {
  std::string text;
  std::size_t named = 0;
  for (const InstancePtr& instance : found.all)
    if (instance->renamed() && ++named <= kClashesNamed)
      text += ' ' + instance->places.front().host + " announces the id " + instance->announced_id +
              ", which another instance has: it is shown as " + instance->id.text() + '.';
  return text;
}

/// " Registered as pay_api and pay-api, which are one name in DNS: pay-api."
std::string spellings_of(const Findings& found) {
  std::set<std::string> texts;
  for (const InstancePtr& instance : found.all)
    if (texts.size() < kClashesNamed) texts.insert(instance->service.text());
  if (texts.size() < 2) return {};
  std::string all;
  for (const std::string& text : texts)
    all += (all.empty() ? "" : " and ") + text;
  return " Registered as " + all +
         ", which are one name in DNS: " + found.all.front()->service.label() + '.';
}

/// " web-a-80 is the id without the suffix of its host: web-a-80-1a2b3c."
std::string short_id_of(const Findings& found) {
  const NameMeaning& meaning = found.name.meaning;
  const std::string asked = registry::read_name(found.name.relative).selector;
  const bool one = meaning.form == NameForm::instance || meaning.form == NameForm::typed_instance;
  if (!one || asked.empty() || found.meant.empty() || !meaning.selector.starts_with(asked + '-'))
    return {};
  return ' ' + asked +
         " is the id without the suffix of its host: " + found.meant.front()->id.text() + '.';
}

/// " web-1 is registered here but not listed: critical for more than 1m, check http: HTTP 503."
std::string dropped_of(const View& view, const Findings& found) {
  std::string text;
  std::size_t named = 0;
  for (const InstancePtr& own : registry::dropped_in(view.registry))
    if (own->service.label() == found.name.meaning.service && ++named <= kClashesNamed)
      text += ' ' + own->id.text() +
              " is registered here but not listed: " + registry::why_dropped(*own) +
              "; it comes back when its checks pass.";
  return text;
}

/// Whether checks or maintenance of the host as a whole decide, and not those of the registration.
bool is_decided_by_host(const Instance& instance) {
  if (!instance.own() || instance.health == Health::passing || instance.draining) return false;
  if (instance.health == Health::maintenance) return !instance.maintenance;
  const std::string_view health = to_string(instance.health);
  return std::ranges::none_of(
      instance.checks, [&](const CheckState& check) { return to_string(check.health) == health; });
}

/// One instance's place in the answers, as a sentence: "in the answer: passing for 12s", "not in
/// the answer: critical for 3s, check http: HTTP 503".
std::string reason_for(const Instance& instance, bool answered, TimePoint now) {
  if (instance.shadowed) return "not in the answer: a newer instance has the same address and port";
  const std::string since = ago(now, instance.latest.at);
  const bool by_host = is_decided_by_host(instance);
  const CheckState* check = by_host ? nullptr : deciding_check(instance);
  const std::string says = check != nullptr ? check_says(*check)
                           : by_host        ? "by a check of this host as a whole"
                                            : std::string();
  const std::string check_since = check != nullptr ? ago(now, check->since.at) : since;
  if (usable(instance.health) && !answered) {
    if (!is_reachable(instance))
      return "not in the answer: it has no address that can be reached from here";
    if (instance.port == 0) return "not in the answer: it has no port";
  }
  switch (instance.health) {
    case Health::passing:
      if (instance.stale) return "in the answer, but stale: " + why_stale(instance);
      if (instance.unchecked()) return "in the answer: registered without checks";
      if (instance.own()) return "in the answer: passing for " + ago(now, instance.up.at);
      return registry::is_remote(instance.source) ? "in the answer: registered as healthy"
                                                  : "in the answer: announced as healthy";
    case Health::warning:
      return (answered ? "in the answer, behind passing ones: warning for "
                       : "not in the answer, where only passing ones are: warning for ") +
             check_since + (says.empty() ? "" : ", " + says);
    case Health::starting:
      return "not in the answer: no check has passed yet" + (says.empty() ? "" : "; " + says);
    case Health::critical:
      return (answered ? "in the answer as a last resort: critical for "
                       : "not in the answer: critical for ") +
             check_since + (says.empty() ? "" : ", " + says);
    case Health::draining:
      return "not in the answer: draining";
    case Health::maintenance:
      if (by_host) return "not in the answer: this host as a whole is in maintenance";
      return "not in the answer: in maintenance" +
             (instance.maintenance_reason.empty() ? "" : ": " + instance.maintenance_reason);
  }
  OUTRIDER_UNREACHABLE();
}

}  // namespace

Reasons reasons_for(const View& view, const Findings& found, std::size_t most) {
  Reasons reasons;
  reasons.summary = summary(view, found, dns_name(found.name.relative, found.name.domain)) +
                    dropped_of(view, found);
  const std::set<InstancePtr> answered(found.answered.begin(), found.answered.end());
  for (const InstancePtr& instance : found.meant) {
    if (reasons.lines.size() == most) break;
    reasons.lines.push_back(
        {instance->id.text(), reason_for(*instance, answered.contains(instance), view.now.at)});
  }
  return reasons;
}

Explaining::Explaining(const View& view, std::string_view name, const Control* probes)
    : found_(look_for(view, name)),
      answered_(found_.answered.begin(), found_.answered.end()),
      host_(view.host),
      now_(view.now.at),
      probes_(probes) {
  const registry::GivenName& given = found_.name;
  out_.begin_object();
  out_.member("service", given.meaning.service).member("known", found_.known);
  out_.member("at", format_wall_time(view.now.wall));
  out_.member("summary", summary(view, found_, dns_name(given.relative, given.domain)) +
                             clashes_of(found_) + spellings_of(found_) + short_id_of(found_) +
                             dropped_of(view, found_));
  write_dns(out_, view, found_);
  out_.key("instances").begin_array();
  if (left() == 0) write(0);
}

std::vector<LeaseName> Explaining::leases() const {
  std::set<LeaseName> known;
  std::vector<LeaseName> leases;
  for (const InstancePtr& instance : found_.meant)
    for (const registry::SightedPlace& place : instance->places) {
      if (place.detail->lease == 0) continue;
      if (leases.size() == kLeasesAskedMax) return leases;
      LeaseName name{place.host, place.detail->lease};
      if (known.insert(name).second) leases.push_back(std::move(name));
    }
  return leases;
}

void Explaining::write(std::size_t most) {
  for (std::size_t count = 0; count < most && left() > 0; ++count) {
    const InstancePtr& instance = found_.meant[next_++];
    const bool answered = answered_.contains(instance);
    out_.begin_object();
    out_.member("id", instance->id.text()).member("in_answer", answered);
    out_.member("reason", reason_for(*instance, answered, now_));
    out_.member("place", place_of(*instance, host_));
    if (const auto left = time_left(*instance, now_)) out_.member("expires_in", rounded(*left));
    out_.key("instance");
    write_instance(
        out_, *instance, host_, lease_times_,
        probes_ != nullptr ? probes_->written_places(*instance) : std::vector<WrittenPlace>());
    write_probes(out_, probes_, *instance);
    write_copies(out_, probes_, *instance);
    out_.end_object();
  }
  if (left() == 0) out_.end_array().end_object();
}

Explanation explain(const Control& control, std::string_view name) {
  Explaining explaining(view_of(control), name, &control);
  if (explaining.left() > 0) explaining.write(explaining.left());
  return explaining.take();
}

}  // namespace outrider::doors
