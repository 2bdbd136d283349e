// SPDX-License-Identifier: Apache-2.0
#include "base/text_file.h"

#include <algorithm>

#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

namespace outrider {
namespace {

TEST_CASE("files up to the limit, and what a folder has") {
  char made[] = "/tmp/outrider-text-XXXXXX";
  REQUIRE(::mkdtemp(made) != nullptr);
  const std::string folder = made, file = folder + "/a.json", long_file = folder + "/b";
  REQUIRE(write_text_file(file, "{}\n").has_value());
  REQUIRE(write_text_file(long_file, std::string(kTextFileBytesMax + 1, 'x')).has_value());
  CHECK(read_text_file(file) == "{}\n");
  CHECK_FALSE(read_text_file(long_file).has_value());
  CHECK_FALSE(read_text_file(folder).has_value());
  CHECK_FALSE(read_text_file(folder + "/none").has_value());
  CHECK(load_text_file(folder + "/none").error() == "No such file or directory");
  CHECK(load_text_file(folder).error() == "a directory, not a file");
  CHECK(load_text_file(long_file).error() == "longer than 4096 KiB");
  CHECK(read_text_input(file, 3) == "{}\n");
  CHECK(read_text_input(long_file, 64U << 10).error() == long_file + ": longer than 64 KiB");
  CHECK(read_text_input(folder, 3).error() == folder + ": Is a directory");
  CHECK(read_text_input(folder + "/none", 3).error() ==
        folder + "/none: No such file or directory");
  CHECK(is_folder(folder));
  CHECK_FALSE(is_folder(file));
  auto names = list_folder(folder);
  REQUIRE(names.has_value());
  std::sort(names->begin(), names->end());
  CHECK(*names == std::vector<std::string>{"a.json", "b"});
  CHECK_FALSE(list_folder(file).has_value());
  ::unlink(file.c_str());
  ::unlink(long_file.c_str());
  ::rmdir(made);
}

TEST_CASE("a FIFO or a socket is refused at once, and a link to a file is read") {
  char made[] = "/tmp/outrider-text-XXXXXX";
  REQUIRE(::mkdtemp(made) != nullptr);
  const std::string folder = made, fifo = folder + "/fifo", link = folder + "/link";
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  CHECK(load_text_file(fifo).error() == "not a regular file");
  CHECK(load_text_file("/dev/null").error() == "not a regular file");
  REQUIRE(::symlink("fifo", link.c_str()) == 0);
  CHECK_FALSE(read_text_file(link).has_value());
  ::unlink(link.c_str());
  REQUIRE(write_text_file(folder + "/file", "x").has_value());
  REQUIRE(::symlink("file", link.c_str()) == 0);
  CHECK(read_text_file(link) == "x");
  CHECK(read_text_file("/proc/self/comm").has_value());
  for (const std::string& path : {fifo, link, folder + "/file"})
    ::unlink(path.c_str());
  ::rmdir(made);
}

}  // namespace
}  // namespace outrider
