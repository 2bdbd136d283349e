// SPDX-License-Identifier: Apache-2.0
// register, deregister, pass, warn, fail, maintenance, drain.
#include <optional>

#include "agent/cli/agent_commands.h"
#include "agent/cli/answer.h"
#include "base/text_file.h"

namespace outrider::cli {
namespace {

int heartbeat(const Arguments& arguments, const char* verb) {
  const std::vector<std::string>& words = arguments.positional();
  std::string target =
      std::string("/v1/outrider/check/") + verb + '/' + http::percent_encode(words[0]);
  if (words.size() > 1) target += "?note=" + http::percent_encode(words[1]);
  return put(arguments, target);
}

/// A change of one registration. What the agent has to say about it is printed.
int change(const Arguments& arguments, const std::string& target) {
  auto answer = AgentClient(arguments.get("socket")).ask("PUT", target);
  if (!answer) return answer.error();
  if (answer->status == 404)
    return complain("unknown instance \"" + arguments.positional().front() +
                        "\"; list ids with: outrider instances",
                    kNotFound);
  const auto done = accepted(std::move(*answer));
  if (!done) return done.error();
  if (const std::string note = text_at(done->value, "note"); !note.empty())
    print(tinted(note, Tint::plain) + '\n');
  return kDone;
}

/// Whether "on" or "off" is written; nothing for any other word.
std::optional<bool> read_switch(const std::string& word) {
  if (word == "on") return true;
  if (word == "off") return false;
  complain("expected on or off, not \"" + word + '"', kUsage);
  return std::nullopt;
}

}  // namespace

int register_services(const Arguments& arguments) {
  const auto body = read_text_input(arguments.positional().front(), json::kBodyBytesMax);
  if (!body) return complain(body.error(), kUsage);
  const auto done = put_document(arguments, "/v1/outrider/register", *body);
  if (!done) return done.error();
  for (const json::Value& id : list_at(done->value, "registered"))
    if (const std::string* text = id.as_string()) print(tinted(*text, Tint::plain) + '\n');
  return kDone;
}

int deregister(const Arguments& arguments) {
  return change(arguments,
                "/v1/outrider/deregister/" + http::percent_encode(arguments.positional().front()));
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
  const auto on = read_switch(words[1]);
  if (!on) return kUsage;
  std::string target = "/v1/outrider/maintenance/" + http::percent_encode(words[0]) +
                       "?enable=" + (*on ? "true" : "false");
  if (words.size() > 2) target += "&reason=" + http::percent_encode(words[2]);
  return change(arguments, target);
}

int drain(const Arguments& arguments) {
  const std::vector<std::string>& words = arguments.positional();
  if (words.empty()) return put(arguments, "/v1/outrider/drain");
  const auto on = words.size() > 1 ? read_switch(words[1]) : true;
  if (!on) return kUsage;
  return change(arguments, "/v1/outrider/drain/" + http::percent_encode(words[0]) +
                               "?enable=" + (*on ? "true" : "false"));
}

}  // namespace outrider::cli
