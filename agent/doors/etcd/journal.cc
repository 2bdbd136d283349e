// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/etcd/journal.h"

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
    : owner_(std::move(owner)),
      journal_(env, std::move(file), StateJournal::Late::replaced,
               {.header = header(),
                .read = [this](std::string_view text) { return read(text); },
                .opened = nullptr,
                .lines = [this] { return lines(); },
                .whole = [this] { return whole(); }}) {}

/// Returns what is wrong with the text, if anything.
std::string Journal::read(std::string_view text) {
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
  if (journal_.is_open()) {  // else the whole is written later
    pending_ += line;
    pending_ += '\n';
  }
  journal_.touch();
}

StateJournal::Lines Journal::lines() {
  return {std::exchange(pending_, {}), journal_bytes_max(whole_bytes_)};
}

std::string Journal::whole() {
  std::string text = owner_.whole();
  whole_bytes_ = header().size() + text.size();
  return text;
}

}  // namespace outrider::doors::etcd
