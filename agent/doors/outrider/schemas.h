// SPDX-License-Identifier: Apache-2.0
// The forms of the answers of the agent's own API, as OpenAPI 3.0 states them. Routes name them;
// tests compare them with real answers, member by member.
#pragma once

#include <span>
#include <string_view>

namespace outrider::doors {

struct AnswerSchema {
  std::string_view name;
  std::string_view json;
};

std::span<const AnswerSchema> answer_schemas();

}  // namespace outrider::doors
