// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/answer.h"

#include <algorithm>

#include "base/address.h"
#include "base/json_repeated.h"

namespace outrider::cli {
namespace {

/// 404 and 410 are kNotFound, 400 and 403 are kUsage, other errors kFailed.
Exit exit_code_of(int status) {
  if (status >= 200 && status < 300) return kDone;
  if (status == 404 || status == 410) return kNotFound;
  return status == 400 || status == 403 ? kUsage : kFailed;
}

/// Prints the agent's reason; returns the exit code for its status.
int complain_of(const Answer& answer) {
  std::string reason = answer.body;
  if (const auto parsed = json::parse_repeated(answer.body, kAnswerBytesMax))
    if (const std::string error = text_at(*parsed, "error"); !error.empty()) reason = error;
  return complain(reason, exit_code_of(answer.status));
}

Result<Document, int> document_of(Answer answer) {
  auto value = json::parse_repeated(answer.body, kAnswerBytesMax);
  if (!value)
    return failure(complain("the agent's answer is not JSON: " + value.error().message, kFailed));
  return Document{answer.status, std::move(answer.body), std::move(*value)};
}

}  // namespace

Result<Document, int> get_document(const Arguments& arguments, const std::string& target,
                                   Accept accept) {
  AgentClient client(arguments.get("socket"));
  return get_document(client, target, accept);
}

Result<Document, int> get_document(AgentClient& client, const std::string& target, Accept accept) {
  auto answer = client.ask("GET", target);
  if (!answer) return failure(answer.error());
  const bool accepted =
      answer->status == 200 || (accept == Accept::ok_and_not_found && answer->status == 404);
  if (!accepted) return failure(complain_of(*answer));
  return document_of(std::move(*answer));
}

Exit exit_code_of_name(const Document& explanation) {
  const json::Array& instances = list_at(explanation.value, "instances");
  if (explanation.status == 404 || instances.empty()) return kNotFound;
  const bool answered = std::ranges::any_of(
      instances, [](const json::Value& entry) { return flag_at(entry, "in_answer"); });
  return answered ? kDone : kFailed;
}

Result<Document, int> get_selection(AgentClient& client, const std::string& name,
                                    const std::string& query) {
  const std::string path = http::percent_encode(name);
  auto selected =
      get_document(client, "/v1/outrider/select/" + path + query, Accept::ok_and_not_found);
  if (!selected || selected->status == 200) return selected;
  const auto why = get_document(client, "/v1/outrider/why/" + path, Accept::ok_and_not_found);
  if (!why) return failure(why.error());
  // One may be in the answer and not fit the query.
  const Exit code = exit_code_of_name(*why) == kNotFound ? kNotFound : kFailed;
  return failure(complain(text_at(selected->value, "error"), code));
}

Result<Document, int> put_document(const Arguments& arguments, const std::string& target,
                                   const std::string& body) {
  auto answer = AgentClient(arguments.get("socket")).ask("PUT", target, body);
  if (!answer) return failure(answer.error());
  return accepted(std::move(*answer));
}

Result<Document, int> accepted(Answer answer) {
  if (exit_code_of(answer.status) != kDone) return failure(complain_of(answer));
  return document_of(std::move(answer));
}

int put(const Arguments& arguments, const std::string& target, const std::string& body) {
  const auto answer = AgentClient(arguments.get("socket")).ask("PUT", target, body);
  if (!answer) return answer.error();
  return exit_code_of(answer->status) == kDone ? int{kDone} : complain_of(*answer);
}

std::string joined_at(const json::Value& value, std::string_view key, std::string_view between) {
  std::string out;
  for (const json::Value& item : list_at(value, key)) {
    if (const std::string* text = item.as_string()) {
      if (!out.empty()) out += between;
      out += *text;
    }
  }
  return out;
}

std::string endpoint_of(const json::Value& instance) {
  const json::Array& addresses = list_at(instance, "addresses");
  const std::int64_t port = number_at(instance, "port");
  if (addresses.empty() || addresses.front().as_string() == nullptr)
    return port > 0 ? "-:" + std::to_string(port) : "-";
  const std::string& text = *addresses.front().as_string();
  const auto address = IpAddress::parse(text);
  if (!address || port == 0) return text;
  return Endpoint{*address, static_cast<std::uint16_t>(port)}.to_string();
}

}  // namespace outrider::cli
