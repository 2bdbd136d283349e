// SPDX-License-Identifier: Apache-2.0
// Stands in for libFuzzer's main: runs a target over every file of its corpus as it is, cut short
// at every offset of its first kilobyte, and with single octets of that kilobyte changed to what
// hurts parsers most, until a budget of octets is spent. The order is the same on every machine.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Input = std::vector<std::uint8_t>;

constexpr std::size_t kTouched = 1'024;
constexpr std::size_t kOctetsPerFile = 4U << 20;  // so that a whole corpus takes a second or two

Input read(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Always a copy of exactly that size, so that a sanitizer sees every octet read beyond it.
void run(const Input& input, std::size_t size, std::size_t& left) {
  left -= std::min(left, size + 1);
  const Input copy(input.begin(), input.begin() + static_cast<std::ptrdiff_t>(size));
  LLVMFuzzerTestOneInput(copy.data(), copy.size());
}

// `stride`: only each such cut and change, for targets that take long.
std::size_t replay(const Input& input, std::size_t stride) {
  std::size_t runs = 1;
  std::size_t left = kOctetsPerFile;
  run(input, input.size(), left);
  const std::size_t touched = std::min(input.size(), kTouched);
  for (std::size_t cut = 0; cut < touched && left > 0; cut += stride, ++runs)
    run(input, cut, left);
  std::size_t changes = 0;
  Input changed = input;
  for (std::size_t at = 0; at < touched; ++at) {
    const std::uint8_t was = input[at];
    const auto flipped = static_cast<std::uint8_t>(was ^ 0x20);
    const auto more = static_cast<std::uint8_t>(was + 1);
    const auto less = static_cast<std::uint8_t>(was - 1);
    // 0xc0 and the octets beside a number: where DNS keeps pointers, lengths and counts.
    for (const std::uint8_t octet :
         {std::uint8_t{0}, std::uint8_t{0xff}, std::uint8_t{0xc0}, more, less, flipped}) {
      if (left == 0) return runs;
      if (++changes % stride != 0) continue;
      changed[at] = octet;
      run(changed, changed.size(), left);
      ++runs;
    }
    changed[at] = was;
  }
  return runs;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    std::fprintf(stderr, "usage: %s CORPUS_FOLDER [STRIDE]\n", argv[0]);
    return 2;
  }
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1]))
    files.push_back(entry.path());
  std::ranges::sort(files);
  const std::size_t stride = argc == 3 ? std::stoul(argv[2]) : 1;
  std::size_t runs = 0;
  for (const std::filesystem::path& file : files)
    runs += replay(read(file), stride);
  std::printf("%zu files, %zu runs\n", files.size(), runs);
  return files.empty() ? 1 : 0;
}
