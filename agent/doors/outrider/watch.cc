// SPDX-License-Identifier: Apache-2.0
#include <charconv>

#include "agent/doors/outrider/handlers.h"

namespace outrider::doors {
namespace {

std::optional<std::uint64_t> parse_revision(std::string_view text) {
  std::uint64_t value = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end.ec != std::errc() || end.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

void watch_services(Api& api, http::Call call) {
  if (call.request.method == "HEAD")
    return call.exchange.answer({200, {}, "text/event-stream", {}});
  std::string label = call.rest.empty() ? std::string() : label_of(call.rest);
  if (label.empty() && call.request.target.has("name"))
    label = label_of(call.request.target.get("name"));
  std::string_view since = call.request.headers.get("Last-Event-ID");
  if (since.empty()) since = call.request.target.get("since");
  api.begin_watch(std::move(label), parse_revision(since), std::move(call.exchange));
}

}  // namespace outrider::doors
