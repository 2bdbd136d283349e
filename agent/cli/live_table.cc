// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/live_table.h"

#include <algorithm>
#include <vector>

#include "agent/cli/answer.h"
#include "agent/cli/local_time.h"
#include "base/log.h"
#include "base/text.h"
#include "base/wall_time.h"

namespace outrider::cli {
namespace {

using json::list_at;
using json::text_at;

/// Lines of a screen besides the services.
constexpr std::size_t kHeadLines = 3;

std::string key_of(const json::Value& instance) {
  return text_at(instance, "id") + '@' + endpoint_of(instance);
}

/// The check that is to blame; else the first one.
const json::Value* telling_check(const json::Value& instance) {
  const json::Array& checks = list_at(instance, "checks");
  for (const std::string_view health : {"critical", "warning", "starting"})
    for (const json::Value& check : checks)
      if (text_at(check, "health") == health) return &check;
  return checks.empty() ? nullptr : &checks.front();
}

std::string clock_of(const std::string& time) {
  const auto when = parse_wall_time(time);
  if (!when) return "-";
  const std::string text = local_text(*when, wall_now());
  return text.substr(0, text.rfind('.'));
}

/// In as many columns as there are; what has no place is cut.
std::string cell(std::string text, std::size_t columns) {
  text.resize(columns, ' ');
  return text;
}

}  // namespace

struct LiveTable::Row {
  std::string name, endpoint, state, since, reason;
  std::size_t served = 0, known = 0;
};

LiveTable::Entry LiveTable::entry_of(const json::Value& instance) {
  Entry entry;
  // Announced, but without an address yet, it is of no use.
  entry.served = json::flag_at(instance, "served") && !list_at(instance, "addresses").empty();
  entry.here = json::flag_at(instance, "this_host");
  entry.health = text_at(instance, "health");
  entry.endpoint = endpoint_of(instance);
  if (const json::Value* check = telling_check(instance)) {
    entry.since = clock_of(text_at(*check, "since"));
    if (entry.health != "passing")
      entry.reason = std::string(first_line(text_at(*check, "output")));
  }
  if (json::flag_at(instance, "unchecked") && entry.health == "passing") entry.reason = "no check";
  if (const std::string limit = text_at(instance, "limit"); !limit.empty()) entry.reason = limit;
  return entry;
}

void LiveTable::put(const json::Value& instance) {
  services_[text_at(instance, "service")][key_of(instance)] = entry_of(instance);
}

void LiveTable::remove(const json::Value& instance) {
  const auto service = services_.find(text_at(instance, "service"));
  if (service == services_.end()) return;
  // Its addresses may be others than when it was put here.
  const std::string id = text_at(instance, "id") + '@';
  std::erase_if(service->second, [&](const auto& one) { return one.first.starts_with(id); });
  if (service->second.empty()) services_.erase(service);
}

void LiveTable::apply(std::string_view event, const json::Value& data) {
  if (event == "snapshot") {
    services_.clear();
    for (const std::string_view list : {"instances", "dropped"})
      for (const json::Value& instance : list_at(data, list))
        put(instance);
  }
  for (const json::Value& instance : list_at(data, "ended"))
    remove(instance);
  for (const json::Value& change : list_at(data, "changes")) {
    const json::Value* instance = change.find("instance");
    if (instance == nullptr) continue;
    remove(*instance);
    if (text_at(change, "kind") != "removed" || json::flag_at(change, "dropped")) put(*instance);
  }
}

std::size_t LiveTable::served() const {
  std::size_t count = 0;
  for (const auto& [name, entries] : services_)
    count += static_cast<std::size_t>(
        std::ranges::count_if(entries, [](const auto& one) { return one.second.served; }));
  return count;
}

std::size_t LiveTable::instances() const {
  std::size_t count = 0;
  for (const auto& [name, entries] : services_)
    count += entries.size();
  return count;
}

std::string LiveTable::screen(Size size, std::string_view clock) const {
  std::vector<Row> rows;
  for (const auto& [name, entries] : services_) {
    Row row{escape_untrusted(name), {}, {}, {}, {}};
    for (const auto& [key, entry] : entries) {
      ++row.known;
      if (entry.served) ++row.served;
      // The first failing instance speaks for its service.
      const bool failing = !entry.served || entry.health != "passing";
      if (!row.state.empty() && (!failing || row.state != "passing")) continue;
      row.state = entry.health;
      row.since = entry.since;
      row.reason = escape_untrusted(entry.reason);
      row.endpoint = escape_untrusted(entry.endpoint);
    }
    rows.push_back(std::move(row));
  }
  std::ranges::stable_sort(rows, [](const Row& a, const Row& b) {
    const auto rank = [](const Row& row) {
      return row.served == 0 ? 0 : row.served < row.known || row.state != "passing" ? 1 : 2;
    };
    return rank(a) < rank(b);
  });
  const std::size_t shown =
      std::min(rows.size(), size.rows > kHeadLines ? size.rows - kHeadLines : 0);
  std::string out = "outrider  " + std::string(clock) + "  " + counted(rows.size(), "service") +
                    ", " + std::to_string(served()) + " of " + counted(instances(), "instance") +
                    " healthy  (q quits)";
  out.resize(std::min(out.size(), size.columns));
  const auto line = [&](const std::vector<std::string>& cells) {
    std::string text = cell(cells[0], 20) + "  " + cell(cells[1], 9) + "  " + cell(cells[2], 11) +
                       "  " + cell(cells[3], 8) + "  " + cell(cells[4], 21) + "  " + cells[5];
    text.resize(std::min(text.size(), size.columns));
    out += '\n' + text.substr(0, text.find_last_not_of(' ') + 1);
  };
  line({"SERVICE", "HEALTHY", "STATE", "SINCE", "ENDPOINT", "REASON"});
  for (std::size_t i = 0; i < shown; ++i) {
    const Row& row = rows[i];
    line({row.name, std::to_string(row.served) + " of " + std::to_string(row.known), row.state,
          row.since, row.endpoint, row.reason});
  }
  if (shown < rows.size()) out += "\nand " + std::to_string(rows.size() - shown) + " more";
  return out + '\n';
}

}  // namespace outrider::cli
