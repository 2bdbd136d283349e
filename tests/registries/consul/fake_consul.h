// SPDX-License-Identifier: Apache-2.0
// A simulated Consul agent that answers as Consul 1.10 was seen to: what wakes a blocking query,
// which errors are 500, what rights hide.
//
//   test::FakeConsul consul(host.env(), 8500);
//   consul.add("w1", "web", "10.1.0.1");       // as another program, with a passing check
//   consul.wipe();                             // the servers lost their data: a lower index
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/http/parser.h"
#include "base/json.h"

namespace outrider::registries::consul::test {

struct FakeCheck {
  std::string name, status, output, type, ttl;
  Timer end;
};
struct FakeService {
  std::string name;
  json::Value body;  // as registered
  std::uint64_t modified = 0;
  std::map<std::string, FakeCheck> checks;
};

struct FakeSession {
  Duration ttl{}, lock_delay{};
  Timer end;
};
struct FakeKey {
  std::string value, session;
  std::uint64_t modified = 0;
};

class FakeConsul final : Listener::Sink {
 public:
  FakeConsul(Env& env, std::uint16_t port);
  ~FakeConsul();

  /// As another program: `more` are further members of the registration, with a leading comma.
  void add(const std::string& id, const std::string& service, const std::string& address,
           const std::string& more = "");
  void remove(const std::string& id);
  void set_status(const std::string& id, const std::string& check, const std::string& status);
  void set_maintenance(const std::string& id, bool on);
  void set_node_status(const std::string& status);
  /// The process, killed and started; its data stays.
  void set_running(bool running);
  /// SIGTERM: waiting queries are answered 500 first.
  void terminate();
  /// The data folder is lost, of the agent and of its servers.
  void wipe();
  /// Of the agent alone.
  void forget_all();

  bool mute = false;             // accepts, and answers nothing
  bool without_servers = false;  // an agent that knows no server
  bool without_index = false;    // answers have no X-Consul-Index, as behind a proxy
  bool alternates = false;       // answers come from two clusters in turn, and at once
  std::string failing;           // errors for requests whose "METHOD TARGET" ends with this
  int failing_status = 500;
  std::string refused;    // a service whose lists are refused
  std::string self_more;  // a further member of /v1/agent/self, with a leading comma
  // Rights. With a token set, others are unknown.
  std::string token;
  bool self_denied = false, reads_hidden = false, writes_denied = false, says_filtered = false;
  std::optional<std::size_t> cut_at;  // lists: so many bytes of the answer, then the end
  std::string junk;                   // lists: this instead
  bool without_sessions = false;      // a dialect of Consul that has services and checks only
  bool sessions_denied = false;
  bool old_errors = true;  // an unknown check is 500, not 404
  std::uint64_t index = 1;
  std::map<std::string, FakeService> services;  // by id
  std::map<std::string, FakeSession> sessions;  // by id
  std::map<std::string, FakeKey> keys;
  /// As by its TTL, or by `consul session destroy`.
  void end_session(const std::string& id);
  /// As another client: `consul kv delete`.
  void remove_key(const std::string& key);
  /// Whose value has the key of this claim, if a session holds it.
  std::string holder(const std::string& claim) const;
  std::vector<std::string> requests;  // "GET /v1/agent/self"
  std::string last_token;

  std::size_t count(std::string_view prefix) const;
  std::size_t connections() const { return peers_.size(); }
  std::size_t waiting() const;
  const FakeCheck* check(const std::string& id) const;

 private:
  class Peer;
  void on_accept(std::unique_ptr<Stream> stream) override;
  void listen();
  void changed(const std::string& service);
  void keys_changed();
  std::string open_session(const json::Value& body);
  std::optional<bool> acquire(const std::string& key, const std::string& session,
                              const std::string& value);
  std::string list_keys(const std::string& key, bool recurse) const;
  std::string list_of(const std::string& service) const;
  std::uint64_t index_of(const std::string& service) const;
  void start_ttl(const std::string& id, const std::string& check_id);
  std::string put_service(const json::Value& body);

  Env& env_;
  const std::uint16_t port_;
  std::string node_status_ = "passing";
  std::map<std::string, std::uint64_t> indexes_;  // of services
  std::uint64_t keys_index_ = 1;
  std::map<std::string, TimePoint> lock_delays_;  // by key
  unsigned sessions_made_ = 0;
  std::unique_ptr<Listener> listener_;
  std::vector<std::unique_ptr<Peer>> peers_;
};

}  // namespace outrider::registries::consul::test
