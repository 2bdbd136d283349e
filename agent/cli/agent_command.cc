// SPDX-License-Identifier: Apache-2.0
// `outrider agent`
#include <algorithm>

#include "agent/cli/commands.h"
#include "agent/cli/descriptors.h"
#include "agent/cli/load_config.h"
#include "agent/process/supervisor.h"
#include "base/text_file.h"
#include "base/uv/inherited.h"

namespace outrider::cli {
namespace {

/// A process starts with a limit of 1,024 descriptors, for programs that still use select(). One
/// socket for each upstream lookup and the API's clients can be more than that.
constexpr std::uint64_t kDescriptorsWanted = 8'192;

}  // namespace

int run_agent(const Arguments& arguments) {
  raise_descriptor_limit(kDescriptorsWanted);
  uv::InheritedSockets::take_from_environment();
  const auto paths = arguments.all("config"), sets = arguments.all("set");
  auto config = load_config(paths, sets);
  if (!config) return kUsage;
  RealWorld world(config->log);
  std::string own;
  for (const std::string& path : paths)
    own += '/' + path;
  // A folder beside a configuration that had none, as conf.d of outrider.service, makes no other
  // agent of it.
  if (paths.size() > 1 && config->api.persist &&
      std::all_of(paths.begin() + 1, paths.end(), [](const auto& path) { return is_folder(path); }))
    world.take_over_state('/' + paths.front(), own);
  Supervisor supervisor(world, std::move(*config), own);
  supervisor.follow_signals([paths, sets] { return read_whole_config(paths, sets); });
  supervisor.keep_sockets();
  supervisor.start();
  world.loop().run();
  return kDone;
}

}  // namespace outrider::cli
