// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/outrider/handlers.h"
#include "base/text.h"

namespace outrider::doors {

void watch_services(Api& api, http::Call call) {
  const bool head = call.request.method == "HEAD";  // whether the request is right
  if (is_set(call.request.target, "list")) {
    if (call.request.target.has("source") || call.request.target.has("since"))
      return call.exchange.answer(
          http::error_answer(400, "with list, each event is complete; leave out source and since"));
    auto search = parse_search(api, call);
    if (!search) return;
    if (head) return call.exchange.answer({200, {}, "text/event-stream", {}});
    return api.begin_list_watch(std::move(*search), std::move(call.exchange));
  }
  for (const std::string_view key : {"version", "tag", "metadata", "healthy", "passing"})
    if (call.request.target.has(key))
      return call.exchange.answer(
          http::error_answer(400, std::string(key) + " narrows lists; add list"));
  WatchFilter filter;
  const bool in_path = !call.rest.empty();
  if (in_path && call.request.target.has("name"))
    return call.exchange.answer(
        http::error_answer(400, "the path names the service; leave out name="));
  if (in_path || call.request.target.has("name")) {
    const Control& control = api.control();
    const std::string_view name = in_path ? call.rest : call.request.target.get("name");
    filter.service_label =
        registry::read_given_name(name, control.dns().domains, control.registry()).meaning.service;
  }
  if (call.request.target.has("source")) {
    if (call.request.target.get("source") != "own")
      return call.exchange.answer(http::error_answer(400, "source must be own"));
    filter.own_only = true;
  }
  const std::string_view since = call.request.target.get("since");
  auto revision = parse_number<std::uint64_t>(since);
  if (!since.empty() && !revision)
    return call.exchange.answer(
        http::error_answer(400, "since must be a revision, which is the id of an event"));
  if (head) return call.exchange.answer({200, {}, "text/event-stream", {}});
  // A client that lost its stream says more than the address that it was given. An id that is none
  // of ours means that it starts from a snapshot.
  if (const std::string_view last = call.request.headers.get("Last-Event-ID"); !last.empty())
    revision = parse_number<std::uint64_t>(last);
  api.begin_watch(std::move(filter), revision, std::move(call.exchange));
}

}  // namespace outrider::doors
