// SPDX-License-Identifier: Apache-2.0
// What a service answers when its schema is fetched: refused with a reason, or a schema whose hash
// depends on the document alone.
#include "agent/farp/canonical.h"
#include "agent/farp/schemas.h"
#include "base/assert.h"
#include "base/bytes.h"

using namespace outrider;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = as_text({data, size});
  for (const farp::SchemaType type :
       {farp::SchemaType::openapi, farp::SchemaType::asyncapi, farp::SchemaType::graphql}) {
    const auto schema = farp::read_schema_document(type, text, {});
    if (!schema) {
      OUTRIDER_ASSERT(!schema.error().empty());
      continue;
    }
    OUTRIDER_ASSERT(schema->hash.size() == 64);
    const auto again = farp::read_schema_document(type, schema->document, {});
    OUTRIDER_ASSERT(again.has_value() && again->hash == schema->hash);
  }
  // Written, read and written again it is the same; from the second time on, for -0.0 is written as
  // -0 and read as an integer.
  std::string canonical(text);
  for (int times = 0; times < 3; ++times) {
    const auto document = json::parse_foreign(canonical, 8 * farp::kManifestBytesMax);
    if (!document && times == 0) return 0;
    OUTRIDER_ASSERT(document.has_value());
    const std::string written = farp::go_canonical(*document);
    OUTRIDER_ASSERT(times < 2 || written == canonical);
    canonical = written;
  }
  return 0;
}
