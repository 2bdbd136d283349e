// SPDX-License-Identifier: Apache-2.0
#include "base/module.h"

#include <cstdlib>

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text_file.h"

namespace outrider {
namespace {

constexpr ModuleName kModule{.file = "outrider-test.so",
                             .symbol = "outrider_test",
                             .needed_by = "tests",
                             .package = "none",
                             .folder = "base/none"};

/// A file that is no library, so that the linker's complaint shows that it was asked to load it.
struct Modules {
  std::string top = "/tmp/outrider-modules-XXXXXX";
  std::string folder, file;
  Modules() {
    REQUIRE(::mkdtemp(top.data()) != nullptr);
    folder = top + "/lib";
    file = folder + "/outrider-test.so";
    REQUIRE(write_text_file(file, "no library").has_value());
    ::setenv("OUTRIDER_MODULE_PATH", folder.c_str(), 1);
  }
  ~Modules() {
    ::unsetenv("OUTRIDER_MODULE_PATH");
    [[maybe_unused]] const int status = std::system(("rm -r " + top).c_str());
  }
};

std::string why() {
  std::string text;
  CHECK(open_module(kModule, &text) == nullptr);
  return text;
}
bool is_loaded() {
  const std::string text = why();
  return text.find(" is not loaded: ") == std::string::npos &&
         text.find("outrider-test.so: ") != std::string::npos;
}

TEST_CASE("a module that another user can write is not loaded") {
  const Modules at;
  const std::string refused = "tests: " + at.file + " is not loaded: ";
  CHECK(is_loaded());
  REQUIRE(::chmod(at.file.c_str(), 0646) == 0);
  CHECK(why() == refused + "it is writable for all users");
  REQUIRE(::chmod(at.file.c_str(), 0644) == 0);
  REQUIRE(::chmod(at.folder.c_str(), 01777) == 0);
  CHECK(why() == refused + at.folder + " is writable for all users");
  REQUIRE(::chmod(at.folder.c_str(), 0755) == 0);
  REQUIRE(::chmod(at.top.c_str(), 0777) == 0);
  CHECK(why() == refused + at.top + " is writable for all users");
  REQUIRE(::chmod(at.top.c_str(), 01777) == 0);  // as /tmp
  CHECK(is_loaded());
  if (::geteuid() != 0) return;
  REQUIRE(::chmod(at.file.c_str(), 0664) == 0);
  REQUIRE(::chown(at.file.c_str(), 0, 65'534) == 0);
  CHECK(why() == refused + "it is writable for its group");
  REQUIRE(::chown(at.file.c_str(), 0, 0) == 0);  // a group of one user
  CHECK(is_loaded());
  for (const std::string& path : {at.folder, at.top}) {
    REQUIRE(::chown(path.c_str(), 65'534, 65'534) == 0);
    CHECK(why() == refused + path + " belongs to the user with id 65534");
    REQUIRE(::chown(path.c_str(), 0, 0) == 0);
  }
  REQUIRE(::chown(at.file.c_str(), 65'534, 0) == 0);
  CHECK(why() == refused + "it belongs to the user with id 65534");
}

TEST_CASE("a module behind links is judged by where it is") {
  const Modules at;
  const std::string link = at.top + "/link";
  REQUIRE(::symlink(at.folder.c_str(), link.c_str()) == 0);
  ::setenv("OUTRIDER_MODULE_PATH", link.c_str(), 1);
  CHECK(is_loaded());
  REQUIRE(::chmod(at.folder.c_str(), 0777) == 0);
  CHECK(why() ==
        "tests: " + at.file + " is not loaded: " + at.folder + " is writable for all users");
}

TEST_CASE("a module that is missing is looked for in the one build tree of the program") {
  const std::string text = why();
  const std::size_t first = text.find("/base/none");
  REQUIRE(first != std::string::npos);
  CHECK(text.find("/base/none", first + 1) == std::string::npos);
}

}  // namespace
}  // namespace outrider
