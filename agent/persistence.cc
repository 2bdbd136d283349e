// SPDX-License-Identifier: Apache-2.0
#include "agent/persistence.h"

#include <algorithm>
#include <utility>

#include "agent/registry/spec_of.h"
#include "base/json_members.h"
#include "base/json_repeated.h"

namespace outrider {
namespace {

using registry::ServiceSpec;

std::string header() {
  std::string line;
  json::Writer out(line);
  out.begin_object();
  out.member("outrider", "registrations").member("version", kStateVersion);
  out.end_object();
  return line + '\n';
}

std::int64_t milliseconds_of(WallTime wall) {
  return std::chrono::floor<std::chrono::milliseconds>(wall.time_since_epoch()).count();
}

bool is_kept(const registry::CheckState& check) {
  return std::holds_alternative<TtlCheck>(check.spec.kind) && check.health != CheckHealth::starting;
}

/// Times of day become those of the monotonic clock, which counts from another start in each run.
registry::Moment moment_of(std::int64_t milliseconds, const Env& env) {
  const WallTime wall{std::chrono::milliseconds(milliseconds)};
  const Duration age = std::max(Duration::zero(), Duration(env.clock.wall() - wall));
  return {env.now() - age, wall};
}

std::optional<registry::Kept> parse_kept(const json::Value& line, const Env& env) {
  registry::Kept kept;
  if (const json::Value* reason = line.find("maintenance")) {
    if (reason->as_string() == nullptr) return std::nullopt;
    kept.maintenance = true;
    kept.maintenance_reason = *reason->as_string();
  }
  if (const json::Value* dropped = line.find("dropped")) {
    if (dropped->as_bool() == nullptr) return std::nullopt;
    kept.dropped = *dropped->as_bool();
  }
  const json::Value* heartbeats = line.find("heartbeats");
  if (heartbeats == nullptr) return kept;
  if (heartbeats->as_array() == nullptr) return std::nullopt;
  for (const json::Value& heartbeat : *heartbeats->as_array()) {
    const json::Value* renewed = heartbeat.find("renewed");
    const auto known = parse_check_health(json::text_at(heartbeat, "health"));
    if (!known || *known == CheckHealth::starting || renewed == nullptr ||
        renewed->as_int() == nullptr)
      return std::nullopt;
    kept.heartbeats.push_back({json::text_at(heartbeat, "check"), *known,
                               moment_of(*renewed->as_int(), env),
                               json::text_at(heartbeat, "output")});
  }
  return kept;
}

}  // namespace

Persistence::Persistence(Env& env, const registry::Registry& registry,
                         std::unique_ptr<StateFile> file)
    : env_(env),
      registry_(registry),
      journal_(env, std::move(file), StateJournal::Late::read,
               {.header = header(),
                .read = [this](std::string_view text) { return read(text); },
                .opened = [this](const std::string& wrong) { on_opened(wrong); },
                .lines = [this] { return lines(); },
                .whole = [this] { return whole(); }}) {}

// --- reading ---------------------------------------------------------------------------------

void Persistence::start(Restore restore) {
  if (journal_.file() == nullptr) return;
  restore_ = std::move(restore);
  journal_.start();
}

void Persistence::on_opened(const std::string& wrong) {
  std::vector<Saved> saved;
  for (auto& [id, one] : std::exchange(found_, {}))
    saved.push_back(std::move(one));
  if (!saved.empty())
    env_.log.record(LogEvent::state_restored,
                    {{"file", journal_.file()->path()}, {"registrations", saved.size()}});
  if (restore_) std::exchange(restore_, nullptr)(std::move(saved));
  // The registry may have refused a part of what was read, and knows what was not written.
  for (const auto& [id, line] : lines_)
    changed_.insert(id);
  for (const registry::InstancePtr& instance : registry_.own())
    changed_.insert(instance->id.text());
  if (!journal_.is_open()) return;
  if (!changed_.empty()) journal_.touch();
  if (!wrong.empty()) journal_.replace();
}

std::string Persistence::read(std::string_view text) {
  lines_.clear();
  live_bytes_ = 0;
  std::string wrong;
  std::string_view rest = text;
  for (std::size_t number = 1; !rest.empty(); ++number) {
    const std::size_t end = rest.find('\n');
    if (end == std::string_view::npos) break;  // an interrupted write
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    if (number == 1) {
      const auto first = json::parse(line, kSavedLineBytesMax);
      const json::Value* version = first ? first->find("version") : nullptr;
      const std::int64_t* number_of_version = version != nullptr ? version->as_int() : nullptr;
      if (number_of_version == nullptr) return "line 1: not a file of registrations";
      if (*number_of_version != kStateVersion)
        return "written by another version of outrider: format " +
               std::to_string(*number_of_version) + ", expected " + std::to_string(kStateVersion);
      continue;
    }
    auto saved = parse(line);
    if (!saved || (lines_.size() >= kSavedMax && !lines_.contains(saved->id))) {
      if (wrong.empty())
        wrong = "line " + std::to_string(number) + ": not a registration, or one too many";
      continue;
    }
    const std::string id = saved->id;
    if (!saved->spec && saved->kept == registry::Kept()) {
      lines_.erase(id);
      found_.erase(id);
    } else {
      lines_[id] = line;
      found_.insert_or_assign(id, std::move(*saved));
    }
  }
  if (wrong.empty() && lines_.empty() && text.find('\n') == std::string_view::npos &&
      !header().starts_with(text))
    wrong = "line 1: not a file of registrations";
  for (const auto& [id, line] : lines_)
    live_bytes_ += line.size() + 1;
  return wrong;
}

std::optional<Persistence::Saved> Persistence::parse(std::string_view line) const {
  const auto value = json::parse_repeated(line, kSavedLineBytesMax);
  if (!value) return std::nullopt;
  Saved saved{.id = json::text_at(*value, "id"), .spec = {}, .kept = {}};
  auto kept = parse_kept(*value, env_);
  if (saved.id.empty() || !kept) return std::nullopt;
  saved.kept = std::move(*kept);
  if (const json::Value* service = value->find("service")) {
    if (service->as_object() == nullptr) return std::nullopt;
    json::Object rows = *service->as_object();
    std::erase_if(rows, [](const auto& row) { return row.first == "id"; });
    auto spec = ServiceSpec::parse(json::Value(std::move(rows)));
    if (!spec) return std::nullopt;
    // A client's id may be one that the configuration would not accept.
    if (const std::string id = json::text_at(*service, "id"); id != "auto") {
      spec->id = registry::InstanceId::from_foreign(id);
      if (!spec->id || id != saved.id) return std::nullopt;
    }
    saved.spec = std::move(*spec);
  }
  return saved;
}

void Persistence::set_configured(const std::vector<std::string>& ids) {
  if (journal_.file() == nullptr) return;
  for (const std::string& id : configured_)
    changed_.insert(id);
  configured_ = {ids.begin(), ids.end()};
  changed_.insert(ids.begin(), ids.end());
  if (journal_.is_open()) journal_.touch();
}

// --- writing ---------------------------------------------------------------------------------

void Persistence::touch(std::string_view id) {
  if (journal_.file() == nullptr) return;
  changed_.emplace(id);
  journal_.touch();
}

std::string Persistence::line_of(const std::string& id) const {
  const registry::InstancePtr instance = registry_.find_exact(id);
  if (instance == nullptr) return {};
  // A door that keeps a registration itself knows best how it stands after a restart.
  const bool of_door = !instance->door->door.empty();
  const bool heartbeats = !of_door && std::ranges::any_of(instance->checks, is_kept);
  const bool registered_by_client = !of_door && !configured_.contains(id);
  if (id == registry::kNodeId && instance->checks.empty() && !instance->maintenance) return {};
  if (!registered_by_client && !heartbeats && !instance->maintenance) return {};
  std::string line;
  json::Writer out(line);
  out.begin_object().member("id", id);
  if (registered_by_client) {
    out.key("service");
    registry::write(out, registry::spec_of(*instance));
  }
  if (instance->maintenance) out.member("maintenance", instance->maintenance_reason);
  if (instance->dropped && id != registry::kNodeId) out.member("dropped", true);
  if (heartbeats) {
    out.key("heartbeats").begin_array();
    for (const registry::CheckState& check : instance->checks) {
      if (!is_kept(check)) continue;
      out.begin_object().member("check", check.spec.id);
      out.member("health", to_string(check.health));
      out.member("renewed", milliseconds_of(check.renewed.wall));
      out.member("output", check.output).end_object();
    }
    out.end_array();
  }
  out.end_object();
  return line;
}

void Persistence::touch_later(std::string_view id) {
  if (!journal_.is_open()) return;
  renewed_.emplace(id);
  if (!renewal_timer_.pending())
    renewal_timer_ = env_.after(kRenewalDelay, [this] { flush_renewals(); });
}

void Persistence::flush_renewals() {
  renewal_timer_.reset();
  changed_.merge(renewed_);
  renewed_.clear();
  if (!changed_.empty()) journal_.touch();
}

StateJournal::Lines Persistence::lines() {
  changed_.merge(renewed_);
  renewed_.clear();
  renewal_timer_.reset();
  std::string changed_lines = collect();
  return {std::move(changed_lines), journal_bytes_max(live_bytes_)};
}

/// Brings lines_ up to date; returns the lines that are new. What has gone comes first, so that a
/// reader never has more than kSavedMax at once.
std::string Persistence::collect() {
  std::string gone, text;
  for (const std::string& id : std::exchange(changed_, {})) {
    std::string line = line_of(id);
    const auto known = lines_.find(id);
    if (known == lines_.end() ? line.empty() : known->second == line) continue;
    if (known != lines_.end()) live_bytes_ -= known->second.size() + 1;
    if (line.empty()) {
      json::Writer(gone).begin_object().member("id", id).end_object();
      gone += '\n';
      lines_.erase(known);
      continue;
    }
    text += line + '\n';
    live_bytes_ += line.size() + 1;
    lines_[id] = std::move(line);
  }
  return gone + text;
}

std::string Persistence::whole() const {
  std::string text;
  for (const auto& [id, line] : lines_)
    text += line + '\n';
  return text;
}

void Persistence::write_status(json::Writer& out) const {
  journal_.write_status(out);
  if (journal_.file() != nullptr) out.member("kept", std::uint64_t{lines_.size()});
}

}  // namespace outrider
