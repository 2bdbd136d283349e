// SPDX-License-Identifier: Apache-2.0
#include "tests/registries/consul/fake_consul.h"

#include <algorithm>

#include "base/base64.h"
#include "base/json_members.h"
#include "base/text.h"

namespace outrider::registries::consul::test {
namespace {

constexpr std::string_view kMembers[] = {
    "ID",      "Name",  "Tags",   "Address",         "Port", "Meta",
    "Weights", "Check", "Checks", "TaggedAddresses", "Kind", "EnableTagOverride"};

/// What a query of keys waits for, where others wait for a service.
constexpr const char* kKeys = "keys: ";

std::string text_of(const json::Value& value) {
  std::string text;
  json::Writer(text).value(value);
  return text;
}
std::string member_text(const json::Value& body, const char* name, const char* fallback) {
  const json::Value* member = body.find(name);
  return member != nullptr ? text_of(*member) : fallback;
}

}  // namespace

// --- a connection --------------------------------------------------------------------------------

class FakeConsul::Peer final : Stream::Sink {
 public:
  Peer(FakeConsul& consul, std::unique_ptr<Stream> stream)
      : consul_(consul), stream_(std::move(stream)) {
    stream_->start(*this);
  }
  bool is_waiting() const { return !waits_for_.empty(); }
  void wake(const std::string& service) {
    if (waits_for_ == service) answer_list();
  }
  void wake_keys() {
    if (waits_for_.starts_with(kKeys)) answer_keys();
  }
  void terminate() {
    if (is_waiting()) reply(500, "rpc error: code = Canceled desc = context canceled");
  }

