// SPDX-License-Identifier: Apache-2.0
// A simulated file that keeps the promise of base/state_file.h. The disk outlives the agents that
// use it, one after another, and can be slow, full, torn, held,
// unreadable and read-only.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/state_file.h"

namespace outrider::sim {

struct StateDisk {
  std::string text;                 // what a crash at this moment leaves
  std::vector<std::string> asides;  // texts that were set aside
  std::string full;                 // not empty: why every write fails
  std::string unwritable;           // not empty: why it cannot be written
  bool held = false;                // by another process
  bool unreadable = false;          // until it is moved
  Duration delay{};                 // of a write
  std::size_t writes = 0;
  /// How much of a write that is under way a crash leaves, in percent of an append; a replacement
  /// is there from 100 on.
  unsigned torn_percent = 0;
};

class SimStateFile final : public StateFile {
 public:
  SimStateFile(Env& env, StateDisk& disk) : env_(env), disk_(disk) {}
  /// As a crash: what is under way ends where it is.
  ~SimStateFile() override {
    if (!done_) return;
    if (how_ == Write::append)
      disk_.text += pending_.substr(0, pending_.size() * disk_.torn_percent / 100);
    else if (disk_.torn_percent >= 100)
      disk_.text = pending_;
  }

  std::string path() const override { return "/var/lib/outrider/registrations.jsonl"; }
  Result<Opened, StateError> open() override {
    if (disk_.held) return failure(StateError{StateError::Kind::held, "another agent uses it"});
    if (disk_.unreadable) return failure(StateError{StateError::Kind::unreadable, "a folder"});
    return Opened{disk_.text, disk_.unwritable};
  }
  void write(Write how, std::string text, Callback<void(Result<void, std::string>)> done) override {
    OUTRIDER_ASSERT(!done_);
    ++disk_.writes;
    how_ = how;
    pending_ = std::move(text);
    done_ = std::move(done);
    timer_ = env_.after(disk_.delay, [this] { end(); });
  }
  Result<std::string, std::string> set_aside(Original original) override {
    if (disk_.asides.empty() || disk_.asides.back() != disk_.text)
      disk_.asides.push_back(disk_.text);
    if (original == Original::moved) {
      disk_.text.clear();
      disk_.unreadable = false;
    }
    return path() + ".unreadable";
  }
  std::vector<std::string> files_aside() const override {
    return disk_.asides.empty() ? std::vector<std::string>()
                                : std::vector<std::string>{path() + ".unreadable"};
  }

 private:
  void end() {
    Result<void, std::string> result;
    if (!disk_.full.empty()) {
      if (how_ == Write::append) disk_.text += pending_.substr(0, pending_.size() / 2);
      result = failure(std::string(disk_.full));
    } else {
      disk_.text = how_ == Write::append ? disk_.text + pending_ : pending_;
    }
    auto done = std::move(done_);
    done_ = nullptr;
    done(std::move(result));
  }

  Env& env_;
  StateDisk& disk_;
  Write how_ = Write::append;
  std::string pending_;
  Callback<void(Result<void, std::string>)> done_;
  Timer timer_;
};

}  // namespace outrider::sim
