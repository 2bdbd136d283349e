// SPDX-License-Identifier: Apache-2.0
// One other agent of this host: follows its stream of changes over its control socket.
//
//   connecting ─ first event ▸ current ─ silence, end ▸ behind ─ first event ▸ current
//        └─ refused ▸ a few tries ▸ idle, until the folder of the socket changes
//
// A stream that ends means that the process ended, which the kernel reports at once. A process that
// is suspended or hangs reports nothing: its stream's comments stop, and after kSilenceMax it is
// behind. A new request then waits in its socket, without a timer, until the process goes on.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "registries/engine.h"

namespace outrider::registries {

/// Agents send a comment every 25 s at least.
inline constexpr Duration kSilenceMax = std::chrono::seconds(40);
/// A new sibling that has accepted the connection must answer within this.
inline constexpr Duration kAnswerMax = std::chrono::seconds(5);
/// Entries of one sibling; those beyond are left out, and its state says so.
inline constexpr std::size_t kEntriesPerSiblingMax = 4'096;
inline constexpr std::size_t kEventBytesMax = 16U << 20;
/// After a refused connection, or a stream that did not last. A socket file appears before its
/// process listens.
inline constexpr Duration kRetries[] = {std::chrono::milliseconds(20),
                                        std::chrono::milliseconds(100),
                                        std::chrono::milliseconds(500), std::chrono::seconds(2)};
/// A stream that was open for this long has lasted.
inline constexpr Duration kStreamLasts = std::chrono::seconds(2);

/// What agents tell each other apart by.
struct AgentIdentity {
  std::string agent;  // of this process, and no other
  std::string host;   // machine and network namespace
};

class Sibling final : Stream::Sink {
 public:
  /// Called from the loop, not before the constructor has returned. A callback must not destroy the
  /// sibling, which goes on after it: the owner does that in a later turn.
  class Sink {
   public:
    virtual void on_sibling_listed(Sibling& sibling, std::vector<Entry> entries) = 0;
    virtual void on_sibling_entry(Sibling& sibling, Entry entry) = 0;
    virtual void on_sibling_lost(Sibling& sibling, const std::string& key) = 0;
    virtual void on_sibling_state(Sibling& sibling) = 0;

   protected:
    ~Sink() = default;
  };

  Sibling(Env& env, std::string path, const AgentIdentity& self, Sink& sink);
  ~Sibling();

  const std::string& path() const { return path_; }
  PlaceState state() const { return state_; }
  const std::string& reason() const { return reason_; }
  std::int64_t pid() const { return pid_; }
  /// Its process holds the socket, and does not answer.
  bool is_silent() const { return state_ == PlaceState::behind && stream_ != nullptr; }
  /// It is this very process, or belongs to another host: nothing is taken from it.
  bool is_ignored() const { return ignored_; }

  /// The folder of its socket has changed: an idle one tries again.
  void retry();
  /// When a current sibling is behind unless something comes before.
  std::optional<TimePoint> silent_at() const;
  void check_silence();

 private:
  void connect();
  void on_connected(Result<std::unique_ptr<Stream>, NetError> stream);
  void on_data(Bytes data) override;
  void on_end() override;
  void on_broken(NetError error) override;
  bool take_head();
  void take_events();
  void take_event(std::string_view event);
  void take_snapshot(const json::Value& document);
  void take_changes(const json::Value& document);
  void fall_behind(std::string reason, Duration retry);
  void set_state(PlaceState state, std::string reason);
  void ignore(std::string reason);
  void close();

  Env& env_;
  const std::string path_;
  const AgentIdentity& self_;
  Sink& sink_;
  PlaceState state_ = PlaceState::connecting;
  std::string reason_;
  std::int64_t pid_ = 0;
  bool ignored_ = false;
  bool head_done_ = false;
  std::size_t tries_ = 0;
  std::size_t broken_off_ = 0;  // streams in a row that did not last
  TimePoint connected_;
  std::string text_;          // received, not a whole event yet
  std::size_t searched_ = 0;  // octets of it that hold no end of an event
  TimePoint heard_;
  Timer timer_;
  std::unique_ptr<Pending> connecting_;
  std::unique_ptr<Stream> stream_;
};

}  // namespace outrider::registries
