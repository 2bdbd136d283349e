// SPDX-License-Identifier: Apache-2.0
// Passing bytes between two streams, unchanged, until both have ended: what a bridge does once it
// knows where a connection goes. base/uv keeps this promise with splice(2); copy_relays() keeps it
// on any streams, simulated ones too.
//
//   Each direction ends alone: the end of one stream becomes the end of the other (half-close). A
//   stream that breaks breaks the other: both are closed by RST, so that a cut answer never looks
//   like a whole one. What a slow reader has not taken is bounded; beyond it, the sender waits.
#pragma once

#include <cstdint>
#include <memory>

#include "base/env.h"
#include "base/net.h"

namespace outrider {

/// Bytes that wait in one direction for a slow reader, where they are copied.
inline constexpr std::size_t kRelayQueueBytesMax = 64U << 10;

/// Destroying it closes both streams at once, by RST unless it has ended.
class Relay {
 public:
  class Sink {
   public:
    /// Both directions have ended and everything was handed to the kernel, or a stream broke. Once;
    /// it may destroy the relay.
    virtual void on_relay_end() = 0;

   protected:
    ~Sink() = default;
  };

  virtual ~Relay() = default;
  /// Bytes that have passed so far, both directions together.
  virtual std::uint64_t bytes() const = 0;
};

/// A stream that a relay takes over: started or not, with what waits in it unsent. Not broken.
struct RelayEnd {
  std::unique_ptr<Stream> stream;
  bool ended = false;  // its peer has finished, which an earlier sink was told
  Bytes read = {};     // from it, for the other end, that waits for the relay; copied
};

class Relays {
 public:
  virtual ~Relays() = default;
  /// `sink` outlives the relay.
  virtual std::unique_ptr<Relay> start(RelayEnd a, RelayEnd b, Relay::Sink& sink) = 0;
};

/// Relays by reading and writing.
std::unique_ptr<Relays> copy_relays(Env& env);

}  // namespace outrider
