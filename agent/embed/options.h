// SPDX-License-Identifier: Apache-2.0
// From an outrider_options of any size to Settings.
#pragma once

#include "agent/embed/session.h"

namespace outrider::embed {

outrider_options default_options();

/// How an agent is come by.
enum class Way : std::uint8_t { start, connect, open };
Result<Session*, Failure> make_session(Way way, const outrider_options& options);

}  // namespace outrider::embed
