// SPDX-License-Identifier: Apache-2.0
// A simulated etcd that answers over the JSON gateway as etcd 3.4 was seen to: which errors come
// chunked and with which code, what is left out, what a watch says and when it is silent.
//
//   test::Store store(world.env());           // what the members of a cluster share
//   test::Member one(host.env(), 2379, store);
//   one.set_cut_off(true);                    // reachable by clients, but not by its peers
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
#include "registries/etcd/messages.h"

namespace outrider::registries::etcd::test {

struct Kept {
  std::string value;
  std::int64_t lease = 0, create_revision = 0, mod_revision = 0, version = 0;
};
struct Event {
  bool deleted = false;
  std::string key;
  Kept kept;
};

/// Keys, leases and their history.
class Store {
 public:
  using Listener = std::function<void(const std::vector<Event>&)>;
  explicit Store(Env& env) : env_(env) {}

  std::int64_t put(const std::string& key, const std::string& value, std::int64_t lease = 0);
  bool remove(const std::string& key);
  struct Change {
    std::string key, value;
    std::int64_t lease = 0;
    bool deleted = false;
  };
  /// All with one revision; returns it.
  std::int64_t change(const std::vector<Change>& changes);
  std::int64_t grant(std::int64_t seconds);
  /// Seconds, or nothing for an unknown lease.
  std::optional<std::int64_t> keep_alive(std::int64_t lease);
  bool revoke(std::int64_t lease);
  /// As a new leader does: each lasts its whole time from now on.
  void extend_leases() {
    for (const auto& [lease, end] : leases)
      (void)keep_alive(lease);
  }
  std::vector<std::string> keys_of(std::int64_t lease) const;
  void compact() { compacted_ = revision; }
  /// A fresh data folder.
  void wipe();

  std::int64_t revision = 1;
  std::map<std::string, Kept> keys;
  std::map<std::int64_t, std::pair<std::int64_t, Timer>> leases;  // seconds, end
  std::vector<std::pair<std::int64_t, Event>> history;
  std::map<const void*, Listener> listeners;
  std::int64_t compacted() const { return compacted_; }
  // Authentication; off without users.
  std::map<std::string, std::string> users;   // password
  std::map<std::string, std::string> tokens;  // user
  std::string readable = "";                  // the prefix that users may read and write
  int logins = 0;

 private:
  friend class Member;
  void tell(std::vector<Event> events);
  Env& env_;
  std::int64_t compacted_ = 0;
  std::int64_t next_lease_ = 7'000'000'000'000'000'001;
};

/// One server of the cluster.
class Member final : Listener::Sink {
 public:
  Member(Env& env, std::uint16_t port, Store& store);
  ~Member();

  /// The process: false ends all connections.
  void set_running(bool running);
  /// Without a leader: writes and linearizable reads hang for 7 s; watches that want a leader get
  /// an error, others are silent.
  void set_cut_off(bool cut_off);
  /// Accepts, and answers nothing: stopped, or its packets are lost.
  bool mute = false;
  /// Every page of a list begins with the first key of the store.
  bool ignores_range = false;
  /// Until it says what is left of a lease.
  Duration lease_time_takes{};
  /// Sent to every watch as it is.
  void say(std::string_view text);
  /// Sent as an object of a stream.
  void say_object(const std::string& text);
  std::vector<std::string> requests;  // paths
  /// Called before a request is answered, with its path: what happens at the same time.
  std::function<void(const std::string&)> meanwhile;
  std::vector<std::string> bodies;  // of watches
  std::string last_headers;         // of the last watch
  std::vector<std::string> member_urls;
  std::string cluster_id = "14841639068965178418";
  // What etcd takes if it is not told otherwise: of a list of a transaction, and of a request.
  std::size_t operations_max = 128;
  std::size_t request_bytes_max = 1'536U << 10;
  /// What a proxy before it takes.
  std::size_t proxy_bytes_max = 2'048U << 10;
  /// Refuses transactions as if a key were not as expected, and shows none.
  bool contradicts = false;
  std::vector<std::size_t> operations;  // of each transaction
  std::size_t longest_body = 0;
  std::size_t connections() const { return peers_.size(); }
  std::size_t watches() const;
  std::size_t count(std::string_view path) const;

 private:
  class Peer;
  void listen();
  void on_accept(std::unique_ptr<Stream> stream) override;

  Env& env_;
  const std::uint16_t port_;
  Store& store_;
  bool cut_off_ = false;
  std::unique_ptr<Listener> listener_;
  std::vector<std::unique_ptr<Peer>> peers_;
};

}  // namespace outrider::registries::etcd::test
