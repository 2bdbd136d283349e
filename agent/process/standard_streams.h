// SPDX-License-Identifier: Apache-2.0
// Descriptors 0 to 2, which a program may be started without (2>&-).
#pragma once

namespace outrider {

/// Opens those of 0 to 2 that are closed, on /dev/null and in the direction that is not used:
/// reading standard input or writing standard output still fails, but no socket or pipe of ours can
/// get their number. Before anything else is opened.
void open_standard_streams();

}  // namespace outrider
