// SPDX-License-Identifier: Apache-2.0
// An etcd cluster as a source, and a place for the agent's own registrations, over its JSON gateway
// (etcd 3.4 and later), where Kratos, GoFrame, go-zero and Forge programs keep theirs.
//
//   options.h                 what is configured
//   layout.h, kratos.cc, …    a key with its value ⇄ entries, pure
//   messages.h                requests, answers, objects of a stream, pure
//   endpoints.h, client.h     servers of the cluster, calls to one of them
//   reader.h                  list, watch, list again
//   lease_lookup.h            what is left of a lease, when a person asks
//   publisher.h               lease, keys, conflicts
//   etcd_engine.h             this: both of them as one Engine
//
// Reader and publisher each have their own connection and choose their own server: a watch on a
// member that lags is no reason to stop writing. One cluster is one place, named by its first
// endpoint.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "registries/etcd/publisher.h"
#include "registries/etcd/reader.h"

namespace outrider::registries::etcd {

class EtcdEngine final : public Engine, Reader::Sink, Publisher::Sink {
 public:
  /// At least one endpoint. `names` outlives it; null: no host names.
  EtcdEngine(Env& env, Options options, NameLookup* names);

  std::string_view name() const override { return "etcd"; }
  void start(Engine::Sink& sink) override;
  void put(const Entry& registration) override;
  void remove(std::string_view key) override;
  /// Also where registrations are not published.
  bool claim(const std::string& name) override { return publisher_.claim(name); }
  void unclaim(const std::string& name) override { publisher_.unclaim(name); }
  void stop(Callback<void()> done) override;
  void refresh() override { reader_.refresh(); }
  std::unique_ptr<Pending> look_up_leases(std::span<const std::int64_t> leases,
                                          LeasesReply reply) override {
    return reader_.look_up_leases(leases, std::move(reply));
  }
  std::vector<PlaceStatus> places() const override;
  std::vector<WrittenKey> keys_of(std::string_view key) const override {
    return publisher_.keys_of(key);
  }

 private:
  void on_listed(std::vector<Entry> entries) override;
  void on_entry(Entry entry) override;
  void on_lost(const std::string& key) override;
  void on_reader_state(PlaceState state, const std::string& reason) override;
  void on_restarted(const std::string& reason) override;
  void on_key(const KeyValue& kv, bool deleted) override;
  bool is_own(const KeyValue& kv, const std::vector<Entry>& entries) const override;
  void on_proof() override;
  void on_keepalive(const std::string& endpoint, bool answered) override;
  bool is_watched(const std::string& key) const override;
  void on_conflict(const std::string& id, const std::string& key,
                   const std::string& holder) override;
  void on_claim(const std::string& name, bool held, const std::string& reason) override;
  void on_publisher_error(const std::string& reason) override;
  void set_state(PlaceState state, const std::string& reason);

  Env& env_;
  const Options options_;
  const std::string place_;
  const std::size_t first_;
  Endpoints endpoints_;
  const std::vector<std::unique_ptr<Layout>> layouts_;
  Engine::Sink* sink_ = nullptr;
  PlaceState state_ = PlaceState::connecting;
  std::string reason_, last_error_;
  TimePoint since_;
  Reader reader_;
  Publisher publisher_;
};

}  // namespace outrider::registries::etcd
