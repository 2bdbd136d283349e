// SPDX-License-Identifier: Apache-2.0
// The messages of one side of a gRPC call: each is a flag, a length of four octets, and its octets.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace outrider::grpc {

inline constexpr std::size_t kPrefixBytes = 5;

enum class FramingError : std::uint8_t {
  none,
  compressed,  // the flag says so
  flag,        // it has another value than 0 and 1
  too_long,    // longer than the limit
};

class MessageBuffer {
 public:
  explicit MessageBuffer(std::size_t message_bytes_max) : max_(message_bytes_max) {}

  void feed(Bytes bytes) { buffer_ += as_text(bytes); }
  /// Whether the next message is complete. Once there is an error, there is no further message.
  bool has_message() const;
  FramingError error() const;
  /// Removes the next message; has_message().
  std::string take();
  /// Octets that are kept, of incomplete messages as well.
  std::size_t size() const { return buffer_.size() - at_; }
  void clear();

 private:
  struct Prefix {
    std::uint8_t flag = 0;
    std::size_t length = 0;
    bool complete = false;
  };
  Prefix prefix() const;

  std::size_t max_;
  std::string buffer_;
  std::size_t at_ = 0;  // the next message begins there
};

/// The prefix that goes before a message of this length.
std::string message_prefix(std::size_t length);

}  // namespace outrider::grpc
