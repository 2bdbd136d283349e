// SPDX-License-Identifier: Apache-2.0
// The log of `outrider run`: without what happens to services of others, and on a terminal without
// what the screen says in other words.
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
    const auto* const source = std::ranges::find(fields, "source", &LogField::key);
    const bool is_own = source == fields.end() || source->value == "own";
    if (service == fields.end() || service_.empty() || !is_left_out(event, service->value, is_own))
      inner_->record(event, fields);
  }

  bool is_left_out(LogEvent event, std::string_view service, bool is_own) const {
    if (service != service_)
      return spec_of(event).level <= (is_own ? LogLevel::info : LogLevel::warning);
    switch (surroundings_) {
      case Surroundings::screen:
        return event == LogEvent::health_failed || event == LogEvent::exposure_limited;
      case Surroundings::lines:
        return false;
    }
    OUTRIDER_UNREACHABLE();
  }

  std::unique_ptr<Log> inner_;
  const Surroundings surroundings_;
  std::string service_;  // empty: not known yet
};

}  // namespace outrider::cli::beside
