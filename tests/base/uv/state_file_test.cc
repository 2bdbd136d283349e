// SPDX-License-Identifier: Apache-2.0
#include "base/uv/state_file.h"

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/base/uv/turns.h"

namespace outrider::uv {
namespace {

using Write = StateFile::Write;

struct Folder {
  std::string path;
  Folder() {
    char name[] = "/tmp/outrider_state_XXXXXX";
    path = ::mkdtemp(name);
  }
  ~Folder() { (void)!std::system(("chmod -R u+w " + path + "; rm -rf " + path).c_str()); }
  std::string file() const { return path + "/sub/registrations.jsonl"; }
};

std::string text_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

Result<void, std::string> write(Loop& loop, StateFile& file, Write how, std::string text) {
  std::optional<Result<void, std::string>> result;
  file.write(how, std::move(text), [&](auto r) { result = std::move(r); });
  CHECK_FALSE(result);  // never before write() returns
  REQUIRE(turn_until(loop, [&] { return result.has_value(); }));
  return *result;
}

TEST_CASE("what was written is there for the next process, and for this user alone") {
  const Folder folder;
  Loop loop;
  {
    const auto file = make_state_file(loop, folder.file());
    const auto opened = file->open();
    REQUIRE(opened);
    CHECK(opened->text.empty());
    CHECK(opened->unwritable.empty());
    CHECK(write(loop, *file, Write::replace, "one\n"));
    CHECK(write(loop, *file, Write::append, "two\n"));
  }
  struct stat info {};
  REQUIRE(::stat(folder.file().c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  REQUIRE(::stat((folder.path + "/sub").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0700);
  const auto next = make_state_file(loop, folder.file());
  CHECK(next->open()->text == "one\ntwo\n");
  CHECK(write(loop, *next, Write::replace, "three\n"));
  CHECK(text_of(folder.file()) == "three\n");
}

TEST_CASE("one process has the file at a time") {
  const Folder folder;
  Loop loop;
  auto first = make_state_file(loop, folder.file());
  REQUIRE(first->open());
  const auto second = make_state_file(loop, folder.file());
  const auto held = second->open();
  REQUIRE_FALSE(held);
  CHECK(held.error().kind == StateError::Kind::held);
  first.reset();
  CHECK(second->open());
}

TEST_CASE("a file is taken over from its earlier name, unless it is used or there is another") {
  const Folder folder;
  Loop loop;
  const std::string earlier = folder.path + "/earlier";
  take_over_state_file(earlier, folder.file());  // neither is there
  auto before = make_state_file(loop, earlier);
  REQUIRE(before->open());
  REQUIRE(write(loop, *before, Write::append, "one\n"));
  ::mkdir((folder.path + "/sub").c_str(), 0700);
  take_over_state_file(earlier, folder.file());
  CHECK(text_of(earlier) == "one\n");
  before.reset();
  take_over_state_file(earlier, folder.file());
  CHECK(text_of(folder.file()) == "one\n");
  CHECK(::access(earlier.c_str(), F_OK) != 0);
  CHECK(make_state_file(loop, folder.file())->open()->text == "one\n");

  const auto again = make_state_file(loop, earlier);
  REQUIRE(again->open());
  REQUIRE(write(loop, *again, Write::append, "two\n"));
  take_over_state_file(earlier, folder.file());
  CHECK(text_of(folder.file()) == "one\n");
  CHECK(text_of(earlier) == "two\n");
}

TEST_CASE("killed before any step of a write, the old text or the new one is there") {
  for (const Write how : {Write::append, Write::replace}) {
    for (int kill_at = 0; kill_at < 7; ++kill_at) {
      CAPTURE(static_cast<int>(how));
      CAPTURE(kill_at);
      const Folder folder;
      Loop loop;
      const auto file = make_state_file(loop, folder.file());
      REQUIRE(file->open());
      REQUIRE(write(loop, *file, Write::replace, "old\n"));
      const pid_t child = ::fork();
      if (child == 0) {
        const auto result = write_state(folder.file(), how, "new line\n", [&](int step) {
          if (step == kill_at) ::kill(::getpid(), SIGKILL);
        });
        ::_exit(result ? 0 : 1);
      }
      int status = 0;
      REQUIRE(::waitpid(child, &status, 0) == child);
      const std::string text = text_of(folder.file());
      const std::string whole = how == Write::append ? "old\nnew line\n" : "new line\n";
      if (WIFEXITED(status)) {  // it has fewer steps
        CHECK(WEXITSTATUS(status) == 0);
        CHECK(text == whole);
      } else if (how == Write::append) {
        CHECK(whole.starts_with(text));
        CHECK(text.starts_with("old\n"));
      } else {
        CHECK((text == "old\n" || text == whole));
      }
      // The next process goes on from there.
      CHECK(write(loop, *file, Write::replace, "later\n"));
      CHECK(text_of(folder.file()) == "later\n");
    }
  }
}

TEST_CASE("a disk without room is an error, and leaves the old text") {
  const Folder folder;
  Loop loop;
  const auto file = make_state_file(loop, folder.file());
  REQUIRE(file->open());
  REQUIRE(write(loop, *file, Write::replace, "old\n"));
  const pid_t child = ::fork();
  if (child == 0) {
    // A limit of this process in place of a full disk: a write ends half-way.
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit little{10, 10};
    ::setrlimit(RLIMIT_FSIZE, &little);
    const std::string text(1'000, 'x');
    if (write_state(folder.file(), Write::replace, text)) ::_exit(1);
    if (write_state(folder.file(), Write::append, text)) ::_exit(2);
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(text_of(folder.file()) == "old\n");
  CHECK(::access((folder.file() + ".new").c_str(), F_OK) != 0);
}

TEST_CASE("what is no regular file, or too long, is not read") {
  const Folder folder;
  Loop loop;
  REQUIRE(::mkdir((folder.path + "/sub").c_str(), 0700) == 0);
  const auto unreadable = [&] {
    const auto opened = make_state_file(loop, folder.file())->open();
    return !opened && opened.error().kind == StateError::Kind::unreadable;
  };
  REQUIRE(::mkfifo(folder.file().c_str(), 0600) == 0);
  CHECK(unreadable());
  ::unlink(folder.file().c_str());
  REQUIRE(::symlink("/etc/passwd", folder.file().c_str()) == 0);
  CHECK(unreadable());
  ::unlink(folder.file().c_str());
  std::ofstream(folder.file()) << "x";
  REQUIRE(::truncate(folder.file().c_str(), static_cast<off_t>(kStateBytesMax + 1)) == 0);
  CHECK(unreadable());
  const auto file = make_state_file(loop, folder.file());
  (void)file->open();
  using enum StateFile::Original;
  CHECK(*file->set_aside(moved) == folder.file() + ".unreadable");
  CHECK(file->open()->text.empty());
  for (unsigned i = 0; i < 2 * kAsideMax; ++i) {
    std::ofstream(folder.file()) << i;
    REQUIRE(file->set_aside(moved));
  }
  CHECK(text_of(folder.file() + ".unreadable-9") == "17");
  CHECK(file->files_aside().size() == kAsideMax);
  ::unlink((folder.file() + ".unreadable-3").c_str());
  CHECK(file->files_aside().size() == kAsideMax - 1);
  CHECK(file->files_aside().front() == folder.file() + ".unreadable");
}

TEST_CASE("what is kept aside stays in its place until it is replaced, and is kept once") {
  const Folder folder;
  Loop loop;
  const auto file = make_state_file(loop, folder.file());
  using enum StateFile::Original;
  for (unsigned i = 1; i < 2 * kAsideMax; ++i) {
    const std::string text = "half " + std::to_string(i);
    REQUIRE(write_state(folder.file(), Write::replace, text));
    const auto aside = file->set_aside(stays);
    REQUIRE(aside);
    CHECK(text_of(folder.file()) == text);
    CHECK(text_of(*aside) == text);
    CHECK(*file->set_aside(stays) == *aside);
  }
  const std::string last = "half " + std::to_string(2 * kAsideMax - 1);
  CHECK(text_of(folder.file() + ".unreadable-9") == last);
}

TEST_CASE("without a folder that can be written, the file says so") {
  Loop loop;
  const auto file = make_state_file(loop, "/proc/outrider/registrations.jsonl");
  const auto opened = file->open();
  REQUIRE(opened);
  CHECK(opened->text.empty());
  CHECK(opened->unwritable.find("/proc/outrider") != std::string::npos);
}

TEST_CASE("a file that goes away during a write waits for the end of it") {
  const Folder folder;
  Loop loop;
  auto file = make_state_file(loop, folder.file());
  REQUIRE(file->open());
  bool told = false;
  file->write(Write::replace, "whole\n", [&](auto) { told = true; });
  file.reset();
  turn_idly(loop);
  CHECK_FALSE(told);
  CHECK(text_of(folder.file()) == "whole\n");
  CHECK(loop.open_handles() == 0);
}

}  // namespace
}  // namespace outrider::uv
