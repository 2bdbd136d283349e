// SPDX-License-Identifier: Apache-2.0
// Requests and answers of Consul's HTTP API (/v1/…), pure.
//
// A registration has one TTL check, "service:ID". Consul takes only letters, digits, "_" and "-" in
// keys of metadata, so the mark of an agent is "outrider-node" here, and other characters are
// escaped: "a.b" is "a_x2Eb" in Consul, and "a.b" again for an agent that reads it. Version,
// protocol and weight are where Kratos looks for them, or in metadata: "version", "scheme",
// "weight".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "registries/consul/options.h"
#include "registries/entry_parts.h"

namespace outrider::registries::consul {

/// The list of one service, with all checks; and any other answer.
inline constexpr std::size_t kListBytesMax = 16U << 20;
inline constexpr std::size_t kAnswerBytesMax = 1U << 20;
inline constexpr std::size_t kChecksPerEntryMax = 64;
inline constexpr std::size_t kOutputBytesMax = 1'024;
/// What Consul takes in one registration.
inline constexpr std::size_t kMetadataMax = 64;
inline constexpr std::size_t kMetadataKeyBytesMax = 128;
inline constexpr std::size_t kMetadataValueBytesMax = 512;
/// How long Consul is to wait for a change. It adds up to a sixteenth of it.
inline constexpr Duration kWait = std::chrono::seconds(55);
/// Consul deregisters what is critical for this long: after a crash, say. No shorter time is taken.
inline constexpr Duration kReapAfter = std::chrono::minutes(1);
/// Consul's default of 1 is our default of 100.
inline constexpr std::uint32_t kWeightUnit = 100;

std::string seconds_text(Duration duration);

/// An agent has copied it from another source.
inline bool is_copy(const Entry& entry) {
  return entry.metadata.contains(std::string(kViaMark));
}
/// The id of a copy in Consul: that of its original may be another service's there. The original's
/// is in its metadata.
std::string copy_id(std::string_view key);

// --- requests ----------------------------------------------------------------------------------

inline constexpr std::string_view kSelfTarget = "/v1/agent/self";
inline constexpr std::string_view kRegisterTarget = "/v1/agent/service/register";
/// Index 0 is answered at once; another one when the list is newer.
std::string list_target(std::string_view service, std::uint64_t index);
std::string service_target(std::string_view id);
std::string health_target(std::string_view id);
std::string deregister_target(std::string_view id);
std::string update_target(std::string_view id);

struct Registration {
  std::string body;
  std::vector<std::string> left_out;  // keys of metadata that Consul does not take
};
/// Nothing if no address of it can be reached by other hosts.
std::optional<Registration> register_request(const Entry& entry, const std::string& writer,
                                             Duration ttl);
/// A heartbeat of the check, with the health of the entry.
std::string update_request(const Entry& entry);

// --- answers -----------------------------------------------------------------------------------

/// Of the header X-Consul-Index; at least 1, since 0 would not wait.
std::uint64_t read_index(std::string_view header);

struct List {
  std::vector<Entry> entries;  // their key is NODE/ID
  std::size_t skipped = 0;
};
/// Reads /v1/health/service row by row while it comes: a list of 1,000 instances is 1 MB, and would
/// hold up everything else for 10 ms if it were read at its end.
class ListReader {
 public:
  void feed(std::string_view piece);
  /// Nothing if it was not a whole JSON array of objects.
  std::optional<List> finish();
  /// How it begins, for people.
  const std::string& beginning() const { return beginning_; }

 private:
  void feed_row(char c);
  void end_row();

  enum class State : std::uint8_t { before, rows, after, bad };
  State state_ = State::before;
  unsigned depth_ = 0;  // within a row
  bool in_string_ = false, escaped_ = false;
  std::string row_, beginning_;
  List list_;
};
/// All at once.
std::optional<List> read_list(std::string_view body);

/// A service of the local agent, as /v1/agent/service shows it.
struct Registered {
  std::string service, writer;
  std::string via;  // of a copy: where its original is
  std::int64_t port = 0;
};
std::optional<Registered> read_registered(std::string_view body);

/// The name of the agent's node, as /v1/agent/self shows it; empty if it does not.
std::string read_node(std::string_view body);

/// What an answer with another status than 200 says; also the words of a proxy.
std::string read_refusal(int status, std::string_view body);
/// Whether the refusal of a heartbeat says that the agent has no such check: it was restarted
/// without its data, or another program has deregistered the service.
bool is_unknown_check(int status, std::string_view text);

}  // namespace outrider::registries::consul
