// SPDX-License-Identifier: Apache-2.0
// What DNS answers for a name, and why: the same facts that the answer is made of, told instance
// by instance.
#pragma once

#include <string>
#include <string_view>

#include "agent/doors/findings.h"

namespace outrider::doors {

/// `name` is a service, or a DNS name under one of our domains ("hello", "hello.svc",
/// "hello-1.hello.svc", "local.hello.svc", "blue._tag.hello.svc", "_hello._tcp.svc").
struct Explanation {
  bool known = false;
  std::string json;
};
Explanation explain(const Control& control, std::string_view name);
/// The same for any moment. `probes` (optional) knows the probes of the checks up to then.
Explanation explain(const View& view, std::string_view name, const Control* probes);

}  // namespace outrider::doors
