// SPDX-License-Identifier: Apache-2.0
#include "base/state_journal.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace outrider {

StateJournal::StateJournal(Env& env, std::unique_ptr<StateFile> file, Late late, Owner owner)
    : env_(env), file_(std::move(file)), late_(late), owner_(std::move(owner)) {}

// --- reading ---------------------------------------------------------------------------------

void StateJournal::start() {
  started_ = true;
  if (file_ != nullptr) open();
}

void StateJournal::open() {
  auto opened = file_->open();
  held_ = !opened && opened.error().kind == StateError::Kind::held;
  if (!opened && opened.error().kind == StateError::Kind::unreadable &&
      set_aside(StateFile::Original::moved, opened.error().reason))
    opened = StateFile::Opened{};
  if (opened) return take_over(*opened);
  report(opened.error().reason);
  // A process that is ending releases the file.
  if (late_ == Late::replaced || held_) try_again();
}

void StateJournal::try_again() {
  retry_ = env_.after(kStateRetry, [this] { late_ == Late::read ? open() : open_late(); });
}

void StateJournal::open_late() {
  const auto opened = file_->open();
  held_ = !opened && opened.error().kind == StateError::Kind::held;
  if (!opened || !opened->unwritable.empty()) return try_again();
  open_ = true;
  if (const std::string wrong = std::exchange(unread_, {}); !wrong.empty())
    set_aside(StateFile::Original::stays, wrong);
  report({});
  replace();
}

void StateJournal::take_over(const StateFile::Opened& opened) {
  open_ = opened.unwritable.empty();
  file_bytes_ = opened.text.size();
  replace_ = !opened.text.ends_with('\n');
  const std::string wrong = owner_.read(opened.text);
  if (!wrong.empty()) {
    replace_ = true;
    set_aside(StateFile::Original::stays, wrong);
    if (!open_) unread_ = wrong;
  }
  report(opened.unwritable);
  if (owner_.opened) owner_.opened(wrong);
}

/// False if the file could not be kept under another name. A file that cannot be replaced needs no
/// second copy.
bool StateJournal::set_aside(StateFile::Original original, const std::string& reason) {
  auto kept = Result<std::string, std::string>(file_->path());
  if (open_ || original == StateFile::Original::moved) kept = file_->set_aside(original);
  env_.log.record(LogEvent::state_unreadable, {{"file", file_->path()},
                                               {"reason", without_path(reason, file_->path())},
                                               {"kept", kept ? *kept : kept.error()}});
  return kept.has_value();
}

// --- writing ---------------------------------------------------------------------------------

void StateJournal::touch() {
  if (file_ == nullptr) return;
  touched_ = true;
  arm();
}

void StateJournal::replace() {
  replace_ = true;
  arm();
}

void StateJournal::arm() {
  if (writing_ || write_.pending()) return;
  if (open_) {
    write_ = env_.after(Duration::zero(), [this] { write(); });
    return;
  }
  // Such a file is tried again while there is something to write, not when idle.
  if (started_ && !retry_.pending()) try_again();
}

void StateJournal::write() {
  write_.reset();
  if (writing_ || !open_) return;
  retry_.reset();
  touched_ = false;
  auto [lines, file_bytes_max] = owner_.lines();
  std::ranges::move(waiting_for_next_, std::back_inserter(waiting_));
  waiting_for_next_.clear();
  if (lines.empty() && !replace_) return on_written({});
  const auto done = [this](auto result) { on_written(std::move(result)); };
  if (!replace_ && file_bytes_ + lines.size() <= file_bytes_max) {
    writing_ = true;
    file_bytes_ += lines.size();
    return file_->write(StateFile::Write::append, std::move(lines), done);
  }
  std::string text = owner_.whole();
  if (text.empty() && file_bytes_ == 0) return on_written({});
  text.insert(0, owner_.header);
  writing_ = true;
  file_bytes_ = text.size();
  replace_ = false;
  file_->write(StateFile::Write::replace, std::move(text), done);
}

void StateJournal::on_written(Result<void, std::string> result) {
  writing_ = false;
  report(result ? std::string() : result.error());
  if (!result) {
    replace_ = true;
    retry_ = env_.after(kStateRetry, [this] { write(); });
  }
  const std::string why = failure_;
  if (touched_) arm();
  // The callbacks may ask for more, or destroy the journal.
  for (KeptCallback& callback : std::exchange(waiting_, {}))
    callback(why);
}

void StateJournal::when_kept(KeptCallback callback) {
  if (!open_) return callback({});
  if (touched_)
    waiting_for_next_.push_back(std::move(callback));
  else if (writing_)
    waiting_.push_back(std::move(callback));
  else
    callback(failure_);
}

void StateJournal::report(const std::string& failure) {
  const bool failed_before = !failure_.empty();
  failure_ = failure;
  if (!failure.empty() && !failed_before)
    env_.log.record(LogEvent::state_failed,
                    {{"file", file_->path()}, {"reason", without_path(failure, file_->path())}});
  if (failure.empty() && failed_before)
    env_.log.record(LogEvent::state_recovered, {{"file", file_->path()}});
}

void StateJournal::write_status(json::Writer& out) const {
  out.member("on", open_);
  if (file_ == nullptr) return;
  out.member("file", file_->path());
  if (!failure_.empty()) out.member("failure", failure_).member("held", held_);
  out.key("unreadable").begin_array();
  for (const std::string& path : file_->files_aside())
    out.value(path);
  out.end_array();
}

}  // namespace outrider
