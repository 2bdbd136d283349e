// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/etcd/journal.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/json_members.h"

namespace outrider::doors::etcd {
namespace {

constexpr std::string_view kWhat = "etcd";

std::string header() {
  std::string line;
  json::Writer(line)
      .begin_object()
      .member("outrider", kWhat)
      .member("version", kJournalVersion)
      .end_object();
  return line + '\n';
}

/// Empty: it is the header of a file of ours.
std::string judge_header(std::string_view line) {
  const auto first = json::parse(line, json::kBodyBytesMax);
  if (!first || json::text_at(*first, "outrider") != kWhat)
    return "line 1: not a file of the etcd door";
  const std::int64_t version = json::number_at(*first, "version");
  if (version == kJournalVersion) return {};
  return "written by another version of outrider: format " + std::to_string(version) +
         ", expected " + std::to_string(kJournalVersion);
}

}  // namespace

Journal::Journal(Env& env, std::unique_ptr<StateFile> file, Owner owner)
    : env_(env), file_(std::move(file)), owner_(std::move(owner)) {}

void Journal::start() {
  if (file_ == nullptr) return;
  auto opened = file_->open();
  if (!opened && opened.error().kind == StateError::Kind::unreadable) {
    const auto kept = file_->set_aside(StateFile::Original::moved);
    env_.log.record(LogEvent::state_unreadable,
                    {{"file", file_->path()},
                     {"reason", without_path(opened.error().reason, file_->path())},
                     {"kept", kept ? *kept : kept.error()}});
    if (kept) opened = StateFile::Opened{};
  }
  if (!opened) {
    report(opened.error().reason);
    retry_ = env_.after(kJournalRetry, [this] { open(); });
    return;
  }
  open_ = opened->unwritable.empty();
  file_bytes_ = opened->text.size();
  const std::string wrong = read(opened->text);
  if (!wrong.empty()) {
    const auto kept = open_ ? file_->set_aside(StateFile::Original::stays)
                            : Result<std::string, std::string>(file_->path());
    replace_ = true;
    env_.log.record(LogEvent::state_unreadable, {{"file", file_->path()},
                                                 {"reason", without_path(wrong, file_->path())},
                                                 {"kept", kept ? *kept : kept.error()}});
  }
  report(opened->unwritable);
}

/// Later than at the start: what is known by then counts, and replaces what the file has.
void Journal::open() {
  const auto opened = file_->open();
  if (opened && opened->unwritable.empty()) {
    open_ = replace_ = true;
    report({});
    return arm();
  }
  retry_ = env_.after(kJournalRetry, [this] { open(); });
}

/// Returns what is wrong with the text, if anything.
std::string Journal::read(std::string_view text) {
  replace_ = !text.ends_with('\n');
  std::string wrong;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    // A write that was interrupted, and that no client was told about.
    if (end == std::string_view::npos) {
      const bool cut = number > 1 || header().starts_with(text);
      return cut ? wrong : judge_header(text);
    }
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (number == 1) {
      wrong = judge_header(line);
      if (!wrong.empty()) return wrong;
    } else if ((line.size() > kJournalLineBytesMax || !owner_.read(line)) && wrong.empty()) {
      wrong = "line " + std::to_string(number) + ": cannot be read";
    }
  }
  return wrong;
}

void Journal::append(std::string_view line) {
  if (!open_) return;
  pending_ += line;
  pending_ += '\n';
  arm();
}

void Journal::arm() {
  if (writing_ || write_.pending()) return;
  write_ = env_.after(Duration::zero(), [this] { write(); });
}

void Journal::write() {
  retry_.reset();
  if (writing_) return;
  writing_ = true;
  std::ranges::move(waiting_for_next_, std::back_inserter(waiting_));
  waiting_for_next_.clear();
  const auto done = [this](auto result) { on_written(std::move(result)); };
  std::string lines = std::exchange(pending_, {});
  const bool outdated = file_bytes_ + lines.size() > kJournalBytesMin + 2 * whole_bytes_;
  if (!replace_ && !outdated) {
    file_bytes_ += lines.size();
    return file_->write(StateFile::Write::append, std::move(lines), done);
  }
  std::string text = header() + owner_.whole();
  file_bytes_ = whole_bytes_ = text.size();
  replace_ = false;
  file_->write(StateFile::Write::replace, std::move(text), done);
}

void Journal::on_written(Result<void, std::string> result) {
  writing_ = false;
  report(result ? std::string() : result.error());
  if (!result) {
    replace_ = true;
    retry_ = env_.after(kJournalRetry, [this] { write(); });
  }
  if (!pending_.empty()) arm();
  const std::string why = failure_;
  // The callbacks may ask for more.
  for (KeptCallback& callback : std::exchange(waiting_, {}))
    callback(why);
}

void Journal::when_kept(KeptCallback callback) {
  if (!open_) return callback({});
  if (writing_ && pending_.empty())
    waiting_.push_back(std::move(callback));
  else if (!pending_.empty() && (writing_ || write_.pending()))
    waiting_for_next_.push_back(std::move(callback));
  else
    callback(failure_);
}

void Journal::report(const std::string& failure) {
  const bool failed_before = !failure_.empty();
  failure_ = failure;
  if (!failure.empty() && !failed_before)
    env_.log.record(LogEvent::state_failed,
                    {{"file", file_->path()}, {"reason", without_path(failure, file_->path())}});
  if (failure.empty() && failed_before)
    env_.log.record(LogEvent::state_recovered, {{"file", file_->path()}});
}

}  // namespace outrider::doors::etcd
