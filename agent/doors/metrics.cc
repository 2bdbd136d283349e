// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/metrics.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>

#include "base/json.h"

namespace outrider::doors {
namespace {

/// Backslash, line feed and, in label values, the quote.
std::string escaped(std::string_view text, bool quote) {
  std::string out;
  for (const char c : text)
    if (c == '\\')
      out += "\\\\";
    else if (c == '\n')
      out += "\\n";
    else if (c == '"' && quote)
      out += "\\\"";
    else
      out += c;
  return out;
}

}  // namespace

void Metrics::sample(std::string_view name, std::string_view help, Type type,
                     std::string_view value, const Labels& labels) {
  auto family = std::find_if(families_.begin(), families_.end(),
                             [&](const Family& known) { return known.name == name; });
  if (family == families_.end()) {
    families_.push_back({std::string(name), std::string(help), type, {}});
    family = std::prev(families_.end());
  }
  family->samples.push_back({std::string(value), {labels.begin(), labels.end()}});
}

void Metrics::counter(std::string_view name, std::string_view help, std::uint64_t value,
                      const Labels& labels) {
  sample(name, help, Type::counter, std::to_string(value), labels);
}

void Metrics::gauge(std::string_view name, std::string_view help, double value,
                    const Labels& labels) {
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value);
  sample(name, help, Type::gauge,
         std::string_view(text.data(), static_cast<std::size_t>(end.ptr - text.data())), labels);
}

std::string Metrics::text() const {
  std::string out;
  for (const Family& family : families_) {
    out += "# HELP " + family.name + ' ' + escaped(family.help, false) + '\n';
    out += "# TYPE " + family.name + (family.type == Type::counter ? " counter\n" : " gauge\n");
    for (const Sample& sample : family.samples) {
      out += family.name;
      char before = '{';
      for (const auto& [label, content] : sample.labels) {
        out += before + label + "=\"" + escaped(content, true) + '"';
        before = ',';
      }
      if (!sample.labels.empty()) out += '}';
      out += ' ' + sample.value + '\n';
    }
  }
  return out;
}

std::string Metrics::json(std::string_view timestamp) const {
  std::string body;
  json::Writer out(body);
  const auto list = [&](Type type) {
    out.key(type == Type::gauge ? "Gauges" : "Counters").begin_array();
    for (const Family& family : families_) {
      if (family.type != type) continue;
      for (const Sample& sample : family.samples) {
        const double value = std::strtod(sample.value.c_str(), nullptr);
        out.begin_object().member("Name", family.name);
        if (type == Type::gauge)
          out.member("Value", value);
        else  // of one interval there is one observation: the total
          out.member("Count", 1)
              .member("Rate", 0)
              .member("Sum", value)
              .member("Min", value)
              .member("Max", value)
              .member("Mean", value)
              .member("Stddev", 0);
        out.key("Labels").begin_object();
        for (const auto& [label, content] : sample.labels)
          out.member(label, content);
        out.end_object().end_object();
      }
    }
    out.end_array();
  };
  out.begin_object().member("Timestamp", timestamp);
  list(Type::gauge);
  out.key("Points").begin_array().end_array();
  list(Type::counter);
  out.key("Samples").begin_array().end_array();
  out.end_object();
  return body;
}

}  // namespace outrider::doors
