// SPDX-License-Identifier: Apache-2.0
// What the asking commands share: an answer parsed, or an exit code with the reason on stderr.
#pragma once

#include <string>
#include <string_view>

#include "agent/cli/cli.h"
#include "agent/cli/client.h"
#include "agent/cli/table.h"

namespace outrider::cli {

/// GETs and parses. `accept_404`: such an answer is one too (the caller sees `status`).
struct Document {
  int status = 0;
  std::string text;
  json::Value value;
};
Result<Document, int> fetch(const Arguments& arguments, const std::string& target,
                            bool accept_404 = false);
/// PUTs; the exit code, with the agent's reason told on stderr.
int tell(const Arguments& arguments, const std::string& target, const std::string& body = {});

/// Exit code for an HTTP status: 404 is kNotFound, 400 and 403 kUsage, the rest kFailed.
int exit_code_of(int status);

/// JSON as it is, but with what a terminal would obey instead of show (DEL, C1 controls, marks that
/// turn the direction of writing) as \uXXXX, which means the same.
std::string shown_json(std::string_view text);
void print_json(std::string_view text);

/// Reading without surprises: "" or 0 where there is nothing.
std::string text_at(const json::Value& value, std::string_view key);
std::int64_t number_at(const json::Value& value, std::string_view key);
bool flag_at(const json::Value& value, std::string_view key);
const json::Array& list_at(const json::Value& value, std::string_view key);
/// The texts of a list, joined.
std::string joined_at(const json::Value& value, std::string_view key, std::string_view between);
/// "192.168.1.10:8080" of an instance; "-" without address.
std::string endpoint_of(const json::Value& instance);

}  // namespace outrider::cli
