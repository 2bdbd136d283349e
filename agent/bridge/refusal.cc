// SPDX-License-Identifier: Apache-2.0
#include "agent/bridge/refusal.h"

#include "agent/doors/page/html.h"
#include "base/http/text.h"
#include "base/json.h"
#include "base/log.h"

namespace outrider::bridge {
namespace {

using doors::page::html_text;
using http::Form;

std::string text_form(const Refusal& refusal) {
  // A terminal obeys what it shows.
  std::string out = escape_untrusted(refusal.why) + '\n';
  for (const auto& [name, line] : refusal.lines)
    out += "  " + escape_untrusted(name) + ": " + escape_untrusted(line) + '\n';
  return out;
}

std::string json_form(const Refusal& refusal) {
  std::string out;
  json::Writer writer(out);
  writer.begin_object().member("error", refusal.why);
  if (!refusal.service.empty()) writer.member("service", refusal.service);
  writer.key("instances").begin_array();
  for (const auto& [name, line] : refusal.lines)
    writer.begin_object().member("id", name).member("reason", line).end_object();
  writer.end_array().end_object();
  return out + '\n';
}

std::string page_form(const Refusal& refusal) {
  const std::string head =
      std::to_string(refusal.status) + ' ' + http::reason_phrase(refusal.status);
  std::string out =
      "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width\">\n<title>" +
      head +
      "</title>\n<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;"
      "max-width:44em;margin:4em auto;padding:0 1em}h1{font-size:1.3em}dt{font-weight:600;"
      "margin-top:.6em}dd{margin:0}small{opacity:.7}</style>\n<h1>";
  out += html_text(refusal.service.empty() ? head : refusal.service + ": " + head);
  out += "</h1>\n<p>" + html_text(refusal.why) + "</p>\n";
  if (!refusal.lines.empty()) {
    out += "<dl>\n";
    for (const auto& [name, line] : refusal.lines)
      out += "<dt>" + html_text(name) + "</dt><dd>" + html_text(line) + "</dd>\n";
    out += "</dl>\n";
  }
  return out + "<p><small>Said by the Outrider agent on this host.</small></p>\n</html>\n";
}

}  // namespace

std::string write_refusal(const Refusal& refusal, Form form, bool head_only) {
  std::string body, type;
  switch (form) {
    case Form::text:
      body = text_form(refusal);
      type = "text/plain; charset=utf-8";
      break;
    case Form::json:
      body = json_form(refusal);
      type = "application/json";
      break;
    case Form::page:
      body = page_form(refusal);
      type = "text/html; charset=utf-8";
      break;
  }
  std::vector<std::pair<std::string, std::string>> headers = {
      {"Content-Type", type},
      {"Cache-Control", "no-store"},
      {"X-Content-Type-Options", "nosniff"},
      {"Content-Security-Policy", kRefusalPolicy}};
  if (refusal.status == 503) headers.emplace_back("Retry-After", "2");
  std::string out = http::write_response(refusal.status, headers, body, false);
  if (head_only) out.resize(out.size() - body.size());
  return out;
}

}  // namespace outrider::bridge
