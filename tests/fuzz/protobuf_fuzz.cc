// SPDX-License-Identifier: Apache-2.0
// Whatever can be read is written so that it reads the same; no nesting is followed too far.
#include "base/assert.h"
#include "base/protobuf.h"

using namespace outrider;
using protobuf::Reader;
using protobuf::Writer;

namespace {

constexpr int kTried = 64;  // more than the reader permits

/// How deep what looks like messages could be followed.
int depth(Reader& reader, int at) {
  int deepest = at;
  while (at < kTried && reader.next())
    reader.message([&](Reader& inner) { deepest = std::max(deepest, depth(inner, at + 1)); });
  return deepest;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes bytes{data, size};
  Reader reader(bytes);
  Writer writer;
  std::size_t fields = 0;
  while (reader.next()) {
    OUTRIDER_ASSERT(reader.field() > 0 && reader.field() < 1U << 29);
    Reader copy(bytes);
    for (std::size_t i = 0; i <= fields; ++i)
      OUTRIDER_ASSERT(copy.next());
    const std::uint64_t number = copy.u64();
    if (copy.ok())
      writer.each_u64(reader.field(), number);
    else
      writer.each_text(reader.field(), "other");
    if (++fields > 32) break;
  }
  const std::string written = writer.take();
  Reader again(as_bytes(written));
  std::size_t found = 0;
  while (again.next())
    ++found;
  OUTRIDER_ASSERT(again.ok());
  OUTRIDER_ASSERT(found == fields);

  Reader nested(bytes);
  OUTRIDER_ASSERT(depth(nested, 0) <= protobuf::kDepthMax);
  return 0;
}
