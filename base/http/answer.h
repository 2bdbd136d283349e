// SPDX-License-Identifier: Apache-2.0
// What a request is answered with.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace outrider::http {

struct Answer {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers;
};

/// {"error": why}
Answer error_answer(int status, std::string_view why);
Answer json_answer(std::string body);
Answer text_answer(int status, std::string text);

}  // namespace outrider::http
