// SPDX-License-Identifier: Apache-2.0
#include "tests/scenarios/script.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace outrider::test {

bool read_script(const std::string& file, std::vector<Step>& steps, std::string& error) {
  std::ifstream in(file);
  if (!in) {
    error = file + ": cannot be read";
    return false;
  }
  std::string line;
  bool goes_on = false;
  for (int number = 1; std::getline(in, line); ++number) {
    const std::string bare = line.substr(0, line.find("   #"));
    if (line.starts_with(' ')) {
      if (goes_on) steps.back().text += bare;
      continue;
    }
    goes_on = !bare.empty() && bare[0] != '#';
    if (goes_on) steps.push_back({file, number, bare});
  }
  return true;
}

std::string complaint(const Step& step, const std::string& wrong) {
  if (wrong.empty()) return {};
  return step.file + ':' + std::to_string(step.line) + ": " + step.text + ": " + wrong;
}

std::vector<std::string> files_of(const std::string& folder, const std::string& suffix) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().string().ends_with(suffix)) files.push_back(entry.path().string());
  std::sort(files.begin(), files.end());
  return files;
}

std::string word(std::istringstream& in) {
  std::string out;
  in >> out;
  return out;
}

std::string rest(std::istringstream& in) {
  std::string out;
  std::getline(in >> std::ws, out);
  return out;
}

}  // namespace outrider::test
