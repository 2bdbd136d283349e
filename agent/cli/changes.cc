// SPDX-License-Identifier: Apache-2.0
// register, deregister, pass, warn, fail, maintenance, drain.
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
  return put(arguments,
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
  if (words[1] != "on" && words[1] != "off")
    return complain("expected on or off, not \"" + words[1] + '"', kUsage);
  std::string target = "/v1/outrider/maintenance/" + http::percent_encode(words[0]) +
                       "?enable=" + (words[1] == "on" ? "true" : "false");
  if (words.size() > 2) target += "&reason=" + http::percent_encode(words[2]);
  return put(arguments, target);
}

int drain(const Arguments& arguments) {
  const std::vector<std::string>& words = arguments.positional();
  return put(arguments,
             "/v1/outrider/drain" + (words.empty() ? "" : '/' + http::percent_encode(words[0])));
}

}  // namespace outrider::cli