 private:
  void on_data(Bytes data) override {
    if (consul_.mute) return;
    while (!data.empty()) {
      const auto used = parser_.feed(data);
      if (!used) return say("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
      data = data.subspan(*used);
      if (parser_.complete()) answer(parser_.take());
    }
  }
  void on_end() override { done(); }
  void on_broken(NetError) override { done(); }
  void done() {
    std::erase_if(consul_.peers_, [this](const auto& each) { return each.get() == this; });
  }

  void on_drained() override { pour(); }
  void say(std::string_view text) {
    unsaid_ += text;
    if (stream_->unsent_bytes() == 0) pour();
  }
  /// A long answer goes out in parts.
  void pour() {
    while (!unsaid_.empty() && stream_->unsent_bytes() == 0) {
      const std::size_t part = std::min<std::size_t>(unsaid_.size(), 128U << 10);
      static_cast<void>(stream_->write(as_bytes(std::string_view(unsaid_).substr(0, part))));
      unsaid_.erase(0, part);
    }
  }
  void reply(int status, const std::string& body, const std::string& headers = "") {
    std::string text = "HTTP/1.1 " + std::to_string(status) + " X\r\n" + headers +
                       "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    say(text);
  }

  void answer(const http::Request& request) {
    consul_.requests.push_back(request.method + ' ' + request.target);
    consul_.last_token = request.headers.get("X-Consul-Token");
    if (!consul_.failing.empty() && consul_.requests.back().ends_with(consul_.failing))
      return reply(consul_.failing_status, "rpc error");
    const auto target = http::parse_target(request.target);
    const std::string& path = target->path;
    if (!consul_.token.empty() && consul_.last_token != consul_.token)
      return reply(403, "ACL not found");
    if (path == "/v1/agent/self") {
      if (consul_.self_denied) return reply(403, "Permission denied");
      return reply(200, R"({"Config":{"Datacenter":"dc1","NodeName":"n1"},"Member":{})" +
                            consul_.self_more + '}');
    }
    if (path.starts_with("/v1/health/service/")) return list(*target, path.substr(19));
    if (path.starts_with("/v1/session/")) return session(path.substr(12), request.body);
    if (path.starts_with("/v1/kv/")) return key(*target, request);
    if (path.starts_with("/v1/agent/health/service/id/")) return show_health(path.substr(28));
    if (path.starts_with("/v1/agent/") && request.method == "PUT")
      return write(path.substr(10), request.body);
    if (path.starts_with("/v1/agent/service/")) return show(path.substr(18));
    reply(404, "");
  }

  void list(const http::Target& target, const std::string& service) {
    if (consul_.without_servers) return reply(500, "No known Consul servers");
    if (service == consul_.refused) return reply(400, "refused");
    if (target.has("ns") || target.has("partition") || target.has("stale") || target.has("passing"))
      return reply(400, "Invalid query parameter");
    const auto wanted = parse_number<std::uint64_t>(target.get("index")).value_or(0);
    waits_for_ = service;
    if (consul_.alternates || wanted == 0 || consul_.index_of(service) > wanted)
      return answer_list();
    // Also for an index that is still to come.
    const auto wait = parse_duration(target.get("wait")).value_or(5min);
    end_ = consul_.env_.after(wait + wait / 32, [this] { answer_list(); });
  }
  void answer_list() {
    const std::string service = std::exchange(waits_for_, "");
    end_.reset();
    std::string headers =
        "Content-Type: application/json\r\nX-Consul-KnownLeader: true\r\n"
        "X-Consul-LastContact: 0\r\n";
    const bool other = consul_.alternates && consul_.requests.size() % 2 == 0;
    if (!consul_.without_index)
      headers +=
          "X-Consul-Index: " + std::to_string(other ? 99 : consul_.index_of(service)) + "\r\n";
    if (consul_.says_filtered) headers += "X-Consul-Results-Filtered-By-ACLs: true\r\n";
    std::string body = consul_.reads_hidden ? "[]" : consul_.list_of(service);
    if (!consul_.junk.empty()) body = consul_.junk;
    if (!consul_.cut_at) return reply(200, body, headers);
    std::string text = "HTTP/1.1 200 OK\r\n" + headers +
                       "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    if (*consul_.cut_at >= text.size()) return say(text);
    say(text.substr(0, *consul_.cut_at));
    // Not while its stream calls.
    end_ = consul_.env_.after(Duration::zero(), [this] { done(); });
  }

  void session(const std::string& call, const std::string& text) {
    if (consul_.without_sessions) return reply(501, "Sessions are not supported");
    if (consul_.without_servers) return reply(500, "No known Consul servers");
    if (consul_.sessions_denied)
      return reply(403, "Permission denied: Missing session:write on n1");
    if (call == "create")
      return reply(200,
                   R"({"ID":")" + consul_.open_session(*json::parse_foreign(text, 4'096)) + "\"}");
    const std::string id = call.substr(call.find('/') + 1);
    if (call.starts_with("destroy/")) {
      consul_.end_session(id);
      return reply(200, "true");
    }
    const auto found = consul_.sessions.find(id);
    if (found == consul_.sessions.end()) return reply(404, "Session id '" + id + "' not found");
    found->second.end.reset();
    found->second.end = consul_.env_.after(found->second.ttl * 3 / 2,
                                           [this_ = &consul_, id] { this_->end_session(id); });
    reply(200, R"([{"ID":")" + id + R"("}])");
  }

  void key(const http::Target& target, const http::Request& request) {
    if (consul_.without_servers) return reply(500, "No known Consul servers");
    const std::string name = target.path.substr(7);
    if (request.method == "GET") {
      waits_for_ = kKeys + name;
      recurse_ = target.has("recurse");
      const auto wanted = parse_number<std::uint64_t>(target.get("index")).value_or(0);
      if (wanted == 0 || consul_.keys_index_ > wanted) return answer_keys();
      const auto wait = parse_duration(target.get("wait")).value_or(5min);
      end_ = consul_.env_.after(wait + wait / 32, [this] { answer_keys(); });
      return;
    }
    if (request.method == "DELETE") {
      const auto found = consul_.keys.find(name);
      const bool same = found != consul_.keys.end() &&
                        std::to_string(found->second.modified) == target.get("cas");
      if (same) consul_.remove_key(name);
      return reply(200, same ? "true" : "false");
    }
    const std::string session = std::string(target.get("acquire"));
    const auto got = consul_.acquire(name, session, request.body);
    if (!got) return reply(500, "rpc error making call: invalid session \"" + session + '"');
    reply(200, *got ? "true" : "false");
  }
  void answer_keys() {
    const std::string name = std::exchange(waits_for_, "").substr(std::string(kKeys).size());
    end_.reset();
    const std::string list = consul_.list_keys(name, recurse_);
    reply(list.empty() ? 404 : 200, list,
          "X-Consul-Index: " + std::to_string(consul_.keys_index_) + "\r\n");
  }

