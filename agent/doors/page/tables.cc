// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/page/tables.h"

#include <algorithm>

#include "agent/doors/page/html.h"
#include "agent/doors/page/page.h"
#include "agent/registry/dropped.h"
#include "agent/registry/served.h"
#include "base/http/url.h"
#include "base/json_members.h"
#include "base/text.h"
#include "base/wall_time.h"

namespace outrider::doors::page {
namespace {

using json::list_at;
using json::text_at;

constexpr std::size_t kExplanationBytesMax = 4U << 20;

std::string cell(std::string_view text) {
  return "<td>" + html_text(text) + "</td>";
}

/// "2026-01-31 09:30:00Z"
std::string second_of(WallTime time) {
  std::string text = format_wall_time(time);
  if (const std::size_t t = text.find('T'); t != std::string::npos) text[t] = ' ';
  if (const std::size_t dot = text.find('.'); dot != std::string::npos)
    text.erase(dot, text.size() - dot - 1);
  return text;
}

std::string link_to(const std::string& label, std::string_view text) {
  return "<a href=\"/?service=" + http::percent_encode(label) + "\">" + html_text(text) + "</a>";
}

std::string joined_at(const json::Value& value, std::string_view key) {
  return join(list_at(value, key), ", ", [](const json::Value& each) {
    return each.as_string() == nullptr ? std::string() : *each.as_string();
  });
}

}  // namespace

ServicesTable::ServicesTable(const Control& control) : control_(&control) {
  const auto services = labels_with_dropped(control.registry());
  services_.assign(services.begin(), services.end());
}

bool ServicesTable::write(std::size_t instances) {
  for (std::size_t looked = 0; looked < instances && next_ < services_.size(); ++next_) {
    const auto& [label, dropped] = services_[next_];
    auto all = control_->registry().instances(label);
    all.insert(all.end(), dropped.begin(), dropped.end());
    if (!all.empty()) write_row(label, all);
    looked += all.size() + 1;
  }
  return next_ == services_.size();
}

void ServicesTable::write_row(const std::string& label,
                              const std::vector<registry::InstancePtr>& instances) {
  std::size_t served = 0, well = 0, unchecked = 0;
  WallTime since{};
  std::string why;
  for (const registry::InstancePtr& instance : instances) {
    served += instance->served() ? 1 : 0;
    since = std::max(since, instance->latest.wall);
    const bool is_well =
        instance->served() && instance->health == registry::Health::passing && !instance->stale;
    well += is_well ? 1 : 0;
    unchecked += is_well && instance->unchecked() ? 1 : 0;
    if (is_well || !why.empty()) continue;
    const std::string_view failure = failure_of(*instance);
    why = instance->id.text() + ": " + to_string(instance->health) +
          (failure.empty() ? "" : ", " + std::string(failure));
  }
  if (why.empty() && unchecked > 0)
    why = unchecked == instances.size() ? "no check"
                                        : "no check of " + std::to_string(unchecked) + " of " +
                                              std::to_string(instances.size());
  const Standing standing = served == 0               ? Standing::not_served
                            : well < instances.size() ? Standing::partly
                                                      : Standing::served;
  Group& group = groups_[static_cast<std::size_t>(standing)];
  if (++group.count > kStaticServicesMax) return;
  constexpr std::array<std::string_view, kStandings> kWords{"NOT SERVED", "partly", "served"};
  constexpr std::array<std::string_view, kStandings> kClasses{"bad", "fair", "good"};
  const auto which = static_cast<std::size_t>(standing);
  group.rows += "<tr><td class=" + std::string(kClasses[which]) + '>' + std::string(kWords[which]) +
                "</td><td>" + link_to(label, instances.front()->service.text()) + "</td>" +
                cell(std::to_string(served) + " of " + std::to_string(instances.size())) +
                cell(second_of(since)) + cell(why) + "</tr>\n";
}

std::string ServicesTable::text() const {
  const std::size_t failing = groups_[0].count;
  const std::size_t all = failing + groups_[1].count + groups_[2].count;
  std::string out = "<p><strong>";
  if (all == 0)
    out += "No service is known yet.";
  else if (failing == 0)
    out += "All of " + counted(all, "service") + (all == 1 ? " is served." : " are served.");
  else
    out += counted(failing, "service") + " of " + std::to_string(all) +
           (failing == 1 ? " is" : " are") + " not served.";
  out +=
      "</strong></p>\n<table><tr><th>State</th><th>Service</th><th>Served</th>"
      "<th>Last change</th><th>Why</th></tr>\n";
  for (const Group& group : groups_) {
    out += group.rows;
    if (group.count > kStaticServicesMax)
      out += "<tr><td colspan=5>and " + std::to_string(group.count - kStaticServicesMax) +
             " more: <code>outrider services</code></td></tr>\n";
  }
  return out + "</table>\n";
}

bool ServiceTable::write(std::size_t instances) {
  if (explaining_.left() > 0) explaining_.write(instances);
  if (explaining_.left() > 0) return false;
  const auto known = json::parse_foreign(explaining_.take().json, kExplanationBytesMax);
  text_ = "<p><a href=\"/\">All services</a></p>\n<h2>" + html_text(name_) + "</h2>\n";
  if (!known) {
    text_ += "<p>It has too many instances for this page; see <code>outrider why</code>.</p>\n";
    return true;
  }
  text_ += "<p>" + html_text(text_at(*known, "summary")) +
           "</p>\n<table><tr><th>Name</th><th>DNS answer</th><th>TTL</th><th>A</th><th>AAAA</th>"
           "<th>SRV</th><th>HTTPS</th><th>Extended error</th></tr>\n";
  for (const json::Value& dns : list_at(*known, "dns")) {
    const json::Value* const ede = dns.find("ede");
    text_ += "<tr>" + cell(text_at(dns, "name")) + cell(text_at(dns, "answer")) +
             cell(text_at(dns, "ttl")) + cell(joined_at(dns, "A")) + cell(joined_at(dns, "AAAA")) +
             cell(joined_at(dns, "SRV")) + cell(joined_at(dns, "HTTPS")) +
             cell(ede == nullptr ? std::string() : text_at(*ede, "text")) + "</tr>\n";
  }
  text_ +=
      "</table>\n<table><tr><th>Instance</th><th>Why</th><th>Addresses</th><th>Port</th>"
      "<th>Where</th><th>Source</th></tr>\n";
  std::size_t rows = 0;
  const json::Array& all = list_at(*known, "instances");
  for (const json::Value& entry : all) {
    const json::Value* const instance = entry.find("instance");
    if (instance == nullptr || ++rows > kStaticInstancesMax) break;
    const json::Value* const port = instance->find("port");
    const std::int64_t* const number = port == nullptr ? nullptr : port->as_int();
    text_ += "<tr>" + cell(text_at(entry, "id")) + cell(text_at(entry, "reason")) +
             cell(joined_at(*instance, "addresses")) +
             cell(number == nullptr ? std::string() : std::to_string(*number)) +
             cell(text_at(entry, "place")) + cell(text_at(*instance, "source")) + "</tr>\n";
  }
  if (all.size() > kStaticInstancesMax)
    text_ += "<tr><td colspan=6>and " + std::to_string(all.size() - kStaticInstancesMax) +
             " more: <code>outrider why</code></td></tr>\n";
  text_ += "</table>\n";
  return true;
}

}  // namespace outrider::doors::page
