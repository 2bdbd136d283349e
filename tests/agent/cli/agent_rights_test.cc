// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/agent_rights.h"

#include <cstdlib>

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text_file.h"

namespace outrider::cli {
namespace {

TEST_CASE("files that the user of the units cannot read are named with what changes it") {
  std::string top = "/tmp/outrider-rights-XXXXXX";
  REQUIRE(::mkdtemp(top.data()) != nullptr);
  const std::string folder = top + "/conf.d", file = folder + "/a.json", other = top + "/b.json";
  REQUIRE(write_text_file(file, "{}").has_value());
  REQUIRE(write_text_file(other, "{}").has_value());
  const auto change = [](const std::string& path, mode_t mode) {
    REQUIRE(::chmod(path.c_str(), mode) == 0);
  };
  change(top, 0755);
  const Reader stranger{"outrider", 64'000, {64'001}};
  const Reader member{"outrider", 64'000, {64'001, ::getegid()}};
  const auto unreadable = [&](const Reader& reader) {
    return unreadable_for(reader, {other, folder}, top);
  };
  const auto sentence = [](const std::string& path, const char* bits) {
    return path + ": the user outrider cannot read it; run: chgrp outrider " + path +
           " && chmod g+" + bits + ' ' + path;
  };
  CHECK(unreadable(stranger).empty());
  change(file, 0640);
  CHECK(unreadable(stranger) == std::vector<std::string>{sentence(file, "r")});
  CHECK(unreadable(member).empty());
  CHECK(unreadable({"root", 0, {}}).empty());
  CHECK(unreadable({"me", ::geteuid(), {}}).empty());
  change(file, 0604);  // a member is none of the others
  CHECK(unreadable(stranger).empty());
  CHECK(unreadable(member) == std::vector<std::string>{sentence(file, "r")});
  change(file, 0644);
  change(folder, 0750);
  CHECK(unreadable(stranger) == std::vector<std::string>{sentence(folder, "rx")});
  change(folder, 0755);
  // Elsewhere it is not for the units.
  change(other, 0600);
  CHECK(unreadable_for(stranger, {other, folder}, folder).empty());
  change(top, 0700);
  CHECK(unreadable_for(stranger, {other}, "/") == std::vector<std::string>{sentence(top, "rx")});
  CHECK(unreadable_for("no-such-user", {other}, top).empty());
  CHECK(can_read_config({other, folder}));
  CHECK_FALSE(can_read_config({top + "/none"}));
  [[maybe_unused]] const int status = std::system(("rm -r " + top).c_str());
}

}  // namespace
}  // namespace outrider::cli
