// SPDX-License-Identifier: Apache-2.0
// What happened, and what DNS answered because of it.
#include <algorithm>

#include "agent/doors/outrider/handlers.h"
#include "agent/doors/past.h"
#include "agent/doors/why.h"
#include "agent/registry/served.h"
#include "base/text.h"

namespace outrider::doors {
namespace {

using registry::CheckState;
using registry::History;
using registry::Instance;
using registry::InstancePtr;

/// Instances that are looked at in one turn of the loop, with a fixed cost for each event.
constexpr std::size_t kEventCost = 8;
/// Later entries that have to be undone for an event, and cost as much as one instance.
constexpr std::size_t kUndoneForOne = 8;

std::string joined(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts)
    out += (out.empty() ? "" : ", ") + text;
  return out.empty() ? "none" : out;
}

std::string what_changed_around(const View& before, const View& after) {
  if (before.host.addresses != after.host.addresses) {
    std::vector<std::string> addresses;
    for (const IpAddress& address : after.host.addresses)
      addresses.push_back(address.to_string());
    return "addresses of this host: " + joined(addresses);
  }
  if (before.dns.listen != after.dns.listen) return "DNS listens on: " + joined(after.dns.listen);
  return "the networks of this host changed";
}

/// "deregistered", of the note "web-1 deregistered at 09:30:00Z".
std::string why_gone(const Instance& instance, std::string note) {
  const std::string id = instance.id.text() + ' ';
  if (!note.starts_with(id)) return "left";
  note.erase(0, id.size());
  note.resize(std::min(note.size(), note.rfind(" at ")));
  if (note.ends_with(',')) note.pop_back();
  return note;
}

std::string what_changed(const Instance& before, const Instance& after) {
  if (before.health != after.health) {
    if (after.maintenance)
      return "in maintenance" +
             (after.maintenance_reason.empty() ? "" : ": " + after.maintenance_reason);
    if (after.draining) return "draining";
    if (const CheckState* check = deciding_check(after)) return check_says(*check);
    for (const CheckState& check : after.checks)
      for (const CheckState& was : before.checks)
        if (was.spec.id == check.spec.id && was.health != check.health) return check_says(check);
    if (before.maintenance) return "out of maintenance";
    return after.own() ? "back from draining" : "its host announces this state";
  }
  if (before.stale != after.stale) return after.stale ? "stale: " + why_stale(after) : "seen again";
  if (before.shadowed != after.shadowed)
    return after.shadowed ? "a newer instance has the same address and port"
                          : "no newer instance has its address and port any more";
  if (before.addresses != after.addresses || before.port != after.port)
    return "its address or port changed";
  if (before.description() != after.description()) return "its description changed";
  for (const CheckState& check : after.checks)
    for (const CheckState& was : before.checks)
      if (was.spec.id == check.spec.id && was.health != check.health) return check_says(check);
  if (failure_of(before) != failure_of(after))
    if (const CheckState* check = deciding_check(after)) return check_says(*check);
  if (after.own()) return "registered again";
  return "seen in " + counted(after.places.size(), "place");
}

std::string reason_of(const History::Event& event, const View& after) {
  if (!event.before && !event.after) return "the name is no longer remembered";
  if (!event.after) return why_gone(*event.before, after.registry.note(event.label));
  if (event.before) return what_changed(*event.before, *event.after);
  if (event.after->own() || event.after->places.empty()) return "registered";
  const registry::SightedPlace& place = event.after->places.front();
  return "seen by " + std::string(place.engine) + (place.host.empty() ? "" : " on " + place.host);
}

/// Writes events from the oldest to the newest, a few with each call.
struct HistoryWriter {
  const Control& control;
  std::string name;  // empty: each service's own
  std::optional<std::vector<std::string>> labels;
  std::vector<History::Place> places;  // the last one first
  std::unique_ptr<std::string> body = std::make_unique<std::string>();
  std::unique_ptr<json::Writer> out = std::make_unique<json::Writer>(*body);

  void begin() {
    out->begin_object().member("since", format_wall_time(control.history()->since()));
    out->key("events").begin_array();
  }
  std::optional<http::Answer> operator()() {
    for (std::size_t cost = 0; !places.empty() && cost < kRowsPerTurn; places.pop_back())
      cost += write_event(places.back());
    if (!places.empty()) return std::nullopt;
    out->end_array().end_object();
    return http::json_answer(std::move(*body) + '\n');
  }

