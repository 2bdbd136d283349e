// SPDX-License-Identifier: Apache-2.0
#include "base/trusted_file.h"

#include <cstdlib>

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text_file.h"

namespace outrider {
namespace {

struct Folder {
  std::string path = "/tmp/outrider-trusted-XXXXXX";
  Folder() { REQUIRE(::mkdtemp(path.data()) != nullptr); }
  ~Folder() { [[maybe_unused]] const int status = std::system(("rm -r " + path).c_str()); }
};

std::optional<std::string> load(const std::string& path, InFolder folder) {
  return load_trusted_file(path, folder).value_or(std::optional<std::string>());
}

TEST_CASE("a trusted file is read as it was written, in folders that are made for it") {
  const Folder at;
  const std::string file = at.path + "/a/b/record";
  const auto none = load_trusted_file(file, InFolder::trusted);
  REQUIRE(none.has_value());
  CHECK_FALSE(none->has_value());
  REQUIRE(write_trusted_file(file, "one").has_value());
  REQUIRE(write_trusted_file(file, "two\n").has_value());
  CHECK(load(file, InFolder::trusted) == "two\n");
  CHECK(list_folder(at.path + "/a/b") == std::vector<std::string>{"record"});
  REQUIRE(::chmod((at.path + "/a/b").c_str(), 0777) == 0);
  CHECK(load(file, InFolder::any) == "two\n");
  CHECK(load_trusted_file(file, InFolder::trusted).error() ==
        at.path + "/a/b is not trusted: it is writable for all users");
  CHECK(write_trusted_file(file, "three").error() ==
        at.path + "/a/b is not trusted: it is writable for all users");
  CHECK(load(file, InFolder::any) == "two\n");
}

TEST_CASE("a trusted file has the limit of other small files") {
  const Folder at;
  const std::string file = at.path + "/record";
  REQUIRE(write_trusted_file(file, std::string(kTextFileBytesMax, 'x')).has_value());
  CHECK(load_trusted_file(file, InFolder::trusted).has_value());
  REQUIRE(write_trusted_file(file, std::string(kTextFileBytesMax + 1, 'x')).has_value());
  CHECK(load_trusted_file(file, InFolder::trusted).error() == file + ": longer than 4096 KiB");
}

TEST_CASE("a draft that another user has prepared is not written to") {
  const Folder at;
  const std::string file = at.path + "/record", target = at.path + "/target";
  REQUIRE(write_text_file(target, "kept").has_value());
  REQUIRE(::symlink(target.c_str(), (file + kDraftEnding).c_str()) == 0);
  REQUIRE(write_trusted_file(file, "new").has_value());
  CHECK(read_text_file(target) == "kept");
  CHECK(load(file, InFolder::trusted) == "new");
  // Nor is what has the name of the file: it is replaced.
  REQUIRE(::unlink(file.c_str()) == 0);
  REQUIRE(::symlink(target.c_str(), file.c_str()) == 0);
  REQUIRE(write_trusted_file(file, "newer").has_value());
  CHECK(read_text_file(target) == "kept");
}

TEST_CASE("a folder is trusted unless it is a link, or other users can write to it") {
  const Folder at;
  CHECK_FALSE(why_folder_distrusted(at.path + "/none"));
  CHECK_FALSE(why_folder_distrusted(at.path));
  const std::string link = at.path + "/link", file = at.path + "/file";
  REQUIRE(::symlink(at.path.c_str(), link.c_str()) == 0);
  CHECK(why_folder_distrusted(link) == "is a symbolic link");
  REQUIRE(write_text_file(file, "").has_value());
  CHECK(why_folder_distrusted(file) == "is not a directory");
  REQUIRE(::chmod(at.path.c_str(), 0770) == 0);
  CHECK(why_folder_distrusted(at.path) == "is writable for its group");
}

}  // namespace
}  // namespace outrider
