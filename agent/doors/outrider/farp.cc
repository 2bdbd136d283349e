// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/outrider/handlers.h"

namespace outrider::doors {
namespace {

void answer_document(Api& api, http::Exchange exchange, Control::Document document) {
  auto step = [document = std::move(document)]() mutable -> std::optional<http::Answer> {
    auto text = document();
    if (!text) return std::nullopt;
    return http::json_answer(std::move(*text) + '\n');
  };
  if (auto answer = step()) return exchange.answer(std::move(*answer));
  api.answer_in_turns(std::move(exchange), std::move(step));
}

}  // namespace

void show_farp_manifest(Api& api, http::Call call) {
  const std::string_view id = call.request.target.get("id");
  if (auto document = api.control().farp_manifest(id))
    return call.exchange.answer(http::json_answer(std::move(*document) + "\n"));
  call.exchange.answer(http::error_answer(
      404, id.empty() ? "this agent has no instance with FARP, or several; name one by its id"
                      : "no FARP manifest of instance \"" + std::string(id) + '"'));
}

void list_farp_services(Api& api, http::Call call) {
  answer_document(api, std::move(call.exchange), api.control().farp_services());
}

void list_farp_routes(Api& api, http::Call call) {
  const std::string_view gateway = call.request.target.get("gateway");
  if (auto document = api.control().farp_routes(gateway))
    return answer_document(api, std::move(call.exchange), std::move(*document));
  call.exchange.answer(http::error_answer(404, "unknown gateway: \"" + std::string(gateway) + '"'));
}

}  // namespace outrider::doors
