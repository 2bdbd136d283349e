// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace outrider {

/// From now on an allocation that fails ends the process with a sentence on standard error and
/// SIGABRT, so that no code of ours or of a library goes on with a pointer to nothing. For a
/// process of our own only: it is process-wide (std::set_new_handler).
void abort_when_out_of_memory();

}  // namespace outrider