  void show_health(const std::string& id) {
    const auto found = consul_.services.find(id);
    if (found == consul_.services.end()) return reply(404, "ServiceId " + id + " not found");
    std::string status = "passing";
    for (const auto& [check_id, check] : found->second.checks)
      if (check.status == "critical" || status == "passing") status = check.status;
    reply(status == "passing"   ? 200
          : status == "warning" ? 429
                                : 503,
          R"({"AggregatedStatus":")" + status + R"(","Service":{"ID":")" + id + R"("}})");
  }

  void show(const std::string& id) {
    const auto found = consul_.services.find(id);
    if (found == consul_.services.end()) return reply(404, "unknown service ID: " + id);
    const json::Value& body = found->second.body;
    reply(200, R"({"ID":")" + id + R"(","Service":")" + found->second.name + R"(","Meta":)" +
                   member_text(body, "Meta", "null") + R"(,"Port":)" +
                   member_text(body, "Port", "0") + '}');
  }

  void write(const std::string& call, const std::string& text) {
    if (call == "service/register") {
      const auto body = json::parse_foreign(text, std::size_t{1} << 20);
      if (!body) return reply(400, "Request decode failed: EOF");
      for (const auto& [key, value] : *body->as_object())
        if (std::ranges::find(kMembers, key) == std::end(kMembers))
          return reply(400, "Request decode failed: json: unknown field \"" + key + '"');
      if (consul_.writes_denied)
        return reply(403, "Permission denied: Missing service:write on " + text_at(*body, "Name"));
      const std::string refusal = consul_.put_service(*body);
      return reply(refusal.empty() ? 200 : 400, refusal);
    }
    if (call.starts_with("service/deregister/")) {
      if (consul_.writes_denied) return reply(403, "Permission denied");
      consul_.remove(call.substr(19));
      return reply(200, "");
    }
    if (!call.starts_with("check/update/")) return reply(404, "");
    update(call.substr(13), text);
  }
  void update(const std::string& check_id, const std::string& text) {
    const auto body = json::parse_foreign(text, std::size_t{1} << 20);
    for (auto& [id, service] : consul_.services) {
      const auto found = service.checks.find(check_id);
      if (found == service.checks.end() || found->second.ttl.empty()) continue;
      if (consul_.writes_denied) return reply(403, "Permission denied");
      found->second.output = text_at(*body, "Output");
      consul_.start_ttl(id, check_id);
      consul_.set_status(id, check_id, text_at(*body, "Status"));
      return reply(200, "");
    }
    if (consul_.old_errors)
      return reply(500, "CheckID \"" + check_id + "\" does not have associated TTL");
    reply(404, "Unknown check ID \"" + check_id +
                   "\". Ensure that the check ID is passed, not the check name.");
  }

