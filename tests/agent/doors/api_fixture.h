// SPDX-License-Identifier: Apache-2.0
// The API over a bare Registry in the simulator: what Agent::apply does, without an agent.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "agent/doors/api.h"
#include "agent/registry/history.h"
#include "tests/base/http/client.h"

namespace outrider::test {

class BareAgent final : public doors::Control {
 public:
  explicit BareAgent(sim::World& world) : world_(world) { restart(); }
  /// Another life, in which nothing is known.
  void restart() {
    registry_.emplace("box", registry::first_revision(world_.wall()));
    history_.emplace();
    history_->begin({host(), dns_view.listen}, now());
  }

  const registry::Registry& registry() const override {
    world_.host("here").step_wall(reading_takes);
    return *registry_;
  }
  registry::Moment now() const override { return {world_.now(), world_.wall()}; }
  registry::HostView host() const override {
    return {"box", {*IpAddress::parse("192.168.1.10")}, {*Prefix::parse("192.168.1.0/24")}};
  }
  doors::DnsView dns() const override { return dns_view; }
  const registry::History* history() const override { return &*history_; }
  Result<std::string, registry::RegistryError> put(const registry::ServiceSpec& spec) override {
    auto changes = registry_->put(spec, now());
    if (!changes) return failure(changes.error());
    const std::string id = spec.id ? spec.id->text() : automatic_id(spec, {"box", {}}).text();
    apply(std::move(*changes));
    return id;
  }
  Done remove(std::string_view id) override { return tell(registry_->remove(id, now())); }
  Done put_check(std::string_view id, const registry::CheckSpec& check) override {
    return tell(registry_->put_check(id, check, now()));
  }
  Done remove_check(std::string_view id, std::string_view check_id) override {
    return tell(registry_->remove_check(id, check_id, now()));
  }
  Done renew(std::string_view id, std::string_view check_id, CheckHealth health,
             std::string output) override {
    return tell(registry_->set_check(id, check_id, health, std::move(output), now()));
  }
  Done set_maintenance(std::string_view id, bool on, std::string reason) override {
    return tell(registry_->set_maintenance(id, on, std::move(reason), now()));
  }
  Done set_draining(std::string_view id, bool on) override {
    return tell(registry_->set_draining(id, on, now()));
  }
  void drain_all() override { apply(registry_->drain_all(now())); }
  doors::CheckReport check_report(std::string_view, std::string_view) const override {
    return report;
  }
  std::optional<Duration> probe_time(std::string_view, std::string_view) const override {
    return median;
  }
  Result<std::vector<std::string>, registry::RegistryError> probe_now(
      std::string_view id) override {
    if (!registry_->find_own(id)) return failure(registry::RegistryError::unknown_instance);
    probed = id;
    return std::vector<std::string>{"http"};
  }
  Asked asked(std::string_view label) const override {
    const auto known = asked_table.find(label);
    return known == asked_table.end() ? Asked() : known->second;
  }
  registry::Load load(std::span<const Endpoint>) const override { return load_table; }
  void write_status(json::Writer& out) const override { out.member("bare", true); }
  void write_metrics(doors::Metrics& out) const override {
    out.counter("outrider_bare_total", "Of the test.", 1, {{"quote", "a\"b\\c\nd"}});
  }
  std::optional<std::string> farp_manifest(std::string_view id) const override {
    return id == "hello-1" ? std::optional<std::string>(R"({"id":"hello-1"})") : std::nullopt;
  }
  /// Complete with its second call.
  static Document document(std::string text) {
    return [text = std::move(text), calls = 0]() mutable {
      return calls++ == 0 ? std::nullopt : std::optional<std::string>(text);
    };
  }
  Document farp_services() const override { return document(R"({"services":[]})"); }
  std::optional<Document> farp_routes(std::string_view gateway) const override {
    if (gateway != "traefik") return std::nullopt;
    return document(R"({"routes":[]})");
  }

  /// Another host announces an instance.
  void see(std::string_view service, std::string_view id, std::string_view address,
           std::uint16_t port, registry::Health health = registry::Health::passing) {
    registry::Sighting sighting{.place = {.key = std::string(service) + '/' + std::string(id),
                                          .engine = "mdns",
                                          .host = "host-" + std::string(id) + ".local"},
                                .service = *registry::ServiceName::parse(service),
                                .id = *registry::InstanceId::from_foreign(id),
                                .addresses = {{*IpAddress::parse(address), 2}},
                                .health = health};
    sighting.version = "v2";
    sighting.port = port;
    sighting.tags = {"seen"};
    sighting.metadata = {{"zone", "b"}};
    sighting.place.expires = sightings_expire;
    apply(registry_->see(std::move(sighting), now()));
  }
  void see(registry::Sighting sighting) { apply(registry_->see(std::move(sighting), now())); }
  void lose(std::string_view service, std::string_view id) {
    apply(registry_->lose(std::string(service) + '/' + std::string(id), now()));
  }
  void set_check(std::string_view id, std::string_view check, CheckHealth health,
                 std::string output) {
    REQUIRE(renew(id, check, health, std::move(output)).has_value());
  }

