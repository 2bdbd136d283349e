// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/answer.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "base/address.h"
#include "base/log.h"

namespace outrider::cli {
namespace {

void complain(const Answer& answer) {
  std::string why = answer.body;
  if (const auto parsed = json::parse(answer.body, kAnswerBytesMax)) {
    if (const std::string error = text_at(*parsed, "error"); !error.empty()) why = error;
  }
  std::fprintf(stderr, "outrider: %s\n", escape_untrusted(why).c_str());
}

}  // namespace

int exit_code_of(int status) {
  if (status >= 200 && status < 300) return kDone;
  if (status == 404) return kNotFound;
  return status == 400 || status == 403 ? kUsage : kFailed;
}

Result<Document, int> fetch(const Arguments& arguments, const std::string& target,
                            bool accept_404) {
  auto answer = AgentClient(arguments.get("socket")).ask("GET", target);
  if (!answer) return failure(answer.error());
  if (answer->status != 200 && !(accept_404 && answer->status == 404)) {
    complain(*answer);
    return failure(exit_code_of(answer->status));
  }
  auto value = json::parse(answer->body, kAnswerBytesMax);
  if (!value) {
    std::fprintf(stderr, "outrider: the agent's answer is not JSON: %s\n",
                 escape_untrusted(value.error().message).c_str());
    return failure(static_cast<int>(kFailed));
  }
  return Document{answer->status, std::move(answer->body), std::move(*value)};
}

int tell(const Arguments& arguments, const std::string& target, const std::string& body) {
  const auto answer = AgentClient(arguments.get("socket")).ask("PUT", target, body);
  if (!answer) return answer.error();
  const int code = exit_code_of(answer->status);
  if (code != kDone) complain(*answer);
  return code;
}

std::string shown_json(std::string_view text) {
  // In UTF-8: what comes first, the last octet's bounds, the code of the first of them. Outside of
  // strings JSON has nothing but ASCII.
  struct Range {
    std::string_view lead;
    unsigned char first, last;
    unsigned code;
  };
  static constexpr Range kObeyed[] = {
      {"", 0x7f, 0x7f, 0x7f},           {"\xc2", 0x80, 0x9f, 0x80},
      {"\xd8", 0x9c, 0x9c, 0x61c},      {"\xe2\x80", 0x8e, 0x8f, 0x200e},
      {"\xe2\x80", 0xaa, 0xae, 0x202a}, {"\xe2\x81", 0xa6, 0xa9, 0x2066}};
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto found =
        std::find_if(std::begin(kObeyed), std::end(kObeyed), [&](const Range& range) {
          if (text.size() <= range.lead.size() || !text.starts_with(range.lead)) return false;
          const auto octet = static_cast<unsigned char>(text[range.lead.size()]);
          return octet >= range.first && octet <= range.last;
        });
    if (found == std::end(kObeyed)) {
      out += text.front();
      text.remove_prefix(1);
      continue;
    }
    const auto octet = static_cast<unsigned char>(text[found->lead.size()]);
    std::array<char, 8> escape{};
    std::snprintf(escape.data(), escape.size(), "\\u%04x", found->code + octet - found->first);
    out += escape.data();
    text.remove_prefix(found->lead.size() + 1);
  }
  return out;
}

void print_json(std::string_view text) {
  const std::string shown = shown_json(text);
  std::fwrite(shown.data(), 1, shown.size(), stdout);
}

std::string text_at(const json::Value& value, std::string_view key) {
  const json::Value* found = value.find(key);
  const std::string* text = found != nullptr ? found->as_string() : nullptr;
  return text != nullptr ? *text : std::string();
}

std::int64_t number_at(const json::Value& value, std::string_view key) {
  const json::Value* found = value.find(key);
  const std::int64_t* number = found != nullptr ? found->as_int() : nullptr;
  return number != nullptr ? *number : 0;
}

bool flag_at(const json::Value& value, std::string_view key) {
  const json::Value* found = value.find(key);
  const bool* flag = found != nullptr ? found->as_bool() : nullptr;
  return flag != nullptr && *flag;
}

const json::Array& list_at(const json::Value& value, std::string_view key) {
  static const json::Array kNone;
  const json::Value* found = value.find(key);
  const json::Array* list = found != nullptr ? found->as_array() : nullptr;
  return list != nullptr ? *list : kNone;
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
