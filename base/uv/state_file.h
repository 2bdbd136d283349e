// SPDX-License-Identifier: Apache-2.0
// base/state_file.h on a disk. A write runs on a thread of its own, so that a slow disk does not
// delay the loop; the thread ends with the write.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/state_file.h"
#include "base/uv/loop.h"

namespace outrider::uv {

/// The path's folder is made if it is missing, for this user alone. A lock on PATH.lock keeps other
/// processes away.
std::unique_ptr<StateFile> make_state_file(Loop& loop, std::string path);

/// Gives the file `earlier` the name `path`, unless a file has that name or a process uses the
/// earlier one. Blocks: for the start.
void take_over_state_file(const std::string& earlier, const std::string& path);

/// Names that set_aside() uses: PATH.unreadable, PATH.unreadable-2, …; the last is reused.
inline constexpr unsigned kAsideMax = 9;

/// What a write does on its thread. `before_step` (optional) is called before each of its steps,
/// for tests that end the process there. The error is for people.
Result<void, std::string> write_state(const std::string& path, StateFile::Write how,
                                      std::string_view text,
                                      const std::function<void(int)>& before_step = {});

}  // namespace outrider::uv
