// SPDX-License-Identifier: Apache-2.0
// The promise of a file that outlives the process: text in whole lines, appended to or replaced as
// a whole. base/uv keeps it with the disk, tests/sim with a simulated one.
//
// What write() has confirmed is on disk, whatever ends the process or the machine then. While a
// write is under way, a crash leaves: of an append, the text before and perhaps a part of what was
// appended; of a replacement, the old text or the new one, never a mixture.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/callback.h"
#include "base/result.h"

namespace outrider {

/// A longer file is not read.
inline constexpr std::size_t kStateBytesMax = 64U << 20;

struct StateError {
  enum class Kind : std::uint8_t {
    held,        // another process has the file
    unreadable,  // there is a file, but it cannot be read
    failed,      // anything else: no such folder, no permission
  };
  Kind kind = Kind::failed;
  std::string reason;  // for people
};

class StateFile {
 public:
  /// Waits for a write that is under way; its callback does not come.
  virtual ~StateFile() = default;
  /// For people.
  virtual std::string path() const = 0;

  struct Opened {
    std::string text;        // empty: no file
    std::string unwritable;  // why it cannot be written; empty: it can
  };
  /// Takes the file for this process and reads it. Blocks: for the start. May be tried again.
  virtual Result<Opened, StateError> open() = 0;

  enum class Write : std::uint8_t { append, replace };
  /// After a successful open(), one at a time. `done` comes in a later turn; its error is for
  /// people. After an error, what the file ends with is not known until it has been replaced.
  virtual void write(Write how, std::string text,
                     Callback<void(Result<void, std::string>)> done) = 0;
  enum class Original : std::uint8_t {
    moved,  // no file is left in its place
    stays,  // until it is replaced: a crash before that loses nothing of what can be read
  };
  /// Keeps the file under another name, which is returned. Blocks.
  virtual Result<std::string, std::string> set_aside(Original original) = 0;
  /// The files that set_aside() has made, in this process and before, and that still exist.
  virtual std::vector<std::string> files_aside() const = 0;
};

/// A reason without the path at its beginning, for where the path is named beside it.
inline std::string without_path(std::string reason, const std::string& path) {
  if (reason.starts_with(path + ": ")) reason.erase(0, path.size() + 2);
  return reason;
}

}  // namespace outrider
