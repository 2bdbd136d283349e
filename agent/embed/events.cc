// SPDX-License-Identifier: Apache-2.0
#include "agent/embed/events.h"

#include <algorithm>

namespace outrider::embed {
namespace {

/// The rest of the line of an event that begins with `field`; empty if there is none.
std::string_view field_of(std::string_view event, std::string_view field) {
  while (!event.empty()) {
    const std::size_t end = std::min(event.find('\n'), event.size());
    if (event.starts_with(field)) return event.substr(field.size(), end - field.size());
    event.remove_prefix(std::min(end + 1, event.size()));
  }
  return {};
}

}  // namespace

bool EventReader::add(std::string_view bytes) {
  if (at_ > 0) {
    text_.erase(0, at_);
    searched_ -= std::min(searched_, at_);
    at_ = 0;
  }
  text_ += bytes;
  return text_.size() <= kEventBytesMax;
}

bool EventReader::next(ServerEvent& event) {
  for (;;) {
    const std::size_t end = text_.find("\n\n", std::max(at_, searched_));
    if (end == std::string::npos) {
      searched_ = text_.empty() ? 0 : text_.size() - 1;
      if (at_ == text_.size()) clear();  // a long event gives its memory back
      return false;
    }
    const std::string_view text = std::string_view(text_).substr(at_, end - at_);
    at_ = end + 2;
    event = {.name = field_of(text, "event: "),
             .data = field_of(text, "data: "),
             .id = field_of(text, "id: ")};
    if (!event.name.empty()) return true;
  }
}

void EventReader::clear() {
  text_ = {};
  at_ = searched_ = 0;
}

}  // namespace outrider::embed
