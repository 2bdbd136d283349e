// SPDX-License-Identifier: Apache-2.0
// `outrider agent`
#include <algorithm>

#include <sys/resource.h>

#include "agent/cli/commands.h"
#include "agent/cli/load_config.h"
#include "agent/process/supervisor.h"
#include "base/uv/inherited.h"

namespace outrider::cli {
namespace {

constexpr rlim_t kDescriptorsWanted = 8'192;

/// A process starts with a limit of 1,024 descriptors, for programs that still use select(). One
/// socket for each upstream lookup and the API's clients can be more than that.
void raise_descriptor_limit() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= kDescriptorsWanted) return;
  files.rlim_cur = std::min(files.rlim_max, kDescriptorsWanted);
  (void)::setrlimit(RLIMIT_NOFILE, &files);  // on failure the old limit stays
}

}  // namespace

int run_agent(const Arguments& arguments) {
  raise_descriptor_limit();
  uv::InheritedSockets::take_from_environment();
  const auto paths = arguments.all("config"), sets = arguments.all("set");
  auto config = load_config(paths, sets);
  if (!config) return kUsage;
  RealWorld world(config->log);
  std::string own;
  for (const std::string& path : paths)
    own += '/' + path;
  Supervisor supervisor(world, std::move(*config), own);
  supervisor.follow_signals([paths, sets] { return read_whole_config(paths, sets); });
  supervisor.start();
  world.loop().run();
  return kDone;
}

}  // namespace outrider::cli
