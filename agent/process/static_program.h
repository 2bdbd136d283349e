// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace outrider {

/// Before anything else that looks up names, users or modules. Does nothing in programs with shared
/// libraries.
void prepare_static_program();

}  // namespace outrider
