// SPDX-License-Identifier: Apache-2.0
#include "base/uv/state.h"

namespace outrider::uv {

namespace {
class Nothing final : public Pending {};
}  // namespace

std::vector<Interface> LoopNetwork::interfaces() {
  return {};
}
std::unique_ptr<Pending> LoopNetwork::watch_interfaces(Callback<void()>) {
  return std::make_unique<Nothing>();
}

}  // namespace outrider::uv
