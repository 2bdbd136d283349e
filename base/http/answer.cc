// SPDX-License-Identifier: Apache-2.0
#include "base/http/answer.h"

#include "base/json.h"

namespace outrider::http {

Answer error_answer(int status, std::string_view why) {
  Answer answer;
  answer.status = status;
  json::Writer(answer.body).begin_object().member("error", why).end_object();
  answer.body += '\n';
  return answer;
}

Answer json_answer(std::string body) {
  Answer answer;
  answer.body = std::move(body);
  return answer;
}

Answer text_answer(int status, std::string text) {
  Answer answer;
  answer.status = status;
  answer.body = std::move(text);
  answer.content_type = "text/plain; charset=utf-8";
  return answer;
}

}  // namespace outrider::http
