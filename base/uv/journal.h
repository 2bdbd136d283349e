// SPDX-License-Identifier: Apache-2.0
// The log in systemd's journal with its fields, for `journalctl OUTRIDER_SERVICE=orders`: its
// native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL), one datagram for each event.
#pragma once

#include <memory>

#include "base/log.h"

namespace outrider::uv {

inline constexpr const char* kJournalSocket = "/run/systemd/journal/socket";

/// Fields are OUTRIDER_EVENT, and OUTRIDER_ with the key in capitals. Never waits for the journal:
/// events that it does not take are counted, and reported once it reads again. nullptr: no program
/// has this socket.
std::unique_ptr<Log> make_journal_log(const Clock& clock, const char* path);

}  // namespace outrider::uv
