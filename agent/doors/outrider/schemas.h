// SPDX-License-Identifier: Apache-2.0
// The forms of answers and of bodies, as OpenAPI 3.0 states them: of the agent's own API in
// schemas.cc, of Consul's in consul/schemas.cc. Routes name them; tests compare them with real
// answers, member by member.
#pragma once

#include <span>
#include <string_view>

namespace outrider::doors {

struct AnswerSchema {
  std::string_view name;
  std::string_view json;
};

std::span<const AnswerSchema> answer_schemas();
std::span<const AnswerSchema> consul_schemas();

}  // namespace outrider::doors