 private:
  /// Returns what it has cost, in instances that were looked at.
  std::size_t write_event(History::Place place) {
    const History& history = *control.history();
    if (place < history.oldest()) return 1;  // it has gone meanwhile
    const History::Event event = history.event(place);
    std::optional<std::vector<std::string>> wanted = labels;
    if (name.empty()) wanted.emplace({event.label});
    const PastMoment moment(control, place + 1, event.at, wanted);
    const View& view = moment.view();
    out->begin_object().member("at", format_wall_time(event.at));
    if (event.label.empty()) {
      const PastMoment before(control, place, event.at, std::vector<std::string>());
      out->member("kind", "host").member("reason", what_changed_around(before.view(), view));
    } else {
      write_change(event, view);
    }
    const Findings found = look_for(view, name.empty() ? event.label : name);
    if (found.place == Findings::Place::none && !found.name.meaning.service.empty()) {
      out->key("dns");
      write_answer(*out, view, found, found.name.domain);
    }
    out->end_object();
    const auto undone = static_cast<std::size_t>(history.newest() - place);
    return kEventCost + found.all.size() + undone / kUndoneForOne;
  }

  void write_change(const History::Event& event, const View& view) {
    const auto health = [](const InstancePtr& instance) {
      return instance ? to_string(instance->health) : "absent";
    };
    const char* const kind = !event.before && !event.after ? "forgotten"
                             : !event.before               ? "added"
                             : !event.after                ? "removed"
                                                           : "changed";
    const InstancePtr& any = event.after ? event.after : event.before;
    out->member("kind", kind).member("service", any ? any->service.text() : event.label);
    if (any) {
      out->member("instance", any->id.text()).member("source", to_string(any->source));
      out->member("from", health(event.before)).member("to", health(event.after));
      out->key("addresses").begin_array();
      for (const IpAddress& address : served_addresses(*any, view.host))
        out->value(address.to_string());
      out->end_array().member("port", std::uint64_t{any->port});
    }
    out->member("reason", reason_of(event, view));
  }
};

/// The newest events first, at most `most`.
std::vector<History::Place> find_events(const Control& control, std::string_view name,
                                        std::size_t most) {
  const History& history = *control.history();
  std::vector<History::Place> places;
  std::optional<registry::NameMeaning> meaning;
  if (!name.empty())
    meaning = registry::read_given_name(name, control.dns().domains, control.registry()).meaning;
  for (History::Place place = history.newest(); place > history.oldest(); --place) {
    const std::string& label = history.label(place - 1);
    const bool wanted = !meaning || label.empty() ||
                        (label == meaning->service && history.concerns(place - 1, *meaning));
    if (wanted) places.push_back(place - 1);
    if (places.size() == most) break;
  }
  return places;
}

}  // namespace

void list_history(Api& api, http::Call call) {
  const Control& control = api.control();
  if (control.history() == nullptr)
    return call.exchange.answer(http::error_answer(501, "this agent keeps no history"));
  std::size_t most = kEventsDefault;
  if (const std::string_view last = call.request.target.get("last"); !last.empty()) {
    const auto number = parse_number<std::size_t>(last);
    if (!number || *number == 0 || *number > kEventsMax)
      return call.exchange.answer(
          http::error_answer(400, "last must be a number from 1 to " + std::to_string(kEventsMax)));
    most = *number;
  }
  HistoryWriter writer{.control = control,
                       .name = std::string(call.rest),
                       .labels = labels_meant(call.rest, control.dns().domains),
                       .places = find_events(control, call.rest, most)};
  writer.begin();
  if (writer.places.size() <= kEventsAtOnce)
    if (auto answer = writer()) return call.exchange.answer(std::move(*answer));
  api.answer_in_turns(std::move(call.exchange), std::move(writer));
}

/// explain_name with a moment.
void explain_past(Api& api, http::Call call) {
  const Control& control = api.control();
  const WallTime now = control.now().wall;
  const std::string given(call.request.target.get("at"));
  const auto when = parse_moment(given, now);
  if (!when)
    return call.exchange.answer(http::error_answer(
        400, "at must be a time such as 2026-01-31T09:30:00Z, or how long ago, such as 5m; not \"" +
                 given + '"'));
  if (*when > now)
    return call.exchange.answer(
        http::error_answer(400, format_wall_time(*when) + " is in the future"));
  const History* const history = control.history();
  const auto place = history != nullptr ? history->place_at(*when) : std::nullopt;
  if (!place)
    return call.exchange.answer(http::error_answer(
        410, history == nullptr
                 ? std::string("this agent keeps no history")
                 : "nothing is known of " + format_wall_time(*when) + ": the history begins at " +
                       format_wall_time(history->since())));
  const PastMoment moment(control, *place, *when, labels_meant(call.rest, control.dns().domains));
  answer_explanation(api, std::move(call.exchange), {moment.view(), call.rest, nullptr});
}

}  // namespace outrider::doors
