// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/outrider/handlers.h"

namespace outrider::doors {

void show_farp_manifest(Api& api, http::Call call) {
  const std::string_view id = call.request.target.get("id");
  if (auto document = api.control().farp_manifest(id))
    return call.exchange.answer(http::json_answer(std::move(*document) + "\n"));
  call.exchange.answer(http::error_answer(
      404, id.empty() ? "this agent has no instance with FARP, or several; name one by its id"
                      : "no FARP manifest of instance \"" + std::string(id) + '"'));
}

void list_farp_services(Api& api, http::Call call) {
  call.exchange.answer(http::json_answer(api.control().farp_services() + "\n"));
}

void list_farp_routes(Api& api, http::Call call) {
  const std::string_view gateway = call.request.target.get("gateway");
  if (auto document = api.control().farp_routes(gateway))
    return call.exchange.answer(http::json_answer(std::move(*document) + "\n"));
  call.exchange.answer(http::error_answer(404, "unknown gateway: \"" + std::string(gateway) + '"'));
}

}  // namespace outrider::doors
