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
    : env_(env), registry_(registry), file_(std::move(file)) {}

// --- reading ---------------------------------------------------------------------------------

void Persistence::start(Restore restore) {
  if (file_ == nullptr) return;
  restore_ = std::move(restore);
  open();
}

void Persistence::open() {
  auto opened = file_->open();
  held_ = !opened && opened.error().kind == StateError::Kind::held;
  if (opened) return take_over(std::move(*opened));
  if (opened.error().kind == StateError::Kind::unreadable) {
    const auto kept = file_->set_aside(StateFile::Original::moved);
    env_.log.record(LogEvent::state_unreadable,
                    {{"file", file_->path()},
                     {"reason", without_path(opened.error().reason, file_->path())},
                     {"kept", kept ? *kept : kept.error()}});
    if (kept) return take_over({});
  }
  report(opened.error().reason);
  // An agent that is ending gives the file free.
  if (held_) retry_ = env_.after(kStateRetry, [this] { open(); });
}

void Persistence::take_over(StateFile::Opened opened) {
  open_ = opened.unwritable.empty();
  std::map<std::string, Saved> by_id;
  std::string wrong = read(opened.text, by_id);
  std::vector<Saved> saved;
  for (auto& [id, one] : by_id)
    saved.push_back(std::move(one));
  file_bytes_ = opened.text.size();
  if (!wrong.empty()) {
    const auto kept = open_ ? file_->set_aside(StateFile::Original::stays)
                            : Result<std::string, std::string>(file_->path());
    replace_ = true;
    env_.log.record(LogEvent::state_unreadable, {{"file", file_->path()},
                                                 {"reason", without_path(wrong, file_->path())},
                                                 {"kept", kept ? *kept : kept.error()}});
  }
  report(opened.unwritable);
  if (!saved.empty())
    env_.log.record(LogEvent::state_restored,
                    {{"file", file_->path()}, {"registrations", saved.size()}});
  if (restore_) std::exchange(restore_, nullptr)(std::move(saved));
  // The registry may have refused a part of what was read, and knows what was not written.
  for (const auto& [id, line] : lines_)
    changed_.insert(id);
  for (const registry::InstancePtr& instance : registry_.own())
    changed_.insert(instance->id.text());
  if (open_ && (!changed_.empty() || !wrong.empty())) arm();
}

std::string Persistence::read(const std::string& text, std::map<std::string, Saved>& found) {
  lines_.clear();
  live_bytes_ = 0;
  replace_ = !text.ends_with('\n');
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
      found.erase(id);
    } else {
      lines_[id] = line;
      found.insert_or_assign(id, std::move(*saved));
    }
  }
  if (wrong.empty() && lines_.empty() && text.find('\n') == std::string::npos &&
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
  if (file_ == nullptr) return;
  for (const std::string& id : configured_)
    changed_.insert(id);
  configured_ = {ids.begin(), ids.end()};
  changed_.insert(ids.begin(), ids.end());
  if (open_) arm();
}

// --- writing ---------------------------------------------------------------------------------

void Persistence::touch(std::string_view id) {
  if (file_ == nullptr) return;
  changed_.emplace(id);
  arm();
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

void Persistence::arm() {
  if (writing_ || flush_timer_.pending()) return;
  // A file that cannot be used is tried again while there is something to write, not when idle.
  if (!open_) {
    if (!retry_.pending()) retry_ = env_.after(kStateRetry, [this] { open(); });
    return;
  }
  flush_timer_ = env_.after(Duration::zero(), [this] { flush(); });
}

void Persistence::touch_later(std::string_view id) {
  if (!open_) return;
  renewed_.emplace(id);
  if (!renewal_timer_.pending())
    renewal_timer_ = env_.after(kRenewalDelay, [this] { flush_renewals(); });
}

void Persistence::flush_renewals() {
  renewal_timer_.reset();
  changed_.merge(renewed_);
  renewed_.clear();
  if (!changed_.empty()) arm();
}

void Persistence::flush() {
  flush_timer_.reset();
  if (writing_ || !open_) return;
  retry_.reset();
  changed_.merge(renewed_);
  renewed_.clear();
  renewal_timer_.reset();
  std::string changed_lines = collect();
  std::ranges::move(waiting_for_next_, std::back_inserter(waiting_));
  waiting_for_next_.clear();
  // A file is not made for nothing.
  const bool nothing_failed = failure_.empty() || lines_.empty();
  if (changed_lines.empty() && nothing_failed && (!replace_ || file_bytes_ == 0))
    return on_written({});
  write(std::move(changed_lines));
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

/// Appends them, or replaces the file by all lines that count.
void Persistence::write(std::string changed_lines) {
  writing_ = true;
  const auto done = [this](auto result) { on_written(std::move(result)); };
  const bool is_outdated = file_bytes_ + changed_lines.size() > kJournalBytesMin + 2 * live_bytes_;
  if (!replace_ && !is_outdated) {
    file_bytes_ += changed_lines.size();
    return file_->write(StateFile::Write::append, std::move(changed_lines), done);
  }
  std::string text = header();
  for (const auto& [id, line] : lines_)
    text += line + '\n';
  file_bytes_ = text.size();
  replace_ = false;
  file_->write(StateFile::Write::replace, std::move(text), done);
}

void Persistence::on_written(Result<void, std::string> result) {
  writing_ = false;
  report(result ? std::string() : result.error());
  if (!result) {
    replace_ = true;
    retry_ = env_.after(kStateRetry, [this] { flush(); });
  }
  const std::string why = failure_;
  if (!changed_.empty()) arm();
  // The callbacks may ask for more.
  for (KeptCallback& callback : std::exchange(waiting_, {}))
    callback(why);
}

void Persistence::when_kept(KeptCallback callback) {
  if (file_ == nullptr || !open_) return callback({});
  if (!changed_.empty())
    waiting_for_next_.push_back(std::move(callback));
  else if (writing_)
    waiting_.push_back(std::move(callback));
  else
    callback(failure_);
}

void Persistence::report(const std::string& failure) {
  const bool failed_before = !failure_.empty();
  failure_ = failure;
  if (!failure.empty() && !failed_before)
    env_.log.record(LogEvent::state_failed,
                    {{"file", file_->path()}, {"reason", without_path(failure, file_->path())}});
  if (failure.empty() && failed_before)
    env_.log.record(LogEvent::state_recovered, {{"file", file_->path()}});
}

void Persistence::write_status(json::Writer& out) const {
  out.member("on", file_ != nullptr && open_);
  if (file_ == nullptr) return;
  out.member("file", file_->path()).member("kept", std::uint64_t{lines_.size()});
  if (!failure_.empty()) out.member("failure", failure_).member("held", held_);
  out.key("unreadable").begin_array();
  for (const std::string& path : file_->files_aside())
    out.value(path);
  out.end_array();
}

}  // namespace outrider
