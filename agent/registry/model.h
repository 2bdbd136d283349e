// SPDX-License-Identifier: Apache-2.0
// The nouns of the agent, as values that cannot be wrong: service names, instance ids, what is to
// be registered (ServiceSpec) and what is known (Instance). Pure data.
//
//   a door (config, API, CLI, C API) ▸ ServiceSpec::parse ▸ Registry ▸ Changes ▸ Agent::apply
//
// A registration is an instance that this agent is responsible for; a sighting is one that another
// agent or program announced.
//
// To add a kind of check: probes/probe.h. To add a field of a service:
// clang-format off
//   model.h                       a member of Description (of FarpSpec for FARP)
//   spec_rows.cc, spec.cc         its row, from which schema and manual come, and its reading
//   spec_writer.cc                its writing, with which a specification can be read again
//   farp/txt_writer.cc            its TXT key; farp/txt.cc and agent/lan/sighting_reader.cc read it
//   zone.cc                       if DNS answers depend on it; name_grammar.cc if names select it
//   doors/instance_json.cc        our API; doors/outrider/routes.cc for http_sd
//   doors/etcd/instances.cc       from and to what frameworks keep in etcd
//   doors/consul/                 decode.cc, encode.cc, filter.cc
//   doors/eureka/, doors/legacy/   if the dialects there have such a field
// clang-format on
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/address.h"
#include "base/check_kinds.h"
#include "base/health.h"
#include "base/json.h"
#include "base/result.h"
#include "base/shared.h"
#include "base/time.h"

namespace outrider::registry {

inline constexpr std::size_t kLabelBytesMax = 63;         // RFC 1035 §2.3.4
inline constexpr std::size_t kServiceLabelBytesMax = 62;  // "_name" must be a label too
inline constexpr std::size_t kIdBytesMax = 255;           // as given; its label is shorter
inline constexpr std::size_t kVersionBytesMax = 128;
inline constexpr std::size_t kTagsMax = 256;
inline constexpr std::size_t kTagBytesMax = 255;
inline constexpr std::size_t kSubtypesMax = 16;  // of kLabelBytesMax each
inline constexpr std::size_t kMetadataMax = 64;  // keys, key and value octets: as Consul has it
inline constexpr std::size_t kMetadataKeyBytesMax = 128;
inline constexpr std::size_t kMetadataValueBytesMax = 512;
inline constexpr std::size_t kAddressesMax = 16;
inline constexpr std::size_t kChecksPerInstanceMax = 16;
inline constexpr std::size_t kOutputBytesMax = 4'096;  // last output of a check

/// When something happened, for logic and for people.
struct Moment {
  TimePoint at{};
  WallTime wall{};
  bool operator==(const Moment&) const = default;
};

/// A DNS label made from free text: lower case; '_', ' ' and '.' become '-'. Nothing if the result
/// is not a label of letters, digits and inner hyphens, or is longer than `bytes_max`.
std::optional<std::string> to_label(std::string_view text, std::size_t bytes_max = kLabelBytesMax);

/// A service's name: the text as given and its label, by which services are the same.
class ServiceName {
 public:
  static std::optional<ServiceName> parse(std::string_view text);
  /// Any text of other programs ("prod/order.rpc"), as InstanceId::from_foreign does.
  static std::optional<ServiceName> from_foreign(std::string_view text);
  /// What has this name already, so that no service can; empty: nothing has.
  static std::string_view holder_of(std::string_view text);
  const std::string& text() const { return text_; }
  const std::string& label() const { return label_; }
  bool operator==(const ServiceName& other) const { return label_ == other.label_; }
  auto operator<=>(const ServiceName& other) const { return label_ <=> other.label_; }

