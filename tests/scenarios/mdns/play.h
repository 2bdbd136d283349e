// SPDX-License-Identifier: Apache-2.0
// Plays a conformance case (tests/scenarios/mdns/*.scn, README.md there tells the words): a tester
// on the link of a device speaks to it in single messages and looks at those that come back. The
// tester is the same everywhere; a bed says what its machine is (simulated, or real over libuv) and
// carries out what is asked of the device: the native provider, an agent, avahi-daemon.
//
//   file ▸ script.h (steps) ▸ Play ▸ pattern.h (records, as text) ▸ Tester (sockets) ▸ the link
//                              └▸ Bed::device (REGISTER, STOP, …)
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "tests/scenarios/mdns/pattern.h"
#include "tests/scenarios/script.h"

namespace outrider::mdns {

/// Where the tester is and whom it tests.
class Bed {
 public:
  virtual ~Bed() = default;
  /// Of the tester's machine.
  virtual Env& env() = 0;
  /// Lets time pass until `done` says so or `end` is there.
  virtual void run_until(const std::function<bool()>& done, TimePoint end) = 0;
  /// How much later than the protocol allows something may be noticed here.
  virtual Duration slack() const = 0;
  virtual bool simulated() const = 0;
  /// A step that is the device's affair. What is wrong, if anything; kCannot when this device does
  /// not do such things.
  virtual std::string device(const std::vector<std::string>& words) = 0;
};
inline constexpr const char* kCannot = "cannot";

/// The interface of the tester, and the addresses that it speaks from: the first by itself, the
/// others where a step says so. The last one is not of the link.
inline constexpr const char* kTesterInterface = "eth0";
inline constexpr const char* kTesterAddresses[] = {"192.168.1.9/24", "192.168.1.10/24",
                                                   "192.168.1.20/24", "203.0.113.9/32"};

struct Verdict {
  enum class Kind : std::uint8_t { passed, failed, not_here };
  Kind kind = Kind::passed;
  std::string why;  // "file:line: step: what was wrong", or why it is not for this bed
};
Verdict play(const std::string& file, Bed& bed);

/// Sockets on port 5353 of the tester's machine, and on whatever other ports it has asked from.
class Tester final {
 public:
  /// Throws if the sockets cannot be had.
  explicit Tester(Env& env);
  ~Tester();

  void send(const Sent& message, const IpAddress& from, std::uint16_t port, const Endpoint& to);
  const std::vector<Message>& heard() const { return heard_; }
  /// Datagrams that were no DNS message.
  std::size_t damaged() const { return damaged_; }

 private:
  class Ear;
  Ear& ear(std::uint16_t port);

  Env& env_;
  std::uint32_t interface_ = 0;
  std::vector<std::unique_ptr<Ear>> ears_;
  std::vector<Message> heard_;
  std::size_t damaged_ = 0;
};

}  // namespace outrider::mdns
