// SPDX-License-Identifier: Apache-2.0
#include <map>
#include <set>

#include <doctest/doctest.h>

#include "agent/cli/run/default_name.h"
#include "agent/cli/run/port_choice.h"

namespace outrider::cli::beside {
namespace {

using Files = std::map<std::string, std::string>;

Project project_in(const std::string& folder, const Files& files) {
  return find_project(folder, "/users/ada",
                      [&](const std::string& path) -> std::optional<std::string> {
                        const auto found = files.find(path);
                        if (found == files.end()) return std::nullopt;
                        return found->second;
                      });
}

TEST_CASE("a program is called as its project calls itself, else as its folder") {
  const std::string app = "/users/ada/src/My_App";
  CHECK(project_in(app, {{app + "/package.json", R"({"name": "@ada/shop-web"})"}}).name ==
        "shop-web");
  CHECK(project_in(app, {{app + "/pyproject.toml",
                          "[build-system]\nname = 'no'\n[project] # it\n name = \"Shop.Py\"\n"}})
            .name == "shop-py");
  CHECK(project_in(app, {{app + "/pyproject.toml", "[tool.poetry]\nname='old'\n"}}).name == "old");
  CHECK(project_in(app, {}).name == "my-app");
  // The nearest one, upwards.
  CHECK(project_in(app + "/src/deep", {{app + "/package.json", R"({"name": "top"})"},
                                       {app + "/.git/HEAD", "ref: refs/heads/main\n"}})
            .name == "top");
  CHECK(project_in(app + "/src", {{app + "/.git/HEAD", "ref: refs/heads/main\n"}}).name ==
        "my-app");
}

TEST_CASE("what says nothing about a program gives it no name") {
  for (const char* folder : {"/", "/users/ada", "/tmp", ""}) {
    CAPTURE(folder);
    CHECK(project_in(folder, {}).name.empty());
  }
  // A name that no service can have, and files that are none.
  const std::string app = "/srv/app";
  for (const char* text : {"{", "[]", R"({"name": 1})", R"({"name": "\u0000"})", R"({"name": ""})"})
    CHECK(project_in(app, {{app + "/package.json", text}}).name == "app");
  for (const char* held : {"localhost", "LOCALHOST", "ns"}) {
    CHECK(project_in(app, {{app + "/package.json", R"({"name": ")" + std::string(held) + "\"}"}})
              .name == "app");
    CHECK(project_in(std::string("/srv/") + held, {}).name.empty());
  }
  CHECK(name_in_pyproject("[project]\nname = unquoted\nname = \"\"\n").empty());
  CHECK(stem_of("/usr/bin/python3.11") == "python3");
  CHECK(stem_of(".hidden") == ".hidden");
}

TEST_CASE("no more than kFoldersMax folders are looked into") {
  std::string deep = "/srv/app";
  const Files files = {{"/srv/app/package.json", R"({"name": "far"})"}};
  for (std::size_t i = 0; i + 1 < kFoldersMax; ++i)
    deep += "/d";
  CHECK(project_in(deep, files).name == "far");
  CHECK(project_in(deep + "/d", files).name == "d");
}

TEST_CASE("the git branch is known, in linked worktrees too, and the main one has no name") {
  const std::string app = "/srv/app";
  const auto branch = [&](const Files& files) { return project_in(app, files).branch; };
  CHECK(branch({{app + "/.git/HEAD", "ref: refs/heads/Fix/UI_2\n"}}) == "fix-ui-2");
  CHECK(branch({{app + "/.git", "gitdir: /srv/main/.git/worktrees/app\n"},
                {"/srv/main/.git/worktrees/app/HEAD", "ref: refs/heads/topic\n"}}) == "topic");
  CHECK(branch({{app + "/.git", "gitdir: ../main/.git/worktrees/app\n"},
                {app + "/../main/.git/worktrees/app/HEAD", "ref: refs/heads/topic\n"}}) == "topic");
  CHECK(branch({{app + "/.git/HEAD", "ref: refs/heads/main\n"}}).empty());
  CHECK(branch({{app + "/.git/HEAD", "0123456789abcdef\n"}}).empty());
  CHECK(branch({}).empty());
}

TEST_CASE("a service in a folder has the same port at every start, where it is free") {
  const auto all = [](std::uint16_t) { return true; };
  const std::uint16_t usual = choose_port("shop", "/srv/shop", all);
  CHECK(usual >= kPortFirst);
  CHECK(usual < kPortFirst + kPortCount);
  CHECK(choose_port("shop", "/srv/shop", all) == usual);
  CHECK(choose_port("shop", "/srv/other", all) != usual);
  CHECK(choose_port("pay", "/srv/shop", all) != usual);
  const std::uint16_t second =
      choose_port("shop", "/srv/shop", [&](std::uint16_t port) { return port != usual; });
  CHECK(second != usual);
  CHECK(second != 0);
}

TEST_CASE("no more than kPortAttempts ports are tried, each of them once") {
  std::set<std::uint16_t> tried;
  CHECK(choose_port("shop", "/srv/shop", [&](std::uint16_t port) {
          CHECK(tried.insert(port).second);
          return false;
        }) == 0);
  CHECK(tried.size() == kPortAttempts);
}

}  // namespace
}  // namespace outrider::cli::beside
