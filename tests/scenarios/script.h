// SPDX-License-Identifier: Apache-2.0
// Scenario files as text: one step a line; a line that begins with a blank goes on where the one
// before it ended; '#' at the start of a line, or after three blanks, begins a comment. What the
// words of a step mean is up to the reader.
#pragma once

#include <functional>
#include <sstream>
#include <string>
#include <vector>

namespace outrider::test {

struct Step {
  std::string file;
  int line = 0;
  std::string text;
};

/// False, with what is wrong in `error`, if the file cannot be read.
bool read_script(const std::string& file, std::vector<Step>& steps, std::string& error);

/// "file:line: step: what is wrong", or nothing if nothing is.
std::string complaint(const Step& step, const std::string& wrong);

/// All files of a folder whose name ends so, sorted.
std::vector<std::string> files_of(const std::string& folder, const std::string& suffix);

/// The next word, empty at the end; and what is left of the line.
std::string word(std::istringstream& in);
std::string rest(std::istringstream& in);

}  // namespace outrider::test
