// SPDX-License-Identifier: Apache-2.0
// The etcd door over a bare Registry in the simulator, called as its faces call it.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "agent/doors/etcd/etcd_door.h"
#include "tests/agent/doors/api_fixture.h"
#include "tests/sim/state_file.h"

namespace outrider::doors::etcd::test {

using outrider::test::BareAgent;

inline std::string kratos_key(const std::string& id, const std::string& name = "web") {
  return "/microservices/" + name + '/' + id;
}
inline std::string kratos_value(const std::string& id, const std::string& name = "web",
                                const std::string& endpoint = "http://10.0.0.9:80") {
  return R"({"id":")" + id + R"(","name":")" + name +
         R"(","version":"v1","metadata":{"k":"v"},"endpoints":[")" + endpoint + R"("]})";
}

/// A client's stream of watches, as lines: "created 0", "0 PUT key", "0 DEL key".
class WatchClient final : public WatchSink {
 public:
  explicit WatchClient(Door& door) : stream(door.open_watch(*this)) {}

  void watch(const std::string& prefix, std::int64_t start = 0) {
    WatchCreateRequest request{.key = prefix,
                               .range_end = registries::etcd::end_of_prefix(prefix),
                               .start_revision = start,
                               .filters = {}};
    stream->create(std::move(request));
  }
  std::string take() {
    std::string text;
    for (const std::string& line : std::exchange(lines, {}))
      text += (text.empty() ? "" : " | ") + line;
    return text;
  }

  bool full = false;
  std::optional<Error> ended;
  std::vector<std::string> lines;
  std::vector<WatchResponse> responses;
  std::unique_ptr<WatchStream> stream;

 private:
  bool on_watch_response(WatchResponse response) override {
    const std::string id = std::to_string(response.watch_id);
    if (response.created) lines.push_back("created " + id);
    if (response.canceled)
      lines.push_back("canceled " + id + (response.compact_revision > 0 ? " compacted" : ""));
    for (const Event& event : response.events)
      lines.push_back(id + (event.type == Event::Type::put ? " PUT " : " DEL ") + event.kv->key);
    if (!response.created && !response.canceled && response.events.empty())
      lines.push_back("progress " + id);
    responses.push_back(std::move(response));
    return !full;
  }
  void on_watch_end(Error error) override { ended = std::move(error); }
};

struct Bed {
  outrider::sim::World world{11};
  outrider::sim::StateDisk disk;
  BareAgent agent{world};
  DoorOptions options;
  bool keeps = true;
  std::unique_ptr<EtcdDoor> door;

  Bed() {
    namespace layouts = registries::etcd;
    options.layouts = {layouts::KratosLayout{}, layouts::GoframeLayout{}, layouts::GozeroLayout{},
                       layouts::ForgeLayout{}};
    options.writer = "me";
    start();
  }
  ~Bed() { kill(); }
  void start() {
    door = std::make_unique<EtcdDoor>(
        world.env(), agent,
        keeps ? std::make_unique<outrider::sim::SimStateFile>(world.env(), disk) : nullptr,
        options);
    agent.watcher = [this](const registry::Changes& changes) { door->on_changes(changes); };
    door->start();
    world.advance(1ms);
  }
  std::string status() const {
    std::string text;
    json::Writer out(text);
    out.begin_object();
    door->write_persistence(out);
    out.end_object();
    return text;
  }
  void kill() {
    agent.watcher = nullptr;
    door.reset();
  }
  /// As kill -9 of the agent, and a new one after `pause`.
  void restart(Duration pause = 1s) {
    kill();
    world.advance(pause);
    agent.restart();
    start();
  }

  template <class Request, class Response>
  Result<Response, Error> call(void (Door::*method)(Request, Reply<Response>), Request request) {
    std::optional<Result<Response, Error>> result;
    (static_cast<Door&>(*door).*method)(
        std::move(request), [&](Result<Response, Error> reply) { result = std::move(reply); });
    world.run_until([&] { return result.has_value(); }, 5s);
    REQUIRE(result.has_value());
    return std::move(*result);
  }
  /// "" or "CODE text".
  template <class Response>
  static std::string wrong(const Result<Response, Error>& result) {
    if (result) return {};
    return std::to_string(static_cast<int>(result.error().code)) + ' ' + result.error().text;
  }

  std::string put(const std::string& key, const std::string& value, std::int64_t lease = 0) {
    return wrong(call(&Door::put, PutRequest{.key = key, .value = value, .lease = lease}));
  }
  std::string remove(const std::string& key, const std::string& end = {}) {
    return wrong(call(&Door::delete_range, DeleteRangeRequest{.key = key, .range_end = end}));
  }
  std::int64_t grant(std::int64_t ttl, std::int64_t id = 0) {
    const auto granted = call(&Door::lease_grant, LeaseGrantRequest{.ttl = ttl, .id = id});
    REQUIRE(granted.has_value());
    return granted->id;
  }
  /// The TTL that comes back; 0: it is lost.
  std::int64_t keep_alive(std::int64_t id) {
    return call(&Door::lease_keep_alive, LeaseKeepAliveRequest{id})->ttl;
  }
  RangeResponse range(const std::string& prefix) {
    auto response =
        call(&Door::range,
             RangeRequest{.key = prefix, .range_end = registries::etcd::end_of_prefix(prefix)});
    REQUIRE(response.has_value());
    return std::move(*response);
  }
  /// Keys with this prefix, with blanks between them.
  std::string keys(const std::string& prefix) {
    std::string text;
    for (const KeyValuePtr& kv : range(prefix).kvs)
      text += (text.empty() ? "" : " ") + kv->key;
    return text;
  }
  KeyValuePtr get(const std::string& key) {
    const auto response = call(&Door::range, RangeRequest{.key = key, .range_end = {}});
    REQUIRE(response.has_value());
    return response->kvs.empty() ? nullptr : response->kvs.front();
  }
  /// Registrations of the agent: "web/1 passing".
  std::string own() {
    std::string text;
    for (const registry::InstancePtr& instance : agent.registry().own())
      text += (text.empty() ? "" : " | ") + instance->service.text() + '/' + instance->id.text() +
              ' ' + to_string(instance->health);
    return text;
  }
};

}  // namespace outrider::doors::etcd::test