 private:
  std::string text_, label_;
};

/// An instance's id: the text as given (unique within this agent) and the label it has in DNS.
class InstanceId {
 public:
  /// Only texts that are labels after to_label's mapping; not "local", which is a name of its own.
  static std::optional<InstanceId> parse(std::string_view text);
  /// Any text of other programs ("web-v1-10.0.0.1:8080", "My Box"): what is no letter, digit or
  /// hyphen becomes '-', too long ones end in a hash. Nothing for empty and for control characters.
  static std::optional<InstanceId> from_foreign(std::string_view text);
  /// The id followed by a short hash of `by`, which sets it apart from an equal id elsewhere. The
  /// same for the same input on every host and in every run.
  InstanceId apart(std::string_view by) const;
  const std::string& text() const { return text_; }
  const std::string& label() const { return label_; }
  bool operator==(const InstanceId& other) const { return text_ == other.text_; }
  auto operator<=>(const InstanceId& other) const { return text_ <=> other.text_; }

 private:
  std::string text_, label_;
};

using outrider::Health;
using outrider::to_string;
using outrider::usable;

enum class Scope : std::uint8_t {
  automatic,  // host if every address is a loopback address, else lan
  lan,
  host,  // agents of this host alone: announced on loopback, never multicast to the LAN
};
const char* to_string(Scope scope);

/// In order of preference: where sources differ, the earlier one describes the instance.
enum class Source : std::uint8_t {
  own,       // a registration
  host,      // at another agent of this host
  sighting,  // on the local link
  consul,
  etcd,
};
const char* to_string(Source source);
/// As places name it: "host", "mdns", "consul", "etcd".
std::string_view engine_of(Source source);
/// The engine that the mark of a copy names, as a literal; empty for an empty mark.
std::string_view read_via(std::string_view mark);
/// In a registry beyond the link, which tells no host from another but by addresses.
inline bool is_remote(Source source) {
  return source >= Source::consul;
}

// --- Checks ----------------------------------------------------------------------------------

struct HttpCheckSpec {
  static constexpr CheckKind kKind = CheckKind::http;
  std::string url;          // "/path" on the instance, or "http://host:port/path"
  std::string unix_socket;  // instead of host and port
  HttpOptions options;
  TlsOptions tls;
  bool operator==(const HttpCheckSpec&) const = default;
};
struct TcpCheckSpec {
  static constexpr CheckKind kKind = CheckKind::tcp;
  std::string target;  // "auto": the instance; "10.0.0.1:80"; ":80"
  bool operator==(const TcpCheckSpec&) const = default;
};
struct GrpcCheckSpec {
  static constexpr CheckKind kKind = CheckKind::grpc;
  std::string target;   // as TcpCheckSpec's
  std::string service;  // of grpc.health.v1; empty: the whole server
  TlsOptions tls;
  bool operator==(const GrpcCheckSpec&) const = default;
};

struct CheckSpec {
  using Kind = std::variant<HttpCheckSpec, TcpCheckSpec, GrpcCheckSpec, TtlCheck, AliasCheck>;
  static_assert(is_in_table_order(std::type_identity<Kind>()));

  std::string id;    // unique in its instance: "http", "http-2", or as given
  std::string name;  // for people; empty: the id
  std::string notes;
  Kind kind;
  CheckTiming timing;
  CheckThresholds thresholds;
  bool allow_remote = false;                                     // the target may be another host
  Duration deregister_critical_after = std::chrono::minutes(1);  // zero: never
  CheckHealth initial = CheckHealth::starting;                   // of heartbeats

  bool operator==(const CheckSpec&) const = default;
};
/// "http", "tcp", "grpc", "ttl", "alias"; "https" for HTTP over TLS.
std::string_view kind_name(const CheckSpec& check);

// --- What is asked for -----------------------------------------------------------------------

struct FarpSpec {
  bool enabled = false;  // the service has a "farp" object
  std::string openapi, asyncapi,
      graphql;  // path on the service, URL, or "file:/path" (see is_file)
  bool grpc_reflection = false;
  std::vector<std::string> capabilities;
  std::string strategy;  // "push", "pull", "hybrid"; empty: not said
  std::string health;    // path; empty: that of the first HTTP check
  std::string manifest;  // URL, of sightings alone: ours follows from where it is served
  bool operator==(const FarpSpec&) const = default;

