// SPDX-License-Identifier: Apache-2.0
// Paths to functions. A pattern is a path; a last segment "*" stands for one or more segments of
// any kind, since ids may contain slashes. Whoever knows the path but not the method is told which
// methods there are (405).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/http/server.h"

namespace outrider::http {

class Router {
 public:
  /// `rest` is what "*" stands for, decoded; empty where there is none.
  using Handler = Callback<void(const ServerRequest&, std::string_view rest, Exchange)>;

  /// `method` "GET" takes HEAD too. The first route that fits is taken.
  void add(std::string_view method, std::string_view pattern, Handler handler);
  /// Calls the handler, or answers 404 or 405.
  void route(const ServerRequest& request, Exchange exchange);

 private:
  struct Route {
    std::string method;
    std::string prefix;  // of a pattern with "*": up to and with the slash before it
    bool open = false;
    Handler handler;
  };
  static bool fits(const Route& route, std::string_view path);

  std::vector<Route> routes_;
};

/// {"error": why}
Answer error_answer(int status, std::string_view why);
Answer json_answer(std::string body);
Answer text_answer(int status, std::string text);

}  // namespace outrider::http
