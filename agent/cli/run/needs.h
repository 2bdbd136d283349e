// SPDX-License-Identifier: Apache-2.0
// --need: services that must be there before the program starts, and where they are, in variables
// that programs read: DB_HOST (an address), DB_PORT, DB_URL. Pure.
//
//   parse_needs ▸ at every change: look_for_needs ▸ all found ▸ variables_of
//
// `outrider wait` takes names by the same rule, and ends when all are healthy at the same time,
// too.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/doors/findings.h"
#include "base/result.h"

namespace outrider::cli::beside {

/// Services that one program can need, and that one command waits for.
inline constexpr std::size_t kNeedsMax = 32;

/// Names of services, or lists of them with commas; each once. The error is a sentence.
Result<std::vector<std::string>, std::string> parse_names(const std::vector<std::string>& values);
/// The values of --need, no two of which would have the same variables.
Result<std::vector<std::string>, std::string> parse_needs(const std::vector<std::string>& values);

struct FoundNeed {
  std::string name;  // as it was given
  registry::InstancePtr instance;
  Endpoint endpoint;
};
struct NeedsNow {
  std::vector<FoundNeed> found;
  struct Missing {
    std::string name, why;
    bool known = false;  // an instance is, but none is healthy
  };
  std::vector<Missing> missing;
};
/// The first instance of each answer that DNS gives, and the words of `why` where there is none.
NeedsNow look_for_needs(const doors::View& view, const std::vector<std::string>& names);

/// "DB_HOST=10.0.0.1", …
std::vector<std::string> variables_of(const std::vector<FoundNeed>& needs);
/// "my-db.svc" is MY_DB_SVC, "db" is DB.
std::string variable_name(std::string_view name);
/// "http://10.0.0.1:8000", "tcp://[fd00::1]:5432"
std::string url_of(const registry::Instance& instance, const Endpoint& endpoint);

}  // namespace outrider::cli::beside
