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

}  // namespace
}  // namespace outrider
