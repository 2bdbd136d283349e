// SPDX-License-Identifier: Apache-2.0
#include "agent/bridge/refusal.h"

#include <algorithm>
#include <optional>

#include "base/http/text.h"
#include "base/json.h"
#include "base/text.h"

namespace outrider::bridge {
namespace {

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") + 1 - first);
}

/// Thousandths, "0.5" being 500; 1000 where there is none, 0 where it is malformed.
int weight_of(std::string_view parameters) {
  while (!parameters.empty()) {
    const std::size_t end = std::min(parameters.find(';'), parameters.size());
    const std::string_view one = trimmed(parameters.substr(0, end));
    parameters.remove_prefix(std::min(end + 1, parameters.size()));
    if (one.size() < 3 || lower(one[0]) != 'q' || one[1] != '=') continue;
    const std::string_view value = one.substr(2);
    if (value.front() == '1') return 1000;
    std::string digits(value.size() > 2 ? value.substr(2, 3) : std::string_view());
    digits.resize(3, '0');
    return value.front() == '0' ? parse_number<int>(digits).value_or(0) : 0;
  }
  return 1000;
}

std::string text_form(const Refusal& refusal) {
  std::string out = refusal.why + '\n';
  for (const auto& [name, line] : refusal.lines)
    out += "  " + name + ": " + line + '\n';
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
  out += escape_markup(refusal.service.empty() ? head : refusal.service + ": " + head);
  out += "</h1>\n<p>" + escape_markup(refusal.why) + "</p>\n";
  if (!refusal.lines.empty()) {
    out += "<dl>\n";
    for (const auto& [name, line] : refusal.lines)
      out += "<dt>" + escape_markup(name) + "</dt><dd>" + escape_markup(line) + "</dd>\n";
    out += "</dl>\n";
  }
  return out + "<p><small>Said by the Outrider agent on this host.</small></p>\n</html>\n";
}

}  // namespace

std::string escape_markup(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '&')
      out += "&amp;";
    else if (c == '"')
      out += "&quot;";
    else if (byte < 0x20 || byte == 0x7f)
      out += "\xef\xbf\xbd";
    else
      out += c;
  }
  return out;
}

Form preferred_form(std::string_view accept) {
  int page = 0, json = 0;
  while (!accept.empty()) {
    const std::size_t end = std::min(accept.find(','), accept.size());
    const std::string_view one = accept.substr(0, end);
    accept.remove_prefix(std::min(end + 1, accept.size()));
    const std::size_t semicolon = std::min(one.find(';'), one.size());
    const std::string_view type = trimmed(one.substr(0, semicolon));
    const std::string_view rest = one.substr(std::min(semicolon + 1, one.size()));
    if (equal_fold(type, "text/html")) page = weight_of(rest);
    if (equal_fold(type, "application/json")) json = weight_of(rest);
  }
  if (json > page) return Form::json;
  return page > 0 ? Form::page : Form::text;
}

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
      {"Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"}};
  if (refusal.status == 503) headers.emplace_back("Retry-After", "2");
  std::string out = http::write_response(refusal.status, headers, body, false);
  if (head_only) out.resize(out.size() - body.size());
  return out;
}

}  // namespace outrider::bridge
