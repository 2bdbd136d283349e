// SPDX-License-Identifier: Apache-2.0
// What a server tells a client whose request it cannot read.
#pragma once

#include <string>

#include "base/http/text.h"

namespace outrider::http {

/// A sentence for the client, with the limits of this server.
std::string explain_refusal(Error error);

}  // namespace outrider::http