  /// A document in a file of this host, served by us instead of by the service.
  static bool is_file(std::string_view document) { return document.starts_with("file:/"); }
};

struct SpecError {
  std::string path;      // "services[2].checks[0].interval"; empty: the whole
  std::string expected;  // "a duration such as \"10s\", not 5"
  std::string nearest;   // the known key or name that was perhaps meant; empty: none
  /// "services[2].prot: unknown key; did you mean \"port\"?"
  std::string to_string() const;
};

using Metadata = std::map<std::string, std::string>;

/// What is said of one endpoint of a service, the same for a specification, an instance and a
/// sighting.
struct Description {
  std::string version;
  std::uint16_t port = 0;  // 0: none (a service that only has checks and metadata)
  std::string protocol = "http";
  std::vector<std::string> tags;
  /// "_printer": _printer._sub._NAME._tcp (RFC 6763 §7.1). Of registrations alone.
  std::vector<std::string> subtypes;
  Metadata metadata;
  /// Keys of `metadata` that came without a value, with or without which they mean something (RFC
  /// 6763 §6.4): their value there is empty. Of sightings alone.
  std::vector<std::string> flags;
  std::uint16_t weight = 100;
  Shared<FarpSpec> farp;

  bool operator==(const Description&) const = default;
  const Description& description() const { return *this; }
  Description& description() { return *this; }
};

/// The door through which a client keeps a registration, if the door has a word for it.
struct DoorPlace {
  std::string door;        // "etcd"; empty: another one, or none
  std::string key;         // "/microservices/web/web-1"
  std::int64_t lease = 0;  // its id; 0: none
  bool operator==(const DoorPlace&) const = default;
};

struct ServiceSpec : Description {
  ServiceName name;
  std::optional<InstanceId> id;      // nothing: automatic_id()
  std::vector<IpAddress> addresses;  // empty: those of this host's interfaces
  Scope scope = Scope::automatic;
  bool local_name = false;  // whether NAME.local is to lead here
  std::vector<CheckSpec> checks;
  Shared<DoorPlace> door;  // which keeps it over a restart, then

  bool operator==(const ServiceSpec&) const = default;

