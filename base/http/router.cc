// SPDX-License-Identifier: Apache-2.0
#include "base/http/router.h"

namespace outrider::http {

void Router::add(std::string_view method, std::string_view pattern, Handler handler) {
  const bool open = pattern.ends_with("/*");
  if (open) pattern.remove_suffix(1);
  routes_.push_back({std::string(method), std::string(pattern), open, std::move(handler)});
}

bool Router::fits(const Route& route, std::string_view path) {
  if (!route.open) return path == route.prefix;
  return path.size() > route.prefix.size() && path.starts_with(route.prefix);
}

void Router::route(const ServerRequest& request, Exchange exchange) {
  const std::string method = request.method == "HEAD" ? "GET" : request.method;
  std::string allowed;
  for (Route& route : routes_) {
    if (!fits(route, request.path)) continue;
    if (route.method == method) {
      const std::string_view path = request.path;
      return route.handler(request, route.open ? path.substr(route.prefix.size()) : "",
                           std::move(exchange));
    }
    if (!allowed.empty()) allowed += ", ";
    allowed += route.method;
  }
  if (allowed.empty()) return exchange.answer(error_answer(404, "no such path"));
  Answer answer = error_answer(405, "not with this method");
  answer.headers.emplace_back("Allow", allowed);
  exchange.answer(std::move(answer));
}

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