  bool is_settled() const override { return settled; }
  std::unique_ptr<Pending> look_up_leases(const std::vector<doors::LeaseName>& leases,
                                          LeasesReply reply) override {
    leases_asked = leases;
    if (!leases_take) return nullptr;
    struct Question final : Pending {
      explicit Question(std::size_t& count) : open(count) { ++open; }
      ~Question() override { --open; }
      std::size_t& open;
      LeasesReply reply;
      Timer timer;
    };
    auto question = std::make_unique<Question>(lease_questions);
    question->reply = std::move(reply);
    question->timer = world_.env().after(*leases_take, [this, asked = question.get()] {
      auto told = std::move(asked->reply);
      told(lease_times);
    });
    return question;
  }

  /// What time alone does.
  void expire() { apply(registry_->expire(now())); }

  doors::Api* api = nullptr;
  /// Another door that follows changes.
  std::function<void(const registry::Changes&)> watcher;
  bool settled = true;
  std::vector<doors::WrittenPlace> written_places(
      const registry::Instance& instance) const override {
    return instance.own() ? written : std::vector<doors::WrittenPlace>();
  }
  std::vector<doors::WrittenPlace> written;
  std::optional<Duration> leases_take;  // until registries have answered; nothing: they do not say
  doors::LeaseTimes lease_times;        // what they say
  std::vector<doors::LeaseName> leases_asked;  // in the last question
  std::size_t lease_questions = 0;             // that are open
  TimePoint sightings_expire = TimePoint::max();
  registry::Load load_table;
  doors::CheckReport report;       // of every check
  std::optional<Duration> median;  // the same
  std::string probed;              // the last instance that was to be probed now
  std::map<std::string, Asked, std::less<>> asked_table;
  Duration reading_takes{};  // of the wall clock, each time
  doors::DnsView dns_view{.domains = {"svc"}, .listen = {"127.0.0.55:5370"}};

 private:
  void apply(const registry::Changes& changes) {
    history_->add(changes, *registry_, now());
    if (api != nullptr) api->on_changes(changes);
    if (watcher) watcher(changes);
  }
  Done tell(Result<registry::Changes, registry::RegistryError> changes) {
    if (!changes) return failure(changes.error());
    apply(*changes);
    return {};
  }

  sim::World& world_;
  std::optional<registry::Registry> registry_;
  std::optional<registry::History> history_;
};

struct ApiFixture {
  sim::World world{7};
  BareAgent agent{world};
  std::unique_ptr<doors::Api> api;
  std::unique_ptr<http::Server> server;

  explicit ApiFixture(doors::ApiOptions options = {}) : options_(std::move(options)) { start(); }
  ~ApiFixture() {
    server.reset();
    api.reset();
    world.settle();
  }
  void start() {
    api = std::make_unique<doors::Api>(world.env(), agent, options_);
    agent.api = api.get();
    http::ServerOptions on;
    on.on = kSocket;
    server = std::make_unique<http::Server>(world.env(), on, *api);
    REQUIRE(server->start().has_value());
    api->add_server(*server);
  }
  void restart() {
    server.reset();
    api.reset();
    world.advance(1s);
    agent.restart();
    start();
  }

  static std::string request(std::string_view method, std::string_view target,
                             std::string_view body = {}) {
    return http::write_request(method, target, "agent", {}, body, true);
  }
  std::string ask(std::string_view method, std::string_view target, std::string_view body = {}) {
    return Client(world).ask(request(method, target, body));
  }
  std::string status(std::string_view method, std::string_view target, std::string_view body = {}) {
    return status_of(ask(method, target, body));
  }
  json::Value get(std::string_view target) {
    const std::string answer = ask("GET", target);
    CAPTURE(answer);
    const auto value = json::parse(body_of(answer), 64U << 20);
    REQUIRE(value.has_value());
    return *value;
  }
  /// A service in the form of the configuration.
  void put(std::string_view spec) {
    const std::string answer = ask("PUT", "/v1/outrider/register", spec);
    CAPTURE(answer);
    REQUIRE(status_of(answer) == "200");
  }

 private:
  doors::ApiOptions options_;
};

/// "a.0.b" in a document, as text; "<none>" where there is nothing.
inline std::string at(const json::Value& value, std::string_view path) {
  const json::Value* here = &value;
  while (here != nullptr && !path.empty()) {
    const std::size_t dot = path.find('/');
    const std::string step(path.substr(0, dot));
    path = dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
    if (const json::Array* list = here->as_array()) {
      const std::size_t index = std::stoul(step);
      here = index < list->size() ? &(*list)[index] : nullptr;
    } else {
      here = here->find(step);
    }
  }
  if (here == nullptr) return "<none>";
  if (const std::string* text = here->as_string()) return *text;
  std::string out;
  json::Writer(out).value(*here);
  return out;
}
inline std::size_t size_of(const json::Value& value, std::string_view key = {}) {
  const json::Value* here = key.empty() ? &value : value.find(key);
  if (here == nullptr) return 0;
  if (const json::Array* list = here->as_array()) return list->size();
  return here->as_object() != nullptr ? here->as_object()->size() : 0;
}

}  // namespace outrider::test
