// SPDX-License-Identifier: Apache-2.0
// A configuration file: refused with its place and a reason, or taken; then what is dumped is taken
// too and means the same, it is no change of itself, and it merges with what else there is.
#include "agent/config/config.h"
#include "base/assert.h"

using namespace outrider;

namespace {

std::string dumped(const Config& config) {
  std::string out;
  json::Writer writer(out);
  writer.value(config.tree);
  return out;
}

void check_error(const ConfigError& error) {
  OUTRIDER_ASSERT(!error.to_string().empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(as_text({data, size}));
  ConfigSources sources;
  sources.files = {{"fuzz.json", text}};
  const auto config = make_config(sources);
  if (config) {
    OUTRIDER_ASSERT(not_reloadable(*config, *config).empty());
    OUTRIDER_ASSERT(config->drain_time() >= Duration::zero());
    const std::string dump = dumped(*config);
    const auto again = make_config({.files = {{"dump.json", dump}}});
    OUTRIDER_ASSERT(again.has_value());
    OUTRIDER_ASSERT(dumped(*again) == dump);
    OUTRIDER_ASSERT(again->services == config->services);
  } else {
    check_error(config.error());
  }
  // The same octets as a value on the command line and in the environment, and after a file.
  if (const auto set = make_config({.sets = {text}}); !set) check_error(set.error());
  const ConfigSources told{.environment = {{"OUTRIDER_DNS_LISTEN", text}}};
  if (const auto from = make_config(told); !from) check_error(from.error());
  sources.files.insert(sources.files.begin(),
                       {"first.json", R"({"dns": {"ttl": "1s"}, "services": []})"});
  static_cast<void>(make_config(sources));
  return 0;
}
