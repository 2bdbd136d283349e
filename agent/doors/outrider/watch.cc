// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/outrider/handlers.h"
#include "base/text.h"

namespace outrider::doors {

void watch_services(Api& api, http::Call call) {
  if (call.request.method == "HEAD")
    return call.exchange.answer({200, {}, "text/event-stream", {}});
  std::string label = call.rest.empty() ? std::string() : label_of(call.rest);
  if (label.empty() && call.request.target.has("name"))
    label = label_of(call.request.target.get("name"));
  std::string_view since = call.request.headers.get("Last-Event-ID");
  if (since.empty()) since = call.request.target.get("since");
  api.begin_watch(std::move(label), parse_number<std::uint64_t>(since), std::move(call.exchange));
}

}  // namespace outrider::doors
