// SPDX-License-Identifier: Apache-2.0
// The log of `outrider run`: on a terminal, without what the screen says in other words; elsewhere,
// without the comings and goings of services that are not the program's.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>

#include "base/log.h"

namespace outrider::cli::beside {

enum class Surroundings : std::uint8_t { screen, lines };

class QuietLog final : public Log {
 public:
  QuietLog(std::unique_ptr<Log> inner, Surroundings surroundings)
      : inner_(std::move(inner)), surroundings_(surroundings) {}
  /// From here on, this is the program's service.
  void set_service(std::string service) { service_ = std::move(service); }

 private:
  void write(LogEvent event, Fields fields) override {
    const auto* const service = std::ranges::find(fields, "service", &LogField::key);
    if (service == fields.end() || service_.empty() || !is_left_out(event, service->value))
      inner_->record(event, fields);
  }

  bool is_left_out(LogEvent event, std::string_view service) const {
    const bool own = service == service_;
    switch (surroundings_) {
      case Surroundings::screen:
        return own && (event == LogEvent::health_failed || event == LogEvent::exposure_limited);
      case Surroundings::lines:
        return !own && spec_of(event).level <= LogLevel::info;
    }
    OUTRIDER_UNREACHABLE();
  }

  std::unique_ptr<Log> inner_;
  const Surroundings surroundings_;
  std::string service_;  // empty: not known yet
};

}  // namespace outrider::cli::beside
