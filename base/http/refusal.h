// SPDX-License-Identifier: Apache-2.0
// What a server tells a client whose request it cannot read.
#pragma once

#include <cstddef>
#include <string>

#include "base/http/text.h"

namespace outrider::http {

/// A sentence for the client, with the limits of this server; a body may have kRequestBodyBytesMax.
std::string explain_refusal(Error error);
std::string explain_refusal(Error error, std::size_t body_bytes_max);

}  // namespace outrider::http
