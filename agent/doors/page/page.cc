// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/page/page.h"

#include "agent/doors/api.h"
#include "agent/doors/page/tables.h"
#include "agent/doors/page_html.h"
#include "base/http/accept.h"
#include "base/text.h"

namespace outrider::doors::page {
namespace {

// What `page.html` says where `show` writes.
constexpr std::string_view kTablesMark = "@TABLES@";
constexpr std::string_view kAccessMark = "@ACCESS@";

http::Answer page_with(std::string_view tables, bool may_change) {
  http::Answer answer;
  answer.content_type = "text/html; charset=utf-8";
  // The tables last: what they quote is not searched for marks.
  answer.body = replace_all(std::string(kPage), kAccessMark, may_change ? "open" : "token");
  const std::size_t at = answer.body.find(kTablesMark);
  OUTRIDER_ASSERT(at != std::string::npos);
  answer.body.replace(at, kTablesMark.size(), tables);
  const std::string policy = "default-src 'self'; script-src " + std::string(kScriptHash) +
                             "; style-src " + std::string(kStyleHash) +
                             "; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
                             "frame-ancestors 'none'";
  answer.headers = {{"Content-Security-Policy", policy},
                    {"X-Frame-Options", "DENY"},
                    {"Referrer-Policy", "no-referrer"},
                    {"Cross-Origin-Resource-Policy", "same-origin"},
                    {"Vary", "Accept"}};
  return answer;
}

template <class Table>
void answer_in_turns(Api& api, Table table, bool may_change, http::Exchange exchange) {
  Api::Step step = [table = std::move(table), may_change]() mutable -> std::optional<http::Answer> {
    if (!table.write(kRowsPerTurn)) return std::nullopt;
    return page_with(table.text(), may_change);
  };
  if (api.control().registry().instance_count() <= kRowsAtOnce) return exchange.answer(*step());
  api.answer_in_turns(std::move(exchange), std::move(step));
}

}  // namespace

bool is_wanted(const http::ServerRequest& request) {
  const bool reads = request.method == "GET" || request.method == "HEAD";
  return reads && http::preferred_form(request.headers.get("Accept")) == http::Form::page;
}

std::optional<std::string_view> service_asked_for(Api& api, const http::ServerRequest& request) {
  const std::string_view path = request.path;
  const bool is_name = path.size() > 1 && path.find('/', 1) == std::string_view::npos;
  if (!is_name || !is_wanted(request) || api.router().knows(path)) return std::nullopt;
  return path.substr(1);
}

void show(Api& api, const http::ServerRequest& request, std::string_view service,
          http::Exchange exchange) {
  const bool may_change = request.caller.unix_socket;
  if (service.empty())
    return answer_in_turns(api, ServicesTable(api.control()), may_change, std::move(exchange));
  answer_in_turns(api, ServiceTable(api.control(), service), may_change, std::move(exchange));
}

}  // namespace outrider::doors::page
