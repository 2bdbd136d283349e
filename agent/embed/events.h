// SPDX-License-Identifier: Apache-2.0
// Server-sent events from the bytes of a stream. Comments are no events.
#pragma once

#include <string>
#include <string_view>

#include "agent/embed/call.h"

namespace outrider::embed {

/// The longest event that is taken.
inline constexpr std::size_t kEventBytesMax = 64U << 20;

struct ServerEvent {
  std::string_view name, data;
  std::string_view id;  // a revision, to continue from; may be empty
};

class EventReader {
 public:
  /// Adds bytes. False: an event is too long.
  bool add(std::string_view bytes);
  /// The next whole event; false: there is none. The views live until the next call.
  bool next(ServerEvent& event);
  void clear();

 private:
  std::string text_;
  std::size_t at_ = 0;        // the event that is next
  std::size_t searched_ = 0;  // bytes of text_ that hold no end of it
};

}  // namespace outrider::embed