  FakeConsul& consul_;
  std::unique_ptr<Stream> stream_;
  http::RequestParser parser_{std::size_t{2} << 20};
  std::string waits_for_;
  std::string unsaid_;
  bool recurse_ = false;
  Timer end_;
};

// --- the agent -----------------------------------------------------------------------------------

FakeConsul::FakeConsul(Env& env, std::uint16_t port) : env_(env), port_(port) {
  listen();
}

FakeConsul::~FakeConsul() = default;

void FakeConsul::listen() {
  listener_ =
      env_.network.listen({.on = Endpoint{IpAddress::any(IpAddress::Family::v4), port_}}, *this)
          .value();
}

void FakeConsul::on_accept(std::unique_ptr<Stream> stream) {
  peers_.push_back(std::make_unique<Peer>(*this, std::move(stream)));
}

void FakeConsul::set_running(bool running) {
  listener_.reset();
  peers_.clear();
  if (running) listen();
}

void FakeConsul::terminate() {
  for (const auto& peer : peers_)
    peer->terminate();
  listener_.reset();
}

void FakeConsul::forget_all() {
  while (!services.empty())
    remove(services.begin()->first);
}

void FakeConsul::wipe() {
  services.clear();
  indexes_.clear();
  index = 1;
  sessions.clear();
  keys.clear();
  keys_index_ = 1;
}

// --- sessions and keys ---------------------------------------------------------------------------

std::string FakeConsul::open_session(const json::Value& body) {
  const std::string id = "session-" + std::to_string(++sessions_made_);
  FakeSession& session = sessions[id];
  session.ttl = parse_duration(text_at(body, "TTL")).value();
  session.lock_delay = parse_duration(text_at(body, "LockDelay")).value();
  // Between one and two TTLs.
  session.end = env_.after(session.ttl * 3 / 2, [this, id] { end_session(id); });
  return id;
}

void FakeConsul::end_session(const std::string& id) {
  const auto session = sessions.extract(id);  // its timer may be what calls
  if (session.empty()) return;
  bool any = false;
  for (auto at = keys.begin(); at != keys.end();) {
    if (at->second.session != id) {
      ++at;
      continue;
    }
    lock_delays_[at->first] = env_.now() + session.mapped().lock_delay;
    at = keys.erase(at);
    any = true;
  }
  if (any) keys_changed();
}

void FakeConsul::remove_key(const std::string& key) {
  if (keys.erase(key) > 0) keys_changed();
}

void FakeConsul::keys_changed() {
  keys_index_ = ++index;
  std::vector<Peer*> all;
  for (const auto& peer : peers_)
    all.push_back(peer.get());
  for (Peer* peer : all)
    peer->wake_keys();
}

/// Nothing: there is no such session.
std::optional<bool> FakeConsul::acquire(const std::string& key, const std::string& session,
                                        const std::string& value) {
  if (!sessions.contains(session)) return std::nullopt;
  const auto found = keys.find(key);
  if (found != keys.end() && !found->second.session.empty() && found->second.session != session)
    return false;
  if (const auto delay = lock_delays_.find(key);
      delay != lock_delays_.end() && env_.now() < delay->second)
    return false;
  keys[key] = {value, session, index + 1};
  keys_changed();
  return true;
}

/// Empty: 404.
std::string FakeConsul::list_keys(const std::string& key, bool recurse) const {
  std::string text;
  for (const auto& [name, one] : keys) {
    if (recurse ? !name.starts_with(key) : name != key) continue;
    text += (text.empty() ? "" : ",") + std::string(R"({"LockIndex":1,"Key":")") + name +
            R"(","Flags":0,"Value":")" + base64_encode(one.value) + '"';
    if (!one.session.empty()) text += R"(,"Session":")" + one.session + '"';
    text += R"(,"CreateIndex":1,"ModifyIndex":)" + std::to_string(one.modified) + '}';
  }
  return text.empty() ? text : '[' + text + ']';
}

std::string FakeConsul::holder(const std::string& claim) const {
  const auto found = keys.find("outrider/" + claim);
  return found == keys.end() || found->second.session.empty() ? "" : found->second.value;
}

std::uint64_t FakeConsul::index_of(const std::string& service) const {
  const auto found = indexes_.find(service);
  return found != indexes_.end() ? found->second : 1;
}

void FakeConsul::changed(const std::string& service) {
  indexes_[service] = ++index;
  std::vector<Peer*> all;
  for (const auto& peer : peers_)
    all.push_back(peer.get());
  for (Peer* peer : all)
    peer->wake(service);
}

void FakeConsul::start_ttl(const std::string& id, const std::string& check_id) {
  FakeCheck& check = services[id].checks[check_id];
  check.end = env_.after(parse_duration(check.ttl).value(), [this, id, check_id] {
    FakeCheck& ended = services[id].checks[check_id];
    ended.output = "TTL expired";
    ended.end = env_.after(1min, [this, id] { remove(id); });
    set_status(id, check_id, "critical");
  });
}

