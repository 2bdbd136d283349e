// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/page/page.h"

#include "agent/doors/api.h"
#include "agent/doors/page/tables.h"
#include "agent/doors/page_html.h"
#include "agent/registry/served.h"
#include "base/http/accept.h"
#include "base/log.h"
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

bool is_read(const http::ServerRequest& request) {
  return request.method == "GET" || request.method == "HEAD";
}

/// For curl: the words of `why`, a line for each instance. It is escaped, because a terminal obeys
/// what it shows.
http::Answer plain_state(const Control& control, std::string_view name) {
  const View view = view_of(control);
  const Findings found = look_for(view, name);
  const Reasons reasons = reasons_for(view, found, kStaticInstancesMax);
  std::string text = escape_untrusted(reasons.summary) + '\n';
  for (std::size_t i = 0; i < reasons.lines.size(); ++i) {
    const registry::Instance& instance = *found.meant[i];
    const std::vector<IpAddress> addresses = served_addresses(instance, view.host);
    text += "  " + escape_untrusted(reasons.lines[i].id) + "  ";
    if (!addresses.empty()) text += Endpoint{addresses.front(), instance.port}.to_string() + "  ";
    text += escape_untrusted(reasons.lines[i].reason) + '\n';
  }
  if (const std::size_t left = found.meant.size() - reasons.lines.size(); left > 0)
    text += "  and " + counted(left, "more instance") + '\n';
  http::Answer answer = http::text_answer(200, std::move(text));
  answer.headers.emplace_back("Vary", "Accept");
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
  return is_read(request) &&
         http::preferred_form(request.headers.get("Accept")) == http::Form::page;
}

std::optional<std::string_view> service_asked_for(Api& api, const http::ServerRequest& request) {
  const std::string_view path = request.path;
  const bool is_name = path.size() > 1 && path.find('/', 1) == std::string_view::npos;
  if (!is_name || !is_read(request) || api.router().knows(path)) return std::nullopt;
  const std::string_view name = path.substr(1);
  // A program that takes the path for one of the API gets the answer that there is none.
  if (is_wanted(request)) return name;
  const Findings found = look_for(view_of(api.control()), name);
  if (found.meant.empty() && !found.known) return std::nullopt;
  return name;
}

void answer_for(Api& api, const http::ServerRequest& request, std::string_view name,
                http::Exchange exchange) {
  switch (http::preferred_form(request.headers.get("Accept"))) {
    case http::Form::page:
      return show(api, request, name, std::move(exchange));
    case http::Form::text:
      return exchange.answer(plain_state(api.control(), name));
    case http::Form::json: {
      http::ServerRequest same = request;
      same.path = "/v1/outrider/why/" + std::string(name);
      return api.router().route(same, std::move(exchange));
    }
  }
}

void show(Api& api, const http::ServerRequest& request, std::string_view service,
          http::Exchange exchange) {
  const bool may_change = request.caller.unix_socket;
  if (service.empty())
    return answer_in_turns(api, ServicesTable(api.control()), may_change, std::move(exchange));
  answer_in_turns(api, ServiceTable(api.control(), service), may_change, std::move(exchange));
}

}  // namespace outrider::doors::page
