// SPDX-License-Identifier: Apache-2.0
// Stands in for libFuzzer's main: runs a target over the files of its corpus, each also cut short
// at every offset of its first kilobyte.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s CORPUS_FOLDER\n", argv[0]);
    return 2;
  }
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1])) {
    std::ifstream in(entry.path(), std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(in), {}};
    const std::size_t cuts = std::min<std::size_t>(bytes.size(), 1024);
    for (std::size_t cut = 0; cut <= cuts; ++cut) {
      const std::size_t size = cut == cuts ? bytes.size() : cut;
      // A copy of exactly that size, so that a sanitizer sees every octet read beyond it.
      const std::vector<std::uint8_t> input(bytes.begin(),
                                            bytes.begin() + static_cast<std::ptrdiff_t>(size));
      LLVMFuzzerTestOneInput(input.data(), input.size());
    }
    ++files;
  }
  std::printf("%zu files\n", files);
  return files == 0 ? 1 : 0;
}
