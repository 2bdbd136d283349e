// SPDX-License-Identifier: Apache-2.0
// `outrider agent`
#include "agent/commands.h"
#include "agent/supervisor.h"
#include "base/uv/inherited.h"

namespace outrider::cli {

int run_agent(const Arguments& arguments) {
  uv::InheritedSockets::take_from_environment();
  const auto paths = arguments.all("config"), sets = arguments.all("set");
  auto config = load_config(paths, sets);
  if (!config) return kUsage;
  RealWorld world(config->log);
  std::string own;
  for (const std::string& path : paths)
    own += '/' + path;
  Supervisor supervisor(world, std::move(*config), own);
  supervisor.start([paths, sets] { return load_config(paths, sets); });
  world.loop().run();
  return kDone;
}

}  // namespace outrider::cli
