// SPDX-License-Identifier: Apache-2.0
// The text form of metrics that Prometheus reads (exposition format 0.0.4). Samples of one metric
// stay together under one HELP and TYPE, in the order in which they were first added. The same as
// JSON in the form of Consul's agent.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace outrider::doors {

class Metrics {
 public:
  using Labels = std::vector<std::pair<std::string_view, std::string>>;

  /// Names end in _total.
  void counter(std::string_view name, std::string_view help, std::uint64_t value,
               const Labels& labels = {});
  void gauge(std::string_view name, std::string_view help, double value, const Labels& labels = {});

  std::string text() const;
  /// {"Timestamp":…,"Gauges":[{"Name":…,"Value":…,"Labels":{…}}],"Counters":[…],…}
  std::string json(std::string_view timestamp) const;

 private:
  struct Sample {
    std::string value;  // a number as JSON has it too
    std::vector<std::pair<std::string, std::string>> labels;
  };
  enum class Type : std::uint8_t { counter, gauge };
  struct Family {
    std::string name, help;
    Type type;
    std::vector<Sample> samples;
  };
  void sample(std::string_view name, std::string_view help, Type type, std::string_view value,
              const Labels& labels);

  std::vector<Family> families_;
};

}  // namespace outrider::doors
