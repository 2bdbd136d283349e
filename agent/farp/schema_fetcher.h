// SPDX-License-Identifier: Apache-2.0
// Fetches the schemas of our own services from the services themselves, and keeps them fresh. Only
// from the instance's own address, never from elsewhere: what is configured is a path on its port,
// or a URL whose host is this host's loopback or one of the instance's addresses. base/reach.h
// decides whether that address may be asked: it must be this host's, unless a check of the
// registration has allow_remote.
//
//   watch(instance) ▸ GET path (GraphQL: then POST introspection) ▸ read_schema_document ▸ store
#pragma once

#include <map>
#include <memory>
#include <string>

#include "agent/farp/schemas.h"
#include "agent/registry/model.h"
#include "base/env.h"

namespace outrider::farp {

inline constexpr Duration kSchemaRefresh = std::chrono::seconds(60);
inline constexpr Duration kSchemaTimeout = std::chrono::seconds(10);
inline constexpr Duration kSchemaRetryMin = std::chrono::seconds(2);  // doubles up to the refresh

class SchemaFetcher {
 public:
  class Sink {
   public:
    /// A schema is there for the first time, or is another one.
    virtual void on_schema(const std::string& instance_id) = 0;

   protected:
    ~Sink() = default;
  };

  /// Everything outlives the fetcher.
  SchemaFetcher(Env& env, SchemaStore& store, Sink& sink);
  ~SchemaFetcher();

  /// Starts (the first fetch comes with the next turn), or follows a change of port, address or
  /// paths. Instances that are not usable are left alone until they are.
  void watch(const registry::Instance& instance);
  void forget(const std::string& instance_id);

 private:
  struct Job;
  using Key = std::pair<std::string, SchemaType>;
  void wish(const registry::Instance& instance, SchemaType type, const std::string& path);
  void start(Job& job);
  void request(Job& job, bool introspection);
  void answered(Job& job, bool introspection, int status, const std::string& body);
  void done(Job& job, std::string trouble);

  Env& env_;
  SchemaStore& store_;
  Sink& sink_;
  std::map<Key, std::unique_ptr<Job>> jobs_;
};

}  // namespace outrider::farp
