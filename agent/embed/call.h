// SPDX-License-Identifier: Apache-2.0
// What every function of the library becomes: a request of the agent's own API, and its outcome.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/callback.h"
#include "base/net.h"
#include "base/result.h"
#include "base/time.h"
#include "include/outrider.h"

namespace outrider::embed {

struct Request {
  std::string method = "GET";
  std::string target;  // encoded path and query
  std::string body = {};
};

struct Failure {
  int code = OUTRIDER_EFAILED;
  std::string text = {};  // for people; empty: that of the code
};
/// The body of an answer of status 200.
using Outcome = Result<std::string, Failure>;

/// From an answer of the API.
Outcome outcome_of(int status, std::string body);

/// An event of a stream: its name and data.
using OnEvent = std::function<void(std::string_view name, std::string_view data)>;

/// Where the agent is.
class Transport {
 public:
  virtual ~Transport() = default;
  /// Follows a stream until the token is destroyed, which OnEvent may do. Not called before this
  /// returns. A failure is one of the request, which may wait for `most`.
  virtual Result<std::unique_ptr<Pending>, Failure> watch(const std::string& target,
                                                          OnEvent on_event, Duration most) = 0;
};

// Requests. `filter` is a query; null: none.
Request register_request(std::string_view json);
Request change_request(std::string_view action, std::string_view id, std::string query = {});
Request get_request(const char* name, const char* filter);
Request list_request(const char* filter);
Request select_request(const char* name, const char* filter);
Request why_request(const char* name);
Request manifest_request(const char* id);
/// "KEY=VALUE"; empty without a value.
std::string parameter(std::string_view key, const char* value);
std::string list_target(const char* name, const char* filter);
inline constexpr const char* kEventsTarget = "/v1/outrider/watch";

/// The number of instances in a list.
std::size_t count_instances(const std::string& list);
/// The ids in the answer to a registration.
std::vector<std::string> registered_ids(const std::string& answer);

}  // namespace outrider::embed
