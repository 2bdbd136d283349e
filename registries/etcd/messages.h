// SPDX-License-Identifier: Apache-2.0
// Requests and answers of etcd's JSON gateway (/v3/…), pure. Keys and values are base64, 64-bit
// numbers are strings in answers, and what is zero or false is left out.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "registries/etcd/layout.h"

namespace outrider::registries::etcd {

/// One object of a watch: 1,000 keys of a lease that ends are one object of 80 kB, with long keys
/// more.
inline constexpr std::size_t kObjectBytesMax = 4U << 20;
/// An answer to anything but a list.
inline constexpr std::size_t kAnswerBytesMax = 256U << 10;
/// Keys that are listed with one request, and the answer to it: values of other programs may be
/// large.
inline constexpr std::size_t kPageKeys = 128;
inline constexpr std::size_t kPageBytesMax = 32U << 20;
/// After an answer that is longer; of the longest values that etcd takes, 1.5 MiB, these fit.
inline constexpr std::size_t kPageKeysOfLongValues = 8;

// --- requests ----------------------------------------------------------------------------------

std::string range_request(std::string_view first, std::string_view end, std::size_t limit,
                          std::int64_t revision);
/// Costs the server little, and needs a leader: whether the server may be believed.
std::string count_request(std::string_view key);
struct Put {
  const KeyValue* kv = nullptr;
  std::int64_t revision = 0;  // of the last change of the key; 0: it does not exist
};
/// Puts all of them under `lease` if every key is as it was at its revision; else puts none, and
/// answers what is there.
std::string put_request(const std::vector<Put>& puts, std::int64_t lease);
/// Deletes the keys if all are still ours; else none, and answers what is there.
std::string remove_request(const std::vector<std::string>& keys, std::int64_t lease);
std::string grant_request(Duration ttl);
std::string lease_request(std::int64_t lease);
/// As above, and asks for the keys that it holds.
std::string lease_keys_request(std::int64_t lease);
std::string authenticate_request(std::string_view user, std::string_view password);
/// Watch `number`, from 1, on all keys with this prefix. Several may be sent in one body.
std::string watch_request(std::string_view prefix, std::int64_t start_revision, unsigned number);

// --- answers -----------------------------------------------------------------------------------

/// Seconds of a lease: more than anybody waits, and few enough to reckon with.
inline constexpr std::int64_t kTtlSecondsMax = 4'000'000'000;

/// Members that are missing are 0, empty or false.
struct Answer {
  std::string cluster_id;
  std::int64_t revision = 0;
  std::vector<KeyValue> kvs;  // of a range, or of the branch of a transaction that was taken
  std::int64_t count = 0;
  bool succeeded = false;
  std::int64_t lease = 0;
  std::int64_t ttl = 0;  // of a lease, in seconds; -1: it is unknown
  std::int64_t granted_ttl = 0;
  std::vector<std::string> keys;  // of a lease
  std::string token;
  std::vector<std::string> client_urls;  // of the members
};
/// Nothing if it is not a JSON object.
std::optional<Answer> read_answer(std::string_view body, std::size_t bytes_max);

struct Refusal {
  std::int64_t code = 0;  // of gRPC
  std::string text;
};
/// What a body that came with another status than 200 says; also the words of a proxy.
Refusal read_refusal(int status, std::string_view body);

struct WatchEvent {
  bool deleted = false;
  KeyValue kv;
};
struct WatchMessage {
  std::int64_t revision = 0;
  std::int64_t number = 0;
  bool created = false;
  bool canceled = false;  // may come together with created, and counts then
  std::string reason;     // of a cancel, or of an error
  std::int64_t compact_revision = 0;
  bool error = false;
  std::vector<WatchEvent> events;
};
std::optional<WatchMessage> read_watch_message(std::string_view object);

/// Events of a message that are read together: the end of a lease is one message with all its keys.
inline constexpr std::size_t kEventsPerPart = 64;
/// A message of a watch as it came.
struct RawMessage {
  std::string envelope;            // the object without its events; empty: there is none yet
  std::deque<std::string> events;  // the events, kEventsPerPart in each
};
/// Nothing if it cannot be read.
std::optional<std::vector<WatchEvent>> read_watch_events(std::string_view part);

/// Cuts a stream into JSON objects, whatever stands between them. Objects, not chunks or lines, are
/// what the gateway guarantees.
class ObjectSplitter {
 public:
  void feed(std::string_view text) { text_ += text; }
  /// The next whole object; empty if there is none yet.
  std::string take();
  /// The same, in parts.
  RawMessage take_message();
  /// Octets that are not taken yet.
  std::size_t size() const { return text_.size(); }
  /// An object is longer than kObjectBytesMax: nothing more is taken.
  bool failed() const { return failed_; }

 private:
  struct Span {
    std::size_t begin, end;
  };
  /// Nothing: there is no whole object yet.
  std::optional<Span> scan();
  void see(char c);
  bool begins_events() const;
  void drop(std::size_t count);

  std::string text_;
  std::size_t scanned_ = 0;
  std::size_t start_ = 0;
  std::vector<Span> events_;  // of the object that is scanned: {"result":{"events":[…]}}
  bool in_events_ = false;
  unsigned depth_ = 0, brackets_ = 0;
  bool in_string_ = false, escaped_ = false, failed_ = false;
};

}  // namespace outrider::registries::etcd
