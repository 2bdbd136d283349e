// SPDX-License-Identifier: Apache-2.0
// A Consul agent as a source, and a place for the agent's own registrations. Only the local agent
// is asked, which knows the servers; what it answers about services comes from them.
//
//   options.h          what is configured
//   messages.h         requests and answers, pure
//   client.h           calls on a kept connection, the token
//   reader.h           lists, blocking queries, indexes, doubt
//   publisher.h        registrations, heartbeats, conflicts
//   locks.h            requests and answers of sessions and locked keys, pure
//   claims.h           which agent does what one alone may do
//   consul_engine.h    this: all of them as one Engine
#pragma once

#include <map>
#include <string>
#include <vector>

#include "registries/consul/claims.h"
#include "registries/consul/publisher.h"
#include "registries/consul/reader.h"

namespace outrider::registries::consul {

class ConsulEngine final : public Engine, Reader::Sink, Publisher::Sink, Claims::Sink {
 public:
  /// `names` outlives it; null: no host names.
  ConsulEngine(Env& env, Options options, NameLookup* names);

  std::string_view name() const override { return "consul"; }
  void start(Engine::Sink& sink) override;
  void put(const Entry& registration) override;
  void remove(std::string_view key) override;
  bool claim(const std::string& name) override { return claims_.claim(name); }
  void unclaim(const std::string& name) override { claims_.unclaim(name); }
  void stop(Callback<void()> done) override;
  void refresh() override { reader_.refresh(); }
  std::vector<PlaceStatus> places() const override;
  std::vector<WrittenKey> keys_of(std::string_view id) const override {
    return publisher_.keys_of(id);
  }

 private:
  void on_listed(std::vector<Entry> entries) override;
  void on_listed_in_part(std::vector<Entry> entries, std::set<std::string> kept) override;
  void on_entry(Entry entry) override;
  void on_lost(const std::string& key) override;
  void on_reader_state(PlaceState state, const std::string& reason) override;
  void on_restarted(const std::string& reason) override;
  bool is_own(const Entry& entry, bool local) const override;
  TimePoint last_answer() const override { return publisher_.last_answer(); }
  void on_conflict(const std::string& id, const std::string& key,
                   const std::string& holder) override;
  void on_publisher_error(const std::string& reason) override;
  void on_claim(const std::string& name, bool held, const std::string& reason) override;
  void on_claims_error(const std::string& reason) override { last_error_ = reason; }
  void on_silence(const std::string& reason) override { reader_.suspect(reason); }
  void set_state(PlaceState state, const std::string& reason);

  Env& env_;
  const Options options_;
  Engine::Sink* sink_ = nullptr;
  PlaceState state_ = PlaceState::connecting;
  std::string reason_, last_error_;
  TimePoint since_;
  Reader reader_;
  Publisher publisher_;
  Claims claims_;
  std::map<std::string, std::string, std::less<>> copies_;  // their ids in Consul, by key
};

}  // namespace outrider::registries::consul
