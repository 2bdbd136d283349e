// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/outrider/handlers.h"
#include "agent/doors/why.h"

namespace outrider::doors {

void show_liveness(Api&, http::Call call) {
  call.exchange.answer(http::text_answer(200, "ok\n"));
}

void show_metrics(Api& api, http::Call call) {
  Metrics all;
  api.write_metrics(all);
  http::Answer answer;
  answer.body = all.text();
  answer.content_type = "text/plain; version=0.0.4; charset=utf-8";
  call.exchange.answer(std::move(answer));
}

void show_status(Api& api, http::Call call) {
  const registry::Registry& registry = api.control().registry();
  http::Answer answer;
  json::Writer out(answer.body);
  out.begin_object();
  api.control().write_status(out);
  out.key("registry").begin_object();
  out.member("services", static_cast<std::uint64_t>(registry.service_count()));
  out.member("instances", static_cast<std::uint64_t>(registry.instance_count()));
  out.member("registrations", static_cast<std::uint64_t>(registry.own_count())).end_object();
  out.key("api").begin_object();
  out.member("waiting", static_cast<std::uint64_t>(api.waiting()));
  out.member("watching", static_cast<std::uint64_t>(api.watching())).end_object();
  out.end_object();
  answer.body += '\n';
  call.exchange.answer(std::move(answer));
}

void show_registries(Api& api, http::Call call) {
  http::Answer answer;
  json::Writer out(answer.body);
  out.begin_object();
  api.control().write_registries(out);
  out.end_object();
  answer.body += '\n';
  call.exchange.answer(std::move(answer));
}

void explain_name(Api& api, http::Call call) {
  if (call.request.target.has("at")) return explain_past(api, std::move(call));
  auto explaining = std::make_unique<Explaining>(view_of(api.control()), call.rest, &api.control());
  const std::vector<LeaseName> leases = explaining->leases();
  api.answer_with_leases(
      leases, std::move(call.exchange),
      [&api, explaining = std::move(explaining)](http::Exchange exchange, LeaseTimes times) {
        explaining->set_lease_times(std::move(times));
        answer_explanation(api, std::move(exchange), std::move(*explaining));
      });
}

void answer_explanation(Api& api, http::Exchange exchange, Explaining explaining) {
  const bool few = explaining.left() <= kRowsAtOnce;
  Api::Step step = [explaining = std::make_unique<Explaining>(
                        std::move(explaining))]() -> std::optional<http::Answer> {
    if (explaining->left() > 0) explaining->write(kRowsPerTurn);
    if (explaining->left() > 0) return std::nullopt;
    Explanation explanation = explaining->take();
    http::Answer answer = http::json_answer(std::move(explanation.json) + "\n");
    answer.status = explanation.known ? 200 : 404;
    return answer;
  };
  if (few) return exchange.answer(*step());
  api.answer_in_turns(std::move(exchange), std::move(step));
}

}  // namespace outrider::doors
