// SPDX-License-Identifier: Apache-2.0
#include "base/state_journal.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "tests/sim/state_file.h"
#include "tests/sim/world.h"

namespace outrider {
namespace {

using Late = StateJournal::Late;

/// An owner whose lines are words. It forgets nothing.
struct Words {
  static constexpr std::size_t kFileBytesMax = 100;

  sim::World world;
  sim::StateDisk disk;
  std::string all, fresh;  // lines
  std::size_t reads = 0;
  std::unique_ptr<StateJournal> journal;

  void start(Late late = Late::read) {
    journal = make(late);
    journal->start();
  }
  std::unique_ptr<StateJournal> make(Late late) {
    return std::make_unique<StateJournal>(
        world.env(), std::make_unique<sim::SimStateFile>(world.env(), disk), late,
        StateJournal::Owner{.header = "words\n",
                            .read = [this](std::string_view text) { return read(text); },
                            .opened = nullptr,
                            .lines = [this] { return lines(); },
                            .whole = [this] { return all; }});
  }
  std::string read(std::string_view text) {
    ++reads;
    if (text.empty()) return {};
    if (!text.starts_with("words\n")) return "line 1: no words";
    all.insert(0, text.substr(6, text.rfind('\n') - 5));
    return {};
  }
  StateJournal::Lines lines() { return {std::exchange(fresh, {}), kFileBytesMax}; }
  void add(const std::string& word) {
    all += word + '\n';
    fresh += word + '\n';
    journal->touch();
  }
  /// What when_kept() says within `time`.
  std::optional<std::string> kept(Duration time = {}) {
    auto answer = std::make_shared<std::optional<std::string>>();
    journal->when_kept([answer](const std::string& why) { *answer = why; });
    world.advance(time);
    return *answer;
  }
  std::size_t logged(const char* event) { return world.host("here").log().count(event); }
};

TEST_CASE("lines of one turn share a write, and no file is made for nothing") {
  Words words;
  words.start();
  words.journal->touch();
  CHECK(words.kept(1ms) == "");
  CHECK(words.disk.writes == 0);
  words.add("a");
  words.add("b");
  CHECK_FALSE(words.journal->is_kept());
  CHECK(words.kept(1ms) == "");
  CHECK(words.journal->is_kept());
  CHECK(words.disk.writes == 1);
  words.add("c");
  words.world.advance(1ms);
  CHECK(words.disk.text == "words\na\nb\nc\n");
  CHECK(words.disk.writes == 2);
  words.journal->touch();  // nothing is new
  CHECK(words.kept(1ms) == "");
  CHECK(words.disk.writes == 2);
}

TEST_CASE("who waits is called when all lines so far are on disk, and not by the write before") {
  Words words;
  words.disk.delay = 10ms;
  words.start();
  std::string order;
  const auto wait = [&](const char* name) {
    words.journal->when_kept([&order, name](const std::string&) { order += name; });
  };
  words.add("a");
  wait("a");
  words.world.advance(5ms);
  wait("A");
  words.add("b");
  wait("b");
  CHECK(order.empty());
  words.world.advance(6ms);
  CHECK(order == "aA");
  CHECK(words.disk.text == "words\na\n");
  words.world.advance(10ms);
  CHECK(order == "aAb");
  wait("now");
  CHECK(order == "aAbnow");
}

TEST_CASE("a failed write is said once; then the whole is written, by itself or with a change") {
  for (const bool changes : {false, true}) {
    CAPTURE(changes);
    Words words;
    words.start();
    words.add("a");
    words.world.advance(1ms);
    words.disk.full = "no space";
    words.add("b");
    CHECK(words.kept(1ms) == "no space");
    CHECK(words.kept() == "no space");
    CHECK_FALSE(words.journal->is_kept());
    words.world.advance(3 * kStateRetry);
    CHECK(words.logged("state_failed") == 1);
    words.disk.full.clear();
    if (changes) {
      words.add("c");
      CHECK(words.kept(1ms) == "");
    }
    words.world.advance(kStateRetry);
    CHECK(words.disk.text == (changes ? "words\na\nb\nc\n" : "words\na\nb\n"));
    CHECK(words.logged("state_recovered") == 1);
    CHECK(words.kept() == "");
    // It is quiet again.
    const std::size_t writes = words.disk.writes;
    words.world.advance(3 * kStateRetry);
    CHECK(words.disk.writes == writes);
  }
}

TEST_CASE("lines that would make the file too long replace it") {
  Words words;
  words.start();
  words.add(std::string(50, 'a'));
  words.world.advance(1ms);
  words.all.clear();  // outdated
  words.add(std::string(Words::kFileBytesMax - words.disk.text.size() - 1, 'b'));
  words.world.advance(1ms);
  CHECK(words.disk.text.size() == Words::kFileBytesMax);
  words.all.clear();
  words.add("c");
  CHECK(words.kept(1ms) == "");
  CHECK(words.disk.text == "words\nc\n");
  // All lines are outdated: the file stays, and has none.
  words.all.clear();
  words.journal->replace();
  words.world.advance(1ms);
  CHECK(words.disk.text == "words\n");
}

TEST_CASE("an interrupted write is replaced, not appended to") {
  Words words;
  words.disk.text = "words\na\nto";
  words.start();
  words.add("b");
  words.world.advance(1ms);
  CHECK(words.disk.text == "words\na\nb\n");
  CHECK(words.disk.asides.empty());
}

TEST_CASE("what cannot be read is kept aside once, and not copied while it cannot be replaced") {
  Words words;
  words.disk.text = "other\n";
  words.disk.unwritable = "read-only";
  words.start();
  CHECK(words.logged("state_unreadable") == 1);
  CHECK(words.disk.asides.empty());
  words.disk.unwritable.clear();
  words.start();
  CHECK(words.disk.asides == std::vector<std::string>{"other\n"});
  CHECK(words.disk.text == "other\n");  // until it is replaced
  words.add("a");
  words.world.advance(1ms);
  CHECK(words.disk.text == "words\na\n");
}

TEST_CASE("a file that cannot be opened for reading is moved away") {
  for (const Late late : {Late::read, Late::replaced}) {
    Words words;
    words.disk.text = "x";
    words.disk.unreadable = true;
    words.start(late);
    CHECK(words.journal->is_open());
    CHECK(words.logged("state_unreadable") == 1);
    CHECK(words.logged("state_failed") == 0);
    CHECK(words.disk.asides == std::vector<std::string>{"x"});
    words.add("a");
    words.world.advance(1ms);
    CHECK(words.disk.text == "words\na\n");
  }
}

TEST_CASE("a file of another process is taken over when it is free, read or replaced") {
  for (const Late late : {Late::read, Late::replaced}) {
    const bool reads = late == Late::read;
    CAPTURE(reads);
    Words words;
    words.disk.text = "words\nold\n";
    words.disk.held = true;
    words.start(late);
    CHECK(words.journal->is_held());
    words.add("a");
    CHECK(words.kept() == "");  // nothing was promised
    CHECK(words.journal->is_kept());
    words.world.advance(3 * kStateRetry);
    CHECK(words.logged("state_failed") == 1);
    CHECK(words.disk.writes == 0);
    words.disk.held = false;
    words.world.advance(kStateRetry);
    CHECK(words.journal->is_open());
    CHECK_FALSE(words.journal->is_held());
    CHECK(words.logged("state_recovered") == 1);
    CHECK(words.reads == (reads ? 1 : 0));
    words.add("b");
    words.world.advance(1ms);
    CHECK(words.disk.text == (reads ? "words\nold\na\nb\n" : "words\na\nb\n"));
  }
}

TEST_CASE("a read-only file that is to be read is tried again after a change, not when idle") {
  Words words;
  words.disk.unwritable = "read-only";
  words.start();
  CHECK(words.reads == 1);
  CHECK(words.journal->failure() == "read-only");
  words.world.advance(3 * kStateRetry);
  CHECK(words.reads == 1);
  words.add("a");
  words.world.advance(3 * kStateRetry);
  CHECK(words.reads == 2);
  words.disk.unwritable.clear();
  words.add("b");
  words.world.advance(kStateRetry);
  CHECK(words.journal->is_open());
  CHECK(words.logged("state_recovered") == 1);
}

TEST_CASE("a read-only file that is to be replaced is tried again after a change, not when idle") {
  Words words;
  words.disk.text = "words\nold\n";
  words.disk.unwritable = "read-only";
  words.start(Late::replaced);
  CHECK(words.reads == 1);
  CHECK(words.all == "old\n");
  CHECK(words.world.env().timers.size() == 0);
  words.add("a");
  words.world.advance(3 * kStateRetry);
  CHECK(words.logged("state_failed") == 1);
  words.disk.unwritable.clear();
  words.world.advance(kStateRetry);
  CHECK(words.reads == 1);
  CHECK(words.logged("state_recovered") == 1);
  words.world.advance(1ms);
  CHECK(words.disk.text == "words\nold\na\n");
  CHECK(words.disk.asides.empty());
}

TEST_CASE("a read-only file that could not be read is set aside before it is replaced") {
  Words words;
  words.disk.text = "other\n";
  words.disk.unwritable = "read-only";
  words.start(Late::replaced);
  words.add("a");
  words.disk.unwritable.clear();
  words.world.advance(kStateRetry + 1ms);
  CHECK(words.disk.asides == std::vector<std::string>{"other\n"});
  CHECK(words.disk.text == "words\na\n");
}

TEST_CASE("a change before the start neither reads nor replaces the file") {
  for (const Late late : {Late::read, Late::replaced}) {
    Words words;
    words.disk.text = "words\nold\n";
    words.journal = words.make(late);
    words.add("a");
    words.world.advance(3 * kStateRetry);
    CHECK(words.reads == 0);
    words.journal->start();
    words.add("b");
    words.world.advance(1ms);
    CHECK(words.disk.text.starts_with("words\nold\n"));
  }
}

TEST_CASE("who waits may end the journal, and one without a file waits for nothing") {
  Words words;
  words.start();
  words.add("a");
  words.journal->when_kept([&](const std::string&) { words.journal.reset(); });
  words.world.advance(1ms);
  CHECK(words.journal == nullptr);
  CHECK(words.disk.text == "words\na\n");

  StateJournal none(words.world.env(), nullptr, Late::read, {});
  none.start();
  none.touch();
  bool called = false;
  none.when_kept([&](const std::string& why) { called = why.empty(); });
  CHECK(called);
  CHECK(none.is_kept());
}

}  // namespace
}  // namespace outrider
