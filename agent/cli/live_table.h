// SPDX-License-Identifier: Apache-2.0
// The instances of a stream of changes (/v1/outrider/watch), by service: what `top` shows and
// `wait` counts. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/json.h"

namespace outrider::cli {

class LiveTable {
 public:
  /// An event of the stream with its parsed data. Those that are neither a snapshot nor changes are
  /// ignored.
  void apply(std::string_view event, const json::Value& data);
  /// Instances that can be used, all services together.
  std::size_t served() const;
  /// With the registrations that have been critical for too long to be instances.
  std::size_t instances() const;
  bool empty() const { return services_.empty(); }

  struct Size {
    std::size_t columns = 80, rows = 24;
  };
  /// A screen of it: a heading, then a line for each service, those with failing instances first;
  /// no line is longer than the screen is wide. `clock` is "12:03:10".
  std::string screen(Size size, std::string_view clock) const;

 private:
  struct Entry {
    bool served = false, here = false;
    std::string health, endpoint, reason, since;
  };
  struct Row;
  static Entry entry_of(const json::Value& instance);
  void put(const json::Value& instance);
  void remove(const json::Value& instance);

  std::map<std::string, std::map<std::string, Entry>> services_;  // by name, by id
};

}  // namespace outrider::cli
