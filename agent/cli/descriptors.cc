// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/descriptors.h"

#include <algorithm>

#include <sys/resource.h>

namespace outrider::cli {

void raise_descriptor_limit(std::uint64_t wanted) {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= wanted) return;
  files.rlim_cur = std::min<rlim_t>(files.rlim_max, wanted);
  (void)::setrlimit(RLIMIT_NOFILE, &files);  // on failure the old limit stays
}

std::optional<std::string> too_few_descriptors() {
  raise_descriptor_limit(kDescriptorsMin);
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= kDescriptorsMin)
    return std::nullopt;
  return "the limit of open files is " + std::to_string(files.rlim_cur) + "; outrider needs " +
         std::to_string(kDescriptorsMin) + " at least: raise it with ulimit -n, or LimitNOFILE=";
}

}  // namespace outrider::cli
