// SPDX-License-Identifier: Apache-2.0
#include "agent/bridge/refusal.h"

#include <doctest/doctest.h>

namespace outrider::bridge {
namespace {

using http::Form;

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

TEST_CASE("a refusal says why in each form") {
  const Refusal refusal{.status = 503,
                        .service = "hello",
                        .why = "hello.svc exists but has no address now",
                        .lines = {{"hello-1", "critical: HTTP 503"}}};
  const std::string text = write_refusal(refusal, Form::text, false);
  CHECK(text.starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
  CHECK(has(text, "\r\nConnection: close\r\n"));
  CHECK(
      text.ends_with("\r\n\r\nhello.svc exists but has no address now\n"
                     "  hello-1: critical: HTTP 503\n"));
  const std::string json = write_refusal(refusal, Form::json, false);
  CHECK(has(json, "Content-Type: application/json\r\n"));
  CHECK(json.ends_with(R"({"error":"hello.svc exists but has no address now","service":"hello",)"
                       R"("instances":[{"id":"hello-1","reason":"critical: HTTP 503"}]})"
                       "\n"));
  const std::string page = write_refusal(refusal, Form::page, false);
  CHECK(has(page, "<h1>hello: 503 Service Unavailable</h1>"));
  CHECK(has(page, "<dt>hello-1</dt><dd>critical: HTTP 503</dd>"));
  CHECK(has(page, "default-src 'none'"));
}

TEST_CASE("the answer to HEAD states the length and has no body") {
  const Refusal refusal{.status = 404, .service = {}, .why = "nothing", .lines = {}};
  const std::string answer = write_refusal(refusal, Form::text, true);
  CHECK(has(answer, "\r\nContent-Length: 8\r\n"));
  CHECK(answer.ends_with("\r\n\r\n"));
}

TEST_CASE("what others have named is inert on the page") {
  const Refusal refusal{.status = 502,
                        .service = "x",
                        .why = "<b>",
                        .lines = {{"<img src=x>", "</dd><script>\x1b[1m\u202e"}}};
  const std::string page = write_refusal(refusal, Form::page, false);
  CHECK_FALSE(has(page, "<b>"));
  CHECK_FALSE(has(page, "<img"));
  CHECK_FALSE(has(page, "<script"));
  CHECK(has(page, "[U+001B][1m[U+202E]"));
}

TEST_CASE("what others have named is inert on the terminal of curl") {
  const Refusal refusal{
      .status = 502, .service = "x", .why = "\x1b[2J", .lines = {{"\x9b", "\x1b]0;y\r\n"}}};
  const std::string text = write_refusal(refusal, Form::text, false);
  CHECK(text.ends_with("\r\n\r\n\\x1b[2J\n  \\x9b: \\x1b]0;y\\x0d\\x0a\n"));
}

}  // namespace
}  // namespace outrider::bridge