  /// The one entrance, for every door: `value` as in DESIGN §4.2's "services". `path` is put before
  /// the paths of errors. Only the configuration may name files of this host.
  enum class Files : std::uint8_t { refused, allowed };
  static Result<ServiceSpec, SpecError> parse(const json::Value& value, std::string_view path = {},
                                              Files files = Files::refused);
  /// One check alone, in the same form.
  static Result<CheckSpec, SpecError> parse_check(const json::Value& value,
                                                  std::string_view path = {});
};
/// In the form that parse takes, with every field.
void write(json::Writer& out, const ServiceSpec& spec);
void write(json::Writer& out, const CheckSpec& check);

/// A host as ids see it.
struct HostId {
  std::string name;      // of the machine; many hosts may have the same
  std::string identity;  // what no other host has, not even a clone; empty: unknown
};
/// The id of `id: auto`: stable over restarts, from service name, host name, port and the host's
/// identity, so that hosts with the same name choose different ids.
InstanceId automatic_id(const ServiceSpec& spec, const HostId& host);
/// The same without the host's identity, as the first version chose it. Files and clients that name
/// a registration may still say so.
InstanceId short_automatic_id(const ServiceSpec& spec, const HostId& host);
/// The name of a host among others: one for all its agents, and the same from wherever it is looked
/// at. It ends like the host's automatic ids, for many hosts may have the same host name.
std::string node_name(const HostId& host);
/// "0123456789abcdef.box": identity and host name as TXT records state them. Of the first version,
/// which wrote an identity that clones share, only the part before the '.' came.
std::string host_text(const HostId& host);
/// The host of such a text; everything is empty in one that no version writes.
HostId read_host_text(std::string_view text);
/// Octets of an identity; a longer one is not read.
inline constexpr std::size_t kIdentityBytesMax = 64;

// --- What is known ---------------------------------------------------------------------------

struct CheckState {
  CheckSpec spec;
  CheckHealth health = CheckHealth::starting;
  std::string output;  // of the last probe or heartbeat
  Moment since;        // when `health` became what it is
  Moment renewed;      // heartbeats: the last one; probes: the last outcome that was told
};

/// Where another registry keeps an entry, for people. Empty and 0: it has no such thing.
struct PlaceDetail {
  std::string key;            // "/microservices/web/web-1"
  std::string endpoint;       // the server that reported it
  std::int64_t lease = 0;     // its id
  std::int64_t revision = 0;  // of its last change
  bool operator==(const PlaceDetail&) const = default;
};

/// Since when, why and until when a place is stale.
struct Staleness {
  bool is_stale = false;
  WallTime since{};
  std::optional<WallTime> until;  // nothing: without end
  std::string reason;
  bool operator==(const Staleness&) const = default;
};

/// Where a foreign instance was met. One instance may be met in several places.
struct SightedPlace {
  std::string key;          // unique, opaque: "_hello._tcp hello-1"
  std::string_view engine;  // "mdns", "etcd", …: a literal
  std::string host;         // SRV target; of an engine, its place
  /// "etcd": what is there is a copy that an agent made from that engine. Empty: an original.
  std::string_view via = {};
  TimePoint expires = TimePoint::max();
  Shared<PlaceDetail> detail;
  Shared<Staleness> stale;
  bool operator==(const SightedPlace&) const = default;
};

/// An address with the interface that it was met on (0: any).
struct PlacedAddress {
  IpAddress address;
  std::uint32_t interface = 0;
  auto operator<=>(const PlacedAddress&) const = default;
};

/// Whether clients reach the program of a registration (exposure.h). The texts are for people: what
/// keeps it from being reached as configured, and what to do. Empty: nothing does.
struct Exposure {
  bool loopback_only = false;
  std::string limit;
  std::string advice;
  bool operator==(const Exposure&) const = default;
};

/// The name of a registration's service in .local, for what looks up addresses over mDNS alone.
struct LocalName {
  bool wanted = false;
  std::string name;  // "hello.local", while it leads to this host and the registration is served
  bool operator==(const LocalName&) const = default;
};

/// The host of a foreign instance as it states itself; a neighbour can copy it. Empty: not stated.
struct StatedHost {
  std::string identity;
  std::string node;  // node_name()
  bool operator==(const StatedHost&) const = default;
};

/// Immutable once handed out; a change makes a new one.
struct Instance : Description {
  InstanceId id;
  ServiceName service;
  /// Registrations: as configured; empty means those of this host. Sightings: as seen, best first.
  std::vector<PlacedAddress> addresses;
  Scope scope = Scope::automatic;             // what applies now: never automatic
  Scope configured_scope = Scope::automatic;  // of registrations
  Shared<Exposure> exposure;                  // of registrations
  Shared<DoorPlace> door;                     // of registrations
  Shared<LocalName> local_name;               // of registrations of this host
  std::vector<CheckState> checks;

  Source source = Source::own;
  std::string short_id;  // of registrations with an automatic id: short_automatic_id()
  /// Of sightings: the id as announced. It differs from `id` if another instance of the service has
  /// the same, or one that is written the same in DNS.
  std::string announced_id;
  Shared<StatedHost> stated;
  bool on_this_host = false;         // own, or it has an address of this host
  std::vector<SightedPlace> places;  // of sightings; the first one describes it
  bool stale = false;                // that place is stale; served for a grace time (EDE 3)
  bool shadowed = false;             // another instance holds the same host and port; not served

  Health health = Health::starting;  // worst of the checks, under maintenance and draining
  bool maintenance = false;
  std::string maintenance_reason;
  bool draining = false;
  bool dropped = false;  // critical for too long: no registration, but still probed

  Moment registered, up, renewed, dirty, latest;
  std::uint64_t revision = 0;  // of the registry when it last changed
  std::uint64_t created_revision = 0;

  /// Another instance of the service has the id that this one was announced with.
  bool renamed() const { return !own() && !announced_id.empty() && announced_id != id.text(); }
  bool served() const { return usable(health) && !shadowed && !dropped; }
  bool own() const { return source == Source::own; }
  /// It has no check: it passes for as long as it is registered. The checks of other hosts are not
  /// known here.
  bool unchecked() const {
    return checks.empty() && (source == Source::own || source == Source::host);
  }
};
using InstancePtr = std::shared_ptr<const Instance>;

}  // namespace outrider::registry
