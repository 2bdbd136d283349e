// SPDX-License-Identifier: Apache-2.0
// How an etcd cluster is used: plain values, which the agent takes from its configuration.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "base/tls.h"

namespace outrider::registries::etcd {

inline constexpr std::size_t kEndpointsMax = 16;
/// Keys of go-zero, which have no common root.
inline constexpr std::size_t kGozeroKeysMax = 64;
inline constexpr std::size_t kPrefixBytesMax = 256;
/// Names in Options::services.
inline constexpr std::size_t kServicesMax = 256;

/// PREFIX/NAME/ID
struct KratosLayout {
  std::string prefix = "/microservices";
  bool operator==(const KratosLayout&) const = default;
};
/// PREFIX/DEPLOYMENT/NAMESPACE/NAME/VERSION/HOST:PORT,HOST:PORT. Everything below the prefix is
/// read; the rest says where registrations are written.
struct GoframeLayout {
  std::string prefix = "/service";
  std::string deployment = "default";
  std::string space = "default";   // "namespace" in the configuration
  std::string version = "latest";  // where GoFrame's clients look for a name alone
  bool operator==(const GoframeLayout&) const = default;
};
/// KEY/NUMBER, where a key is NAME.rpc, ENV/NAME.rpc or NAMESPACE.NAME.rpc.
struct GozeroLayout {
  std::vector<std::string> keys;  // read: "order.rpc"
  std::string env;                // written as ENV/NAME.rpc
  std::string space;              // written as NAMESPACE.NAME.rpc; "namespace" in the configuration
  bool operator==(const GozeroLayout&) const = default;
};
/// PREFIX/NAME/ID
struct ForgeLayout {
  std::string prefix = "/services";
  bool operator==(const ForgeLayout&) const = default;
};

struct Layouts {
  std::optional<KratosLayout> kratos;
  std::optional<GoframeLayout> goframe;
  std::optional<GozeroLayout> gozero;
  std::optional<ForgeLayout> forge;
  bool operator==(const Layouts&) const = default;
};

struct Options {
  std::vector<std::string> endpoints;  // "http://10.0.0.5:2379"; host names too, and https
  TlsOptions tls;                      // for https endpoints; `on` comes from each URL
  Duration ttl = std::chrono::seconds(15);
  bool publish = true;  // false: only reads
  Layouts layouts;
  std::vector<std::string> services;  // read no others, however many there are; empty: all
  std::string user;                   // empty: no authentication
  std::string password_file;          // read again at each authentication; its first line counts
  std::string writer;  // identity of this agent, the same over restarts: marks what it writes
  bool operator==(const Options&) const = default;
};

}  // namespace outrider::registries::etcd
