// SPDX-License-Identifier: Apache-2.0
#include "base/uv/state.h"

namespace outrider::uv {

namespace {
class Nothing final : public Pending {};
}  // namespace

std::unique_ptr<Pending> LoopNetwork::connect(const ConnectOptions&, ConnectCallback) {
  return std::make_unique<Nothing>();
}
Result<std::unique_ptr<Listener>, NetError> LoopNetwork::listen(const ListenOptions&,
                                                                Listener::Sink&) {
  return failure(NetError::unsupported);
}
Result<std::unique_ptr<FdWatch>, NetError> LoopNetwork::watch_fd(int, FdEvents,
                                                                 Callback<void(FdEvents)>) {
  return failure(NetError::unsupported);
}
std::vector<Interface> LoopNetwork::interfaces() {
  return {};
}
std::unique_ptr<Pending> LoopNetwork::watch_interfaces(Callback<void()>) {
  return std::make_unique<Nothing>();
}

}  // namespace outrider::uv
