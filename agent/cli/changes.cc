// SPDX-License-Identifier: Apache-2.0
// register, deregister, pass, warn, fail, maintenance, drain.
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>

#include "agent/cli/agent_commands.h"
#include "agent/cli/answer.h"

namespace outrider::cli {
namespace {

/// The whole of a file or, for "-", of standard input; at most what the agent takes.
std::optional<std::string> read_all(const std::string& path) {
  std::FILE* file = path == "-" ? stdin : std::fopen(path.c_str(), "rb");
  if (file == nullptr) {
    complain(path + ": " + std::strerror(errno), kUsage);
    return std::nullopt;
  }
  std::string text;
  std::array<char, 4'096> piece{};
  std::size_t size = 0;
  while ((size = std::fread(piece.data(), 1, piece.size(), file)) > 0 &&
         text.size() <= json::kBodyBytesMax) {
    text.append(piece.data(), size);
  }
  const bool failed = std::ferror(file) != 0;
  if (path != "-") std::fclose(file);
  if (failed || text.size() > json::kBodyBytesMax) {
    complain(path + (failed ? ": cannot be read" : ": longer than 64 KiB"), kUsage);
    return std::nullopt;
  }
  return text;
}

int heartbeat(const Arguments& arguments, const char* verb) {
  const std::vector<std::string>& words = arguments.positional();
  std::string target = std::string("/v1/outrider/check/") + verb + '/' + encode(words[0]);
  if (words.size() > 1) target += "?note=" + encode(words[1]);
  return put(arguments, target);
}

}  // namespace

int register_services(const Arguments& arguments) {
  const auto body = read_all(arguments.positional().front());
  if (!body) return kUsage;
  return put(arguments, "/v1/outrider/register", *body);
}

int deregister(const Arguments& arguments) {
  return put(arguments, "/v1/outrider/deregister/" + encode(arguments.positional().front()));
}

int send_pass(const Arguments& arguments) {
  return heartbeat(arguments, "pass");
}
int send_warn(const Arguments& arguments) {
  return heartbeat(arguments, "warn");
}
int send_fail(const Arguments& arguments) {
  return heartbeat(arguments, "fail");
}

int set_maintenance(const Arguments& arguments) {
  const std::vector<std::string>& words = arguments.positional();
  if (words[1] != "on" && words[1] != "off")
    return complain("expected on or off, not \"" + words[1] + '"', kUsage);
  std::string target = "/v1/outrider/maintenance/" + encode(words[0]) +
                       "?enable=" + (words[1] == "on" ? "true" : "false");
  if (words.size() > 2) target += "&reason=" + encode(words[2]);
  return put(arguments, target);
}

int drain(const Arguments& arguments) {
  const std::vector<std::string>& words = arguments.positional();
  return put(arguments, "/v1/outrider/drain" + (words.empty() ? "" : '/' + encode(words[0])));
}

}  // namespace outrider::cli