/// The refusal, or nothing.
std::string FakeConsul::put_service(const json::Value& body) {
  const std::string id = text_at(body, "ID");
  if (text_at(body, "Name").empty()) return "Missing service name";
  if (const json::Value* meta = body.find("Meta"); meta != nullptr && meta->as_object() != nullptr)
    for (const auto& [key, value] : *meta->as_object())
      if (key.find_first_not_of(
              "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") !=
          std::string::npos)
        return "Invalid Service Meta: Couldn't load metadata pair ('" + key +
               "', ''): Key contains invalid characters";
  FakeService& service = services[id];
  service.name = text_at(body, "Name");
  const std::string before = text_of(service.body);
  service.body = body;
  if (const json::Value* given = body.find("Check"); given != nullptr) {
    const std::string check_id = text_at(*given, "CheckID");
    FakeCheck& check = service.checks[check_id];
    // What was there keeps its status.
    const bool fresh = check.status.empty();
    check.name = text_at(*given, "Name");
    check.ttl = text_at(*given, "TTL");
    check.type = check.ttl.empty() ? "http" : "ttl";
    if (fresh) check.status = text_at(*given, "Status");
    if (check.status.empty()) check.status = "critical";
    if (!check.ttl.empty() && fresh) start_ttl(id, check_id);
  }
  if (text_of(body) != before) {
    service.modified = index + 1;
    changed(service.name);
  }
  return {};
}

void FakeConsul::add(const std::string& id, const std::string& service, const std::string& address,
                     const std::string& more) {
  const std::string text = R"({"ID":")" + id + R"(","Name":")" + service + R"(","Port":80)" +
                           R"(,"Address":")" + address + R"(","Check":{"CheckID":"c:)" + id +
                           R"(","Name":"http","Status":"passing"})" + more + '}';
  static_cast<void>(put_service(*json::parse_foreign(text, std::size_t{1} << 20)));
}

void FakeConsul::remove(const std::string& id) {
  const auto found = services.find(id);
  if (found == services.end()) return;
  const std::string name = found->second.name;
  const auto kept = services.extract(found);  // a timer of it may be what calls
  changed(name);
}

void FakeConsul::set_status(const std::string& id, const std::string& check,
                            const std::string& status) {
  if (std::exchange(services[id].checks[check].status, status) != status)
    changed(services[id].name);
}

void FakeConsul::set_maintenance(const std::string& id, bool on) {
  const std::string check = "_service_maintenance:" + id;
  if (on)
    services[id].checks[check] = {
        "Service Maintenance Mode", "critical", "", "maintenance", "", {}};
  else
    services[id].checks.erase(check);
  changed(services[id].name);
}

void FakeConsul::set_node_status(const std::string& status) {
  node_status_ = status;
  std::map<std::string, bool> names;
  for (const auto& [id, service] : services)
    names[service.name] = true;
  for (const auto& [name, any] : names)
    changed(name);
}

std::string FakeConsul::list_of(const std::string& service) const {
  std::string text;
  for (const auto& [id, one] : services) {
    if (one.name != service) continue;
    text += text.empty() ? "" : ",";
    text += R"({"Node":{"Node":"n1","Address":"10.0.0.1"},"Service":{"ID":")" + id +
            R"(","Service":")" + service + '"';
    for (const char* name : {"Tags", "Meta", "TaggedAddresses", "Weights"})
      text += std::string(",\"") + name + "\":" + member_text(one.body, name, "null");
    text += R"(,"Address":)" + member_text(one.body, "Address", R"("")") + R"(,"Port":)" +
            member_text(one.body, "Port", "0") + R"(,"ModifyIndex":)" +
            std::to_string(one.modified);
    text += R"(},"Checks":[{"CheckID":"serfHealth","Name":"Serf Health Status","Status":")" +
            node_status_ + R"(","Output":"Agent alive and reachable","Type":""})";
    for (const auto& [check_id, check] : one.checks)
      text += R"(,{"CheckID":")" + check_id + R"(","Name":")" + check.name + R"(","Status":")" +
              check.status + R"(","Output":")" + check.output + R"(","Type":")" + check.type +
              R"(","Notes":""})";
    text += "]}";
  }
  return '[' + text + ']';
}

std::size_t FakeConsul::count(std::string_view prefix) const {
  return static_cast<std::size_t>(std::ranges::count_if(
      requests, [&](const std::string& request) { return request.starts_with(prefix); }));
}

std::size_t FakeConsul::waiting() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(peers_, [](const auto& peer) { return peer->is_waiting(); }));
}

const FakeCheck* FakeConsul::check(const std::string& id) const {
  const auto found = services.find(id);
  if (found == services.end()) return nullptr;
  const auto check = found->second.checks.find("service:" + id);
  return check != found->second.checks.end() ? &check->second : nullptr;
}

}  // namespace outrider::registries::consul::test
