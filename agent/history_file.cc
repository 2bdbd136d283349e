// SPDX-License-Identifier: Apache-2.0
#include "agent/history_file.h"

#include <limits>
#include <utility>

#include "base/wall_time.h"

namespace outrider {

using registry::HistoryReader;

HistoryFile::HistoryFile(Env& env, registry::History& history, const registry::Registry& registry,
                         std::unique_ptr<StateFile> file)
    : env_(env), history_(history), registry_(registry), file_(std::move(file)) {}

// --- reading ---------------------------------------------------------------------------------

void HistoryFile::start(const registry::Surroundings& surroundings, registry::Moment now) {
  if (file_ == nullptr) return;
  auto opened = file_->open();
  if (opened) return take_over(std::move(*opened), surroundings, now);
  if (opened.error().kind == StateError::Kind::unreadable) {
    set_aside(StateFile::Original::moved, opened.error().reason);
    return take_over({}, surroundings, now);
  }
  report(opened.error().reason);
  if (opened.error().kind == StateError::Kind::held)
    timer_ = env_.after(kHistoryRetry, [this] { open_later(); });
}

/// Another agent had the file at the start. What it left cannot be put before events that this run
/// already has.
void HistoryFile::open_later() {
  const auto opened = file_->open();
  if (opened && opened->unwritable.empty()) {
    open_ = true;
    if (!opened->text.empty())
      set_aside(StateFile::Original::stays, "it was in use when this agent started");
    return compose();
  }
  report(opened ? opened->unwritable : opened.error().reason);
  timer_ = env_.after(kHistoryRetry, [this] { open_later(); });
}

void HistoryFile::take_over(StateFile::Opened opened, const registry::Surroundings& surroundings,
                            registry::Moment now) {
  open_ = opened.unwritable.empty();
  file_bytes_ = opened.text.size();
  replace_ = !opened.text.ends_with('\n');
  const std::string wrong = read(opened.text, surroundings, now);
  if (!wrong.empty()) {
    history_.begin(surroundings, now);
    written_ = history_.newest();
    replace_ = true;
    set_aside(StateFile::Original::stays, wrong);
  }
  report(opened.unwritable);
  if (open_ && replace_)
    timer_ = env_.after(kHistoryDelay, [this] { compose(); });
  else
    touch();
}

std::string HistoryFile::read(const std::string& text, const registry::Surroundings& surroundings,
                              registry::Moment now) {
  written_ = history_.newest();
  if (text.empty()) return {};
  if (text.size() > kHistoryFileBytesMax)
    return "longer than " + std::to_string(kHistoryFileBytesMax >> 20) + " MiB";
  HistoryReader reader(history_, now);
  std::string_view rest = text;
  for (std::size_t number = 1; !rest.empty(); ++number) {
    const std::size_t end = rest.find('\n');
    if (end == std::string_view::npos && number > 1) break;  // an interrupted write
    if (end == std::string_view::npos || !reader.read(rest.substr(0, end)))
      return reader.refusal().empty()
                 ? "line " + std::to_string(number) + ": not a line of a history, or one too many"
                 : reader.refusal();
    rest.remove_prefix(end + 1);
  }
  written_ = history_.newest();
  reader.end(surroundings);
  return {};
}

void HistoryFile::set_aside(StateFile::Original original, const std::string& reason) {
  auto kept = Result<std::string, std::string>(file_->path());
  if (open_ || original == StateFile::Original::moved) kept = file_->set_aside(original);
  env_.log.record(LogEvent::history_unreadable, {{"file", file_->path()},
                                                 {"reason", without_path(reason, file_->path())},
                                                 {"kept", kept ? *kept : kept.error()}});
}

// --- writing ---------------------------------------------------------------------------------

void HistoryFile::touch() {
  if (open_ && !writing_ && !timer_.pending() && written_ < history_.newest())
    timer_ = env_.after(kHistoryDelay, [this] { compose(); });
}

void HistoryFile::finish(Callback<void()> done) {
  timer_.reset();
  finished_ = std::move(done);
  if (writing_) return;  // on_written() goes on
  // Twice, for a file that has become too long.
  for (int attempt = 0; attempt < 2 && open_ && finished_; ++attempt)
    if (compose(std::numeric_limits<std::size_t>::max())) return write();
  if (finished_) std::exchange(finished_, nullptr)();
}

void HistoryFile::compose() {
  timer_.reset();
  if (!open_ || writing_) return;
  if (compose(kHistoryLinesPerTurn)) return write();
  if (!timer_.pending() && (replace_ || !text_.empty()))
    timer_ = env_.after(Duration::zero(), [this] { compose(); });
}

/// Adds at most this many lines to text_; true when it is to be written.
bool HistoryFile::compose(std::size_t lines) {
  if (written_ < history_.oldest()) {
    replace_ = true;
    head_.reset();
  }
  if (replace_ && !head_ && !begin_again()) return false;
  if (head_) lines -= head_->write(text_, lines);
  for (; lines > 0 && written_ < history_.newest(); --lines)
    text_ += history_line(history_, written_++, registry_);
  if (lines == 0) return false;  // the end comes in a later turn
  if (!replace_ && file_bytes_ + text_.size() > kHistoryFileBytesMax) {
    replace_ = true;
    return false;
  }
  return !text_.empty();
}

/// A new file begins where the history does, or somewhat later: the history must not drop events
/// before their lines are made.
bool HistoryFile::begin_again() {
  text_.clear();
  if (const std::size_t count = registry_.instance_count(); count > kHistoryHeadInstancesMax) {
    give_up("more than " + std::to_string(kHistoryHeadInstancesMax) +
            " instances: " + std::to_string(count));
    return false;
  }
  const registry::History::Place oldest = history_.oldest();
  const bool nearly_full = history_.bytes() > registry::kHistoryBytesMax / 2;
  written_ = nearly_full ? oldest + (history_.newest() - oldest) / 4 : oldest;
  head_.emplace(history_, written_, registry_);
  return true;
}

void HistoryFile::write() {
  head_.reset();
  std::string text = std::exchange(text_, {});
  if (text.size() > kHistoryFileBytesMax) return give_up("longer than a history file may be");
  const bool replaces = std::exchange(replace_, false);
  file_bytes_ = (replaces ? 0 : file_bytes_) + text.size();
  writing_ = true;
  file_->write(replaces ? StateFile::Write::replace : StateFile::Write::append, std::move(text),
               [this](auto result) { on_written(std::move(result)); });
}

void HistoryFile::on_written(Result<void, std::string> result) {
  writing_ = false;
  if (!result) return give_up(result.error());
  report({});
  if (finished_) return finish(std::move(finished_));
  touch();
}

/// What the file ends with is not known, or it cannot be replaced now.
void HistoryFile::give_up(std::string failure) {
  replace_ = true;
  report(std::move(failure));
  if (finished_) return std::exchange(finished_, nullptr)();
  timer_ = env_.after(kHistoryRetry, [this] { compose(); });
}

void HistoryFile::report(std::string failure) {
  const bool failed_before = !failure_.empty();
  failure_ = std::move(failure);
  if (!failure_.empty() && !failed_before)
    env_.log.record(LogEvent::history_failed,
                    {{"file", file_->path()}, {"reason", without_path(failure_, file_->path())}});
  if (failure_.empty() && failed_before)
    env_.log.record(LogEvent::history_recovered, {{"file", file_->path()}});
}

void HistoryFile::write_status(json::Writer& out) const {
  out.member("since", format_wall_time(history_.since()));
  out.member("events", std::uint64_t{history_.entries()});
  out.member("bytes", std::uint64_t{history_.bytes()});
  if (file_ == nullptr) return;
  out.member("file", file_->path()).member("kept", open_ && failure_.empty());
  if (!failure_.empty()) out.member("failure", failure_);
}

}  // namespace outrider
