// SPDX-License-Identifier: Apache-2.0
#include "base/http/text.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "base/percent.h"
#include "base/text.h"

namespace outrider::http {
namespace {

/// RFC 3986 §2.1; in queries '+' is a space, as forms write it.
bool decode(std::string_view in, bool query, std::string& out) {
  out.reserve(in.size());
  for (std::size_t i = 0; i < in.size(); ++i) {
    char c = in[i];
    if (c == '%') {
      const auto octet = percent_octet(in.substr(i));
      if (!octet || *octet == 0) return false;
      c = static_cast<char>(*octet);
      i += 2;
    } else if (c == '+' && query) {
      c = ' ';
    } else if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f || c == '#') {
      return false;
    }
    out.push_back(c);
  }
  return true;
}

void append_header(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

/// RFC 9110 §8.6: no Content-Length in 1xx and 204, and none that lies in 304.
bool may_have_length(int status) {
  return status >= 200 && status != 204 && status != 304;
}

}  // namespace

const char* to_string(Error error) {
  switch (error) {
    case Error::malformed:
      return "malformed";
    case Error::version:
      return "version";
    case Error::method:
      return "method";
    case Error::head_too_long:
      return "head_too_long";
    case Error::body_too_long:
      return "body_too_long";
    case Error::host:
      return "host";
    case Error::target:
      return "target";
    case Error::parameters:
      return "parameters";
    case Error::framing:
      return "framing";
    case Error::coding:
      return "coding";
    case Error::bare_line_feed:
      return "bare_line_feed";
    case Error::cut_short:
      return "cut_short";
  }
  return "?";
}

int status_of(Error error) {
  switch (error) {
    case Error::malformed:
    case Error::host:
    case Error::target:
    case Error::parameters:
    case Error::framing:
    case Error::bare_line_feed:
    case Error::cut_short:
      return 400;
    case Error::version:
      return 505;
    case Error::method:
    case Error::coding:
      return 501;
    case Error::head_too_long:
      return 431;
    case Error::body_too_long:
      return 413;
  }
  return 400;
}

std::string_view Headers::get(std::string_view name) const {
  for (const auto& [key, value] : fields)
    if (equal_fold(key, name)) return value;
  return {};
}

bool Headers::has(std::string_view name) const {
  return std::any_of(fields.begin(), fields.end(),
                     [&](const auto& field) { return equal_fold(field.first, name); });
}

bool valid_header(std::string_view name, std::string_view value) {
  const auto token = [](char c) {
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') ||
           (c != 0 && std::strchr("!#$%&'*+-.^_`|~", c) != nullptr);
  };
  const auto text = [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return c == '\t' || (byte >= 0x20 && byte != 0x7f);
  };
  return !name.empty() && std::all_of(name.begin(), name.end(), token) &&
         std::all_of(value.begin(), value.end(), text);
}

std::string write_request(std::string_view method, std::string_view target, std::string_view host,
                          const std::vector<std::pair<std::string, std::string>>& headers,
                          std::string_view body, bool keep_alive) {
  std::string out;
  out.reserve(128 + target.size() + body.size());
  out.append(method).append(" ").append(target).append(" HTTP/1.1\r\n");
  append_header(out, "Host", host);
  for (const auto& [name, value] : headers)
    append_header(out, name, value);
  if (!keep_alive) append_header(out, "Connection", "close");
  // RFC 9110 §8.6: a method that anticipates content says so even when there is none.
  if (!body.empty() || method == "POST" || method == "PUT" || method == "PATCH")
    append_header(out, "Content-Length", std::to_string(body.size()));
  return out.append("\r\n").append(body);
}

std::string write_response(int status,
                           const std::vector<std::pair<std::string, std::string>>& headers,
                           std::string_view body, bool keep_alive) {
  std::string out = "HTTP/1.1 " + std::to_string(status) + " " + reason_phrase(status) + "\r\n";
  for (const auto& [name, value] : headers)
    append_header(out, name, value);
  if (!keep_alive) append_header(out, "Connection", "close");
  if (!may_have_length(status)) return out.append("\r\n");
  append_header(out, "Content-Length", std::to_string(body.size()));
  return out.append("\r\n").append(body);
}

const char* reason_phrase(int status) {
  static constexpr std::pair<int, const char*> kPhrases[] = {
      {200, "OK"},
      {201, "Created"},
      {202, "Accepted"},
      {204, "No Content"},
      {304, "Not Modified"},
      {400, "Bad Request"},
      {401, "Unauthorized"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {406, "Not Acceptable"},
      {408, "Request Timeout"},
      {409, "Conflict"},
      {411, "Length Required"},
      {413, "Content Too Large"},
      {414, "URI Too Long"},
      {415, "Unsupported Media Type"},
      {421, "Misdirected Request"},
      {422, "Unprocessable Content"},
      {429, "Too Many Requests"},
      {431, "Request Header Fields Too Large"},
      {500, "Internal Server Error"},
      {501, "Not Implemented"},
      {502, "Bad Gateway"},
      {503, "Service Unavailable"},
      {504, "Gateway Timeout"},
      {505, "HTTP Version Not Supported"},
      {508, "Loop Detected"},
  };
  for (const auto& [number, phrase] : kPhrases)
    if (number == status) return phrase;
  return "Unknown";
}

std::string_view Target::get(std::string_view key) const {
  for (const auto& [name, value] : query)
    if (name == key) return value;
  return {};
}

bool Target::has(std::string_view key) const {
  return std::any_of(query.begin(), query.end(),
                     [&](const auto& item) { return item.first == key; });
}

Result<Target, Error> parse_target(std::string_view target) {
  if (target.empty() || target.front() != '/') return failure(Error::target);
  const std::size_t mark = target.find('?');
  Target parsed;
  if (!decode(target.substr(0, mark), false, parsed.path)) return failure(Error::target);
  if (mark == std::string_view::npos) return parsed;
  std::string_view rest = target.substr(mark + 1);
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view item = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (item.empty()) continue;
    if (parsed.query.size() == kParametersMax) return failure(Error::parameters);
    const std::size_t equals = std::min(item.find('='), item.size());
    auto& [key, value] = parsed.query.emplace_back();
    if (!decode(item.substr(0, equals), true, key) ||
        !decode(item.substr(std::min(equals + 1, item.size())), true, value)) {
      return failure(Error::target);
    }
  }
  return parsed;
}

}  // namespace outrider::http
