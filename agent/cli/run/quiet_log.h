// SPDX-License-Identifier: Apache-2.0
// The log on a terminal on which the screen says the same in other words.
#pragma once

#include <memory>
#include <string>

#include "base/log.h"

namespace outrider::cli::beside {

class QuietLog final : public Log {
 public:
  explicit QuietLog(std::unique_ptr<Log> inner) : inner_(std::move(inner)) {}
  /// From here on, what happens to the health of this service's instances is left out.
  void leave_out(std::string service) { service_ = std::move(service); }

 private:
  void write(LogEvent event, Fields fields) override {
    const bool told = event == LogEvent::health_failed || event == LogEvent::exposure_limited;
    for (const LogField& field : fields)
      if (told && field.key == "service" && field.value == service_) return;
    inner_->record(event, fields);
  }

  std::unique_ptr<Log> inner_;
  std::string service_;
};

}  // namespace outrider::cli::beside
