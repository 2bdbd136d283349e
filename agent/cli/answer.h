// SPDX-License-Identifier: Apache-2.0
// What the commands that ask an agent share: a parsed answer, or an exit code after the reason has
// been printed to stderr.
#pragma once

#include <string>
#include <string_view>

#include "agent/cli/cli.h"
#include "agent/cli/client.h"
#include "agent/cli/table.h"
#include "base/json_members.h"

namespace outrider::cli {

struct Document {
  int status = 0;
  std::string text;
  json::Value value;
};
/// Which statuses are an answer to the caller rather than a failure.
enum class Accept { ok, ok_and_not_found };
/// GETs `target` and parses the answer.
Result<Document, int> get_document(const Arguments& arguments, const std::string& target,
                                   Accept accept = Accept::ok);
Result<Document, int> get_document(AgentClient& client, const std::string& target,
                                   Accept accept = Accept::ok);
/// What an explanation (/v1/outrider/why) means for a command that needs a healthy instance:
/// kNotFound if no instance is known, kFailed if none of them is in the answer.
Exit exit_code_of_name(const Document& explanation);
/// The instance that the agent selects for `name`; `query` is "?strategy=…" or empty. Without a
/// healthy one, an exit code of exit_code_of_name().
Result<Document, int> get_selection(AgentClient& client, const std::string& name,
                                    const std::string& query = {});
/// PUTs `body` and parses the answer.
Result<Document, int> put_document(const Arguments& arguments, const std::string& target,
                                   const std::string& body);
/// The document of an answer to a change, or an exit code after the agent's reason was printed.
Result<Document, int> accepted(Answer answer);
/// PUTs `body`; returns the exit code.
int put(const Arguments& arguments, const std::string& target, const std::string& body = {});

/// The strings of a list, joined.
std::string joined_at(const json::Value& value, std::string_view key, std::string_view between);
/// "192.168.1.10:8080"; "-" if the instance has no address.
std::string endpoint_of(const json::Value& instance);

}  // namespace outrider::cli
