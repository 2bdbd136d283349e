// SPDX-License-Identifier: Apache-2.0
// What other programs publish: TXT strings (one a line), URLs, capabilities, and manifests.
#include <algorithm>

#include "agent/farp/manifest.h"
#include "agent/farp/txt.h"
#include "base/assert.h"
#include "base/http/url.h"

using namespace outrider;

namespace {

void read_strings(const std::vector<std::string>& strings) {
  for (const farp::TxtRules rules : {farp::TxtRules::strict, farp::TxtRules::forge}) {
    const farp::TxtMap txt = farp::TxtMap::parse(strings, rules);
    OUTRIDER_ASSERT(txt.entries().size() <= strings.size());
    for (const auto& [key, value, flag] : txt.entries())
      OUTRIDER_ASSERT(txt.find(key) != nullptr && *txt.find(key) == value &&
                      (!flag || value.empty()));
    const farp::TxtFacts facts = farp::read_txt(txt);
    OUTRIDER_ASSERT(facts.metadata.size() <= txt.entries().size());
    static_cast<void>(farp::survive_shrink(txt, farp::TxtMap::parse({}, rules)));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = as_text({data, size});
  std::vector<std::string> lines;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines.emplace_back(text.substr(at, end - at));
    at = end + 1;
  }
  read_strings(lines);
  for (const std::string& line : lines) {
    static_cast<void>(farp::parse_capabilities(line));
    if (const auto url = http::parse_url(line)) {
      const auto again = http::parse_url(url->to_string());
      OUTRIDER_ASSERT(again.has_value() && again->to_string() == url->to_string());
    }
  }
  if (const auto document = json::parse_foreign(text, farp::kManifestBytesMax)) {
    const farp::ManifestReading reading = farp::read_manifest(*document);
    std::string written;
    json::Writer writer(written);
    farp::write_manifest(writer, reading.manifest);
    OUTRIDER_ASSERT(json::parse(written, 8 * farp::kManifestBytesMax).has_value());
  }
  return 0;
}
